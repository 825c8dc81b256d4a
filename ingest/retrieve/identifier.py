"""What a retrieve request asks for: level and unique keys of its identifier (PS3.4 C.4.2.1.4.1, C.6.1.1, C.6.2.1)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ingest.errors import BadIdentifier

if TYPE_CHECKING:
    from pydicom import Dataset

MOST_UIDS: Final = 10_000
"""So many UIDs one request may list: as many as the index is asked for at once."""

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID: Final = 64


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class Root(StrEnum):
    """Which information model a request is made in."""

    PATIENT = "patient root"
    STUDY = "study root"


_ORDER: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
_KEYS: Final = {Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID", Level.IMAGE: "SOPInstanceUID"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which instances are asked for: all that fit every key given.

    Parameters
    ----------
    patient_id, issuer
        Whole identifier and, where it is given, its issuer; empty in study root.
    study_uids, series_uids, instance_uids
        Empty where they do not restrict.
    """

    level: Level
    patient_id: str = ""
    issuer: str = ""
    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    instance_uids: tuple[str, ...] = ()

    @classmethod
    def of(cls, identifier: "Dataset", root: Root) -> "Wanted":
        """Read it from the identifier of a request.

        The unique key of each level above must hold one value, that of the
        level itself one or a list of UIDs; keys below must be absent or empty.
        Other attributes do not matter: some clients send along what their
        query had found.

        Raises
        ------
        BadIdentifier
            The level is none of this model, or a key is missing, no UID, a wildcard, a list where one value must
            stand, or given below the level.
        """
        level = _level(identifier, root)
        uids = {name: _uids(identifier, name) for name in _KEYS.values()}
        for above in _ORDER[1 : _ORDER.index(level)]:
            if len(uids[_KEYS[above]]) != 1:
                raise BadIdentifier(f"{_KEYS[above]} must be one UID at level {level}")
        for below in _ORDER[_ORDER.index(level) + 1 :]:
            if uids[_KEYS[below]]:
                raise BadIdentifier(f"{_KEYS[below]} can't be given at level {level}")
        if level in _KEYS and not uids[_KEYS[level]]:
            raise BadIdentifier(f"{_KEYS[level]} is missing at level {level}")
        patient_id, issuer = _patient(identifier, root)
        return cls(
            level=level,
            patient_id=patient_id,
            issuer=issuer,
            study_uids=uids["StudyInstanceUID"],
            series_uids=uids["SeriesInstanceUID"],
            instance_uids=uids["SOPInstanceUID"],
        )


def _level(identifier: "Dataset", root: Root) -> Level:
    told = str(identifier.get("QueryRetrieveLevel") or "").strip()
    try:
        level = Level(told)
    except ValueError as error:
        raise BadIdentifier(f"{told[:16]!r} is no Query/Retrieve Level") from error
    if root is Root.STUDY and level is Level.PATIENT:
        raise BadIdentifier("There is no level PATIENT in the study root model")
    return level


def _uids(identifier: "Dataset", name: str) -> tuple[str, ...]:
    value = identifier.get(name)
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    found = tuple(dict.fromkeys(str(one).strip(" \0") for one in values))
    if len(found) > MOST_UIDS:
        raise BadIdentifier(f"{name} lists more than {MOST_UIDS} UIDs")
    for one in found:
        if len(one) > _LONGEST_UID or not _UID.fullmatch(one):
            raise BadIdentifier(f"{name} holds {one[:20]!r}, which is no UID")
    return found


def _patient(identifier: "Dataset", root: Root) -> tuple[str, str]:
    value = identifier.get("PatientID")
    told = "" if value is None else str(value).strip()
    if root is Root.STUDY:
        return "", ""
    if not told:
        raise BadIdentifier("PatientID is missing in the patient root model")
    if "*" in told or "?" in told or "\\" in told:
        raise BadIdentifier("PatientID must be one whole identifier")
    return told, str(identifier.get("IssuerOfPatientID") or "").strip()
