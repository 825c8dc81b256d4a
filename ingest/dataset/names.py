"""The few values that say which instance a data set is, and the rules for the UIDs among them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingest.errors import BadUID

SOP_CLASS_UID: Final = 0x0008_0016
SOP_INSTANCE_UID: Final = 0x0008_0018
PATIENT_ID: Final = 0x0010_0020
ISSUER: Final = 0x0010_0021
STUDY_UID: Final = 0x0020_000D
SERIES_UID: Final = 0x0020_000E
CAPTURED: Final = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID, PATIENT_ID, ISSUER, STUDY_UID, SERIES_UID})
CAPTURED_BYTES: Final = 1024

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_LEADING_ZERO: Final = re.compile(r"(^|\.)0[0-9]")
_UID_BYTES: Final = 64  # PS3.5 9.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Which instance a data set says it is; an empty string where it does not say."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    patient_id: str = ""
    issuer: str = ""

    @classmethod
    def of(cls, captured: Mapping[int, bytes]) -> "Names":
        """Make names of the raw values captured on a walk; padding is taken off (PS3.5 6.2)."""

        def text(tag: int) -> str:
            return captured.get(tag, b"").decode("utf-8", "replace").strip(" \0")

        return cls(
            sop_class_uid=text(SOP_CLASS_UID),
            sop_instance_uid=text(SOP_INSTANCE_UID),
            study_uid=text(STUDY_UID),
            series_uid=text(SERIES_UID),
            patient_id=text(PATIENT_ID),
            issuer=text(ISSUER),
        )

    @property
    def flags(self) -> frozenset[str]:
        """Oddities that are no damage: ``uid-leading-zero`` (forbidden by PS3.5 9.1, written by old scanners)."""
        uids = (self.sop_class_uid, self.sop_instance_uid, self.study_uid, self.series_uid)
        return frozenset({"uid-leading-zero"} if any(map(_LEADING_ZERO.search, uids)) else ())

    def check(self) -> None:
        """Raise `BadUID` unless all UIDs an archive files by are there and well-formed."""
        self._check("SOP Class UID (0008,0016)", self.sop_class_uid)
        self._check("SOP Instance UID (0008,0018)", self.sop_instance_uid)
        self._check("Study Instance UID (0020,000D)", self.study_uid)
        self._check("Series Instance UID (0020,000E)", self.series_uid)

    @staticmethod
    def _check(what: str, uid: str) -> None:
        if not uid:
            raise BadUID(f"The {what} is missing")
        if len(uid) > _UID_BYTES or not _UID.fullmatch(uid):
            raise BadUID(f"The {what} is no UID: {uid[:80]!r}")
