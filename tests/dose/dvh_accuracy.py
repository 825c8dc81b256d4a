"""The figures of ``docs/dvh-accuracy.md``: our histograms against published and computed truths.

``benchmarks/dvh_accuracy.py`` writes the page, ``test_dvh_accuracy.py`` recomputes it and compares.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom

from dose.grids.grid import DoseGrid
from dose.objects.dicom import read_dose
from dose.shapes.dvh import Dvh, dvh
from dose.shapes.structures import Structure, read_structures
from tests.dose.phantoms import GRADIENT, ORIENTATIONS, centred, linear_grid, linear_gy, sphere, sphere_cc

NELMS = Path("nelms_dvh/tests/tests_validation/benchmark_data")
NELMS_FIGURES = ("Dmin", "Dmax", "Dmean", "D99", "D95", "D5", "D1", "D0.03cc")
RADII_MM = (2, 3, 4, 5, 8, 12, 20)
SLICES_MM = (1, 2, 2.5, 3)
POSITIONS = 6
PRESCRIPTION_GY = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: what, and the figures as printed."""

    name: str
    figures: tuple[float, ...]


def slab_cc(structure: Structure, slice_mm: float) -> float:
    """Volume where every contour is a slab one slice thick, as many systems take it."""
    area = 0.0
    for points in structure.closed:
        x, y = points[:, 0], points[:, 1]
        area += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return area * slice_mm / 1000


@cache
def _nelms_grid(path: Path) -> DoseGrid:
    return read_dose(pydicom.dcmread(path)).grid


def _nelms_table(data: Path) -> Iterator[tuple[str, float, str, float, tuple[float, ...]]]:
    """Structure, slice distance, gradient, volume and doses in Gy of the analytical table."""
    from openpyxl import load_workbook

    book = load_workbook(data / NELMS / "analytical_data.xlsx", read_only=True, data_only=True)
    for row in book["Analytical"].iter_rows(min_row=2, max_row=110, max_col=14, values_only=True):
        name, _, _, voxel, gradient = row[:5]
        if name is not None and isinstance(voxel, int | float):
            numbers = tuple(float(v) for v in row[5:14])
            yield str(name), float(voxel), str(gradient), numbers[0], tuple(v / 100 for v in numbers[1:])
    book.close()


def nelms_rows(data: Path) -> list[Row]:
    """Ours minus analytical for every case whose files are at hand: volume in percent, slab volume, doses in Gy."""
    folder = data / NELMS / "DVH-Analysis-Data-Etc"
    rows = []
    for name, voxel, gradient, volume_cc, doses_gy in _nelms_table(data):
        along = {"Z(AP)": "AntPost", "Y(SI)": "SupInf"}[gradient]
        contours = folder / "STRUCTURES" / f"{name}.dcm"
        grid = folder / "DOSE GRIDS" / f"Linear_{along}_{voxel:g}mm_Aligned.dcm"
        if not (contours.exists() and grid.exists()):
            continue
        structure = next(s for s in read_structures(pydicom.dcmread(contours)).structures if s.has_volume)
        found = dvh(structure, _nelms_grid(grid))
        volumes = [100 * (v / volume_cc - 1) for v in (found.volume_cc, slab_cc(structure, voxel))]
        off = [ours - true for ours, true in zip(_nelms_figures(found), doses_gy, strict=True)]
        rows.append(Row(name=f"{name}, {along}, {voxel:g} mm", figures=tuple(volumes + off)))
    return rows


def _nelms_figures(found: Dvh) -> list[float]:
    figures = [found.min_gy, found.max_gy, found.mean_gy]
    figures += [found.d_percent(p) for p in (99, 95, 5, 1)]
    return [f.value if f.value is not None else float("nan") for f in [*figures, found.d_cc(0.03)]]


def sphere_rows() -> list[Row]:
    """Spheres at random places between slices and voxels: worst errors of volume, plain slabs, Dmean, D95."""
    grid = linear_grid(centred(ORIENTATIONS["HFS"], shape=(44, 44, 44), spacing_mm=(2.5, 2.5, 2.5)))
    random = np.random.default_rng(15)
    rows = []
    for radius in RADII_MM:
        for slice_mm in SLICES_MM:
            worst = np.zeros(4)
            for _ in range(POSITIONS):
                centre = random.uniform(-3, 3, 3)
                drawn = sphere(radius, slice_mm, centre, float(random.uniform(0, slice_mm)))
                worst = np.maximum(worst, np.abs(_sphere_errors(drawn, radius, slice_mm, centre, grid)))
            rows.append(Row(name=f"r {radius} mm, slices {slice_mm:g} mm", figures=tuple(float(v) for v in worst)))
    return rows


def _sphere_errors(
    drawn: Structure, radius: float, slice_mm: float, centre: npt.NDArray[np.float64], grid: DoseGrid
) -> list[float]:
    found = dvh(drawn, grid, slice_mm=slice_mm)
    true_cc, mean_gy = sphere_cc(radius), float(linear_gy([centre])[0])
    # a linear dose cuts a sphere in caps: their volume is a cubic of the depth
    depth = np.linspace(-radius, radius, 20001)
    part = (2 * radius**3 + 3 * radius**2 * depth - depth**3) / (4 * radius**3)
    d95_gy = mean_gy + float(np.linalg.norm(GRADIENT)) * float(np.interp(0.05, part, depth))
    volumes = [100 * (v / true_cc - 1) for v in (found.volume_cc, slab_cc(drawn, slice_mm))]
    doses = [found.mean_gy.value, found.d_percent(95).value]
    assert doses[0] is not None
    assert doses[1] is not None
    return [*volumes, doses[0] - mean_gy, doses[1] - d95_gy]


def tps_rows(data: Path) -> list[Row]:
    """Nine structures of an Eclipse plan: its own and our figures, with and without the half slice beyond the ends."""
    folder = data / "dicompyler_core"
    dose = pydicom.dcmread(folder / "rtdose.dcm")
    grid = read_dose(dose).grid
    structures = {s.number: s for s in read_structures(pydicom.dcmread(folder / "rtss.dcm")).structures}
    rows = []
    for item in dose.DVHSequence:
        structure = structures[int(item.DVHReferencedROISequence[0].ReferencedROINumber)]
        theirs = [float(item.DVHData[1]), *(float(item[f"DVH{n}Dose"].value) for n in ("Minimum", "Mean", "Maximum"))]
        ours = [_tps_figures(dvh(structure, grid, beyond_ends=beyond)) for beyond in (True, False)]
        rows.append(Row(name=structure.name, figures=(*theirs, *ours[0], *ours[1])))
    return rows


def _tps_figures(found: Dvh) -> list[float]:
    """Volume, and doses in percent of the prescription; the lower bound where some of it is unknown."""
    doses = [found.min_gy.lo, found.mean_gy.lo, found.max_gy.lo]
    return [found.volume_cc, *(100 * d / PRESCRIPTION_GY for d in doses)]


def lines(rows: Sequence[Row], digits: int) -> list[str]:
    """Rows as lines of a Markdown table."""
    return ["| " + " | ".join([row.name, *(f"{v:.{digits}f}" for v in row.figures)]) + " |" for row in rows]
