"""Audit messages are judged by others: the schema of PS3.15 A.5.1, and a library of FHIR resources."""

import ast
import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from lxml import etree
from pydicom.sr.codedict import codes

from archive.facts.decisions import Act
from archive.journal.exports.acts import ACTS
from archive.journal.exports.dicom import dicom_message
from archive.journal.exports.fhir import fhir_event
from archive.journal.journal import Event
from tests.archive.journal.site import Site

ROOT: Final = Path(__file__).parents[4]
ROOMS: Final = ("archive", "ingest", "search", "courses", "reports", "web", "lastgate")
SCHEMA: Final = etree.RelaxNG(etree.parse(Path(__file__).with_name("audit-message.rng")))
TOLD_ELSEWHERE: Final = {
    "archive/desk/corrections.py": "the act of a decision",
    "archive/vault/repair.py": "its callers name it",
    "ingest/peers/notices.py": "ingest/peers/porter.py names it",
}
"""Files whose events take their act from a variable, and where its values stand; those are looked at as well."""

EVENTS: Final[list[dict[str, Any]]] = [
    {
        "act": "receive",
        "account": "CT1",
        "subject": {"patient": "ab12", "receipts": "facts/x", "instances": {"new": 2}},
    },
    {"act": "receive", "account": "CT1", "outcome": "quarantined", "subject": {"key": "quarantine/1", "reason": "R"}},
    {"act": "receive", "account": "CT1", "outcome": "lost", "subject": {"sop_instance_uid": "1.2", "reason": "gone"}},
    {"act": "retrieve", "account": "PACS", "subject": {"address": "10.0.0.7", "uids": ["1.2"], "to": "TPS", "sent": 3}},
    {"act": "send", "account": "node1", "subject": {"dossier": "abc", "peer": "TPS@tps.example:104", "stored": 7}},
    {"act": "query", "account": "PACS", "subject": {"keys": {"PatientName": "WANG^*", "PatientID": "7"}, "answers": 1}},
    {"act": "refuse", "account": "", "outcome": "refused", "subject": {"why": "line one\nline two <&>\x01"}},
    {"act": "refuse", "account": "EVIL\x07<x>", "outcome": "refused", "subject": {"address": "tps.example"}},
    {"act": "link", "account": "fay", "subject": {"patients": ["ab12", "cd34"]}},
    {"act": "a-newer-act", "account": "ada", "outcome": "odd", "subject": {}},
    *({"act": act, "account": "ada", "subject": {"dossier": "abc", "reason": "因为"}} for act in ACTS),
]


@pytest.fixture
def events(tmp_path: Path) -> list[dict[str, Any]]:
    """Events as the journal gives them."""
    journal = Site(tmp_path).journal("node1")
    journal.append(*(Event(**event) for event in EVENTS))
    journal.flush()
    return list(journal.events())


def test_dicom_messages_when_judged_by_the_schema_of_the_standard_then_all_are_valid(
    events: list[dict[str, Any]],
) -> None:
    for event in events:
        line = dicom_message(event)
        assert "\n" not in line
        message = etree.fromstring(line)
        assert SCHEMA.validate(message), (line, SCHEMA.error_log)


def test_schema_when_something_mandatory_is_missing_then_it_says_so(events: list[dict[str, Any]]) -> None:
    message = etree.fromstring(dicom_message(events[0]))
    message.remove(message.find("AuditSourceIdentification"))

    assert not SCHEMA.validate(message)


def test_fhir_events_when_judged_by_a_library_then_all_are_valid_and_lose_nothing(
    events: list[dict[str, Any]],
) -> None:
    for event in events:
        line = fhir_event(event)
        assert "\n" not in line
        read = AuditEvent.model_validate_json(line)
        assert json.loads(read.model_dump_json()).keys() == json.loads(line).keys()
        assert read.id == event["hash"]


def test_exports_when_both_tell_of_an_event_then_they_agree(events: list[dict[str, Any]]) -> None:
    for event in events:
        message, resource = etree.fromstring(dicom_message(event)), json.loads(fhir_event(event))
        told = message.find("EventIdentification")
        assert told.find("EventID").get("csd-code") == resource["type"]["code"]
        assert told.get("EventActionCode") == resource["action"]
        assert told.get("EventDateTime") == resource["recorded"] == event["at"]
        assert told.get("EventOutcomeIndicator") == resource["outcome"]
        assert [one.get("UserIsRequestor") for one in message.findall("ActiveParticipant")] == [
            str(agent["requestor"]).lower() for agent in resource["agent"]
        ]
        assert sum(agent["requestor"] for agent in resource["agent"]) == 1


@pytest.mark.parametrize(
    ("number", "outcome", "roles"),
    [
        (0, "0", [("CT1", "110153"), ("node1", "110152")]),
        (1, "4", [("CT1", "110153"), ("node1", "110152")]),
        (2, "12", [("CT1", "110153"), ("node1", "110152")]),
        (3, "0", [("PACS", None), ("node1", "110153"), ("TPS", "110152")]),
        (4, "0", [("node1", "110153"), ("TPS@tps.example:104", "110152")]),
        (6, "4", [("node1", "110150")]),
    ],
)
def test_dicom_message_when_instances_move_then_source_and_destination_are_told(
    events: list[dict[str, Any]], number: int, outcome: str, roles: list[tuple[str, str | None]]
) -> None:
    message = etree.fromstring(dicom_message(events[number]))

    assert message.find("EventIdentification").get("EventOutcomeIndicator") == outcome
    found = [
        (one.get("UserID"), role.get("csd-code") if (role := one.find("RoleIDCode")) is not None else None)
        for one in message.findall("ActiveParticipant")
    ]
    assert found == roles


def test_exports_when_a_query_named_a_person_then_the_name_stays_here(events: list[dict[str, Any]]) -> None:
    message, resource = etree.fromstring(dicom_message(events[5])), json.loads(fhir_event(events[5]))

    asked = b64decode(message.findtext(".//ParticipantObjectQuery"))

    assert json.loads(asked) == {"PatientName": "", "PatientID": "7"}
    assert b64decode(resource["entity"][0]["query"]) == asked
    assert "WANG" not in dicom_message(events[5]) + fhir_event(events[5])


def test_dicom_message_when_a_peer_bears_a_name_xml_can_not_hold_then_it_is_told_without_it(
    events: list[dict[str, Any]],
) -> None:
    message = etree.fromstring(dicom_message(events[7]))

    assert message.find("ActiveParticipant").get("UserID") == "EVIL\N{REPLACEMENT CHARACTER}<x>"
    assert message.find("ActiveParticipant").get("NetworkAccessPointTypeCode") == "1"


def test_acts_when_a_room_journals_one_then_it_has_a_place_in_the_table() -> None:
    journalled = set(_acts_in_code()) | {one.__dataclass_fields__["act"].default for one in get_args(get_args(Act)[0])}

    assert {"receive", "identify", "set-aside", "lift-hold", "seal"} <= journalled
    assert journalled <= set(ACTS)


def test_acts_when_told_in_dicom_then_the_codes_are_those_of_the_standard() -> None:
    known = {(code.value, code.meaning) for code in codes.cid400.concepts.values()}

    assert {(act.code, act.meaning) for act in ACTS.values()} <= known


def _acts_in_code() -> Iterator[str]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                yield from _acts_of(call, path.relative_to(ROOT).as_posix())


def _acts_of(call: ast.Call, file: str) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "Event" and any(word.arg == "act" for word in call.keywords):
        (value,) = [word.value for word in call.keywords if word.arg == "act"]
        constants = _constants(value)
        assert constants or file in TOLD_ELSEWHERE, f"{file} takes the act of an event from a variable"
        yield from constants
    elif name in ("tell", "_tell") and file in ("ingest/peers/porter.py", "archive/vault/repair.py"):
        yield from _constants(call.args[0]) if call.args else ()


def _constants(value: ast.expr) -> list[str]:
    if isinstance(value, ast.IfExp):
        return _constants(value.body) + _constants(value.orelse)
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []
