"""Registrations listed and judged by command, and what a composite writes of courses that came through one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from archive.uids import is_own
from courses.composite import compose
from courses.questions import Questions
from dose.shapes.inside import inside_of
from dose.shapes.structures import Structure, read_structures
from lastgate.composed_objects import Making
from lastgate.mapped_structures import write_mapped_structures
from lastgate.reception import take_in
from lastgate.sample import Department, SamplePatient
from lastgate.wiring import House
from tests.acceptance.houses import local
from tests.lastgate.program import PASSWORD, Told, environment, lastgate

PATIENT = "SAMPLE-0002"


@pytest.fixture
def home(sample_department: Department, tmp_path: Path) -> Path:
    """An archive with two courses joined by a registration, and the accounts of a physicist and a file manager."""
    with local(tmp_path / "home") as house:
        take_in(house, sample_department.patient(PATIENT).paths)
        house.accounts.add("zhao", "physicist", PASSWORD)
        house.accounts.add("mei", "file-manager", PASSWORD)
    return tmp_path / "home"


def _judge(home: Path, *arguments: object, account: str = "zhao") -> Told:
    words = ("judge-registration", PATIENT, *arguments, "--reason", "Looked at both", "--as", account)
    return lastgate(*words, env=environment(home))


def test_registrations_when_one_is_judged_then_the_list_tells_the_newest_verdict(
    home: Path, sample_department: Department
) -> None:
    (truth,) = sample_department.patient(PATIENT).registrations
    body = lastgate("registrations", PATIENT, "--json", env=environment(home)).json
    assert body["format"] == "lastgate/registrations/1"
    (one,) = body["registrations"]
    assert (one["uid"], one["kind"], one["source"], one["verdict"]) == (truth.uid, "rigid", "received", None)
    assert set(one["frames"]) >= {truth.source_frame_uid, truth.target_frame_uid}
    for word, verdict in (("--approve", "approved"), ("--reject", "rejected")):
        told = _judge(home, truth.uid, word)
        assert (told.code, told.words) == (0, f"{verdict.capitalize()}: {truth.uid}")
        (one,) = lastgate("registrations", PATIENT, "--json", env=environment(home)).json["registrations"]
        assert one["verdict"]["verdict"] == verdict
        assert (one["verdict"]["account"], one["verdict"]["reason"]) == ("zhao", "Looked at both")
    assert "rejected by" in lastgate("registrations", PATIENT, env=environment(home)).words


def test_judging_when_it_may_not_be_then_it_is_refused_and_nothing_is_settled(
    home: Path, sample_department: Department
) -> None:
    (truth,) = sample_department.patient(PATIENT).registrations
    assert _judge(home, truth.uid, "--approve", account="mei").code == 1
    assert _judge(home, truth.uid).code == 2
    assert _judge(home, "2.25.999999999", "--approve").code == 2
    assert _judge(home, "identity:2.25.999999999", "--approve").code == 2
    assert _judge(home, truth.uid, "--approve", "--invalid", "No such organ").code == 2
    (one,) = lastgate("registrations", PATIENT, "--json", env=environment(home)).json["registrations"]
    assert one["verdict"] is None


@pytest.fixture(scope="module")
def breast(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two courses joined by a registration."""
    with local(tmp_path_factory.mktemp("breast")) as house:
        take_in(house, sample_department.patient(PATIENT).paths)
        yield house


@pytest.fixture(scope="module")
def written(breast: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, object]], Dataset]:
    """What the answer names, and the file."""
    folder = tmp_path_factory.mktemp("mapped")
    record = breast.patient(PATIENT)
    making = Making(
        house=breast,
        composite=compose(record, breast.reader),
        answer={"files": {}, "status": {"state": "draft"}, "as_of": "2026-03-01"},
        folder=folder,
        questions=Questions(),
    )
    write_mapped_structures(making)
    return making.answer["files"]["rtstruct_mapped"], dcmread(folder / "structures-1.dcm")


def _patient(department: Department) -> SamplePatient:
    return department.patient(PATIENT)


def test_mapped_structures_when_written_then_they_lie_in_the_image_and_say_where_from(
    written: tuple[list[dict[str, object]], Dataset], sample_department: Department
) -> None:
    (named,), made = written
    old, new = _patient(sample_department).courses
    (truth,) = _patient(sample_department).registrations
    assert named["sources"] == [truth.uid]
    assert (made.StudyInstanceUID, made.FrameOfReferenceUID) == (new.study_uid, new.frame_uid)
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert is_own(made.SOPInstanceUID)
    drawn = dcmread(old.structure_set_path)
    with_volume = {one.name for one in read_structures(drawn).structures if one.has_volume}
    assert {one.ROIName for one in made.StructureSetROISequence} == with_volume
    assert all(truth.uid in one.ROIDescription for one in made.StructureSetROISequence)


def test_mapped_structures_when_written_then_each_contour_lies_on_the_slice_it_names(
    written: tuple[list[dict[str, object]], Dataset], sample_department: Department
) -> None:
    slices = {one.SOPInstanceUID: one for one in map(dcmread, _patient(sample_department).courses[1].ct_paths)}
    count = 0
    for roi in written[1].ROIContourSequence:
        for contour in roi.get("ContourSequence", ()):
            (image,) = contour.ContourImageSequence
            z = np.array(contour.ContourData, dtype=float)[2::3]
            assert z == pytest.approx(float(slices[image.ReferencedSOPInstanceUID].ImagePositionPatient[2]), abs=1e-3)
            count += 1
    assert count > 20


def test_mapped_structures_when_read_back_then_volume_and_place_are_those_of_the_registration(
    written: tuple[list[dict[str, object]], Dataset], sample_department: Department
) -> None:
    (truth,) = _patient(sample_department).registrations
    drawn = read_structures(dcmread(_patient(sample_department).courses[0].structure_set_path))
    mapped = read_structures(written[1])
    heart = next(one for one in drawn.structures if one.name.startswith("Heart"))
    (volume, centre), (there_cc, there) = _solid(heart), _solid(mapped.named(heart.name))
    assert there_cc == pytest.approx(volume, rel=0.03)
    assert there == pytest.approx((np.array(truth.matrix) @ [*centre, 1.0])[:3], abs=1.0)


def _solid(structure: Structure) -> tuple[float, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    inside = inside_of(structure)
    weight = inside.share.ravel().astype(np.float64)
    index = np.indices(inside.share.shape)[::-1].reshape(3, -1).T
    return weight.sum() * inside.geometry.voxel_cc, weight @ inside.geometry.to_points(index) / weight.sum()
