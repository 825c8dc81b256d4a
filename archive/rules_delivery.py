"""Gate rules about what was delivered: records, fractions, metersets, machine, the end of the course."""

from collections.abc import Iterator

from archive.courses import CourseRules, interval_of
from archive.delivery import parse_date
from archive.model import DeliveryState, Dossier, Fraction, Held, Plan
from archive.raised import Raised, Rule, Surroundings
from archive.rules_content import label_of

WHOLE_FRACTION = 0.99
"""A fraction with at least this part of its planned meterset counts as whole."""

EXCESS_FRACTION = 1.02
"""A fraction with more than this part of its planned meterset is urgent."""

_EXPLAINED = frozenset({"stopped", "died", "transferred", "never-started"})


def records_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan without treatment records may or may not have been delivered."""
    for plan in dossier.plans:
        if plan.delivery_state is DeliveryState.UNKNOWN and dossier.outcome != "never-started":
            uids = (plan.uid,) if plan.held else tuple(held.uid for held in plan.doses)
            yield Raised(code="RECORDS-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=uids)


def fractions_differ(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Each phase must have as many fractions as planned; too many is urgent."""
    for phase in dossier.phases:
        if phase.fractions_planned is None or not phase.fractions_delivered:
            continue
        plan = next(plan for plan in dossier.plans if plan.uid == phase.plan_uids[-1])
        label = label_of(plan) if phase.group_number in (None, 1) else f"{label_of(plan)} group {phase.group_number}"
        params = {"label": label, "planned": phase.fractions_planned, "recorded": phase.fractions_delivered}
        subject = f"{plan.uid}/{phase.group_number}"
        uids = tuple(held.uid for held in plan.records)
        if phase.fractions_delivered > phase.fractions_planned:
            yield Raised(code="FRACTIONS-EXCESS", subject=subject, params=params, instance_uids=uids)
        elif phase.fractions_delivered < phase.fractions_planned and dossier.outcome not in _EXPLAINED:
            yield Raised(code="FRACTIONS-MISSING", subject=subject, params=params, instance_uids=uids)


def metersets_differ(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Each fraction must have its planned meterset: less must be made up, more is urgent."""
    for plan in dossier.plans:
        for fraction in plan.fractions:
            if WHOLE_FRACTION <= fraction.share <= EXCESS_FRACTION:
                continue
            code = "METERSET-DIFFERS" if fraction.share > EXCESS_FRACTION else "FRACTION-PARTIAL"
            yield Raised(
                code=code,
                subject=f"{plan.uid}/{fraction.group_number}/{fraction.number}/{fraction.date}",
                params=_shown(plan, fraction),
                instance_uids=fraction.record_uids,
            )


def _shown(plan: Plan, fraction: Fraction) -> dict[str, object]:
    day = parse_date(fraction.date)
    return {
        "label": label_of(plan),
        "number": "?" if fraction.number is None else fraction.number,
        "date": day.isoformat() if day else "an unknown day",
        "percent": f"{100 * fraction.share:.0f}",
    }


def fraction_numbers(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """The fraction numbers of a plan must run from one without gaps."""
    for plan in dossier.plans:
        groups: dict[int | None, list[int | None]] = {}
        for fraction in plan.fractions:
            groups.setdefault(fraction.group_number, []).append(fraction.number)
        for group_number, numbers in groups.items():
            told = sorted(number for number in numbers if number is not None)
            missing = sorted(set(range(1, max(told, default=0))).difference(told))
            if missing or len(told) < len(numbers):
                shown = ", ".join(map(str, missing)) or "not told"
                yield Raised(
                    code="FRACTION-NUMBERS",
                    subject=f"{plan.uid}/{group_number}",
                    params={"label": label_of(plan), "numbers": shown},
                    instance_uids=tuple(held.uid for held in plan.records),
                )


def machine_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan must be delivered on the machine it was made for."""
    for plan in dossier.plans:
        planned = {beam.machine for beam in plan.header.beams if beam.machine}
        recorded = {_machine(held) for held in plan.records} - {""}
        for machine in sorted(recorded - planned) if planned else ():
            yield Raised(
                code="MACHINE-DIFFERS",
                subject=f"{plan.uid}/{machine}",
                params={"label": label_of(plan), "planned": ", ".join(sorted(planned)), "recorded": machine},
                instance_uids=tuple(held.uid for held in plan.records if _machine(held) == machine),
            )


def _machine(held: Held) -> str:
    return held.header.record.machine if held.header.record else ""


def course_boundary(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A gap of 15 to 90 days to another course, or inside this one, is for a doctor to name."""
    least, most = CourseRules().doubtful_gap_days
    own = interval_of(dossier.plans)
    gaps = [gap for other in around.neighbours if (gap := own.gap_days(other)) is not None]
    gaps += [(pause.first_after - pause.last_before).days for pause in dossier.interruptions]
    doubtful = [gap for gap in gaps if least <= gap <= most]
    if doubtful:
        yield Raised(code="COURSE-BOUNDARY", params={"days": min(doubtful)})


def not_closed(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Somebody must state that the course has ended; the records propose it once all planned sessions are there."""
    if dossier.close is not None:
        return
    phases = [phase for phase in dossier.phases if phase.fractions_planned]
    is_done = bool(phases) and all(phase.fractions_delivered >= (phase.fractions_planned or 0) for phase in phases)
    last = parse_date(dossier.last_fraction)
    proposal = f" All planned fractions are recorded, the last on {last.isoformat()}." if is_done and last else ""
    yield Raised(code="NOT-CLOSED", params={"proposal": proposal})


DELIVERY_RULES: tuple[Rule, ...] = (
    records_missing,
    fractions_differ,
    metersets_differ,
    fraction_numbers,
    machine_differs,
    course_boundary,
    not_closed,
)
