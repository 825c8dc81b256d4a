"""Composes the dose of a patient and writes what goes with it: RTDOSE, the unknown, picture, report, JSON."""

import hashlib
import io
import json
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, RTPlanStorage

from archive.assembly.delivery import parse_date
from archive.journal.journal import Event
from archive.model import PatientRecord
from archive.uids import own_uid
from courses.answers import composite_answer
from courses.composite import Composite, compose
from dose.objects.write import INCOMPLETE, ObjectHeader, PlanReference, rtdose_dataset, unknown_structure_set
from lastgate.pictures import in_language, isodose_picture
from lastgate.proposing import others_of, proposals_about
from lastgate.wiring import House
from reports.composite import render_composite
from reports.figures import render_png
from reports.render import Language
from storage.documents import put_document

_MODEL = "Lastgate"


def compose_patient(
    house: House, record: PatientRecord, *, onto: str, as_of: date | None, as_planned: bool, folder: Path | None
) -> dict[str, Any]:
    """Compose the dose of a patient; with a folder write all files into it and name them in the answer."""
    open_links = tuple(others_of(record.key, proposals_about(house, record.key)))
    composite = compose(record, house.reader, onto=onto, as_planned=as_planned, open_links=open_links)
    answer = composite_answer(composite, house.reader, as_of=as_of)
    if as_planned:
        answer["warnings"].insert(0, "As planned: every plan is taken as if it had been delivered as planned.")
    subject = {"patient": record.key, "onto": composite.onto.id, "complete": composite.is_complete}
    house.journal.append(Event(act="compose", account=house.settings.node.id, subject=subject))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _write(house, composite, answer, folder)
    return answer


def _write(house: House, composite: Composite, answer: dict[str, Any], folder: Path) -> None:
    made = _made_on(answer, composite)
    names = {"rtdose_physical": "composite-dose.dcm", "unknown": "dose-unknown.dcm"}
    dose = _save(house, _dose_dataset(composite, made), folder / names["rtdose_physical"])
    unknown = _save(house, _unknown_dataset(composite, made), folder / names["unknown"])
    answer["digests"] = {"rtdose_physical": dose, "unknown": unknown}
    typeface = house.typeface
    picture = isodose_picture(composite, house.reader)
    if picture is not None:
        names["picture"] = "isodoses.png"
        (folder / names["picture"]).write_bytes(render_png(picture, typeface=typeface))
    names |= {"report_pdf": "composite-zh.pdf", "report_pdf_en": "composite-en.pdf"}
    answer["files"].update({what: str(folder / name) for what, name in names.items()})
    for what, language in (("report_pdf", Language.ZH), ("report_pdf_en", Language.EN)):
        drawn = in_language(picture, composite, language.value) if picture is not None else None
        body = render_composite(
            answer, picture=drawn, created=made, number=dose[:12], language=language, typeface=typeface
        )
        (folder / names[what]).write_bytes(body)
    (folder / "composite.json").write_text(
        json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8"
    )


def _made_on(answer: dict[str, Any], composite: Composite) -> datetime:
    """Return the day the sum stands for: files of the same facts are the same bytes whenever they are made.

    Without any session it is the day of the newest plan, as then the sum is of plans.
    """
    plans = [day for share in composite.shares if (day := parse_date(share.plan.header.date))]
    day = date.fromisoformat(answer["as_of"]) if answer["as_of"] else max(plans, default=date(1970, 1, 1))
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _save(house: House, dataset: Dataset, path: Path) -> str:
    """Write a file, register it as a result of ours in the archive, and return its SHA-256."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    body = buffer.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    path.write_bytes(body)
    put_document(house.stores.work, f"derived/{digest[:2]}/{digest}", body)
    return digest


def _header(composite: Composite, made: datetime, description: str) -> ObjectHeader:
    """Return what an object says of itself; its UIDs are given once its content is known."""
    person = composite.record.person
    identifier = person.identifiers[0] if person.identifiers else None
    study = next((held.header for held in (*composite.image, *composite.onto.instances)), None)
    is_silent = composite.total.is_complete and not composite.is_complete
    return ObjectHeader(
        sop_instance_uid=own_uid("not named yet"),
        series_instance_uid=own_uid("not named yet"),
        study_instance_uid=study.study_uid if study else own_uid("study", composite.record.key),
        frame_of_reference_uid=composite.frame_uid,
        patient_id=identifier.value if identifier else "",
        issuer_of_patient_id=identifier.issuer if identifier else "",
        patient_name=person.name,
        patient_birth_date=person.birth_date,
        patient_sex=person.sex,
        study_date=study.study_date if study else "",
        created=made,
        manufacturer=_MODEL,
        model=_MODEL,
        software_version=version("lastgate"),
        # The word is set where a voxel is unknown; a plan whose dose is missing makes every voxel so.
        series_description=f"{INCOMPLETE} {description}" if is_silent else description,
    )


def _named(dataset: Dataset) -> Dataset:
    """Give an object UIDs made from its content: another content never bears the same UID, the same always does."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(own_uid("instance", digest))
    dataset.SeriesInstanceUID = UID(own_uid("series", digest))
    return dataset


def _dose_dataset(composite: Composite, made: datetime) -> Dataset:
    plans = [
        PlanReference(
            sop_instance_uid=share.plan.uid,
            sop_class_uid=share.plan.held.header.sop_class_uid if share.plan.held else RTPlanStorage,
        )
        for share in composite.shares
        if share.source
    ]
    kind = "physical" if composite.dose_type == "PHYSICAL" else "RBE-weighted"
    basis = "as planned" if any(share.as_planned for share in composite.shares) else "as delivered"
    # Dose Comment is an LO of 64 characters; composite.json names the plans whose dose is missing.
    comment = f"Draft {basis}; unknown voxels hold the upper estimate"
    if composite.has_gap:
        comment = f"Draft {basis}; INCOMPLETE, a dose given is not in it"
    dataset = rtdose_dataset(
        composite.total,
        header=_header(composite, made, f"Composite {kind} dose {basis}, draft"),
        plans=plans,
        dose_type=composite.dose_type,
        comment=comment,
    )
    return _named(dataset)


def _unknown_dataset(composite: Composite, made: datetime) -> Dataset:
    header = _header(composite, made, "Where the composite dose is unknown")
    return _named(unknown_structure_set(composite.total, header=header))
