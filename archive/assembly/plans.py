"""Builds the plans of a patient: what refers to each, what was delivered of it, which dose grid counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from archive.assembly.catalogue import Catalogue
from archive.assembly.delivery import TREATING, fractions_of
from archive.assembly.prescription import fractions_planned, machine_of, modality_of, technique_of
from archive.facts.decisions import ChooseDose, Decision, SetDeliveryState
from archive.headers import InstanceKind, PlanHeader
from archive.model import DeliveryState, Fraction, Held, Plan
from archive.uids import is_own


def plans_of(catalogue: Catalogue, decisions: Iterable[Decision]) -> tuple[Plan, ...]:
    """Return every plan of a patient, seen or only referred to, in order of UID."""
    doses = _referring(catalogue, InstanceKind.DOSE)
    records = _referring(catalogue, InstanceKind.RECORD)
    seen = {held.uid for held in catalogue.of_kind(InstanceKind.PLAN)}
    settled = _Settled.of(decisions)
    plans = [
        _plan(uid, catalogue, doses.get(uid, ()), records.get(uid, ()), settled)
        for uid in sorted(seen.union(doses, records))
    ]
    superseded = _superseded(plans)
    return tuple(
        replace(plan, delivery_state=DeliveryState.NOT_DELIVERED)
        if plan.uid in superseded and plan.delivery_state is DeliveryState.UNKNOWN
        else plan
        for plan in plans
    )


def _superseded(plans: Iterable[Plan]) -> set[str]:
    """Return the plans that a plan which was delivered names as its predecessor."""
    return {uid for plan in plans if plan.fractions for uid in plan.header.replaces if uid != plan.uid}


def _referring(catalogue: Catalogue, kind: InstanceKind) -> dict[str, tuple[Held, ...]]:
    found: dict[str, tuple[Held, ...]] = {}
    for held in catalogue.of_kind(kind):
        if is_own(held.uid):
            continue  # a composite of ours that was sent back is no dose of a plan
        header = held.header.dose if kind is InstanceKind.DOSE else held.header.record
        for uid in header.plan_uids if header else ():
            found[uid] = (*found.get(uid, ()), held)
    return found


class _Settled:
    """What people decided about plans; the newest decision counts."""

    def __init__(self, delivered: Mapping[str, bool], dose: Mapping[str, str]) -> None:
        self.delivered = delivered
        self.dose = dose

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> "_Settled":
        delivered: dict[str, bool] = {}
        dose: dict[str, str] = {}
        for decision in sorted(decisions, key=lambda one: one.number):
            match decision.what:
                case SetDeliveryState(plan_uid=uid, delivered=was):
                    delivered[uid] = was
                case ChooseDose(plan_uid=uid, dose_uid=chosen):
                    dose[uid] = chosen
                case _:
                    pass
        return cls(delivered, dose)


def _plan(
    uid: str, catalogue: Catalogue, doses: tuple[Held, ...], records: tuple[Held, ...], settled: _Settled
) -> Plan:
    held = next(iter(catalogue.present((uid,), InstanceKind.PLAN)), None)
    header = (held.header.plan if held else None) or PlanHeader()
    fractions = fractions_of(uid, header, records)
    return Plan(
        uid=uid,
        held=held,
        modality=modality_of(header),
        technique=technique_of(header),
        machine=machine_of(header) or _machine_of_records(records),
        delivery_state=_delivery_state(header, fractions, settled.delivered.get(uid)),
        fractions_planned=fractions_planned(header),
        fractions=fractions,
        structure_sets=_structure_sets(catalogue, header, doses),
        doses=doses,
        chosen_dose_uids=_chosen(doses, header, settled.dose.get(uid)),
        records=records,
    )


def _machine_of_records(records: Iterable[Held]) -> str:
    return next((held.header.record.machine for held in records if held.header.record), "")


def _delivery_state(header: PlanHeader, fractions: tuple[Fraction, ...], settled: bool | None) -> DeliveryState:
    if settled is not None:
        return DeliveryState.DELIVERED if settled else DeliveryState.NOT_DELIVERED
    if fractions:
        return DeliveryState.DELIVERED
    is_none_for_the_patient = header.approval == "REJECTED" or is_quality_assurance(header)
    return DeliveryState.NOT_DELIVERED if is_none_for_the_patient else DeliveryState.UNKNOWN


def is_quality_assurance(header: PlanHeader) -> bool:
    """Return whether a plan is for a phantom or a machine, not for the patient (Plan Intent, PS3.3 C.8.8.9)."""
    return header.intent.replace(" ", "_") in {"VERIFICATION", "MACHINE_QA", "RESEARCH", "SERVICE"}


def _structure_sets(catalogue: Catalogue, header: PlanHeader, doses: Iterable[Held]) -> tuple[Held, ...]:
    named = [*header.structure_set_uids]
    for held in doses:
        named += held.header.dose.structure_set_uids if held.header.dose else ()
    return catalogue.present(dict.fromkeys(named), InstanceKind.STRUCTURES)


def _chosen(doses: tuple[Held, ...], header: PlanHeader, settled: str | None) -> tuple[str, ...]:
    """Return the grids that count: a person's choice, else the only PLAN grid, else one grid per beam or group.

    Several PLAN grids are candidates between which nobody may choose but a
    physicist (DESIGN section 1, Plan).
    """
    by_uid = {held.uid: held for held in doses}
    if settled in by_uid:
        return (settled,)
    whole = _with_type(doses, "PLAN")
    if whole:
        return tuple(held.uid for held in whole) if len(whole) == 1 else ()
    beams = _with_type(doses, "BEAM")
    treating = {beam.number for beam in header.beams if beam.delivery_type in TREATING}
    if treating and _is_whole(
        [one for held in beams if held.header.dose for one in held.header.dose.beam_numbers], treating
    ):
        return tuple(held.uid for held in beams)
    groups = _with_type(doses, "FRACTION")
    asked = {group.number for group in header.fraction_groups}
    if asked and _is_whole([held.header.dose.fraction_group_number for held in groups if held.header.dose], asked):
        return tuple(held.uid for held in groups)
    return ()


def _is_whole(told: Sequence[int | None], asked: set[int]) -> bool:
    """Return whether grids tell each part that is asked for, and none twice."""
    return len(told) == len(set(told)) and asked.issubset(told)


def _with_type(doses: Iterable[Held], summation_type: str) -> list[Held]:
    return [
        held
        for held in doses
        if (grid := held.header.dose)
        and grid.summation_type == summation_type
        and grid.has_pixels
        and grid.units in {"GY", ""}  # a RELATIVE grid is no dose that could be summed
    ]
