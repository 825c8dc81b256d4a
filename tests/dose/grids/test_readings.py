"""Doses read at single places: the same as on a grid, shifted or not, known or estimated."""

from dataclasses import dataclass

import numpy as np
import pytest

from dose.grids.grid import DoseGrid, Geometry, Points
from dose.grids.readings import Readings
from dose.grids.sampling import sample
from dose.grids.transforms import MatrixStep, Transform
from tests.dose.judge import moving, rotation
from tests.dose.phantoms import GRADIENT, ORIENTATIONS, centred, linear_grid

SMALL = centred(ORIENTATIONS["FFP"], shape=(6, 8, 10), spacing_mm=(2, 2, 3))
TARGET = centred(ORIENTATIONS["HFS"], shape=(9, 12, 14), spacing_mm=(2, 2, 2))
SHIFT_MM = (1.5, -2.0, 0.75)


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """A map that is no matrix and says nothing beyond a plane."""

    def apply(self, points_mm: Points) -> Points:
        """Return places moved along x by a wave along z; NaN beyond 8 mm."""
        moved = points_mm + np.column_stack([np.sin(points_mm[:, 2] / 9), *np.zeros((2, len(points_mm)))])
        return np.where(points_mm[:, :1] > 8, np.nan, moved)


WAYS = [None, moving(rotation(5)), Transform((Wave(),))]


def _points(geometry: Geometry) -> Points:
    k, j, i = np.indices(geometry.shape)
    return geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))


@pytest.mark.parametrize("way", WAYS, ids=["identity", "rotation", "wave"])
@pytest.mark.parametrize("has_hole", [False, True])
def test_readings_when_compared_with_a_sampled_grid_then_they_are_its_estimate(
    way: Transform | None, has_hole: bool
) -> None:
    whole = linear_grid(SMALL)
    known = np.ones(SMALL.shape, dtype=np.bool_)
    known[2:4, 3, 4] = False
    grid = DoseGrid(dose_gy=whole.dose_gy, geometry=SMALL, known=known) if has_hole else whole
    expected = sample(grid, TARGET, way).fall_off.ravel()
    assert (~sample(grid, TARGET, way).known).any(), "the target reaches beyond the grid"
    assert np.abs(Readings(grid).at(_points(TARGET), way) - expected).max() < 1e-4


@pytest.mark.parametrize("way", WAYS, ids=["identity", "rotation", "wave"])
def test_readings_when_shifted_then_each_place_is_read_that_much_before_it(way: Transform | None) -> None:
    grid, back = linear_grid(SMALL), np.eye(4)
    back[:3, 3] = -np.array(SHIFT_MM)
    expected = sample(grid, TARGET, Transform((MatrixStep(back),)).then(way or Transform())).fall_off.ravel()
    shifted = Readings(grid).around(_points(TARGET), way)
    assert np.abs(shifted(SHIFT_MM) - expected).max() < 1e-4
    assert np.abs(shifted((0.0, 0.0, 0.0)) - expected).max() > 0.1, "the shift matters"


def test_readings_when_shifted_within_a_linear_dose_then_they_change_by_the_gradient_alone() -> None:
    inner = centred(ORIENTATIONS["HFS"], shape=(3, 3, 3), spacing_mm=(1, 1, 1))
    read = Readings(linear_grid(SMALL)).around(_points(inner))
    assert read(SHIFT_MM) - read((0.0, 0.0, 0.0)) == pytest.approx(-float(np.dot(GRADIENT, SHIFT_MM)), abs=1e-4)


def test_readings_when_a_largest_dose_is_told_then_no_estimate_exceeds_it() -> None:
    far = _points(centred(ORIENTATIONS["HFS"], shape=(20, 20, 20), spacing_mm=(4, 4, 4)))
    grid = linear_grid(SMALL)
    least = float(grid.dose_gy.min())
    assert Readings(grid, worst_gy=least).at(far).min() <= least
    outside = ~sample(grid, centred(ORIENTATIONS["HFS"], shape=(20, 20, 20), spacing_mm=(4, 4, 4))).known.ravel()
    assert Readings(grid, worst_gy=least).at(far)[outside].max() <= least
