"""Gamma in three dimensions: ours beside pymedphys and plastimatch, the same voxels and criteria, one after the other.

``python -m benchmarks.gamma_speed [--quick] [--write]``. Two smooth doses of 100³ voxels of 2.5 mm, slightly shifted
and rippled; 3 %/2 mm, cut-off 20 %, up to 2. Every turn is a process of its own. Ours and pymedphys compare a small
part first, so that their loops are compiled; plastimatch works on files, which are counted.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import page
from benchmarks.dose_peers import peers_python
from dose.comparing.gamma import Criteria, gamma
from dose.grids.grid import DoseGrid, Geometry, Volume
from tests.dose.judge import ITK
from tests.dose.phantoms import ORIENTATIONS

SECTION = "gamma"
EQUAL = 1e-3
EXTENT_MM = 250.0
PERCENT, DISTANCE_MM, CUTOFF, MOST = 3.0, 2.0, 20.0, 2.0
GROWTH = ((100, "100³ voxels"), (126, "126³ (twice)"), (159, "159³ (four times)"))
OURS = {"lastgate, on shells": False, "lastgate, refined": True}

Told = dict[str, Any]


def write_case(folder: Path, voxels: int) -> None:
    """Write both doses as arrays and as images."""
    folder.mkdir(parents=True, exist_ok=True)
    step = EXTENT_MM / voxels
    at = step * (np.arange(voxels) + 0.5) - EXTENT_MM / 2
    z, y, x = np.meshgrid(at, at, at, indexing="ij")
    reference = _hill(x, y, z)
    evaluated = _hill(x - 1, y + 0.7, z - 0.5) * (1 + 0.01 * np.sin(x / 9) * np.cos(y / 7))
    doses = {"reference": reference.astype(np.float32), "evaluated": evaluated.astype(np.float32)}
    np.savez(folder / "case.npz", **doses, spacing_mm=step, criteria=[PERCENT, DISTANCE_MM, CUTOFF, MOST])
    for name, dose in doses.items():
        made = ITK.GetImageFromArray(dose)
        made.SetSpacing([step] * 3)
        ITK.WriteImage(made, str(folder / f"{name}.mha"))


def _hill(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], z: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    made: npt.NDArray[np.float64] = 60 * np.exp(-(((x / 80) ** 2 + (y / 66) ** 2 + (z / 94) ** 2) ** 2))
    return made


def ours(folder: Path, name: str) -> Told:
    """Compare the middle, then all."""
    case = np.load(folder / "case.npz")
    step = float(case["spacing_mm"])
    criteria = Criteria(
        dose_percent=PERCENT, distance_mm=DISTANCE_MM, cutoff_percent=CUTOFF, max_gamma=MOST, is_refined=OURS[name]
    )
    whole = [_grid(case[which], step) for which in ("reference", "evaluated")]
    middle = slice(len(case["reference"]) // 2 - 10, len(case["reference"]) // 2 + 10)
    few = [_grid(np.ascontiguousarray(one.dose_gy[middle, middle, middle]), step) for one in whole]
    gamma(few[0], few[1], criteria)
    began, used = time.perf_counter(), _cpu_s()
    found = gamma(whole[0], whole[1], criteria)
    told = {"seconds": time.perf_counter() - began, "cpu_s": _cpu_s() - used}
    np.save(folder / f"{name}.npy", found.values)
    return {**told, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def _grid(dose: Volume, step: float) -> DoseGrid:
    geometry = Geometry.from_axes(
        shape=(dose.shape[0], dose.shape[1], dose.shape[2]),
        position_mm=(0, 0, 0),
        orientation=ORIENTATIONS["HFS"],
        row_spacing_mm=step,
        column_spacing_mm=step,
        plane_spacing_mm=step,
    )
    return DoseGrid(dose_gy=dose, geometry=geometry)


def _cpu_s() -> float:
    return sum(os.times()[:4])


def plastimatch(folder: Path) -> Told:
    """Compare files; its values go to a file."""
    words = ["plastimatch", "gamma", "--interp-search", "--dose-tolerance", PERCENT / 100, "--dta-tolerance"]
    words += [DISTANCE_MM, "--analysis-threshold", CUTOFF / 100, "--gamma-max", MOST]
    words += ["--output", folder / "plastimatch.mha", folder / "reference.mha", folder / "evaluated.mha"]
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {"seconds": time.perf_counter() - began}
    told["cpu_s"] = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    np.save(folder / "plastimatch.npy", ITK.GetArrayViewFromImage(ITK.ReadImage(str(folder / "plastimatch.mha"))))
    return {**told, "peak_mb": after.ru_maxrss / 1000}


class Programs:
    """The programs that are compared, each run in a process of its own."""

    def __init__(self, work: Path) -> None:
        mine = [sys.executable, "-m", "benchmarks.gamma_speed"]
        self.commands = {name: [*mine, "--one", name, "--work"] for name in OURS}
        self.commands["pymedphys"] = [str(peers_python(work)), str(Path(__file__).with_name("gamma_peers.py"))]
        if shutil.which("plastimatch"):
            self.commands["plastimatch"] = [*mine, "--one", "plastimatch", "--work"]

    def run(self, name: str, folder: Path) -> Told:
        """Run a program once."""
        done = subprocess.run([*self.commands[name], str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name} failed: {done.stderr[-2000:]}")
        told: Told = json.loads(done.stdout.splitlines()[-1])
        return told


def side_by_side(programs: Programs, folder: Path, repetitions: int) -> str:
    """Return the table: medians of turns, ratios within a turn."""
    turns = [{name: programs.run(name, folder) for name in programs.commands} for _ in range(repetitions)]
    judge = np.load(folder / "pymedphys.npy")
    there = np.isfinite(judge)
    rows = []
    for name in programs.commands:
        mine = [turn[name] for turn in turns]
        middle = [median(told[key] for told in mine) for key in ("seconds", "cpu_s")]
        ratios = [median(turn["pymedphys"][k] / turn[name][k] for turn in turns) for k in ("seconds", "cpu_s")]
        values = np.load(folder / f"{name}.npy")[there]
        off = values - judge[there]
        worst = ("" if name == "pymedphys" else f"{off.min():+.4f} to {off.max():+.4f}",)
        told = (f"{values.mean(dtype=np.float64):.5f}", f"{100 * (values <= 1).mean():.2f}")
        peak = f"{max(one['peak_mb'] for one in mine):.0f}"
        rows.append((name, *(f"{v:.2f}" for v in middle), *(f"{v:.1f}" for v in ratios), peak, *told, *worst))
    head = (
        "program",
        "s",
        "CPU s",
        "times faster than pymedphys",
        "by CPU",
        "peak MB",
        "mean",
        "pass %",
        "off pymedphys",
    )
    return f"{there.sum():,} voxels above the cut-off.\n\n{page.table(head, rows)}"


def check(folder: Path) -> None:
    """End if our values on shells are not those of pymedphys."""
    judge, mine = (np.load(folder / f"{name}.npy") for name in ("pymedphys", "lastgate, on shells"))
    if not np.array_equal(np.isfinite(judge), np.isfinite(mine)) or np.nanmax(np.abs(judge - mine)) > EQUAL:
        sys.exit("gamma on shells is not that of pymedphys")


def growth(programs: Programs, work: Path, sizes: Sequence[tuple[int, str]]) -> str:
    """Return what time and memory become as voxels double."""
    rows = []
    for voxels, label in sizes:
        folder = work / str(voxels)
        write_case(folder, voxels)
        told = [programs.run(name, folder) for name in (*OURS, "pymedphys")]
        check(folder)
        figures = [f"{one['seconds']:.2f} / {one['cpu_s']:.2f} / {one['peak_mb']:.0f}" for one in told]
        rows.append((label, *figures, f"{told[-1]['seconds'] / told[1]['seconds']:.1f}"))
    columns = [f"{name}: s / CPU s / peak MB" for name in (*OURS, "pymedphys")]
    return page.table(("grids", *columns, "refined: times faster"), rows)


def main() -> None:
    """Measure, print, and write the page if asked."""
    options = page.parser(str(__doc__), minutes=4, repetitions=2)
    options.add_argument("--one", help="compare once as this program and print what it took as JSON")
    args = page.with_quick(options.parse_args(), minutes=1)
    if args.one:
        print(json.dumps(plastimatch(args.work) if args.one == "plastimatch" else ours(args.work, args.one)))
        return
    programs, work = Programs(args.work), args.work / "gamma"
    sizes = ((40, "40³ voxels"),) if args.quick else GROWTH
    folder = work / str(sizes[0][0])
    write_case(folder, sizes[0][0])
    beside = side_by_side(programs, folder, args.repetitions)
    check(folder)
    text = f"{beside}\n\n{growth(programs, work, sizes)}"
    shutil.rmtree(work)
    print(text)
    if args.write:
        page.write(SECTION, text)


if __name__ == "__main__":
    main()
