"""Writes the sample department: the files of all patients, and the truth about them."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lastgate.sample.casebook import PatientSpec, casebook
from lastgate.sample.ct import write_ct
from lastgate.sample.dicomfile import Study
from lastgate.sample.doses import dose_grid, write_dose
from lastgate.sample.fields import PlacedDose
from lastgate.sample.ionplans import write_ion_plan
from lastgate.sample.model import (
    Department,
    SampleBeam,
    SampleCourse,
    SampleInterruption,
    SamplePatient,
    SamplePlan,
    SampleRegistration,
    SampleTarget,
)
from lastgate.sample.papers import write_papers, write_setup_images
from lastgate.sample.phantom import ImageGrid, grid_for
from lastgate.sample.planparts import plan_uid
from lastgate.sample.plans import write_photon_plan
from lastgate.sample.records import write_records
from lastgate.sample.registration import write_registration
from lastgate.sample.schedule import Delivery
from lastgate.sample.structures import write_structures
from lastgate.sample.treatment import CourseSpec, PlanSpec

_SAME_SESSION = dt.timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How fine everything is.

    Parameters
    ----------
    pixels
        Rows and columns of a CT slice.
    slice_mm, slices
        Distance of the slices, or how many there are where it is None.
    contour_mm, dose_mm, spot_mm
        How finely contours are drawn, the voxels of dose grids, and the distance of proton spots.
    control_points
        Of an arc.
    """

    pixels: int
    slice_mm: float | None
    slices: int
    contour_mm: float
    dose_mm: float
    control_points: int
    spot_mm: float


SCALES = {
    "full": Scale(pixels=512, slice_mm=3.0, slices=0, contour_mm=1.0, dose_mm=2.5, control_points=178, spot_mm=4.5),
    "small": Scale(pixels=64, slice_mm=None, slices=20, contour_mm=3.0, dose_mm=8.0, control_points=12, spot_mm=9.0),
}


def write_department(folder: Path, *, scale: Literal["full", "small"] = "full") -> Department:
    """Write a fictional department and tell what is in it.

    The files are the same, byte for byte, on every run: nothing depends on the date, the locale or the time zone.

    Parameters
    ----------
    folder
        Where to write; a folder per patient, in it a folder per dossier. Created if it isn't there; files of an
        earlier run are written over.
    scale
        ``full`` has CT series of 512 x 512 pixels, 3 mm apart, and dose grids of 2.5 mm; ``small`` has 20 slices of
        64 x 64 pixels and dose grids of 8 mm, for quick tests.

    Raises
    ------
    OSError
        If the folder can't be written.
    """
    patients = tuple(write_patient(folder, spec, SCALES[scale]) for spec in casebook())
    return Department(folder=folder, patients=patients)


def _study(spec: PatientSpec, course: CourseSpec) -> Study:
    return Study(
        person=spec.person, key=course.key, date=course.ct_date, time="093000", description=course.title,
        frame_key=course.frame_key,
    )  # fmt: skip


def write_patient(folder: Path, spec: PatientSpec, scale: Scale) -> SamplePatient:
    """Write one patient of a department into a folder of its own, and tell what is in it."""
    person, home = spec.person, folder / spec.person.patient_id
    courses = tuple(_write_course(home / course.key, _study(spec, course), course, scale) for course in spec.courses)
    return SamplePatient(
        patient_id=person.patient_id, issuer=person.issuer, name=person.name, birth_date=person.birth_date,
        sex=person.sex, folder=home, courses=courses, registrations=_write_registrations(home, spec),
    )  # fmt: skip


def _write_registrations(home: Path, spec: PatientSpec) -> tuple[SampleRegistration, ...]:
    """Join the frames of courses, two at a time; the anatomy frame is that of the later one."""
    return tuple(_write_registration(home, spec, *pair, number=n) for n, pair in enumerate(spec.registered, start=1))


def _write_registration(home: Path, spec: PatientSpec, earlier: str, later: str, *, number: int) -> SampleRegistration:
    source, target = (next(c for c in spec.courses if c.key == key) for key in (earlier, later))
    assert source.placement.matrix is not None
    assert target.placement.matrix is None
    study, path = _study(spec, target), home / target.key / ("REG.dcm" if number == 1 else f"REG.{number}.dcm")
    matrix = np.round(np.array(source.placement.matrix), 10)
    uid = write_registration(
        path, study, source_frame=_study(spec, source).frame_uid, matrix=matrix, date=spec.registration_date,
        comment=f"{source.ct_date} to {target.ct_date}", number=number,
    )  # fmt: skip
    return SampleRegistration(
        path=path, uid=uid, source_frame_uid=_study(spec, source).frame_uid, target_frame_uid=study.frame_uid,
        matrix=source.placement.matrix,
    )  # fmt: skip


def _write_course(folder: Path, study: Study, course: CourseSpec, scale: Scale) -> SampleCourse:
    grid = grid_for(
        course.anatomy, course.placement, pixels=scale.pixels, spacing_mm=scale.slice_mm, slices=scale.slices
    )
    images = write_ct(folder, study, course.anatomy, course.placement, grid, region=course.region)
    structures = folder / "RS.dcm"
    write_structures(
        structures, study, course.organs, course.placement, grid, step_mm=scale.contour_mm, date=course.plans[0].date
    )
    plans, number = [], 1
    for plan in course.plans:
        plans.append(_write_plan(folder, study, course, plan, grid, scale, number))
        number += len(plan.deliveries)
    papers = write_papers(folder, study, course)
    shown = [write_setup_images(folder, study, plan) for plan in course.plans if course.setup_images]
    times = sorted(_start(delivery) for plan in course.plans for delivery in plan.deliveries)
    return SampleCourse(
        key=course.key, folder=folder, study_uid=study.study_uid, ct_series_uid=study.uid("ct"),
        frame_uid=study.frame_uid, ct_paths=images, structure_set_path=structures, plans=tuple(plans),
        paper_paths=papers, setup_paths=tuple(itertools.chain.from_iterable(shown)),
        first_fraction=times[0].date().isoformat(), last_fraction=times[-1].date().isoformat(),
        sessions=_sessions(times), interruptions=_interruptions(times), missing=course.missing, organs=course.organs,
        grid=grid, placement=course.placement,
    )  # fmt: skip


def _write_plan(
    folder: Path, study: Study, course: CourseSpec, plan: PlanSpec, grid: ImageGrid, scale: Scale, number: int
) -> SamplePlan:
    """Plan, dose and records of one plan; ``number`` is the Instance Number of its first record."""
    path, dose_path = folder / f"RP.{plan.key}.dcm", folder / f"RD.{plan.key}.dcm"
    if plan.is_proton:
        write_ion_plan(path, study, course, plan, spot_distance_mm=scale.spot_mm)
    else:
        write_photon_plan(path, study, course, plan, control_points=scale.control_points)
    if plan.dose_exported:
        write_dose(dose_path, study, course, plan, dose_grid(course, plan, grid, scale.dose_mm))
    records = write_records(
        folder / "records", study, plan, first_number=number, control_points=scale.control_points,
        spot_distance_mm=scale.spot_mm,
    )  # fmt: skip
    return _truth(study, course, plan, path, dose_path if plan.dose_exported else None, records)


def _truth(
    study: Study, course: CourseSpec, plan: PlanSpec, path: Path, dose_path: Path | None, records: tuple[Path, ...]
) -> SamplePlan:
    given = {beam.number: 0.0 for beam in plan.beams}
    for delivery in plan.deliveries:
        for number, begin, end in delivery.parts:
            given[number] += end - begin
    beams = tuple(
        SampleBeam(number=b.number, name=b.name, meterset=b.meterset, delivered_meterset=b.meterset * given[b.number])
        for b in plan.beams
    )
    fractions = sum(beam.delivered_meterset for beam in beams) / plan.meterset
    targets = tuple(
        SampleTarget(name=rx.target, prescribed_gy=rx.dose_gy, delivered_gy=rx.dose_gy * fractions / plan.fractions)
        for rx in plan.prescriptions
    )
    return SamplePlan(
        label=plan.label, uid=plan_uid(study, plan.key), kind="proton" if plan.is_proton else "photon",
        machine=plan.machine.name, path=path, dose_path=dose_path, record_paths=records,
        dose_type="EFFECTIVE" if plan.is_proton else "PHYSICAL", fractions_planned=plan.fractions,
        fractions_delivered=len({delivery.fraction for delivery in plan.deliveries}),
        first_fraction=_start(plan.deliveries[0]).date().isoformat(),
        last_fraction=_start(plan.deliveries[-1]).date().isoformat(), beams=beams, targets=targets,
        isocentre_mm=course.placement.to_image(plan.isocentre),
        dose=PlacedDose(model=plan.dose, placement=course.placement),
    )  # fmt: skip


def _start(delivery: Delivery) -> dt.datetime:
    return dt.datetime.strptime(delivery.date + delivery.time, "%Y%m%d%H%M%S")


def _sessions(times: list[dt.datetime]) -> int:
    """Visits: what starts less than two hours after the first record of a visit belongs to it."""
    count, opened = 0, dt.datetime.min
    for time in times:
        if time - opened >= _SAME_SESSION:
            count, opened = count + 1, time
    return count


def _interruptions(times: list[dt.datetime]) -> tuple[SampleInterruption, ...]:
    found = []
    for before, after in itertools.pairwise(times):
        lost = int(np.busday_count(before.date(), after.date())) - 1
        if lost >= 2:
            found.append(
                SampleInterruption(before=before.date().isoformat(), after=after.date().isoformat(), working_days=lost)
            )
    return tuple(found)
