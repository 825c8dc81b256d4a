"""Gate rules about days and hours: what came before what, how close fractions lie, how long a course stood still."""

from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise

from archive.assembly.delivery import starts_at
from archive.assembly.prescription import is_replaced
from archive.dates import parse_date
from archive.gate.imaging import delivered, label_of, needed, planned_on, shared_text
from archive.gate.raised import Raised, Rule, Surroundings, Term
from archive.model import Dossier, Fraction, Held, Plan

_SECONDS_AN_HOUR = 3600
_LONGEST_LIFE_YEARS = 120


def dates_disordered(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Images come before contours, contours before the plan, the plan before its approval."""
    for plan in needed(dossier):
        steps = [(what, day) for what, day in _steps(dossier, plan) if day]
        for (before, earlier), (after, later) in pairwise(steps):
            if later < earlier:
                params = {
                    "label": label_of(plan),
                    "before": Term(before),
                    "earlier": earlier.isoformat(),
                    "after": Term(after),
                    "later": later.isoformat(),
                }
                subject = f"{plan.uid}/{before}"
                yield Raised(code="DATES-DISORDERED", subject=subject, params=params, instance_uids=(plan.uid,))


def _steps(dossier: Dossier, plan: Plan) -> Iterator[tuple[str, date | None]]:
    images = [day for held in planned_on(dossier, plan.structure_sets) if (day := _taken_on(held))]
    contours = [day for held in plan.structure_sets if (day := _drawn_on(held))]
    yield "images", min(images, default=None)
    yield "contours", min(contours, default=None)
    yield "plan", parse_date(plan.header.date)
    yield "approval", parse_date(plan.header.review_date)


def _taken_on(image: Held) -> date | None:
    return parse_date(shared_text(image, "AcquisitionDate")) or parse_date(image.header.study_date)


def _drawn_on(held: Held) -> date | None:
    structures = held.header.structure_set
    return parse_date(structures.date) if structures else None


def treated_before_plan(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Nobody is treated with a plan that is not made yet, or not approved yet."""
    for plan in delivered(dossier):
        first = min((day for one in plan.fractions if (day := parse_date(one.date))), default=None)
        steps = {"TREATED-BEFORE-PLAN": plan.header.date, "TREATED-BEFORE-APPROVAL": plan.header.review_date}
        for code, text in steps.items():
            day = parse_date(text)
            if first and day and first < day:
                params = {"label": label_of(plan), "first": first.isoformat(), "date": day.isoformat()}
                yield Raised(code=code, subject=plan.uid, params=params, instance_uids=(plan.uid,))


def superseded_delivered(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Once a new revision is in use, its predecessor is not delivered any more."""
    plans = {plan.uid: plan for plan in dossier.plans}
    for plan in dossier.plans:
        began = min((day for one in plan.fractions if (day := parse_date(one.date))), default=None)
        for uid in plan.header.replaces:
            old = plans.get(uid)
            if began is None or old is None or not is_replaced(old, plan):
                continue
            after = [one for one in old.fractions if (day := parse_date(one.date)) and day > began]
            if after:
                params = {
                    "label": label_of(old),
                    "newer": label_of(plan),
                    "since": began.isoformat(),
                    "count": len(after),
                }
                uids = tuple(record for one in after for record in one.record_uids)
                subject = f"{old.uid}/{plan.uid}"
                yield Raised(code="SUPERSEDED-DELIVERED", subject=subject, params=params, instance_uids=uids)


def fractions_close(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """Two fractions of one plan need hours between them, or healthy tissue does not recover."""
    for plan in delivered(dossier):
        least = around.demands.number("FRACTIONS-CLOSE", "least_hours", plan.uid)
        started = ((start, one) for one in plan.fractions if (start := _start(one)))
        dated = sorted(started, key=lambda pair: pair[0])
        for (before, _one), (after, one) in pairwise(dated):
            hours = (after - before).total_seconds() / _SECONDS_AN_HOUR
            if hours < least:
                params = {"label": label_of(plan), "date": f"{after:%Y-%m-%d}", "hours": f"{hours:.1f}"}
                subject = f"{plan.uid}/{one.group_number}/{one.number}/{one.date}"
                yield Raised(code="FRACTIONS-CLOSE", subject=subject, params=params, instance_uids=one.record_uids)


def _start(fraction: Fraction) -> datetime | None:
    return starts_at(fraction.date, fraction.time) if parse_date(fraction.date) and fraction.time else None


def interruption_long(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A course that stood still for days may need compensation; a doctor should have thought of it."""
    most = around.demands.number("INTERRUPTION-LONG", "most_weekdays")
    for pause in dossier.interruptions:
        if pause.weekdays_missed > most:
            params = {
                "days": pause.weekdays_missed,
                "last": pause.last_before.isoformat(),
                "first": pause.first_after.isoformat(),
            }
            subject = pause.first_after.isoformat()
            yield Raised(code="INTERRUPTION-LONG", subject=subject, params=params)


def birth_date_implausible(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Nobody is treated before being born, or after a hundred and twenty years."""
    born, first = parse_date(dossier.person.birth_date), parse_date(dossier.first_fraction)
    if born and first and not 0 <= (first - born).days / 365.25 <= _LONGEST_LIFE_YEARS:
        yield Raised(code="BIRTH-DATE-IMPLAUSIBLE", params={"born": born.isoformat(), "first": first.isoformat()})


ORDER_RULES: tuple[Rule, ...] = (
    dates_disordered,
    treated_before_plan,
    superseded_delivered,
    fractions_close,
    interruption_long,
    birth_date_implausible,
)
