"""The sum of all courses against the analytic truth of the sample, and what it says where something is missing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from scipy.interpolate import RegularGridInterpolator

from archive.facts.decisions import SetDeliveryState
from archive.uids import own_uid
from courses.composite import Composite, PlanShare, compose
from courses.errors import BadReference, NothingToSum
from lastgate.sample import Department, SampleCourse, SamplePlan
from tests.courses.archived import Archived, SampleRecord

Floats = npt.NDArray[np.float64]
STEP_GY = 1e-4
"""Doses of the sample are stored in steps of this size."""


def _voxel_centres(composite: Composite) -> Floats:
    """Centres of all voxels, ``[n, 3]``, in the order of the raveled arrays."""
    k, j, i = np.indices(composite.total.geometry.shape)
    return composite.total.geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))


def _axes(path: Path) -> tuple[Floats, Floats, Floats]:
    """Coordinates of the voxel centres of a stored grid along x, y, z (PS3.3 C.8.8.3.2)."""
    ds = dcmread(path, stop_before_pixels=True)
    x, y, z = (float(value) for value in ds.ImagePositionPatient)
    return (
        x + float(ds.PixelSpacing[1]) * np.arange(ds.Columns),
        y + float(ds.PixelSpacing[0]) * np.arange(ds.Rows),
        z + np.array(ds.GridFrameOffsetVector, dtype=float),
    )


def _in_frame_of(course: SampleCourse, points: Floats, composite: Composite, sample: SampleRecord) -> Floats:
    """Take points of the sum into the frame of reference of a course, by the truth of the sample."""
    if course.frame_uid == composite.frame_uid:
        return points
    (registration,) = sample.patient.registrations
    matrix = np.array(registration.matrix)
    if registration.source_frame_uid == course.frame_uid:
        matrix = np.linalg.inv(matrix)
    taken: Floats = points @ matrix[:3, :3].T + matrix[:3, 3]
    return taken


def _interpolated(plan: SamplePlan, points: Floats) -> Floats:
    """Delivered dose as SciPy interpolates it from the analytic doses of the stored voxel centres; NaN outside."""
    assert plan.dose_path is not None
    axes = _axes(plan.dose_path)
    exact = plan.dose.dose_gy(*np.meshgrid(*axes, indexing="ij"))
    low, high = np.array([(axis[0], axis[-1]) for axis in axes]).T
    near = np.clip(points, low, high)
    # the hull of voxel centres counts with a hundredth of a millimetre, as positions are rounded decimals
    inside = np.abs(near - points).max(axis=1) <= 0.01
    found = RegularGridInterpolator(axes, exact)(near) * plan.delivered_share
    return np.where(inside, found, np.nan)


def _highest(plan: SamplePlan) -> float:
    """Largest delivered dose at a stored voxel centre."""
    assert plan.dose_path is not None
    return float(plan.dose.dose_gy(*np.meshgrid(*_axes(plan.dose_path), indexing="ij")).max()) * plan.delivered_share


def _reach(plan: SamplePlan, points: Floats) -> Floats:
    """The most trilinear interpolation can be off: a mean of eight corners lies no further from the truth than they.

    This holds for any dose, jumps at the skin included.
    """
    assert plan.dose_path is not None
    found = np.zeros(len(points))
    truth = plan.dose.at(points)
    axes = _axes(plan.dose_path)
    places = [
        np.clip(np.searchsorted(axis, points[:, n], "right") - 1, 0, len(axis) - 2) for n, axis in enumerate(axes)
    ]
    for corner in np.ndindex(2, 2, 2):
        at = np.column_stack([axis[place + step] for axis, place, step in zip(axes, places, corner, strict=True)])
        found = np.maximum(found, np.abs(plan.dose.at(at) - truth))
    return found * plan.delivered_share


def _plans(sample: SampleRecord) -> list[tuple[SampleCourse, SamplePlan]]:
    return [(course, plan) for course in sample.patient.courses for plan in course.plans]


@pytest.fixture(params=["lung", "breast", "breast onto the older image"])
def composed(request: pytest.FixtureRequest, sample_archive: Archived) -> tuple[SampleRecord, Composite]:
    """A patient, and the sum of all courses."""
    name, *older = str(request.param).split(" ")
    sample: SampleRecord = request.getfixturevalue(name)
    onto = sample.patient.courses[0].ct_series_uid if older else ""
    return sample, compose(sample.record, sample_archive.reader, onto=onto)


def test_sum_when_compared_with_scipy_on_the_analytic_doses_then_it_is_the_same_to_the_stored_step(
    composed: tuple[SampleRecord, Composite],
) -> None:
    sample, composite = composed
    points = _voxel_centres(composite)
    parts = [_interpolated(plan, _in_frame_of(course, points, composite, sample)) for course, plan in _plans(sample)]
    judge = np.sum(parts, axis=0)
    known = composite.total.known.ravel()
    assert np.array_equal(known, np.isfinite(judge))
    assert 0.4 < known.mean() < 1
    assert judge[known].max() > 30
    # half a step a plan, and float32: 7 digits of at most 100 Gy, four roundings
    assert np.abs(composite.total.lower_gy.ravel() - judge)[known].max() < len(parts) * STEP_GY / 2 + 5e-5


def test_sum_when_compared_with_the_truth_then_it_differs_by_what_interpolation_can_and_holds_it_between_its_bounds(
    composed: tuple[SampleRecord, Composite],
) -> None:
    sample, composite = composed
    points = _voxel_centres(composite)
    truth, reach = np.zeros(len(points)), np.zeros(len(points))
    for course, plan in _plans(sample):
        theirs = _in_frame_of(course, points, composite, sample)
        truth += plan.dose.at(theirs) * plan.delivered_share
        reach += _reach(plan, theirs) + STEP_GY
    total = composite.total
    known, lower, upper = total.known.ravel(), total.lower_gy.ravel(), total.upper_gy.ravel()
    off = np.abs(lower - truth)[known]
    assert (off <= reach[known]).all()
    # on voxels of 8 mm; measured 0.02, 0.12 and 0.37 Gy, the most where the breast ends at the skin
    assert off.mean() < 0.4
    assert (lower - reach <= truth).all()
    assert (truth <= upper + reach).all()


def test_bounds_when_a_grid_ends_then_the_upper_one_takes_its_delivered_maximum(
    composed: tuple[SampleRecord, Composite],
) -> None:
    sample, composite = composed
    points = _voxel_centres(composite)
    total = composite.total
    worst = np.zeros(len(points))
    for course, plan in _plans(sample):
        there = _interpolated(plan, _in_frame_of(course, points, composite, sample))
        worst += np.where(np.isnan(there), _highest(plan), 0.0)
    assert (total.lower_gy <= total.upper_gy).all()
    assert (total.upper_gy - total.lower_gy).ravel() == pytest.approx(worst, abs=1e-3)


def test_composite_when_all_is_there_then_it_is_complete_and_says_how_each_plan_came(
    lung: SampleRecord, breast: SampleRecord, sample_archive: Archived
) -> None:
    one, two = (compose(sample.record, sample_archive.reader) for sample in (lung, breast))
    assert one.is_complete
    assert two.is_complete
    assert [(share.source, share.mapping.kind if share.mapping else "") for share in one.shares] == [
        ("stored", "identity"), ("stored", "identity"),
    ]  # fmt: skip
    (registration,) = breast.patient.registrations
    sources = {share.plan.header.label: share.mapping.source if share.mapping else "" for share in two.shares}
    assert sources == {
        "Mediast_30.6": registration.uid,
        "BreastL_40.05": "frame of reference",
        "BreastL_Boost": "frame of reference",
    }


def test_course_when_only_it_is_asked_for_then_the_others_are_not_summed(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    old = lung.record.dossiers[0]
    found = compose(lung.record, sample_archive.reader, only=old)
    assert [share.plan.header.label for share in found.shares] == ["LungL_60Gy"]
    assert (found.onto.id, found.is_complete, found.total.is_complete) == (old.id, True, True)


# Onto which image


def test_onto_when_left_out_then_it_is_the_newest_course(lung: SampleRecord, sample_archive: Archived) -> None:
    found = compose(lung.record, sample_archive.reader)
    assert found.series_uid == lung.patient.courses[1].ct_series_uid
    assert found.onto.id == lung.record.dossiers[1].id
    assert len(found.image) == len(lung.patient.courses[1].ct_paths)


def test_onto_when_a_series_or_a_dossier_is_named_then_it_is_that_one(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    old, new = breast.record.dossiers
    for onto, course, dossier in (
        (breast.patient.courses[0].ct_series_uid, 0, old),
        (breast.patient.courses[1].ct_series_uid, 1, new),
        (old.id, 0, old),
        (old.id[:8].upper(), 0, old),
        (new.aliases[0], 1, new),
    ):
        found = compose(breast.record, sample_archive.reader, onto=onto)
        assert found.onto.id == dossier.id
        assert found.series_uid == breast.patient.courses[course].ct_series_uid
        assert found.frame_uid == breast.patient.courses[course].frame_uid


@pytest.mark.parametrize("onto", ["nothing-of-the-kind", "2.25.404"])
def test_onto_when_it_names_nothing_of_the_patient_then_it_is_refused(
    lung: SampleRecord, sample_archive: Archived, onto: str
) -> None:
    with pytest.raises(BadReference, match="names no series and no dossier"):
        compose(lung.record, sample_archive.reader, onto=onto)


def test_onto_when_it_fits_two_dossiers_then_it_is_refused(lung: SampleRecord, sample_archive: Archived) -> None:
    old, new = lung.record.dossiers
    record = replace(lung.record, dossiers=(replace(old, aliases=("abcdefgh",)), replace(new, aliases=("abcdxyz",))))
    with pytest.raises(BadReference, match="fits 2 dossiers"):
        compose(record, sample_archive.reader, onto="abcd")


def test_onto_when_no_dose_lies_in_its_frame_then_the_grid_is_laid_along_the_patient(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    old = breast.patient.courses[0]
    assert old.plans[0].dose_path is not None
    record = sample_archive.changed(breast, without=[old.plans[0].dose_path])
    found = compose(record, sample_archive.reader, onto=old.ct_series_uid)
    assert found.total.geometry.is_axis_parallel
    assert found.total.geometry.spacing_mm == pytest.approx((8, 8, 8))
    points = _voxel_centres(found)
    new = breast.patient.courses[1]
    parts = [_interpolated(plan, _in_frame_of(new, points, found, breast)) for plan in new.plans]
    known = found.total.known.ravel()
    assert known.any()
    assert np.abs(found.total.lower_gy.ravel() - np.sum(parts, axis=0))[known].max() < 2e-4


# What can't be summed


def _dose_path(sample: SampleRecord, course: int) -> Path:
    path = sample.patient.courses[course].plans[0].dose_path
    assert path is not None
    return path


def _share(composite: Composite, label: str) -> PlanShare:
    return next(share for share in composite.shares if share.plan.header.label == label)


def test_plan_when_it_has_no_dose_then_the_sum_is_incomplete_and_says_why(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    record = sample_archive.changed(lung, without=[_dose_path(lung, 0)])
    found = compose(record, sample_archive.reader)
    assert (found.is_complete, found.has_gap) == (False, True)
    assert _share(found, "LungL_60Gy").reason_not_summed == "no dose grid"
    assert found.total.is_complete  # what is summed is known everywhere: only the word incomplete tells of the rest


def _effective(dataset: Dataset) -> None:
    dataset.DoseType = "EFFECTIVE"


def _difference(dataset: Dataset) -> None:
    dataset.DoseType = "ERROR"


def _signed(dataset: Dataset) -> None:
    dataset.PixelRepresentation = 1
    values = dataset.pixel_array.astype("<i4")
    values[0, 0, 0] = -500
    dataset.PixelData = values.tobytes()


def _cut(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:1000]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_effective, "physical and RBE-weighted dose are never added"),
        (_difference, "it is a difference of doses"),
        (_signed, "it is a difference of doses"),
        (_cut, "its dose grid can't be used: "),
    ],
)
@pytest.mark.filterwarnings("ignore:The length of the pixel data:UserWarning")
def test_grid_when_it_can_not_be_added_then_the_course_stays_with_the_reason(
    lung: SampleRecord, sample_archive: Archived, edit: Callable[[Dataset], None], words: str
) -> None:
    path = _dose_path(lung, 1)
    found = compose(sample_archive.changed(lung, edit={path: edit}), sample_archive.reader)
    share = _share(found, "LungL_SBRT")
    assert words in share.reason_not_summed
    assert (share.source, found.dose_type, found.is_complete) == ("", "PHYSICAL", False)
    alone = compose(lung.record, sample_archive.reader, only=lung.record.dossiers[0]).total
    assert np.array_equal(found.total.lower_gy, alone.lower_gy)


def test_dose_type_when_all_is_rbe_weighted_then_the_sum_is(
    sample_archive: Archived, sample_department: Department
) -> None:
    protons = sample_archive.sample(sample_department.patient("SAMPLE-0004"))
    found = compose(protons.record, sample_archive.reader)
    assert (found.dose_type, found.is_complete) == ("EFFECTIVE", True)


def test_dose_type_when_the_physical_plan_may_not_have_been_delivered_then_the_delivered_one_decides(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    old = lung.patient.courses[0].plans[0]
    record = sample_archive.changed(lung, without=old.record_paths, edit={_dose_path(lung, 1): _effective})
    found = compose(record, sample_archive.reader)
    assert found.dose_type == "EFFECTIVE"
    assert _share(found, "LungL_SBRT").source == "stored"
    assert _share(found, "LungL_60Gy").leaves_a_gap


def test_registration_when_it_is_missing_then_the_course_in_the_other_frame_is_left_out(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    record = sample_archive.changed(breast, without=[one.path for one in breast.patient.registrations])
    found = compose(record, sample_archive.reader)
    share = _share(found, "Mediast_30.6")
    assert share.reason_not_summed == "no registration joins its frame of reference to the one of the image"
    assert not found.is_complete


def test_plan_when_its_delivery_is_unknown_then_its_dose_is_in_the_upper_bound_only(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    plan = lung.patient.courses[0].plans[0]
    composite = compose(sample_archive.changed(lung, without=plan.record_paths), sample_archive.reader)
    assert (composite.is_complete, composite.has_gap) == (False, False)
    found, points = composite.total, _voxel_centres(composite)
    old, new = (_interpolated(one.plans[0], points) for one in lung.patient.courses)
    highest = [_highest(one.plans[0]) for one in lung.patient.courses]
    assert found.lower_gy.ravel() == pytest.approx(np.nan_to_num(new), abs=2e-4)
    upper = np.where(np.isnan(old), highest[0], old) + np.where(np.isnan(new), highest[1], new)
    assert found.upper_gy.ravel() == pytest.approx(upper, abs=2e-4)
    # where the doubtful plan certainly gives nothing, doubt changes nothing
    assert not found.known.ravel()[old > STEP_GY].any()
    assert found.known.ravel()[(old < STEP_GY / 2) & np.isfinite(new)].all()


def test_plans_when_the_delivery_of_all_is_unknown_then_nothing_is_certain(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    records = [path for course in lung.patient.courses for plan in course.plans for path in plan.record_paths]
    found = compose(sample_archive.changed(lung, without=records), sample_archive.reader)
    full = compose(lung.record, sample_archive.reader)
    assert not found.is_complete
    assert found.total.lower_gy.max() == 0
    assert found.total.upper_gy == pytest.approx(full.total.upper_gy, abs=2e-4)
    planned = compose(found.record, sample_archive.reader, as_planned=True)
    assert planned.is_complete
    assert planned.total.lower_gy == pytest.approx(full.total.lower_gy, abs=2e-4)


def test_plan_when_it_was_not_delivered_then_the_sum_is_complete_without_it(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    boost = breast.patient.courses[1].plans[1]
    state = SetDeliveryState(plan_uid=boost.uid, delivered=False, reason="patient declined")
    record = sample_archive.changed(breast, without=boost.record_paths, decisions=[state])
    found = compose(record, sample_archive.reader)
    assert found.is_complete
    share = _share(found, "BreastL_Boost")
    assert (share.reason_not_summed, share.leaves_a_gap) == ("not delivered", False)


def test_patient_when_no_plan_has_a_dose_then_there_is_no_sum(
    sample_archive: Archived, sample_department: Department
) -> None:
    rectum = sample_archive.sample(sample_department.patient("SAMPLE-0005"))
    with pytest.raises(NothingToSum, match="has a dose grid that counts"):
        compose(rectum.record, sample_archive.reader)
    with pytest.raises(NothingToSum, match="no dose grid"):
        compose(rectum.record, sample_archive.reader, only=rectum.record.dossiers[0])


def test_composite_when_one_of_ours_was_sent_back_then_it_is_never_taken_as_plan_dose(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    ours = dcmread(_dose_path(lung, 1))
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = UID(own_uid("composite", "of a test"))
    ours.SeriesInstanceUID, ours.DoseComment = own_uid("series", "of a test"), "Draft sum of plans"
    ours.DoseGridScaling = "0.01"
    record = sample_archive.changed(lung, more=[ours])
    found, before = (compose(one, sample_archive.reader) for one in (record, lung.record))
    assert any(held.uid == ours.SOPInstanceUID for one in record.dossiers for held in one.instances)
    assert np.array_equal(found.total.lower_gy, before.total.lower_gy)
    assert found.is_complete
    # a stranger's second PLAN grid makes the plan ambiguous instead
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = UID("2.25.77")
    doubtful = compose(sample_archive.changed(lung, more=[ours]), sample_archive.reader)
    assert _share(doubtful, "LungL_SBRT").reason_not_summed == "several dose grids, and nobody chose"
