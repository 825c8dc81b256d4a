"""Keys as conditions of the index: what narrows a query to few documents; the keys themselves are matched on these.

Every condition holds for all documents that fit the key, and for few others.
"""

from collections.abc import Callable, Iterable
from typing import Final

from archive.reading.attributes import Level
from ingest.query.identifier import Identifier
from ingest.query.ranges import date_bounds
from search.conditions import (
    EVERYTHING,
    Condition,
    OneOf,
    Prefix,
    Range,
    Term,
    Wildcard,
    all_of,
    any_of,
    literal_prefix,
)
from search.names import canonical_group
from search.query import iso_date, issued_id
from search.tokens import MAX_TOKEN_CHARS, exact, whole, words

_MOST_PATTERN_CHARS: Final = 64
_MOST_STARS: Final = 3

_EXACT: Final = {
    Level.PATIENT: {"PatientID": "patient_id"},
    Level.STUDY: {
        "PatientID": "patient_id",
        "StudyInstanceUID": "study_uid",
        "AccessionNumber": "accession",
        "StudyID": "study_id",
        "SOPClassesInStudy": "sop_class",
    },
    Level.SERIES: {
        "StudyInstanceUID": "study_uid",
        "SeriesInstanceUID": "series_uid",
        "SOPInstanceUID": "instance_uid",
        "FrameOfReferenceUID": "frame_uid",
    },
}
_FOLDED: Final = {
    Level.PATIENT: {"PatientSex": "sex"},
    Level.STUDY: {"PatientSex": "sex", "ModalitiesInStudy": "modality", "StudyDescription": "description"},
    Level.SERIES: {"Modality": "modality", "SeriesDescription": "description"},
}
_NAMES: Final = {
    Level.PATIENT: {"PatientName": "name"},
    Level.STUDY: {"PatientName": "name", "ReferringPhysicianName": "referring"},
    Level.SERIES: {},
}


def narrowed(identifier: Identifier, level: Level, *, fuzzy: bool) -> Condition:
    """Return what documents of patients, studies or series must fulfil to fit the keys of a query.

    Raises
    ------
    BadIdentifier
        A date is none.
    """
    asked = identifier.value
    found: list[Condition] = []
    for keyword, field in _EXACT[level].items():
        found.append(_values(field, asked(keyword), exact))
    for keyword, field in _FOLDED[level].items():
        found.append(_values(field, asked(keyword), whole))
    for keyword, field in _NAMES[level].items():
        found.append(_name(field, asked(keyword), fuzzy=fuzzy and field == "name"))
    if level is not Level.SERIES:
        found += (_issuer(identifier), _days("birth_date", asked("PatientBirthDate")))
    if level is Level.STUDY:
        found.append(_days("study_date", asked("StudyDate")))
    return all_of(*found)


def _values(field: str, asked: str, normal: Callable[[str], str]) -> Condition:
    values = [value for value in map(normal, asked.split("\\")) if value]
    if not values:
        return EVERYTHING
    if not any(_is_wild(value) for value in values):
        return Term(field, values[0]) if len(values) == 1 else OneOf(field, tuple(dict.fromkeys(values)))
    return _any(_pattern(field, value) for value in values)


def _any(conditions: Iterable[Condition]) -> Condition:
    known = tuple(conditions)
    return EVERYTHING if EVERYTHING in known or not known else any_of(*known)


def _is_wild(value: str) -> bool:
    return "*" in value or "?" in value


def _pattern(field: str, value: str) -> Condition:
    if not _is_wild(value):
        return Term(field, value)
    start = literal_prefix(value)
    if start:
        # a space before the sign may be one of the value: it is not there where the value ends
        return Prefix(field, start.rstrip())
    if len(value) > _MOST_PATTERN_CHARS or value.count("*") > _MOST_STARS or not value.strip("*?"):
        return EVERYTHING
    return Wildcard(field, value)


def _issuer(identifier: Identifier) -> Condition:
    issuer, value = identifier.value("IssuerOfPatientID"), identifier.value("PatientID")
    if not issuer or _is_wild(issuer) or "\\" in issuer:
        return EVERYTHING
    if value and not _is_wild(value) and "\\" not in value:
        return Term("issued_id", issued_id(value, issuer))
    return Term("issuer", exact(issuer))


def _name(field: str, asked: str, *, fuzzy: bool) -> Condition:
    plain = _any(_one_name(field, name) for name in asked.split("\\") if name)
    if not fuzzy or plain == EVERYTHING:
        return plain
    typed = words(asked.replace("*", " ").replace("?", " "))
    as_typed = all_of(*(Prefix("name_word", word[:MAX_TOKEN_CHARS]) for word in typed))
    return plain if not typed else _any((plain, as_typed))


def _one_name(field: str, name: str) -> Condition:
    groups = [group for group in map(canonical_group, name.replace("＝", "=").split("=")) if group]
    return all_of(*(_name_group(field, group) for group in groups))


def _name_group(field: str, group: str) -> Condition:
    # the index tells family, given and middle name as a key does, but prefix and suffix in one component
    first = "^".join(group.split("^")[:3])
    if not _is_wild(first):
        return Term(field, group) if first == group else Prefix(field, first)
    start = literal_prefix(first).rstrip("^ ")  # WANG^* fits WANG too
    if start:
        return Prefix(field, start)
    if len(group) > _MOST_PATTERN_CHARS or group.count("*") > _MOST_STARS or "^" in group:
        return EVERYTHING
    return _pattern(field, group)


def _days(field: str, asked: str) -> Condition:
    values = [value for value in asked.split("\\") if value]
    return _any(_range(field, value) for value in values)


def _range(field: str, value: str) -> Condition:
    low, high = map(iso_date, date_bounds(value, field))
    return Range(field, low=low, high=high) if low or high else EVERYTHING
