"""Who is asked for what holds a dossier: by the kind of thing that is missing, then by the plans and papers at hand.

Whoever may *sign* a finding stands with the finding (`waivable_by`); who can *mend* it is somebody else as a rule: the
machine that still has the records, the planning system, the scanner, the doctor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from reports.assemble import person_name


class Asked(StrEnum):
    """Who can mend a finding."""

    MACHINE = "machine"
    PLANNING = "planning"
    IMAGING = "imaging"
    PHYSICIST = "physicist"
    DOCTOR = "doctor"
    FILE_MANAGER = "file-manager"


WORDS: Final[Mapping[Asked, tuple[str, str]]] = {
    Asked.MACHINE: ("治疗机", "treatment machine"),
    Asked.PLANNING: ("计划系统", "treatment planning"),
    Asked.IMAGING: ("定位扫描", "planning scanner"),
    Asked.PHYSICIST: ("物理师", "physicist"),
    Asked.DOCTOR: ("主管医生", "responsible doctor"),
    Asked.FILE_MANAGER: ("档案管理员", "file manager"),
}
"""What each is called, in Chinese and English."""

BY_CODE: Final[Mapping[str, Asked]] = {
    code: asked
    for asked, codes in {
        Asked.MACHINE: (
            "RECORDS-MISSING RECORDS-UNDATED FRACTIONS-MISSING FRACTION-NUMBERS FRACTION-PARTIAL METERSET-UNKNOWN "
            "SETUP-MISSING VERIFICATION-MISSING"
        ),
        Asked.PLANNING: (
            "PLAN-MISSING STRUCTURES-MISSING EXTERNAL-MISSING TARGET-MISSING TARGET-VOLUME-MISSING DOSE-MISSING "
            "DOSE-WITHOUT-PLAN REFERENCE-BROKEN FRACTIONS-UNPLANNED REPORT-MISSING BEAM-NUMBERS ROI-NUMBERS "
            "LABELS-EQUAL NAMES-TG263"
        ),
        Asked.IMAGING: "IMAGES-MISSING IMAGES-INCOMPLETE SLICES-MISSING SLICES-COARSE",
        Asked.DOCTOR: (
            "CONSENT-MISSING PRESCRIPTION-MISSING INTENT-MISSING PLAN-UNAPPROVED COURSE-BOUNDARY NOT-CLOSED "
            "CLOSE-PROPOSED CLOSE-DIFFERS INTERRUPTION-LONG SUMMARY-MISSING SUMMARY-OUTDATED"
        ),
        Asked.FILE_MANAGER: "PATIENT-UNKNOWN PATIENT-INCOMPLETE CONFLICT LATE SUMMARY-LATE UNATTACHED",
    }.items()
    for code in codes.split()
}
"""Who is asked where it is not the one who signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Whom to ask: the kind, and the machine or doctor by name; no name where the dossier tells none."""

    kind: Asked
    name: str = ""

    @property
    def words(self) -> tuple[str, str]:
        """What to call it, in Chinese and English."""
        zh, en = WORDS[self.kind]
        return (f"{zh} {self.name}", f"{en} {self.name}") if self.name else (zh, en)


def kind_of(finding: Mapping[str, Any]) -> Asked:
    """Return who is asked about a finding, as `finding_answer` tells it: about an urgent one the physicist, today."""
    if finding["severity"] == "urgent":
        return Asked.PHYSICIST
    told = BY_CODE.get(finding["code"])
    if told is not None:
        return told
    may_sign = finding["waivable_by"]
    return next((one for one in (Asked.PHYSICIST, Asked.DOCTOR) if one.value in may_sign), Asked.FILE_MANAGER)


def recipients_of(finding: Mapping[str, Any], dossier: Mapping[str, Any]) -> tuple[Recipient, ...]:
    """Return whom to ask about a finding of a dossier, as `dossier_answer` tells both."""
    kind = kind_of(finding)
    names = {Asked.MACHINE: machines_of, Asked.DOCTOR: doctors_of}.get(kind)
    found = names(dossier) if names else ()
    return tuple(Recipient(kind=kind, name=name) for name in found) or (Recipient(kind=kind),)


def machines_of(dossier: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the machines of the plans that were or may have been delivered."""
    given = [plan for plan in dossier["plans"] if plan["delivery_state"] != "not delivered"]
    return tuple(dict.fromkeys(plan["machine"] for plan in given or dossier["plans"] if plan["machine"]))


def doctors_of(dossier: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the responsible doctor as the paper would name him: the first whom the objects name."""
    for written in dossier.get("physicians", ()):
        name = person_name([written])
        if name is not None:
            return (" ".join(filter(None, (name.zh, name.latin))),)
    return ()
