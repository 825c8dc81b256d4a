"""Audit messages of DICOM (PS3.15 2026c A.5): XML of the schema in A.5.1, one message a line."""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from archive.journal.exports.record import Agent, AuditRecord, Thing, record_of

OWN_SCHEME: Final = "99LASTGATE"
_SERVER: Final = "4"
"""Audit source type: application server process."""
# Kind of thing: its type code (person, system object), role code, and code, scheme and meaning of what its id is.
_THINGS: Final = {
    "patient": ("1", "1", ("2", "RFC-3881", "Patient Number")),
    "dossier": ("2", "3", ("dossier", OWN_SCHEME, "Dossier")),
    "key": ("2", "4", ("12", "RFC-3881", "URI")),
    "query": ("2", "24", ("10", "RFC-3881", "Search Criteria")),
    "node": ("2", "20", ("node", OWN_SCHEME, "Node")),
}
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dicom_message(event: Mapping[str, Any]) -> str:
    """Return an event of the journal as an audit message: one line of XML."""
    record = record_of(event)
    message = Element("AuditMessage")
    _add_event(message, record)
    for agent in record.agents:
        _add_participant(message, agent)
    source = SubElement(message, "AuditSourceIdentification", {"AuditSourceID": record.node})
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _SERVER})
    for thing in record.things:
        _add_object(message, thing)
    return tostring(message, encoding="unicode").replace("\n", "&#10;")


def _add_event(message: Element, record: AuditRecord) -> None:
    audited = record.audited
    told = {
        "EventActionCode": audited.action,
        "EventDateTime": record.at,
        "EventOutcomeIndicator": record.outcome,
    }
    event = SubElement(message, "EventIdentification", told)
    SubElement(event, "EventID", _code(audited.code, "DCM", audited.meaning))
    SubElement(event, "EventTypeCode", _code(record.act, OWN_SCHEME, audited.words))
    if record.said:
        SubElement(event, "EventOutcomeDescription").text = _clean(record.said)


def _add_participant(message: Element, agent: Agent) -> None:
    told = {"UserID": _clean(agent.id), "UserIsRequestor": "true" if agent.is_requestor else "false"}
    if agent.address:
        told["NetworkAccessPointID"] = _clean(agent.address)
        told["NetworkAccessPointTypeCode"] = "2" if agent.has_ip_address else "1"
    participant = SubElement(message, "ActiveParticipant", told)
    if agent.role:
        SubElement(participant, "RoleIDCode", _code(agent.role[0], "DCM", agent.role[1]))


def _add_object(message: Element, thing: Thing) -> None:
    type_code, role, (code, scheme, meaning) = _THINGS[thing.kind]
    told = {
        "ParticipantObjectID": _clean(thing.id),
        "ParticipantObjectTypeCode": type_code,
        "ParticipantObjectTypeCodeRole": role,
    }
    found = SubElement(message, "ParticipantObjectIdentification", told)
    SubElement(found, "ParticipantObjectIDTypeCode", _code(code, scheme, meaning))
    if thing.kind == "query":
        SubElement(found, "ParticipantObjectQuery").text = _base64(thing.query)
    else:  # the schema wants a name: the id again, never a person's name
        SubElement(found, "ParticipantObjectName").text = _clean(thing.id)
    for name, value in thing.details:
        SubElement(found, "ParticipantObjectDetail", {"type": _clean(name), "value": _base64(value)})


def _code(code: str, scheme: str, meaning: str) -> dict[str, str]:
    return {"csd-code": _clean(code), "codeSystemName": scheme, "originalText": _clean(meaning)}


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _clean(text: str) -> str:
    """Replace what XML can't hold: a peer may call itself anything."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
