"""From what the archive folds to what the index holds of one person: patient, dossiers, plans, studies, series."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from archive.answers import Json, dossier_answer, iso_date, patient_answer, person_answer
from archive.headers import Identifier, InstanceKind
from archive.model import Dossier, DossierState, Held, PatientRecord
from search.attributes import Told, instance_rows, patient_attributes, series_attributes, study_attributes
from search.documents import (
    Document,
    dossier_document,
    instances_document,
    patient_document,
    plan_document,
    series_document,
    study_document,
)

_MOST_LISTED: Final = 100
"""Of loose objects the document of a patient names so many."""


def documents(record: PatientRecord) -> tuple[Document, ...]:
    """Return everything the index holds of one patient; the version is the number of facts folded."""
    if not record.dossiers and not record.unattached:
        return ()
    dicom = _dicom(record)
    told = _told(dicom)
    found = [_patient(record, told)]
    for dossier in record.dossiers:
        found.append(_dossier(record, dossier))
    for dossier in _here(record):
        found.extend(_plans(record, dossier))
    found.extend(_studies(record, told))
    found.extend(_series(record, dicom, told))
    return tuple(found)


def _here(record: PatientRecord) -> tuple[Dossier, ...]:
    """Return the dossiers of which there are bytes: one that was disposed of is told of, but nobody can ask for it."""
    return tuple(dossier for dossier in record.dossiers if dossier.state is not DossierState.DISPOSED)


def _dicom(record: PatientRecord) -> tuple[Held, ...]:
    """Return the instances others can ask for, each once, in order of UID."""
    parts = [*((*dossier.instances, *dossier.late) for dossier in _here(record)), record.unattached]
    found = {held.uid: held for part in parts for held in part if held.header.series_uid}
    return tuple(found[uid] for uid in sorted(found))


def _told(dicom: Iterable[Held]) -> dict[tuple[str, str], Told]:
    """Return what instances say, by study and series."""
    found: dict[tuple[str, str], list[Held]] = {}
    for held in dicom:
        found.setdefault((held.header.study_uid, held.header.series_uid), []).append(held)
    return {place: Told(members) for place, members in sorted(found.items())}


def _patient(record: PatientRecord, told: Mapping[tuple[str, str], Told]) -> Document:
    answer = patient_answer(record)
    body = {
        **answer,
        # a patient with ten thousand loose slices is listed as often as one with ten
        "unattached": answer["unattached"][:_MOST_LISTED],
        "unattached_instances": len(answer["unattached"]),
        "findings": [{**one, "instance_uids": one["instance_uids"][:_MOST_LISTED]} for one in answer["findings"]],
        "attributes": patient_attributes(Told.joined(told.values())) if told else {},
    }
    return patient_document(body, patient_key=record.key, version=record.version)


def _studies(record: PatientRecord, told: Mapping[tuple[str, str], Told]) -> Iterator[Document]:
    for uid in sorted({study for study, _ in told} - {""}):
        whole = Told.joined(part for (study, _), part in told.items() if study == uid)
        identifiers = {header.patient.identifier for header in whole.headers}
        yield study_document(
            {"uid": uid, "attributes": study_attributes(whole)},
            patient_key=record.key,
            version=record.version,
            identifiers=[{"value": one.value, "issuer": one.issuer} for one in sorted(identifiers, key=_issuer_first)],
        )


def _issuer_first(identifier: Identifier) -> tuple[str, str]:
    return identifier.issuer, identifier.value


def _grouped(name: str, instances: Iterable[Held]) -> dict[str, list[Held]]:
    found: dict[str, list[Held]] = {}
    for held in instances:
        uid = getattr(held.header, name)
        if uid:
            found.setdefault(uid, []).append(held)
    return dict(sorted(found.items()))


def _dossier(record: PatientRecord, dossier: Dossier) -> Document:
    held = (*dossier.instances, *dossier.late)
    return dossier_document(
        dossier_answer(dossier),
        patient_key=record.key,
        version=record.version,
        study_uids=sorted({one.header.study_uid for one in held} - {""}),
        series_uids=sorted({one.header.series_uid for one in held} - {""}),
    )


def _plans(record: PatientRecord, dossier: Dossier) -> Iterator[Document]:
    person = person_answer(dossier.person)
    answers = {answer["uid"]: answer for answer in dossier_answer(dossier)["plans"]}
    for plan in dossier.plans:
        header = plan.held.header if plan.held else None
        body = {
            **answers[plan.uid],
            "patient": person,
            "dossier": dossier.id,
            "frame_of_reference_uid": header.frame_uid if header else "",
        }
        yield plan_document(
            body,
            patient_key=record.key,
            version=record.version,
            study_uid=header.study_uid if header else "",
            series_uid=header.series_uid if header else "",
        )


def _series(record: PatientRecord, dicom: Sequence[Held], told: Mapping[tuple[str, str], Told]) -> Iterator[Document]:
    homes: dict[str, list[Dossier]] = {}
    for dossier in _here(record):
        for uid in {held.header.series_uid for held in (*dossier.instances, *dossier.late)}:
            homes.setdefault(uid, []).append(dossier)
    for uid, held in _grouped("series_uid", dicom).items():
        body = _series_body(record, uid, held, homes.get(uid, []))
        body["attributes"] = series_attributes(Told.joined(part for (_, series), part in told.items() if series == uid))
        yield series_document(
            body, patient_key=record.key, version=record.version, instance_uids=[one.uid for one in held]
        )
        rows = {"uid": uid, **instance_rows(held)}
        yield instances_document(rows, patient_key=record.key, version=record.version)


def _series_body(record: PatientRecord, uid: str, held: list[Held], homes: list[Dossier]) -> Json:
    def values(keyword: str) -> list[str]:
        return sorted({getattr(one.header, keyword) for one in held} - {""})

    plans = [plan for dossier in homes for plan in dossier.plans if any(plan.uid == one.uid for one in held)]
    return {
        "uid": uid,
        "study_uid": values("study_uid"),
        "modality": values("modality"),
        "patient": person_answer(record.person),
        "date": [day for text in values("study_date") if (day := iso_date(text))],
        "description": values("series_description"),
        "study_description": values("study_description"),
        "frame_of_reference_uid": values("frame_uid"),
        "dossiers": [dossier.id for dossier in homes],
        "instances": len(held),
        "bytes": sum(one.receipt.size_bytes for one in held),
        "plans": [
            {"uid": plan.uid, "label": plan.header.label, "approval": plan.header.approval, "machine": plan.machine}
            for plan in plans
            if plan.held and plan.held.kind is InstanceKind.PLAN
        ],
    }
