"""What remains for the next course through courses, structures and tables; figures by their closed forms."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from courses.biology import Biology, read_biology, standard_biology
from courses.exposures import Gathered
from courses.remaining import Asked, remaining_rows
from dose.biology.linear_quadratic import bed, dose_for_eqd2
from dose.errors import BadTable
from tests.courses.gathered import Course, ball, even, gathered, grid, hill

SEVEN_MONTHS = date(2020, 8, 1)
ALL_RULES = ("umich", "nieder", "abusaris", "noel", "foxchase", "doi")
OWN = """
[limit.own-cord]
set = "own"
structure = "SpinalCord"
metric = "Max[Gy]"
quantity = "EQD2"
alpha_beta_gy = 2.0
model = "LQ"
at_most = 50.0
first_course = true
citation = "Decided by the department"

[limit.umich-spinalcord]
alpha_beta_gy = 2.0
active = true
citation = "Decided by the department"

[limit.umich-liver]
active = true
citation = "Decided by the department"
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Biology:
    path: Path = tmp_path_factory.mktemp("biology") / "limits.toml"
    path.write_text(OWN, "utf-8")
    return read_biology(limits=path)


@pytest.fixture(scope="module")
def thirty_and_twenty() -> Gathered:
    """30 Gy in 10 and 20 Gy in 5, each 75 and 60 Gy2."""
    return gathered(
        Course(name="first", dose=even(30), fractions=10), Course(name="second", dose=even(20), fractions=5)
    )


def rows(
    given: Gathered, name: str = "SpinalCord", *, biology: Biology | None = None, **asked: Any
) -> list[dict[str, Any]]:
    question = replace(Asked(fractions=5, as_of=SEVEN_MONTHS), **asked)
    return remaining_rows(given, [ball(8, name=name)], question, biology or standard_biology())


def test_nieder_when_every_rule_is_asked_then_half_a_gray_is_left_and_no_rule_is_shown(
    thirty_and_twenty: Gathered,
) -> None:
    (row,) = rows(thirty_and_twenty, recovery=ALL_RULES)
    (plain,) = row["alternatives"]
    assert (plain["recovery"], plain["kind"], plain["state"]) == (None, "none", "left")
    assert plain["remaining_gy"]["value"] == pytest.approx(0.5, abs=1e-3)
    expected = float(dose_for_eqd2(0.25, 5, 2))
    assert plain["remaining_physical_gy"]["value"] == pytest.approx(expected, abs=1e-3)
    assert len(row["left_out"]) == len(ALL_RULES)
    assert "published without recovery" in row["left_out"][0]["reason"]
    assert "first course" in row["left_out"][-1]["reason"]


@pytest.mark.parametrize("name", ["SpinalCord", "ThecalSac"])
def test_limits_that_presume_an_interval_when_every_rule_is_asked_then_they_stand_without_any(name: str) -> None:
    given = gathered(Course(name="first", dose=even(30), fractions=10))
    (row,) = rows(given, name, recovery=ALL_RULES)
    assert [one["kind"] for one in row["alternatives"]] == ["none"]


def test_umich_when_every_rule_is_asked_then_its_own_alone_is_shown(own: Biology) -> None:
    given = gathered(Course(name="first", dose=even(36), fractions=12))
    (row,) = rows(given, biology=own, limits="umich", recovery=ALL_RULES)
    plain, recovered = row["alternatives"]
    assert plain["remaining_eqd2_gy"]["value"] == pytest.approx(5.0, abs=1e-3)
    assert (recovered["recovery"], recovered["forgotten"]) == ("University of Michigan", {"first": 0.25})
    assert recovered["remaining_eqd2_gy"]["value"] == pytest.approx(16.25, abs=1e-3)
    assert recovered["remaining_physical_gy"]["value"] == pytest.approx(13.71, abs=5e-3)
    assert {one["recovery"] for one in row["left_out"]} == {
        own.recovery.models[name].title for name in ("nieder", "abusaris", "noel", "foxchase")
    } | {own.recovery.scalings["doi"].title}


def test_first_course_limit_when_every_rule_is_asked_then_it_is_raised_and_all_dose_counts(own: Biology) -> None:
    given = gathered(Course(name="first", dose=even(30), fractions=15))
    (row,) = rows(given, biology=own, limits="own", recovery=ALL_RULES)
    plain, raised = row["alternatives"]
    assert plain["remaining_eqd2_gy"]["value"] == pytest.approx(20.0, abs=1e-3)
    assert (raised["kind"], raised["factor"], raised["limit"]) == ("scales-limit", 1.25, 62.5)
    assert raised["used_eqd2_gy"]["value"] == pytest.approx(30.0, abs=1e-3)
    assert raised["remaining_eqd2_gy"]["value"] == pytest.approx(32.5, abs=1e-3)


def test_limit_when_it_is_exceeded_then_nothing_is_left_and_by_how_much_stands_in_what_is_used() -> None:
    given = gathered(
        Course(name="first", dose=even(30), fractions=10), Course(name="second", dose=even(30), fractions=10)
    )
    (plain,) = rows(given)[0]["alternatives"]
    assert (plain["state"], plain["used_gy"]["value"]) == ("exceeded", pytest.approx(150.0, abs=1e-3))
    assert plain["remaining_gy"]["value"] == plain["remaining_physical_gy"]["value"] == 0.0


def test_limit_when_one_course_gave_too_much_then_it_is_not_applicable() -> None:
    assert float(bed(36, 9, 2)) > 98
    (plain,) = rows(gathered(Course(name="first", dose=even(36), fractions=9)))[0]["alternatives"]
    assert (plain["state"], plain["remaining_gy"]) == ("not-applicable", None)
    assert "at most 98 Gy each" in plain["reasons"][0]


def test_volume_limit_when_the_dose_is_known_then_the_spared_volume_is_told_in_cc(own: Biology) -> None:
    given = gathered(Course(name="first", dose=hill(60, (0, 0, 0), 5.0), fractions=30))
    (row,) = rows(given, "Liver", biology=own, limits="umich", recovery=("umich", "doi"))
    plain, recovered = row["alternatives"]
    total = 4 / 3 * np.pi * 0.8**3
    hot_mm = 5.0 * np.sqrt(2 * np.log(60 / float(dose_for_eqd2(32, 30, 3))))
    spared = total - 4 / 3 * np.pi * (hot_mm / 10) ** 3
    assert plain["spared_cc"]["estimate"] == pytest.approx(spared, abs=0.05)
    assert recovered["forgotten"] == {"first": 0.5}
    assert recovered["spared_cc"]["estimate"] > plain["spared_cc"]["estimate"] + 0.1
    assert plain["state"] == recovered["state"] == "exceeded"
    assert row["left_out"][0]["reason"] == "It says nothing of this structure."


def test_gap_when_a_dose_is_missing_then_what_is_left_is_at_most_so_much(own: Biology) -> None:
    given = gathered(Course(name="first", dose=even(30), fractions=15))
    (row,) = rows(given, biology=own, limits="umich", has_gap=True)
    (plain,) = row["alternatives"]
    assert (plain["at_most"], plain["state"]) == (True, "may-be-exceeded")
    assert plain["used_eqd2_gy"]["hi"] is None
    assert (plain["remaining_eqd2_gy"]["lo"], plain["remaining_eqd2_gy"]["hi"]) == (0.0, pytest.approx(20.0, abs=1e-3))


def test_gap_when_a_course_outside_the_sum_was_treated_last_then_its_day_decides_the_interval(own: Biology) -> None:
    given = gathered(Course(name="first", dose=even(30), fractions=10))
    treated = given.record.dossiers[0].last_fraction
    assert treated
    soon = date(int(treated[:4]), int(treated[4:6]), int(treated[6:8]))
    (row,) = rows(given, biology=own, has_gap=True, as_of=soon)
    assert row["interval_months"] == 0.0
    assert row["alternatives"][0]["state"] == "not-applicable"


def test_recovery_when_the_next_course_has_no_date_then_nothing_is_forgotten(own: Biology) -> None:
    given = gathered(Course(name="first", dose=even(36), fractions=12))
    (row,) = rows(given, biology=own, limits="umich", recovery=("umich",), as_of=None)
    plain, recovered = row["alternatives"]
    assert recovered["forgotten"] == {"first": 0.0}
    assert recovered["remaining_eqd2_gy"] == plain["remaining_eqd2_gy"]


def test_structure_when_a_dose_ends_within_it_then_what_is_left_has_bounds() -> None:
    half = grid((30, 30, 15))
    given = gathered(Course(name="first", dose=even(30), fractions=10, geometry=half), geometry=grid())
    (plain,) = rows(given, "ThecalSac")[0]["alternatives"]
    used = plain["used_eqd2_gy"]
    assert used["lo"] == pytest.approx(37.5, abs=1e-3)
    assert used["lo"] <= used["hi"]
    assert plain["remaining_eqd2_gy"]["hi"] <= 70 - 37.5 + 1e-3


def test_structure_when_no_dose_reaches_it_then_nothing_is_certain_of_it() -> None:
    far = replace(ball(8, (300.0, 0.0, 0.0)), name="ThecalSac")
    given = gathered(Course(name="first", dose=even(30), fractions=10))
    (row,) = remaining_rows(given, [far], Asked(fractions=5, as_of=SEVEN_MONTHS), standard_biology())
    for one in row["alternatives"]:
        assert one["used_eqd2_gy"]["lo"] == 0.0
        assert one["used_eqd2_gy"]["value"] is None
    assert row["alternatives"] or row["reason"]


def test_rows_when_limits_are_inactive_then_they_are_named_without_figures() -> None:
    (row,) = rows(gathered(Course(name="first", dose=even(10))), "Rectum", limits="umich")
    assert (row["active"], row["alternatives"]) == (False, [])
    assert "not read" in row["reason"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[limit.nieder-cord]\nrecovery = "umich"\ncitation = "us"', "time would count twice"),
        ('[limit.umich-rectum]\nrecovery = "doi"\ncitation = "us"', "write first_course = true"),
        ('[limit.umich-rectum]\nrecovery = "nobody"\ncitation = "us"', "which there is not"),
        ('[limit.hytec-thecal-sac]\nfirst_course = true\ncitation = "us"', "limit of a first course says nothing"),
    ],
)
def test_limit_when_its_recovery_contradicts_it_then_the_table_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(BadTable, match=message):
        read_biology(limits=path)


def test_rows_when_a_rule_or_a_set_is_unknown_then_those_there_are_are_named(thirty_and_twenty: Gathered) -> None:
    with pytest.raises(BadTable, match="called nobody; there are abusaris"):
        rows(thirty_and_twenty, recovery=("nobody",))
    with pytest.raises(BadTable, match="there are cord, umich"):
        rows(thirty_and_twenty, limits="nobody")
