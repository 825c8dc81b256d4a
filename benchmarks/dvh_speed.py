"""Histograms of 30 structures: ours beside platipy and dicompyler-core, from the same files, one after the other.

``python -m benchmarks.dvh_speed [--quick] [--write]``. Spheres of 2 to 60 mm radius lie in a dose that rises by 0.1
Gy/mm along x, so that every figure is known. Counted is reading the RTSTRUCT and making all histograms; the dose is in
memory. Each turn is a process of its own. Ours runs twice in it: the first run also loads the compiled loops.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from benchmarks import page
from benchmarks.dose_peers import peers_python
from dose.grids.grid import Points
from dose.objects.dicom import read_dose
from dose.objects.header import ObjectHeader
from dose.objects.structure_set import DrawnRoi, structure_set_dataset
from dose.shapes.dvh import Dvh, Figure, dvhs
from dose.shapes.structures import read_structures
from tests.dose.phantoms import circle, dose_dataset

SECTION = "DVH"
EXTENT_MM = 500.0
SLICE_MM = 2.5
GRADIENT = 0.1
POINT_MM = 1.05
SCALING = "0.00001"
INTERPOLATED = 8
"""Structures dicompyler-core interpolates: the larger ones take it minutes."""

GROWTH = (
    ("30 structures, 200³ voxels", 30, 200),
    ("60 structures", 60, 200),
    ("120 structures", 120, 200),
    ("252³ voxels (twice)", 30, 252),
    ("317³ voxels (four times)", 30, 317),
)

FIGURES = ("volume %", "mean Gy", "D95 Gy", "D50 Gy", "D2 Gy")
Rows = list[list[float]]
Told = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Files of one case, and what is true of its spheres."""

    folder: Path
    radii_mm: tuple[float, ...]
    means_gy: tuple[float, ...]
    points: int

    def true_rows(self) -> Rows:
        """Volume, mean, D95, D50 and D2 of each sphere: planes cut a ball in caps whose volume is a cubic."""
        depth = np.linspace(-1, 1, 20001)
        part = (2 + 3 * depth - depth**3) / 4
        off = [float(np.interp(1 - p / 100, part, depth)) for p in (95, 50, 2)]
        return [
            [4 / 3 * np.pi * r**3 / 1000, mean, *(mean + GRADIENT * r * v for v in off)]
            for r, mean in zip(self.radii_mm, self.means_gy, strict=True)
        ]

    def worst(self, rows: Rows, *, small: bool) -> list[float]:
        """Largest errors of the figures over spheres below 5 mm radius, or over the others; volumes in percent."""
        found = []
        for radius, true, told in zip(self.radii_mm, self.true_rows(), rows, strict=False):
            if (radius < 5) == small:
                volume = 100 * (told[0] / true[0] - 1)
                found.append([abs(v) for v in (volume, *(a - b for a, b in zip(told[1:], true[1:], strict=True)))])
        return [float(v) for v in np.max(found, axis=0)]


def make_case(folder: Path, structures: int, voxels: int) -> Case:
    """Write a structure set and a dose; spheres lie at random between slices and voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    random, sizes = np.random.default_rng(1), np.linspace(2, 60, 30)
    radii = [float(sizes[n % len(sizes)]) for n in range(structures)]
    centres = [random.uniform(-(EXTENT_MM / 2 - r - 6), EXTENT_MM / 2 - r - 6, 3) for r in radii]
    rois = [
        DrawnRoi(name=f"Sphere {n}", contours=_circles(centre, radius))
        for n, (centre, radius) in enumerate(zip(centres, radii, strict=True), 1)
    ]
    header = ObjectHeader(
        sop_instance_uid="2.25.1", series_instance_uid="2.25.2", study_instance_uid="2.25.3",
        frame_of_reference_uid="2.25.4", patient_id="1", patient_name="Phantom", created=datetime(2000, 1, 1),
        manufacturer="", model="", software_version="", series_description="Spheres",
    )  # fmt: skip
    structure_set_dataset(rois, header=header, label="Spheres").save_as(
        folder / "structures.dcm", enforce_file_format=True
    )
    _dose(voxels).save_as(folder / "dose.dcm", enforce_file_format=True)
    return Case(
        folder=folder,
        radii_mm=tuple(radii),
        means_gy=tuple(30 + GRADIENT * float(centre[0]) for centre in centres),
        points=sum(len(points) for roi in rois for _, points in roi.contours),
    )


def _circles(centre: npt.NDArray[np.float64], radius: float) -> list[tuple[int, Points]]:
    contours = []
    for n, z in enumerate(np.arange(-EXTENT_MM / 2 + SLICE_MM / 2, EXTENT_MM / 2, SLICE_MM)):
        square = radius**2 - (z - centre[2]) ** 2
        if square > 1e-3:
            corners = max(60, round(2 * np.pi * square**0.5 / POINT_MM))
            points = circle((centre[0], centre[1], z), float(square**0.5), corners=corners)
            contours.append((n, points.round(4)))
    return contours


def _dose(voxels: int) -> Dataset:
    step = EXTENT_MM / voxels
    at = -EXTENT_MM / 2 + step / 2 + step * np.arange(voxels)
    line = np.rint((30 + GRADIENT * at) / float(SCALING)).astype(np.uint32)
    stored = np.broadcast_to(line, (voxels, voxels, voxels))
    offsets = [round(step * n, 6) for n in range(voxels)]
    return dose_dataset(
        stored, scaling=SCALING, position_mm=[round(float(at[0]), 6)] * 3, offsets=offsets, PixelSpacing=[step, step]
    )


def ours(folder: Path) -> Told:
    """Make the histograms twice; the first time the compiled loops are loaded."""
    grid = read_dose(pydicom.dcmread(folder / "dose.dcm")).grid

    def act() -> list[Dvh]:
        drawn = read_structures(pydicom.dcmread(folder / "structures.dcm")).structures
        return [one for one in dvhs(drawn, grid) if isinstance(one, Dvh)]

    first_s, _, _ = _timed(act)
    seconds, cpu_s, made = _timed(act)
    rows = [[one.volume_cc, *(_value(f) for f in (one.mean_gy, *map(one.d_percent, (95, 50, 2))))] for one in made]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"first_s": first_s, "seconds": seconds, "cpu_s": cpu_s, "rows": rows, "peak_mb": peak_mb}


def _value(figure: Figure) -> float:
    return float("nan") if figure.value is None else figure.value


def _timed(act: Callable[[], list[Dvh]]) -> tuple[float, float, list[Dvh]]:
    began, used = time.perf_counter(), time.process_time()
    made = act()
    return time.perf_counter() - began, time.process_time() - used, made


class Programs:
    """The programs that are compared, each run in a process of its own."""

    def __init__(self, work: Path) -> None:
        peers = [str(peers_python(work)), str(Path(__file__).with_name("dvh_peers.py"))]
        self.commands = {
            "lastgate": [sys.executable, "-m", "benchmarks.dvh_speed", "--ours"],
            "platipy": [*peers, "platipy"],
            "dicompyler-core": [*peers, "dicompyler"],
        }

    def run(self, name: str, case: Case, *more: str) -> Told:
        """Run a program once."""
        done = subprocess.run(
            [*self.commands[name], str(case.folder), *more], capture_output=True, text=True, check=True
        )
        told: Told = json.loads(done.stdout.splitlines()[-1])
        return told


def side_by_side(programs: Programs, case: Case, repetitions: int) -> str:
    """Return the table of speed and of errors: medians of turns."""
    turns = [{name: programs.run(name, case) for name in programs.commands} for _ in range(repetitions)]
    rows = []
    for name in programs.commands:
        mine = [turn[name] for turn in turns]
        ratios = [median(turn[name][key] / turn["lastgate"][key] for turn in turns) for key in ("seconds", "cpu_s")]
        rows.append(_speed_row(name, mine, ratios))
    fastest = median(
        min(t["platipy"]["seconds"], t["dicompyler-core"]["seconds"]) / t["lastgate"]["seconds"] for t in turns
    )
    some = programs.run("dicompyler-core", case, str(INTERPOLATED))
    label = f"dicompyler-core, interpolated, {INTERPOLATED} smallest only"
    rows.append(_speed_row(label, [some], [float("nan")] * 2))
    head = ("program", "s", "CPU s", "× our time", "× our CPU", "peak MB")
    first = median(turn["lastgate"]["first_s"] for turn in turns)
    told = f"The faster peer takes {fastest:.1f} times our time; our first run in a process takes {first:.2f} s."
    errors = [(name, turns[0][name]["rows"]) for name in programs.commands] + [(label, some["rows"])]
    return "\n\n".join([page.table(head, rows), told, _error_table(case, errors)])


def _speed_row(name: str, mine: Sequence[Told], ratios: Sequence[float]) -> list[str]:
    figures = [median(told[key] for told in mine) for key in ("seconds", "cpu_s")]
    peak = max(told["peak_mb"] for told in mine)
    return [name, *(f"{v:.2f}" for v in figures), *("" if v != v else f"{v:.1f}" for v in ratios), f"{peak:.0f}"]


def _error_table(case: Case, errors: Sequence[tuple[str, Rows]]) -> str:
    rows = []
    for name, told in errors:
        for small, which in ((False, "r ≥ 5 mm"), (True, "r < 5 mm")):
            rows.append([name, which, *(f"{v:.3f}" for v in case.worst(told, small=small))])
    return page.table(("worst error against the analytic figure", "spheres", *FIGURES), rows)


def growth(programs: Programs, work: Path, sizes: Sequence[tuple[str, int, int]]) -> str:
    """Return what time and memory become as structures and voxels double."""
    rows = []
    for name, structures, voxels in sizes:
        case = make_case(work / f"{structures}x{voxels}", structures, voxels)
        told = [programs.run(program, case) for program in ("lastgate", "platipy")]
        figures = [f"{one['seconds']:.2f} / {one['cpu_s']:.2f} / {one['peak_mb']:.0f}" for one in told]
        rows.append([name, f"{case.points:,}", *figures])
    return page.table(("case", "contour points", "lastgate: s / CPU s / peak MB", "platipy: s / CPU s / peak MB"), rows)


def main() -> None:
    """Measure, print, and write the page if asked."""
    options = page.parser(str(__doc__), minutes=4, repetitions=3)
    options.add_argument("--ours", type=Path, help="make our histograms of this folder and print them as JSON")
    args = page.with_quick(options.parse_args(), minutes=1)
    if args.ours:
        print(json.dumps(ours(args.ours)))
        return
    work = args.work / "dvh"
    programs = Programs(args.work)
    case = make_case(work / "30x200", 30, 200)
    text = "\n\n".join(
        [
            f"30 structures, {case.points:,} contour points, 200³ voxels; {args.repetitions} repetitions in turn.",
            side_by_side(programs, case, args.repetitions),
            growth(programs, work, GROWTH[:1] if args.quick else GROWTH),
        ]
    )
    print(text)
    if args.write:
        page.write(SECTION, text)


if __name__ == "__main__":
    main()
