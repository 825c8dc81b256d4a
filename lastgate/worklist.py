"""The work-list of a file manager: what waits at the gate and of whom, what came late, is loose, damaged or failed.

It pages through the index and keeps of each dossier only what the list shows: nothing is folded for it. Nothing in it
depends on today; ages are told where it is printed (`lastgate.ageing`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lastgate.asking import doctors_of, machines_of, recipients_of
from lastgate.auditing import damage
from lastgate.proposing import proposals
from lastgate.sending import queued_sends
from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query

LATE_CODES: Final = ("LATE", "SUMMARY-LATE", "SUMMARY-OUTDATED")
"""What a sealed dossier waits for an addendum with."""

_PAGE: Final = 500
_UNENDED: Final = frozenset({"NOT-CLOSED", "CLOSE-PROPOSED"})


def worklist(house: House) -> dict[str, Any]:
    """Return dossiers that wait (urgent ones first, then by the end of treatment), and all that no dossier holds."""
    return {
        "dossiers": waiting(house),
        "late": late(house),
        "identities": proposals(house),
        "unattached": _unattached(house),
        "damage": damage(house),
        "quarantine": house.quarantined(),
        "sends": [one for one in queued_sends(house) if one["state"] in ("given-up", "refused")],
    }


def waiting(house: House) -> list[dict[str, Any]]:
    """Return the open and ready dossiers, the urgent first, then those that ended first."""
    return sorted(_entries(house, Query(kind=Kind.DOSSIER, state=("open", "ready"), limit=_PAGE)), key=_turn)


def late(house: House) -> list[dict[str, Any]]:
    """Return the sealed dossiers of which something came since, or whose paper is outdated."""
    return sorted(
        _entries(house, Query(kind=Kind.DOSSIER, state=("sealed",), finding=LATE_CODES, limit=_PAGE)), key=_turn
    )


def entry_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the list holds of one dossier.

    Parameters
    ----------
    body
        As the index gives it, which is what `show --json` prints.
    """
    findings = [with_recipients(_in_short(finding), body) for finding in body["findings"]]
    holding = [finding for finding in findings if finding["blocks"]]
    codes = {finding["code"] for finding in holding}
    return {
        **{name: body[name] for name in _KEPT},
        "machines": list(machines_of(body)),
        "doctors": list(doctors_of(body)),
        "is_urgent": any(finding["severity"] == "urgent" for finding in holding),
        "since": min((one["since"] for one in holding if one["since"]), default=None),
        "close_proposed": "CLOSE-PROPOSED" in codes,
        "silent_since": body["last_fraction"] if codes & _UNENDED else None,
        "findings": findings,
    }


_KEPT: Final = ("id", "state", "version", "outcome", "patient", "first_fraction", "last_fraction", "plan_date", "late")


def _entries(house: House, query: Query) -> Iterator[dict[str, Any]]:
    return (entry_of(hit.body) for hit in house.hits(query))


def with_recipients(finding: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding of a dossier with whom to ask."""
    asked = [{"kind": one.kind.value, "name": one.name} for one in recipients_of(finding, body)]
    return {**finding, "asked": asked}


def urgent_only(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the urgent dossiers with nothing but their urgent findings."""
    return [
        {**entry, "findings": [one for one in entry["findings"] if one["blocks"] and one["severity"] == "urgent"]}
        for entry in entries
        if entry["is_urgent"]
    ]


def _in_short(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding without the UIDs it is about: those stand in `gate DOSSIER`."""
    return {name: value for name, value in finding.items() if name != "instance_uids"}


def _turn(entry: Mapping[str, Any]) -> tuple[bool, str, str]:
    return (not entry["is_urgent"], entry["last_fraction"] or "9999", entry["id"])


def _unattached(house: House) -> list[dict[str, Any]]:
    patients = (hit.body for hit in house.hits(Query(kind=Kind.PATIENT, finding=("UNATTACHED",), limit=_PAGE)))
    return [body for body in patients if body["unattached"]]
