"""What doses mean for a structure: figures that stand side by side, each by its closed form."""

from pathlib import Path
from typing import Any

import pytest

from courses.biology import standard_biology
from courses.effects import effect_rows, effects_on
from courses.recovered import course_rows, recovered_rows
from dose.biology.linear_quadratic import eqd2, eqd2_incomplete_repair
from dose.biology.recovery import RecoveryModel
from dose.biology.tissues import Tissues, read_tissues, standard_tissues
from tests.courses.gathered import Course, ball, composed, even, gathered

CLOSE = 1e-3
"""Gy: doses are stored as float32, figures told to four decimals."""


def told(*courses: Course, name: str = "SpinalCord", tissues: Tissues | None = None) -> dict[str, Any]:
    composite = composed(gathered(*courses))
    return effect_rows(effects_on(ball(8, name=name), composite, tissues or standard_tissues()), composite)


def _max(figures: dict[str, Any]) -> float:
    assert figures["max_gy"]["lo"] == figures["max_gy"]["hi"] == figures["max_gy"]["value"]
    return float(figures["max_gy"]["value"])


def test_effect_when_sessions_are_six_hours_apart_then_both_figures_stand_side_by_side() -> None:
    row = told(Course(name="twice daily", dose=even(45), fractions=30, close=((6.0, 30.0),)))
    assert _max(row["eqd2"]) == pytest.approx(39.375, abs=CLOSE)
    assert _max(row["eqd2_incomplete_repair"]) == pytest.approx(45.341, abs=CLOSE)
    assert row["repair"]["half_time_h"] == 4.0
    assert "(convention, " in row["repair"]["source"]


def test_effect_when_the_hours_of_a_day_are_unknown_then_the_second_figure_is_that_of_one_large_fraction() -> None:
    row = told(Course(name="no times", dose=even(45), fractions=30, close=((0.0, 30.0),)))
    assert _max(row["eqd2"]) == pytest.approx(39.375, abs=CLOSE)
    assert _max(row["eqd2_incomplete_repair"]) == pytest.approx(float(eqd2(45, 15, 2)), abs=CLOSE)


def test_effect_when_only_some_sessions_are_close_then_these_alone_repair_less() -> None:
    row = told(Course(name="ten of thirty", dose=even(45), fractions=30, close=((6.0, 10.0),)))
    close = float(eqd2_incomplete_repair(15, 10, 2, apart_h=6, half_time_h=4))
    assert _max(row["eqd2_incomplete_repair"]) == pytest.approx(close + float(eqd2(30, 20, 2)), abs=CLOSE)


def test_effect_when_three_a_day_then_every_pair_counts_as_thames_has_it() -> None:
    # h of three fractions, each theta after the one before: 2/3 (2 theta + theta^2) (Thames 1985)
    theta, half_time = 2 ** (-6 / 4), 4.0
    row = told(Course(name="three", dose=even(54), fractions=36, close=((6.0, 48.0), (12.0, 24.0))))
    left = 2 / 3 * (2 * theta + theta**2)
    assert row["repair"]["half_time_h"] == half_time
    assert _max(row["eqd2_incomplete_repair"]) == pytest.approx(54 * (1.5 * (1 + left) + 2) / 4, abs=CLOSE)


def test_effect_when_no_sessions_are_close_then_there_is_no_second_figure() -> None:
    row = told(Course(name="daily", dose=even(45), fractions=25))
    assert (row["eqd2_incomplete_repair"], row["repair"]) == (None, None)


def test_half_time_when_the_department_has_its_own_then_it_counts_for_its_organ_alone(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[repair.cord]\nhalf_time_h = 2.5\nstructures = ["SpinalCord"]\ncitation = "us"', "utf-8")
    course, tissues = Course(name="a", dose=even(45), fractions=30, close=((6.0, 30.0),)), read_tissues(own)
    cord, rectum = (told(course, name=name, tissues=tissues) for name in ("SpinalCord_PRV05", "Rectum"))
    assert (cord["repair"]["half_time_h"], rectum["repair"]["half_time_h"]) == (2.5, 4.0)
    expected = float(eqd2_incomplete_repair(45, 30, 2, apart_h=6, half_time_h=2.5))
    assert _max(cord["eqd2_incomplete_repair"]) == pytest.approx(expected, abs=CLOSE)


# Recovery


def _rules(*names: str) -> list[RecoveryModel]:
    return [standard_biology().recovery.models[name] for name in names]


def test_recovery_when_rules_are_asked_for_then_each_is_told_beside_the_others_by_course() -> None:
    given = gathered(Course(name="old", dose=even(36), fractions=12), Course(name="new", dose=even(30), fractions=15))
    cord, rules = standard_tissues().of("SpinalCord"), _rules("umich", "nieder", "abusaris", "noel", "foxchase")
    rows = recovered_rows(ball(8, name="SpinalCord"), cord, given, rules, {"old": 13.0, "new": 7.0})
    gone = {
        "umich": (0.5, 0.25),
        "nieder": (0.5, 0.33),
        "abusaris": (0.5, 0.25),
        "noel": (0.05, 0),
        "foxchase": (0.5, 0),
    }
    assert {row["name"]: tuple(row["forgotten"].values()) for row in rows} == gone
    for row in rows:
        old, new = gone[row["name"]]
        assert _max(row["eqd2"]) == pytest.approx(45 * (1 - old) + 30 * (1 - new), abs=CLOSE)
        assert row["source"]


def test_recovery_when_a_date_is_missing_then_nothing_is_gone_of_that_course() -> None:
    given = gathered(Course(name="old", dose=even(36), fractions=12))
    cord = standard_tissues().of("SpinalCord")
    (row,) = recovered_rows(ball(8, name="SpinalCord"), cord, given, _rules("umich"), {"old": None})
    assert _max(row["eqd2"]) == pytest.approx(45, abs=CLOSE)
    (told_,) = course_rows(_rules("umich"), [("SpinalCord", cord)], None)
    assert (told_["interval_months"], told_["forgotten"], told_["structures"]) == (None, 0.0, {"SpinalCord": 0.0})


def test_recovery_when_a_rule_is_not_for_a_structure_then_it_has_no_figure_there() -> None:
    given, tissues = gathered(Course(name="old", dose=even(36), fractions=12)), standard_tissues()
    for name in ("PTV", "Heart", "Rectum"):
        assert recovered_rows(ball(8, name=name), tissues.of(name), given, _rules("nieder"), {"old": 24.0}) == []
    (row,) = course_rows(
        _rules("umich"), [(one, tissues.of(one)) for one in ("SpinalCord", "Bowel_Small", "PTV")], 13.0
    )
    assert row["structures"] == {"SpinalCord": 0.5, "Bowel_Small": 0.4}


def test_recovery_when_a_dose_is_missing_then_it_has_no_upper_end() -> None:
    given = gathered(Course(name="old", dose=even(36), fractions=12))
    cord = standard_tissues().of("SpinalCord")
    (row,) = recovered_rows(ball(8, name="SpinalCord"), cord, given, _rules("umich"), {"old": 7.0}, is_open=True)
    assert (row["eqd2"]["max_gy"]["value"], row["eqd2"]["max_gy"]["hi"]) == (None, None)
    assert row["eqd2"]["max_gy"]["lo"] == pytest.approx(33.75, abs=CLOSE)
