"""A candidate on top of what was given, and what was given as a background for it, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courses.background import background_sum
from courses.candidate import CANDIDATE, Organ, Placed, candidate_answer, compare, differences, with_candidate
from courses.exposures import Gathered
from courses.questions import Candidate
from courses.summing import eqd2_sum, physical_sum
from dose.biology.limits import Limit, read_limits
from dose.biology.linear_quadratic import eqd2
from dose.biology.tissues import Tissue
from dose.grids.grid import Geometry
from dose.shapes.metrics import Metric
from tests.courses.gathered import Course, Field, ball, dose_on, even, gathered, grid, hill

CORD = Tissue(name="SpinalCord", alpha_beta_gy=2.0)


def _placed(field: Field, fractions: int, geometry: Geometry | None = None) -> Placed:
    new = Candidate(
        label="New", uid="2.25.7", grid=dose_on(geometry or grid(), field), frame_uid="2.25.99", fractions=fractions,
        sha256="0" * 64,
    )  # fmt: skip
    return Placed(candidate=new)


def _limit(at_most: float, **values: object) -> Limit:
    (row, *_) = [row for one in read_limits().sets.values() for row in one.rows if row.at_most is not None]
    terms = {"metric": Metric.parse("D0.1cc[Gy]"), "quantity": "EQD2", "alpha_beta_gy": 2.0, "is_active": True}
    return replace(row, at_most=at_most, **{**terms, **values})  # type: ignore[arg-type]


@pytest.fixture
def given_before() -> Gathered:
    """50 Gy in 25."""
    return gathered(Course(name="old", dose=even(50), fractions=25))


def test_candidate_when_doses_are_even_then_groups_are_converted_each_by_itself(given_before: Gathered) -> None:
    found = compare(Organ(structure=ball(8), tissue=CORD), given_before, _placed(even(30), 5))
    physical, effect = found.physical["Mean[Gy]"], found.eqd2["Mean[Gy]"]
    assert (physical.before.lo, physical.alone.lo, physical.after.lo) == pytest.approx((50, 30, 80), abs=1e-4)
    # 80/30 in one step would be 93.3
    assert (effect.before.lo, effect.alone.lo, effect.after.lo) == pytest.approx((50, 60, 110), abs=1e-4)


def test_candidate_when_added_then_nothing_given_before_changes(given_before: Gathered) -> None:
    both = with_candidate(given_before, _placed(hill(30, (0, 0, 0), 9), 5))
    alone, first = physical_sum(both, only=CANDIDATE), physical_sum(given_before)
    assert np.allclose(physical_sum(both).lower_gy, alone.lower_gy + first.lower_gy, atol=1e-4)
    assert len(given_before.exposures) == 1


def test_limits_when_the_candidate_is_added_then_each_is_judged_in_its_own_terms(given_before: Gathered) -> None:
    limits = (
        _limit(111.0), _limit(109.0), _limit(100.0, is_active=False),
        _limit(219.0, quantity="BED"), _limit(221.0, quantity="BED"),
        _limit(float(eqd2(50, 25, 3) + eqd2(30, 5, 3)) + 0.01, alpha_beta_gy=3.0),
    )  # fmt: skip
    found = compare(Organ(structure=ball(8), tissue=CORD, limits=limits), given_before, _placed(even(30), 5))
    assert [one.state for one in found.limits] == ["kept", "exceeded", "inactive", "exceeded", "kept", "kept"]


def test_limits_when_a_grid_ends_in_the_organ_then_bounds_tell_that_it_may_be_exceeded(given_before: Gathered) -> None:
    half = grid(shape=(30, 30, 13))  # ends at x = -5
    found = compare(
        Organ(structure=ball(8), tissue=CORD, limits=(_limit(100.0),)),
        given_before,
        _placed(hill(30, (-15, 1, 1), 4), 5, half),
    )
    (judged,) = found.limits
    assert judged.state == "may-be-exceeded"
    assert judged.figures is not None
    # the worst is the largest dose of the whole grid, not of what lies around the organ
    assert judged.figures.after.hi == pytest.approx(50 + 60, abs=0.5)
    assert judged.figures.after.lo < 60


def test_limits_when_a_dose_is_missing_then_none_is_kept_for_certain(given_before: Gathered) -> None:
    organ = Organ(structure=ball(8), tissue=CORD, limits=(_limit(111.0),))
    answer = candidate_answer([organ], given_before, _placed(even(30), 5), is_open=True)
    (row,) = answer["structures"]
    assert row["limits"][0]["state"] == "may-be-exceeded"
    assert row["physical"]["Mean[Gy]"]["after"]["hi"] is None
    assert row["physical"]["Mean[Gy]"]["alone"]["value"] == pytest.approx(30, abs=1e-3)


def test_differences_when_two_candidates_are_compared_then_they_are_the_second_less_the_first(
    given_before: Gathered,
) -> None:
    organs = [Organ(structure=ball(8), tissue=CORD)]
    one, other = (candidate_answer(organs, given_before, _placed(even(gy), 5)) for gy in (30, 25))
    rows = {(row["quantity"], row["metric"]): row["value"] for row in differences(one, other)}
    assert rows["physical", "Mean[Gy]"] == pytest.approx(-5, abs=1e-3)
    assert rows["eqd2", "Mean[Gy]"] == pytest.approx(float(eqd2(25, 5, 2)) - 60, abs=1e-3)


def test_background_when_worth_remains_the_same_then_its_eqd2_is_that_of_what_was_given() -> None:
    before = gathered(Course(name="old", dose=hill(50, (0, 0, 0), 12)), Course(name="new", dose=even(20), fractions=5))
    background, given_eqd2 = background_sum(before, CORD, 8), eqd2_sum(before, CORD)
    assert np.allclose(eqd2(background.lower_gy, 8, 2.0), given_eqd2.lower_gy, atol=1e-3)
    assert (background.lower_gy <= background.upper_gy).all()


def test_background_when_given_in_two_gray_then_the_remaining_vector_of_the_literature_comes_back() -> None:
    # EQD2 5.0 with alpha/beta 2 in 5 fractions is 6.18 Gy; 27.5 is 18.98 Gy
    for eqd2_gy, physical_gy in ((5.0, 6.1803), (16.25, 13.7083), (27.5, 18.9792)):
        before = gathered(Course(name="old", dose=even(2.0), fractions=1))
        exposures = tuple(replace(one, fractions=eqd2_gy / 2) for one in before.exposures)
        background = background_sum(replace(before, exposures=exposures), CORD, 5)
        assert float(background.lower_gy[15, 15, 15]) == pytest.approx(physical_gy, abs=2e-4)


@settings(max_examples=15, deadline=None)
@given(gy=st.floats(1, 70), fractions=st.integers(1, 35), new=st.integers(1, 35), alpha_beta=st.floats(1, 12))
def test_background_when_fractions_are_any_then_bounds_stay_in_order(
    gy: float, fractions: int, new: int, alpha_beta: float
) -> None:
    small = Course(name="old", dose=hill(gy, (0, 0, 0), 15), fractions=fractions, geometry=grid(shape=(8, 9, 10)))
    found = background_sum(gathered(small, geometry=grid(shape=(12, 12, 12))), Tissue(alpha_beta_gy=alpha_beta), new)
    assert (found.lower_gy <= found.estimate_gy).all()
    assert (found.estimate_gy <= found.upper_gy).all()
    assert found.upper_gy.max() <= found.outside_gy * (1 + 1e-5)
