"""Fractions, sessions and interruptions as treatment records tell them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from archive.assembly.delivery import fractions_of, interruptions_of, sessions_of, usual_per_day
from archive.dates import parse_date
from archive.headers import InstanceHeader, PlanHeader
from archive.model import Fraction, Held, Interruption
from tests.factories import (
    MONDAY,
    beam,
    da,
    group,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    uid,
    weekdays,
)

PLAN = uid("plan")


def told(*headers: InstanceHeader, plan: PlanHeader | None = None) -> tuple[Fraction, ...]:
    held = [Held(receipt=receipt(header)) for header in headers]
    return fractions_of(PLAN, plan or plan_header(), held)


def test_fractions_when_each_day_has_a_record_then_each_is_one() -> None:
    fractions = told(*records(5))

    assert [fraction.number for fraction in fractions] == [1, 2, 3, 4, 5]
    assert {fraction.share for fraction in fractions} == {1.0}
    assert [fraction.date for fraction in fractions] == [da(day) for day in weekdays(MONDAY, 5)]


def test_fractions_when_each_beam_has_its_own_record_then_they_are_one_fraction() -> None:
    plan = plan_header(beams=(beam(1), beam(2)), fraction_groups=(group(metersets=(100.0, 50.0)),))
    first = record("a", recorded(1, beam_number=1, mu=100), time="0900")
    second = record("b", recorded(1, beam_number=2, mu=50), time="0905")

    (fraction,) = told(first, second, plan=plan)

    assert (fraction.share, fraction.time) == (1.0, "0900")
    assert fraction.delivered_metersets == fraction.planned_metersets == ((1, 100.0), (2, 50.0))
    assert fraction.record_uids == tuple(sorted((uid("a"), uid("b"))))


def test_fractions_when_one_is_continued_then_both_parts_are_merged() -> None:
    part = record("a", recorded(1, mu=40, termination="MACHINE"), time="0900")
    rest = record("b", recorded(1, mu=60, delivery_type="CONTINUATION"), time="1400")

    (fraction,) = told(part, rest)

    assert (fraction.share, fraction.is_interrupted) == (1.0, True)


def test_fractions_when_it_is_continued_on_the_next_day_then_the_first_day_counts() -> None:
    part = record("a", recorded(1, mu=40, termination="MACHINE"))
    rest = record("b", recorded(1, mu=60, delivery_type="CONTINUATION"), day=MONDAY + timedelta(days=1))

    (fraction,) = told(rest, part)

    assert (fraction.share, fraction.date) == (1.0, da(MONDAY))
    assert [session.date for session in sessions_of([fraction])] == [da(MONDAY), da(MONDAY + timedelta(days=1))]


def test_fractions_when_one_is_cut_short_then_its_share_is_by_meterset() -> None:
    plan = plan_header(beams=(beam(1), beam(2)), fraction_groups=(group(metersets=(100.0, 300.0)),))
    cut = record("a", recorded(1, beam_number=1, mu=100), recorded(1, beam_number=2, mu=60, termination="OPERATOR"))

    (fraction,) = told(cut, plan=plan)

    assert fraction.share == pytest.approx(160 / 400)
    assert fraction.is_interrupted


@pytest.mark.parametrize("kind", ["TRMT_PORTFILM", "OPEN_PORTFILM", "SETUP"])
def test_fractions_when_a_portal_film_was_taken_then_it_is_no_fraction(kind: str) -> None:
    assert told(record("film", recorded(1, mu=3, delivery_type=kind))) == ()


def test_fractions_when_nothing_was_delivered_then_it_is_no_fraction() -> None:
    assert told(record("a", recorded(1, mu=0, termination="OPERATOR"))) == ()


def test_fractions_when_the_delivery_type_is_empty_then_it_counts() -> None:
    assert len(told(record("a", recorded(1, delivery_type="")))) == 1


def test_fractions_when_numbers_are_missing_then_date_and_time_stand_for_them() -> None:
    fractions = told(
        record("a", recorded(None), time="0900"),
        record("b", recorded(None), time="1600"),
        record("c", recorded(None), day=MONDAY + timedelta(days=1)),
    )

    assert [(one.number, one.date, one.time) for one in fractions] == [
        (None, da(MONDAY), "0900"),
        (None, da(MONDAY), "1600"),
        (None, da(MONDAY + timedelta(days=1)), "0900"),
    ]


def test_fractions_when_a_plan_has_several_groups_then_equal_numbers_are_two_fractions() -> None:
    plan = plan_header(
        beams=(beam(1), beam(2)),
        fraction_groups=(group(1, 13), group(2, 12, metersets=(), beams=group(metersets=(None, 80.0)).beams)),
    )
    fractions = told(
        record("a", recorded(1, beam_number=1, mu=100), group_number=1),
        record("b", recorded(1, beam_number=2, mu=80), group_number=2, day=MONDAY + timedelta(days=20)),
        plan=plan,
    )

    assert [(one.group_number, one.number, one.share) for one in fractions] == [(1, 1, 1.0), (2, 1, 1.0)]


def test_fractions_when_some_records_leave_out_the_only_group_then_they_still_are_one_fraction() -> None:
    part = record("a", recorded(1, mu=40, termination="MACHINE"), group_number=None)
    rest = record("b", recorded(1, mu=60, delivery_type="CONTINUATION"), group_number=1)

    (fraction,) = told(part, rest)

    assert (fraction.group_number, fraction.share) == (1, 1.0)


def test_fractions_when_the_plan_is_unseen_then_the_specified_meterset_is_the_whole() -> None:
    (fraction,) = told(record("a", recorded(1, mu=50, specified_meterset=200.0)), plan=PlanHeader())

    assert fraction.share == 0.25


def test_fractions_when_a_setup_beam_has_a_meterset_then_it_is_not_part_of_the_whole() -> None:
    plan = plan_header(
        beams=(beam(1), beam(2, delivery_type="SETUP")), fraction_groups=(group(metersets=(100.0, 5.0)),)
    )

    (fraction,) = told(record("a", recorded(1)), plan=plan)

    assert fraction.share == 1.0


def test_fractions_when_records_tell_no_meterset_then_a_normal_end_is_a_whole_fraction() -> None:
    normal = record("a", recorded(1, mu=None, specified_meterset=None))
    broken = record("b", recorded(2, mu=None, termination="OPERATOR"), day=MONDAY + timedelta(days=1))

    (fraction,) = told(normal, broken)

    assert (fraction.number, fraction.share, fraction.delivered_metersets) == (1, 1.0, ())


def test_fractions_when_a_meterset_is_delivered_but_none_is_planned_then_the_fraction_is_not_lost() -> None:
    (fraction,) = told(record("a", recorded(1, mu=50, specified_meterset=None)), plan=PlanHeader())

    assert (fraction.share, fraction.planned_metersets) == (1.0, ())


def test_fractions_of_brachytherapy_then_setups_count() -> None:
    plan = PlanHeader(brachy_treatment="HDR", fraction_groups=(group(fractions=3, metersets=(None,)),))
    insertions = [
        record(
            f"i{n}", recorded(n, mu=None, specified_meterset=None, delivery_type=""), day=MONDAY + timedelta(days=7 * n)
        )
        for n in (1, 2, 3)
    ]

    assert [one.share for one in told(*insertions, plan=plan)] == [1.0, 1.0, 1.0]


def fraction(day: date = MONDAY, time: str = "0900", plan: str = "plan", number: int = 1) -> Fraction:
    return Fraction(
        plan_uid=uid(plan),
        group_number=1,
        number=number,
        date=da(day),
        time=time,
        visits=((da(day), time),),
        share=1.0,
        record_uids=(),
    )


def test_sessions_when_a_fraction_is_continued_another_day_then_it_took_two_visits() -> None:
    later = MONDAY + timedelta(days=3)
    broken_off = replace(fraction(number=7), visits=((da(MONDAY), "0900"), (da(later), "1000")))

    sessions = sessions_of([broken_off, fraction(day=later, time="1500", number=8)])

    assert [one.date for one in sessions] == [da(MONDAY), da(later), da(later)]
    assert interruptions_of(sessions_of([broken_off])) == ()


def test_sessions_when_plans_are_given_together_then_patients_count_one() -> None:
    together = [fraction(time=f"09{minute}0", plan=f"p{minute}") for minute in range(5)]

    (session,) = sessions_of(together)

    assert (session.date, session.time, len(session.fractions)) == (da(MONDAY), "0900", 5)


@pytest.mark.parametrize(
    ("second", "count"), [("1059", 1), ("1100", 2), ("105959.999", 1), ("1500", 2), ("", 1)], ids=repr
)
def test_sessions_when_two_fractions_share_a_day_then_two_hours_part_them(second: str, count: int) -> None:
    first = fraction(time="0900" if second else "")

    assert len(sessions_of([first, fraction(time=second, number=2)])) == count


def test_sessions_when_midnight_lies_between_then_it_is_still_one() -> None:
    late = [fraction(time="2330"), fraction(day=MONDAY + timedelta(days=1), time="0030", number=2)]

    assert len(sessions_of(late)) == 1


@pytest.mark.parametrize("broken", ["", "99999999", "tomorrow"])
def test_sessions_when_a_date_is_broken_then_nothing_is_raised(broken: str) -> None:
    odd = replace(fraction(), date=broken, time="xx", visits=((broken, "xx"),))

    assert len(sessions_of([odd, fraction()])) == 2


def interruptions(days: list[date]) -> tuple[Interruption, ...]:
    return interruptions_of(sessions_of(fraction(day, number=number) for number, day in enumerate(days, 1)))


def steps(start: date, *gaps: int) -> list[date]:
    days = [start]
    for gap in gaps:
        days.append(days[-1] + timedelta(days=gap))
    return days


def test_interruptions_when_only_weekends_are_free_then_there_are_none() -> None:
    assert interruptions(weekdays(MONDAY, 25)) == ()


def test_interruptions_when_a_holiday_falls_on_a_monday_then_one_weekday_is_missed() -> None:
    days = weekdays(MONDAY, 16)
    holiday = days.pop(10)

    (pause,) = interruptions(days)

    assert holiday.weekday() == 0
    assert (pause.last_before, pause.first_after) == (holiday - timedelta(days=3), holiday + timedelta(days=1))
    assert pause.weekdays_missed == 1


def test_interruptions_when_a_week_is_missed_then_five_weekdays_are() -> None:
    days = weekdays(MONDAY, 10) + weekdays(MONDAY + timedelta(days=21), 10)

    assert [pause.weekdays_missed for pause in interruptions(days)] == [5]


@pytest.mark.parametrize(
    "gaps",
    [(2, 2, 3, 2, 2, 3, 2, 2), (3, 4, 3, 4, 3, 4), (4, 3, 4, 3, 4), (7, 7, 7, 7)],
    ids=["Mondays, Wednesdays, Fridays", "Mondays, Thursdays", "Thursdays, Mondays", "weekly"],
)
def test_interruptions_when_the_course_has_its_own_rhythm_then_there_are_none(gaps: tuple[int, ...]) -> None:
    start = MONDAY + timedelta(days=3) if gaps[0] == 4 else MONDAY

    assert interruptions(steps(start, *gaps)) == ()


def test_interruptions_when_every_other_day_is_missed_once_then_it_is_found() -> None:
    (pause,) = interruptions(steps(MONDAY, 2, 2, 3, 2, 5, 2, 2, 3))

    assert pause.first_after - pause.last_before == timedelta(days=5)


@pytest.mark.parametrize("count", [0, 1])
def test_interruptions_of_fewer_than_two_days_then_there_are_none(count: int) -> None:
    assert interruptions(weekdays(MONDAY, count)) == ()


def test_usual_per_day_when_given_twice_daily_then_two() -> None:
    twice = [fraction(time=time, number=number) for number, time in enumerate(("0800", "1500"), 1)]

    assert usual_per_day(twice) == 2
    assert usual_per_day([]) is None


def test_usual_per_day_when_one_day_made_up_for_another_then_one() -> None:
    days = [MONDAY, MONDAY + timedelta(days=1), MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)]

    assert usual_per_day(fraction(day, number=number) for number, day in enumerate(days, 1)) == 1


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20240304", MONDAY),
        ("20240304083000", MONDAY),
        ("", None),
        ("2024030", None),
        ("20240230", None),
        ("2024.03.04", None),
        ("２０２４０３０４", None),
    ],
)
def test_parse_date_then_only_real_days_are_read(text: str, day: date | None) -> None:
    assert parse_date(text) == day
