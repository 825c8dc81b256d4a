"""Gamma of real and published doses, against what other programs made of them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from dose.comparing.gamma import Criteria, gamma
from dose.grids.grid import DoseGrid, Geometry, Volume
from tests.dose.judge import ITK
from tests.dose.phantoms import ORIENTATIONS

pytestmark = pytest.mark.real_data

SLICER = Path("eclipse_ent_day1_day2/ref")
AGNEW = Path("pymedphys_plans/tests/gamma/data/agnew_mcgarry_images")


def _nrrd(path: Path) -> DoseGrid:
    image = ITK.ReadImage(str(path))
    values: Volume = ITK.GetArrayFromImage(image)
    across, down, between = image.GetSpacing()
    geometry = Geometry.from_axes(
        shape=(values.shape[0], values.shape[1], values.shape[2]),
        position_mm=image.GetOrigin(),
        orientation=ORIENTATIONS["HFS"],
        row_spacing_mm=down,
        column_spacing_mm=across,
        plane_spacing_mm=between,
    )
    return DoseGrid(dose_gy=values, geometry=geometry)


def _of_voxels(reference: Volume, evaluated: Volume, spacing_mm: float) -> Volume:
    """Gamma 3 %/3 mm up to 2 from the centres of voxels alone, as SlicerRT's reference was made."""
    best = np.full(reference.shape, np.inf)
    wide = np.pad(evaluated, 2, constant_values=np.nan)
    for shift in np.ndindex(5, 5, 5):
        square_mm = spacing_mm**2 * float(((np.array(shift) - 2) ** 2).sum())
        if square_mm <= 36:
            there = wide[tuple(slice(n, n + size) for n, size in zip(shift, reference.shape, strict=True))]
            best = np.fmin(best, square_mm / 9 + ((there - reference) / (0.03 * reference.max())) ** 2)
    return np.asarray(np.minimum(np.sqrt(best), 2), dtype=np.float32)


def test_two_days_of_a_plan_when_compared_then_gamma_is_that_of_pymedphys_and_below_that_of_voxels_alone(
    real_data: Path,
) -> None:
    days = [_nrrd(real_data / SLICER / name) for name in ("EclipseEnt_Dose.nrrd", "EclipseEnt_Dose_Day2.nrrd")]
    published = _nrrd(real_data / SLICER / "GammaVolume_EclipseEnt_Day1Day2_Baseline.nrrd").dose_gy
    found = gamma(days[0], days[1], Criteria(is_refined=False))
    there = np.isfinite(found.values)
    assert np.array_equal(there, published > 0)
    # pymedphys 0.41.0, axes (x, y, z), 3 %/3 mm, cut-off 10 %, max_gamma 2: all 88129 voxels within 1.3e-7 of ours
    assert found.evaluated == 88129
    assert found.values[there].mean(dtype=np.float64) == pytest.approx(0.438478, abs=1e-5)
    assert found.pass_percent == pytest.approx(89.906, abs=0.05)
    # the published volume looked at voxels alone; told so, plain numpy gives it, so its criteria are known
    assert np.abs(_of_voxels(days[0].dose_gy, days[1].dose_gy, 2.5) - published)[there].max() < 1e-5
    assert published[there].mean(dtype=np.float64) == pytest.approx(0.579745, abs=1e-5)
    above = found.values[there] - published[there]
    assert above.max() < 0.1  # a centre may lie between two shells
    assert (above > 1e-4).mean() < 0.02


def _film(path: Path, planes: int) -> DoseGrid:
    """A dose of one plane as so many equal ones, in the middle of which it lies."""
    dataset = pydicom.dcmread(path, force=True)
    plane: npt.NDArray[np.float64] = dataset.pixel_array * float(dataset.DoseGridScaling)
    x, y, z = (float(v) for v in dataset.ImagePositionPatient)
    geometry = Geometry.from_axes(
        shape=(planes, *plane.shape),
        position_mm=(x, y, z - planes // 2),
        orientation=dataset.ImageOrientationPatient,
        row_spacing_mm=float(dataset.PixelSpacing[0]),
        column_spacing_mm=float(dataset.PixelSpacing[1]),
        plane_spacing_mm=1.0,
    )
    return DoseGrid(dose_gy=np.repeat(plane[np.newaxis], planes, axis=0).astype(np.float32), geometry=geometry)


@pytest.mark.parametrize(
    ("reference", "evaluated", "criteria", "count", "percent"),
    [
        # the published 93.6 % of Agnew and McGarry, Radiother Oncol 118:196, 2016
        (
            "H&N_VMAT_Reference_1mmPx",
            "H&N_VMAT_Evaluated_1mmPx",
            Criteria(dose_percent=1, distance_mm=1, cutoff_percent=20, is_local=True, max_gamma=1.1),
            15370,
            93.6,
        ),
        # the others as pymedphys 0.41.0 has them in two dimensions (99.97, 100 and 92.91 %)
        (
            "ProstateIMRT_Reference_1mmPx",
            "ProstateIMRT_Evaluated_1mmPx",
            Criteria(dose_percent=2, distance_mm=2, cutoff_percent=20, max_gamma=1.3),
            3757,
            99.98,
        ),
        (
            "GeometricSquare_Reference_1mmPx",
            "GeometricSquare_Evaluated_1mmPx_DD_Test",
            Criteria(cutoff_percent=20, max_gamma=1.3),
            62500,
            100.0,
        ),
        (
            "GeometricSquare_Reference_1mmPx",
            "GeometricSquare_Evaluated_1mmPx_DTA_Test",
            Criteria(cutoff_percent=20, max_gamma=1.3),
            62500,
            92.909,
        ),
    ],
)
def test_published_pair_when_compared_then_the_pass_rate_is_the_known_one(
    real_data: Path, reference: str, evaluated: str, criteria: Criteria, count: int, percent: float
) -> None:
    plane, around = (_film(real_data / AGNEW / f"{name}.dcm", n) for name, n in ((reference, 1), (evaluated, 9)))
    found = gamma(plane, around, criteria)
    assert found.evaluated == count
    assert 100 * found.passed / count == pytest.approx(percent, abs=0.05)
