"""Interpolation, against a linear dose (exact) and SimpleITK (independent)."""

import numpy as np
import pytest

from dose.grids.grid import Affine, DoseGrid, Geometry, Mask, Points
from dose.grids.resample import HULL_TOLERANCE_MM, resample, sample_points
from tests.dose.judge import moving, resampled, rotation
from tests.dose.phantoms import GRADIENT, ORIENTATIONS, centred, linear_grid, linear_gy

TARGET = centred(ORIENTATIONS["HFS"], shape=(21, 45, 43), spacing_mm=(1.7, 1.9, 2.3), centre_mm=(1.0, -2.0, 0.5))


def _moving(moving_to_fixed: Affine) -> Points:
    """Where the voxels of the target lie in the frame of the source."""
    k, j, i = np.indices(TARGET.shape)
    fixed = TARGET.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    moving: Points = (np.c_[fixed, np.ones(len(fixed))] @ np.linalg.inv(moving_to_fixed).T)[:, :3]
    return moving


def _within(source: Geometry, points: Points, slack_mm: float) -> Mask:
    """Which points lie within the outermost voxel centres of a grid around zero."""
    reach = np.abs(source.corner_points()).max(axis=0)
    inside: Mask = np.all(np.abs(points) <= reach + slack_mm, axis=1).reshape(TARGET.shape)
    return inside


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_linear_dose_when_resampled_from_any_orientation_then_it_is_exact(name: str) -> None:
    source = linear_grid(centred(ORIENTATIONS[name]))
    got = resample(source, TARGET)
    assert got.known is not None
    assert 0.5 < got.known.mean() < 1
    assert np.abs(got.dose_gy - linear_grid(TARGET).dose_gy)[got.known].max() < 2e-5


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_linear_dose_when_resampled_through_a_five_degree_registration_then_it_is_exact(name: str) -> None:
    moving_to_fixed = rotation(5, (4, -3, 2))
    source = linear_grid(centred(ORIENTATIONS[name]))
    got = resample(source, TARGET, transform=moving(moving_to_fixed))
    points = _moving(moving_to_fixed)
    off = np.abs(got.dose_gy - linear_gy(points).reshape(TARGET.shape))
    assert got.known is not None
    assert got.known.mean() > 0.5
    assert off[_within(source.geometry, points, -1e-6)].max() < 2e-5
    # a hundredth of a millimetre outside counts as on the hull and takes the dose there
    assert off[got.known].max() < HULL_TOLERANCE_MM * np.abs(GRADIENT).sum()


@pytest.mark.parametrize("degrees", [0, 5])
def test_dose_when_resampled_then_known_is_exactly_the_hull_of_voxel_centres(degrees: float) -> None:
    moving_to_fixed = rotation(degrees)
    source = linear_grid(centred(ORIENTATIONS["HFDL"]))
    got = resample(source, TARGET, transform=moving(moving_to_fixed))
    inside = _within(source.geometry, _moving(moving_to_fixed), HULL_TOLERANCE_MM)
    assert got.known is not None
    assert np.array_equal(got.known, inside)
    assert not got.dose_gy[~inside].any()


def test_rough_dose_when_resampled_then_it_equals_simpleitk() -> None:
    geometry = centred(ORIENTATIONS["HFS"])
    noise = np.random.default_rng(3).uniform(0, 70, geometry.shape).astype(np.float32)
    source = DoseGrid(dose_gy=noise, geometry=geometry)
    moving_to_fixed = rotation(5, (4, -3, 2))
    judge = resampled(source, TARGET, moving_to_fixed)
    got = resample(source, TARGET, transform=moving(moving_to_fixed))
    assert got.known is not None
    assert np.abs(got.dose_gy - judge)[got.known].max() < 70 * 1e-5


@pytest.mark.parametrize("degrees", [0, 5])
def test_place_when_one_of_its_voxels_is_unknown_then_it_is_unknown(degrees: float) -> None:
    geometry = centred(ORIENTATIONS["HFS"])
    known = np.ones(geometry.shape, dtype=np.bool_)
    known[15, 17, 19] = False
    source = DoseGrid(dose_gy=linear_grid(geometry).dose_gy, geometry=geometry, known=known)
    moving_to_fixed = rotation(degrees)
    whole = resample(linear_grid(geometry), TARGET, transform=moving(moving_to_fixed))
    holed = resample(source, TARGET, transform=moving(moving_to_fixed))
    hole = (moving_to_fixed @ [*geometry.to_points([[19, 17, 15]])[0], 1])[:3]
    assert whole.known is not None
    assert holed.known is not None
    k, j, i = np.nonzero(whole.known & ~holed.known)
    assert len(k) > 0
    away = np.abs(TARGET.to_points(np.column_stack([i, j, k])) - hole)
    assert np.linalg.norm(away, axis=1).max() < np.linalg.norm(geometry.spacing_mm)


def test_single_plane_when_sampled_beside_it_then_dose_is_unknown() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(1, 5, 5))
    dose = np.full((1, 5, 5), 7, dtype=np.float32)
    values, known = sample_points(dose, geometry, np.array([[0, 0, 0], [0, 0, 0.5], [0.3, 0.2, 0.001]]))
    assert known.tolist() == [True, False, True]
    assert values == pytest.approx([7, 0, 7])
