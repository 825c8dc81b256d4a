"""What must hold of an archive after any fault: nothing acknowledged lost, nothing half, every record whole."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archive.errors import ChainBroken
from archive.vault import ocfl
from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query
from storage.errors import StorageError
from tests.hostile.nodes import dataset_digest

_JOURNALLED = {"close": "close", "waive": "sign", "seal": "seal"}
"""The journal's word for each act of a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What somebody was told before the blow.

    Parameters
    ----------
    instances
        Digest of the data set of each instance whose sender was told that it is safe, by SOP Instance UID.
    sealed
        The version in which somebody was told that the dossier is sealed.
    viewed
        How many views were journalled.
    """

    instances: Mapping[str, str] = field(default_factory=dict)
    sealed: int = 0
    viewed: int = 0


def wrongs(house: House, promised: Promised) -> Iterator[str]:
    """Yield what is wrong, in words."""
    yield from _lost(house, promised.instances)
    yield from _half_sealed(house, promised.sealed)
    yield from _journal(house, promised.viewed)
    yield from _index(house)


def _lost(house: House, instances: Mapping[str, str]) -> Iterator[str]:
    receipts = [one for key in house.facts.patients() for one in house.facts.read(key).receipts]
    known: dict[str, set[str]] = {}
    for receipt in receipts:
        uid = receipt.header.sop_instance_uid
        try:
            known.setdefault(uid, set()).add(dataset_digest(house.places.whole(receipt)))
        except StorageError as error:
            yield f"lost: {uid}: {error}"
    for uid, digest in instances.items():
        if digest not in known.get(uid, ()):
            yield f"lost: {uid} was acknowledged and is {'other bytes' if uid in known else 'nowhere'}"
    for uid, count in Counter(one.header.sop_instance_uid for one in receipts).items():
        if count > 1:
            yield f"{uid} has {count} receipts though it came once"


def _half_sealed(house: House, sealed: int) -> Iterator[str]:
    folders = {stat.key.split("/")[4] for stat in house.stores.locked.list(f"{ocfl.ROOT}/") if stat.key.count("/") > 4}
    whole = set(house.vault.dossiers())
    for dossier in folders - whole - {"config.json"}:
        if not dossier.startswith("0003-"):
            yield f"half sealed: {dossier} has files in the vault and no declaration"
    for dossier in whole:
        yield from house.vault.check(dossier)
    held = {one.id: one.version for key in house.facts.patients() for one in house.desk.record(key).dossiers}
    for dossier in whole:
        inventory = house.vault.inventory(dossier)
        if inventory is None or inventory["head"] != f"v{held.get(dossier)}":
            yield f"half sealed: the vault holds {inventory and inventory['head']}, the facts tell of {held}"
    if sealed and max(held.values(), default=0) < sealed:
        yield f"lost: version {sealed} was sealed, and the facts tell of {held}"


def _journal(house: House, viewed: int) -> Iterator[str]:
    try:
        house.journal.verify()
    except ChainBroken as error:
        yield f"journal: {error}"
    told = Counter(event["act"] for event in house.journal.events())
    if told["view"] < viewed:
        yield f"journal: {viewed} views were journalled, {told['view']} stand in it"
    decided = Counter(
        _JOURNALLED[one.what.act]
        for key in house.facts.patients()
        for one in house.facts.read(key).decisions
        if one.what.act in _JOURNALLED
    )
    for act, count in decided.items():
        if told[act] < count:
            yield f"journal: {count} times {act} stands in the facts, {told[act]} times in the journal"


def _index(house: House) -> Iterator[str]:
    before = answers(house)
    house.rebuild()
    if before != answers(house):
        yield "the index does not answer what it answers after a rebuild"


def answers(house: House) -> dict[str, list[Any]]:
    """Return everything the index answers."""
    return {kind: [(hit.id, hit.version, hit.body) for hit in house.hits(Query(kind=kind))] for kind in Kind}
