"""What the sample department says about itself: a demo or a test compares what was read with what is true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lastgate.sample.fields import PlacedDose
from lastgate.sample.phantom import ImageGrid, Organ
from lastgate.sample.solids import Placement, Triple


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTarget:
    """Dose to a target: ``prescribed_gy`` for all planned fractions, ``delivered_gy`` by meterset of the records."""

    name: str
    prescribed_gy: float
    delivered_gy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBeam:
    """A treatment beam and its meterset, MU: of one fraction, and all that was delivered."""

    number: int
    name: str
    meterset: float
    delivered_meterset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """A plan, its files and its truth.

    Parameters
    ----------
    label, uid, kind, machine
        RT Plan Label, SOP Instance UID, ``photon`` or ``proton``, Treatment Machine Name.
    path, dose_path, record_paths
        Files; ``dose_path`` is ``None`` where the dose is missing.
    dose_type
        PHYSICAL, or EFFECTIVE with an RBE of 1.1 contained.
    fractions_planned, fractions_delivered
        A fraction given in two parts counts once.
    first_fraction, last_fraction
        ISO 8601 dates.
    beams, targets
        Treatment beams without the set-up beam of 0 MU; targets with their doses.
    isocentre_mm
        In the frame of reference of the plan.
    dose
        Analytic dose of all planned fractions, in the frame of reference of the plan; also where no file holds it.
    """

    label: str
    uid: str
    kind: str
    machine: str
    path: Path
    dose_path: Path | None
    record_paths: tuple[Path, ...]
    dose_type: str
    fractions_planned: int
    fractions_delivered: int
    first_fraction: str
    last_fraction: str
    beams: tuple[SampleBeam, ...]
    targets: tuple[SampleTarget, ...]
    isocentre_mm: Triple
    dose: PlacedDose

    @property
    def delivered_share(self) -> float:
        """Delivered meterset as share of the planned meterset of all fractions."""
        planned = sum(beam.meterset for beam in self.beams) * self.fractions_planned
        return sum(beam.delivered_meterset for beam in self.beams) / planned


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleInterruption:
    """Working days without treatment: dates (ISO 8601) of the last session before and the first after."""

    before: str
    after: str
    working_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCourse:
    """A dossier as it should be found.

    Parameters
    ----------
    key, folder
        Name and folder of the dossier; all its files lie below.
    study_uid, ct_series_uid, frame_uid
        Study, planning CT series, frame of reference.
    ct_paths, structure_set_path
        Slices foot to head, and the structure set.
    paper_paths, setup_paths
        Papers as encapsulated PDF, and portal images of the sessions.
    plans
        In order of delivery.
    first_fraction, last_fraction
        ISO 8601 dates over all plans.
    sessions
        Visits: records that start less than two hours apart are one.
    interruptions
        Gaps of two working days or more.
    missing
        What the dossier lacks on purpose.
    organs, grid, placement
        Truth of the contours: solids in the anatomy frame, the CT grid, and where the anatomy lies in it.
    """

    key: str
    folder: Path
    study_uid: str
    ct_series_uid: str
    frame_uid: str
    ct_paths: tuple[Path, ...]
    structure_set_path: Path
    paper_paths: tuple[Path, ...]
    setup_paths: tuple[Path, ...]
    plans: tuple[SamplePlan, ...]
    first_fraction: str
    last_fraction: str
    sessions: int
    interruptions: tuple[SampleInterruption, ...]
    missing: tuple[str, ...]
    organs: tuple[Organ, ...]
    grid: ImageGrid
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRegistration:
    """A rigid registration; ``matrix`` (4x4, rows) takes points of the source frame to the target frame, mm."""

    path: Path
    uid: str
    source_frame_uid: str
    target_frame_uid: str
    matrix: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePatient:
    """A fictional patient and what was written for that patient."""

    patient_id: str
    issuer: str | None
    name: str
    birth_date: str
    sex: str
    folder: Path
    courses: tuple[SampleCourse, ...]
    registrations: tuple[SampleRegistration, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the patient, sorted."""
        found: list[Path] = [registration.path for registration in self.registrations]
        for course in self.courses:
            found += [*course.ct_paths, course.structure_set_path, *course.paper_paths, *course.setup_paths]
            for plan in course.plans:
                found += [plan.path, *plan.record_paths]
                if plan.dose_path is not None:
                    found.append(plan.dose_path)
        return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Department:
    """All that was written: `paths` are sorted."""

    folder: Path
    patients: tuple[SamplePatient, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, sorted."""
        return tuple(sorted(path for patient in self.patients for path in patient.paths))

    def patient(self, patient_id: str) -> SamplePatient:
        """The patient with this ID; `KeyError` if there is none."""
        for patient in self.patients:
            if patient.patient_id == patient_id:
                return patient
        raise KeyError(patient_id)
