"""How long a dossier is kept, against days counted by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.assembly.fold import fold
from archive.facts.decisions import Close, Decision, KeepUntil, SetHold, StateDeath
from archive.facts.store import PatientFacts
from archive.gate.gate import Gate
from archive.model import Dossier, Person
from archive.vault.retention import (
    PRESETS,
    Life,
    Retention,
    Rule,
    Term,
    hold_of,
    retention_of,
    rules_of,
    table,
    terms_of,
    years_after,
)
from tests.factories import course, decision, key_of, receipt, uid

SEALED_ON = date(2024, 7, 1)


@pytest.fixture(scope="module")
def dossier() -> Dossier:
    """A course of five fractions from Monday, 4 March 2024, to Friday."""
    facts = PatientFacts(key=key_of(), receipts=tuple(map(receipt, course("plan", fractions=5))), decisions=())
    (found,) = fold(facts, gate=Gate()).dossiers
    return found


def test_dossier_then_the_days_below_are_those_of_the_course(dossier: Dossier) -> None:
    assert (dossier.first_fraction, dossier.last_fraction) == ("20240304", "20240308")


@pytest.mark.parametrize(
    ("start", "years", "until"),
    [
        ("2024-03-08", 30, "2054-03-08"),
        ("2024-02-29", 30, "2054-03-01"),  # 2054 is no leap year: kept the day longer
        ("2024-02-29", 32, "2056-02-29"),  # 2056 is
        ("2024-02-28", 30, "2054-02-28"),
        ("1996-02-29", 4, "2000-02-29"),  # divisible by 400
        ("2072-02-29", 28, "2100-03-01"),  # divisible by 100 alone
        ("2024-12-31", 1, "2025-12-31"),
        ("2024-01-01", 1000, "3024-01-01"),
        ("9990-05-05", 30, "9998-12-31"),
    ],
)
def test_years_after_then_it_is_the_day_counted_by_hand(start: str, years: int, until: str) -> None:
    assert years_after(date.fromisoformat(start), years).isoformat() == until


@pytest.mark.parametrize(
    ("preset", "birth", "death", "expected", "by"),
    [
        pytest.param("default", "19600101", "", "2054-03-08", "TREATMENT", id="an adult: 30 years"),
        pytest.param("default", "20060301", "", "2054-03-08", "TREATMENT", id="of age since some days"),
        pytest.param("default", "20200229", "", "2068-02-29", "MINOR", id="a child born on a leap day, 48 years"),
        pytest.param("default", "20230301", "", "2071-03-01", "MINOR", id="a child of one year"),
        pytest.param("default", "19600101", "20600110", "2068-01-10", "DEATH", id="died late: 8 years"),
        pytest.param("default", "19600101", "20240401", "2054-03-08", "TREATMENT", id="died soon: the course decides"),
        pytest.param("default", "", "", "2054-03-08", "TREATMENT", id="nobody knows the birth date"),
        pytest.param("default", "20990101", "", "2054-03-08", "TREATMENT", id="born after the course: a wrong date"),
        pytest.param("china", "19600101", "", "2055-03-08", "CN-INPATIENT", id="30 years and one for the discharge"),
        pytest.param("china", "20230301", "", "2055-03-08", "CN-INPATIENT", id="no rule for children"),
        pytest.param("england", "19600101", "", "2054-03-08", "UK-ONCOLOGY", id="30 years"),
        pytest.param("england", "19600101", "20500228", "2058-02-28", "UK-DEATH", id="8 years after death"),
        pytest.param("england", "20230301", "", "2054-03-08", "UK-ONCOLOGY", id="the 26th birthday comes earlier"),
        pytest.param("germany", "19600101", "", "2054-03-08", "DE-TREATMENT", id="30 years of section 85"),
        pytest.param("germany", "20230301", "", "2054-03-08", "DE-TREATMENT", id="the 28th birthday comes earlier"),
        pytest.param("site", "20230301", "", "2034-03-08", "SITE", id="the site's ten years alone"),
    ],
)
def test_retention_then_it_ends_on_the_day_counted_by_hand(
    dossier: Dossier, preset: str, birth: str, death: str, expected: str, by: str
) -> None:
    one = born(dossier, birth)
    decisions = [decision(1, StateDeath(date=death, reason="register"))] if death else []

    found = retention_of(one, decisions, rules_of(preset, site_years=10), sealed_on=SEALED_ON)  # type: ignore[arg-type]

    assert (found.until.isoformat(), found.terms[0].code) == (expected, by)


def born(dossier: Dossier, birth: str) -> Dossier:
    person: Person = replace(dossier.person, birth_date=birth)
    return replace(dossier, person=person)


def kept(dossier: Dossier, *decisions: Decision, preset: str = "site", years: int = 10, on: date = SEALED_ON) -> str:
    rules = rules_of(preset, site_years=years)  # type: ignore[arg-type]
    return retention_of(dossier, decisions, rules, sealed_on=on).until.isoformat()


def test_retention_when_the_site_keeps_longer_then_its_years_decide(dossier: Dossier) -> None:
    assert kept(dossier, preset="default", years=50) == "2074-03-08"
    assert kept(dossier, preset="default", years=5) == "2054-03-08"


def test_retention_when_the_course_was_long_ago_then_it_stays_a_year_from_its_sealing(dossier: Dossier) -> None:
    assert kept(dossier, on=date(2080, 2, 29)) == "2081-03-01"


def test_retention_when_the_course_was_closed_later_than_its_last_record_then_the_close_counts(
    dossier: Dossier,
) -> None:
    closed = replace(dossier, close=Close(plan_uids=(), outcome="died", last_date="20240312"))
    assert kept(closed) == "2034-03-12"


def test_retention_when_no_day_of_treatment_is_known_then_it_counts_from_the_sealing(dossier: Dossier) -> None:
    assert kept(replace(dossier, sessions=(), close=None)) == "2034-07-01"


def keep(until: str, *, plan: str = "plan") -> KeepUntil:
    return KeepUntil(plan_uids=(uid(plan),), until=until, reason="a study")


def test_retention_when_persons_lengthened_it_then_the_latest_day_counts_and_none_shortens(dossier: Dossier) -> None:
    longer = [decision(number, keep(day)) for number, day in enumerate(("2050-01-01", "2060-01-01", "2030-01-01"), 1)]

    assert kept(dossier, *longer) == "2060-01-01"
    assert kept(dossier, longer[-1]) == "2034-03-08"
    assert kept(dossier, decision(1, keep("2060-01-01", plan="another"))) == "2034-03-08"


def test_retention_when_the_death_was_stated_again_then_the_newest_word_counts(dossier: Dossier) -> None:
    deaths = [
        decision(number, StateDeath(date=day, reason="letter")) for number, day in ((2, "20700101"), (1, "20990101"))
    ]
    assert kept(dossier, *deaths, preset="england") == "2078-01-01"


@pytest.mark.parametrize("what", ["2054-03-08", "9998-12-31"])
def test_lock_until_then_the_last_day_has_ended_in_every_time_zone(what: str) -> None:
    retention = Retention(terms=(Term(code="A", until=date.fromisoformat(what), source=""),))
    day = date.fromisoformat(what)
    assert retention.lock_until == datetime(day.year, day.month, day.day, tzinfo=UTC) + (
        datetime(2024, 1, 2, 12) - datetime(2024, 1, 1)
    )


def test_table_then_every_preset_of_the_settings_is_there_and_each_rule_names_its_source() -> None:
    rules = table()

    assert set(rules) == {*PRESETS, "always"}
    assert all(rule.source and rule.years > 0 for found in rules.values() for rule in found)
    assert [rule.code for found in rules.values() for rule in found if not rule.confirmed] == ["UK-CHILDREN"]
    codes = [rule.code for found in rules.values() for rule in found]
    assert len(codes) == len(set(codes))


DAYS = st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 12, 31))


@given(first=DAYS, days=st.integers(0, 4000), birth=st.none() | DAYS, death=st.none() | DAYS, sealing=DAYS)
def test_terms_then_a_fact_that_becomes_known_never_shortens(
    first: date, days: int, birth: date | None, death: date | None, sealing: date
) -> None:
    last = date.fromordinal(first.toordinal() + days)
    rules = tuple(rule for found in table().values() for rule in found)
    poor = Life(first_treatment=first, last_treatment=last, sealing=sealing)
    rich = replace(poor, birth=birth, death=death)

    longest = [max(term.until for term in terms_of(life, rules)) for life in (poor, rich)]

    assert longest[0] <= longest[1]
    assert longest[0] >= years_after(last, 31)


@given(start=DAYS, years=st.integers(0, 200))
def test_years_after_then_it_is_never_a_day_too_early(start: date, years: int) -> None:
    end = years_after(start, years)

    assert (end.year, end.month, end.day) >= (start.year + years, start.month, start.day)
    assert end.toordinal() - start.toordinal() in range(years * 365, years * 366 + 1)


def test_terms_when_a_rule_is_for_minors_then_the_18th_birthday_parts_them() -> None:
    rule = Rule(code="M", after="birth", years=48, minors_only=True, source="x")
    first = date(2024, 2, 29)
    for birth, holds in ((date(2006, 2, 28), False), (date(2006, 3, 1), True)):
        life = Life(first_treatment=first, last_treatment=first, birth=birth)
        assert bool(terms_of(life, [rule])) is holds
    leap = Life(first_treatment=date(2026, 2, 28), last_treatment=first, birth=date(2008, 2, 29))
    assert terms_of(leap, [rule])  # comes of age on 1 March 2026


def hold(number: int, held: bool, *plans: str) -> Decision:
    act = SetHold(plan_uids=tuple(map(uid, plans)), held=held, reason="court")
    return decision(number, act)


def test_hold_then_the_newest_word_about_each_plan_counts(dossier: Dossier) -> None:
    first, lifted, again = hold(1, True, "plan"), hold(2, False, "plan"), hold(3, True, "plan")

    assert hold_of(dossier, []) is None
    assert hold_of(dossier, [first]) == first
    assert hold_of(dossier, [lifted, first]) is None
    assert hold_of(dossier, [again, lifted, first]) == again
    assert hold_of(dossier, [hold(1, True, "another")]) is None


def test_hold_when_only_another_part_of_the_course_was_let_go_then_it_stands(dossier: Dossier) -> None:
    both = hold(1, True, "plan", "boost")
    assert hold_of(dossier, [both, hold(2, False, "boost")]) == both
    assert hold_of(dossier, [both, hold(2, False, "plan")]) is None
