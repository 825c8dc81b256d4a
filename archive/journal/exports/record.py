"""An event of the journal as every audit format tells it: who did what to what, when, and how it ended."""

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from archive.journal.exports.acts import AuditedAs, audited_as

Outcome = Literal["0", "4", "8", "12"]
_OUTCOMES: Final[dict[str, Outcome]] = {"done": "0", "closed": "0", "found": "8", "damaged": "8", "lost": "12"}
_APPLICATION: Final = ("110150", "Application")
_DESTINATION_MEDIA: Final = ("110154", "Destination Media")
_SOURCE: Final = ("110153", "Source Role ID")
_DESTINATION: Final = ("110152", "Destination Role ID")
_OBJECTS: Final = ("patient", "patients", "dossier", "key")
_NAMES: Final = frozenset({"PatientName", "OtherPatientNames", "ReferringPhysicianName"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Somebody, or a program, that took part.

    Parameters
    ----------
    role
        Code and meaning of PS3.16 CID 402; None for a person at a desk.
    address
        Where on the network, empty if it was not told.
    """

    id: str
    is_requestor: bool
    role: tuple[str, str] | None = None
    address: str = ""

    @property
    def has_ip_address(self) -> bool:
        """Whether the address is one, and not a name."""
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """What something was done to.

    Parameters
    ----------
    kind
        ``patient``, ``dossier``, ``key`` (of a stored object), ``query`` or ``node``.
    query
        The question as JSON, where it is one.
    details
        The rest of what the event tells, name and value as text.
    """

    kind: Literal["patient", "dossier", "key", "query", "node"]
    id: str
    query: str = ""
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One event, ready to be written in any audit format.

    Parameters
    ----------
    id
        Hash of its line in the journal: whoever holds the message can show the line, and the chain proves it.
    at
        ISO 8601 with offset.
    """

    id: str
    at: str
    act: str
    audited: AuditedAs
    outcome: Outcome
    said: str
    node: str
    agents: tuple[Agent, ...]
    things: tuple[Thing, ...]


def record_of(event: Mapping[str, Any]) -> AuditRecord:
    """Return an event as `Journal.events` yields it, ready to be told to others.

    Patients are named by their keys in the archive, never by name: names a query asked for are left out.
    """
    audited = audited_as(str(event["act"]))
    subject = dict(event.get("subject") or {})
    outcome = str(event.get("outcome", "done"))
    return AuditRecord(
        id=str(event["hash"]),
        at=str(event["at"]),
        act=str(event["act"]),
        audited=audited,
        outcome=_OUTCOMES.get(outcome, "4"),
        said="" if outcome == "done" else outcome,
        node=str(event["node"]),
        agents=tuple(_agents(event, audited, subject)),
        things=_things(audited, subject, node=str(event["node"])),
    )


def _agents(event: Mapping[str, Any], audited: AuditedAs, subject: Mapping[str, Any]) -> Iterator[Agent]:
    """Yield who took part: whoever acted, our node, and where instances went that did not go to whoever acted."""
    node, account = str(event["node"]), str(event.get("account") or "")
    to = str(subject.get("peer") or subject.get("to") or "")
    ours, theirs = _roles(audited, goes_elsewhere=bool(to))
    if account and account != node:
        yield Agent(id=account, is_requestor=True, role=theirs, address=str(subject.get("address", "")))
    yield Agent(id=node, is_requestor=not account or account == node, role=ours)
    if to and audited.flow == "out":
        role = _DESTINATION_MEDIA if audited.code == "110106" else _DESTINATION
        yield Agent(id=to, is_requestor=False, role=role)


def _roles(audited: AuditedAs, *, goes_elsewhere: bool) -> tuple[tuple[str, str], tuple[str, str] | None]:
    """Return the roles of our node and of whoever acted."""
    if audited.flow == "in":
        return _DESTINATION, _SOURCE
    if audited.flow == "out":
        return _SOURCE, None if goes_elsewhere else _DESTINATION
    return _APPLICATION, None


def _things(audited: AuditedAs, subject: Mapping[str, Any], *, node: str) -> tuple[Thing, ...]:
    details = tuple((name, _text(value)) for name, value in subject.items() if name not in {*_OBJECTS, "keys"})
    if audited.code == "110112":
        return (Thing(kind="query", id=node, query=_question(subject), details=details),)
    patients = [str(one) for one in (subject.get("patient"), *subject.get("patients", ())) if one]
    found = [Thing(kind="patient", id=one) for one in dict.fromkeys(patients)]
    if subject.get("dossier"):
        found.append(Thing(kind="dossier", id=str(subject["dossier"])))
    if subject.get("key"):
        found.append(Thing(kind="key", id=str(subject["key"])))
    *before, last = found or [Thing(kind="node", id=node)]
    return (*before, Thing(kind=last.kind, id=last.id, details=details))


def _question(subject: Mapping[str, Any]) -> str:
    keys = subject.get("keys")
    asked = keys if isinstance(keys, dict) else {}
    return json.dumps({name: "" if name in _NAMES else value for name, value in asked.items()}, ensure_ascii=False)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
