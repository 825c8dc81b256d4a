"""Making one key of the second store what it is in the first."""

import io
from typing import Final

from storage.base import ObjectStat, ObjectStore
from storage.errors import DigestMismatch, ObjectMissing, StoreUnavailable
from storage.reading import Digests, PieceReader, copy_through, digests, mismatch

_ATTEMPTS: Final = 5


def align(first: ObjectStore, second: ObjectStore, key: str, *, sha256: str | None = None) -> None:
    """Give `key` in the second store the bytes and the lock it has in the first, or take it away there too.

    While others replace it in the first store it is done again, so that the last state wins in both.

    Parameters
    ----------
    sha256
        What the bytes must be, where that is known: rot in the first store is never carried over.

    Raises
    ------
    DigestMismatch
        The first store's copy is not what it must be.
    StorageError
        The second store did not take it.
    """
    for _ in range(_ATTEMPTS):
        before = _state(first, key)
        if before is None:
            _drop(first, second, key)
        else:
            _copy(first, second, before, sha256)
        if same_state(before, _state(first, key)):
            return
    raise StoreUnavailable(f"{key} keeps changing while it is copied to the second store")


def lock_alike(first: ObjectStore, second: ObjectStore, stat: ObjectStat) -> None:
    """Lock a key in the second store as long as its newest state in the first."""
    until = first.retention(stat.version)
    if until is None:
        return
    there = second.stat(stat.key).version
    locked = second.retention(there)
    if locked is None or locked < until:
        second.retain_until(there, until)


def _copy(first: ObjectStore, second: ObjectStore, stat: ObjectStat, sha256: str | None) -> None:
    try:
        mine = digests(first, stat.key)
    except ObjectMissing:  # deleted meanwhile: the caller looks again
        return
    if sha256 is not None and mine.sha256 != sha256:
        found = (mine.sha256, mine.size_bytes)
        raise DigestMismatch(mismatch(stat.key, found=found, sha256=sha256, size_bytes=mine.size_bytes))
    theirs = _what(second, stat.key)
    if theirs is None and not _is_there(second, stat.key):
        copy_through(first, stat.key, second, stat.key, sha256=mine.sha256)
    elif theirs != mine:
        with io.BufferedReader(PieceReader(first.read(stat.key))) as source:
            second.repair(stat.key, source, sha256=mine.sha256, size_bytes=mine.size_bytes)
    lock_alike(first, second, stat)


def _drop(first: ObjectStore, second: ObjectStore, key: str) -> None:
    """Take a key away; with all its versions where the first store keeps none of them either."""
    if any(stat.key == key and not stat.is_delete_marker for stat in first.list_versions(key)):
        second.delete(key)
        return
    for stat in [stat for stat in second.list_versions(key) if stat.key == key]:
        second.delete(key, version=stat.version)


def _what(store: ObjectStore, key: str) -> Digests | None:
    try:
        return digests(store, key)
    except (ObjectMissing, DigestMismatch):
        return None


def _is_there(store: ObjectStore, key: str) -> bool:
    try:
        store.stat(key)
    except ObjectMissing:
        return False
    return True


def _state(store: ObjectStore, key: str) -> ObjectStat | None:
    try:
        return store.stat(key)
    except ObjectMissing:
        return None


def same_state(one: ObjectStat | None, other: ObjectStat | None) -> bool:
    """Return whether a key was not written between two looks at it."""
    return (one and one.version) == (other and other.version)
