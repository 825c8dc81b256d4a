"""Quarantine: what could not be understood is kept, with the reason, and shown in the work-list.

``quarantine/<2 hex>/<sha256>`` holds the bytes, ``quarantine/<2 hex>/<sha256>.json``
the note beside them. Both are put once: the same bytes coming again change nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter

from archive.facts.receipts import Source
from ingest.dataset.names import Names
from ingest.spool.arrival import Arrival, Refusal
from storage.base import LinksFiles, ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken

NOTE_FORMAT: Final = "lastgate/quarantine/1"
_FOLDER: Final = "quarantine/"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineNote:
    """Why bytes lie in quarantine.

    Parameters
    ----------
    sha256, size_bytes
        Digest (hex) and length of the bytes.
    reason, message, hint
        Stable code, what is wrong, and what to do about it.
    received_at, source
        When and from whom they came first.
    names
        UIDs and patient identifier as far as they could be read; never to be trusted.
    transfer_syntax_uid
        As announced.
    """

    format: Literal["lastgate/quarantine/1"] = NOTE_FORMAT
    sha256: str
    size_bytes: int
    reason: str
    message: str
    hint: str
    received_at: datetime
    source: Source
    names: Names
    transfer_syntax_uid: str = ""

    @property
    def key(self) -> str:
        """Where the bytes lie."""
        return f"{_FOLDER}{self.sha256[:2]}/{self.sha256}"


_NOTE: Final = TypeAdapter(QuarantineNote)


class Quarantine:
    """Puts things into quarantine and lists what is there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, path: Path, arrival: Arrival, refusal: Refusal) -> QuarantineNote:
        """Keep the bytes of `path` with the reason; returns the note that stands, the first one for these bytes."""
        note = QuarantineNote(
            sha256=arrival.file_sha256,
            size_bytes=arrival.size_bytes,
            reason=refusal.code,
            message=refusal.message,
            hint=refusal.hint,
            received_at=arrival.received_at,
            source=arrival.source,
            names=arrival.names,
            transfer_syntax_uid=arrival.transfer_syntax_uid,
        )
        put_file(self._store, path, note.key, sha256=note.sha256, size_bytes=note.size_bytes)
        body = _NOTE.dump_json(note, indent=1) + b"\n"
        try:
            put_document(self._store, f"{note.key}.json", body)
        except KeyTaken:
            return self.read(note.sha256)
        return note

    def read(self, sha256: str) -> QuarantineNote:
        """Return the note on the bytes with this digest; raises `ObjectMissing`."""
        return _NOTE.validate_json(self._store.read_bytes(f"{_FOLDER}{sha256[:2]}/{sha256}.json"))

    def remove(self, note: QuarantineNote) -> None:
        """Take out what was filed after all; its bytes lie in the archive under the same digest."""
        for key in (f"{note.key}.json", note.key):
            self._store.delete(key)

    def list(self) -> Iterator[QuarantineNote]:
        """Yield the notes on everything in quarantine, in order of digest."""
        for stat in self._store.list(_FOLDER):
            if stat.key.endswith(".json"):
                yield _NOTE.validate_json(self._store.read_bytes(stat.key))


def put_file(store: ObjectStore, path: Path, key: str, *, sha256: str, size_bytes: int) -> None:
    """Put the bytes of a file of the spool into the store, linked where store and spool share a disk."""
    if isinstance(store, LinksFiles):
        store.link_if_absent(path, key, sha256=sha256, size_bytes=size_bytes)
        return
    with path.open("rb") as stream:
        store.put_if_absent(key, stream, sha256=sha256, size_bytes=size_bytes)
