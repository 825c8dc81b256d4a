"""Decisions: what people settled, each act signed.

A decision names plans and instances by UID and digest, never a dossier's id:
dossiers are folded anew, and a decision must find its course again.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from archive.facts.dose_decisions import ApproveComposite, JudgeRegistration, Register, StateDoseKind
from archive.facts.receipts import PatientKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Waive:
    """A person lets a finding stand, with the reason.

    Parameters
    ----------
    code, subject, plan_uids
        Name the finding and the course it was raised in.
    message
        The finding as it read when it was signed, for people to read.
    figures_sha256
        Digest of its figures: once they change, it must be signed again. Early waivers have none and hold for their
        message, word by word.
    """

    code: str
    subject: str
    plan_uids: tuple[str, ...]
    message: str
    reason: str
    figures_sha256: str = ""
    act: Literal["waive"] = "waive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """A person states that a course has ended; the plans name the course.

    Parameters
    ----------
    last_date
        Day of the last treatment, as DA.
    """

    plan_uids: tuple[str, ...]
    outcome: Literal["completed", "stopped", "died", "transferred", "never-started"]
    last_date: str
    reason: str = ""
    act: Literal["close"] = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeliveryState:
    """A person states whether a plan was delivered."""

    plan_uid: str
    delivered: bool
    reason: str
    act: Literal["delivery-state"] = "delivery-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseDose:
    """A physicist names the dose grid that counts for a plan."""

    plan_uid: str
    dose_uid: str
    reason: str
    act: Literal["choose-dose"] = "choose-dose"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterSummary:
    """What a person entered for the printed summary of the course with these plans (the form's own JSON)."""

    plan_uids: tuple[str, ...]
    entries: dict[str, object]
    act: Literal["enter-summary"] = "enter-summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A dossier version was sealed: from now on its id and membership are frozen.

    Parameters
    ----------
    file_sha256s
        All instances of this version, those of earlier versions included.
    version_ids
        The object store's version id of each file this version added, by its path in the OCFL object.
    paper_sha256s
        The papers of the released summary in this version.
    rules
        Number of the rules it was judged by (``site/rules``); 0 in early seals.
    """

    dossier: str
    version: int
    plan_uids: tuple[str, ...]
    file_sha256s: tuple[str, ...]
    dossier_sha256: str
    version_ids: dict[str, str] = field(default_factory=dict)
    paper_sha256s: tuple[str, ...] = ()
    rules: int = 0
    act: Literal["seal"] = "seal"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateIdentity:
    """A person states that two patients are one, or that they are two; the newest word about a pair counts.

    It lies under both patients, so that the facts of one lead to those of the other.
    """

    patients: tuple[PatientKey, PatientKey]
    are_one: bool
    reason: str
    act: Literal["identity"] = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A person states where instances belong; the newest word about an instance counts.

    Parameters
    ----------
    file_sha256s
        The instances, by the digests of their receipts.
    to_plan_uid
        A plan of the course they belong to; empty where they belong to the patient but to no course, and with a
        patient where their references tell the course, as they do for what arrives.
    to_patient, from_patient
        The patient they belong to, and the one they stood under till then: it lies under both, so that the facts of
        each lead to those of the other.
    """

    file_sha256s: tuple[str, ...]
    to_plan_uid: str
    reason: str
    to_patient: PatientKey | None = None
    from_patient: PatientKey | None = None
    act: Literal["move"] = "move"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """A person states that these plans, and those grouped with them, are one course."""

    plan_uids: tuple[str, ...]
    reason: str
    act: Literal["merge"] = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A person states that these plans are a course of their own."""

    plan_uids: tuple[str, ...]
    reason: str
    act: Literal["split"] = "split"


Origin = Literal["here", "elsewhere", "paper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDossier:
    """A person opens a dossier for a course of which there is no plan, such as one that is told on paper alone.

    Parameters
    ----------
    course_uid
        Ours (`archive.uids`): stands where the anchor plan's UID stands else, and can be named as a plan is.
    first_date, last_date
        Days of the course as DA, empty where nobody knows.
    """

    course_uid: str
    origin: Origin
    label: str
    reason: str
    first_date: str = ""
    last_date: str = ""
    act: Literal["open"] = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOrigin:
    """A person states where the course with these plans was given.

    Parameters
    ----------
    institution
        Who gave it, where it was not this department.
    """

    plan_uids: tuple[str, ...]
    origin: Origin
    reason: str
    institution: str = ""
    act: Literal["origin"] = "origin"


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetFraction:
    """One fraction as the treatment sheet tells it.

    Parameters
    ----------
    date, time
        As DA and TM, time empty where the sheet has none.
    share
        Delivered part of the fraction: 1.0 is a whole one.
    """

    number: int
    date: str
    time: str = ""
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribe:
    """A person copies the fractions of a plan from its treatment sheet; they count once a second person countersigned.

    Parameters
    ----------
    source
        Where the sheet is kept: the digest of the scanned paper, or words.
    """

    plan_uid: str
    fractions: tuple[SheetFraction, ...]
    source: str
    reason: str
    act: Literal["transcribe"] = "transcribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersign:
    """A second person signs what a first one decided.

    Parameters
    ----------
    number, sha256
        Name the decision: its number, and the digest of what its signature covers.
    """

    number: int
    sha256: str
    act: Literal["countersign"] = "countersign"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetHold:
    """A person forbids that the course with these plans is disposed of, whatever its retention; or lifts that."""

    plan_uids: tuple[str, ...]
    held: bool
    reason: str
    act: Literal["hold"] = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepUntil:
    """A person lengthens how long a course is kept, to a day in ISO 8601; it never shortens."""

    plan_uids: tuple[str, ...]
    until: str
    reason: str
    act: Literal["keep"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDeath:
    """A person states on which day, as DA, the patient died: some terms of retention count from it."""

    date: str
    reason: str
    act: Literal["death"] = "death"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispose:
    """A person asks that a dossier whose retention has ended is destroyed; a second one must countersign.

    Parameters
    ----------
    version
        The newest sealed version: one that is sealed later was not looked at.
    """

    dossier: str
    version: int
    plan_uids: tuple[str, ...]
    reason: str
    act: Literal["dispose"] = "dispose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A dossier was destroyed: what remains is that it was there, and who let it go.

    Parameters
    ----------
    file_sha256s
        All instances that went, those that another dossier still holds left out; receipts of them stay, and a resend of
        one is a new arrival.
    arrivals
        How often each of them had arrived by then: there are so many receipts of it that no bytes stand behind.
    dossier_sha256s
        Digest of the dossier.json of each version.
    request
        Number of the `Dispose` it carries out.
    """

    dossier: str
    version: int
    plan_uids: tuple[str, ...]
    file_sha256s: tuple[str, ...]
    arrivals: tuple[int, ...]
    dossier_sha256s: tuple[str, ...]
    request: int
    act: Literal["tombstone"] = "tombstone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One printed paper that was released.

    Parameters
    ----------
    key
        Where its bytes lie in the object store.
    audience
        ``patient`` or ``doctor``.
    """

    language: Literal["zh", "en"]
    audience: str
    sha256: str
    sha512: str
    size_bytes: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A doctor or physicist lets the summary of a course go out.

    Parameters
    ----------
    figures_sha256
        Digest of all figures that were printed: once they change, the paper is outdated.
    figures
        The figures themselves by name, so that a person can be told what changed (`archive.figures`).
    number
        What is printed on the papers to name them.
    """

    plan_uids: tuple[str, ...]
    figures_sha256: str
    papers: tuple[Paper, ...]
    figures: dict[str, object] = field(default_factory=dict)
    number: str = ""
    act: Literal["release"] = "release"


Act = Annotated[
    Waive
    | Close
    | SetDeliveryState
    | ChooseDose
    | EnterSummary
    | Sealed
    | StateIdentity
    | Move
    | Merge
    | Split
    | OpenDossier
    | SetOrigin
    | Transcribe
    | Countersign
    | SetHold
    | KeepUntil
    | StateDeath
    | Dispose
    | Register
    | JudgeRegistration
    | StateDoseKind
    | ApproveComposite
    | Tombstone
    | Release,
    Field(discriminator="act"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person settled, signed: the signature covers act, account, role, time and number.

    Parameters
    ----------
    signature, public_key
        Ed25519 over `archive.signing.signing.signed_bytes`, both hex.
    """

    format: Literal["lastgate/decision/1"] = "lastgate/decision/1"
    number: int
    made_at: datetime
    account: str
    role: str
    what: Act
    signature: str = ""
    public_key: str = ""


DECISION = TypeAdapter(Decision)
