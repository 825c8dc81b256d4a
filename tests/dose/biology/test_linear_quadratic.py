"""Biological conversion as properties that hold for any schedule; published figures stand in `test_published`."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dose.biology.effect import effect, effect_lql
from dose.biology.limits import Limit, read_limits
from dose.biology.linear_quadratic import (
    bed,
    bed_lql,
    dose_for_eqd2,
    eqd2,
    eqd2_incomplete_repair,
    eqd2_of_unequal_groups,
)
from dose.biology.rbe import Kind, NotAddable, weighting
from dose.biology.remaining import Given, remaining
from dose.biology.repair import left_unrepaired
from dose.biology.tissues import Tissue

GRAY = st.floats(0.0, 200.0)
FRACTIONS = st.integers(1, 45)
RATIO = st.floats(0.5, 20.0)
ROUNDING = 1e-9
"""Gy, of what float64 may do to figures of some ten thousand."""


@given(GRAY, st.floats(1e-3, 50.0), FRACTIONS, RATIO)
def test_effect_when_dose_rises_then_it_rises(gray: float, more: float, fractions: int, ratio: float) -> None:
    for of in (eqd2, bed):
        assert float(of(gray + more, fractions, ratio)) > float(of(gray, fractions, ratio))


@given(GRAY, FRACTIONS, RATIO, st.floats(0.01, 10.0))
def test_eqd2_when_alpha_beta_rises_then_it_nears_the_dose_from_the_side_of_the_fraction_size(
    gray: float, fractions: int, ratio: float, more: float
) -> None:
    less, larger = float(eqd2(gray, fractions, ratio)), float(eqd2(gray, fractions, ratio + more))
    size = gray / fractions
    if size >= 2:
        assert less + ROUNDING >= larger >= gray - ROUNDING
    else:
        assert less - ROUNDING <= larger <= gray + ROUNDING


@given(GRAY, FRACTIONS, RATIO, st.floats(0.01, 10.0))
def test_bed_when_alpha_beta_rises_then_it_never_rises(gray: float, fractions: int, ratio: float, more: float) -> None:
    assert float(bed(gray, fractions, ratio + more)) <= float(bed(gray, fractions, ratio)) + ROUNDING


@given(GRAY, FRACTIONS, RATIO)
def test_dose_for_eqd2_when_of_an_eqd2_then_it_is_the_dose(gray: float, fractions: int, ratio: float) -> None:
    assert float(dose_for_eqd2(eqd2(gray, fractions, ratio), fractions, ratio)) == pytest.approx(gray, abs=1e-7)


@given(GRAY, FRACTIONS, RATIO, st.floats(0.5, 30.0))
def test_linear_extension_when_below_its_transition_then_it_is_the_plain_model_and_less_beyond(
    gray: float, fractions: int, ratio: float, transition: float
) -> None:
    plain, linear = float(bed(gray, fractions, ratio)), float(bed_lql(gray, fractions, ratio, transition))
    if gray / fractions <= transition:
        assert linear == pytest.approx(plain, rel=1e-12, abs=ROUNDING)
    else:
        assert linear <= plain + ROUNDING
        # the two differ by the square of what is beyond: n (d - dT)^2 / (a/b)
        missing = fractions * (gray / fractions - transition) ** 2 / ratio
        assert plain - linear == pytest.approx(missing, rel=1e-9, abs=1e-7)


@given(FRACTIONS, RATIO, st.floats(0.5, 30.0))
def test_linear_extension_when_near_its_transition_then_neither_it_nor_its_slope_jumps(
    fractions: int, ratio: float, transition: float
) -> None:
    step = 1e-4

    def at(size: float) -> float:
        return float(bed_lql(size * fractions, fractions, ratio, transition))

    before, here, beyond = at(transition - step), at(transition), at(transition + step)
    slope = fractions * (1 + 2 * transition / ratio)
    assert here - before == pytest.approx(slope * step, rel=1e-3)
    assert beyond - here == pytest.approx(slope * step, rel=1e-7)


@given(st.lists(GRAY, min_size=1, max_size=40), st.floats(0.0, 40.0), RATIO, st.floats(0.5, 30.0))
def test_effect_when_on_arrays_then_it_is_the_closed_form_of_each_value(
    doses: list[float], fractions: float, ratio: float, transition: float
) -> None:
    tissue, each = Tissue(alpha_beta_gy=ratio, transition_gy=transition), np.array(doses) / 10
    count = max(fractions, 0.1)
    assert effect(each, count, tissue) == pytest.approx(eqd2(each * count, count, ratio), rel=1e-12, abs=ROUNDING)
    linear = bed_lql(each * count, count, ratio, transition) / (1 + 2 / ratio)
    assert effect_lql(each, count, tissue) == pytest.approx(linear, rel=1e-12, abs=ROUNDING)


@given(GRAY, FRACTIONS, RATIO, st.floats(0.0, 30.0), st.floats(0.5, 8.0))
def test_incomplete_repair_when_told_then_it_lies_between_repaired_and_one_large_fraction(
    gray: float, pairs: int, ratio: float, apart: float, half_time: float
) -> None:
    fractions = 2 * pairs
    close = float(eqd2_incomplete_repair(gray, fractions, ratio, apart_h=apart, half_time_h=half_time))
    assert float(eqd2(gray, fractions, ratio)) - ROUNDING <= close <= float(eqd2(gray, pairs, ratio)) + ROUNDING
    left = left_unrepaired(apart, half_time)
    twin = effect(np.array([gray / fractions]), fractions, Tissue(alpha_beta_gy=ratio), left_unrepaired=left)
    assert float(twin[0]) == pytest.approx(close, rel=1e-12, abs=ROUNDING)


@given(st.lists(st.tuples(FRACTIONS, st.floats(0.0, 80.0)), min_size=1, max_size=4), RATIO)
def test_unequal_groups_when_the_shares_are_any_then_their_effect_is_between_the_bounds(
    groups: list[tuple[int, float]], ratio: float
) -> None:
    total = sum(gray for _, gray in groups)
    lower, upper = eqd2_of_unequal_groups(total, [count for count, _ in groups], ratio)
    true = sum(float(eqd2(gray, count, ratio)) for count, gray in groups)
    assert float(lower) - ROUNDING <= true <= float(upper) + ROUNDING


@given(GRAY, FRACTIONS, RATIO)
def test_protons_when_physical_or_weighted_then_1_1_counts_once_and_unconfirmed_holds_both(
    physical: float, fractions: int, ratio: float
) -> None:
    def told(kind: Kind, stored: float) -> list[float]:
        found = weighting("proton", kind)
        assert not isinstance(found, NotAddable)
        return [float(eqd2(stored * factor, fractions, ratio)) for factor in (found.lo, found.hi)]

    once, none = (float(eqd2(factor * physical, fractions, ratio)) for factor in (1.1, 1.0))
    assert told("physical", physical) == pytest.approx([once, once], rel=1e-12, abs=ROUNDING)
    assert told("rbe_weighted", 1.1 * physical) == pytest.approx([once, once], rel=1e-12, abs=ROUNDING)
    assert told("unconfirmed", physical) == pytest.approx([none, once], rel=1e-12, abs=ROUNDING)
    assert none <= once


def _limits() -> list[Limit]:
    rows = [row for one in read_limits().sets.values() for row in one.rows if row.is_active]
    assert {"nieder-cord", "hytec-thecal-sac"} <= {row.name for row in rows}
    return rows


@given(st.sampled_from(_limits()), st.tuples(GRAY, GRAY, GRAY), st.floats(1.0, 2.0), FRACTIONS, st.booleans())
@settings(max_examples=200)
def test_remaining_when_what_was_given_has_bounds_then_it_is_ordered_and_holds_what_any_dose_between_leaves(
    limit: Limit, doses: tuple[float, float, float], factor: float, fractions: int, is_open: bool
) -> None:
    lo, estimate, hi = sorted(doses)
    given_ = Given(estimate=estimate, lo=lo, hi=None if is_open else hi, largest_course=10.0, months=24.0)
    told = remaining(limit, given_, fractions, factor=factor)
    assert told.left is not None
    assert told.physical_gy is not None
    for one in (told.left, told.physical_gy):
        assert 0 <= one.lo <= one.hi + ROUNDING
        if not is_open:
            assert one.estimate is not None
            assert one.lo - ROUNDING <= one.estimate <= one.hi + ROUNDING
    sure = Given(estimate=estimate, lo=estimate, hi=estimate, largest_course=10.0, months=24.0)
    between = remaining(limit, sure, fractions, factor=factor)
    assert between.left is not None
    assert told.left.lo - ROUNDING <= between.left.lo <= told.left.hi + ROUNDING
    back = float(eqd2(told.physical_gy.hi, fractions, limit.alpha_beta_gy)) * limit.per_eqd2
    assert math.isclose(back, told.left.hi, rel_tol=1e-9, abs_tol=1e-7)


def test_arrays_when_float32_then_they_are_converted_voxel_by_voxel_in_float64() -> None:
    dose = np.array([[0, 50], [25, 60]], dtype=np.float32)
    converted = eqd2(dose, 25, 2)
    assert converted.dtype == np.float64
    assert converted == pytest.approx(np.array([[0, 50], [18.75, 66]]), abs=1e-9)


@pytest.mark.parametrize(("fractions", "alpha_beta"), [(0, 2), (-1, 2), (10, 0), (10, float("nan"))])
def test_schedule_when_it_makes_no_sense_then_it_is_refused(fractions: float, alpha_beta: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        eqd2(20, fractions, alpha_beta)
