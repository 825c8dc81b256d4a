"""A folded record as documents: what is found by what, and that the index takes it whole."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive.answers import dossier_answer
from archive.facts.decisions import Act
from archive.headers import InstanceHeader
from archive.model import PatientRecord
from search.documents import Document, body_text
from search.kinds import Kind
from search.projection import documents
from search.query import Query
from search.refresh import PatientFold, Refresher
from search.sqlite import SqliteEngine
from tests import factories as made

YEARS_LATER = made.MONDAY + timedelta(days=2000)
FOLLOW_UP = replace(made.image("follow-up", series="follow-up ct", frame="later frame"), series_description="Follow-up")


def _two_courses(decisions: list[Act] | None = None) -> PatientRecord:
    """Two courses years apart, a registration that belongs to both, and a follow-up image that belongs to none."""
    instances = [
        *made.course("first"),
        *made.course("second", start=YEARS_LATER, ct="ct 2", frame="frame 2"),
        made.registration("reg", "frame 2", "frame"),
        FOLLOW_UP,
    ]
    return made.folded(instances, decisions or [])


def _fold(record: PatientRecord) -> PatientFold:
    return PatientFold(patient_key=record.key, version=record.version, documents=documents(record))


@pytest.fixture
def record() -> PatientRecord:
    return _two_courses()


def _of(record: PatientRecord, kind: Kind) -> list[Document]:
    return [one for one in documents(record) if one.kind is kind]


def test_record_when_projected_then_there_is_one_patient_and_a_document_of_each_dossier_plan_and_series(
    record: PatientRecord,
) -> None:
    assert len(record.dossiers) == 2
    assert Counter(one.kind for one in documents(record)) == {
        Kind.PATIENT: 1,
        Kind.DOSSIER: 2,
        Kind.PLAN: 2,
        Kind.STUDY: 1,
        # two CT, the follow-up, and one each of plans, structure sets, doses, records and the registration
        Kind.SERIES: 8,
        Kind.INSTANCES: 8,
    }
    assert {one.version for one in documents(record)} == {record.version}
    assert {one.patient_key for one in documents(record)} == {record.key}


def test_record_when_projected_then_a_fold_takes_it_and_every_body_is_plain_json(record: PatientRecord) -> None:
    fold = _fold(record)
    assert fold.written == fold.documents
    assert all(body_text(one) for one in fold.documents)
    assert len({one.id for one in fold.documents}) == len(fold.documents)


def test_dossier_when_projected_then_its_body_is_what_show_prints_with_study_and_series_beside(
    record: PatientRecord,
) -> None:
    by_id = {one.body["id"]: one for one in _of(record, Kind.DOSSIER)}
    assert set(by_id) == {dossier.id for dossier in record.dossiers}
    for dossier in record.dossiers:
        document = by_id[dossier.id]
        assert document.body == dossier_answer(dossier)
        assert document.fields["study_uid"] == (made.uid("study"),)
        held = {one.header.series_uid for one in dossier.instances}
        assert set(document.fields["series_uid"]) == held


def test_plan_when_projected_then_it_appears_once_and_names_its_dossier_and_person(record: PatientRecord) -> None:
    plans = _of(record, Kind.PLAN)
    assert Counter(one.body["uid"] for one in plans) == {made.uid("first"): 1, made.uid("second"): 1}
    for document in plans:
        dossier = next(one for one in record.dossiers if document.body["uid"] in one.plan_uids)
        assert document.body["dossier"] == dossier.id
        assert document.body["patient"]["name"] == "Sample^Ada"
        assert document.fields["series_uid"] == (made.uid("series RTPLAN"),)
        frame = "frame" if document.body["uid"] == made.uid("first") else "frame 2"
        assert document.fields["frame_uid"] == (made.uid(frame),)


def test_plan_when_it_was_never_seen_then_it_is_a_document_without_series() -> None:
    (plan,) = _of(made.folded(made.records(3, plan="unseen")), Kind.PLAN)
    assert plan.body["uid"] == made.uid("unseen")
    assert "series_uid" not in plan.fields
    assert "study_uid" not in plan.fields


def test_series_when_projected_then_it_tells_its_instances_bytes_and_dossiers(record: PatientRecord) -> None:
    by_uid = {one.body["uid"]: one for one in _of(record, Kind.SERIES)}
    ct = by_uid[made.uid("ct 2")]
    assert sorted(ct.fields["instance_uid"]) == sorted(made.uid(f"ct 2 {at}") for at in range(3))
    assert ct.body["instances"] == 3
    held = [one for dossier in record.dossiers for one in dossier.instances if one.header.series_uid == ct.body["uid"]]
    assert ct.body["bytes"] == sum(one.receipt.size_bytes for one in held)
    assert ct.body["dossiers"] == [record.dossiers[1].id]
    assert ct.body["modality"] == ["CT"]
    # a series of plans of several courses is one document that names both
    plans = by_uid[made.uid("series RTPLAN")]
    assert sorted(plans.body["dossiers"]) == sorted(one.id for one in record.dossiers)
    assert sorted(one["uid"] for one in plans.body["plans"]) == sorted([made.uid("first"), made.uid("second")])


def test_instances_when_projected_then_each_is_found_by_its_uid_in_exactly_one_series(record: PatientRecord) -> None:
    held = {one.uid for dossier in record.dossiers for one in dossier.instances} | {made.uid("follow-up")}
    found = Counter(uid for one in _of(record, Kind.SERIES) for uid in one.fields["instance_uid"])
    assert found == Counter(held)


def test_instance_when_it_came_after_the_seal_then_it_is_found_as_before(record: PatientRecord) -> None:
    first, *others = record.dossiers
    *sealed, late = first.instances
    waiting = replace(record, dossiers=(replace(first, instances=tuple(sealed), late=(late,)), *others))
    assert [one.fields for one in _of(waiting, Kind.SERIES)] == [one.fields for one in _of(record, Kind.SERIES)]
    by_id = {one.body["id"]: one.fields["series_uid"] for one in _of(waiting, Kind.DOSSIER)}
    assert late.header.series_uid in by_id[first.id]


def test_instance_when_it_belongs_to_two_courses_then_its_series_counts_it_once(record: PatientRecord) -> None:
    assert all(any(held.uid == made.uid("reg") for held in one.instances) for one in record.dossiers)
    (series,) = [one for one in _of(record, Kind.SERIES) if one.body["uid"] == made.uid("series REG")]
    assert series.body["instances"] == 1
    assert sorted(series.body["dossiers"]) == sorted(one.id for one in record.dossiers)


def test_series_when_it_belongs_to_no_course_then_it_is_found_all_the_same(record: PatientRecord) -> None:
    assert [held.uid for held in record.unattached] == [made.uid("follow-up")]
    (series,) = [one for one in _of(record, Kind.SERIES) if one.body["uid"] == made.uid("follow-up ct")]
    assert series.body["dossiers"] == []
    assert series.body["description"] == ["Follow-up"]
    (patient,) = _of(record, Kind.PATIENT)
    assert [one["uid"] for one in patient.body["unattached"]] == [made.uid("follow-up")]


def test_patient_when_there_is_only_an_unattached_image_then_patient_and_series_are_found() -> None:
    record = made.folded([FOLLOW_UP])
    assert Counter(one.kind for one in documents(record)) == {
        Kind.PATIENT: 1,
        Kind.STUDY: 1,
        Kind.SERIES: 1,
        Kind.INSTANCES: 1,
    }


def test_patient_when_nothing_is_left_then_a_tombstone_keeps_late_writers_away() -> None:
    record = made.folded([])
    assert documents(record) == ()
    (gone,) = _fold(record).written
    assert gone.tombstone


def test_document_when_it_is_no_dicom_then_it_belongs_to_its_dossier_and_makes_no_series() -> None:
    record = made.folded([*made.course(), made.document("treatment sheet")])
    (dossier,) = record.dossiers
    assert any(held.header.document_title == "treatment sheet" for held in dossier.instances)
    assert all(one.fields["series_uid"] for one in _of(record, Kind.SERIES))
    (document,) = _of(record, Kind.DOSSIER)
    assert document.body["instances"] == len(dossier.instances)


def test_record_when_folded_in_another_order_then_the_documents_are_the_same(record: PatientRecord) -> None:
    instances = [
        FOLLOW_UP,
        made.registration("reg", "frame 2", "frame"),
        *reversed(made.course("second", start=YEARS_LATER, ct="ct 2", frame="frame 2")),
        *reversed(made.course("first")),
    ]
    assert documents(made.folded(instances)) == documents(record)


def test_index_when_it_holds_the_documents_then_every_way_in_finds_them(record: PatientRecord, tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "index.sqlite")
    try:
        Refresher(engine).write(_fold(record))

        def found(query: Query) -> list[str]:
            return [str(hit.body.get("id") or hit.body.get("uid")) for hit in engine.search(query).hits]

        first, second = record.dossiers
        assert found(Query(kind=Kind.SERIES, instance_uids=(made.uid("ct 2 1"),))) == [made.uid("ct 2")]
        assert found(Query(kind=Kind.PLAN, instance_uids=(made.uid("second"),))) == [made.uid("second")]
        assert sorted(found(Query(kind=Kind.DOSSIER, text="Sample Ada"))) == sorted([first.id, second.id])
        assert found(Query(kind=Kind.DOSSIER, text=second.id[:12])) == [second.id]
        assert len(found(Query(kind=Kind.PATIENT, patient_id="H-1001"))) == 1
    finally:
        engine.close()


def test_patient_when_hundreds_of_slices_wait_then_a_hundred_are_named_and_all_are_counted() -> None:
    record = made.folded([made.image(f"slice {number}", series="ct") for number in range(150)])
    (patient,) = _of(record, Kind.PATIENT)
    assert (len(patient.body["unattached"]), patient.body["unattached_instances"]) == (100, 150)
    assert all(len(one["instance_uids"]) <= 100 for one in patient.body["findings"])
    (series,) = _of(record, Kind.SERIES)
    assert len(series.fields["instance_uid"]) == 150


def test_study_when_its_instances_differ_then_all_values_are_kept_the_most_frequent_first() -> None:
    def described(name: str, text: str) -> InstanceHeader:
        return replace(made.image(name, series=f"series of {text}"), study_description=text)

    record = made.folded([described("a", "Head"), described("b", "Neck"), described("c", "Neck"), described("d", "")])
    (study,) = _of(record, Kind.STUDY)
    assert study.body["attributes"]["StudyDescription"] == ["Neck", "Head"]
    assert study.body["attributes"]["NumberOfStudyRelatedInstances"] == "4"
    assert set(study.fields["description"]) == {"neck", "head"}


def test_instances_when_projected_then_what_all_say_stands_once_and_the_rest_in_order_of_number() -> None:
    headers = [
        replace(
            made.image(name, series="ct"), instance_number=number, own={"ContentTime": time}, shared={"Rows": "512"}
        )
        for name, number, time in (("a", 3, "120003"), ("b", 1, "120001"), ("c", None, ""))
    ]
    (rows,) = _of(
        made.folded([replace(one, own={k: v for k, v in one.own.items() if v}) for one in headers]), Kind.INSTANCES
    )
    assert rows.fields == {}
    assert rows.body["count"] == 3
    assert rows.body["alike"]["Rows"] == "512"
    assert rows.body["each"]["InstanceNumber"] == ["1", "3", None]
    assert rows.body["each"]["ContentTime"] == ["120001", "120003", None]
    assert rows.body["each"]["SOPInstanceUID"] == [made.uid("b"), made.uid("a"), made.uid("c")]
