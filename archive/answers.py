"""Dossiers as JSON: the shape that `find`, `show`, `gate` and the index share (DESIGN section 6).

Nothing in it depends on today. Doses are in Gy, dates ISO 8601; a value that
is not known is null, never a guess.
"""

from collections.abc import Iterable
from typing import Any

from archive.dates import parse_date
from archive.facts.decisions import OpenDossier
from archive.figures import digest_of
from archive.headers import BeamHeader, GroupBeam, Identifier
from archive.model import Dossier, Finding, Held, PatientRecord, Person, Phase, Plan, Target

Json = dict[str, Any]


def dossier_answer(dossier: Dossier) -> Json:
    """Return a dossier as `find --json` and `show --json` print it."""
    return {
        "id": dossier.id,
        "aliases": list(dossier.aliases),
        "state": dossier.state.value,
        "version": dossier.version,
        "rules": {"number": dossier.rules.number, "sha256": dossier.rules.sha256},
        "origin": dossier.origin,
        "institution": dossier.institution or None,
        "opened": [_opened(one) for one in dossier.opened],
        "outcome": dossier.outcome or None,
        "patient": person_answer(dossier.person),
        "intent": next((plan.header.intent for plan in dossier.plans if plan.header.intent), None),
        "first_fraction": iso_date(dossier.first_fraction),
        "last_fraction": iso_date(dossier.last_fraction),
        "plan_date": min((day for plan in dossier.plans if (day := iso_date(plan.header.date))), default=None),
        "sessions": len(dossier.sessions),
        "interruptions": [
            {
                "last_before": pause.last_before.isoformat(),
                "first_after": pause.first_after.isoformat(),
                "weekdays_missed": pause.weekdays_missed,
            }
            for pause in dossier.interruptions
        ],
        "sites": sites_of(dossier),
        "modalities": _each_once(plan.modality for plan in dossier.plans),
        "techniques": _each_once(plan.technique for plan in dossier.plans),
        "phases": [_phase(phase) for phase in dossier.phases],
        "plans": [_plan(plan) for plan in dossier.plans],
        "instances": len(dossier.instances),
        "late": len(dossier.late),
        "bytes": dossier.size_bytes,
        "physicians": _each_once(name for held in dossier.instances for name in held.header.physicians),
        "summary": _summary(dossier),
        "findings": [finding_answer(finding) for finding in dossier.findings],
    }


def person_answer(person: Person) -> Json:
    """Return a patient: every identifier with its issuer, every spelling of the name."""
    return {
        "ids": [_identifier(identifier) for identifier in person.identifiers],
        "name": person.name,
        "names": list(person.names),
        "birth_date": iso_date(person.birth_date),
        "sex": person.sex or None,
    }


def finding_answer(finding: Finding) -> Json:
    """Return a finding with who may let it stand and who did."""
    return {
        "id": finding.id,
        "code": finding.code,
        "severity": finding.severity.value,
        "message": finding.message,
        "message_zh": finding.message_zh,
        "fix": finding.fix,
        "fix_zh": finding.fix_zh,
        "since": finding.since.isoformat() if finding.since else None,
        "waivable_by": list(finding.waivable_by),
        "waivers": [
            {"account": waiver.account, "role": waiver.role, "reason": waiver.reason} for waiver in finding.waivers
        ],
        "blocks": finding.blocks,
        "instance_uids": list(finding.instance_uids),
    }


def patient_answer(record: PatientRecord) -> Json:
    """Return what is known of a patient beyond the dossiers: identity, and what belongs to no course."""
    return {
        "key": record.key,
        "patient": person_answer(record.person),
        "members": [{"key": one.key, "patient": person_answer(one.person)} for one in record.members],
        "told_apart": list(record.told_apart),
        "dossiers": [dossier.id for dossier in record.dossiers],
        "unattached": [_held(held) for held in record.unattached],
        "findings": [finding_answer(finding) for finding in record.findings],
    }


def iso_date(text: str) -> str | None:
    """Return a DA value in ISO 8601, None if it is none."""
    day = parse_date(text)
    return day.isoformat() if day else None


def sites_of(dossier: Dossier) -> list[str]:
    """Return what was treated: the sites the plans name, else the names of their targets."""
    named = _each_once(site for plan in dossier.plans for site in plan.header.sites)
    return named or _each_once(target.name for phase in dossier.phases for target in phase.targets)


def _opened(told: OpenDossier) -> Json:
    """Return what a person told of a course without a plan; its UID names the course where a plan's does else."""
    return {
        "uid": told.course_uid,
        "label": told.label,
        "first_date": iso_date(told.first_date),
        "last_date": iso_date(told.last_date),
    }


def _identifier(identifier: Identifier) -> Json:
    return {"value": identifier.value, "issuer": identifier.issuer, "kind": identifier.kind}


def _summary(dossier: Dossier) -> Json | None:
    """Return the released summary, None if there is none."""
    released = dossier.released
    if released is None:
        return None
    return {
        "number": released.what.number,
        "released": released.on.isoformat(),
        "account": released.account,
        "agrees": released.what.figures_sha256 == digest_of(dossier.figures),
        "sealed": released.is_sealed,
        "papers": [
            {"language": one.language, "audience": one.audience, "sha256": one.sha256, "bytes": one.size_bytes}
            for one in released.what.papers
        ],
    }


def _phase(phase: Phase) -> Json:
    return {
        "plan_uids": list(phase.plan_uids),
        "targets": [_target(target) for target in phase.targets],
        "fractions_planned": phase.fractions_planned,
        "fractions_delivered": phase.fractions_delivered,
        "fraction_equivalents": phase.fraction_equivalents,
        "fractions_per_day": phase.fractions_per_day,
        "records_source": phase.records_source,
    }


def _target(target: Target) -> Json:
    return {
        "name": target.name,
        "laterality": target.laterality or None,
        "prescribed_gy": target.prescribed_gy,
        "delivered_gy": target.delivered_gy,
        "dose_per_fraction_gy": target.dose_per_fraction_gy,
        "dose_type": target.dose_type.value,
    }


def _plan(plan: Plan) -> Json:
    per_beam: dict[int, GroupBeam] = {}
    for group in plan.header.fraction_groups:
        for beam in group.beams:
            per_beam.setdefault(beam.beam_number, beam)
    return {
        "uid": plan.uid,
        "label": plan.header.label,
        "date": iso_date(plan.header.date),
        "kind": plan.modality,
        "technique": plan.technique,
        "approval": plan.header.approval or None,
        "delivery_state": plan.delivery_state.value,
        "machine": plan.machine,
        "fractions_planned": plan.fractions_planned,
        "fractions_delivered": len(plan.fractions),
        "fraction_equivalents": round(plan.fraction_equivalents, 6),
        "dose_uids": list(plan.chosen_dose_uids),
        "beams": [_beam(beam, per_beam.get(beam.number)) for beam in plan.header.beams],
    }


def _beam(beam: BeamHeader, planned: GroupBeam | None) -> Json:
    return {
        "number": beam.number,
        "name": beam.name,
        "kind": beam.delivery_type or None,
        "radiation": beam.radiation,
        "energy": list(beam.energies),
        "fluence_mode": beam.fluence_mode or None,
        "meterset": planned.meterset if planned else None,
        "meterset_unit": beam.meterset_unit,
    }


def _held(held: Held) -> Json:
    return {
        "uid": held.uid,
        "kind": held.kind.value,
        "modality": held.header.modality,
        "series_uid": held.header.series_uid,
        "study_uid": held.header.study_uid,
        "bytes": held.receipt.size_bytes,
        "key": held.receipt.key,
    }


def _each_once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, values)))
