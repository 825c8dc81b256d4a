"""Which patient a user means: by ID, ISSUER/ID, the beginning of a key as `people` tells it, or by a dossier."""

import re
from collections.abc import Iterator
from typing import Any

from archive.errors import Ambiguous
from archive.facts.receipts import PatientKey
from lastgate.wiring import House
from search.kinds import Kind
from search.query import MAX_LIMIT, Query

_KEY = re.compile(r"[0-9a-f]{8,64}")


def named_patient(house: House, name: str) -> PatientKey:
    """Return the key that is named, one of those that are a joined person too.

    Raises
    ------
    Ambiguous
        Several patients bear that ID, or have a key that begins so.
    NotFound
        Nobody is meant.
    """
    found = sorted({*_by_identifier(house, name), *_by_key(house, name)})
    if not found:
        return house.dossier(name)[0]
    if len(found) > 1:
        keys = ", ".join(key[:12] for key in found[:4])
        raise Ambiguous(f"{name!r} means {len(found)} patients: {keys}", hint="Name one by its key, or as ISSUER/ID.")
    return found[0]


def _by_identifier(house: House, name: str) -> Iterator[PatientKey]:
    issuer, _, value = name.rpartition("/")
    for wanted, by in {(name, ""), (value, issuer)} if name.strip() else ():
        for hit in house.hits(Query(kind=Kind.PATIENT, patient_id=wanted, issuer=by, limit=MAX_LIMIT)):
            for member in _members(hit.patient_key, hit.body):
                if any(one["value"] == wanted and by in ("", one["issuer"]) for one in member["patient"]["ids"]):
                    yield PatientKey(member["key"])


def _by_key(house: House, name: str) -> Iterator[PatientKey]:
    if not _KEY.fullmatch(name):
        return
    for hit in house.hits(Query(kind=Kind.PATIENT, text=name, limit=MAX_LIMIT)):
        for member in _members(hit.patient_key, hit.body):
            if member["key"].startswith(name):
                yield PatientKey(member["key"])


def _members(key: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    return body.get("members") or [{"key": key, "patient": body["patient"]}]
