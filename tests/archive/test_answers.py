"""Dossiers as JSON: the contract of `find`, `show` and `gate` (DESIGN section 6)."""

import json
import re
from typing import Any

import pytest

from archive.answers import dossier_answer, iso_date, patient_answer, sites_of
from archive.facts.decisions import Act, Close
from tests.factories import (
    MONDAY,
    course,
    da,
    document,
    folded,
    image,
    only_dossier,
    plan,
    plan_header,
    records,
    uid,
    weekdays,
)

DOSSIER = [
    "id",
    "state",
    "origin",
    "outcome",
    "patient",
    "intent",
    "first_fraction",
    "last_fraction",
    "interruptions",
    "sites",
    "modalities",
    "techniques",
    "phases",
    "plans",
    "instances",
    "bytes",
    "findings",
]
PHASE = ["targets", "fractions_planned", "fractions_delivered", "fractions_per_day", "records_source"]
TARGET = ["name", "laterality", "prescribed_gy", "delivered_gy", "dose_per_fraction_gy", "dose_type"]
PLAN = [
    "uid",
    "label",
    "kind",
    "approval",
    "delivery_state",
    "machine",
    "fractions_planned",
    "fractions_delivered",
    "beams",
]
BEAM = ["number", "name", "kind", "energy", "meterset", "meterset_unit"]
FINDING = ["code", "severity", "message", "since", "instance_uids"]


def closed(*days_kept: int) -> list[Act]:
    last = weekdays(MONDAY, max(days_kept))[-1]
    return [Close(plan_uids=(uid("plan"),), outcome="stopped", last_date=da(last), reason="r")]


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    """Return a stopped course with a missed day, as it is printed."""
    given = records(12)
    del given[5]
    headers = [one for one in course(fractions=25) if one.record is None]
    text = json.dumps(dossier_answer(only_dossier([*headers, *given], closed(12))), ensure_ascii=False)
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ((), DOSSIER),
        (("patient",), ["ids", "name", "names", "birth_date", "sex"]),
        (("patient", "ids", 0), ["value", "issuer", "kind"]),
        (("interruptions", 0), ["last_before", "first_after", "weekdays_missed"]),
        (("phases", 0), PHASE),
        (("phases", 0, "targets", 0), TARGET),
        (("plans", 0), PLAN),
        (("plans", 0, "beams", 0), BEAM),
        (("findings", 0), FINDING),
    ],
    ids=str,
)
def test_dossier_answer_then_every_field_of_the_contract_is_there(
    answer: dict[str, Any], path: tuple[str | int, ...], keys: list[str]
) -> None:
    found: Any = answer
    for step in path:
        found = found[step]

    assert set(keys) <= set(found)


def test_dossier_answer_then_its_figures_are_those_of_the_course(answer: dict[str, Any]) -> None:
    assert (answer["state"], answer["origin"], answer["outcome"]) == ("open", "here", "stopped")
    assert (answer["first_fraction"], answer["last_fraction"]) == ("2024-03-04", "2024-03-19")
    assert (answer["modalities"], answer["techniques"], answer["sites"]) == (["photon"], ["3D"], ["PTV_L"])
    assert answer["patient"]["birth_date"] == "1950-01-01"
    assert answer["interruptions"] == [{"last_before": "2024-03-08", "first_after": "2024-03-12", "weekdays_missed": 1}]
    (phase,) = answer["phases"]
    assert (phase["fractions_planned"], phase["fractions_delivered"], phase["fractions_per_day"]) == (25, 11, 1)
    assert phase["targets"][0]["delivered_gy"] == 22.0
    (told,) = answer["plans"]
    assert (told["kind"], told["delivery_state"], told["fractions_delivered"]) == ("photon", "delivered", 11)
    assert told["beams"][0] == {
        "number": 1,
        "name": "B1",
        "kind": "TREATMENT",
        "radiation": "PHOTON",
        "energy": [6.0],
        "fluence_mode": None,
        "meterset": 100.0,
        "meterset_unit": "MU",
    }
    assert {finding["code"] for finding in answer["findings"]} == {"FRACTION-NUMBERS"}
    assert answer["findings"][0]["since"] == "2024-06-01"
    assert answer["instances"] == 3 + 1 + 1 + 1 + 11


def test_dossier_answer_then_every_date_is_iso(answer: dict[str, Any]) -> None:
    text = json.dumps(answer)

    assert not re.search(r'"(19|20)\d{6}"', text)


def test_dossier_answer_when_things_are_unknown_then_they_are_null_and_never_a_guess() -> None:
    answer = dossier_answer(only_dossier(records(1)))

    assert (answer["outcome"], answer["intent"], answer["plan_date"]) == (None, None, None)
    assert answer["plans"][0]["approval"] is None
    assert answer["plans"][0]["fractions_planned"] is None
    assert answer["phases"][0]["targets"] == []


def test_sites_then_those_of_the_plan_come_before_its_targets() -> None:
    named = only_dossier([plan(header=plan_header(sites=("Left breast",)))])

    assert sites_of(named) == ["Left breast"]


def test_patient_answer_then_what_belongs_to_no_course_is_listed() -> None:
    record = folded([*course(), image("follow-up", series="follow-up", frame="elsewhere"), document("letter")])

    answer = patient_answer(record)

    assert json.loads(json.dumps(answer)) == answer
    assert answer["dossiers"] == [record.dossiers[0].id]
    assert [one["uid"] for one in answer["unattached"]] == [uid("follow-up")]
    assert [one["code"] for one in answer["findings"]] == ["UNATTACHED"]


@pytest.mark.parametrize(("text", "day"), [("20240304", "2024-03-04"), ("", None), ("soon", None)])
def test_iso_date_then_only_real_days_are_told(text: str, day: str | None) -> None:
    assert iso_date(text) == day
