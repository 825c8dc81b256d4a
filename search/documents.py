"""What the index holds: documents made from the domain's own answers.

The bodies are the JSON that ``show --json`` prints (a dossier) and its like
for patients, plans and series; they are given back as they came.
`search.fields` lists every field a document can be searched by. Bodies are
read tolerantly: what is missing is not searchable, and never an error.

An id ends with the patient's key: the same plan or series may stand under two
patients (sent first with a wrong ID), and versions count the facts of one
patient, so they compare only within it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from archive.assembly.likeness import plain_id
from search.errors import BadDocument
from search.fields import FIELDS, FieldReader
from search.kinds import Kind
from search.names import name_groups
from search.query import Order, iso_date
from search.tokens import exact, whole

MAX_TERM_BYTES: Final = 4096
MAX_ID_BYTES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One entry of the index.

    Parameters
    ----------
    id
        Unique over all kinds, at most 512 bytes.
    version
        Number of facts folded into it; see `search.base.Engine.put`.
    patient_key
        The patient whose fold wrote it.
    fields
        Values to search by, under names of `FIELDS`: not empty, at most 4,096 bytes of UTF-8, without NUL.
    sort
        A ready-made key for each `search.query.Order`, compared by code point.
    body
        Plain JSON, given back with a hit.
    tombstone
        Whether it only says that a document is gone; then it has no fields and no body.

    Raises
    ------
    BadDocument
        If it breaks one of these rules: every engine would answer in its own way.
    """

    id: str
    kind: Kind
    version: int
    patient_key: str
    fields: Mapping[str, tuple[str, ...]]
    sort: tuple[str, ...]
    body: Mapping[str, Any]
    tombstone: bool = False

    def __post_init__(self) -> None:
        """Refuse what engines would not store alike."""
        unknown = self.fields.keys() - FIELDS
        if unknown:
            raise BadDocument(f"{self.id}: unknown fields {sorted(unknown)}")
        if self.version < 0 or len(self.sort) != len(Order):
            raise BadDocument(f"{self.id}: version {self.version}, {len(self.sort)} sort keys for {len(Order)} orders")
        if self.tombstone and (self.fields or self.body):
            raise BadDocument(f"{self.id}: a tombstone holds nothing")
        _check_text(self.id, self.id, MAX_ID_BYTES)
        _check_text(self.id, self.patient_key, MAX_ID_BYTES)
        for key in self.sort:
            _check_text(self.id, key or "-", MAX_TERM_BYTES)
        for values in self.fields.values():
            for value in values:
                _check_text(self.id, value, MAX_TERM_BYTES)


def _check_text(document_id: str, text: str, most_bytes: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise BadDocument(f"{document_id!r}: a value holds a lone surrogate") from error
    if not 0 < size <= most_bytes or "\0" in text:
        raise BadDocument(f"{document_id!r}: the value {text[:40]!r} is empty, holds NUL or is over {most_bytes} bytes")


def body_text(document: Document) -> str:
    """Return the body as the JSON text every engine stores.

    Raises
    ------
    BadDocument
        If it is no plain JSON (NaN and infinities are none).
    """
    try:
        text = _json(document.body, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which only its escape can stand for
        return _json(document.body, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise BadDocument(f"{document.id}: the body is no plain JSON: {error}") from error
    return text


def _json(body: Mapping[str, Any], *, ensure_ascii: bool) -> str:
    return json.dumps(body, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))


def tombstone(document_id: str, kind: Kind, *, patient_key: str, version: int) -> Document:
    """Return the document that says: this one is gone. Its version keeps late updates from bringing it back."""
    return Document(
        id=document_id,
        kind=kind,
        version=version,
        patient_key=patient_key,
        fields={},
        sort=("",) * len(Order),
        body={},
        tombstone=True,
    )


def patient_id(patient_key: str) -> str:
    """Return the id of a patient's own document."""
    return f"{Kind.PATIENT}:{patient_key}"


def patient_document(body: Mapping[str, Any], *, patient_key: str, version: int) -> Document:
    """Return the document of a patient.

    Parameters
    ----------
    body
        ``patient {ids[] {value, issuer, kind}, name, names[], birth_date, sex}``; optional ``dossiers[]`` (ids),
        ``findings[].code`` and ``members[].key``, the keys that are this person, found by their beginnings.
    """
    found = FieldReader(body)
    found.add_patient()
    found.add_codes([patient_key, *found.at("members", "key")])
    # 0012345 is found by 12345 too: a leading zero more or less is the commonest slip
    found.add_words(plain_id(str(value)) for value in found.at("patient", "ids", "value"))
    found.add("dossier", whole, found.at("dossiers"))
    found.add("finding", whole, found.at("findings", "code"))
    found.add_codes(found.at("dossiers"))
    return _document(found, body, patient_id(patient_key), Kind.PATIENT, patient_key, version)


def dossier_document(
    body: Mapping[str, Any],
    *,
    patient_key: str,
    version: int,
    study_uids: Iterable[str] = (),
    series_uids: Iterable[str] = (),
) -> Document:
    """Return the document of a dossier.

    Parameters
    ----------
    body
        What ``show --json`` prints of it; ``aliases[]`` (former ids) and ``plans[].date`` are read too if there.
    study_uids, series_uids
        Of its instances: by these a viewer asks for a dossier.
    """
    found = FieldReader(body)
    found.add_patient()
    found.add_course()
    found.add_plans(found.at("plans"))
    found.add("dossier", whole, [*found.at("id"), *found.at("aliases")])
    found.add("study_uid", exact, study_uids)
    found.add("series_uid", exact, series_uids)
    found.add_dates(
        found.at("first_fraction"), found.at("last_fraction"), instead=[*found.at("plans", "date"), *found.at("date")]
    )
    found.add_codes([*found.at("id"), *found.at("aliases"), *found.at("plans", "uid")])
    found.add_words(found.at("phases", "targets", "name"))
    return _document(found, body, f"{Kind.DOSSIER}:{found.key('id')}:{patient_key}", Kind.DOSSIER, patient_key, version)


def plan_document(
    body: Mapping[str, Any], *, patient_key: str, version: int, study_uid: str = "", series_uid: str = ""
) -> Document:
    """Return the document of a plan.

    Parameters
    ----------
    body
        One entry of a dossier's ``plans[]`` with ``patient {}`` (as in a dossier) and ``dossier`` (its id) beside;
        ``modality``, ``technique`` and ``date`` are read too if there.
    """
    found = FieldReader(body)
    found.add_patient()
    found.add_plans([body])
    found.add("dossier", whole, found.at("dossier"))
    found.add("instance_uid", exact, found.at("uid"))
    found.add("study_uid", exact, [study_uid])
    found.add("series_uid", exact, [series_uid])
    found.add("modality", whole, found.at("modality"))
    found.add("frame_uid", exact, found.at("frame_of_reference_uid"))
    found.add_described("technique", found.at("technique"))
    found.add_dates(found.at("first_fraction"), found.at("last_fraction"), instead=found.at("date"))
    found.add_codes([*found.at("uid"), *found.at("dossier")])
    return _document(found, body, _uid_id(Kind.PLAN, found.key("uid"), patient_key), Kind.PLAN, patient_key, version)


def series_document(
    body: Mapping[str, Any], *, patient_key: str, version: int, instance_uids: Iterable[str] = ()
) -> Document:
    """Return the document of a series.

    Parameters
    ----------
    body
        ``uid``, ``study_uid``, ``modality`` and ``patient {}``; ``date`` and ``study_date``, ``description``,
        ``study_description``, ``machine``, ``accession``, ``frame_of_reference_uid``, ``dossiers[]`` (ids) and
        ``plans[] {uid, label, approval, machine}`` if it has any. A value may be one text or a list. ``attributes``
        are DICOM attributes of the series by keyword, as `search.attributes` gathers them.
    instance_uids
        SOP Instance UIDs it holds.
    """
    found = FieldReader(body)
    found.add_patient()
    found.add_plans(found.at("plans"))
    found.add("series_uid", exact, found.at("uid"))
    found.add("study_uid", exact, found.at("study_uid"))
    found.add("instance_uid", exact, instance_uids)
    found.add("frame_uid", exact, found.at("frame_of_reference_uid"))
    found.add("modality", whole, found.at("modality"))
    found.add("accession", exact, found.at("accession"))
    found.add("dossier", whole, found.at("dossiers"))
    found.add_described("machine", found.at("machine"))
    found.add("description", whole, found.at("description"))
    found.add_dates(found.at("date") or found.at("study_date"), [], instead=[])
    found.add_codes([*found.at("uid"), *found.at("study_uid"), *found.at("dossiers")])
    for name in ("modality", "description", "study_description", "accession"):
        found.add_words(found.at(name))
    return _document(
        found, body, _uid_id(Kind.SERIES, found.key("uid"), patient_key), Kind.SERIES, patient_key, version
    )


def study_document(
    body: Mapping[str, Any], *, patient_key: str, version: int, identifiers: Iterable[Mapping[str, str]] = ()
) -> Document:
    """Return the document of a study.

    Parameters
    ----------
    body
        ``uid`` and ``attributes``: DICOM attributes of patient and study by keyword (`search.attributes`).
    identifiers
        ``value`` and ``issuer`` of the patient as they stand in this study.
    """
    told = body.get("attributes", {})
    patient = {
        "ids": list(identifiers),
        "names": told.get("PatientName"),
        "birth_date": told.get("PatientBirthDate"),
        "sex": told.get("PatientSex"),
    }
    found = FieldReader({**body, "patient": patient})
    found.add_patient(with_words=False)
    found.add("study_uid", exact, found.at("uid"))
    for field, keyword in (
        ("accession", "AccessionNumber"),
        ("study_id", "StudyID"),
        ("sop_class", "SOPClassesInStudy"),
    ):
        found.add_attribute(field, exact, keyword)
    found.add_attribute("modality", whole, "ModalitiesInStudy")
    found.add_attribute("description", whole, "StudyDescription")
    found.add("referring", str, name_groups(found.at("attributes", "ReferringPhysicianName")))
    found.add("study_date", lambda text: iso_date(text) or "", found.at("attributes", "StudyDate"))
    found.add_dates(found.at("attributes", "StudyDate"), [], instead=[])
    return _document(found, body, study_id(found.key("uid"), patient_key), Kind.STUDY, patient_key, version)


def study_id(study_uid: str, patient_key: str) -> str:
    """Return the id of a study's document."""
    return _uid_id(Kind.STUDY, exact(study_uid), patient_key)


def instances_document(body: Mapping[str, Any], *, patient_key: str, version: int) -> Document:
    """Return the document that holds the attributes of each instance of a series.

    It can't be searched: whoever looks for instances finds their series first.

    Parameters
    ----------
    body
        ``uid`` of the series and what `search.attributes.instance_rows` returns.
    """
    found = FieldReader({"uid": body.get("uid")})
    identity = instances_id(found.key("uid"), patient_key)
    return _document(found, body, identity, Kind.INSTANCES, patient_key, version)


def instances_id(series_uid: str, patient_key: str) -> str:
    """Return the id of the document that holds the instances of a series."""
    return _uid_id(Kind.INSTANCES, exact(series_uid), patient_key)


def _uid_id(kind: Kind, uid: str, patient_key: str) -> str:
    # UIDs of any length arrive; a digest always fits
    return f"{kind}:{hashlib.sha256(uid.encode(errors='replace')).hexdigest()}:{patient_key}"


def _document(
    found: FieldReader, body: Mapping[str, Any], document_id: str, kind: Kind, patient_key: str, version: int
) -> Document:
    return Document(
        id=document_id,
        kind=kind,
        version=version,
        patient_key=patient_key,
        fields=found.values(),
        sort=found.sort_keys(),
        body=body,
    )
