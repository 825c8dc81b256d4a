"""What `composite -o` writes: the objects say what they are, and no two contents share a UID."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everybody calls it
from pydicom import Dataset, dcmread
from pydicom.uid import RTIonPlanStorage

from archive.uids import is_own
from courses.composite import compose
from courses.hot_points import hot_points
from courses.questions import Questions
from courses.summing import physical_sum
from dose.shapes.planes import Orientation
from lastgate.composed_objects import Making
from lastgate.composing import compose_patient, composed
from lastgate.effect_objects import write_effects
from lastgate.pictures import isodose_picture, planes_through
from lastgate.reception import take_in
from lastgate.sample import Department, SamplePatient
from lastgate.wiring import House
from tests.acceptance.houses import local


def _taken_in(home: Path, patient: SamplePatient, *without: Path) -> Iterator[House]:
    with local(home) as house:
        take_in(house, [path for path in patient.paths if path not in without])
        yield house


@pytest.fixture(scope="module")
def lung(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two courses in one frame of reference, all there."""
    yield from _taken_in(tmp_path_factory.mktemp("lung"), sample_department.patient("SAMPLE-0001"))


@pytest.fixture
def gap(sample_department: Department, tmp_path: Path) -> Iterator[House]:
    """The same without the dose of the first course."""
    patient = sample_department.patient("SAMPLE-0001")
    missing = patient.courses[0].plans[0].dose_path
    assert missing is not None
    yield from _taken_in(tmp_path / "home", patient, missing)


@pytest.fixture(scope="module")
def protons(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A course of protons."""
    yield from _taken_in(tmp_path_factory.mktemp("protons"), sample_department.patient("SAMPLE-0004"))


@pytest.fixture
def doubtful(sample_department: Department, tmp_path: Path) -> Iterator[House]:
    """Two courses without any record."""
    patient = sample_department.patient("SAMPLE-0001")
    records = [path for course in patient.courses for plan in course.plans for path in plan.record_paths]
    yield from _taken_in(tmp_path / "home", patient, *records)


def _written(
    house: House, patient: str, folder: Path, *, as_planned: bool = False
) -> tuple[dict[str, Any], Dataset, Dataset]:
    answer = compose_patient(house, house.patient(patient), onto="", as_of=None, as_planned=as_planned, folder=folder)
    return answer, dcmread(folder / "composite-dose.dcm"), dcmread(folder / "dose-unknown.dcm")


@pytest.fixture(scope="module")
def delivered(lung: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Dataset, Dataset]:
    """The answer and the objects of the two courses as delivered."""
    return _written(lung, "SAMPLE-0001", tmp_path_factory.mktemp("delivered"))


def test_objects_when_written_then_they_lie_in_study_and_frame_of_the_image_and_name_their_plans(
    delivered: tuple[dict[str, Any], Dataset, Dataset], sample_department: Department
) -> None:
    old, new = sample_department.patient("SAMPLE-0001").courses
    answer, dose, unknown = delivered
    for made in (dose, unknown):
        assert (made.StudyInstanceUID, made.FrameOfReferenceUID) == (new.study_uid, new.frame_uid)
        assert made.PatientName == "Wang^XiaoDong=王^小东"
        assert made.InstanceCreationDate == new.last_fraction.replace("-", "")
        assert is_own(made.SOPInstanceUID)
        assert is_own(made.SeriesInstanceUID)
        assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert dose.SeriesInstanceUID != unknown.SeriesInstanceUID
    plans = {one.ReferencedSOPInstanceUID for one in dose.ReferencedRTPlanSequence}
    assert plans == {course.plans[0].uid for course in (old, new)}
    assert (dose.DoseSummationType, dose.DoseType) == ("MULTI_PLAN", "PHYSICAL")
    assert dose.SeriesDescription == "INCOMPLETE Composite physical dose as delivered, draft"
    assert {name for name, path in answer["files"].items() if path} == {
        "rtdose_physical", "rtdose_eqd2", "unknown", "picture", "picture_further", "report_pdf", "report_pdf_en",
    }  # fmt: skip


def test_objects_when_their_content_differs_then_so_do_their_uids(
    delivered: tuple[dict[str, Any], Dataset, Dataset], lung: House, tmp_path: Path
) -> None:
    _, dose, unknown = delivered
    _, planned, same = _written(lung, "SAMPLE-0001", tmp_path, as_planned=True)
    # the planned sum has the same voxels here, but says another thing of itself; what is unknown is the same
    assert planned.PixelData == dose.PixelData
    assert planned.SeriesDescription == "INCOMPLETE Composite physical dose as planned, draft"
    assert planned.SOPInstanceUID != dose.SOPInstanceUID
    assert planned.SeriesInstanceUID != dose.SeriesInstanceUID
    assert same.SOPInstanceUID == unknown.SOPInstanceUID


def test_objects_when_a_plan_is_missing_then_they_say_incomplete_though_every_voxel_of_the_rest_is_known(
    gap: House, tmp_path: Path
) -> None:
    answer, dose, unknown = _written(gap, "SAMPLE-0001", tmp_path)
    assert answer["complete"] is False
    assert "ContourSequence" not in unknown.ROIContourSequence[0]
    assert dose.SeriesDescription == "INCOMPLETE Composite physical dose as delivered, draft"
    assert unknown.SeriesDescription.startswith("INCOMPLETE ")
    assert dose.DoseComment == "Draft as delivered; INCOMPLETE, a dose given is not in it"


def test_objects_when_the_dose_is_rbe_weighted_then_they_say_so_and_sent_back_they_change_nothing(
    protons: House, tmp_path: Path
) -> None:
    answer, dose, _ = _written(protons, "SAMPLE-0004", tmp_path)
    assert answer["complete"] is True
    assert (dose.DoseType, dose.DoseSummationType) == ("EFFECTIVE", "PLAN")
    assert dose.SeriesDescription == "Composite RBE-weighted dose as delivered, draft"
    (plan,) = dose.ReferencedRTPlanSequence
    assert plan.ReferencedSOPClassUID == RTIonPlanStorage
    # a second PLAN grid of another make would leave the plan without any: nobody chose
    report = take_in(protons, [tmp_path / "composite-dose.dcm", tmp_path / "dose-unknown.dcm"])
    assert [line.disposition for line in report.lines] == ["stored", "stored"]
    record = protons.patient("SAMPLE-0004")
    assert sum(is_own(held.uid) for held in (*record.dossiers[0].instances, *record.unattached)) == 2
    again = compose_patient(protons, record, onto="", as_of=None, as_planned=False, folder=None)
    told = {"files", "digests"}
    assert {key: again[key] for key in again.keys() - told} == {key: answer[key] for key in answer.keys() - told}


def test_files_when_no_dose_is_certain_then_there_is_no_picture_but_a_report(doubtful: House, tmp_path: Path) -> None:
    answer, dose, _ = _written(doubtful, "SAMPLE-0001", tmp_path)
    assert "picture" not in answer["files"]
    assert not (tmp_path / "isodoses.png").exists()
    assert (tmp_path / "composite-en.pdf").read_bytes().startswith(b"%PDF")
    # without a session the day of the newest plan stands for the sum
    assert (answer["as_of"], dose.InstanceCreationDate) == (None, "20260903")


def test_effects_when_written_then_each_holds_one_alpha_beta_and_the_background_is_worth_the_same(
    lung: House, tmp_path: Path
) -> None:
    questions = Questions(fractions=5, has_ensemble=False)
    made = composed(lung, lung.patient("SAMPLE-0001"), questions=questions)
    structures: list[dict[str, Any]] = [
        {"name": name, "alpha_beta_gy": 2.0, "eqd2": {}} for name in ("SpinalCord", "Brainstem")
    ]
    structures.append({"name": "Heart", "alpha_beta_gy": 3.0, "eqd2": {}})
    answer = {**made.answer, "structures": structures}
    write_effects(Making(house=lung, composite=made.composite, answer=answer, folder=tmp_path, questions=questions))

    told = answer["files"]["rtdose_eqd2"]
    assert [(one["alpha_beta_gy"], one["structures"]) for one in told] == [
        (2.0, ["SpinalCord", "Brainstem"]), (3.0, ["Heart"]),
    ]  # fmt: skip
    eqd2, background = (dcmread(answer["files"][what][0]["path"]) for what in ("rtdose_eqd2", "rtdose_background"))
    assert (eqd2.DoseType, eqd2.DoseUnits, eqd2.DoseSummationType) == ("EFFECTIVE", "GY", "MULTI_PLAN")
    assert eqd2.DoseComment == "EQD2, LQ, a/b 2 Gy, no recovery, draft"
    assert background.DoseComment == "Background in 5 fx, LQ, a/b 2 Gy, draft"
    assert eqd2.SOPInstanceUID != background.SOPInstanceUID
    effect, worth = (one.pixel_array * float(one.DoseGridScaling) for one in (eqd2, background))
    # EQD2 of D in n fractions: D (D / n + a/b) / (2 + a/b)
    assert worth * (worth / 5 + 2) / 4 == pytest.approx(effect, abs=1e-3)
    image = sitk.ReadImage(answer["files"]["rtdose_eqd2"][0]["path"])
    assert sitk.GetArrayFromImage(image).shape == effect.shape


@pytest.mark.skipif(which("dciodvfy") is None, reason="dciodvfy of dicom3tools is not here")
def test_objects_when_checked_by_dciodvfy_then_there_is_no_error(lung: House, tmp_path: Path) -> None:
    _written(lung, "SAMPLE-0001", tmp_path)
    for name in ("composite-dose.dcm", "dose-unknown.dcm"):
        told = subprocess.run(["dciodvfy", tmp_path / name], capture_output=True, text=True, check=False)
        assert [line for line in told.stderr.splitlines() if line.startswith("Error")] == []


def test_composite_when_asked_for_then_the_journal_tells_it(lung: House) -> None:
    compose_patient(lung, lung.patient("SAMPLE-0001"), onto="", as_of=None, as_planned=False, folder=None)
    lung.journal.flush()
    composed = [event for event in lung.journal.events() if event["act"] == "compose"]
    assert composed[-1]["subject"].keys() == {"patient", "onto", "complete"}


def test_pictures_when_courses_overlap_then_planes_go_through_where_both_gave_most_and_the_hottest_voxel(
    lung: House,
) -> None:
    composite = compose(lung.patient("SAMPLE-0001"), lung.reader)
    points = hot_points(composite)
    drawn = planes_through(points, composite, lung.reader)
    assert [point.what for point in points] == ["overlap", "dose"][: len(points)]
    total, parts = composite.total.grid, composite.gathered
    courses = [physical_sum(parts, only=one.id).lower_gy for one in composite.dossiers]
    assert min(gy for _, gy in points[0].by_course_gy) == pytest.approx(float(np.minimum(*courses).max()), abs=1e-3)
    assert points[0].known_gy == pytest.approx(sum(gy for _, gy in points[0].by_course_gy), abs=1e-3)
    assert points[-1].known_gy == pytest.approx(total.max_gy, abs=1e-3)
    picture = isodose_picture(drawn[-1], composite, "en")
    axial = next(one for one in picture.cuts if one.orientation is Orientation.AXIAL)
    assert axial.ct_hu is not None
    assert axial.dose_gy[axial.known].max() > 0.9 * total.max_gy
    assert (picture.reference_gy, picture.reference_name, picture.unit) == (35.0, "prescription PTVp", "Gy")
    target = next(one for one in picture.outlines if one.name == "PTVp")
    place = picture.cuts.index(axial)
    assert [bool(lines) for lines in target.lines_mm] == [n == place for n in range(3)]
    (line,) = target.lines_mm[place]
    assert line[0] == pytest.approx(line[-1])
    assert f"sum {points[-1].known_gy:.1f} Gy" in picture.provenance[0]
    assert picture.provenance[1:] == [
        "LungL_60Gy: 30 of 30 fractions, same frame of reference",
        "LungL_SBRT: 5 of 5 fractions, same frame of reference",
    ]
    chinese = isodose_picture(drawn[0], composite, "zh")
    assert (chinese.language, chinese.reference_name) == ("zh", "处方 PTVp")
    assert "重叠最高点" in chinese.provenance[0]
    assert chinese.provenance[2] == "LungL_SBRT：5次中的5次，同一坐标系"
