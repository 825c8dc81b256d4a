"""What `composite --json` and `dvh --json` tell, and what they never tell as known."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from archive.facts.decisions import SetDeliveryState
from archive.uids import own_uid
from courses.answers import composite_answer, dvh_answer, histograms, read_organs, structures_of
from courses.composite import compose
from courses.organs import course_dose
from courses.reading import slice_distance_mm
from dose.biology.tissues import read_tissues
from tests.courses.archived import Archived, SampleRecord, answered

DOSES = ("max_gy", "mean_gy", "d0_03cc_gy", "d0_1cc_gy", "d1cc_gy", "d2cc_gy")

Json = dict[str, Any]


def _answer(archived: Archived, record: Any, **options: Any) -> Json:
    composite = compose(record, archived.reader, **options)
    return json.loads(json.dumps(answered(composite, archived.reader)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def answer(lung: SampleRecord, sample_archive: Archived) -> Json:
    """The composite of two courses in one frame of reference."""
    return _answer(sample_archive, lung.record)


@pytest.fixture(scope="module")
def gap(lung: SampleRecord, sample_archive: Archived) -> Json:
    """The same without the dose of the first course."""
    path = lung.patient.courses[0].plans[0].dose_path
    assert path is not None
    return _answer(sample_archive, sample_archive.changed(lung, without=[path]))


def test_composite_when_told_as_json_then_it_has_all_that_is_promised(answer: Json) -> None:
    assert answer.keys() >= {
        "format", "patient", "as_of", "status", "complete", "onto", "courses", "structures", "remaining", "warnings",
        "files",
    }  # fmt: skip
    assert answer["format"] == "lastgate/composite/1"
    assert answer["status"] == {"state": "draft", "by": None, "at": None}
    assert answer["patient"]["ids"][0].keys() >= {"value", "issuer", "kind"}
    assert answer["files"].keys() >= {"rtdose_physical", "rtdose_eqd2", "report_pdf"}
    for course in answer["courses"]:
        assert course.keys() >= {
            "dossier", "state", "first_fraction", "last_fraction", "interval_days", "overlap_class", "recovery",
            "reason_not_summed", "plans",
        }  # fmt: skip
        for plan in course["plans"]:
            assert plan.keys() >= {
                "uid", "label", "delivery_state", "fractions", "source", "credential", "registration",
            }  # fmt: skip
            assert plan["fractions"].keys() == {"planned", "delivered"}
            assert plan["registration"].keys() >= {
                "kind", "source", "sources", "quality", "approved", "approved_by", "verdict",
            }  # fmt: skip
    for structure in answer["structures"]:
        assert structure.keys() >= {"name", "alpha_beta_gy", "physical", "eqd2"}
        assert structure["physical"].keys() >= {*DOSES, "v", "cv", "unknown_cc"}
        volumes = [one["cc"] for name in ("v", "cv") for one in structure["physical"][name]]
        for figure in [*(structure["physical"][name] for name in DOSES), *volumes]:
            assert figure.keys() == {"value", "lo", "hi", "estimate"}
            assert figure["lo"] <= figure["hi"]


def test_composite_when_told_then_it_says_what_was_delivered_and_when(answer: Json, lung: SampleRecord) -> None:
    old, new = lung.patient.courses
    assert answer["complete"] is True
    assert answer["onto"] == new.ct_series_uid
    assert answer["as_of"] == new.last_fraction
    first, second = answer["courses"]
    assert (first["first_fraction"], first["last_fraction"]) == (old.first_fraction, old.last_fraction)
    assert (
        first["interval_days"] == (date.fromisoformat(new.last_fraction) - date.fromisoformat(old.last_fraction)).days
    )
    assert second["interval_days"] == 0
    assert [plan["fractions"] for plan in first["plans"]] == [{"planned": 30, "delivered": 30.0}]
    assert [course["reason_not_summed"] for course in answer["courses"]] == [None, None]


def test_composite_when_told_for_a_day_then_intervals_count_to_it_and_only_for_what_has_ended(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    composite = compose(lung.record, sample_archive.reader)
    told = answered(composite, sample_archive.reader, as_of=date(2020, 1, 1))
    assert told["as_of"] == "2020-01-01"
    assert [course["interval_days"] for course in told["courses"]] == [
        (date(2020, 1, 1) - date.fromisoformat(lung.patient.courses[0].last_fraction)).days,
        None,
    ]


def test_composite_when_told_again_in_another_order_of_arrival_then_it_is_the_same(
    answer: Json, lung: SampleRecord, sample_archive: Archived
) -> None:
    backwards = sample_archive.record(reversed(lung.receipts.values()))
    assert json.dumps(_answer(sample_archive, backwards)) == json.dumps(answer)


def test_composite_when_told_then_it_bears_no_day_but_those_of_the_facts(answer: Json, lung: SampleRecord) -> None:
    facts = {day for course in lung.patient.courses for day in (course.first_fraction, course.last_fraction)}
    person = "-".join((lung.patient.birth_date[:4], lung.patient.birth_date[4:6], lung.patient.birth_date[6:]))
    told = set(re.findall(r"\b\d{4}-\d\d-\d\d\b", json.dumps(answer)))
    assert told == {*facts, person}


def test_figures_when_part_of_an_organ_is_outside_then_only_what_that_can_change_has_no_value(answer: Json) -> None:
    by_name = {one["name"]: one["physical"] for one in answer["structures"]}
    lung_right = by_name["Lung_R"]
    assert lung_right["unknown_cc"] > 0
    assert lung_right["mean_gy"]["value"] is None
    assert lung_right["mean_gy"]["lo"] < lung_right["mean_gy"]["hi"]
    target = by_name["PTVp"]
    assert target["unknown_cc"] == 0
    assert target["mean_gy"]["value"] == target["mean_gy"]["lo"] == target["mean_gy"]["hi"]


def test_gap_when_a_dose_is_missing_then_no_dose_has_a_value_or_an_upper_bound(gap: Json, answer: Json) -> None:
    assert gap["complete"] is False
    assert gap["courses"][0]["reason_not_summed"] == "no dose grid"
    assert gap["courses"][0]["plans"][0]["source"] is None
    assert gap["warnings"][0].startswith("INCOMPLETE: a dose that was or may have been given is missing")
    whole = {one["name"]: one["physical"] for one in answer["structures"]}
    assert {one["name"] for one in gap["structures"]} == set(whole)
    for one in gap["structures"]:
        figures = one["physical"]
        assert figures["unknown_cc"] == one["volume_cc"]
        for name in DOSES:
            assert (figures[name]["value"], figures[name]["hi"]) == (None, None)
            assert figures[name]["lo"] <= whole[one["name"]][name]["hi"] + 0.02
        for above, below in zip(figures["v"], figures["cv"], strict=True):
            assert above["cc"]["hi"] == one["volume_cc"]
            assert below["cc"]["lo"] == 0
            assert above["cc"]["lo"] + below["cc"]["hi"] == pytest.approx(one["volume_cc"], abs=2e-4)


def test_gap_when_a_volume_is_full_already_then_more_dose_can_not_change_it(gap: Json) -> None:
    target = next(one for one in gap["structures"] if one["name"] == "PTVp")
    assert target["physical"]["v"][0] == {
        "gy": 5.0, "cc": dict.fromkeys(("value", "lo", "hi", "estimate"), target["volume_cc"]),
    }  # fmt: skip


def test_course_when_none_of_its_plans_was_delivered_then_it_says_so_and_nothing_is_incomplete(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    plan = lung.patient.courses[0].plans[0]
    state = SetDeliveryState(plan_uid=plan.uid, delivered=False, reason="treated elsewhere")
    told = _answer(sample_archive, sample_archive.changed(lung, without=plan.record_paths, decisions=[state]))
    assert told["complete"] is True
    assert told["courses"][0]["reason_not_summed"] == "none of its plans was delivered"


def test_registration_when_a_course_came_through_one_then_the_warning_names_it(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    told = _answer(sample_archive, breast.record)
    (registration,) = breast.patient.registrations
    assert told["courses"][0]["plans"][0]["registration"] == {
        "kind": "rigid", "source": registration.uid, "sources": [registration.uid], "quality": None, "approved": False,
        "approved_by": "", "verdict": None, "error": "not measured",
    }  # fmt: skip
    assert any(registration.uid in warning and "nobody has approved it" in warning for warning in told["warnings"])


# Histograms of one course


def test_dvh_when_told_then_its_curves_fall_from_the_volume_to_nothing_at_the_last_point(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    composite = compose(lung.record, sample_archive.reader, only=lung.record.dossiers[1])
    told = dvh_answer(composite, sample_archive.reader, basis="delivered")
    assert (told["format"], told["basis"], told["complete"]) == ("lastgate/dvh/1", "delivered", True)
    assert told["dossier"] == lung.record.dossiers[1].id
    for one in told["structures"]:
        curve = one["curve"]
        assert curve["lo_cc"][0] == pytest.approx(one["volume_cc"], rel=0.02, abs=0.01)
        assert curve["dose_gy"][-1] >= one["physical"]["max_gy"]["hi"] - 1e-4
        assert (np.diff(curve["lo_cc"]) <= 0).all()
        assert (np.array(curve["lo_cc"]) <= np.array(curve["hi_cc"]) + 1e-9).all()


def test_dvh_when_a_plan_of_the_course_has_no_dose_then_it_is_incomplete(
    breast: SampleRecord, sample_archive: Archived
) -> None:
    boost = breast.patient.courses[1].plans[1]
    assert boost.dose_path is not None
    record = sample_archive.changed(breast, without=[boost.dose_path])
    composite = compose(record, sample_archive.reader, only=record.dossiers[1])
    told = dvh_answer(composite, sample_archive.reader, basis="delivered")
    assert told["complete"] is False
    assert told["warnings"][0].startswith("INCOMPLETE")
    for one in told["structures"]:
        assert one["curve"]["hi_cc"] == pytest.approx([one["volume_cc"]] * len(one["curve"]["hi_cc"]), abs=1e-4)
    organs = course_dose(record, record.dossiers[1], sample_archive.reader)
    assert organs is not None
    assert all(one.unknown_cc == one.volume_cc for one in organs.histograms)


def test_organs_when_records_are_there_then_the_basis_is_delivered_else_planned(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    given = course_dose(lung.record, lung.record.dossiers[1], sample_archive.reader)
    assert given is not None
    assert given.basis == "delivered"
    names = {one.name for one in given.histograms}
    assert {"SpinalCord", "Heart"} <= names
    assert names.isdisjoint({"PTVp", "GTVp", "External"})
    record = sample_archive.changed(lung, without=lung.patient.courses[1].plans[0].record_paths)
    planned = course_dose(record, record.dossiers[1], sample_archive.reader)
    assert planned is not None
    assert planned.basis == "planned"


def test_organs_when_the_course_has_no_dose_then_there_are_none(lung: SampleRecord, sample_archive: Archived) -> None:
    path = lung.patient.courses[0].plans[0].dose_path
    assert path is not None
    record = sample_archive.changed(lung, without=[path])
    assert course_dose(record, record.dossiers[0], sample_archive.reader) is None


# Which structures are drawn


def _with_set(lung: SampleRecord, archived: Archived, edit: Callable[[Dataset], None]) -> Any:
    """Add an edited copy of the structure set of the newer course, and return the composite on it."""
    dataset = dcmread(lung.patient.courses[1].structure_set_path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.4711")
    dataset.StructureSetLabel = "SECOND"
    edit(dataset)
    return compose(archived.changed(lung, more=[dataset]), archived.reader)


def _newer_and_shifted(dataset: Dataset) -> None:
    dataset.StructureSetDate = "20991231"
    for item in dataset.ROIContourSequence:
        for contour in item.ContourSequence:
            contour.ContourData = [str(round(float(value) + 1, 2)) for value in contour.ContourData]


def _in_another_frame(dataset: Dataset) -> None:
    for roi in dataset.StructureSetROISequence:
        roi.ROIName = f"Other {roi.ROIName}"
        roi.ReferencedFrameOfReferenceUID = "2.25.99"


def _of_ours(dataset: Dataset) -> None:
    uid = UID(own_uid("unknown", "of a test"))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    for roi in dataset.StructureSetROISequence:
        roi.ROIName = "Dose_Unknown"


def _broken(dataset: Dataset) -> None:
    for roi in dataset.StructureSetROISequence:
        roi.ROIName = f"Broken {roi.ROIName}"
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2"]


def test_structures_when_two_sets_have_one_name_then_that_of_the_delivered_plan_counts_and_it_is_told(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    before = structures_of(compose(lung.record, sample_archive.reader), sample_archive.reader)
    assert before.left_out == ()
    drawn = structures_of(_with_set(lung, sample_archive, _newer_and_shifted), sample_archive.reader)
    for one, other in zip(before.structures, drawn.structures, strict=True):
        assert np.array_equal(one.closed[0], other.closed[0])
    assert "Structure PTVp of set SECOND is left out: another set has one so named." in drawn.left_out


def test_structures_when_drawn_in_another_frame_then_they_get_no_figures_and_it_is_told(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    drawn = structures_of(_with_set(lung, sample_archive, _in_another_frame), sample_archive.reader)
    assert not any(one.name.startswith("Other") for one in drawn.structures)
    assert "Structure Other PTVp of set SECOND is drawn in another frame of reference." in drawn.left_out


def test_structures_when_the_set_is_one_of_ours_then_it_is_no_organ(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    drawn = structures_of(_with_set(lung, sample_archive, _of_ours), sample_archive.reader)
    assert "Dose_Unknown" not in {one.name for one in drawn.structures}
    assert drawn.left_out == ()


def test_structures_when_one_can_not_be_read_then_the_others_stay_and_it_is_told(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    drawn = structures_of(_with_set(lung, sample_archive, _broken), sample_archive.reader)
    assert any(one.name == "Broken PTVp" for one in drawn.structures)
    assert any("can't be read" in words and "threes" in words for words in drawn.left_out)


def _one_contour(dataset: Dataset) -> None:
    (target,) = (roi for roi in dataset.StructureSetROISequence if roi.ROIName == "PTVp")
    (item,) = (one for one in dataset.ROIContourSequence if one.ReferencedROINumber == target.ROINumber)
    target.ROIName = "Single"
    middle = item.ContourSequence[len(item.ContourSequence) // 2]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [target], [item]
    item.ContourSequence = [middle]


def test_structure_when_drawn_on_one_slice_then_it_is_as_thick_as_the_slices_of_the_image(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    composite = _with_set(lung, sample_archive, _one_contour)
    z_mm = lung.patient.courses[1].grid.axis(2)
    assert slice_distance_mm(composite.image) == pytest.approx(z_mm[1] - z_mm[0])
    assert slice_distance_mm(composite.image[:1]) is None
    single = next(one for one in histograms(composite, sample_archive.reader).found if one.name == "Single")
    (points,) = structures_of(composite, sample_archive.reader).structures[-1].closed
    x, y = points[:, 0], points[:, 1]
    area_mm2 = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert single.volume_cc == pytest.approx(area_mm2 * (z_mm[1] - z_mm[0]) / 1000, rel=0.01)


def test_eqd2_when_the_department_has_a_tissue_of_its_own_then_its_alpha_beta_is_used(
    lung: SampleRecord, sample_archive: Archived, answer: Json, tmp_path: Path
) -> None:
    organ = next(one for one in answer["structures"] if one["eqd2"] and one["tissue"]["is_assumed"] is False)
    row, was = read_tissues().rows[organ["tissue"]["name"]], organ["alpha_beta_gy"]
    table = tmp_path / "tissues.toml"
    table.write_text(
        f'version = "ours"\n\n[tissue.{row.name}]\nalpha_beta_gy = {was + 3}\nhi_gy = {was + 3}\nkind = "{row.kind}"\n'
        'citation = "our own"\nread = "department"\n',
        "utf-8",
    )
    composite = compose(lung.record, sample_archive.reader)
    told = composite_answer(composite, read_organs(composite, sample_archive.reader, read_tissues(table)), as_of=None)
    found = next(one for one in told["structures"] if one["name"] == organ["name"])
    assert (found["alpha_beta_gy"], found["tissue"]["source"]) == (was + 3, "our own")
    assert found["eqd2"]["mean_gy"]["lo"] != organ["eqd2"]["mean_gy"]["lo"]
    assert found["physical"] == organ["physical"]
