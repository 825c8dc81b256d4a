"""From what the archive folds to what the index holds: patient, dossiers, series and plans of one person."""

from collections.abc import Iterator

from archive.answers import Json, dossier_answer, iso_date, patient_answer, person_answer
from archive.headers import InstanceKind
from archive.model import Dossier, Held, PatientRecord
from search.documents import Document, dossier_document, patient_document, plan_document, series_document


def documents(record: PatientRecord) -> tuple[Document, ...]:
    """Return everything the index holds of one patient; the version is the number of facts folded."""
    if not record.dossiers and not record.unattached:
        return ()
    found = [patient_document(patient_answer(record), patient_key=record.key, version=record.version)]
    for dossier in record.dossiers:
        found.append(_dossier(record, dossier))
        found.extend(_plans(record, dossier))
    found.extend(_series(record))
    return tuple(found)


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


def _series(record: PatientRecord) -> Iterator[Document]:
    homes: dict[str, list[Dossier]] = {}
    members: dict[str, dict[str, Held]] = {}
    for dossier in record.dossiers:
        for held in (*dossier.instances, *dossier.late):
            if held.header.series_uid:
                members.setdefault(held.header.series_uid, {})[held.uid] = held
                homes.setdefault(held.header.series_uid, [])
                if dossier not in homes[held.header.series_uid]:
                    homes[held.header.series_uid].append(dossier)
    for held in record.unattached:
        if held.header.series_uid:
            members.setdefault(held.header.series_uid, {})[held.uid] = held
    for uid, held_by_uid in sorted(members.items()):
        held_here = [held_by_uid[one] for one in sorted(held_by_uid)]
        body = _series_body(record, uid, held_here, homes.get(uid, []))
        yield series_document(body, patient_key=record.key, version=record.version, instance_uids=sorted(held_by_uid))


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
