"""Dose evidence of plans: what is computed, of which inputs, and what stands where nothing can be."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from pydicom import Dataset

from archive.evidence import DoseEvidence, EvidenceStore, inputs_of
from archive.model import Dossier, PatientRecord, Plan
from courses.evidence import dose_evidence
from tests.courses.archived import Archived, SampleRecord


def _only(record: PatientRecord, label: str) -> tuple[Dossier, Plan]:
    return next((one, plan) for one in record.dossiers for plan in one.plans if plan.header.label == label)


def _evidence(archived: Archived, record: PatientRecord, label: str) -> DoseEvidence:
    dossier, plan = _only(record, label)
    return dose_evidence(record, dossier, plan, archived.reader)


def _dose_path(sample: SampleRecord, course: int) -> Path:
    path = sample.patient.courses[course].plans[0].dose_path
    assert path is not None
    return path


def _crop(planes: int) -> "object":
    def crop(dataset: Dataset) -> None:
        dataset.PixelData = dataset.pixel_array[:planes].tobytes()
        dataset.GridFrameOffsetVector = dataset.GridFrameOffsetVector[:planes]
        dataset.NumberOfFrames = planes

    return crop


def test_evidence_of_a_plan_then_its_targets_bear_their_prescribed_dose(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    found = _evidence(sample_archive, lung.record, "LungL_SBRT")
    targets = {one.name: one for one in found.targets}
    assert found.problem == ""
    assert found.dose_type == "PHYSICAL"
    assert targets.keys() == {"GTVp", "PTVp"}
    # Prescribed are 35 Gy to the outline of the PTV: that is how the sample's dose is made.
    assert targets["PTVp"].d95_gy.lo == pytest.approx(35.0, rel=0.02)
    assert targets["PTVp"].unknown_cc == 0
    assert targets["PTVp"].d98_gy.lo < targets["PTVp"].d95_gy.lo < targets["PTVp"].d50_gy.lo < targets["PTVp"].d2_gy.lo


def test_evidence_of_a_plan_then_its_maximum_is_that_of_the_stored_grid(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    import pydicom

    stored = pydicom.dcmread(_dose_path(lung, 1))
    found = _evidence(sample_archive, lung.record, "LungL_SBRT")
    assert found.max_gy == pytest.approx(float(np.max(stored.pixel_array)) * float(stored.DoseGridScaling), abs=1e-3)


def test_evidence_when_the_grid_ends_in_the_target_then_the_rest_is_unknown_and_its_figures_are_bounds(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    import pydicom

    path = _dose_path(lung, 1)
    planes = pydicom.dcmread(path).NumberOfFrames
    cut = sample_archive.changed(lung, edit={path: _crop(int(planes) // 2)})  # type: ignore[dict-item]
    target = next(one for one in _evidence(sample_archive, cut, "LungL_SBRT").targets if one.name == "PTVp")
    assert 0 < target.unknown_cc < target.volume_cc
    assert target.d95_gy.lo < target.d95_gy.hi


def test_evidence_when_the_planes_of_the_grid_lie_on_one_another_then_it_says_what_the_matter_is(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    def broken(dataset: Dataset) -> None:
        dataset.GridFrameOffsetVector = [0.0] * int(dataset.NumberOfFrames)

    damaged = sample_archive.changed(lung, edit={_dose_path(lung, 1): broken})
    found = _evidence(sample_archive, damaged, "LungL_SBRT")
    assert "can't be used" in found.problem
    assert found.max_gy is None
    assert found.targets == ()


def test_evidence_when_an_input_changes_then_the_old_one_is_not_found(
    lung: SampleRecord, sample_archive: Archived, archived: Archived
) -> None:
    store = EvidenceStore(archived.store)
    dossier, plan = _only(lung.record, "LungL_SBRT")
    assert store.wanted(dossier.plans) == (plan,)
    store.keep(dose_evidence(lung.record, dossier, plan, sample_archive.reader))
    assert store.wanted(dossier.plans) == ()
    assert store.of(dossier.plans)[plan.uid].inputs == inputs_of(plan)

    def relabelled(dataset: Dataset) -> None:
        dataset.DoseComment = "exported again"

    changed = sample_archive.changed(lung, edit={_dose_path(lung, 1): relabelled})
    later, again = _only(changed, "LungL_SBRT")
    assert store.wanted(later.plans) == (again,)
    assert store.of(later.plans) == {}


def test_keep_when_another_process_computed_it_then_the_first_stands(lung: SampleRecord, archived: Archived) -> None:
    _, plan = _only(lung.record, "LungL_SBRT")
    store = EvidenceStore(archived.store)
    first = DoseEvidence(plan_uid=plan.uid, inputs=inputs_of(plan), max_gy=1.0)
    store.keep(first)
    store.keep(DoseEvidence(plan_uid=plan.uid, inputs=inputs_of(plan), max_gy=1.0000001))
    assert store.find(plan) == first


def test_find_when_asked_again_then_the_store_is_not_read_again(lung: SampleRecord, archived: Archived) -> None:
    _, plan = _only(lung.record, "LungL_SBRT")
    store = EvidenceStore(archived.store)
    assert store.find(plan) is None
    written = DoseEvidence(plan_uid=plan.uid, inputs=inputs_of(plan), max_gy=1.0)
    EvidenceStore(archived.store).keep(written)
    assert store.find(plan) == written, "that there was none is not remembered"
    with patch.object(archived.store, "read_bytes", side_effect=AssertionError("read again")):
        assert store.find(plan) == written
