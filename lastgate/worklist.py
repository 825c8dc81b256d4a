"""The work-list of a file manager: what waits at the gate, what belongs to no course or could not be read or sent."""

from typing import Any

from lastgate.sending import queued_sends
from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query


def worklist(house: House) -> dict[str, Any]:
    """Return open and ready dossiers (oldest end of treatment first), loose objects, quarantine, sends in vain."""
    waiting = [hit.body for hit in house.hits(Query(kind=Kind.DOSSIER, state=("open", "ready"), limit=500))]
    patients = (hit.body for hit in house.hits(Query(kind=Kind.PATIENT, limit=500)))
    return {
        "dossiers": sorted(waiting, key=lambda body: (body["last_fraction"] or "9999", body["id"])),
        "unattached": [body for body in patients if body["unattached"]],
        "quarantine": house.quarantined(),
        "sends": [one for one in queued_sends(house) if one["state"] in ("given-up", "refused")],
    }
