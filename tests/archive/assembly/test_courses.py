"""Plans are grouped into courses by the days they were treated on."""

import base64
import hashlib
import random
from dataclasses import replace
from datetime import date, timedelta

import pytest

from archive.assembly.catalogue import Catalogue, distinct
from archive.assembly.courses import CourseRules, Interval, anchor, dossier_id, group, interval_of
from archive.assembly.plans import plans_of
from archive.headers import InstanceHeader
from archive.model import Plan
from tests.factories import MONDAY, da, dose, plan, plan_header, receipt, record, records, uid


def plans(*headers: InstanceHeader) -> tuple[Plan, ...]:
    return plans_of(Catalogue.of(distinct(map(receipt, headers), sealed=frozenset())), ())


def dated(name: str, start: date, days: int = 1) -> list[InstanceHeader]:
    header = plan_header(date=da(start - timedelta(days=5)))
    return [plan(name, header=header), *records(days, plan=name, start=start)]


def grouped(*headers: InstanceHeader, rules: CourseRules | None = None) -> list[list[str]]:
    names = {uid(name): name for name in "abcdef"}
    everything = list(plans(*headers))
    results = []
    for seed in range(5):
        random.Random(seed).shuffle(everything)
        results.append([[names[one.uid] for one in course] for course in group(everything, rules or CourseRules())])
    assert all(result == results[0] for result in results), "the order of plans must not matter"
    return results[0]


@pytest.mark.parametrize(("gap", "courses"), [(42, [["a", "b"]]), (43, [["a"], ["b"]])])
def test_group_then_42_days_between_sessions_part_two_courses(gap: int, courses: list[list[str]]) -> None:
    later = MONDAY + timedelta(days=gap)
    assert later.weekday() < 5

    assert grouped(*dated("a", MONDAY), *dated("b", later)) == courses


def test_group_when_the_setting_is_shorter_then_it_decides() -> None:
    both = [*dated("a", MONDAY), *dated("b", MONDAY + timedelta(days=21))]

    assert grouped(*both, rules=CourseRules(longest_gap_days=20)) == [["a"], ["b"]]


def test_group_then_plans_are_chained_and_a_long_one_reaches_over_a_short_one() -> None:
    long = [*dated("a", MONDAY, days=40)]
    inside = dated("b", MONDAY + timedelta(days=7))
    after = dated("c", MONDAY + timedelta(days=84))

    assert grouped(*long, *inside, *after) == [["a", "b", "c"]]


def test_group_when_a_plan_has_no_records_then_its_own_date_places_it() -> None:
    unused = plan("b", header=plan_header(date=da(MONDAY - timedelta(days=20))))
    old = plan("c", header=plan_header(date="20100101"))

    assert grouped(*dated("a", MONDAY), unused, old) == [["c"], ["b", "a"]]


def test_group_when_a_plan_has_no_date_at_all_then_it_stands_alone() -> None:
    undated = [replace(dose(name, plans=(name,)), study_date="") for name in "ab"]

    assert sorted(grouped(*undated)) == [["a"], ["b"]]


def test_interval_then_sessions_count_before_the_plan_date() -> None:
    (one,) = plans(*dated("a", MONDAY, days=3))

    assert interval_of((one,)) == Interval(first=MONDAY, last=MONDAY + timedelta(days=2))


def test_interval_of_an_unseen_plan_then_the_study_of_its_dose_dates_it() -> None:
    (one,) = plans(dose())

    assert interval_of((one,)).first == MONDAY - timedelta(days=7)


def test_interval_when_nothing_was_delivered_then_the_dates_of_the_records_count() -> None:
    (one,) = plans(record("a", day=MONDAY))

    assert interval_of((one,)).first == MONDAY


def test_gap_days_then_overlap_is_none_and_an_undated_course_has_no_gap() -> None:
    june = Interval(first=date(2024, 6, 1), last=date(2024, 6, 30))
    july = Interval(first=date(2024, 7, 10), last=date(2024, 7, 20))

    assert june.gap_days(july) == july.gap_days(june) == 10
    assert june.gap_days(june) == 0
    assert june.gap_days(Interval(first=None, last=None)) is None
    assert not Interval(first=None, last=None).contains(date(2024, 6, 1), margin=timedelta(days=42))


def test_dossier_id_then_anyone_can_compute_it() -> None:
    name = dossier_id("1.2.3")

    padded = name.upper() + "=" * (-len(name) % 8)
    assert base64.b32decode(padded) == hashlib.sha256(b"1.2.3").digest()
    assert name == name.lower()


def test_anchor_then_the_earliest_plan_date_and_then_the_uid_names_the_course() -> None:
    early = plan("b", header=plan_header(date="20240101"))
    late = plan("a", header=plan_header(date="20240201"))
    unseen = dose("d", plans=("c",))
    twin = plan("d", header=plan_header(date="20240101"))

    assert anchor(plans(early, late, unseen)) == uid("b")
    assert anchor(plans(early, twin)) == min(uid("b"), uid("d"))
    assert anchor(plans(unseen)) == uid("c")
