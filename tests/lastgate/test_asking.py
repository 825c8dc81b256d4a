"""Who is asked: the one who can mend it, by name where the dossier tells one."""

from typing import Any

import pytest

from archive.gate.words import standard_words
from lastgate.asking import BY_CODE, Asked, Recipient, doctors_of, kind_of, machines_of, recipients_of


def finding(code: str = "DOSE-MISSING", **values: Any) -> dict[str, Any]:
    return {"code": code, "severity": "blocking", "waivable_by": ["physicist"], **values}


def plan(machine: str = "LINAC1", state: str = "delivered") -> dict[str, str]:
    return {"machine": machine, "delivery_state": state}


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("FRACTIONS-MISSING", Asked.MACHINE),
        ("DOSE-MISSING", Asked.PLANNING),
        ("SLICES-MISSING", Asked.IMAGING),
        ("PRESCRIPTION-MISSING", Asked.DOCTOR),
        ("CONFLICT", Asked.FILE_MANAGER),
    ],
)
def test_kind_when_something_is_missing_then_is_who_can_mend_it(code: str, asked: Asked) -> None:
    assert kind_of(finding(code)) is asked


@pytest.mark.parametrize(
    ("waivable_by", "asked"),
    [(["doctor", "physicist"], Asked.PHYSICIST), (["doctor"], Asked.DOCTOR), ([], Asked.FILE_MANAGER)],
)
def test_kind_when_the_code_is_a_departments_own_then_is_who_may_sign(waivable_by: list[str], asked: Asked) -> None:
    assert kind_of(finding("LOCAL-PHOTOGRAPH", waivable_by=waivable_by)) is asked


def test_kind_when_it_is_urgent_then_is_the_physicist_whatever_it_is() -> None:
    assert kind_of(finding("FRACTIONS-MISSING", severity="urgent")) is Asked.PHYSICIST


def test_codes_when_somebody_is_asked_then_the_gate_knows_them() -> None:
    assert set(BY_CODE) <= set(standard_words())


def test_machines_when_a_plan_was_not_delivered_then_its_machine_is_not_asked() -> None:
    body = {"plans": [plan("A"), plan("B", "not delivered"), plan("C", "unknown"), plan("A"), plan("")]}
    assert machines_of(body) == ("A", "C")
    assert machines_of({"plans": [plan("B", "not delivered")]}) == ("B",)


def test_doctors_when_the_objects_name_several_then_is_the_one_the_paper_names() -> None:
    assert doctors_of({"physicians": ["^^", "Li^Ming=李^明", "Other"]}) == ("李明 Li Ming",)
    assert doctors_of({}) == ()


def test_recipients_when_two_machines_gave_the_course_then_both_are_asked() -> None:
    body = {"plans": [plan("A"), plan("B")], "physicians": []}
    asked = recipients_of(finding("RECORDS-MISSING"), body)
    assert [one.name for one in asked] == ["A", "B"]
    assert asked[0].words == ("治疗机 A", "treatment machine A")


def test_recipients_when_nobody_is_named_then_the_kind_is_asked() -> None:
    assert recipients_of(finding("CONSENT-MISSING"), {"plans": []}) == (Recipient(kind=Asked.DOCTOR),)
