"""What every store has to prove on the running machine before this program relies on it."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager

from storage.base import ObjectStore
from storage.errors import DigestMismatch, KeyTaken, Replaced, StorageError, StoreUnavailable, StoreUnfit
from storage.reading import read_back

FIRST = b"the first bytes under this key\n"
OTHER = b"other bytes, which must be refused\n"


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data`, hex."""
    return hashlib.sha256(data).hexdigest()


def prove_port(store: ObjectStore, folder: str) -> None:
    """Prove the promises of the port with small objects below the key `folder`, and remove them again.

    Raises
    ------
    StoreUnfit
        A promise does not hold; the message names it.
    StoreUnavailable
        The store could not be reached.
    """
    try:
        prove_put(store, f"{folder}/put")
        prove_replace(store, f"{folder}/replaced")
        prove_copy(store, f"{folder}/put", f"{folder}/copied")
    finally:
        with step("what was written can be deleted again"):
            for stat in list(store.list_versions(f"{folder}/")):
                store.delete(stat.key, version=stat.version)


@contextmanager
def step(promise: str) -> Iterator[None]:
    """Turn any storage error inside the block, but for an unreachable store, into `StoreUnfit` naming `promise`."""
    try:
        yield
    except (StoreUnavailable, StoreUnfit):
        raise
    except StorageError as error:
        raise StoreUnfit(f"The store failed its self-test: {promise}; instead: {error}") from error


def demand(holds: bool, promise: str) -> None:
    """Raise `StoreUnfit` naming `promise` if it does not hold."""
    if not holds:
        raise StoreUnfit(f"The store failed its self-test: {promise}.")


def prove_put(store: ObjectStore, key: str) -> None:
    """Prove that bytes come back as they were put, and that other bytes never get under the same key."""
    size = len(FIRST)
    with step("bytes can be put and read back"):
        version = store.put_if_absent(key, io.BytesIO(FIRST), sha256=digest(FIRST), size_bytes=size)
        read_back(store, key, sha256=digest(FIRST), size_bytes=size, version=version)
        demand(b"".join(store.read(key, start=4, stop=9)) == FIRST[4:9], "a range of bytes can be read")
        demand([stat.key for stat in store.list(key)] == [key], "a listing shows what was put")
    with step("the same bytes may be put twice"):
        store.put_if_absent(key, io.BytesIO(FIRST), sha256=digest(FIRST), size_bytes=size)
    refused = False
    try:
        store.put_if_absent(key, io.BytesIO(OTHER), sha256=digest(OTHER), size_bytes=len(OTHER))
    except KeyTaken:
        refused = True
    demand(refused, "other bytes under a key that is taken are refused (If-None-Match)")
    refused = False
    try:
        store.put_if_absent(f"{key}-wrong", io.BytesIO(OTHER), sha256=digest(FIRST), size_bytes=len(OTHER))
    except DigestMismatch:
        refused = True
    demand(refused, "bytes with another digest than announced are refused")


def prove_replace(store: ObjectStore, key: str) -> None:
    """Prove that a small document is replaced only by one who has seen its newest state."""
    with step("a small document can be replaced"):
        first = store.replace_if_match(key, FIRST, expected=None)
        store.replace_if_match(key, OTHER, expected=first)
        demand(store.read_bytes(key) == OTHER, "a replaced document shows its new bytes")
    for expected in (first, None):
        refused = False
        try:
            store.replace_if_match(key, FIRST, expected=expected)
        except Replaced:
            refused = True
        demand(refused, "a replacement by one who saw an older state is refused (If-Match)")


def prove_copy(store: ObjectStore, source_key: str, key: str) -> None:
    """Prove that the store copies inside itself and never over other bytes."""
    with step("an object can be copied inside the store"):
        store.copy_if_absent(source_key, key, sha256=digest(FIRST))
        store.put_if_absent(f"{key}-other", io.BytesIO(OTHER), sha256=digest(OTHER), size_bytes=len(OTHER))
    refused = False
    try:
        store.copy_if_absent(f"{key}-other", key, sha256=digest(OTHER))
    except KeyTaken:
        refused = True
    demand(refused and store.read_bytes(key) == FIRST, "a copy over other bytes is refused")
