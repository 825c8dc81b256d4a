"""Locks on all files of a sealed dossier: retention, which only ever gets longer, and legal hold."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from archive.vault import ocfl
from storage.base import HoldsVersions, ObjectStat, ObjectStore
from storage.reading import replicas_of

_MOVING = (ocfl.INVENTORY, ocfl.SIDECAR)
_ROOT_DEPTH = ocfl.object_folder("x").count("/")


def lock_object(store: ObjectStore, dossier: str, until: datetime) -> None:
    """Lock every file of a dossier until `until` (aware UTC) at least; what is locked longer stays so.

    The two root files move on with each version: they are locked where the
    store keeps what they were, and nowhere else.
    """
    _lock(store, _files(store, dossier), until)


def lock_root(store: ObjectStore, dossier: str, until: datetime) -> None:
    """Do the same with the newest state of the root files of a dossier alone."""
    folder = ocfl.object_folder(dossier)
    _lock(store, (store.stat(f"{folder}/{name}") for name in (*_MOVING, ocfl.OBJECT_DECLARATION)), until)


def _lock(store: ObjectStore, files: Iterable[ObjectStat], until: datetime) -> None:
    keeps_versions = store.capabilities.keeps_versions
    for stat in files:
        parent, _, name = stat.key.rpartition("/")
        is_moving = name in _MOVING and parent.count("/") == _ROOT_DEPTH
        if is_moving and not keeps_versions:
            continue
        locked = store.retention(stat.version)
        if locked is None or locked < until:
            store.retain_until(stat.version, until)


def hold_object(store: ObjectStore, dossier: str, *, is_held: bool) -> bool:
    """Put all files of a dossier under legal hold or let them go; return whether every copy's store can do that.

    Raises
    ------
    StoreUnfit
        A store with Object Lock does not take it: this program still keeps the hold.
    """
    can = True
    for replica in replicas_of(store):
        if not (isinstance(replica, HoldsVersions) and replica.capabilities.locks_versions):
            can = False
            continue
        for stat in _files(replica, dossier):
            replica.hold(stat.version, is_held=is_held)
    return can


def locked_until(store: ObjectStore, dossier: str) -> datetime | None:
    """Return until when the file of a dossier that is locked longest is, in any store, None if none is locked."""
    ends = [
        end
        for replica in replicas_of(store)
        for stat in _files(replica, dossier)
        if (end := replica.retention(stat.version)) is not None
    ]
    return max(ends, default=None)


def is_held(store: ObjectStore, dossier: str) -> bool:
    """Return whether a store itself keeps a file of a dossier under legal hold."""
    return any(
        replica.is_held(stat.version)
        for replica in replicas_of(store)
        if isinstance(replica, HoldsVersions) and replica.capabilities.locks_versions
        for stat in _files(replica, dossier)
    )


def _files(store: ObjectStore, dossier: str) -> Iterator[ObjectStat]:
    """Yield all states of all files of a dossier, delete markers left out."""
    return (stat for stat in store.list_versions(f"{ocfl.object_folder(dossier)}/") if not stat.is_delete_marker)
