"""Documents are made from the JSON the commands print, whatever is missing in it."""

from typing import Any

import pytest

from search.documents import (
    Document,
    body_text,
    dossier_document,
    patient_document,
    plan_document,
    series_document,
    tombstone,
)
from search.errors import BadDocument
from search.fields import FIELDS, sort_keys
from search.kinds import Kind

PATIENT: dict[str, Any] = {
    "ids": [{"value": "00123", "issuer": "HOSPITAL", "kind": "mr"}, {"value": "X9", "issuer": None, "kind": None}],
    "name": "王^小东",
    "names": ["王^小东", "WANG^XIAODONG"],
    "birth_date": "1960-02-29",
    "sex": "M",
}
DOSSIER: dict[str, Any] = {
    "id": "ABCDEF",
    "aliases": ["OLDID"],
    "state": "open",
    "origin": "here",
    "outcome": None,
    "patient": PATIENT,
    "first_fraction": "2024-01-08",
    "last_fraction": "2024-02-20",
    "sites": ["前列腺", {"code": "C61", "meaning": "Prostate"}],
    "modalities": ["photon"],
    "techniques": ["VMAT"],
    "phases": [{"targets": [{"name": "PTV_78", "prescribed_gy": 78.0}]}],
    "plans": [{"uid": "1.2.3", "label": "Prostate 78", "approval": "APPROVED", "machine": "TrueBeam", "beams": []}],
    "findings": [{"code": "COURSE-BOUNDARY", "severity": "blocking"}],
}


def test_dossier_document_of_a_full_answer_has_every_field() -> None:
    document = dossier_document(DOSSIER, patient_key="p1", version=7, study_uids=["1.9"], series_uids=["1.9.1"])
    assert document.id == "dossier:ABCDEF:p1"
    assert document.kind is Kind.DOSSIER
    assert document.body is DOSSIER
    fields = {name: set(values) for name, values in document.fields.items()}
    expected = {
        "patient_id": {"00123", "X9"},
        "issuer": {"HOSPITAL"},
        "issued_id": {"HOSPITAL\x1f00123"},
        "birth_date": {"1960-02-29"},
        "sex": {"m"},
        "date_first": {"2024-01-08"},
        "date_last": {"2024-02-20"},
        "modality": {"photon"},
        "state": {"open"},
        "approval": {"approved"},
        "finding": {"course-boundary"},
        "site": {"前列腺", "c61", "prostate"},
        "plan_label": {"prostate 78"},
        "machine": {"truebeam"},
        "technique": {"vmat"},
        "dossier": {"abcdef", "oldid"},
        "plan_uid": {"1.2.3"},
        "study_uid": {"1.9"},
        "series_uid": {"1.9.1"},
    }
    assert {name: fields[name] for name in expected} == expected
    assert {"wxd", "小东", "00123", "列腺", "c61", "78", "abcdef", "1.2.3", "19600229", "ptv78"} <= fields["word"]
    assert fields.keys() - expected.keys() == {
        "word", "name", "name_word", "site_word", "plan_label_word", "machine_word", "technique_word",
    }  # fmt: skip
    assert fields.keys() <= FIELDS


@pytest.mark.parametrize(
    ("change", "first", "last"),
    [
        ({}, "2024-01-08", "2024-02-20"),
        ({"first_fraction": "20240108", "last_fraction": ""}, "2024-01-08", "2024-01-08"),
        ({"first_fraction": None, "last_fraction": None}, None, None),
        (
            {"first_fraction": None, "last_fraction": None, "plans": [{"date": "20240301"}, {"date": "20231231"}]},
            "2023-12-31",
            "2024-03-01",
        ),
        ({"first_fraction": "soon", "last_fraction": None, "plans": []}, None, None),
    ],
)
def test_dossier_document_takes_plan_dates_where_there_are_no_fractions(
    change: dict[str, Any], first: str | None, last: str | None
) -> None:
    fields = dossier_document({**DOSSIER, **change}, patient_key="p1", version=1).fields
    assert fields.get("date_first", (None,)) == (first,)
    assert fields.get("date_last", (None,)) == (last,)


def test_patient_plan_and_series_documents_are_found_by_their_own_fields() -> None:
    patient = patient_document({"patient": PATIENT, "dossiers": ["ABCDEF"]}, patient_key="p1", version=1)
    plan = plan_document(
        {**DOSSIER["plans"][0], "patient": PATIENT, "dossier": "ABCDEF", "modality": "photon", "date": "20240101"},
        patient_key="p1", version=1, study_uid="1.9", series_uid="1.9.2",
    )  # fmt: skip
    series = series_document(
        {"uid": "1.9.1", "study_uid": "1.9", "modality": "CT", "patient": PATIENT, "dossiers": ["ABCDEF"],
         "accession": "ACC1", "description": "Planning CT", "date": "20231230", "machine": "CT Sim"},
        patient_key="p1", version=1, instance_uids=("1.9.1.1", "1.9.1.2"),
    )  # fmt: skip
    assert patient.id == "patient:p1"
    assert patient.fields["dossier"] == plan.fields["dossier"] == series.fields["dossier"] == ("abcdef",)
    assert plan.fields["instance_uid"] == ("1.2.3",)
    assert plan.fields["series_uid"] == ("1.9.2",)
    assert plan.fields["date_first"] == ("2024-01-01",)
    assert series.fields["instance_uid"] == ("1.9.1.1", "1.9.1.2")
    assert series.fields["modality"] == ("ct",)
    assert series.fields["accession"] == ("ACC1",)
    assert {"planning", "sim", "acc1"} <= set(series.fields["word"])


def test_documents_of_one_uid_under_two_patients_have_two_ids() -> None:
    ids = {series_document({"uid": "1.9.1"}, patient_key=key, version=1).id for key in ("p1", "p2")}
    ids |= {plan_document({"uid": "1.9.1"}, patient_key=key, version=1).id for key in ("p1", "p2")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    "body",
    [
        {"id": "d"},
        {"id": "d", "patient": None, "plans": None, "sites": None, "findings": [None], "phases": [{"targets": None}]},
        {"id": "d", "patient": [], "plans": "none", "sites": 7, "findings": {"code": 3}, "modalities": [True, 2.5]},
        {"id": "d", "patient": {"ids": ["x", {"value": 5}], "names": [None, 3], "birth_date": ["1960"]}},
        {"id": "d", "patient": {"name": "\ud800\0\x1f", "ids": [{"value": "\0", "issuer": "\x1f"}]}},
    ],
)
def test_dossier_document_of_an_odd_answer_is_made_all_the_same(body: dict[str, Any]) -> None:
    assert dossier_document(body, patient_key="p1", version=1).fields["dossier"] == ("d",)


def test_dossier_document_without_an_id_is_refused() -> None:
    with pytest.raises(BadDocument, match="'id'"):
        dossier_document({"id": " "}, patient_key="p1", version=1)


def test_series_document_of_an_endless_uid_still_has_an_id_that_fits() -> None:
    assert len(series_document({"uid": "1." * 5000}, patient_key="p" * 64, version=1).id) < 200


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"unknown": ("x",)}},
        {"fields": {"word": ("",)}},
        {"fields": {"word": ("a\0",)}},
        {"fields": {"word": ("\ud800",)}},
        {"fields": {"word": ("长" * 1400,)}},
        {"sort": ("a",)},
        {"version": -1},
        {"id": "x" * 513},
        {"tombstone": True},
    ],
)
def test_document_that_engines_would_store_differently_is_refused(change: dict[str, Any]) -> None:
    plain = {
        "id": "x", "kind": Kind.PATIENT, "version": 1, "patient_key": "p", "fields": {"word": ("a",)},
        "sort": ("a", "b"), "body": {},
    }  # fmt: skip
    Document(**plain)  # type: ignore[arg-type]
    with pytest.raises(BadDocument):
        Document(**{**plain, **change})


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}])
def test_body_text_of_what_is_no_json_is_refused(body: dict[str, Any]) -> None:
    document = patient_document(body, patient_key="p", version=1)
    with pytest.raises(BadDocument, match="no plain JSON"):
        body_text(document)


def test_tombstone_of_a_document_keeps_its_patient_and_kind() -> None:
    gone = tombstone("plan:x:p", Kind.PLAN, patient_key="p", version=3)
    assert (gone.kind, gone.patient_key, gone.version, gone.tombstone) == (Kind.PLAN, "p", 3, True)


def test_sort_keys_put_names_then_dates_and_what_is_missing_last() -> None:
    by_name = [sort_keys(*entry)[0] for entry in (("a", "2020-01-01", ""), ("a", "2021-01-01", ""), ("a", "", ""))]
    by_name += [sort_keys(*entry)[0] for entry in (("ab", "", ""), ("", "2020-01-01", ""), ("", "", ""))]
    assert by_name == sorted(by_name)
    newest = [sort_keys("a", "", last)[1] for last in ("2024-02-01", "2024-01-31", "1999-12-31", "")]
    assert newest == sorted(newest)
