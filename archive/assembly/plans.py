"""Builds the plans of a patient: what refers to each, what was delivered of it, which dose grid counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from archive.assembly.catalogue import Catalogue
from archive.assembly.delivery import TREATING, fractions_of
from archive.assembly.prescription import fractions_planned, machine_of, modality_of, technique_of
from archive.assembly.transcription import transcribed, with_sheet
from archive.facts.decisions import ChooseDose, Decision, SetDeliveryState, SheetFraction
from archive.headers import InstanceKind, PlanHeader
from archive.model import DeliveryState, Fraction, Held, Plan
from archive.uids import is_own


class Plans:
    """Builds the plans of a person.

    Parameters
    ----------
    homes
        Where persons said that instances belong, by UID: a plan of their course, or empty for none.
    """

    def __init__(
        self, catalogue: Catalogue, decisions: Sequence[Decision], homes: Mapping[str, str] | None = None
    ) -> None:
        self._homes = homes or {}
        self._catalogue = catalogue
        self._doses = _referring(catalogue, InstanceKind.DOSE)
        self._records = _referring(catalogue, InstanceKind.RECORD)
        self._settled = _Settled.of(decisions)

    def all(self) -> tuple[Plan, ...]:
        """Return every plan, seen or only referred to, in order of UID; what was moved to no course counts for none."""
        nowhere = frozenset(uid for uid, home in self._homes.items() if not home)
        seen = {held.uid for held in self._catalogue.of_kind(InstanceKind.PLAN)} - nowhere
        named = [
            uid
            for referring in (self._doses, self._records)
            for uid, helds in referring.items()
            if uid not in nowhere and any(held.uid not in nowhere for held in helds)
        ]
        plans = [self._plan(uid, nowhere) for uid in sorted(seen.union(named))]
        superseded = _superseded(plans)
        return tuple(
            replace(plan, delivery_state=DeliveryState.NOT_DELIVERED)
            if plan.uid in superseded and plan.delivery_state is DeliveryState.UNKNOWN
            else plan
            for plan in plans
        )

    def within(self, plan: Plan, course: frozenset[str]) -> Plan:
        """Return a plan without what a person moved to another course than that of these UIDs."""
        about = (*plan.doses, *plan.records, *plan.structure_sets)
        elsewhere = frozenset(held.uid for held in about if self._homes.get(held.uid, plan.uid) not in course)
        if not elsewhere:
            return plan
        fewer = self._plan(plan.uid, elsewhere)
        is_superseded = plan.delivery_state is DeliveryState.NOT_DELIVERED
        is_open = fewer.delivery_state is DeliveryState.UNKNOWN
        return replace(fewer, delivery_state=plan.delivery_state) if is_superseded and is_open else fewer

    def _plan(self, uid: str, without: frozenset[str]) -> Plan:
        catalogue, settled = self._catalogue, self._settled
        doses = tuple(held for held in self._doses.get(uid, ()) if held.uid not in without)
        records = tuple(held for held in self._records.get(uid, ()) if held.uid not in without)
        held = next(iter(catalogue.present((uid,), InstanceKind.PLAN)), None)
        header = (held.header.plan if held else None) or PlanHeader()
        only_group = header.fraction_groups[0].number if len(header.fraction_groups) == 1 else None
        fractions = with_sheet(uid, fractions_of(uid, header, records), settled.sheets, only_group=only_group)
        return Plan(
            uid=uid,
            held=held,
            modality=modality_of(header),
            technique=technique_of(header),
            machine=machine_of(header) or _machine_of_records(records),
            delivery_state=_delivery_state(header, fractions, settled.delivered.get(uid)),
            fractions_planned=fractions_planned(header),
            fractions=fractions,
            structure_sets=tuple(one for one in _structure_sets(catalogue, header, doses) if one.uid not in without),
            doses=doses,
            chosen_dose_uids=_chosen(doses, header, settled.dose.get(uid)),
            records=records,
        )


def plans_of(catalogue: Catalogue, decisions: Iterable[Decision]) -> tuple[Plan, ...]:
    """Return every plan of a patient, seen or only referred to, in order of UID."""
    return Plans(catalogue, tuple(decisions)).all()


def _superseded(plans: Iterable[Plan]) -> set[str]:
    """Return the plans that a plan which was delivered names as its predecessor."""
    return {uid for plan in plans if plan.fractions for uid in plan.header.replaces if uid != plan.uid}


def _referring(catalogue: Catalogue, kind: InstanceKind) -> dict[str, tuple[Held, ...]]:
    found: dict[str, list[Held]] = {}
    for held in catalogue.of_kind(kind):
        if is_own(held.uid):
            continue  # a composite of ours that was sent back is no dose of a plan
        header = held.header.dose if kind is InstanceKind.DOSE else held.header.record
        for uid in header.plan_uids if header else ():
            found.setdefault(uid, []).append(held)
    return {uid: tuple(helds) for uid, helds in found.items()}


class _Settled:
    """What people decided about plans; the newest decision counts."""

    def __init__(
        self,
        delivered: Mapping[str, bool],
        dose: Mapping[str, str],
        sheets: Mapping[str, tuple[SheetFraction, ...]],
    ) -> None:
        self.delivered = delivered
        self.dose = dose
        self.sheets = sheets

    @classmethod
    def of(cls, decisions: Sequence[Decision]) -> "_Settled":
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
        return cls(delivered, dose, transcribed(decisions))


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
