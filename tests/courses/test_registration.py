"""How frames of reference are joined, and which registrations are refused."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    DeformableSpatialRegistrationStorage,
    ExplicitVRLittleEndian,
    SpatialRegistrationStorage,
)

from archive.assembly.catalogue import distinct
from archive.facts.receipts import Receipt
from archive.model import Held
from courses.registration import Mapping, NoMapping, mapping, registrations_of
from lastgate.sample import Department
from tests.courses.archived import Archived
from tests.dose.judge import rotation
from tests.factories import uid

Matrix = npt.NDArray[np.float64]
A, B, C = uid("frame a"), uid("frame b"), uid("frame c")
TURN = rotation(7, (3, -2, 11))
OTHER = rotation(-15, (0, 40, 5))


def _item(frame: str, matrices: Iterable[Sequence[object] | Matrix]) -> Dataset:
    item, registration = Dataset(), Dataset()
    if frame:
        item.FrameOfReferenceUID = frame
    steps = []
    for matrix in matrices:
        step = Dataset()
        values = matrix.ravel() if isinstance(matrix, np.ndarray) else matrix
        step.FrameOfReferenceTransformationMatrix = [f"{value:.10f}"[:16] for value in values]
        step.FrameOfReferenceTransformationMatrixType = "RIGID"
        steps.append(step)
    registration.MatrixSequence = Items(steps)
    item.MatrixRegistrationSequence = Items([registration])
    return item


def _registration(own: str, *items: Dataset, name: str = "reg", sop_class: UID = SpatialRegistrationStorage) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop_class, UID(uid(name))
    made.PatientID, made.PatientName, made.Modality = "H-1001", "Sample^Ada", "REG"
    made.StudyInstanceUID, made.SeriesInstanceUID = uid("study"), uid("series reg")
    made.FrameOfReferenceUID = own
    if sop_class == DeformableSpatialRegistrationStorage:
        made.DeformableRegistrationSequence = Items(items)
    else:
        made.RegistrationSequence = Items(items)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = sop_class, UID(uid(name))
    return made


def _held(*receipts: Receipt) -> list[Held]:
    return registrations_of(distinct(receipts, sealed=frozenset()))


def _matrix(found: Mapping | NoMapping) -> Matrix:
    assert isinstance(found, Mapping), found
    assert found.kind == "rigid"
    assert found.moving_to_fixed is not None
    return found.moving_to_fixed


def _reason(found: Mapping | NoMapping) -> str:
    assert isinstance(found, NoMapping), found
    return found.reason


def test_mapping_when_both_frames_are_one_then_it_is_the_identity_whatever_is_registered(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(A, _item(A, [TURN]))))
    found = mapping(A, A, registered, archived.reader)
    assert found == Mapping(kind="identity", source="frame of reference", moving_to_fixed=None)


def test_mapping_when_registered_then_the_matrix_takes_the_moving_frame_into_the_own_one(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(A, _item(A, [np.eye(4)]), _item(B, [TURN]))))
    onto_own = mapping(B, A, registered, archived.reader)
    assert _matrix(onto_own) == pytest.approx(TURN, abs=1e-8)
    assert isinstance(onto_own, Mapping)
    assert onto_own.source == uid("reg")
    assert _matrix(mapping(A, B, registered, archived.reader)) == pytest.approx(np.linalg.inv(TURN), abs=1e-8)


def test_mapping_when_the_own_frame_has_no_item_then_it_maps_onto_itself(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(A, _item(B, [TURN]))))
    assert _matrix(mapping(B, A, registered, archived.reader)) == pytest.approx(TURN, abs=1e-8)


def test_mapping_when_two_frames_meet_in_a_third_then_they_are_joined_through_it(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(C, _item(A, [TURN]), _item(B, [OTHER]))))
    point = np.array([12.0, -30.0, 55.0, 1.0])
    through = np.linalg.inv(OTHER) @ (TURN @ point)
    assert _matrix(mapping(A, B, registered, archived.reader)) @ point == pytest.approx(through, abs=1e-6)


def test_mapping_when_the_chain_runs_over_two_registrations_then_it_is_left_to_a_physicist(archived: Archived) -> None:
    one = archived.receipt(_registration(A, _item(B, [TURN]), name="one"))
    other = archived.receipt(_registration(B, _item(C, [OTHER]), name="other"))
    found = mapping(C, A, _held(one, other), archived.reader)
    assert _reason(found) == "no registration joins its frame of reference to the one of the image"


def test_mapping_when_matrices_commute_then_their_product_counts(archived: Archived) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (5, -7, 9)
    registered = _held(archived.receipt(_registration(A, _item(B, [np.eye(4), shift, shift]))))
    assert _matrix(mapping(B, A, registered, archived.reader)) == pytest.approx(shift @ shift, abs=1e-8)


def test_mapping_when_the_order_of_matrices_matters_then_it_is_refused(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(A, _item(B, [TURN, OTHER]))))
    assert _reason(mapping(B, A, registered, archived.reader)).endswith("gives several matrices whose order matters")


def _scaled(by: float) -> Matrix:
    return TURN @ np.diag([by, by, by, 1.0])


@pytest.mark.parametrize(
    "matrix",
    [_scaled(1.02), np.diag([1.0, 1.0, -1.0, 1.0]), TURN + np.eye(4, k=1) * 0.01, np.zeros((4, 4))],
    ids=["scale", "mirror", "shear", "nothing"],
)
def test_mapping_when_the_matrix_is_not_rigid_then_it_is_refused(archived: Archived, matrix: Matrix) -> None:
    registered = _held(archived.receipt(_registration(A, _item(B, [matrix]))))
    for moving, fixed in ((A, B), (B, A)):
        assert _reason(mapping(moving, fixed, registered, archived.reader)).endswith("is not rigid")


def test_mapping_when_values_are_rounded_to_six_digits_then_it_still_is_rigid(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(A, _item(B, [np.round(TURN, 6)]))))
    assert _matrix(mapping(B, A, registered, archived.reader)) == pytest.approx(TURN, abs=1e-6)


def test_mapping_when_only_a_deformable_registration_joins_then_it_is_refused(archived: Archived) -> None:
    item = Dataset()
    item.SourceFrameOfReferenceUID = B
    made = _registration(A, item, sop_class=DeformableSpatialRegistrationStorage)
    reason = _reason(mapping(B, A, _held(archived.receipt(made)), archived.reader))
    assert reason == "only a deformable registration joins its frame of reference to the one of the image"


def _two_maps() -> Dataset:
    return _registration(A, _item(B, [TURN]), _item(B, [OTHER]))


def _own_moved() -> Dataset:
    return _registration(A, _item(A, [OTHER]), _item(B, [TURN]))


def _short() -> Dataset:
    return _registration(A, _item(B, [TURN.ravel()[:12]]))


def _empty() -> Dataset:
    return _registration(A, _item(B, []))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_two_maps, "gives two maps for one frame of reference"),
        (_own_moved, "gives two maps for one frame of reference"),
        (_short, "has a matrix that is not 16 numbers"),
        (_empty, "has no matrix"),
    ],
)
def test_mapping_when_a_registration_is_in_doubt_then_it_is_refused_and_says_why(
    archived: Archived, make: Callable[[], Dataset], words: str
) -> None:
    registered = _held(archived.receipt(make()))
    assert _reason(mapping(B, A, registered, archived.reader)) == (
        f"the registration that joins its frame of reference to the one of the image {words}"
    )


def test_mapping_when_items_repeat_the_same_map_then_it_counts(archived: Archived) -> None:
    registered = _held(archived.receipt(_registration(A, _item(B, [TURN]), _item(B, [TURN]), _item("", [OTHER]))))
    assert _matrix(mapping(B, A, registered, archived.reader)) == pytest.approx(TURN, abs=1e-8)


def test_mapping_when_several_registrations_fit_then_the_last_usable_one_counts(archived: Archived) -> None:
    old = archived.receipt(_registration(A, _item(B, [OTHER]), name="old"), minutes=0)
    new = archived.receipt(_registration(A, _item(B, [TURN]), name="new"), minutes=5)
    broken = archived.receipt(_registration(A, _item(B, [_scaled(2)]), name="broken"), minutes=9)
    for receipts in ((old, new, broken), (broken, new, old)):
        found = mapping(B, A, _held(*receipts), archived.reader)
        assert isinstance(found, Mapping)
        assert found.source == uid("new")


@pytest.mark.parametrize(("moving", "fixed"), [("", A), (A, ""), ("", "")])
def test_mapping_when_a_frame_is_not_named_then_nothing_is_joined(archived: Archived, moving: str, fixed: str) -> None:
    assert "names no frame of reference" in _reason(mapping(moving, fixed, [], archived.reader))


def test_sample_registration_when_read_then_it_takes_points_as_the_sample_says(
    archived: Archived, sample_department: Department
) -> None:
    (truth,) = sample_department.patient("SAMPLE-0002").registrations
    registered = _held(archived.receipt(truth.path))
    forth = _matrix(mapping(truth.source_frame_uid, truth.target_frame_uid, registered, archived.reader))
    back = _matrix(mapping(truth.target_frame_uid, truth.source_frame_uid, registered, archived.reader))
    assert forth == pytest.approx(np.array(truth.matrix), abs=1e-9)
    assert forth @ back == pytest.approx(np.eye(4), abs=1e-9)
    # a spot of the anatomy lies in the source image where its placement says, and in the target where it was modelled
    source, target = sample_department.patient("SAMPLE-0002").courses
    spot = (52.0, -88.0, 12.0)
    then, now = np.array([*source.placement.to_image(spot), 1.0]), np.array([*target.placement.to_image(spot), 1.0])
    assert (forth @ then)[:3] == pytest.approx(now[:3], abs=1e-6)
    assert str(dcmread(truth.path).FrameOfReferenceUID) == truth.target_frame_uid
