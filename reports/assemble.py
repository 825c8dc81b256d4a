"""From a dossier, what a person entered and what the department says, to the data set of the summary.

Nothing is guessed: what none of the three tells is NOT_RECORDED. Delivered fractions come from treatment records only,
and visits are sessions, not fractions.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final, TypeVar

from archive.headers import BeamHeader
from archive.model import DeliveryState, Dossier, Interruption, Plan
from reports.entries import OrganEntry, SummaryEntries
from reports.facts import NOT_RECORDED, Bilingual, Fact, NotRecorded, Origin, Recorded, Source
from reports.sites import phases_of, site_totals
from reports.summary import (
    Answer,
    BeamFacts,
    Centre,
    CourseSummary,
    Intent,
    InterruptionFacts,
    LateEffect,
    Modality,
    OrganDose,
    PatientIdentity,
    PersonName,
    PhaseFacts,
    PlanFacts,
    SideEffect,
    Status,
)

T = TypeVar("T")

_IDENTITY_CARD: Final = re.compile(r"\d{17}[\dXx]|\d{15}")  # GB 11643-1999; such a number is never printed
_HAN: Final = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_SOURCE_GOES_OUT: Final = frozenset({"HDR", "MDR", "PDR"})  # afterloading; LDR and MANUAL may be permanent seeds
_INTENTS: Final = {"CURATIVE": Intent.CURATIVE, "PALLIATIVE": Intent.PALLIATIVE, "PROPHYLACTIC": Intent.PROPHYLACTIC}
_ENTERED: Final = Source(origin=Origin.ENTERED)
_DEPARTMENT: Final = Source(origin=Origin.DEPARTMENT)
_DICOM: Final = Source(origin=Origin.DICOM)
_RECORDS: Final = Source(origin=Origin.RECORDS)


def assemble_summary(
    dossier: Dossier,
    *,
    software: str,
    entries: SummaryEntries | None = None,
    department: SummaryEntries | None = None,
    organ_doses: Sequence[OrganDose] = (),
) -> CourseSummary:
    """Assemble the data set of the printed summary.

    Parameters
    ----------
    dossier
        The course, as folded from its facts.
    software
        Name and version of the program, for the technical page.
    entries
        What a person entered for this course (`entries_from_mapping(dossier.summary_entries)`).
    department
        The standing texts.
    organ_doses
        Evaluated elsewhere; words and whether the patient is told come from the entries.
    """
    said = _Said(entries or SummaryEntries(), department or SummaryEntries())
    phases = phases_of(dossier, said.entries)
    given = _given_plans(dossier)
    return CourseSummary(
        dossier_id=dossier.id,
        patient=_patient(dossier),
        centre=_centre(dossier, said),
        diagnosis=said.one("diagnosis"),
        intent=_intent(dossier, said),
        first_date=_fact(_day(dossier.first_fraction), _RECORDS),
        last_date=_last_date(dossier),
        status=_status(dossier, said),
        status_reason=_status_reason(dossier, said),
        sessions=_sessions(dossier),
        planned_sessions=_planned_sessions(dossier, phases),
        fractions_planned=_total(phase.fractions_planned for phase in phases),
        fractions_delivered=_total(phase.fractions_delivered for phase in phases),
        modalities=_modalities(given),
        techniques=_techniques(given, said),
        phases=phases,
        sites=site_totals(phases, said.entries),
        plans=tuple(_plan(plan, said) for plan in dossier.plans),
        interruptions=tuple(_interruption(gap, said.entries) for gap in dossier.interruptions),
        organ_doses=tuple(_organ(dose, (*said.entries.organs, *said.department.organs)) for dose in organ_doses),
        remains_radioactive=_remains_radioactive(given, said),
        source_safety=said.one("source_safety"),
        earlier_radiation=said.one("earlier_radiation"),
        implant=said.one("implant"),
        drugs=said.one("drugs"),
        side_effects=said.several("side_effects", SideEffect),
        late_effects=said.several("late_effects", LateEffect),
        call_same_day=said.several("call_same_day", Bilingual),
        call_emergency=said.several("call_emergency", Bilingual),
        follow_up=said.one("follow_up"),
        contact=said.one("contact"),
        software=software,
        intent_words=said.one("intent_words"),
    )


def person_name(names: Iterable[str]) -> PersonName | None:
    """Return the printable name from DICOM person names (PS3.5 6.2.1), None if there is none.

    The ideographic group goes before an alphabetic one that holds Han characters; family name first, as written.
    """
    zh = latin = ""
    for name in names:
        for group in name.split("=")[:2]:
            parts = [part.strip() for part in group.split("^")[:3] if part.strip()]
            if not parts:
                continue
            if _HAN.search(group):
                zh = zh or "".join(parts)
            else:
                latin = latin or " ".join(parts)
    return PersonName(zh=zh, latin=latin) if zh or latin else None


class _Said:
    """What was said, the course's entry before the department's."""

    def __init__(self, entries: SummaryEntries, department: SummaryEntries) -> None:
        self.entries = entries
        self.department = department

    def one(self, name: str) -> Recorded:  # type: ignore[type-arg]
        """Return one entry by the name of its field."""
        for source, said in ((_ENTERED, self.entries), (_DEPARTMENT, self.department)):
            value = getattr(said, name)
            if value is not None and value != ():
                return Fact(value=value, source=source)
        return NOT_RECORDED

    def several(self, name: str, _kind: type[T]) -> Recorded[tuple[T, ...]]:
        """Return a list: texts for the regions treated, then the course's own (else the department's)."""
        regions = dict.fromkeys(target.region for target in self.entries.targets if target.region)
        standing = [
            text
            for region in regions
            if region in self.department.regions
            for text in getattr(self.department.regions[region], name)
        ]
        own = self.one(name)
        if isinstance(own, NotRecorded):
            return Fact(value=tuple(dict.fromkeys(standing)), source=_DEPARTMENT) if standing else NOT_RECORDED
        return Fact(value=tuple(dict.fromkeys([*standing, *own.value])), source=own.source)


def _fact(value: T | None, source: Source) -> Recorded[T]:
    return NOT_RECORDED if value is None or value == "" else Fact(value=value, source=source)


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
    except ValueError:
        return None


def _patient(dossier: Dossier) -> PatientIdentity:
    person = dossier.person
    numbers = [number.value for number in person.identifiers if not _IDENTITY_CARD.fullmatch(number.value.strip())]
    return PatientIdentity(
        name=_fact(person_name((person.name, *person.names)), _DICOM),
        hospital_number=_fact(numbers[0] if numbers else None, _DICOM),
        birth_date=_fact(_day(person.birth_date), _DICOM),
        sex=_fact(person.sex, _DICOM),
    )


def _centre(dossier: Dossier, said: _Said) -> Centre:
    headers = [held.header for held in dossier.instances]
    hospital = next((header.institution for header in headers if header.institution), None)
    department = next((header.department for header in headers if header.department), None)
    doctor = next((name for header in headers for name in header.physicians if name), None)
    return Centre(
        hospital=said.one("hospital") or _in_both(hospital),
        department=said.one("department") or _in_both(department),
        doctor=said.one("doctor") or _doctor(doctor),
    )


def _in_both(text: str | None) -> Recorded[Bilingual]:
    """Take a name as written for the language it is in; the other language is missing then, and said to be."""
    if not text:
        return NOT_RECORDED
    is_han = bool(_HAN.search(text))
    return Fact(value=Bilingual(zh=text if is_han else None, en=None if is_han else text), source=_DICOM)


def _doctor(text: str | None) -> Recorded[Bilingual]:
    name = person_name([text]) if text else None
    if name is None:
        return NOT_RECORDED
    return Fact(value=Bilingual(zh=name.zh or name.latin, en=name.latin or name.zh), source=_DICOM)


def _intent(dossier: Dossier, said: _Said) -> Recorded[Intent]:
    if entered := said.one("intent"):
        return entered
    intents = {plan.header.intent.strip().upper() for plan in _given_plans(dossier) if plan.header.intent}
    return _fact(_INTENTS.get(next(iter(intents))) if len(intents) == 1 else None, _DICOM)


def _last_date(dossier: Dossier) -> Recorded[date]:
    recorded = _fact(_day(dossier.last_fraction), _RECORDS)
    if recorded or dossier.close is None:
        return recorded
    closed = dossier.close.last_date.replace("-", "")
    return _fact(_day(closed), Source(origin=Origin.ENTERED, detail="close"))


def _status(dossier: Dossier, said: _Said) -> Recorded[Status]:
    if dossier.outcome:
        return Fact(value=Status(dossier.outcome), source=Source(origin=Origin.ENTERED, detail="close"))
    return said.one("status")


def _status_reason(dossier: Dossier, said: _Said) -> Recorded[Bilingual]:
    if entered := said.one("status_reason"):
        return entered
    return _in_both(dossier.close.reason if dossier.close else None)


def _sessions(dossier: Dossier) -> Recorded[int]:
    """Count visits; without records none are known, unless a person stated that the course never started."""
    if dossier.sessions:
        return Fact(value=len(dossier.sessions), source=_RECORDS)
    if dossier.outcome == Status.NEVER_STARTED:
        return Fact(value=0, source=Source(origin=Origin.ENTERED, detail="close"))
    return NOT_RECORDED


def _planned_sessions(dossier: Dossier, phases: Sequence[PhaseFacts]) -> Recorded[int]:
    """Planned visits: the planned fractions where each visit gave one fraction; plans side by side leave it open."""
    total = _total(phase.fractions_planned for phase in phases)
    each_gave_one = all(len(session.fractions) == 1 for session in dossier.sessions)
    if not total or not (each_gave_one or len(phases) == 1):
        return NOT_RECORDED
    return Fact(value=total.value, source=Source(origin=Origin.COMPUTED))


def _total(parts: Iterable[Recorded[int]]) -> Recorded[int]:
    total, source = 0, _DICOM
    parts = list(parts)
    for part in parts:
        if isinstance(part, NotRecorded):
            return NOT_RECORDED
        total, source = total + part.value, part.source
    return Fact(value=total, source=source) if parts else NOT_RECORDED


def _given_plans(dossier: Dossier) -> list[Plan]:
    """Plans that were delivered; all that may have been while none is known to be."""
    delivered = [plan for plan in dossier.plans if plan.delivery_state is DeliveryState.DELIVERED]
    return delivered or [plan for plan in dossier.plans if plan.delivery_state is DeliveryState.UNKNOWN]


def _modality(plan: Plan) -> Recorded[Modality]:
    known = plan.modality in {modality.value for modality in Modality}
    return _fact(Modality(plan.modality) if known else None, _DICOM)


def _modalities(plans: Sequence[Plan]) -> Recorded[tuple[Modality, ...]]:
    found = [_modality(plan) for plan in plans]
    known = tuple(dict.fromkeys(fact.value for fact in found if isinstance(fact, Fact)))
    return Fact(value=known, source=_DICOM) if found and all(found) else NOT_RECORDED


def _techniques(plans: Sequence[Plan], said: _Said) -> Recorded[tuple[str, ...]]:
    confirmed = said.one("technique")
    if isinstance(confirmed, Fact):
        return Fact(value=(confirmed.value,), source=confirmed.source)
    known = tuple(dict.fromkeys(plan.technique for plan in plans if plan.technique))
    return Fact(value=known, source=Source(origin=Origin.INFERRED)) if known else NOT_RECORDED


def _plan(plan: Plan, said: _Said) -> PlanFacts:
    beams = tuple(_beams(plan))
    energies = tuple(dict.fromkeys(beam.energy for beam in beams if beam.energy))
    return PlanFacts(
        uid=plan.uid,
        label=plan.header.label,
        date=_fact(_day(plan.header.date), _DICOM),
        approval=said.one("approval") or _fact(plan.header.approval, _DICOM),
        machine=_fact(plan.machine, _DICOM),
        modality=_modality(plan),
        technique=said.one("technique") or _fact(plan.technique, Source(origin=Origin.INFERRED)),
        energies=Fact(value=energies, source=_DICOM) if energies else NOT_RECORDED,
        delivery_state=plan.delivery_state.value,
        fractions_planned=_fact(plan.fractions_planned, _DICOM),
        fractions_delivered=_given(plan),
        beams=beams,
    )


def _given(plan: Plan) -> Recorded[int]:
    """Count delivered fractions; without a record of a plan that may have been delivered none are known."""
    if plan.fractions or plan.records or plan.delivery_state is DeliveryState.NOT_DELIVERED:
        return Fact(value=len(plan.fractions), source=_RECORDS)
    return NOT_RECORDED


def _beams(plan: Plan) -> Iterable[BeamFacts]:
    """Yield the beams that treat; a set-up field has an energy too, but none that the patient was treated with."""
    metersets = {
        beam.beam_number: beam.meterset for group in plan.header.fraction_groups for beam in group.beams
    }  # a beam belongs to one fraction group, PS3.3 C.8.8.13
    for beam in plan.header.beams:
        if beam.delivery_type in {"TREATMENT", "CONTINUATION", ""}:
            yield BeamFacts(
                number=beam.number,
                name=beam.name,
                energy=_energy(beam, plan.modality),
                meterset=metersets.get(beam.number),
                meterset_unit=beam.meterset_unit,
            )


def _energy(beam: BeamHeader, modality: str) -> str:
    """Nominal energy as clinics write it: 6 MV, 10 MV FFF, 9 MeV, 70-150 MeV."""
    if not beam.energies:
        return ""
    unit = {"photon": "MV", "carbon": "MeV/u", "helium": "MeV/u", "oxygen": "MeV/u"}.get(modality, "MeV")
    lowest, highest = min(beam.energies), max(beam.energies)
    figures = f"{lowest:g}" if lowest == highest else f"{lowest:.5g}–{highest:.5g}"
    fff = " FFF" if "FFF" in beam.fluence_mode.upper() or "NON_STANDARD" in beam.fluence_mode.upper() else ""
    return f"{figures} {unit}{fff}"


def _interruption(gap: Interruption, entries: SummaryEntries) -> InterruptionFacts:
    told = next((entry for entry in entries.interruptions if entry.last_before == gap.last_before), None)
    return InterruptionFacts(
        last_before=gap.last_before,
        first_after=gap.first_after,
        weekdays_missed=gap.weekdays_missed,
        reason=_fact(told.reason if told else None, _ENTERED),
        was_made_up=_fact(told.was_made_up if told else None, _ENTERED),
    )


def _organ(dose: OrganDose, told: Sequence[OrganEntry]) -> OrganDose:
    entry = next((entry for entry in told if entry.name == dose.name), None)
    if entry is None:
        return dose
    # A lower bound would tell a patient less than the organ got.
    return replace(dose, words=entry.words, is_for_patient=entry.is_for_patient and not dose.unknown_cc)


def _remains_radioactive(plans: Sequence[Plan], said: _Said) -> Recorded[Answer]:
    """Whether a source stayed in the body: never after rays from outside or afterloading, else a person must say."""
    if entered := said.one("remains_radioactive"):
        return entered
    goes_out = [
        plan.header.brachy_treatment in _SOURCE_GOES_OUT if plan.modality == "brachy" else bool(_modality(plan))
        for plan in plans
    ]
    if goes_out and all(goes_out):
        return Fact(value=Answer.NO, source=Source(origin=Origin.INFERRED, detail="no source stays after these rays"))
    return NOT_RECORDED
