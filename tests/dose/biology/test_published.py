"""Every published or worked figure of biology: exact to 1e-9 by an own arithmetic, and as printed to its last digit.

The exact figures come from `fractions.Fraction` and from square roots of fifty digits, not from the program's own
arithmetic. A figure printed with n digits is met where the exact one lies within half a unit of its last digit.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dose.biology.effect import effect, effect_lql
from dose.biology.limits import Limit, read_limits
from dose.biology.linear_quadratic import (
    FractionGroup,
    bed,
    bed_lql,
    delivered_eqd2,
    dose_for_eqd2,
    eqd2,
    eqd2_from_bed,
    eqd2_incomplete_repair,
    eqd2_of_unequal_groups,
)
from dose.biology.recovery import read_recovery
from dose.biology.remaining import Given, remaining
from dose.biology.tissues import Tissue

EXACT = 1e-9

SCHEDULES = [  # total Gy, fractions, alpha/beta, BED and EQD2 as printed
    ("50", 25, 2, "100", "50"),
    ("30", 10, 2, "75", "37.5"),
    ("20", 5, 2, "60", "30"),
    ("8", 1, 2, "40", "20"),
    ("24", 2, 2, "168", "84"),
    ("27", 3, 2, "148.5", "74.25"),
    ("30", 5, 2, "120", "60"),
    ("35", 5, 2, "157.5", "78.75"),
    ("14", 1, 2, "112", "56"),
    ("50", 25, 4, "75", "50"),  # 100 Gy2 and 75 Gy4: Nieder 2006
    ("54", 3, 3, "378", "226.8"),
    ("60", 8, 3, "210", "126"),
    ("54", 3, 10, "151.2", "126"),
    ("60", 30, 10, "72", "60"),
    ("80", 30, 2, "186.7", "93.3"),  # the trap: 50/25 and 30/5 summed first
    ("25", 25, 3, "33.3", "20"),  # one of two plans of a session by itself
    ("145", 1, 3, "7153", "4292"),  # the trap: I-125 as one fraction
    ("66", 30, 2, "138.6", "69.3"),  # 60 Gy of protons times 1.1
    ("45", 30, 2, "78.75", "39.375"),
]

HYTEC = [  # thecal sac, 1 to 5 fractions (Sahgal 2019): published dose, and its EQD2 (alpha/beta 2) to the last digit
    ("12.4", 1, "44.64"),
    ("17.0", 2, "44.63"),
    ("20.3", 3, "44.49"),
    ("23.0", 4, "44.56"),
    ("25.3", 5, "44.65"),  # 44.6545: whoever prints 44.66 rounded twice
]

LINEAR_EXTENSION = [  # total Gy, fractions, alpha/beta, transition, BED in LQ-L and in LQ as printed
    ("54", 3, 10, 10, "132.0", "151.2"),
    ("24", 1, 3, 6, "108", "216"),
    ("50", 25, 2, 6, "100", "100"),
]


def exact_bed(total: str | Fraction, fractions: int, alpha_beta: int) -> Fraction:
    gray = Fraction(total)
    return gray * (1 + gray / fractions / alpha_beta)


def exact_eqd2(total: str | Fraction, fractions: int, alpha_beta: int) -> Fraction:
    gray = Fraction(total)
    return gray * (gray / fractions + alpha_beta) / (2 + alpha_beta)


def exact_dose(effect_gy: str, fractions: int, alpha_beta: int) -> Decimal:
    """Solve ``n d (d + a/b) = E (2 + a/b)`` for ``n d`` with fifty digits."""
    with localcontext() as context:
        context.prec = 50
        root = (Decimal(alpha_beta) ** 2 + 4 * Decimal(effect_gy) * (2 + alpha_beta) / fractions).sqrt()
        return fractions * (root - alpha_beta) / 2


def is_printed(exact: Fraction | Decimal | float, printed: str) -> bool:
    """Whether a figure is within half a unit of the last digit printed."""
    half_unit = Fraction(5, 10 ** (len(printed.partition(".")[2]) + 1))
    return abs(Fraction(exact) - Fraction(printed)) <= half_unit


@pytest.mark.parametrize(("total", "fractions", "alpha_beta", "bed_gy", "eqd2_gy"), SCHEDULES)
def test_schedule_when_converted_then_it_is_exact_and_as_printed(
    total: str, fractions: int, alpha_beta: int, bed_gy: str, eqd2_gy: str
) -> None:
    exact, equal = exact_bed(total, fractions, alpha_beta), exact_eqd2(total, fractions, alpha_beta)
    assert is_printed(exact, bed_gy)
    assert is_printed(equal, eqd2_gy)
    gray = float(total)
    assert float(bed(gray, fractions, alpha_beta)) == pytest.approx(float(exact), abs=EXACT)
    assert float(eqd2(gray, fractions, alpha_beta)) == pytest.approx(float(equal), abs=EXACT)
    assert float(eqd2_from_bed(float(exact), alpha_beta)) == pytest.approx(float(equal), abs=EXACT)
    assert float(dose_for_eqd2(float(equal), fractions, alpha_beta)) == pytest.approx(gray, abs=EXACT)
    on_arrays = effect(np.full(3, gray / fractions), fractions, Tissue(alpha_beta_gy=alpha_beta))
    assert on_arrays == pytest.approx(float(equal), abs=EXACT)


@pytest.mark.parametrize(("total", "fractions", "eqd2_gy"), HYTEC)
def test_hytec_limits_when_converted_then_they_are_exact_as_printed_and_one_effect(
    total: str, fractions: int, eqd2_gy: str
) -> None:
    exact = exact_eqd2(total, fractions, 2)
    assert float(eqd2(float(total), fractions, 2)) == pytest.approx(float(exact), abs=EXACT)
    assert is_printed(exact, eqd2_gy)
    # every published dose is that of 44.6 Gy EQD2, rounded to its last digit, so the five agree with each other
    assert is_printed(exact_dose("44.6", fractions, 2), total)
    assert float(dose_for_eqd2(44.6, fractions, 2)) == pytest.approx(float(exact_dose("44.6", fractions, 2)), abs=EXACT)


@pytest.mark.parametrize(("total", "fractions", "alpha_beta", "transition", "lql_gy", "lq_gy"), LINEAR_EXTENSION)
def test_linear_extension_when_fractions_are_large_then_it_is_exact_on_the_tangent(
    total: str, fractions: int, alpha_beta: int, transition: int, lql_gy: str, lq_gy: str
) -> None:
    per_fraction = Fraction(total) / fractions
    curved = min(per_fraction, Fraction(transition))
    tangent = 1 + Fraction(2 * transition, alpha_beta)
    exact = fractions * (curved * (1 + curved / alpha_beta) + tangent * (per_fraction - curved))
    assert is_printed(exact, lql_gy)
    assert is_printed(exact_bed(total, fractions, alpha_beta), lq_gy)
    told = float(bed_lql(float(total), fractions, alpha_beta, transition))
    assert told == pytest.approx(float(exact), abs=EXACT)
    tissue = Tissue(alpha_beta_gy=alpha_beta, transition_gy=transition)
    on_arrays = effect_lql(np.full(2, float(per_fraction)), fractions, tissue)
    assert on_arrays == pytest.approx(float(exact / (1 + Fraction(2, alpha_beta))), abs=EXACT)


# Traps with numbers


def test_groups_when_they_differ_then_each_is_converted_before_adding() -> None:
    groups = [
        FractionGroup(total_gy=50.0, planned=25, delivered=25),
        FractionGroup(total_gy=30.0, planned=5, delivered=5),
    ]
    assert float(delivered_eqd2(groups, 2)) == pytest.approx(110, abs=EXACT)
    assert float(eqd2(80, 30, 2)) == pytest.approx(float(Fraction(280, 3)), abs=EXACT)


def test_two_plans_when_given_in_one_session_then_they_are_a_fifth_more_than_apart() -> None:
    assert float(eqd2(25.0 + 25.0, 25, 3)) == pytest.approx(50, abs=EXACT)
    assert 2 * float(eqd2(25.0, 25, 3)) == pytest.approx(40, abs=EXACT)


@pytest.mark.parametrize(("alpha_beta", "right", "wrong"), [(2, 90, 165), (3, 78, 138)])
def test_edge_when_physical_dose_is_interpolated_first_then_its_middle_is_right(
    alpha_beta: float, right: float, wrong: float
) -> None:
    edge = np.array([0.0, 60.0])
    assert float(eqd2(edge.mean(), 3, alpha_beta)) == pytest.approx(right, abs=EXACT)
    assert float(eqd2(edge, 3, alpha_beta).mean()) == pytest.approx(wrong, abs=EXACT)


def test_course_when_half_was_given_then_the_fraction_size_stays() -> None:
    half = FractionGroup(total_gy=30.0, planned=10, delivered=5)
    assert float(delivered_eqd2([half], 2)) == pytest.approx(18.75, abs=EXACT)
    assert float(eqd2(15, 10, 2)) == pytest.approx(13.125, abs=EXACT)


def test_grid_of_unequal_groups_when_shares_are_unknown_then_bounds_are_given() -> None:
    lower, upper = eqd2_of_unequal_groups(60.0, [25, 5], 2)
    assert float(lower) == pytest.approx(60, abs=EXACT)
    assert float(upper) == pytest.approx(210, abs=EXACT)


def test_twice_daily_when_six_hours_apart_then_a_part_of_the_damage_is_left() -> None:
    with localcontext() as context:
        context.prec = 50
        left = Decimal(2) ** (Decimal(-6) / 4)
        exact = 45 * (Decimal("1.5") * (1 + left) + 2) / 4
    told = float(eqd2_incomplete_repair(45, 30, 2, apart_h=6, half_time_h=4))
    assert told == pytest.approx(float(exact), abs=EXACT)
    assert is_printed(exact, "45.341")
    on_arrays = effect(np.full(1, 1.5), 30, Tissue(alpha_beta_gy=2), left_unrepaired=float(left))
    assert on_arrays == pytest.approx(float(exact), abs=EXACT)


def test_protons_when_weighted_then_the_fraction_is_multiplied_and_not_the_result() -> None:
    assert float(eqd2(60 * 1.1, 30, 2)) == pytest.approx(69.3, abs=EXACT)
    assert float(eqd2(60, 30, 2)) * 1.1 == pytest.approx(66, abs=EXACT)


def test_cervix_when_external_and_brachytherapy_are_converted_then_their_sum_is_as_published() -> None:
    groups = [
        FractionGroup(total_gy=45.0, planned=25, delivered=25),
        FractionGroup(total_gy=28.0, planned=4, delivered=4),
    ]
    exact = exact_eqd2("45", 25, 10) + exact_eqd2("28", 4, 10)
    assert float(delivered_eqd2(groups, 10)) == pytest.approx(float(exact), abs=EXACT)
    assert is_printed(exact, "83.92")


def test_recovery_when_a_quarter_is_forgotten_then_three_quarters_count() -> None:
    group = FractionGroup(total_gy=36.0, planned=12, delivered=12, forgotten=0.25)
    assert float(delivered_eqd2([group], 2)) == pytest.approx(33.75, abs=EXACT)


# What remains


@pytest.fixture(scope="module")
def cord(tmp_path_factory: pytest.TempPathFactory) -> Limit:
    """50 Gy EQD2 with alpha/beta 2, as the worked example has it, taken over by a department."""
    own: Path = tmp_path_factory.mktemp("limits") / "limits.toml"
    own.write_text('[limit.umich-spinalcord]\nalpha_beta_gy = 2.0\nactive = true\ncitation = "us"', "utf-8")
    return read_limits(own).named("umich").of("SpinalCord")[0]


def _given(dose: float, months: float = 12.0) -> Given:
    return Given(estimate=dose, lo=dose, hi=dose, largest_course=dose, months=months)


@pytest.mark.parametrize(
    ("forgotten", "left", "physical"), [("0", "5.0", "6.18"), ("0.25", "16.25", "13.71"), ("0.5", "27.5", "18.98")]
)
def test_cord_when_a_part_is_forgotten_then_the_worked_example_remains(
    cord: Limit, forgotten: str, left: str, physical: str
) -> None:
    told = remaining(cord, _given(45 * (1 - float(forgotten))), 5)
    assert told.left is not None
    assert told.physical_gy is not None
    assert told.left.lo == told.left.hi == pytest.approx(float(left), abs=EXACT)
    exact = exact_dose(left, 5, 2)
    assert told.physical_gy.lo == told.physical_gy.hi == pytest.approx(float(exact), abs=EXACT)
    assert is_printed(exact, physical)


def test_limit_when_scaled_then_all_dose_given_counts(cord: Limit) -> None:
    doi = read_recovery().scalings["doi"].factor(6, "SpinalCord")
    raised, forgetful = remaining(cord, _given(30), 5, factor=doi), remaining(cord, _given(30 * 0.75), 5)
    assert raised.left is not None
    assert forgetful.left is not None
    assert raised.left.lo == pytest.approx(32.5, abs=EXACT)
    assert forgetful.left.lo == pytest.approx(27.5, abs=EXACT)


@pytest.mark.parametrize(
    ("second", "together", "state", "left"), [((20, 5), 135, "left", 0.5), ((30, 10), 150, "exceeded", 0.0)]
)
def test_nieder_when_two_courses_are_added_then_135_passes_by_half_a_gray_and_150_fails(
    second: tuple[int, int], together: float, state: str, left: float
) -> None:
    (row,) = read_limits().named("").of("SpinalCord")
    both = float(bed(30, 10, 2)) + float(bed(*second, 2))
    assert both == pytest.approx(together, abs=EXACT)
    told = remaining(row, Given(estimate=both, lo=both, hi=both, largest_course=75, months=7), 5)
    assert told.state == state
    assert told.left is not None
    assert told.left.lo == told.left.hi == pytest.approx(left, abs=EXACT)


def test_nieder_when_one_course_is_over_98_then_the_limit_does_not_apply() -> None:
    (row,) = read_limits().named("").of("SpinalCord")
    over = Given(estimate=112, lo=112, hi=112, largest_course=float(bed(14, 1, 2)), months=12)
    assert remaining(row, over, 5).state == "not-applicable"


def test_hytec_when_a_new_course_is_planned_then_25_gray_and_half_of_all_are_its_most() -> None:
    (row,) = read_limits().named("").of("ThecalSac")
    for prior, left in ((50, 20), (20, 20), (30, 25), (70, 0)):
        told = remaining(row, _given(prior), 5)
        assert told.left is not None
        assert told.left.lo == told.left.hi == pytest.approx(left, abs=EXACT)
    assert remaining(row, _given(50, months=4.9), 5).state == "not-applicable"
