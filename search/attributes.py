"""The DICOM attributes of what was folded, gathered for each level that others ask for (PS3.4 C.6).

A gathered value is text, several values parted by a backslash; a list of
texts where the instances differ, the most frequent first; or a list of items.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final

from archive.headers import Attribute, InstanceHeader
from archive.model import Held
from archive.reading.attributes import ATTRIBUTES, OWN, RT_ATTRIBUTES, SEQUENCES, SHARED, Level

Value = str | list[str] | list[dict[str, str]]

MOST_VALUES: Final = 64
"""Of one attribute; so that no document grows with the number of instances."""

TOLD_OF_STUDIES: Final = (
    "InstitutionName",
    "InstitutionalDepartmentName",
    "StationName",
    "Manufacturer",
    "ManufacturerModelName",
    "BodyPartExamined",
    "ProtocolName",
    "PerformingPhysicianName",
    "OperatorsName",
)
"""Attributes of series that systems ask for at the level of studies."""

_Read = Callable[[InstanceHeader], Attribute | None]
_SHARED: Final = frozenset(SHARED)
_OWN: Final = frozenset(OWN)


def _references(uids: Iterable[str]) -> Attribute:
    return tuple({"ReferencedSOPInstanceUID": uid} for uid in uids)


def _numbers(numbers: Iterable[float]) -> str:
    return "\\".join(format(number, ".10g") for number in numbers)  # DS has at most 16 characters


def _others(header: InstanceHeader) -> Attribute:
    told = (
        {"PatientID": other.value, "IssuerOfPatientID": other.issuer, "TypeOfPatientID": other.kind}
        for other in header.patient.other_identifiers
    )
    return tuple({keyword: text for keyword, text in item.items() if text} for item in told)


def _plans_referred_to(header: InstanceHeader) -> Attribute:
    plan, part = header.plan, header.dose or header.record
    return _references(part.plan_uids if part else (*plan.replaces, *plan.related_plan_uids) if plan else ())


def _structures_referred_to(header: InstanceHeader) -> Attribute:
    part = header.plan or header.dose
    return _references(part.structure_set_uids if part else ())


def _in(part: str, name: str, header: InstanceHeader) -> Attribute | None:
    inside = getattr(header, part)
    if inside is None:
        return None
    value = getattr(inside, name)
    return "\\".join(value) if isinstance(value, tuple) else str(value)


_PLAIN: Final = {
    "PatientName": attrgetter("patient.name"),
    "PatientID": attrgetter("patient.identifier.value"),
    "IssuerOfPatientID": attrgetter("patient.identifier.issuer"),
    "PatientBirthDate": attrgetter("patient.birth_date"),
    "PatientSex": attrgetter("patient.sex"),
    "StudyInstanceUID": attrgetter("study_uid"),
    "StudyDate": attrgetter("study_date"),
    "StudyDescription": attrgetter("study_description"),
    "SeriesInstanceUID": attrgetter("series_uid"),
    "Modality": attrgetter("modality"),
    "SeriesDescription": attrgetter("series_description"),
    "InstitutionName": attrgetter("institution"),
    "InstitutionalDepartmentName": attrgetter("department"),
    "Manufacturer": attrgetter("manufacturer"),
    "FrameOfReferenceUID": attrgetter("frame_uid"),
    "SOPInstanceUID": attrgetter("sop_instance_uid"),
    "SOPClassUID": attrgetter("sop_class_uid"),
    "DocumentTitle": attrgetter("document_title"),
}
"""Where `archive.headers` has a place for the text of an attribute."""

_MADE: Final[Mapping[str, _Read]] = {
    "OtherPatientIDsSequence": _others,
    "InstanceNumber": lambda header: None if header.instance_number is None else str(header.instance_number),
    "ImagePositionPatient": lambda header: _numbers(header.image.position_mm) if header.image else None,
    "ImageOrientationPatient": lambda header: _numbers(header.image.orientation) if header.image else None,
}
"""What is told in another form than it is kept in."""

_OF_RT: Final[Mapping[str, _Read]] = {
    "RTPlanLabel": partial(_in, "plan", "label"),
    "RTPlanName": partial(_in, "plan", "name"),
    "RTPlanDescription": partial(_in, "plan", "description"),
    "RTPlanDate": partial(_in, "plan", "date"),
    "RTPlanTime": partial(_in, "plan", "time"),
    "RTPlanGeometry": partial(_in, "plan", "geometry"),
    "PlanIntent": partial(_in, "plan", "intent"),
    "TreatmentSites": partial(_in, "plan", "sites"),
    "ApprovalStatus": lambda header: header.own.get("ApprovalStatus") or _in("plan", "approval", header),
    "ReviewDate": lambda header: header.own.get("ReviewDate") or _in("plan", "review_date", header),
    "StructureSetLabel": partial(_in, "structure_set", "label"),
    "StructureSetDate": partial(_in, "structure_set", "date"),
    "DoseUnits": partial(_in, "dose", "units"),
    "DoseType": partial(_in, "dose", "type"),
    "DoseSummationType": partial(_in, "dose", "summation_type"),
    "DoseComment": partial(_in, "dose", "comment"),
    "TreatmentDate": partial(_in, "record", "date"),
    "TreatmentTime": partial(_in, "record", "time"),
    "CurrentTreatmentStatus": partial(_in, "record", "treatment_status"),
    "ReferencedRTPlanSequence": _plans_referred_to,
    "ReferencedStructureSetSequence": _structures_referred_to,
}
"""What plans, structure sets, doses and records say of themselves."""

_RT_PARTS: Final = ("plan", "structure_set", "dose", "record")
_SERIES_AND_ABOVE: Final = (
    *ATTRIBUTES[Level.PATIENT],
    *ATTRIBUTES[Level.STUDY],
    *ATTRIBUTES[Level.SERIES],
    *RT_ATTRIBUTES,
)


class Told:
    """How often instances say what: counted once for each series, joined for study and patient.

    A patient may have ten thousand instances and is folded again with each that arrives.
    """

    def __init__(self, instances: Iterable[Held] = ()) -> None:
        self.headers = [held.header for held in instances]
        self._counts: dict[str, dict[Any, int]] = {}
        readers = _readers(self.headers)
        for keyword in _SERIES_AND_ABOVE:
            if keyword in readers:
                self._add(keyword, Counter(map(_hashable(keyword, readers[keyword]), self.headers)))
        for told, times in _shared_of(self.headers):
            for keyword, value in told.items():
                if keyword in _SHARED:
                    self._add(keyword, {_as_key(value): times})

    @classmethod
    def joined(cls, parts: Iterable["Told"]) -> "Told":
        """Return what all parts say together."""
        found = cls()
        for part in parts:
            found.headers += part.headers
            for keyword, counts in part._counts.items():
                found._add(keyword, counts)
        return found

    def of(self, keywords: Iterable[str]) -> dict[str, Value]:
        """Return the values of attributes; one that no instance has is left out."""
        return {keyword: _chosen(self._counts[keyword], keyword) for keyword in keywords if self._counts.get(keyword)}

    def all(self, name: str) -> list[str]:
        """Return every value of a place in the header, in order."""
        return sorted(set(map(attrgetter(name), self.headers)) - {""})

    def _add(self, keyword: str, counts: Mapping[Any, int]) -> None:
        known = self._counts.setdefault(keyword, {})
        for value, times in counts.items():
            if value not in (None, "", ()):
                known[value] = known.get(value, 0) + times


def _readers(headers: Sequence[InstanceHeader]) -> dict[str, _Read]:
    """Return how to read each attribute that some of these headers may tell, but for what they share."""
    found: dict[str, _Read] = {**_PLAIN, **_MADE}
    for keyword in {keyword for header in headers for keyword in header.own} & _OWN:
        found[keyword] = partial(_own, keyword)
    if any(getattr(header, part) is not None for header in headers for part in _RT_PARTS):
        found.update(_OF_RT)
    return found


def _own(keyword: str, header: InstanceHeader) -> Attribute | None:
    return header.own.get(keyword)


def _shared_of(headers: Iterable[InstanceHeader]) -> list[tuple[dict[str, Attribute], int]]:
    """Return the mappings headers share, each with the number of headers that do; receipts of a series share one."""
    found: dict[int, tuple[dict[str, Attribute], int]] = {}
    for header in headers:
        told, times = found.get(id(header.shared), (header.shared, 0))
        found[id(header.shared)] = (told, times + 1)
    return list(found.values())


def _hashable(keyword: str, read: _Read) -> Callable[[InstanceHeader], Any]:
    return (lambda header: _as_key(read(header))) if keyword in SEQUENCES else read


def _as_key(value: Attribute | None) -> Any:
    return tuple(tuple(sorted(item.items())) for item in value) if isinstance(value, tuple) else value


def _chosen(counts: Mapping[Any, int], keyword: str) -> Value:
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    if keyword in SEQUENCES:
        items = dict.fromkeys(item for value in ranked for item in value)
        return [dict(item) for item in list(items)[:MOST_VALUES]]
    return ranked[0] if len(ranked) == 1 else ranked[:MOST_VALUES]


def patient_attributes(told: Told) -> dict[str, Value]:
    """Return what the instances of a patient say of him or her, and how many there are."""
    return {
        **told.of(ATTRIBUTES[Level.PATIENT]),
        "NumberOfPatientRelatedStudies": str(len(told.all("study_uid"))),
        "NumberOfPatientRelatedSeries": str(len(told.all("series_uid"))),
        "NumberOfPatientRelatedInstances": str(len(told.headers)),
    }


def study_attributes(told: Told) -> dict[str, Value]:
    """Return what the instances of a study say of it and of the patient, and how many there are."""
    return {
        **told.of((*ATTRIBUTES[Level.PATIENT], *ATTRIBUTES[Level.STUDY], *TOLD_OF_STUDIES)),
        "ModalitiesInStudy": "\\".join(told.all("modality")),
        "SOPClassesInStudy": "\\".join(told.all("sop_class_uid")),
        "NumberOfStudyRelatedSeries": str(len(told.all("series_uid"))),
        "NumberOfStudyRelatedInstances": str(len(told.headers)),
    }


def series_attributes(told: Told) -> dict[str, Value]:
    """Return what the instances of a series say of it, RT objects of themselves too, and how many there are."""
    return {
        **told.of((*ATTRIBUTES[Level.SERIES], *RT_ATTRIBUTES)),
        "NumberOfSeriesRelatedInstances": str(len(told.headers)),
    }


def instance_rows(instances: Sequence[Held]) -> dict[str, Any]:
    """Return what the instances of a series say of themselves, in order of instance number, then UID.

    Returns
    -------
    dict
        ``count``; ``alike``: the values all have; ``each``: of other attributes a value for every instance, null where
        it has none.
    """
    ordered = sorted(instances, key=_by_number)
    headers = [held.header for held in ordered]
    readers = _readers(headers)
    found: dict[str, Any] = {"count": len(ordered), "alike": {}, "each": {}}
    _add_column(found, "AvailableTransferSyntaxUID", [held.receipt.transfer_syntax_uid for held in ordered])
    for keyword in ("StudyInstanceUID", *ATTRIBUTES[Level.IMAGE]):
        if keyword in _SHARED:
            continue
        if keyword in readers:
            _add_column(found, keyword, list(map(readers[keyword], headers)))
    told = _shared_of(headers)
    for keyword in ATTRIBUTES[Level.IMAGE]:
        if keyword in _SHARED and any(keyword in shared for shared, _ in told):
            _add_column(found, keyword, [header.shared.get(keyword) for header in headers])
    return found


def _add_column(found: dict[str, Any], keyword: str, values: list[Attribute | None]) -> None:
    first = values[0]
    if all(value == first for value in values):
        if first:
            found["alike"][keyword] = _plain(first)
    else:
        found["each"][keyword] = [_plain(value) if value else None for value in values]


def _plain(value: Attribute) -> Value:
    return list(value) if isinstance(value, tuple) else value


def _by_number(held: Held) -> tuple[bool, int, str]:
    number = held.header.instance_number
    return (number is None, number or 0, held.uid)
