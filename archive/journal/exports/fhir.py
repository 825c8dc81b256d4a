"""AuditEvent resources of FHIR R4, as IHE BALP profiles them, one JSON document a line."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from archive.journal.exports.record import Agent, AuditRecord, Thing, record_of

_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
OWN_SYSTEM: Final = "urn:lastgate"
# Kind of thing: type (person, system object) and role (patient, report, domain resource, query, job).
_THINGS: Final = {
    "patient": (("1", "Person"), ("1", "Patient")),
    "dossier": (("2", "System Object"), ("3", "Report")),
    "key": (("2", "System Object"), ("4", "Domain Resource")),
    "query": (("2", "System Object"), ("24", "Query")),
    "node": (("2", "System Object"), ("20", "Job")),
}


def fhir_event(event: Mapping[str, Any]) -> str:
    """Return an event of the journal as an AuditEvent: one line of JSON, whose id is the hash of the event's line."""
    record = record_of(event)
    resource = {
        "resourceType": "AuditEvent",
        "id": record.id,
        "type": _coding(_DCM, record.audited.code, record.audited.meaning),
        "subtype": [_coding(f"{OWN_SYSTEM}:act", record.act, record.audited.words)],
        "action": record.audited.action,
        "recorded": record.at,
        "outcome": record.outcome,
        "agent": [_agent(agent) for agent in record.agents],
        "source": _source(record),
        "entity": [_entity(thing) for thing in record.things],
    }
    if record.said:
        resource["outcomeDesc"] = record.said
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":"))


def _agent(agent: Agent) -> dict[str, Any]:
    told: dict[str, Any] = {"who": {"identifier": {"value": agent.id}}, "requestor": agent.is_requestor}
    if agent.role:
        told["type"] = {"coding": [_coding(_DCM, *agent.role)]}
    if agent.address:
        told["network"] = {"address": agent.address, "type": "2" if agent.has_ip_address else "1"}
    return told


def _source(record: AuditRecord) -> dict[str, Any]:
    kind = _coding(f"{_TERMINOLOGY}/security-source-type", "4", "Application Server")
    return {"observer": {"identifier": {"value": record.node}}, "type": [kind]}


def _entity(thing: Thing) -> dict[str, Any]:
    kind, role = _THINGS[thing.kind]
    told: dict[str, Any] = {
        "what": {"identifier": {"system": f"{OWN_SYSTEM}:{thing.kind}", "value": thing.id}},
        "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", *kind),
        "role": _coding(f"{_TERMINOLOGY}/object-role", *role),
    }
    if thing.query:
        told["query"] = b64encode(thing.query.encode()).decode()
    details = [{"type": name, "valueString": value} for name, value in thing.details if value]
    if details:
        told["detail"] = details
    return told


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}
