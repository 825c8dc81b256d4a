"""Composes the dose of a patient and writes what goes with it: RTDOSE, the unknown, picture, report, JSON."""

import hashlib
import io
import json
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import RTPlanStorage

from archive.journal import Event
from archive.model import PatientRecord
from archive.uids import own_uid
from courses.answers import composite_answer
from courses.composite import Composite, compose
from dose.write import ObjectHeader, PlanReference, rtdose_dataset, unknown_structure_set
from lastgate.pictures import isodose_picture
from lastgate.wiring import House
from reports.composite import render_composite
from reports.figures import render_png
from reports.fonts import Typeface
from reports.render import Language

_MODEL = "Lastgate"


def compose_patient(
    house: House, record: PatientRecord, *, onto: str, as_of: date | None, as_planned: bool, folder: Path | None
) -> dict[str, Any]:
    """Compose the dose of a patient; with a folder write all files into it and name them in the answer."""
    composite = compose(record, house.reader, onto=onto, as_planned=as_planned)
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
    made = _made_on(answer)
    names = {
        "rtdose_physical": "composite-dose.dcm",
        "unknown": "dose-unknown.dcm",
        "picture": "isodoses.png",
        "report_pdf": "composite-zh.pdf",
        "report_pdf_en": "composite-en.pdf",
    }
    answer["files"].update({what: str(folder / name) for what, name in names.items()})
    dose = _save(house, _dose_dataset(composite, made), folder / names["rtdose_physical"])
    unknown = _save(house, _unknown_dataset(composite, made), folder / names["unknown"])
    answer["digests"] = {"rtdose_physical": dose, "unknown": unknown}
    typeface = Typeface()
    picture = isodose_picture(composite, house.reader)
    (folder / names["picture"]).write_bytes(render_png(picture, typeface=typeface))
    for what, language in (("report_pdf", Language.ZH), ("report_pdf_en", Language.EN)):
        drawn = isodose_picture(composite, house.reader, language=language.value)
        body = render_composite(
            answer, picture=drawn, created=made, number=dose[:12], language=language, typeface=typeface
        )
        (folder / names[what]).write_bytes(body)
    (folder / "composite.json").write_text(
        json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8"
    )


def _made_on(answer: dict[str, Any]) -> datetime:
    """Return the day the sum stands for: files of the same facts are the same bytes whenever they are made."""
    return datetime.fromisoformat(answer["as_of"] or "1970-01-01").replace(tzinfo=UTC)


def _save(house: House, dataset: Dataset, path: Path) -> str:
    """Write a file, register it as a result of ours in the archive, and return its SHA-256."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    body = buffer.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    path.write_bytes(body)
    key = f"derived/{digest[:2]}/{digest}"
    house.stores.work.put_if_absent(key, io.BytesIO(body), sha256=digest, size_bytes=len(body))
    return digest


def _header(composite: Composite, made: datetime, what: str, description: str) -> ObjectHeader:
    person = composite.record.person
    identifier = person.identifiers[0] if person.identifiers else None
    study = next((held.header for held in (*composite.image, *composite.onto.instances)), None)
    inputs = [share.plan.uid for share in composite.shares if share.source]
    uid = own_uid(what, composite.record.key, composite.onto.id, composite.frame_uid, *inputs, made.isoformat())
    return ObjectHeader(
        sop_instance_uid=uid,
        series_instance_uid=own_uid("series", uid),
        study_instance_uid=study.study_uid if study else own_uid("study", uid),
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
        series_description=description,
    )


def _dose_dataset(composite: Composite, made: datetime) -> Dataset:
    plans = [
        PlanReference(
            sop_instance_uid=share.plan.uid,
            sop_class_uid=share.plan.held.header.sop_class_uid if share.plan.held else RTPlanStorage,
        )
        for share in composite.shares
        if share.source
    ]
    return rtdose_dataset(
        composite.total,
        header=_header(composite, made, "composite", "Composite physical dose, draft"),
        plans=plans,
        dose_type=composite.dose_type,
        comment="Draft sum of plans; unknown voxels hold the upper estimate",
    )


def _unknown_dataset(composite: Composite, made: datetime) -> Dataset:
    header = _header(composite, made, "unknown", "Where the composite dose is unknown")
    return unknown_structure_set(composite.total, header=header)
