"""A patient with three courses of clinical size on three frames of reference, for benchmarks of the composite."""

from dataclasses import dataclass, replace
from pathlib import Path

from lastgate.sample.casebook import PatientSpec, casebook
from lastgate.sample.department import SCALES, Scale, write_patient
from lastgate.sample.identity import Person
from lastgate.sample.model import SamplePatient
from lastgate.sample.phantom import Organ
from lastgate.sample.schedule import daily
from lastgate.sample.solids import Ellipsoid, Placement
from lastgate.sample.treatment import CourseSpec

PATIENT_ID = "BENCH-0001"
_COLUMNS, _ROWS = 6, 4
_STEP_MM = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the case is.

    Parameters
    ----------
    structures
        On the image of the sum.
    dose_mm
        Voxels of the dose grids.
    """

    structures: int = 30
    dose_mm: float = 2.0


def write_three_courses(folder: Path, size: Size) -> SamplePatient:
    """Write the patient: mediastinum twice, then the breast with a boost, each registered to the last image."""
    (before,) = (one for one in casebook() if one.registered)
    earlier, later = before.courses
    courses = (earlier, _again(earlier), _with_structures(later, size.structures))
    spec = PatientSpec(
        person=Person(
            patient_id=PATIENT_ID, issuer=None, name="Bench^Mark", birth_date="19680722", sex="F",
            character_set="ISO_IR 192",
        ),
        courses=courses,
        registered=tuple((one.key, later.key) for one in courses[:2]),
        registration_date=before.registration_date,
    )  # fmt: skip
    return write_patient(folder, spec, _scale(size))


def _scale(size: Size) -> Scale:
    return replace(SCALES["full"], slice_mm=2.0, dose_mm=size.dose_mm)


def _again(course: CourseSpec) -> CourseSpec:
    """The same region once more, five years later and lying differently."""
    (plan,) = course.plans
    given = replace(
        plan,
        key="mediastinum-2",
        label="Mediast_again",
        date="20200304",
        deliveries=daily("2020-03-09", plan.fractions, (1, 2), time="140500"),
    )
    return replace(
        course,
        key="2020-mediastinum",
        title="Mediastinum again 30.6 Gy",
        ct_date="20200226",
        frame_key="2020",
        plans=(given,),
        placement=Placement.rigid(turn_deg=(2.0, -1.5, -4.0), shift_mm=(-8.0, 12.0, -10.0)),
    )


def _with_structures(course: CourseSpec, count: int) -> CourseSpec:
    """Add ellipsoids of several sizes within the chest until there are so many structures; or leave targets out."""
    missing = count - len(course.organs)
    if missing < 0:
        return replace(course, targets=course.targets[: len(course.targets) + missing])
    return replace(course, targets=(*course.targets, *(_ball(n) for n in range(missing))))


def _ball(number: int) -> Organ:
    column, row, layer = number % _COLUMNS, number // _COLUMNS % _ROWS, number // (_COLUMNS * _ROWS)
    centre = ((column - 2.5) * _STEP_MM, (row - 2.0) * _STEP_MM, 40.0 - layer * 55.0)
    radius = 6.0 + 5.0 * (number % 5)
    solid = Ellipsoid(centre=centre, radii=(radius, radius * 0.8, radius * 1.3))
    return Organ(name=f"zNode_{number + 1:02d}", solid=solid, kind="ORGAN", colour=(120, 160, 255))
