"""Bad input of a sum: refused or flagged with a code and what to do, never a silent number."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from archive.facts.dose_decisions import StateDoseKind
from courses.composite import Composite, PlanShare, compose
from courses.errors import BadReference
from lastgate.sample import Department
from tests.courses.archived import Archived, SampleRecord, answered


def _path(sample: SampleRecord, course: int) -> Path:
    path = sample.patient.courses[course].plans[0].dose_path
    assert path is not None
    return path


def _edited(sample: SampleRecord, archive: Archived, edit: Callable[[Dataset], None]) -> Composite:
    return compose(archive.changed(sample, edit={_path(sample, 1): edit}), archive.reader)


def _share(composite: Composite, label: str = "LungL_SBRT") -> PlanShare:
    return next(share for share in composite.shares if share.plan.header.label == label)


def _codes(composite: Composite) -> set[str]:
    assert all(one.words and one.words_zh and one.fix and one.fix_zh for one in composite.notices)
    return {one.code for one in composite.notices}


def _cut_off(dataset: Dataset) -> None:
    values = dataset.pixel_array.astype("<f8") * float(dataset.DoseGridScaling)
    step = values.max() / 2 / 65535
    dataset.DoseGridScaling = f"{step:.10g}"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelData = (values / step).clip(0, 65535).round().astype("<u2").tobytes()


def _relative(dataset: Dataset) -> None:
    dataset.DoseUnits = "RELATIVE"


def test_grid_when_its_maximum_is_that_of_one_fraction_then_it_is_not_summed(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    planned = _share(compose(lung.record, sample_archive.reader)).plan.fractions_planned or 1

    def edit(dataset: Dataset) -> None:
        dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) / planned:.10g}"

    found = _edited(lung, sample_archive, edit)
    assert (_share(found).source, _share(found).code, found.is_complete) == ("", "LG-CMP-050", False)
    assert "that of one fraction" in _share(found).reason_not_summed


def test_grid_when_cut_off_at_the_largest_number_then_it_is_flagged(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    assert "LG-CMP-051" not in _codes(compose(lung.record, sample_archive.reader))
    assert "LG-CMP-051" in _codes(_edited(lung, sample_archive, _cut_off))


def test_grid_when_relative_then_what_it_is_relative_to_is_never_guessed(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    found = _edited(lung, sample_archive, _relative)
    assert not _share(found).source
    assert not found.is_complete
    answer = answered(found, sample_archive.reader)
    assert answer["codes"][0]["code"] == "LG-CMP-001"
    assert all(one["physical"]["max_gy"]["hi"] is None for one in answer["structures"])


def test_course_when_of_another_patient_then_it_is_refused(
    lung: SampleRecord, breast: SampleRecord, sample_archive: Archived
) -> None:
    with pytest.raises(BadReference, match="not one of this patient's"):
        compose(lung.record, sample_archive.reader, only=breast.record.dossiers[0])


def test_uid_when_received_with_two_contents_then_it_is_flagged(lung: SampleRecord, sample_archive: Archived) -> None:
    other = dcmread(_path(lung, 1))
    other.DoseGridScaling = f"{float(other.DoseGridScaling) * 1.01:.10g}"
    later = replace(sample_archive.receipt(other, minutes=5), content_sha256="0" * 64)
    record = sample_archive.record([*lung.receipts.values(), later])
    found = compose(record, sample_archive.reader)
    assert "LG-CMP-054" in _codes(found)
    assert not any(one.code == "LG-CMP-054" for one in compose(lung.record, sample_archive.reader).notices)


def test_protons_when_stated_physical_then_they_are_told_to_be_so(
    sample_archive: Archived, sample_department: Department
) -> None:
    protons = sample_archive.sample(sample_department.patient("SAMPLE-0004"))
    plan = protons.patient.courses[0].plans[0]
    stated = StateDoseKind(plan_uid=plan.uid, kind="physical", reason="commissioning report")
    found = compose(sample_archive.changed(protons, decisions=[stated]), sample_archive.reader)
    mine = [part for part in found.gathered.parts if part.plan_uid == plan.uid]
    assert [(part.kind, part.rbe, part.is_stated) for part in mine] == [("physical", (1.1, 1.1), True)]
    before = compose(protons.record, sample_archive.reader).gathered.parts
    assert {(part.kind, part.rbe) for part in before} == {("rbe_weighted", (1.0, 1.0))}
