"""Reads from a data set what a receipt keeps of it (`archive.headers`).

Nothing here raises on a bad value: real exports are full of them. A value that
can't be read is left out and named in `InstanceHeader.flags`.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace

from pydicom import Dataset

from archive.headers import Identifier, ImageHeader, InstanceHeader, InstanceKind, PatientHeader
from archive.reading.attributes import OWN, SHARED
from archive.reading.describe_attributes import attributes_of
from archive.reading.describe_rt import (
    describe_dose,
    describe_plan,
    describe_record,
    describe_registration,
    describe_structures,
)
from archive.reading.values import Reader

_RT = "1.2.840.10008.5.1.4.1.1.481."
_KIND_OF_CLASS = {
    f"{_RT}1": InstanceKind.RT_IMAGE,
    f"{_RT}2": InstanceKind.DOSE,
    f"{_RT}3": InstanceKind.STRUCTURES,
    f"{_RT}4": InstanceKind.RECORD,  # beams
    f"{_RT}5": InstanceKind.PLAN,
    f"{_RT}6": InstanceKind.RECORD,  # brachytherapy
    f"{_RT}7": InstanceKind.RECORD,  # treatment summary
    f"{_RT}8": InstanceKind.PLAN,  # ion
    f"{_RT}9": InstanceKind.RECORD,  # ion beams
    "1.2.840.10008.5.1.4.1.1.66.1": InstanceKind.REGISTRATION,
    "1.2.840.10008.5.1.4.1.1.66.3": InstanceKind.REGISTRATION,
    "1.2.840.10008.5.1.4.1.1.104.1": InstanceKind.DOCUMENT,
    "1.2.840.10008.5.1.4.1.1.104.2": InstanceKind.DOCUMENT,
}
# An object of a private class (Halcyon plans come so) is known by its Modality.
_KIND_OF_MODALITY = {
    "RTPLAN": InstanceKind.PLAN,
    "RTSTRUCT": InstanceKind.STRUCTURES,
    "RTDOSE": InstanceKind.DOSE,
    "RTRECORD": InstanceKind.RECORD,
    "REG": InstanceKind.REGISTRATION,
    "RTIMAGE": InstanceKind.RT_IMAGE,
    "DOC": InstanceKind.DOCUMENT,
}
_MAX_REFERENCES = 2_000
_MAX_DEPTH = 8


def describe(dataset: Dataset, *, undeclared: str = "") -> InstanceHeader:
    """Return what a receipt keeps of `dataset` (its pixels need not have been read).

    Broken values never raise: they are left out and named in `InstanceHeader.flags`.

    Parameters
    ----------
    undeclared
        Specific Character Set of its text where it declares none; see `archive.reading.values.Reader`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of each bad value; the flags tell it instead
        reader = Reader(dataset, undeclared=undeclared)
        header = _with_part(_common(reader), reader)
        return replace(header, flags=tuple(dict.fromkeys(reader.flags))) if reader.flags else header


def describe_document(*, patient: PatientHeader, title: str) -> InstanceHeader:
    """Return what a receipt keeps of a file that is not DICOM but belongs to a patient."""
    return InstanceHeader(kind=InstanceKind.DOCUMENT, patient=patient, document_title=title)


def _common(reader: Reader) -> InstanceHeader:
    meta = Reader(getattr(reader.dataset, "file_meta", None) or Dataset(), reader.flags)
    return InstanceHeader(
        kind=_kind(reader),
        patient=_patient(reader),
        sop_class_uid=reader.text("SOPClassUID"),
        sop_instance_uid=reader.text("SOPInstanceUID"),
        study_uid=reader.text("StudyInstanceUID"),
        series_uid=reader.text("SeriesInstanceUID"),
        frame_uid=reader.text("FrameOfReferenceUID"),
        modality=reader.text("Modality"),
        study_date=reader.text("StudyDate"),
        study_description=reader.text("StudyDescription"),
        series_description=reader.text("SeriesDescription"),
        institution=reader.text("InstitutionName"),
        department=reader.text("InstitutionalDepartmentName"),
        manufacturer=reader.text("Manufacturer"),
        physicians=tuple(filter(None, (*reader.texts("PhysiciansOfRecord"), reader.text("ReferringPhysicianName")))),
        instance_number=reader.integer("InstanceNumber"),
        character_sets=reader.texts("SpecificCharacterSet"),
        implementation_class_uid=meta.text("ImplementationClassUID"),
        document_title=reader.text("DocumentTitle"),
        shared=attributes_of(reader, SHARED),
        own=attributes_of(reader, OWN),
    )


def _kind(reader: Reader) -> InstanceKind:
    known = _KIND_OF_CLASS.get(reader.text("SOPClassUID")) or _KIND_OF_MODALITY.get(reader.text("Modality"))
    if known:
        return known
    return InstanceKind.IMAGE if reader.integer("Rows") and reader.integer("Columns") else InstanceKind.OTHER


def _with_part(header: InstanceHeader, reader: Reader) -> InstanceHeader:
    match header.kind:
        case InstanceKind.PLAN:
            return replace(header, plan=describe_plan(reader))
        case InstanceKind.STRUCTURES:
            structures = describe_structures(reader)
            frame = header.frame_uid or next(iter(structures.frame_uids), "")
            return replace(header, structure_set=structures, frame_uid=frame)
        case InstanceKind.DOSE:
            return replace(header, dose=describe_dose(reader))
        case InstanceKind.RECORD:
            return replace(header, record=describe_record(reader))
        case InstanceKind.REGISTRATION:
            return replace(header, registration=describe_registration(reader))
        case InstanceKind.IMAGE:
            return replace(header, image=_image(reader))
        case _:
            return replace(header, references=_references(reader))


def _image(reader: Reader) -> ImageHeader:
    return ImageHeader(
        position_mm=reader.numbers("ImagePositionPatient"),
        orientation=reader.numbers("ImageOrientationPatient"),
        spacing_mm=reader.numbers("PixelSpacing"),
        rows=reader.integer("Rows") or 0,
        columns=reader.integer("Columns") or 0,
        frames=reader.integer("NumberOfFrames") or 1,
    )


def _patient(reader: Reader) -> PatientHeader:
    others = tuple(
        Identifier(value=value, issuer=item.text("IssuerOfPatientID"), kind=item.text("TypeOfPatientID"))
        for item in reader.items("OtherPatientIDsSequence")
        if (value := item.text("PatientID"))
    )
    return PatientHeader(
        identifier=Identifier(value=reader.text("PatientID"), issuer=reader.text("IssuerOfPatientID")),
        other_identifiers=others,
        name=reader.text("PatientName"),
        birth_date=reader.text("PatientBirthDate"),
        sex=reader.text("PatientSex"),
    )


def _references(reader: Reader) -> tuple[str, ...]:
    """Return the SOP Instance UIDs an object of another kind points at, at most 2,000, each once."""
    uids = (uid for item in _nested(reader) if (uid := item.text("ReferencedSOPInstanceUID")))
    found: dict[str, None] = {}
    for uid in uids:
        found[uid] = None
        if len(found) == _MAX_REFERENCES:
            break
    return tuple(found)


def _nested(reader: Reader, depth: int = 0) -> Iterator[Reader]:
    """Yield the reader and those of all items inside it, nine levels deep."""
    yield reader
    if depth < _MAX_DEPTH:
        for keyword in reader.sequences():
            for item in reader.items(keyword):
                yield from _nested(item, depth + 1)
