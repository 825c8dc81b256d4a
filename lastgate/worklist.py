"""The work-list of a file manager: what waits at the gate, what belongs to no course, what is in quarantine."""

from typing import Any

from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query


def worklist(house: House) -> dict[str, Any]:
    """Return the open and ready dossiers (oldest end of treatment first), loose objects and the quarantine."""
    waiting = [hit.body for hit in house.hits(Query(kind=Kind.DOSSIER, state=("open", "ready"), limit=500))]
    patients = (hit.body for hit in house.hits(Query(kind=Kind.PATIENT, limit=500)))
    return {
        "dossiers": sorted(waiting, key=lambda body: (body["last_fraction"] or "9999", body["id"])),
        "unattached": [body for body in patients if body["unattached"]],
        "quarantine": house.quarantined(),
    }
