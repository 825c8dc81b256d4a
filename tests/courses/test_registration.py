"""How frames of reference are joined, and which registrations are refused."""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeformableSpatialRegistrationStorage,
    ExplicitVRLittleEndian,
    SpatialRegistrationStorage,
)

from archive.facts.decisions import Act
from archive.facts.dose_decisions import JudgeRegistration, Register, RegistrationQuality
from archive.facts.receipts import Receipt
from courses.registration import Mapping, NoMapping, find_mapping
from dose.grids.fields import DisplacementStep
from dose.grids.grid import Geometry
from dose.grids.transforms import Transform
from dose.objects.write_registration import deformable_registration, spatial_registration
from lastgate.sample import Department
from storage.errors import ObjectMissing
from tests.courses.archived import Archived, SampleRecord
from tests.dose.judge import rotation
from tests.dose.objects.registered import header, side
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


class _Nothing:
    def read(self, sha256: str) -> bytes:
        raise ObjectMissing(sha256)


def _between(
    archived: Archived, moving: str, fixed: str, *files: Dataset | Path | Receipt, acts: Iterable[Act] = ()
) -> Mapping | NoMapping:
    """Return the map between two frames of a patient who has these files."""
    return find_mapping(moving, fixed, archived.record(files, acts), archived.reader, _Nothing())


def _matrix(found: Mapping | NoMapping) -> Matrix:
    """Return the moving frame's matrix into the fixed one."""
    assert isinstance(found, Mapping), found
    assert found.kind in ("rigid", "chain")
    assert found.transform is not None
    assert found.transform.matrix is not None
    return np.linalg.inv(found.transform.matrix).astype(np.float64)


def _reason(found: Mapping | NoMapping) -> str:
    assert isinstance(found, NoMapping), found
    return found.reason


def _judged(verdict: str, name: str = "reg", **more: Any) -> JudgeRegistration:
    return JudgeRegistration(uid=uid(name), verdict=verdict, reason="looked at", **more)  # type: ignore[arg-type]


def test_mapping_when_both_frames_are_one_then_it_is_the_identity_whatever_is_registered(archived: Archived) -> None:
    found = _between(archived, A, A, _registration(A, _item(A, [TURN])))
    assert isinstance(found, Mapping)
    assert (found.kind, found.source, found.transform) == ("identity", "frame of reference", None)
    assert found.is_approved


def test_mapping_when_registered_then_the_matrix_takes_the_moving_frame_into_the_own_one(archived: Archived) -> None:
    registered = _registration(A, _item(A, [np.eye(4)]), _item(B, [TURN]))
    onto_own = _between(archived, B, A, registered)
    assert _matrix(onto_own) == pytest.approx(TURN, abs=1e-8)
    assert isinstance(onto_own, Mapping)
    assert onto_own.source == uid("reg")
    assert _matrix(_between(archived, A, B, registered)) == pytest.approx(np.linalg.inv(TURN), abs=1e-8)


def test_mapping_when_the_own_frame_has_no_item_then_it_maps_onto_itself(archived: Archived) -> None:
    registered = _registration(A, _item(B, [TURN]))
    assert _matrix(_between(archived, B, A, registered)) == pytest.approx(TURN, abs=1e-8)


def test_mapping_when_two_frames_meet_in_a_third_then_they_are_joined_through_it(archived: Archived) -> None:
    registered = _registration(C, _item(A, [TURN]), _item(B, [OTHER]))
    point = np.array([12.0, -30.0, 55.0, 1.0])
    through = np.linalg.inv(OTHER) @ (TURN @ point)
    assert _matrix(_between(archived, A, B, registered)) @ point == pytest.approx(through, abs=1e-6)


def test_mapping_when_the_chain_runs_over_two_registrations_then_it_is_their_product(archived: Archived) -> None:
    one = _registration(A, _item(B, [TURN]), name="one")
    other = _registration(B, _item(C, [OTHER]), name="other")
    for files in ((one, other), (other, one)):
        found = _between(archived, C, A, *files)
        assert _matrix(found) == pytest.approx(TURN @ OTHER, abs=1e-6)
        assert isinstance(found, Mapping)
        assert (found.kind, found.sources) == ("chain", (uid("one"), uid("other")))
        assert [one.code for one in found.cautions] == ["LG-REG-010", "LG-REG-010", "LG-REG-012"]


def test_mapping_when_a_chain_and_a_direct_registration_join_then_the_direct_one_counts(archived: Archived) -> None:
    one = archived.receipt(_registration(A, _item(B, [TURN]), name="one"), minutes=7)
    other = archived.receipt(_registration(B, _item(C, [OTHER]), name="other"), minutes=8)
    direct = archived.receipt(_registration(A, _item(C, [OTHER]), name="direct"), minutes=0)
    found = _between(archived, C, A, one, other, direct)
    assert isinstance(found, Mapping)
    assert found.sources == (uid("direct"),)
    acts = [_judged("approved", "one"), _judged("rejected", "direct"), _judged("approved", "other")]
    found = _between(archived, C, A, one, other, direct, acts=acts)
    assert isinstance(found, Mapping)
    assert found.sources == (uid("one"), uid("other"))
    assert found.is_approved


def test_mapping_when_errors_are_known_then_a_chain_adds_them_in_quadrature(archived: Archived) -> None:
    files = [_registration(A, _item(B, [TURN]), name="one"), _registration(B, _item(C, [OTHER]), name="other")]
    acts = [
        _judged("approved", name, quality=RegistrationQuality(landmarks=5, tre_mean_mm=tre))
        for name, tre in (("one", 1.5), ("other", 2.0))
    ]
    found = _between(archived, C, A, *files, acts=acts)
    assert isinstance(found, Mapping)
    assert found.error == "1.5 and 2.0 mm, together 2.5 mm (TRE)"
    found = _between(archived, C, A, *files, acts=acts[1:])
    assert isinstance(found, Mapping)
    assert found.error == "1 of 2 not measured, at least 2.0 mm"


def test_mapping_when_a_registration_was_rejected_then_it_joins_nothing_until_it_is_approved(
    archived: Archived,
) -> None:
    made = _registration(A, _item(B, [TURN]))
    rejected = _between(archived, B, A, made, acts=[_judged("approved"), _judged("rejected")])
    assert _reason(rejected).endswith("was rejected by a physicist")
    assert isinstance(rejected, NoMapping)
    assert rejected.code == "LG-REG-004"
    again = _between(archived, B, A, made, acts=[_judged("rejected"), _judged("approved")])
    assert isinstance(again, Mapping)
    assert again.is_approved
    assert again.approved_by
    assert not again.cautions


def test_mapping_when_an_older_registration_is_approved_then_it_counts_before_the_newest(archived: Archived) -> None:
    old = archived.receipt(_registration(A, _item(B, [OTHER]), name="old"), minutes=0)
    new = archived.receipt(_registration(A, _item(B, [TURN]), name="new"), minutes=5)
    found = _between(archived, B, A, new, old, acts=[_judged("approved", "old")])
    assert isinstance(found, Mapping)
    assert found.sources == (uid("old"),)


def test_mapping_when_a_registration_scales_then_it_counts_only_once_approved(archived: Archived) -> None:
    found = _between(archived, B, A, _registration(A, _item(B, [_scaled(1.02)])), acts=[_judged("approved")])
    assert isinstance(found, Mapping)
    assert found.kind == "affine"
    assert [one.code for one in found.cautions] == ["LG-REG-013", "LG-REG-015"]


def test_mapping_when_a_field_is_registered_then_it_holds_both_ways(archived: Archived) -> None:
    geometry = Geometry(shape=(6, 7, 8), affine=np.diag([20.0, 20, 20, 1]))
    bend = np.sin(np.indices(geometry.shape).sum(axis=0) / 3)[..., np.newaxis] * (4.0, -3.0, 2.0)
    through = Transform((DisplacementStep(vectors_mm=bend.astype(np.float32), geometry=geometry),))
    made = deformable_registration(
        through.then(Transform.of_matrix(TURN)), geometry, header=header(frame=A), fixed=side(A), moving=side(B)
    )
    points = np.random.default_rng(3).uniform((15, 15, 15), (120, 100, 80), (50, 3))
    there = _between(archived, B, A, made)
    back = _between(archived, A, B, made)
    assert isinstance(there, Mapping)
    assert isinstance(back, Mapping)
    assert there.kind == back.kind == "deformable"
    assert there.transform is not None
    assert back.transform is not None
    moved = there.transform.to_moving(points)
    assert moved == pytest.approx(through.then(Transform.of_matrix(TURN)).to_moving(points), abs=1e-4)
    assert back.transform.to_moving(moved) == pytest.approx(points, abs=2e-3)


def test_mapping_when_a_structure_is_invalid_then_places_within_it_have_no_partner(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    (truth,) = breast.patient.registrations
    record = breast.record
    held = next(
        held
        for dossier in record.dossiers
        for held in dossier.instances
        if held.header.structure_set and truth.target_frame_uid in held.header.structure_set.frame_uids
    )
    drawn = sample_archive.reader.structures(held)
    heart = next(one for one in drawn.structures if one.name.startswith("Heart"))
    act = JudgeRegistration(uid=truth.uid, verdict="approved", reason="resected", invalid=((held.uid, heart.name),))
    changed = sample_archive.changed(breast, decisions=[act])
    frames = (truth.source_frame_uid, truth.target_frame_uid)
    found = find_mapping(*frames, changed, sample_archive.reader, _Nothing())
    assert isinstance(found, Mapping), found
    assert found.invalid == act.invalid
    assert found.transform is not None
    middle = np.concatenate(heart.closed).mean(axis=0)
    moved = found.transform.to_moving(np.array([middle, middle + np.array([400.0, 0, 0])]))
    assert np.isnan(moved[0]).all()
    assert np.isfinite(moved[1]).all()
    back = find_mapping(*frames[::-1], changed, sample_archive.reader, _Nothing())
    assert isinstance(back, Mapping)
    assert back.transform is not None
    plain = _between(sample_archive, *frames[::-1], *breast.receipts.values())
    assert isinstance(plain, Mapping)
    assert plain.transform is not None
    assert plain.transform.matrix is not None
    there = np.linalg.inv(plain.transform.matrix) @ [*middle, 1.0]
    assert np.isnan(back.transform.to_moving(there[np.newaxis, :3])).all()


def test_mapping_when_the_invalid_structure_is_not_here_then_the_registration_is_not_used(archived: Archived) -> None:
    act = _judged("approved", invalid=((uid("elsewhere"), "Lobe"),))
    found = _between(archived, B, A, _registration(A, _item(B, [TURN])), acts=[act])
    assert _reason(found).endswith("was approved without the inside of Lobe, whose structure set is not here")


def test_mapping_when_matrices_commute_then_their_product_counts(archived: Archived) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (5, -7, 9)
    registered = _registration(A, _item(B, [np.eye(4), shift, shift]))
    assert _matrix(_between(archived, B, A, registered)) == pytest.approx(shift @ shift, abs=1e-8)


def test_mapping_when_the_order_of_matrices_matters_then_it_is_refused(archived: Archived) -> None:
    registered = _registration(A, _item(B, [TURN, OTHER]))
    assert _reason(_between(archived, B, A, registered)).endswith("gives several matrices whose order matters")


def _scaled(by: float) -> Matrix:
    return TURN @ np.diag([by, by, by, 1.0])


@pytest.mark.parametrize(
    "matrix",
    [_scaled(1.02), np.diag([1.0, 1.0, -1.0, 1.0]), TURN + np.eye(4, k=1) * 0.01, np.zeros((4, 4))],
    ids=["scale", "mirror", "shear", "nothing"],
)
def test_mapping_when_the_matrix_is_not_rigid_then_it_is_refused(archived: Archived, matrix: Matrix) -> None:
    registered = _registration(A, _item(B, [matrix]))
    for moving, fixed in ((A, B), (B, A)):
        assert "is not rigid" in _reason(_between(archived, moving, fixed, registered))


def test_mapping_when_values_are_rounded_to_six_digits_then_it_still_is_rigid(archived: Archived) -> None:
    registered = _registration(A, _item(B, [np.round(TURN, 6)]))
    assert _matrix(_between(archived, B, A, registered)) == pytest.approx(TURN, abs=1e-6)


def test_mapping_when_a_deformable_registration_holds_nothing_then_it_is_refused(archived: Archived) -> None:
    item = Dataset()
    item.SourceFrameOfReferenceUID = B
    item.DeformableRegistrationGridSequence = Items([Dataset()])
    made = _registration(A, item, sop_class=DeformableSpatialRegistrationStorage)
    assert _reason(_between(archived, B, A, made)).endswith("has a displacement field without size or spacing")


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
    registered = make()
    assert _reason(_between(archived, B, A, registered)) == (
        f"the registration that joins its frame of reference to the one of the image {words}"
    )


def test_mapping_when_items_repeat_the_same_map_then_it_counts(archived: Archived) -> None:
    registered = _registration(A, _item(B, [TURN]), _item(B, [TURN]), _item("", [OTHER]))
    assert _matrix(_between(archived, B, A, registered)) == pytest.approx(TURN, abs=1e-8)


def test_mapping_when_several_registrations_fit_then_the_last_usable_one_counts(archived: Archived) -> None:
    old = archived.receipt(_registration(A, _item(B, [OTHER]), name="old"), minutes=0)
    new = archived.receipt(_registration(A, _item(B, [TURN]), name="new"), minutes=5)
    broken = archived.receipt(_registration(A, _item(B, [_scaled(2)]), name="broken"), minutes=9)
    for receipts in ((old, new, broken), (broken, new, old)):
        found = _between(archived, B, A, *receipts)
        assert isinstance(found, Mapping)
        assert found.source == uid("new")


@pytest.mark.parametrize(("moving", "fixed"), [("", A), (A, ""), ("", "")])
def test_mapping_when_a_frame_is_not_named_then_nothing_is_joined(archived: Archived, moving: str, fixed: str) -> None:
    assert "names no frame of reference" in _reason(
        _between(archived, moving, fixed, _registration(A, _item(B, [TURN])))
    )


def test_sample_registration_when_read_then_it_takes_points_as_the_sample_says(
    archived: Archived, sample_department: Department
) -> None:
    (truth,) = sample_department.patient("SAMPLE-0002").registrations
    registered = truth.path
    forth = _matrix(_between(archived, truth.source_frame_uid, truth.target_frame_uid, registered))
    back = _matrix(_between(archived, truth.target_frame_uid, truth.source_frame_uid, registered))
    assert forth == pytest.approx(np.array(truth.matrix), abs=1e-9)
    assert forth @ back == pytest.approx(np.eye(4), abs=1e-9)
    # a spot of the anatomy lies in the source image where its placement says, and in the target where it was modelled
    source, target = sample_department.patient("SAMPLE-0002").courses
    spot = (52.0, -88.0, 12.0)
    then, now = np.array([*source.placement.to_image(spot), 1.0]), np.array([*target.placement.to_image(spot), 1.0])
    assert (forth @ then)[:3] == pytest.approx(now[:3], abs=1e-6)
    assert str(dcmread(truth.path).FrameOfReferenceUID) == truth.target_frame_uid


def _image(series: str, day: str) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, UID(uid(f"slice {series}"))
    made.PatientID, made.PatientName, made.Modality = "H-1001", "Sample^Ada", "CT"
    made.StudyInstanceUID, made.SeriesInstanceUID = uid("study"), uid(series)
    made.FrameOfReferenceUID, made.StudyDate = A, day
    made.Rows = made.Columns = 1
    made.BitsAllocated, made.PixelRepresentation, made.PixelData = 16, 0, b"\0\0"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def _one_frame(archived: Archived, *days: str, acts: Iterable[Act] = ()) -> Mapping | NoMapping:
    """Return what joins two series of one frame taken on these days."""
    record = archived.record([_image("old", days[0]), _image("new", days[-1])], acts)
    return find_mapping(A, A, record, archived.reader, _Nothing(), moving_series=uid("old"), fixed_series=uid("new"))


def _shared(verdict: str) -> JudgeRegistration:
    return JudgeRegistration(uid=f"identity:{A}", verdict=verdict, reason="compared")  # type: ignore[arg-type]


def test_identity_when_the_images_are_days_apart_then_it_asks_to_be_judged(archived: Archived) -> None:
    found = _one_frame(archived, "20260301", "20260315")
    assert isinstance(found, Mapping)
    assert (found.kind, found.transform, found.is_approved) == ("identity", None, False)
    (caution,) = found.cautions
    assert caution.code == "LG-REG-011"
    assert "14 days apart (20260301, 20260315)" in caution.words
    assert f"identity:{A}" in caution.fix
    same_day = _one_frame(archived, "20260301", "20260301")
    assert isinstance(same_day, Mapping)
    assert (same_day.is_approved, same_day.approved_by, same_day.cautions) == (True, "", ())


def test_identity_when_a_physicist_judged_it_then_the_newest_verdict_counts(archived: Archived) -> None:
    days = ("20260301", "20260315")
    approved = _one_frame(archived, *days, acts=[_shared("rejected"), _shared("approved")])
    assert isinstance(approved, Mapping)
    assert approved.is_approved
    assert approved.approved_by
    assert not approved.cautions
    rejected = _one_frame(archived, *days, acts=[_shared("approved"), _shared("rejected")])
    assert isinstance(rejected, NoMapping)
    assert rejected.code == "LG-REG-004"


def test_identity_when_it_was_rejected_then_a_series_still_lies_on_itself(archived: Archived) -> None:
    record = archived.record([_image("old", "20260301"), _image("new", "20260315")], [_shared("rejected")])
    series = {"moving_series": uid("new"), "fixed_series": uid("new")}
    found = find_mapping(A, A, record, archived.reader, _Nothing(), **series)
    assert isinstance(found, Mapping)
    assert found.is_approved


class _Kept:
    """Results of ours by their digest."""

    def __init__(self, *bodies: bytes) -> None:
        self._bodies = {hashlib.sha256(body).hexdigest(): body for body in bodies}

    def read(self, sha256: str) -> bytes:
        try:
            return self._bodies[sha256]
        except KeyError:
            raise ObjectMissing(sha256) from None


def _computed(body: bytes) -> Register:
    return Register(
        uid=uid("ours"),
        sha256=hashlib.sha256(body).hexdigest(),
        moving_frame=B,
        fixed_frame=A,
        moving_series=uid("old"),
        fixed_series=uid("new"),
        kind="rigid",
        method="bone",
        quality=RegistrationQuality(landmarks=4, tre_mean_mm=1.2),
    )


def test_computed_registration_when_kept_then_it_is_read_by_its_digest_and_not_from_what_came_back(
    archived: Archived,
) -> None:
    made = spatial_registration(
        np.linalg.inv(TURN).astype(np.float64), header=header(frame=A), fixed=side(A), moving=side(B)
    )
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    body = buffer.getvalue()
    returned = _registration(A, _item(B, [OTHER]), name="ours")
    record = archived.record([returned], [_computed(body)])
    found = find_mapping(B, A, record, archived.reader, _Kept(body))
    assert _matrix(found) == pytest.approx(TURN, abs=1e-6)
    assert isinstance(found, Mapping)
    assert (found.sources, found.is_approved) == ((uid("ours"),), False)
    assert found.quality == RegistrationQuality(landmarks=4, tre_mean_mm=1.2)
    assert found.error == "1.2 mm (TRE, mean)"
    gone = find_mapping(B, A, record, archived.reader, _Kept())
    assert isinstance(gone, NoMapping)
    assert gone.code == "LG-REG-003"
