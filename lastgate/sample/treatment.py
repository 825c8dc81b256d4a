"""What a sample plan is before it becomes DICOM: prescription, beams, machine, dose model, deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.uid import UID, RTIonPlanStorage, RTPlanStorage

from lastgate.sample.fields import DoseModel
from lastgate.sample.phantom import Anatomy, Organ
from lastgate.sample.schedule import Delivery
from lastgate.sample.solids import Ellipsoid, Placement, Triple


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A treatment machine of the sample department."""

    name: str
    model: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """One photon arc.

    Parameters
    ----------
    number, name
        Beam Number and Name.
    start_deg, stop_deg, clockwise
        Gantry angles, IEC 61217.
    collimator_deg
        Beam Limiting Device Angle.
    meterset
        MU of one fraction.
    flattened
        False for a flattening-filter-free beam.
    """

    number: int
    name: str
    start_deg: float
    stop_deg: float
    clockwise: bool
    collimator_deg: float
    meterset: float
    flattened: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanField:
    """One pencil-beam scanned proton field."""

    number: int
    name: str
    gantry_deg: float
    meterset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescription:
    """Dose to one target over all fractions of a plan, Gy or Gy(RBE)."""

    target: str
    dose_gy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Highest dose planned for an organ at risk, Gy."""

    organ: str
    max_gy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a plan treats: Treatment Sites as text, and a SNOMED CT code with its meaning."""

    text: str
    code: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSpec:
    """A plan and its delivery.

    Parameters
    ----------
    key
        Name for UIDs and file names.
    label, date, intent
        RT Plan Label, Date, Plan Intent.
    site
        Where it treats.
    description
        Prescription Description.
    fractions
        Fractions planned.
    beams
        Treatment beams: all arcs or all scan fields.
    envelope
        Ellipsoid the apertures and spots are shaped to; its centre is the isocentre (anatomy frame).
    dose
        The analytic dose of all planned fractions.
    dose_exported
        Whether an RTDOSE is part of the dossier.
    prior
        Key of the plan of the same course that comes before this one.
    deliveries
        Records, in order of time.
    """

    key: str
    label: str
    date: str
    intent: str
    site: Site
    description: str
    prescriptions: tuple[Prescription, ...]
    limits: tuple[Limit, ...]
    fractions: int
    machine: Machine
    beams: tuple[Arc, ...] | tuple[ScanField, ...]
    envelope: Ellipsoid
    dose: DoseModel
    deliveries: tuple[Delivery, ...]
    dose_exported: bool = True
    prior: str | None = None

    @property
    def isocentre(self) -> Triple:
        """Isocentre in the anatomy frame, mm."""
        return self.envelope.centre

    @property
    def is_proton(self) -> bool:
        """Whether the beams are scanned protons."""
        return isinstance(self.beams[0], ScanField)

    @property
    def sop_class(self) -> UID:
        """RT Plan or RT Ion Plan Storage."""
        return RTIonPlanStorage if self.is_proton else RTPlanStorage

    @property
    def meterset(self) -> float:
        """MU of one fraction, all beams."""
        return sum(beam.meterset for beam in self.beams)


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseSpec:
    """One course: picture, contours, plans.

    Parameters
    ----------
    key
        Name of the dossier folder, and of the course in UIDs.
    title
        Study Description.
    region
        Body Part Examined.
    ct_date
        YYYYMMDD of the planning CT.
    frame_key
        Name of the frame of reference.
    anatomy, targets
        What is scanned, and the target volumes contoured on it.
    placement
        Where the anatomy lies in this frame of reference.
    missing
        What the dossier lacks on purpose, in words.
    lacking
        Keys of the papers it lacks on purpose (`lastgate.sample.papers`).
    setup_images
        Whether each session has one.
    """

    key: str
    title: str
    region: str
    ct_date: str
    frame_key: str
    anatomy: Anatomy
    targets: tuple[Organ, ...]
    plans: tuple[PlanSpec, ...]
    placement: Placement = field(default_factory=Placement)
    missing: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    setup_images: bool = False

    @property
    def organs(self) -> tuple[Organ, ...]:
        """Everything contoured, targets last."""
        return (*self.anatomy.organs, *self.targets)

    def roi_number(self, name: str) -> int:
        """ROI Number of a structure; `ValueError` if it isn't contoured."""
        return [organ.name for organ in self.organs].index(name) + 1
