"""Notices that peers are still to be given, one for each object of receipts: ``site/availability/``."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import TypeAdapter

from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing

_FOLDER: Final = "site/availability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a peer is to be told.

    Parameters
    ----------
    peer
        Title of the peer.
    receipts
        Key of the receipts of what was filed.
    filed_at
        When; aware UTC.
    """

    format: Literal["lastgate/availability/1"] = "lastgate/availability/1"
    peer: str
    receipts: str
    filed_at: datetime

    @property
    def key(self) -> str:
        """Where it lies."""
        digest = hashlib.sha256(f"{self.peer}\0{self.receipts}".encode()).hexdigest()
        return f"{_FOLDER}/{digest}.json"


_NOTICE: Final = TypeAdapter(Notice)


class Notices:
    """Keeps notices until they are given.

    Parameters
    ----------
    store
        Where ``site/`` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def add(self, notice: Notice) -> None:
        """Keep a notice; it is durable when this returns."""
        body = _NOTICE.dump_json(notice) + b"\n"
        try:
            put_document(self._store, notice.key, body)
        except KeyTaken:
            return  # it waits already

    def waiting(self) -> Iterator[Notice]:
        """Yield all notices that are not given yet."""
        for stat in self._store.list(f"{_FOLDER}/"):
            try:
                yield _NOTICE.validate_json(self._store.read_bytes(stat.key))
            except ObjectMissing:
                continue

    def remove(self, notice: Notice) -> None:
        """Let go of a notice that was given."""
        self._store.delete(notice.key)
