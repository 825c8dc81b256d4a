"""Reading objects back: the only proof that they are whole.

A listing, a HEAD or an ETag proves nothing: after one flipped byte on disk
every server we tried still gave the old digest. Fixity means reading all bytes.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from storage.base import ObjectStore, Replicated, Version
from storage.errors import DigestMismatch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What the bytes of one object are: SHA-256 (hex), length, and SHA-512 (hex) where it was asked for."""

    sha256: str
    size_bytes: int
    sha512: str | None = None


@runtime_checkable
class DigestsInPlace(Protocol):
    """A store that takes the digests of its objects faster than by handing their bytes out."""

    def digests(self, key: str, *, long: bool = False) -> Digests:
        """See `digests`."""
        ...


def digests(store: ObjectStore, key: str, *, long: bool = False) -> Digests:
    """Read a whole object, from the disk itself where that can be had, and return what it is.

    Parameters
    ----------
    long
        Take the SHA-512 too, which costs twice the SHA-256.

    Raises
    ------
    ObjectMissing
        Nothing stands under `key`.
    DigestMismatch
        The store noticed by itself that the bytes are not those it was given.
    StoreUnavailable
        It could not be read to the end: this says nothing about the bytes.
    """
    if isinstance(store, DigestsInPlace):
        return store.digests(key, long=long)
    short, other, size = hashlib.sha256(), hashlib.sha512(), 0
    for piece in store.read(key):
        short.update(piece)
        if long:
            other.update(piece)
        size += len(piece)
    return Digests(sha256=short.hexdigest(), size_bytes=size, sha512=other.hexdigest() if long else None)


def replicas_of(store: ObjectStore) -> tuple[ObjectStore, ...]:
    """Return the stores that hold copies of the objects of `store`: itself, unless it is several."""
    return store.replicas if isinstance(store, Replicated) else (store,)


def read_back(store: ObjectStore, key: str, *, sha256: str, size_bytes: int, version: Version | None = None) -> str:
    """Read a whole object, prove that it is what was recorded, and return its SHA-512 (hex).

    Two independent digests for life: SHA-256 names the object, SHA-512 goes
    into the OCFL inventory (OCFL 1.1, 3.5.2).

    Parameters
    ----------
    store, key, version
        What to read; without `version` the newest state.
    sha256, size_bytes
        Recorded SHA-256 (hex) and length.

    Raises
    ------
    ObjectMissing
        Nothing stands under `key`.
    DigestMismatch
        The bytes are not those that were recorded.
    StoreUnavailable
        The store could not be read to the end: this says nothing about the bytes.
    """
    short, long = hashlib.sha256(), hashlib.sha512()
    size = 0
    for piece in store.read(key, version=version):
        short.update(piece)
        long.update(piece)
        size += len(piece)
    if size != size_bytes or short.hexdigest() != sha256:
        raise DigestMismatch(mismatch(key, found=(short.hexdigest(), size), sha256=sha256, size_bytes=size_bytes))
    return long.hexdigest()


def mismatch(name: str, *, found: tuple[str, int], sha256: str, size_bytes: int) -> str:
    """Say how the bytes of `name` differ from what was recorded; `found` is their SHA-256 (hex) and length."""
    if found[1] != size_bytes:
        return f"{name}: {found[1]} bytes were read, {size_bytes} are recorded"
    return f"{name}: the SHA-256 of the bytes is {found[0]}, recorded is {sha256}"


def copy_through(source: ObjectStore, source_key: str, target: ObjectStore, key: str, *, sha256: str) -> Version:
    """Copy an object between unlike stores, its bytes passing through here, and read the copy back.

    Raises
    ------
    ObjectMissing
        Nothing stands under `source_key`.
    KeyTaken
        Other bytes stand under `key`.
    DigestMismatch
        Source or copy does not have this digest.
    """
    size = source.stat(source_key).size_bytes
    with io.BufferedReader(PieceReader(source.read(source_key))) as pieces:
        version = target.put_if_absent(key, pieces, sha256=sha256, size_bytes=size)
    read_back(target, key, sha256=sha256, size_bytes=size, version=version)
    return version


class PieceReader(io.RawIOBase):
    """Pieces of bytes as a readable file; the iterator is closed with it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` from the pieces; 0 at their end."""
        view = memoryview(buffer).cast("B")
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Close the iterator, and with it the connection or file behind it."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        super().close()
