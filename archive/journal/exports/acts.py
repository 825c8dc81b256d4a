"""What each act of the journal is called in the audit messages of DICOM (PS3.15 A.5.3)."""

from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["C", "R", "U", "D", "E"]
Flow = Literal["", "in", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedAs:
    """How an act is told to others.

    Parameters
    ----------
    code, meaning
        The event of PS3.16 CID 400, coding scheme DCM.
    action
        Created, read, updated, deleted or executed (PS3.15 A.5.2).
    words
        The act in words: the type of the event in our own coding scheme.
    flow
        Whether instances came ``in`` from whoever acted, or went ``out``.
    """

    code: str
    meaning: str
    action: Action
    words: str
    flow: Flow = ""


_ACTIVITY: Final = ("110100", "Application Activity")
_LOG_USED: Final = ("110101", "Audit Log Used")
_ACCESSED: Final = ("110103", "DICOM Instances Accessed")
_TRANSFERRED: Final = ("110104", "DICOM Instances Transferred")
_DELETED: Final = ("110105", "DICOM Study Deleted")
_EXPORT: Final = ("110106", "Export")
_IMPORT: Final = ("110107", "Import")
_PATIENT: Final = ("110110", "Patient Record")
_PROCEDURE: Final = ("110111", "Procedure Record")
_QUERY: Final = ("110112", "Query")
_ALERT: Final = ("110113", "Security Alert")
_AUTHENTICATION: Final = ("110114", "User Authentication")

_Row = tuple[tuple[str, str], Action, str, Flow]
_TABLE: Final[dict[str, _Row]] = {
    # what comes in and goes out
    "receive": (_TRANSFERRED, "C", "Instances received", "in"),
    "import": (_IMPORT, "C", "Files imported", "in"),
    "retry": (_IMPORT, "C", "Quarantined files filed after all", "in"),
    "send": (_TRANSFERRED, "R", "Instances sent", "out"),
    "retrieve": (_TRANSFERRED, "R", "Instances retrieved", "out"),
    "export": (_EXPORT, "R", "Dossier exported", "out"),
    "print": (_EXPORT, "R", "Summary printed", "out"),
    "commit": (_ACCESSED, "R", "Storage commitment decided", ""),
    "commit-told": (_ACCESSED, "R", "Storage commitment told", ""),
    "committed": (_ACCESSED, "R", "Storage commitment of another archive taken", ""),
    "procedure-step": (_PROCEDURE, "C", "Performed procedure step ended", ""),
    # what is looked at
    "query": (_QUERY, "E", "Query answered", ""),
    "view": (_ACCESSED, "R", "Dossier viewed", ""),
    "compose": (_ACCESSED, "R", "Dose composed", ""),
    "view-journal": (_LOG_USED, "R", "Journal read", ""),
    # what persons settle about a course
    "sign": (_PROCEDURE, "U", "Finding waived", ""),
    "waive": (_PROCEDURE, "U", "Finding waived", ""),
    "close": (_PROCEDURE, "U", "Course closed", ""),
    "open": (_PROCEDURE, "C", "Dossier opened", ""),
    "deliver": (_PROCEDURE, "U", "Delivery state of a plan settled", ""),
    "delivery-state": (_PROCEDURE, "U", "Delivery state of a plan settled", ""),
    "choose-dose": (_PROCEDURE, "U", "Dose of a plan chosen", ""),
    "register": (_PROCEDURE, "C", "Images registered", ""),
    "judge-registration": (_PROCEDURE, "U", "Registration approved or rejected", ""),
    "state-dose-kind": (_PROCEDURE, "U", "Kind of a stored dose stated", ""),
    "approve-composite": (_PROCEDURE, "U", "Composite dose approved", ""),
    "enter-summary": (_PROCEDURE, "U", "Entries of the summary written", ""),
    "release": (_PROCEDURE, "U", "Summary released", ""),
    "move": (_PROCEDURE, "U", "Instances moved to another course", ""),
    "merge": (_PROCEDURE, "U", "Courses merged", ""),
    "split": (_PROCEDURE, "U", "Course split", ""),
    "origin": (_PROCEDURE, "U", "Origin of a dossier stated", ""),
    "transcribe": (_PROCEDURE, "U", "Treatment sheet transcribed", ""),
    "countersign": (_PROCEDURE, "U", "Transcription countersigned", ""),
    "state": (_PROCEDURE, "U", "State of a dossier changed", ""),
    "seal": (_PROCEDURE, "U", "Dossier sealed", ""),
    # how long it is kept
    "hold": (_PROCEDURE, "U", "Legal hold laid", ""),
    "lift-hold": (_PROCEDURE, "U", "Legal hold lifted", ""),
    "keep": (_PROCEDURE, "U", "Retention lengthened", ""),
    "ask-disposal": (_PROCEDURE, "U", "Disposal asked for", ""),
    "confirm-disposal": (_PROCEDURE, "U", "Disposal confirmed", ""),
    "dispose": (_DELETED, "D", "Dossier disposed of", ""),
    "tombstone": (_DELETED, "D", "Dossier disposed of", ""),
    # who a patient is
    "identity": (_PATIENT, "U", "Patients linked or parted", ""),
    "link": (_PATIENT, "U", "Patients linked", ""),
    "unlink": (_PATIENT, "U", "Patients parted", ""),
    "death": (_PATIENT, "U", "Date of death stated", ""),
    "state-death": (_PATIENT, "U", "Date of death stated", ""),
    # who may act, and what was not as it should be
    "identify": (_AUTHENTICATION, "E", "User identity of an association told", ""),
    "refuse": (_ALERT, "E", "Refused", ""),
    "damage": (_ALERT, "E", "Damage of stored bytes", ""),
    "audit": (_ACTIVITY, "E", "Stored bytes read back", ""),
    "repair": (_ACTIVITY, "E", "Damaged copy repaired", ""),
    "set-aside": (_ACTIVITY, "E", "Damaged copy set aside", ""),
    "tidy": (_ACTIVITY, "E", "Leftovers of interrupted writing removed", ""),
    "rules": (_ACTIVITY, "U", "Rules of the gate changed", ""),
    "rotate-key": (_ACTIVITY, "U", "Signing key ended, another took its place", ""),
    "revoke-key": (_ALERT, "U", "Signing key revoked", ""),
}

ACTS: Final = {
    act: AuditedAs(code=code, meaning=meaning, action=action, words=words, flow=flow)
    for act, ((code, meaning), action, words, flow) in _TABLE.items()
}


def audited_as(act: str) -> AuditedAs:
    """Return how an act is told to others; one that a newer Lastgate wrote is an activity of that name."""
    code, meaning = _ACTIVITY
    return ACTS.get(act) or AuditedAs(code=code, meaning=meaning, action="E", words=act)
