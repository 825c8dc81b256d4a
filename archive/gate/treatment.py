"""Gate rules about what was delivered: records, fractions, metersets, machine, the end of the course."""

import math
from collections.abc import Iterator
from dataclasses import replace

from archive.assembly.courses import interval_of
from archive.assembly.plans import is_quality_assurance
from archive.dates import parse_date
from archive.gate.imaging import delivered, label_of
from archive.gate.raised import Raised, Rule, Surroundings, Term
from archive.model import DeliveryState, Dossier, Fraction, Held, Phase, Plan

_EXPLAINED = frozenset({"stopped", "died", "transferred", "never-started"})
_ENDED = frozenset({"STOPPED", "COMPLETED"})
"""Current Treatment Status of a treatment summary record that proposes to close (PS3.3 C.8.8.23)."""


def records_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan without treatment records may or may not have been delivered."""
    for plan in dossier.plans:
        if plan.delivery_state is DeliveryState.UNKNOWN and dossier.outcome != "never-started":
            uids = (plan.uid,) if plan.held else tuple(held.uid for held in plan.doses)
            yield Raised(code="RECORDS-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=uids)


def quality_assurance_delivered(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Records of a plan made for a phantom or a machine are no treatment of the patient."""
    for plan in delivered(dossier):
        if plan.fractions and is_quality_assurance(plan.header):
            params = {"label": label_of(plan), "intent": plan.header.intent, "recorded": len(plan.fractions)}
            uids = tuple(held.uid for held in plan.records)
            yield Raised(code="QA-DELIVERED", subject=plan.uid, params=params, instance_uids=uids)


def rejected_delivered(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan that was rejected is not for treatment (PS3.3 C.8.8.16)."""
    for plan in delivered(dossier):
        if plan.fractions and plan.header.approval == "REJECTED":
            params = {"label": label_of(plan), "recorded": len(plan.fractions)}
            uids = tuple(held.uid for held in plan.records)
            yield Raised(code="REJECTED-DELIVERED", subject=plan.uid, params=params, instance_uids=uids)


def records_undated(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A treatment record must tell its day: interruptions, sessions and retention count from it."""
    for plan in dossier.plans:
        undated = [held.uid for held in plan.records if _tells_beams_but_no_day(held)]
        if undated:
            params = {"label": label_of(plan), "count": len(undated)}
            yield Raised(code="RECORDS-UNDATED", subject=plan.uid, params=params, instance_uids=tuple(undated))


def _tells_beams_but_no_day(held: Held) -> bool:
    record = held.header.record
    return record is not None and bool(record.beams) and parse_date(record.date) is None


def termination_abnormal(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A beam that ended otherwise than planned is worth a look, even where its meterset was made up."""
    for plan in delivered(dossier):
        broken = [one for one in plan.fractions if one.is_interrupted]
        if broken:
            uids = tuple(uid for one in broken for uid in one.record_uids)
            params = {"label": label_of(plan), "count": len(broken)}
            yield Raised(code="TERMINATION-ABNORMAL", subject=plan.uid, params=params, instance_uids=uids)


def _phases_delivered(dossier: Dossier) -> Iterator[tuple[Phase, tuple[Plan, ...]]]:
    """Yield the phases of which something was delivered, with their plans, oldest first."""
    plans = {plan.uid: plan for plan in dossier.plans}
    for phase in dossier.phases:
        revisions = tuple(plans[uid] for uid in phase.plan_uids)
        if any(plan.delivery_state is DeliveryState.DELIVERED for plan in revisions):
            yield phase, revisions


def _label_of_phase(phase: Phase, newest: Plan) -> str:
    label = label_of(newest)
    return label if len(newest.header.fraction_groups) < 2 else f"{label} #{phase.group_number}"


def fractions_differ(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Each phase must have as many fractions as planned; too many is urgent."""
    for phase, revisions in _phases_delivered(dossier):
        newest = revisions[-1]
        raised = Raised(
            code="FRACTIONS-UNPLANNED",
            subject=f"{newest.uid}/{phase.group_number}",
            params={
                "label": _label_of_phase(phase, newest),
                "planned": phase.fractions_planned,
                "recorded": phase.fractions_delivered,
            },
            instance_uids=tuple(held.uid for plan in revisions for held in plan.records),
        )
        if phase.fractions_planned is None:
            if newest.held:
                yield raised
        elif phase.fractions_delivered > phase.fractions_planned:
            yield replace(raised, code="FRACTIONS-EXCESS")
        elif phase.fractions_delivered < phase.fractions_planned and dossier.outcome not in _EXPLAINED:
            yield replace(raised, code="FRACTIONS-MISSING")


def metersets_differ(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """Each beam of each fraction must have its planned meterset: less must be made up, more is urgent."""
    for plan in delivered(dossier):
        most = around.demands.number("METERSET-DIFFERS", "most_share", plan.uid)
        least = around.demands.number("FRACTION-PARTIAL", "least_share", plan.uid)
        for fraction in plan.fractions:
            ratios = _ratios(fraction)
            if ratios and max(ratios) > most:
                yield _meterset("METERSET-DIFFERS", plan, fraction, max(ratios))
            if ratios and min(ratios) < least:
                yield _meterset("FRACTION-PARTIAL", plan, fraction, min(ratios))


def _ratios(fraction: Fraction) -> list[float]:
    """Return delivered over planned meterset of each beam; infinite for a beam that was not planned."""
    planned, given = dict(fraction.planned_metersets), dict(fraction.delivered_metersets)
    if not planned or not given:
        return []
    ratios = [given.get(number, 0.0) / meterset for number, meterset in planned.items()]
    return ratios + [math.inf for number, meterset in given.items() if meterset and number not in planned]


def _meterset(code: str, plan: Plan, fraction: Fraction, ratio: float) -> Raised:
    day = parse_date(fraction.date)
    params = {
        "label": label_of(plan),
        "number": "?" if fraction.number is None else fraction.number,
        "date": day.isoformat() if day else "?",
        "percent": "?" if math.isinf(ratio) else f"{100 * ratio:.0f}",
    }
    subject = f"{plan.uid}/{fraction.group_number}/{fraction.number}/{fraction.date}/{fraction.time}"
    return Raised(code=code, subject=subject, params=params, instance_uids=fraction.record_uids)


def metersets_unknown(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A fraction whose planned or delivered meterset nobody tells can't be called whole."""
    for plan in delivered(dossier):
        recorded = (one for one in plan.fractions if one.record_uids)  # a treatment sheet tells no metersets
        vague = [one for one in recorded if not (one.planned_metersets and one.delivered_metersets)]
        if vague and plan.modality != "brachy":
            params = {"label": label_of(plan), "count": len(vague)}
            uids = tuple(dict.fromkeys(uid for one in vague for uid in one.record_uids))
            yield Raised(code="METERSET-UNKNOWN", subject=plan.uid, params=params, instance_uids=uids)


def fraction_numbers(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """The fraction numbers of a phase must run from one without gaps.

    A revision, or a later fraction group, may go on counting where the one before it stopped.
    """
    for phase, revisions in _phases_delivered(dossier):
        everything = [one for plan in revisions for one in plan.fractions]
        own = [one for one in everything if phase.group_number in (None, one.group_number)] or everything
        told = {one.number for one in own if one.number is not None}
        before = {one.number for one in everything} if told else set()
        missing = [number for number in range(1, max(told, default=0)) if number not in told]
        missing = [number for number in missing if number > min(told) or number not in before]
        if missing or any(one.number is None for one in own):
            newest = revisions[-1]
            yield Raised(
                code="FRACTION-NUMBERS",
                subject=f"{newest.uid}/{phase.group_number}",
                params={
                    "label": _label_of_phase(phase, newest),
                    "numbers": ", ".join(map(str, missing)) or Term("not-told"),
                },
                instance_uids=tuple(held.uid for plan in revisions for held in plan.records),
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
    """A gap of 15 to 90 days to another course, or inside this one, is for a doctor to name.

    Courses that lie closer were kept apart only because one of them is sealed; that is for a doctor as well.
    """
    least, most = around.rules.doubtful_gap_days
    own = interval_of(dossier.plans)
    gaps = [gap for other in around.neighbours if (gap := own.gap_days(other)) is not None]
    pauses = [(pause.first_after - pause.last_before).days for pause in dossier.interruptions]
    doubtful = [gap for gap in gaps if gap <= most] + [gap for gap in pauses if least <= gap <= most]
    if doubtful:
        yield Raised(code="COURSE-BOUNDARY", params={"days": min(doubtful)})


def not_closed(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Somebody must state that the course has ended; records propose it once all planned fractions are there."""
    if dossier.close is not None:
        return
    phases = [phase for phase in dossier.phases if phase.fractions_planned]
    is_done = bool(phases) and all(phase.fractions_delivered >= (phase.fractions_planned or 0) for phase in phases)
    statuses = {_status(held) for plan in dossier.plans for held in plan.records} & _ENDED
    last = parse_date(dossier.last_fraction)
    if last and (is_done or statuses):
        yield Raised(code="CLOSE-PROPOSED", params={"date": last.isoformat()})
    else:
        yield Raised(code="NOT-CLOSED")


def _status(held: Held) -> str:
    return held.header.record.treatment_status if held.header.record else ""


def close_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """What a person stated at the end of a course must agree with the records, also with those that come later."""
    close, last = dossier.close, parse_date(dossier.last_fraction)
    if close is None or last is None:
        return
    stated = parse_date(close.last_date)
    if stated != last or close.outcome == "never-started":
        params = {
            "stated": stated.isoformat() if stated else "?",
            "outcome": close.outcome,
            "recorded": last.isoformat(),
        }
        uids = dossier.sessions[-1].fractions[-1].record_uids
        yield Raised(code="CLOSE-DIFFERS", params=params, instance_uids=uids)


DELIVERY_RULES: tuple[Rule, ...] = (
    records_missing,
    quality_assurance_delivered,
    rejected_delivered,
    records_undated,
    termination_abnormal,
    fractions_differ,
    metersets_differ,
    metersets_unknown,
    fraction_numbers,
    machine_differs,
    course_boundary,
    not_closed,
    close_differs,
)
