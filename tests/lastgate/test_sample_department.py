"""The sample department: what the files say is what the department says about itself."""

import datetime as dt
import hashlib
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from lastgate.sample import Department, SampleCourse, SamplePlan, write_department


def _courses(department: Department) -> Iterator[SampleCourse]:
    for patient in department.patients:
        yield from patient.courses


def _plans(department: Department) -> Iterator[tuple[SampleCourse, SamplePlan]]:
    for course in _courses(department):
        for plan in course.plans:
            yield course, plan


def _beams(record: Dataset) -> list[Dataset]:
    found = record.get("TreatmentSessionBeamSequence") or record.TreatmentSessionIonBeamSequence
    return list(found)


def test_files_when_written_in_another_time_zone_then_are_the_same_byte_for_byte(
    sample_department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        again = write_department(tmp_path, scale="small")
    finally:
        monkeypatch.undo()
        time.tzset()

    def digests(folder: Path) -> dict[str, str]:
        files = sorted(folder.rglob("*.dcm"))
        return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    assert digests(again.folder) == digests(sample_department.folder)


def test_paths_when_listed_then_are_all_files_and_no_others(sample_department: Department) -> None:
    assert list(sample_department.paths) == sorted(p for p in sample_department.folder.rglob("*") if p.is_file())
    assert len(sample_department.paths) > 250


def test_instances_when_read_then_bear_the_person_in_every_character_set(sample_department: Department) -> None:
    charsets = set()
    for patient in sample_department.patients:
        for path in patient.paths:
            ds = pydicom.dcmread(path)
            assert str(ds.PatientName) == patient.name
            assert (ds.PatientID, ds.get("IssuerOfPatientID"), ds.PatientSex) == (
                patient.patient_id,
                patient.issuer,
                patient.sex,
            )
            assert ds.PatientComments == "FICTIONAL SAMPLE PATIENT"
            charsets.add(ds.SpecificCharacterSet)
    assert charsets == {"GB18030", "ISO_IR 192", "ISO_IR 100"}
    rare = sample_department.patient("SAMPLE-0004")
    assert pydicom.dcmread(rare.paths[0]).PatientName.ideographic == "赵^䶮"


def test_instances_when_counted_then_no_uid_comes_twice(sample_department: Department) -> None:
    uids = [pydicom.dcmread(p, specific_tags=["SOPInstanceUID"]).SOPInstanceUID for p in sample_department.paths]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)


def test_references_when_followed_then_end_at_files_of_the_same_dossier(sample_department: Department) -> None:
    for course in _courses(sample_department):
        images = {pydicom.dcmread(p).SOPInstanceUID for p in course.ct_paths}
        structures = pydicom.dcmread(course.structure_set_path)
        (frame,) = structures.ReferencedFrameOfReferenceSequence
        (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
        assert {i.ReferencedSOPInstanceUID for i in series.ContourImageSequence} == images
        assert series.SeriesInstanceUID == course.ct_series_uid
        for plan in course.plans:
            _check_plan_references(course, plan, structures.SOPInstanceUID)


def _check_plan_references(course: SampleCourse, plan: SamplePlan, structures: str) -> None:
    ds = pydicom.dcmread(plan.path)
    assert (ds.SOPInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID) == (
        plan.uid,
        course.study_uid,
        course.frame_uid,
    )
    assert ds.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures
    assert ds.ApprovalStatus == "APPROVED"
    if plan.dose_path is not None:
        dose = pydicom.dcmread(plan.dose_path)
        assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.uid
        assert dose.FrameOfReferenceUID == course.frame_uid
    for path in plan.record_paths:
        record = pydicom.dcmread(path)
        assert record.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.uid


def test_prescription_when_followed_to_its_structure_then_names_the_target(sample_department: Department) -> None:
    for course, plan in _plans(sample_department):
        ds, structures = pydicom.dcmread(plan.path), pydicom.dcmread(course.structure_set_path)
        names = {roi.ROINumber: roi.ROIName for roi in structures.StructureSetROISequence}
        targets = [r for r in ds.DoseReferenceSequence if r.DoseReferenceType == "TARGET"]
        assert [(names[r.ReferencedROINumber], float(r.TargetPrescriptionDose)) for r in targets] == [
            (t.name, t.prescribed_gy) for t in plan.targets
        ]
        assert ds.FractionGroupSequence[0].NumberOfFractionsPlanned == plan.fractions_planned


def test_delivered_figures_when_added_from_records_then_are_those_of_the_department(
    sample_department: Department,
) -> None:
    for _, plan in _plans(sample_department):
        fractions: set[int] = set()
        metersets: dict[int, float] = defaultdict(float)
        for path in plan.record_paths:
            for beam in _beams(pydicom.dcmread(path)):
                fractions.add(beam.CurrentFractionNumber)
                metersets[beam.ReferencedBeamNumber] += float(beam.DeliveredPrimaryMeterset)
        assert len(fractions) == plan.fractions_delivered
        assert metersets == pytest.approx({b.number: b.delivered_meterset for b in plan.beams}, abs=0.02)
        equivalents = sum(metersets.values()) / sum(beam.meterset for beam in plan.beams)
        for target in plan.targets:
            expected = target.prescribed_gy * equivalents / plan.fractions_planned
            assert target.delivered_gy == pytest.approx(expected, abs=0.01)


def test_plans_when_listed_then_tell_the_known_story(sample_department: Department) -> None:
    story = {
        plan.label: (plan.fractions_delivered, plan.fractions_planned, round(plan.targets[0].delivered_gy, 6))
        for _, plan in _plans(sample_department)
    }
    assert story == {
        "LungL_60Gy": (30, 30, 60.0),
        "LungL_SBRT": (5, 5, 35.0),
        "Mediast_30.6": (17, 17, 30.6),
        "BreastL_40.05": (15, 15, 40.05),
        "BreastL_Boost": (5, 5, 10.0),
        "Prost_5x8": (5, 5, 40.0),
        "SkullBase_54": (30, 30, 54.0),
        "Rectum_50Gy": (12, 25, 24.0),
    }


def test_records_when_dated_then_fall_on_working_days_between_first_and_last_fraction(
    sample_department: Department,
) -> None:
    for course, plan in _plans(sample_department):
        days = []
        for path in plan.record_paths:
            record = pydicom.dcmread(path)
            days.append(dt.datetime.strptime(record.TreatmentDate, "%Y%m%d").date())
            assert record.TreatmentDate >= pydicom.dcmread(plan.path).RTPlanDate
        assert all(day.weekday() < 5 for day in days)
        assert days == sorted(days)
        assert (days[0].isoformat(), days[-1].isoformat()) == (plan.first_fraction, plan.last_fraction)
        assert course.first_fraction <= plan.first_fraction
        assert plan.last_fraction <= course.last_fraction


def test_machine_failure_when_read_then_the_fraction_is_completed_six_days_later(sample_department: Department) -> None:
    course = sample_department.patient("SAMPLE-0002").courses[1]
    records = [pydicom.dcmread(p) for p in course.plans[0].record_paths]
    seventh = [r for r in records if _beams(r)[0].CurrentFractionNumber == 7]
    failed, resumed = (_beams(r)[-1] for r in seventh)
    assert (failed.TreatmentTerminationStatus, failed.TreatmentDeliveryType) == ("MACHINE", "TREATMENT")
    assert (resumed.TreatmentTerminationStatus, resumed.TreatmentDeliveryType) == ("NORMAL", "CONTINUATION")
    assert float(failed.DeliveredPrimaryMeterset) < float(failed.SpecifiedPrimaryMeterset)
    total = float(failed.DeliveredPrimaryMeterset) + float(resumed.DeliveredPrimaryMeterset)
    assert total == pytest.approx(float(failed.SpecifiedPrimaryMeterset), abs=0.011)
    assert [r.TreatmentDate for r in seventh] == ["20260519", "20260525"]
    (gap,) = course.interruptions
    assert (gap.before, gap.after, gap.working_days) == ("2026-05-19", "2026-05-25", 3)


def test_lost_day_when_made_up_then_two_fractions_lie_six_hours_apart_on_one_day(sample_department: Department) -> None:
    plan = sample_department.patient("SAMPLE-0002").courses[1].plans[0]
    records = [pydicom.dcmread(p) for p in plan.record_paths]
    hours = [
        int(r.TreatmentTime[:2]) + int(r.TreatmentTime[2:4]) / 60 for r in records if r.TreatmentDate == "20260527"
    ]
    assert len(hours) == 2
    assert hours[1] - hours[0] >= 6


def test_sessions_when_a_beam_is_resumed_within_two_hours_then_count_once(sample_department: Department) -> None:
    prostate = sample_department.patient("SAMPLE-0003").courses[0]
    assert len(prostate.plans[0].record_paths) == 6
    assert prostate.sessions == 5
    # fraction 7 of the breast was given on two days, which are two visits
    assert sample_department.patient("SAMPLE-0002").courses[1].sessions == 15 + 5 + 1


def test_unfinished_dossier_when_looked_at_then_lacks_dose_and_thirteen_fractions(
    sample_department: Department,
) -> None:
    course = sample_department.patient("SAMPLE-0005").courses[0]
    assert course.plans[0].dose_path is None
    assert not list(course.folder.glob("RD*"))
    assert len(course.plans[0].record_paths) == 12
    assert course.missing == ("RTDOSE of Rectum_50Gy", "treatment records of fractions 13 to 25", "signed consent")
    assert all(not c.missing for c in _courses(sample_department) if c is not course)


def test_courses_of_the_first_patient_when_compared_then_share_a_frame_of_reference(
    sample_department: Department,
) -> None:
    first, second = sample_department.patient("SAMPLE-0001").courses
    assert first.frame_uid == second.frame_uid
    assert first.study_uid != second.study_uid
    assert first.ct_series_uid != second.ct_series_uid


def test_registration_when_applied_then_takes_the_old_picture_onto_the_new_one(sample_department: Department) -> None:
    patient = sample_department.patient("SAMPLE-0002")
    old, new = patient.courses
    (registration,) = patient.registrations
    ds = pydicom.dcmread(registration.path)
    source = next(i for i in ds.RegistrationSequence if i.FrameOfReferenceUID == old.frame_uid)
    (step,) = source.MatrixRegistrationSequence[0].MatrixSequence
    matrix = np.array(step.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)
    assert ds.FrameOfReferenceUID == new.frame_uid != old.frame_uid
    assert step.FrameOfReferenceTransformationMatrixType == "RIGID"
    np.testing.assert_allclose(matrix, registration.matrix, atol=1e-9)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)

    # pixels far from every edge look alike once carried over, and don't if the matrix is taken the wrong way round
    right, wrong = (_mean_difference(old, new, m) for m in (matrix, np.linalg.inv(matrix)))
    assert right < 60
    assert wrong > 1.5 * right


def _mean_difference(old: SampleCourse, new: SampleCourse, matrix: np.ndarray) -> float:
    """Mean absolute difference in HU of the old picture and the new one looked up through the matrix."""
    volumes = []
    for course in (old, new):
        slices = [pydicom.dcmread(p) for p in course.ct_paths]
        volumes.append(np.array([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]))
    z, y, x = (a.ravel() for a in np.meshgrid(*(old.grid.axis(i) for i in (2, 1, 0)), indexing="ij"))
    there = (matrix @ np.stack([x, y, z, np.ones_like(x)]))[:3]
    at = [(there[i] - new.grid.origin_mm[i]) / new.grid.spacing_mm[i] for i in (2, 1, 0)]
    from scipy.ndimage import map_coordinates

    moved = map_coordinates(volumes[1], at, order=1, cval=-1024)
    inside = (np.abs(x) < 120) & (np.abs(y) < 80) & (np.abs(z) < 90)
    return float(np.abs(moved - volumes[0].ravel())[inside].mean())


@pytest.mark.server
def test_files_when_sent_with_dcmtk_then_all_arrive(sample_department: Department, tmp_path: Path) -> None:
    if not (shutil.which("/usr/bin/storescu") and shutil.which("/usr/bin/storescp")):
        pytest.skip("DCMTK is not installed in /usr/bin.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # one of each kind: DCMTK waits 40 ms for each file
    kinds = {(p.parent, p.name[:2]): p for p in sample_department.paths}
    files = [str(p) for p in kinds.values()]
    node = subprocess.Popen(
        ["/usr/bin/storescp", "-od", str(tmp_path), port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        for _ in range(50):
            sent = subprocess.run(
                ["/usr/bin/storescu", "-R", "127.0.0.1", port, *files], capture_output=True, text=True, check=False
            )
            if sent.returncode == 0:
                break
            time.sleep(0.1)
    finally:
        node.terminate()
        told, _ = node.communicate(timeout=10)
    assert sent.returncode == 0, sent.stderr
    assert (sent.stdout + sent.stderr).strip() == ""
    assert told.strip() == ""
    assert len(list(tmp_path.iterdir())) == len(files)
