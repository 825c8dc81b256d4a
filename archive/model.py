"""The domain: what is folded from the facts of a patient.

Nothing here is stored: it is computed anew whenever a fact arrives, by
`archive.assembly.fold`, and frozen as ``dossier.json`` when a dossier is sealed.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from archive.dates import parse_date
from archive.facts.decisions import Close, Decision, OpenDossier, Release
from archive.facts.receipts import PatientKey, Receipt
from archive.headers import Identifier, InstanceHeader, InstanceKind, PlanHeader


class DeliveryState(StrEnum):
    """Whether a plan was delivered; only delivered plans are summed."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not delivered"
    UNKNOWN = "unknown"


class DossierState(StrEnum):
    """Where a dossier stands at the gate."""

    OPEN = "open"
    READY = "ready"
    SEALED = "sealed"
    DISPOSED = "disposed"  # destroyed when its retention had ended; receipts and the tombstone tell of it


class Severity(StrEnum):
    """What a finding means for the gate."""

    URGENT = "urgent"  # blocks, and a physicist must know the same day
    BLOCKING = "blocking"  # blocks until it is mended or waived
    NOTE = "note"  # is shown, but does not hold the dossier


class DoseType(StrEnum):
    """Whether a dose is physical or weighted by relative biological effectiveness."""

    PHYSICAL = "physical"
    RBE_WEIGHTED = "rbe_weighted"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One instance as the archive holds it: the receipt of the copy that counts.

    Parameters
    ----------
    receipt
        Of a conflict the sealed copy, else the earliest, tie by digest.
    others
        Receipts of other contents under the same SOP Instance UID (conflicts), each content once.
    """

    receipt: Receipt
    others: tuple[Receipt, ...] = ()

    @property
    def uid(self) -> str:
        """SOP Instance UID; the file's digest for a document that is not DICOM."""
        return self.header.sop_instance_uid or self.receipt.file_sha256

    @property
    def header(self) -> InstanceHeader:
        """What was read of the instance."""
        return self.receipt.header

    @property
    def kind(self) -> InstanceKind:
        """The part it plays in a dossier."""
        return self.header.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A patient as seen in the instances: identifiers and names, every spelling.

    Parameters
    ----------
    name, birth_date, sex
        What most instances say, tie by alphabet; `birth_date` is DA as written.
    """

    identifiers: tuple[Identifier, ...]
    name: str
    names: tuple[str, ...]
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fraction:
    """One delivered fraction of one plan, told by treatment records.

    Parameters
    ----------
    number
        Current Fraction Number; None where the records give none and date and time stand for it.
    date, time
        Of the first record, as written.
    visits
        Date and time of each of its records, each once: more than one where it was broken off and continued.
    share
        Delivered part of the meterset planned for one fraction; 1.0 is a whole fraction.
    record_uids
        The records, continuations merged.
    planned_metersets, delivered_metersets
        Beam number and meterset of each beam; delivered ones are empty where no record tells any.
    is_interrupted
        Whether any of its beams ended other than normally.
    """

    plan_uid: str
    group_number: int | None
    number: int | None
    date: str
    time: str
    visits: tuple[tuple[str, str], ...]
    share: float
    record_uids: tuple[str, ...]
    planned_metersets: tuple[tuple[int, float], ...] = ()
    delivered_metersets: tuple[tuple[int, float], ...] = ()
    is_interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Treatment records of one patient that start less than two hours apart. Patients count sessions."""

    date: str
    time: str
    fractions: tuple[Fraction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An RT Plan and what hangs on it.

    Parameters
    ----------
    held
        None while the plan is only referenced and was never seen.
    modality
        ``photon``, ``electron``, ``proton``, ``carbon``, ``ion``, ``brachy`` or an empty string.
    technique
        Inferred from the beams (first-generation plans hold none), empty if it can't be told.
    doses
        Dose grids that name this plan, each once, in order of UID.
    chosen_dose_uids
        The grids that count: one PLAN grid, or the whole set of BEAM grids, or a person's choice. Empty
        if there is none or several candidates and nobody chose.
    """

    uid: str
    held: Held | None
    modality: str
    technique: str
    machine: str
    delivery_state: DeliveryState
    fractions_planned: int | None
    fractions: tuple[Fraction, ...]
    structure_sets: tuple[Held, ...]
    doses: tuple[Held, ...]
    chosen_dose_uids: tuple[str, ...]
    records: tuple[Held, ...]

    @property
    def header(self) -> PlanHeader:
        """The plan as read; an empty one while it is unseen."""
        found = self.held.header.plan if self.held else None
        return found or PlanHeader()

    @property
    def fraction_equivalents(self) -> float:
        """Sum of the delivered shares: 29.4 where one of thirty fractions was cut short."""
        return sum(fraction.share for fraction in self.fractions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target of one phase; doses in Gy."""

    name: str
    laterality: str
    prescribed_gy: float | None
    delivered_gy: float | None
    dose_per_fraction_gy: float | None
    dose_type: DoseType


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One prescription to one set of targets; revisions of a plan share it."""

    plan_uids: tuple[str, ...]
    group_number: int | None
    targets: tuple[Target, ...]
    fractions_planned: int | None
    fractions_delivered: int
    fraction_equivalents: float
    fractions_per_day: int | None
    records_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A gap in a course: the last day before, the first day after, and the weekdays missed in between."""

    last_before: date
    first_after: date
    weekdays_missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """The signed reason why a finding may stand."""

    reason: str
    account: str
    role: str
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One lack or contradiction; the words live in ``findings.toml``.

    Parameters
    ----------
    subject
        What it is about: a UID, or empty for the whole dossier. Code and subject name the finding.
    fix, fix_zh
        What to do about it.
    waivable_by
        Roles that may sign; for an urgent finding all of them must.
    since
        Day of the earliest receipt it rests on.
    figures_sha256
        Digest of its figures (`archive.gate.raised.Raised`): a waiver is signed for these, not for words.
    """

    code: str
    subject: str
    severity: Severity
    message: str
    message_zh: str
    fix: str
    fix_zh: str
    waivable_by: tuple[str, ...]
    since: date | None
    figures_sha256: str = ""
    instance_uids: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    @property
    def id(self) -> str:
        """Names the finding inside its dossier: the code, and eight hex digits of the subject where there is one."""
        if not self.subject:
            return self.code
        return f"{self.code}:{hashlib.sha256(self.subject.encode()).hexdigest()[:8]}"

    @property
    def is_waived(self) -> bool:
        """Whether those who may let it stand have signed: an urgent one needs every role named, others any."""
        signed = {waiver.role for waiver in self.waivers}
        if self.severity is Severity.URGENT:
            return bool(self.waivable_by) and signed.issuperset(self.waivable_by)
        return not signed.isdisjoint(self.waivable_by)

    @property
    def blocks(self) -> bool:
        """Whether it holds the dossier at the gate."""
        return self.severity is not Severity.NOTE and not self.is_waived


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The summary of a course was released, and nothing newer was.

    Parameters
    ----------
    on
        Day of the release, UTC.
    is_sealed
        Whether its papers lie in the newest sealed version.
    """

    account: str
    role: str
    on: date
    what: Release
    is_sealed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesMark:
    """Names a set of gate rules: its number under ``site/rules`` and the digest of what is stored there.

    Parameters
    ----------
    number
        0 for the rules that come with the program, where none were ever stored.
    """

    number: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """Everything the department keeps of one course of one patient.

    Parameters
    ----------
    figures
        What a summary printed now would tell (`archive.figures`).
    released
        The newest release; None while there is none.
    rules
        Names the rules that judge it: those in force, and those it was sealed under once it is sealed.
    institution
        Who gave the course, where a person told that it was not this department.
    opened
        What persons told of a course that they opened without a plan.
    astray
        UIDs of instances that the seal holds although by now they belong to another course or person.
    """

    id: str
    aliases: tuple[str, ...]
    patient_key: PatientKey
    person: Person
    state: DossierState
    origin: str
    version: int
    plans: tuple[Plan, ...]
    phases: tuple[Phase, ...]
    sessions: tuple[Session, ...]
    interruptions: tuple[Interruption, ...]
    instances: tuple[Held, ...]
    late: tuple[Held, ...]
    findings: tuple[Finding, ...]
    close: Close | None
    summary_entries: dict[str, object] = field(default_factory=dict)
    figures: dict[str, object] = field(default_factory=dict)
    released: Released | None = None
    rules: RulesMark = RulesMark()
    institution: str = ""
    opened: tuple[OpenDossier, ...] = ()
    astray: tuple[str, ...] = ()

    @property
    def awaits_addendum(self) -> bool:
        """Whether it is sealed and something came since: instances, or the papers of a summary."""
        papers = self.released is not None and not self.released.is_sealed
        return self.state is DossierState.SEALED and bool(self.late or papers)

    @property
    def plan_uids(self) -> tuple[str, ...]:
        """UIDs by which decisions name it: of its plans, seen or not, and ours where a person opened it."""
        return (*(plan.uid for plan in self.plans), *(one.course_uid for one in self.opened))

    @property
    def first_fraction(self) -> str:
        """Date of the first session as DA, else as a person told it; empty where nobody knows."""
        told = (one.first_date for one in self.opened if parse_date(one.first_date))
        return min(self._days() or told, default="")

    @property
    def last_fraction(self) -> str:
        """Date of the last session as DA, else as a person told it; empty where nobody knows."""
        told = (one.last_date for one in self.opened if parse_date(one.last_date))
        return max(self._days() or told, default="")

    def _days(self) -> list[str]:
        return [session.date for session in self.sessions if parse_date(session.date)]

    @property
    def outcome(self) -> str:
        """How the course ended, once somebody closed it."""
        return self.close.outcome if self.close else ""

    @property
    def size_bytes(self) -> int:
        """Bytes of all its instances."""
        return sum(held.receipt.size_bytes for held in self.instances)

    def is_blocked(self) -> bool:
        """Return whether a finding still holds it at the gate."""
        return any(finding.blocks for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of the patients that are this person: what arrived under its key says who that is."""

    key: PatientKey
    person: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRecord:
    """All that is folded from the facts of one person.

    Parameters
    ----------
    key
        The smallest of the keys that are this person.
    version
        Number of facts folded, those of everybody ever linked included: the last writer of an index document saw all.
    unattached
        Instances that belong to the patient but to no dossier, such as follow-up images.
    members
        The patients that are this person, in order of key.
    told_apart
        Keys of patients of whom a person said that they are somebody else.
    about_dose
        Decisions about registrations, kinds of dose and composites (`archive.facts.dose_decisions`), in their order.
    """

    key: PatientKey
    person: Person
    version: int
    dossiers: tuple[Dossier, ...]
    unattached: tuple[Held, ...]
    findings: tuple[Finding, ...]
    members: tuple[Member, ...] = ()
    told_apart: tuple[PatientKey, ...] = ()
    about_dose: tuple[Decision, ...] = ()
