"""Sums with bounds."""

import numpy as np
import pytest

from dose.errors import BadDose, NothingToAdd
from dose.grids.accumulate import Part, accumulate
from dose.grids.grid import DoseGrid, Geometry
from tests.dose.judge import moving, resampled, rotation
from tests.dose.phantoms import ORIENTATIONS, centred, linear_grid

TARGET = centred(ORIENTATIONS["HFS"], shape=(20, 24, 28), spacing_mm=(2, 2, 2))


def _rough(geometry: Geometry, seed: int) -> DoseGrid:
    dose = np.random.default_rng(seed).uniform(0, 60, geometry.shape).astype(np.float32)
    return DoseGrid(dose_gy=dose, geometry=geometry)


def test_sum_when_all_parts_cover_it_then_both_bounds_are_the_sum() -> None:
    wide = linear_grid(centred(ORIENTATIONS["FFP"]))
    total = accumulate([Part(grid=wide, weight=0.5, label="a"), Part(grid=wide, weight=2, label="b")], TARGET)
    assert total.is_complete
    assert total.upper_gy is total.lower_gy
    assert np.abs(total.lower_gy - 2.5 * linear_grid(TARGET).dose_gy).max() < 1e-4
    assert [c.fraction for c in total.coverage] == [1, 1]


def test_sum_when_a_part_does_not_reach_then_the_upper_bound_takes_its_maximum() -> None:
    wide = linear_grid(centred(ORIENTATIONS["HFS"]))
    narrow = _rough(centred(ORIENTATIONS["HFS"], shape=(20, 24, 10), spacing_mm=(2, 2, 2), centre_mm=(-18, 0, 0)), 1)
    total = accumulate(
        [Part(grid=wide, weight=1, label="wide"), Part(grid=narrow, weight=0.25, label="narrow")], TARGET
    )
    alone = linear_grid(TARGET).dose_gy
    assert np.array_equal(total.known, np.broadcast_to(np.arange(28) < 10, TARGET.shape))
    assert total.lower_gy[:, :, 10:] == pytest.approx(alone[:, :, 10:], abs=1e-4)
    assert total.upper_gy[:, :, 10:] == pytest.approx(alone[:, :, 10:] + 0.25 * narrow.max_gy, abs=1e-4)
    assert total.upper_gy[total.known] == pytest.approx(total.lower_gy[total.known])
    assert [c.fraction for c in total.coverage] == [1, pytest.approx(10 / 28)]
    assert total.outside_gy == pytest.approx(wide.max_gy + 0.25 * narrow.max_gy)


def test_sum_when_grids_are_rough_and_registered_then_it_equals_simpleitk_where_known() -> None:
    first, second = _rough(centred(ORIENTATIONS["HFS"]), 2), _rough(centred(ORIENTATIONS["HFP"]), 3)
    turn = rotation(7, (3, 2, -4))
    total = accumulate(
        [Part(grid=first, weight=1, label="a"), Part(grid=second, weight=0.4, label="b", transform=moving(turn))],
        TARGET,
    )
    judge = resampled(first, TARGET) + np.float32(0.4) * resampled(second, TARGET, turn)
    assert total.known.mean() > 0.5
    assert np.abs(total.lower_gy - judge)[total.known].max() < 1e-5 * judge.max()


def test_bounds_when_a_part_is_cut_off_then_they_hold_the_true_sum() -> None:
    whole = [_rough(TARGET, 4), _rough(TARGET, 5)]
    known = np.ones(TARGET.shape, dtype=np.bool_)
    known[:, 12:] = False
    cut = DoseGrid(dose_gy=whole[1].dose_gy, geometry=TARGET, known=known)
    # the part keeps its maximum: the cut half is no hotter than the rest
    cut.dose_gy[0, 0, 0] = 60
    total = accumulate([Part(grid=whole[0], weight=1, label="a"), Part(grid=cut, weight=1, label="b")], TARGET)
    true = whole[0].dose_gy + whole[1].dose_gy
    assert (total.lower_gy <= true + 1e-4).all()
    assert (total.upper_gy >= true - 1e-4).all()


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_sum_when_a_weight_makes_no_sense_then_it_is_refused(weight: float) -> None:
    with pytest.raises(NothingToAdd, match="boost: a weight of"):
        accumulate([Part(grid=linear_grid(TARGET), weight=weight, label="boost")], TARGET)


def test_sum_when_there_are_no_parts_then_it_is_refused() -> None:
    with pytest.raises(NothingToAdd, match="no dose to add"):
        accumulate([], TARGET)


def test_sum_when_a_part_is_a_difference_then_it_is_refused() -> None:
    negative = DoseGrid(dose_gy=np.full(TARGET.shape, -1, dtype=np.float32), geometry=TARGET)
    with pytest.raises(BadDose, match="below zero"):
        accumulate([Part(grid=negative, weight=1, label="diff")], TARGET)
