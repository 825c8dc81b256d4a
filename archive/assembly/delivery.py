"""What was delivered: fractions, sessions and interruptions, told by treatment records alone.

Rules (element 10 of the summary's table): fractions are the distinct Current
Fraction Numbers per plan and fraction group with a delivered meterset above
zero and a delivery type of TREATMENT, CONTINUATION (merged) or none; portal
films add meterset but are no fraction. Where the number is missing, date and
time stand for it. Where no meterset is told at all (brachytherapy), a normal
end is a whole fraction.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median

from archive.dates import parse_date as parse_date  # other rooms take it from here
from archive.headers import PlanHeader, RecordedBeam, RecordHeader
from archive.model import Fraction, Held, Interruption, Session

SESSION_GAP = timedelta(hours=2)
TREATING = frozenset({"TREATMENT", "CONTINUATION", ""})
"""Treatment Delivery Types that give dose to the patient as planned; portal films and setup fields do not."""

_WEEKEND = 5


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One recorded beam in its record, and the fraction group it was given for."""

    held: Held
    record: RecordHeader
    beam: RecordedBeam
    group_number: int | None

    @property
    def fraction(self) -> tuple[int | None, object]:
        number = self.beam.fraction_number
        return (self.group_number, number if number is not None else _moment(self.record))


def fractions_of(plan_uid: str, plan: PlanHeader, records: Iterable[Held]) -> tuple[Fraction, ...]:
    """Return the fractions of one plan that its records tell, in order of date, time and number.

    `Fraction.share` is the meterset delivered over the meterset planned for one
    fraction; the plan's own metersets count, those specified in the records
    where the plan is unseen or names none.
    """
    by_fraction: dict[tuple[int | None, object], list[_Delivery]] = {}
    for delivery in _deliveries(plan, records):
        by_fraction.setdefault(delivery.fraction, []).append(delivery)
    fractions = (_fraction(plan_uid, plan, deliveries) for deliveries in by_fraction.values())
    return tuple(sorted((one for one in fractions if one.share > 0), key=_order))


def _deliveries(plan: PlanHeader, records: Iterable[Held]) -> Iterator[_Delivery]:
    # Records may leave the group out (type 3); in a plan of one group there is no doubt which it is.
    only_group = plan.fraction_groups[0].number if len(plan.fraction_groups) == 1 else None
    for held in records:
        record = held.header.record
        if record is None:
            continue
        group_number = only_group if record.fraction_group_number is None else record.fraction_group_number
        for beam in record.beams:
            if beam.delivery_type in TREATING:
                yield _Delivery(held, record, beam, group_number)


def _fraction(plan_uid: str, plan: PlanHeader, deliveries: Sequence[_Delivery]) -> Fraction:
    first = min(deliveries, key=lambda one: (*_moment(one.record), one.held.uid))
    planned = _planned_metersets(plan, first.group_number) or _specified_metersets(deliveries)
    delivered = _delivered_metersets(deliveries)
    return Fraction(
        plan_uid=plan_uid,
        group_number=first.group_number,
        number=first.beam.fraction_number,
        date=first.record.date,
        time=first.record.time,
        share=_share(delivered, planned, deliveries),
        visits=tuple(sorted({_moment(one.record) for one in deliveries})),
        record_uids=tuple(sorted({one.held.uid for one in deliveries})),
        planned_metersets=tuple(sorted(planned.items())),
        delivered_metersets=tuple(sorted(delivered.items())),
        is_interrupted=not _ended_normally(deliveries),
    )


def _planned_metersets(plan: PlanHeader, group_number: int | None) -> dict[int, float]:
    groups = [group for group in plan.fraction_groups if group_number is None or group.number == group_number]
    treating = {beam.number for beam in plan.beams if beam.delivery_type in TREATING}
    return {
        beam.beam_number: beam.meterset
        for group in groups[:1]
        for beam in group.beams
        if beam.meterset and beam.beam_number in treating
    }


def _specified_metersets(deliveries: Sequence[_Delivery]) -> dict[int, float]:
    # A continuation may specify only the rest, so the largest figure of a beam is the whole.
    specified: dict[int, float] = {}
    for one in deliveries:
        number, meterset = one.beam.beam_number, one.beam.specified_meterset
        if meterset:
            specified[number] = max(specified.get(number, 0.0), meterset)
    return specified


def _delivered_metersets(deliveries: Sequence[_Delivery]) -> dict[int, float]:
    """Add up what was delivered by each beam, beams of unknown meterset left out."""
    delivered: dict[int, float] = {}
    for one in deliveries:
        if one.beam.delivered_meterset is not None:
            number = one.beam.beam_number
            delivered[number] = round(delivered.get(number, 0.0) + one.beam.delivered_meterset, 6)
    return delivered


def _share(delivered: dict[int, float], planned: dict[int, float], deliveries: Sequence[_Delivery]) -> float:
    if not delivered:
        return 1.0 if _ended_normally(deliveries) else 0.0
    total = sum(planned.values())
    if total > 0:
        return round(sum(delivered.get(number, 0.0) for number in planned) / total, 6)
    return 1.0 if sum(delivered.values()) > 0 else 0.0


def _ended_normally(deliveries: Sequence[_Delivery]) -> bool:
    return all(one.beam.termination in {"", "NORMAL"} for one in deliveries)


def sessions_of(fractions: Iterable[Fraction]) -> tuple[Session, ...]:
    """Group the fractions of one patient: a session holds what starts less than two hours after it began.

    A fraction that was broken off and continued on another day took two visits, and stands in both sessions.
    """
    visits = [(visit, fraction) for fraction in fractions for visit in fraction.visits]
    sessions: list[list[tuple[tuple[str, str], Fraction]]] = []
    for visit, fraction in sorted(visits, key=lambda one: (starts_at(*one[0]), one[0], _order(one[1]))):
        if sessions and starts_at(*visit) - starts_at(*sessions[-1][0][0]) < SESSION_GAP:
            sessions[-1].append((visit, fraction))
        else:
            sessions.append([(visit, fraction)])
    return tuple(_session(one) for one in sessions)


def _session(visits: Sequence[tuple[tuple[str, str], Fraction]]) -> Session:
    day, time = visits[0][0]
    return Session(date=day, time=time, fractions=tuple(dict.fromkeys(fraction for _, fraction in visits)))


def interruptions_of(sessions: Sequence[Session]) -> tuple[Interruption, ...]:
    """Return the gaps that are longer than this course's own rhythm, so that every other day is no interruption.

    Steps are counted in weekdays. The rhythm is their median, or a longer step
    that makes up two in five of them: Mondays and Thursdays are three and two
    weekdays apart in turn.
    """
    days = sorted({day for session in sessions if (day := parse_date(session.date))})
    steps = [(before, after, _weekdays(before, after)) for before, after in pairwise(days)]
    if not steps:
        return ()
    rhythm = _rhythm([step for _, _, step in steps])
    return tuple(
        Interruption(last_before=before, first_after=after, weekdays_missed=step - rhythm)
        for before, after, step in steps
        if step > rhythm
    )


def _rhythm(steps: Sequence[int]) -> int:
    usual = max(1, int(median(steps)))
    regular = (step for step, times in Counter(steps).items() if times > 1 and 5 * times >= 2 * len(steps))
    return max((usual, *regular))


def usual_per_day(fractions: Iterable[Fraction]) -> int | None:
    """Return how many fractions of one prescription a treatment day usually had, None without fractions.

    One day with two, to make up a lost one, does not make a course twice daily.
    """
    days = Counter(fraction.date for fraction in fractions)
    usual = Counter(days.values())
    return min(usual, key=lambda count: (-usual[count], count), default=None)


def _weekdays(before: date, after: date) -> int:
    span = (after - before).days
    return sum(1 for step in range(1, span + 1) if (before + timedelta(days=step)).weekday() < _WEEKEND) or 1


def _moment(record: RecordHeader) -> tuple[str, str]:
    return (record.date, record.time)


def _order(fraction: Fraction) -> tuple[datetime, str, str, str, int, int]:
    written = (fraction.date, fraction.time)
    return (starts_at(*written), *written, fraction.plan_uid, fraction.group_number or 0, fraction.number or 0)


def starts_at(day_written: str, time_written: str) -> datetime:
    """Return when something began, by DA and TM as written: what is missing counts as the earliest there can be."""
    day = parse_date(day_written) or date.min
    digits = "".join(filter(str.isdigit, time_written.split(".")[0]))[:6].ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    clock = timedelta(hours=min(hours, 23), minutes=min(minutes, 59), seconds=min(seconds, 59))
    return datetime(day.year, day.month, day.day) + clock
