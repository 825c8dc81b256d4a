"""How long a composite of three courses takes from the command to its files, and how much memory.

``.venv/bin/python -m benchmarks.composite_speed --write``

The command `lastgate composite -o` runs as a process of its own over an archive on local disk: everything is counted,
from the start of the interpreter to the last page of both reports, the ensemble included. There is no open peer that
does the same.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pydicom

from benchmarks import page
from benchmarks.three_courses import PATIENT_ID, Size, write_three_courses
from lastgate.reception import take_in
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import open_house

SECTION = "Composite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One run of the command."""

    case: str
    seconds: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is composed, and with what."""

    name: str
    size: Size
    options: tuple[str, ...] = ()
    has_files: bool = True


USUAL = Size()
FINE = replace(USUAL, dose_mm=USUAL.dose_mm / 2 ** (1 / 3))
ENSEMBLE = ("--ensemble",)
CASES = (
    Case(name="30 structures, ensemble, report and files", size=USUAL, options=ENSEMBLE),
    Case(name="the same without the ensemble", size=USUAL),
    Case(name="the same without files", size=USUAL, options=ENSEMBLE, has_files=False),
    Case(name="60 structures", size=replace(USUAL, structures=60), options=ENSEMBLE),
    Case(name="dose grids of twice as many voxels", size=FINE, options=ENSEMBLE),
)


def archive_of(size: Size, work: Path) -> Path:
    """Return the home of an archive that holds the case; made once."""
    home = work / f"composite-{size.structures}-{size.dose_mm:.2f}"
    done = home / "filled"
    if not done.is_file():
        patient = write_three_courses(work / "composite-files" / home.name, size)
        with open_house(Settings(home=home, node=NodeSettings(port=0))) as house:
            take_in(house, [patient.folder])
        done.touch()
    return home


def run(case: Case, home: Path, output: Path) -> Turn:
    """Run the command once; its memory is that of the largest process it consists of."""
    command = [str(Path(sys.executable).with_name("lastgate")), "composite", PATIENT_ID, "--json", *case.options]
    if case.has_files:
        command += ["-o", str(output)]
    answer, began = home / "answer.json", time.monotonic()
    with answer.open("wb") as told:
        child = subprocess.Popen(command, stdout=told, env={**os.environ, "LASTGATE_HOME": str(home)})
        _, status, used = os.wait4(child.pid, 0)
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"lastgate composite ended with {child.returncode}")
    _check(json.loads(answer.read_text("utf-8")), case)
    return Turn(case=case.name, seconds=seconds, cpu_s=used.ru_utime + used.ru_stime, peak_mb=used.ru_maxrss / 1000)


def _check(answer: Mapping[str, Any], case: Case) -> None:
    """See that what was measured is what is said: three courses summed, the structures there, the ensemble varied."""
    summed = [one for one in answer["courses"] if not one["reason_not_summed"]]
    varied = sum(one.get("ensemble") is not None for one in answer["structures"])
    wanted = len(answer["structures"]) - 1 if "--ensemble" in case.options else 0
    if len(summed) != 3 or len(answer["structures"]) != case.size.structures or varied < wanted:
        sys.exit(f"{case.name}: {len(summed)} courses, {len(answer['structures'])} structures, {varied} varied")


def tables(turns: Sequence[Turn], sizes: Mapping[str, str]) -> str:
    """Return what is written to the page: medians."""
    lines = [asdict(one) for one in turns]
    rows = []
    for case in dict.fromkeys(one.case for one in turns):
        mine = [one for one in lines if one["case"] == case]
        figures = (f"{page.median(mine, key):.1f}" for key in ("seconds", "cpu_s"))
        rows.append((case, sizes[case], *figures, f"{page.median(mine, 'peak_mb'):.0f}"))
    return page.table(("case", "dose grids", "seconds", "CPU s", "peak memory MB"), rows)


def main() -> None:
    """Measure, and print or write the table."""
    args = page.with_quick(page.parser(__doc__ or "", minutes=8, repetitions=3).parse_args(), minutes=2)
    cases = CASES[:1] if args.quick else CASES
    homes = {case.size: archive_of(case.size, args.work) for case in cases}
    turns: list[Turn] = []
    began = time.monotonic()
    for _ in range(args.repetitions):
        for case in cases:
            if turns and time.monotonic() - began > 60 * args.minutes:
                break
            turns.append(run(case, homes[case.size], args.work / "composite-out"))
            print(json.dumps(asdict(turns[-1])), flush=True)
    text = tables(turns, {case.name: _grids(homes[case.size]) for case in cases})
    page.write(SECTION, text) if args.write else print(text)


def _grids(home: Path) -> str:
    """Return the shapes of the dose grids, and of the one they are summed on."""
    files = sorted((home.parent / "composite-files" / home.name).rglob("RD.*.dcm"))
    heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    return ", ".join(f"{one.Columns}x{one.Rows}x{one.NumberOfFrames}" for one in heads)


if __name__ == "__main__":
    main()
