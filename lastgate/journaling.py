"""Reads the journals of a house: proves that they are whole, tells them to other systems. Reading leaves an event."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from archive.journal.audit import Audit
from archive.journal.journal import Event
from archive.signing.keys import KeyRing
from archive.vault.witnesses import seal_witnesses

if TYPE_CHECKING:
    from lastgate.wiring import House

JournalFormat = Literal["dicom", "fhir"]


def audit_journal(house: "House") -> Audit:
    """Return all that is wrong with the journals of all nodes; every seal in the vault is a witness.

    Raises
    ------
    FormatTooNew
        A newer Lastgate wrote a segment.
    """
    stores = house.stores
    return house.journal.audit(seal_witnesses(stores.locked, KeyRing(stores.work)))


def chained_events(house: "House", *, first: date | None = None, last: date | None = None) -> Iterator[dict[str, Any]]:
    """Yield the events of all nodes, node by node in order.

    Parameters
    ----------
    first, last
        Days (UTC) of the first and the last event that are wanted.
    """
    for event in house.journal.events():
        day = date.fromisoformat(str(event["at"])[:10])
        if (first is None or day >= first) and (last is None or day <= last):
            yield event


def told_as(kind: JournalFormat, events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each event: a DICOM audit message in XML, or a FHIR AuditEvent in JSON."""
    if kind == "dicom":
        from archive.journal.exports.dicom import dicom_message as line
    else:
        from archive.journal.exports.fhir import fhir_event as line
    return map(line, events)


def note_reading(house: "House", **what: object) -> None:
    """Journal that the journal was read: by the account that acts, or by whoever may run commands on this node."""
    subject = {name: value for name, value in what.items() if value not in (None, "")}
    house.journal.append(Event(act="view-journal", account=house.acting, subject=subject))
