"""Biological conversion against the closed forms and published figures."""

import numpy as np
import pytest

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

VECTORS = [  # total Gy, fractions, alpha/beta, BED, EQD2
    (50, 25, 2, 100, 50),
    (30, 10, 2, 75, 37.5),
    (20, 5, 2, 60, 30),
    (8, 1, 2, 40, 20),
    (24, 2, 2, 168, 84),
    (27, 3, 2, 148.5, 74.25),
    (30, 5, 2, 120, 60),
    (35, 5, 2, 157.5, 78.75),
    (14, 1, 2, 112, 56),
    (50, 25, 4, 75, 50),
    (54, 3, 3, 378, 226.8),
    (60, 8, 3, 210, 126),
    (54, 3, 10, 151.2, 126),
    (60, 30, 10, 72, 60),
]


@pytest.mark.parametrize(("total", "fractions", "alpha_beta", "bed_gy", "eqd2_gy"), VECTORS)
def test_schedule_when_converted_then_it_has_its_closed_form(
    total: float, fractions: int, alpha_beta: float, bed_gy: float, eqd2_gy: float
) -> None:
    assert float(bed(total, fractions, alpha_beta)) == pytest.approx(bed_gy, abs=1e-9)
    assert float(eqd2(total, fractions, alpha_beta)) == pytest.approx(eqd2_gy, abs=1e-9)
    assert float(eqd2_from_bed(bed_gy, alpha_beta)) == pytest.approx(eqd2_gy, abs=1e-9)
    assert float(dose_for_eqd2(eqd2_gy, fractions, alpha_beta)) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize(
    ("total", "fractions", "eqd2_gy"),
    [(12.4, 1, 44.64), (17.0, 2, 44.63), (20.3, 3, 44.49), (23.0, 4, 44.56), (25.3, 5, 44.66)],
)
def test_hytec_cord_limits_when_converted_then_they_agree_with_each_other(
    total: float, fractions: int, eqd2_gy: float
) -> None:
    assert float(eqd2(total, fractions, 2)) == pytest.approx(eqd2_gy, abs=0.01)


@pytest.mark.parametrize(
    ("total", "fractions", "alpha_beta", "transition", "expected"),
    [(54, 3, 10, 10, 132.0), (24, 1, 3, 6, 108.0), (50, 25, 2, 6, 100.0)],
)
def test_lql_when_fractions_exceed_the_transition_then_it_goes_on_along_the_tangent(
    total: float, fractions: int, alpha_beta: float, transition: float, expected: float
) -> None:
    assert float(bed_lql(total, fractions, alpha_beta, transition)) == pytest.approx(expected, abs=1e-9)


def test_groups_when_they_differ_then_each_is_converted_before_adding() -> None:
    groups = [
        FractionGroup(total_gy=50.0, planned=25, delivered=25),
        FractionGroup(total_gy=30.0, planned=5, delivered=5),
    ]
    assert float(delivered_eqd2(groups, 2)) == pytest.approx(110.0, abs=1e-9)
    assert float(eqd2(80, 30, 2)) == pytest.approx(280 / 3, abs=1e-9)


def test_two_plans_when_given_in_one_session_then_they_are_added_before_conversion() -> None:
    assert float(eqd2(25.0 + 25.0, 25, 3)) == pytest.approx(50, abs=1e-9)
    assert 2 * float(eqd2(25.0, 25, 3)) == pytest.approx(40, abs=1e-9)


def test_course_when_half_was_given_then_the_fraction_size_stays() -> None:
    half = FractionGroup(total_gy=30.0, planned=10, delivered=5)
    assert float(delivered_eqd2([half], 2)) == pytest.approx(18.75, abs=1e-9)


def test_recovery_when_a_quarter_is_forgotten_then_three_quarters_count() -> None:
    group = FractionGroup(total_gy=45.0, planned=22.5, delivered=22.5, forgotten=0.25)  # type: ignore[arg-type]
    assert float(delivered_eqd2([group], 2)) == pytest.approx(33.75, abs=1e-9)


@pytest.mark.parametrize(("forgotten", "left", "physical"), [(0, 5.0, 6.18), (0.25, 16.25, 13.71), (0.5, 27.5, 18.98)])
def test_cord_when_prior_dose_recovers_then_more_is_left(forgotten: float, left: float, physical: float) -> None:
    remaining = 50 - 45 * (1 - forgotten)
    assert remaining == pytest.approx(left, abs=1e-9)
    assert float(dose_for_eqd2(remaining, 5, 2)) == pytest.approx(physical, abs=0.005)


def test_incomplete_repair_when_fractions_are_six_hours_apart_then_the_effect_is_larger() -> None:
    complete = eqd2(45, 30, 2)
    close = eqd2_incomplete_repair(45, 30, 2, apart_h=6, half_time_h=4)
    assert float(complete) == pytest.approx(39.375, abs=1e-9)
    assert float(close) == pytest.approx(45 * (1.5 * (1 + 2**-1.5) + 2) / 4, abs=1e-9)
    assert float(close) == pytest.approx(45.341, abs=5e-4)


def test_protons_when_weighted_then_the_fraction_size_is_multiplied_not_the_result() -> None:
    assert float(eqd2(60 * 1.1, 30, 2)) == pytest.approx(69.3, abs=1e-9)


@pytest.mark.parametrize(("alpha_beta", "right", "wrong"), [(2, 90, 165), (3, 78, 138)])
def test_steep_edge_when_physical_dose_is_interpolated_first_then_its_middle_is_right(
    alpha_beta: float, right: float, wrong: float
) -> None:
    edge = np.array([0.0, 60.0])
    assert float(eqd2(edge.mean(), 3, alpha_beta)) == pytest.approx(right, abs=1e-9)
    assert float(eqd2(edge, 3, alpha_beta).mean()) == pytest.approx(wrong, abs=1e-9)


def test_cervix_when_external_and_brachytherapy_are_converted_then_the_sum_is_the_published_one() -> None:
    groups = [
        FractionGroup(total_gy=45.0, planned=25, delivered=25),
        FractionGroup(total_gy=28.0, planned=4, delivered=4),
    ]
    assert float(delivered_eqd2(groups, 10)) == pytest.approx(44.25 + 28 * 17 / 12, abs=1e-9)
    assert float(delivered_eqd2(groups, 10)) == pytest.approx(83.92, abs=0.005)


def test_grid_of_unequal_groups_when_shares_are_unknown_then_bounds_are_given() -> None:
    lower, upper = eqd2_of_unequal_groups(60.0, [25, 5], 2)
    assert float(lower) == pytest.approx(60, abs=1e-9)
    assert float(upper) == pytest.approx(60 * (12 + 2) / 4, abs=1e-9)


def test_arrays_when_float32_then_they_are_converted_voxel_by_voxel_in_float64() -> None:
    dose = np.array([[0, 50], [25, 60]], dtype=np.float32)
    converted = eqd2(dose, 25, 2)
    assert converted.dtype == np.float64
    assert converted == pytest.approx(np.array([[0, 50], [18.75, 66]]), abs=1e-9)


@pytest.mark.parametrize(("fractions", "alpha_beta"), [(0, 2), (-1, 2), (10, 0), (10, float("nan"))])
def test_schedule_when_it_makes_no_sense_then_it_is_refused(fractions: float, alpha_beta: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        eqd2(20, fractions, alpha_beta)
