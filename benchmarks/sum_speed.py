"""Sum of two dose grids on a large one: ours beside SimpleITK, scipy and plastimatch, straight and turned by 5 degrees.

``python -m benchmarks.sum_speed [--quick] [--write]``. Two grids of 200 x 200 x 150 voxels, 30 mm apart, go onto
512 x 512 x 150. Ours also tells where dose is known, the upper bound and the estimate; the peers write 0 where there is
none and tell nothing. Every turn is a process of its own that sums twice, the second time counts: ours then has its
compiled loops in memory. plastimatch works on files, which are counted. Results are compared voxel by voxel.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import page
from dose.grids.accumulate import Part, accumulate
from dose.grids.grid import Affine, DoseGrid, Geometry, Mask, Volume
from tests.dose.judge import ITK, image, moving, place, rotation
from tests.dose.phantoms import ORIENTATIONS, centred

SECTION = "sum"
QUICK_ONES = ("lastgate", "SimpleITK")
SLOW_ONES = ("scipy affine_transform", "scipy map_coordinates", "plastimatch")
EQUAL_GY = 1e-3
"""Peers keep coordinates or shares in other precisions: more than this is another result."""

Told = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is summed: how often the voxels of grids and target are doubled, and by how much the map turns."""

    doublings: int = 0
    degrees: float = 0.0
    is_small: bool = False

    @property
    def onto(self) -> Geometry:
        """The target."""
        return self._grid((150, 512, 512), (0.977, 0.977, 2.5), 0.0)

    @property
    def to_fixed(self) -> Affine:
        """From the frame of the grids to that of the target."""
        return rotation(self.degrees, (4, -3, 2)) if self.degrees else np.eye(4)

    def grids(self) -> list[DoseGrid]:
        """Return two doses without any order, the hardest to be equal in."""
        random, made = np.random.default_rng(1), []
        for middle in (-15.0, 15.0):
            geometry = self._grid((150, 200, 200), (2.5, 2.5, 2.5), middle)
            made.append(DoseGrid(dose_gy=60 * random.random(geometry.shape, dtype=np.float32), geometry=geometry))
        return made

    def _grid(self, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], middle: float) -> Geometry:
        times = [2 if self.doublings > axis else 1 for axis in range(3)]
        small = 4 if self.is_small else 1
        count = [n * t // small for n, t in zip(shape, times, strict=True)]
        across = [s * small / t for s, t in zip(spacing_mm, reversed(times), strict=True)]
        return centred(
            ORIENTATIONS["HFS"],
            shape=(count[0], count[1], count[2]),
            spacing_mm=(across[0], across[1], across[2]),
            centre_mm=(middle, 0.0, 0.0),
        )


def ours(case: Case, _work: Path) -> Callable[[], tuple[Volume, Mask]]:
    """Lower and upper bound, estimate, and where dose is known."""
    transform = moving(case.to_fixed) if case.degrees else None
    parts = [Part(grid=grid, weight=1.0, label="", transform=transform) for grid in case.grids()]

    def act() -> tuple[Volume, Mask]:
        total = accumulate(parts, case.onto)
        return total.lower_gy, total.known

    return act


def simpleitk(case: Case, _work: Path) -> Callable[[], Any]:
    """Resample each and add in place; the copy out of its image is not counted."""
    images = [image(grid) for grid in case.grids()]
    like = ITK.Image([int(n) for n in case.onto.shape[::-1]], ITK.sitkUInt8)
    place(like, case.onto)
    transform = _itk_transform(case)

    def act() -> Any:
        total = ITK.Resample(images[0], like, transform, ITK.sitkLinear, 0.0)
        total += ITK.Resample(images[1], like, transform, ITK.sitkLinear, 0.0)
        return total

    return act


def _itk_transform(case: Case) -> Any:
    if not case.degrees:
        return ITK.Transform()
    back = np.linalg.inv(case.to_fixed)
    return ITK.AffineTransform([float(v) for v in back[:3, :3].ravel()], [float(v) for v in back[:3, 3]])


def _index_map(case: Case, grid: DoseGrid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Matrix and offset that take indices ``(k, j, i)`` of the target to those of a grid."""
    whole = grid.geometry.inverse @ np.linalg.inv(case.to_fixed) @ case.onto.affine
    return whole[2::-1, 2::-1].copy(), whole[2::-1, 3].copy()


def affine_transform(case: Case, _work: Path) -> Callable[[], Volume]:
    """Scipy, one processor."""
    from scipy import ndimage

    grids = case.grids()

    def act() -> Volume:
        total = np.zeros(case.onto.shape, dtype=np.float32)
        for grid in grids:
            matrix, offset = _index_map(case, grid)
            aligned = np.diag(matrix).copy() if not case.degrees else matrix
            total += ndimage.affine_transform(
                grid.dose_gy, aligned, offset, output_shape=total.shape, output=np.float32, order=1
            )
        return total

    return act


def map_coordinates(case: Case, _work: Path) -> Callable[[], Volume]:
    """Scipy, one processor, ten planes at a time: all coordinates at once are 0.9 GB."""
    from scipy import ndimage

    grids = case.grids()

    def act() -> Volume:
        total = np.zeros(case.onto.shape, dtype=np.float32)
        for first in range(0, len(total), 10):
            part = total[first : first + 10]
            index = np.indices(part.shape, dtype=np.float64).reshape(3, -1) + np.array([[first], [0], [0]])
            for grid in grids:
                matrix, offset = _index_map(case, grid)
                found = ndimage.map_coordinates(
                    grid.dose_gy, matrix @ index + offset[:, np.newaxis], output=np.float32, order=1
                )
                part += found.reshape(part.shape)
        return total

    return act


def plastimatch(case: Case, work: Path) -> Callable[[], Any]:
    """Two runs of ``resample`` and one of ``add``, from files to a file."""
    like = ITK.Image([int(n) for n in case.onto.shape[::-1]], ITK.sitkUInt8)
    place(like, case.onto)
    ITK.WriteImage(like, str(work / "like.mha"))
    ITK.WriteTransform(_itk_transform(case), str(work / "map.tfm"))
    for number, grid in enumerate(case.grids()):
        ITK.WriteImage(image(grid), str(work / f"dose{number}.mha"))

    def act() -> Any:
        for number in range(2):
            turn = ["--xf", work / "map.tfm"] if case.degrees else []
            files = ["--input", work / f"dose{number}.mha", "--fixed", work / "like.mha"]
            _run("convert" if turn else "resample", *files, *turn, _output(turn), work / f"onto{number}.mha")
        _run("add", "--output", work / "sum.mha", work / "onto0.mha", work / "onto1.mha")
        return ITK.ReadImage(str(work / "sum.mha"))

    return act


def _output(turn: list[Any]) -> str:
    return "--output-img" if turn else "--output"


def _run(*words: Any) -> None:
    subprocess.run(["plastimatch", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


PROGRAMS: dict[str, Callable[[Case, Path], Callable[[], Any]]] = {
    "lastgate": ours,
    "SimpleITK": simpleitk,
    "scipy affine_transform": affine_transform,
    "scipy map_coordinates": map_coordinates,
    "plastimatch": plastimatch,
}


def one_turn(program: str, case: Case, work: Path) -> Told:
    """Sum, twice where it is quick, and keep the result as a file."""
    act = PROGRAMS[program](case, work)
    if program in QUICK_ONES:
        act()
    began, used = time.perf_counter(), _cpu_s()
    made = act()
    told = {"seconds": time.perf_counter() - began, "cpu_s": _cpu_s() - used, "peak_mb": _peak_mb()}
    values, known = made if program == "lastgate" else (made, None)
    np.save(work / f"{program}.npy", values if isinstance(values, np.ndarray) else ITK.GetArrayViewFromImage(values))
    if known is not None:
        np.save(work / "known.npy", known)
        told["known"] = float(known.mean())
    return told


def _cpu_s() -> float:
    return sum(os.times()[:4])


def _peak_mb() -> float:
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1000


def run(program: str, case: Case, work: Path) -> Told:
    """Run one turn in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.sum_speed", "--work", str(work), "--one", program]
    words += ["--doublings", str(case.doublings), "--degrees", str(case.degrees), *(["--small"] * case.is_small)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{program} failed: {done.stderr[-2000:]}")
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


def difference_gy(program: str, work: Path) -> float:
    """Return how far a result is from ours at most where dose is known; end where it is another result."""
    known, mine = (np.load(work / f"{name}.npy", mmap_mode="r") for name in ("known", "lastgate"))
    other = np.load(work / f"{program}.npy", mmap_mode="r")
    worst = 0.0
    for plane in range(len(mine)):
        inside = np.array(known[plane])
        if program != "SimpleITK":
            # others end on the outermost centres, we a hundredth of a millimetre further: rims are left out
            inside &= ~(other[plane] < mine[plane] - EQUAL_GY) | _is_inner(known, plane)
        worst = max(worst, float(np.abs(mine[plane] - other[plane]).max(where=inside, initial=0.0)))
    if worst > EQUAL_GY:
        sys.exit(f"{program} sums to something else, by up to {worst} Gy")
    return worst


def _is_inner(known: Mask, plane: int) -> Mask:
    """Voxels of a plane all of whose neighbours are known."""
    from scipy import ndimage

    if plane in (0, len(known) - 1):
        return np.zeros(known[plane].shape, dtype=np.bool_)
    three = np.asarray(known[plane - 1 : plane + 2])
    return np.asarray(ndimage.binary_erosion(three, np.ones((3, 3, 3), dtype=np.bool_))[1])


def side_by_side(degrees: float, args: argparse.Namespace, work: Path) -> str:
    """Return the table of one map: medians of turns, ratios within a turn."""
    case = Case(degrees=degrees, is_small=args.quick)
    turns = [{name: run(name, case, work) for name in QUICK_ONES} for _ in range(args.repetitions)]
    there = [name for name in SLOW_ONES if name != "plastimatch" or shutil.which(name)]
    slow = {name: run(name, case, work) for name in there}
    rows = []
    for name in (*QUICK_ONES, *there):
        mine = [turn[name] for turn in turns] if name in QUICK_ONES else [slow[name]]
        beside = [turn["SimpleITK"] for turn in turns][: len(mine)]
        middle = [median(told[key] for told in mine) for key in ("seconds", "cpu_s")]
        ratios = [median(a[k] / b[k] for a, b in zip(mine, beside, strict=True)) for k in ("seconds", "cpu_s")]
        peak = max(told["peak_mb"] for told in mine)
        equal = "" if name == "lastgate" else f"{difference_gy(name, work):.1e}"
        rows.append((name, *(f"{v:.2f}" for v in (*middle, *ratios)), f"{peak:.0f}", equal))
    head = ("program", "s", "CPU s", "× time of SimpleITK", "× its CPU", "peak MB", "off ours at most, Gy")
    known = f"Both doses are known in {100 * turns[0]['lastgate']['known']:.1f} % of the target."
    return f"{known}\n\n{page.table(head, rows)}"


def growth(args: argparse.Namespace, work: Path) -> str:
    """Return what time and memory become as the voxels of grids and target double."""
    rows = []
    for doublings in (0, 1, 2):
        for degrees in (0.0, 5.0):
            case = Case(doublings=doublings, degrees=degrees, is_small=args.quick)
            told = {name: run(name, case, work) for name in QUICK_ONES}
            difference_gy("SimpleITK", work)
            figures = [f"{one['seconds']:.2f} / {one['cpu_s']:.2f} / {one['peak_mb']:.0f}" for one in told.values()]
            ratio = told["lastgate"]["seconds"] / told["SimpleITK"]["seconds"]
            voxels = " x ".join(str(n) for n in case.onto.shape[::-1])
            rows.append((voxels, f"{degrees:.0f}°", *figures, f"{ratio:.2f}"))
    columns = [f"{name}: s / CPU s / peak MB" for name in QUICK_ONES]
    return page.table(("target", "turned by", *columns, "× time of SimpleITK"), rows)


def main() -> None:
    """Measure, print, and write the page if asked."""
    options = page.parser(str(__doc__), minutes=4, repetitions=3)
    options.add_argument("--one", help="sum once as this program and print what it took as JSON")
    options.add_argument("--doublings", type=int, default=0)
    options.add_argument("--degrees", type=float, default=0.0)
    options.add_argument("--small", action="store_true")
    args = page.with_quick(options.parse_args(), minutes=1)
    if args.one:
        case = Case(doublings=args.doublings, degrees=args.degrees, is_small=args.small)
        print(json.dumps(one_turn(args.one, case, args.work)))
        return
    work = args.work / "sum"
    work.mkdir(parents=True, exist_ok=True)
    parts = []
    for degrees, title in ((0.0, "Straight"), (5.0, "Turned by 5 degrees")):
        parts += [f"### {title}", side_by_side(degrees, args, work)]
    text = "\n\n".join([*parts, "### As voxels double", growth(args, work)])
    for path in work.iterdir():
        path.unlink()
    print(text)
    if args.write:
        page.write(SECTION, text)


if __name__ == "__main__":
    main()
