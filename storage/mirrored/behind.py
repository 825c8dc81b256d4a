"""What the second store still lacks: notes in the first, so that they outlive this machine."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from storage.base import ObjectStore, Version
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing

FORMAT: Final = "lastgate/behind/1"
FOLDER: Final = "behind/"
"""All notes lie below it, and never in a second store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One key that is not in the second store as it is in the first.

    Parameters
    ----------
    sha256
        SHA-256 (hex) of the bytes that were to be stored; None where a small document was replaced or deleted.
    version
        Of the note itself.
    """

    key: str
    sha256: str | None
    version: Version


class Behind:
    """The notes of one pair of stores.

    Parameters
    ----------
    store
        Where they lie; never the second store itself.
    prefix
        Such as ``behind/w/``, with a slash at its end; no other pair uses it.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self.prefix = prefix

    def note(self, key: str, *, sha256: str | None = None) -> None:
        """Remember that the second store lacks the newest state of `key`; durable on return."""
        body = json.dumps({"format": FORMAT, "key": key, "sha256": sha256}, indent=1).encode() + b"\n"
        with suppress(KeyTaken):  # it is noted already
            put_document(self._store, self._name(key), body)

    def holds(self, key: str) -> bool:
        """Return whether there is a note about `key`."""
        try:
            self._store.stat(self._name(key))
        except ObjectMissing:
            return False
        return True

    def forget(self, key: str) -> None:
        """Remove the note about `key`."""
        self._store.delete(self._name(key))

    def all(self) -> Iterator[Note]:
        """Yield all notes."""
        for stat in self._store.list(self.prefix):
            try:
                told = json.loads(self._store.read_bytes(stat.key))
            except ObjectMissing:  # somebody else caught up with it
                continue
            yield Note(key=told["key"], sha256=told["sha256"], version=stat.version)

    def count(self) -> int:
        """Return how many keys are behind."""
        return sum(1 for _ in self._store.list(self.prefix))

    def _name(self, key: str) -> str:
        return f"{self.prefix}{hashlib.sha256(key.encode()).hexdigest()}.json"
