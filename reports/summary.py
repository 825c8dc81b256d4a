"""The data set of the printed summary: every fact of a course with its source, or the statement that it is missing.

One data set feeds the patient page, the doctor page and the technical page, so they can't tell different numbers. The
three layers follow the synoptic radiation treatment summary (Christodouleas et al. 2020, PMID 31988040), the elements
the HL7 CodeX RT course summary. Doses are in Gy, dates are site calendar days.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from reports.facts import Bilingual, Recorded


class Modality(StrEnum):
    """Kinds of rays."""

    PHOTON = "photon"
    ELECTRON = "electron"
    PROTON = "proton"
    CARBON = "carbon"
    HELIUM = "helium"
    OXYGEN = "oxygen"
    ION = "ion"
    NEUTRON = "neutron"
    BRACHY = "brachy"


class DoseType(StrEnum):
    """What one Gy means for a target."""

    PHYSICAL = "physical"
    RBE_WEIGHTED = "rbe_weighted"
    UNCONFIRMED = "unconfirmed"


class Status(StrEnum):
    """How the course stands or ended."""

    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    STOPPED = "stopped"
    DIED = "died"
    TRANSFERRED = "transferred"
    NEVER_STARTED = "never-started"


class Intent(StrEnum):
    """What the course was for."""

    CURATIVE = "curative"
    ADJUVANT = "adjuvant"
    NEOADJUVANT = "neoadjuvant"
    PALLIATIVE = "palliative"
    PROPHYLACTIC = "prophylactic"
    BENIGN = "benign"


class Side(StrEnum):
    """Side of the body; `none` for a site that has no sides."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    NONE = "none"


class Answer(StrEnum):
    """An answer to a question that was asked; `unknown` is an answer too."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonName:
    """A name in Han characters and in Latin letters; either may be empty, not both."""

    zh: str
    latin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentity:
    """Who the paper belongs to; never an identity-card number."""

    name: Recorded[PersonName]
    hospital_number: Recorded[str]
    birth_date: Recorded[date]
    sex: Recorded[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Where the course was given and who is responsible."""

    hospital: Recorded[Bilingual]
    department: Recorded[Bilingual]
    doctor: Recorded[Bilingual]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was treated.

    Parameters
    ----------
    words
        In plain words, used on the patient page only if `is_told`.
    is_malignant
        Benign disease has no stage, and its page never speaks of cancer.
    is_told
        Whether the patient was told; where not, the patient page says 病变 / the diseased area.
    """

    words: Bilingual
    is_malignant: bool
    is_told: bool
    icd10: str = ""
    stage: str = ""
    histology: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDose:
    """One target of one phase; `words` are the plain name, `name` the structure's."""

    name: str
    words: Recorded[Bilingual]
    side: Recorded[Side]
    prescribed_gy: Recorded[float]
    delivered_gy: Recorded[float]
    per_fraction_gy: Recorded[float]
    dose_type: DoseType


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFacts:
    """One prescription to one set of targets; `fraction_equivalents` counts a part of a fraction as a part."""

    number: int
    targets: tuple[TargetDose, ...]
    fractions_planned: Recorded[int]
    fractions_delivered: Recorded[int]
    fraction_equivalents: Recorded[float]
    fractions_per_day: Recorded[int]
    plan_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTotal:
    """Dose of one anatomic site over all phases; physical and weighted doses are never added to each other."""

    name: str
    words: Recorded[Bilingual]
    side: Recorded[Side]
    planned_gy: Recorded[float]
    delivered_gy: Recorded[float]
    dose_type: DoseType


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamFacts:
    """One treatment beam; the meterset is that of one fraction."""

    number: int
    name: str
    energy: str
    meterset: float | None
    meterset_unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """One plan as the technical page shows it."""

    uid: str
    label: str
    date: Recorded[date]
    approval: Recorded[str]
    machine: Recorded[str]
    modality: Recorded[Modality]
    technique: Recorded[str]
    energies: Recorded[tuple[str, ...]]
    delivery_state: str
    fractions_planned: Recorded[int]
    fractions_delivered: Recorded[int]
    beams: tuple[BeamFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganDose:
    """Dose of an organ.

    Parameters
    ----------
    words
        Plain name; None where the patient page does not speak of it.
    is_for_patient
        Whether the department tells this figure to patients.
    basis
        ``planned`` or ``delivered``: what the figures were computed from.
    unknown_cc
        Volume in cm3 outside the calculated dose; where it is not zero the figures are lower bounds.
    """

    name: str
    words: Bilingual | None
    mean_gy: Recorded[float]
    max_gy: Recorded[float]
    dose_type: DoseType
    is_for_patient: bool
    basis: str
    unknown_cc: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionFacts:
    """A gap in the course, weekdays only; `was_made_up` tells whether the missed fractions were given later."""

    last_before: date
    first_after: date
    weekdays_missed: int
    reason: Recorded[Bilingual]
    was_made_up: Recorded[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCourse:
    """Radiation before this course."""

    words: Bilingual
    when: str
    overlaps: Answer = Answer.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRadiation:
    """Whether there was radiation before, and what is known of it."""

    answer: Answer
    courses: tuple[EarlierCourse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Implant:
    """Whether there is a pacemaker or another electronic implant."""

    answer: Answer
    words: Bilingual | None = None
    next_check: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideEffect:
    """A side effect at the end of the course; `term` and `grade` as in CTCAE."""

    words: Bilingual
    term: str = ""
    grade: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateEffect:
    """A change that may come months or years later, and what the follow-up doctor should look for."""

    words: Bilingual
    organ: str = ""
    test: Bilingual | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """One agreed step: what, when, and who does it."""

    words: Bilingual
    on: date | None = None
    who: Bilingual | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to call by day and by night."""

    day_phone: str
    night_phone: str
    hours: Bilingual
    emergency_phone: str = "120"
    mail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseSummary:
    """Everything the paper says about one course.

    Parameters
    ----------
    sessions
        Visits: records that start less than two hours apart are one. This is what a patient counts.
    planned_sessions
        Planned visits; not recorded where plans given side by side leave it open.
    fractions_planned, fractions_delivered
        Sums over the phases, each planned fraction once.
    remains_radioactive
        Yes after permanent seeds or radionuclides. "You are not radioactive" is only said where this is a recorded no.
    intent_words
        Replaces the standing sentence about the aim of the treatment, if a doctor wrote one.
    """

    dossier_id: str
    patient: PatientIdentity
    centre: Centre
    diagnosis: Recorded[Diagnosis]
    intent: Recorded[Intent]
    first_date: Recorded[date]
    last_date: Recorded[date]
    status: Recorded[Status]
    status_reason: Recorded[Bilingual]
    sessions: Recorded[int]
    planned_sessions: Recorded[int]
    fractions_planned: Recorded[int]
    fractions_delivered: Recorded[int]
    modalities: Recorded[tuple[Modality, ...]]
    techniques: Recorded[tuple[str, ...]]
    phases: tuple[PhaseFacts, ...]
    sites: tuple[SiteTotal, ...]
    plans: tuple[PlanFacts, ...]
    interruptions: tuple[InterruptionFacts, ...]
    organ_doses: tuple[OrganDose, ...]
    remains_radioactive: Recorded[Answer]
    source_safety: Recorded[Bilingual]
    earlier_radiation: Recorded[EarlierRadiation]
    implant: Recorded[Implant]
    drugs: Recorded[Bilingual]
    side_effects: Recorded[tuple[SideEffect, ...]]
    late_effects: Recorded[tuple[LateEffect, ...]]
    call_same_day: Recorded[tuple[Bilingual, ...]]
    call_emergency: Recorded[tuple[Bilingual, ...]]
    follow_up: Recorded[tuple[FollowUp, ...]]
    contact: Recorded[Contact]
    software: str
    intent_words: Recorded[Bilingual]

    @property
    def is_weighted(self) -> bool:
        """Whether any dose is weighted by relative biological effectiveness."""
        return any(site.dose_type is DoseType.RBE_WEIGHTED for site in self.sites)

    @property
    def is_all_given(self) -> bool:
        """Whether the page may say that everything planned was given: completed, and no planned fraction is lacking."""
        if not self.status or self.status.value is not Status.COMPLETED or not self.phases:
            return False
        return all(
            phase.fractions_planned
            and phase.fractions_delivered
            and phase.fractions_delivered.value >= phase.fractions_planned.value
            for phase in self.phases
        )

    @property
    def may_say_not_radioactive(self) -> bool:
        """Whether it is recorded that no source stayed in the body."""
        return bool(self.remains_radioactive) and self.remains_radioactive.value is Answer.NO
