"""The tables of the embedded index and how a document is written into them.

A *generation* is a pair of tables; in the statements ``_N`` stands for its number.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from search.base import INDEX_FORMAT
from search.documents import Document, body_text

CREATE_GENERATION: Final = (
    """
    CREATE TABLE documents_N (
        doc INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, patient TEXT NOT NULL,
        version INTEGER NOT NULL, alive INTEGER NOT NULL, order_0 TEXT NOT NULL, order_1 TEXT NOT NULL,
        fields BLOB NOT NULL, body TEXT NOT NULL, digest BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE terms_N (
        field TEXT NOT NULL, value TEXT NOT NULL, doc INTEGER NOT NULL, PRIMARY KEY (field, value, doc)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX order_0_N ON documents_N (kind, order_0, id) WHERE alive = 1",
    "CREATE INDEX order_1_N ON documents_N (kind, order_1, id) WHERE alive = 1",
    "CREATE INDEX patient_N ON documents_N (patient, id, kind, version, alive)",
)
DROP_GENERATION: Final = ("DROP TABLE IF EXISTS terms_N", "DROP TABLE IF EXISTS documents_N")
_FIND: Final = "SELECT doc, version, alive, digest FROM documents_N WHERE id = ?"
_FIELDS: Final = "SELECT fields FROM documents_N WHERE doc = ?"
_TOUCH: Final = "UPDATE documents_N SET version = ? WHERE doc = ?"
_INSERT: Final = """
    INSERT INTO documents_N (kind, patient, version, alive, order_0, order_1, fields, body, digest, id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE: Final = """
    UPDATE documents_N SET kind = ?, patient = ?, version = ?, alive = ?, order_0 = ?, order_1 = ?, fields = ?,
        body = ?, digest = ?
    WHERE id = ?
"""
_ADD_TERM: Final = "INSERT INTO terms_N (field, value, doc) VALUES (?, ?, ?)"
_DROP_TERM: Final = "DELETE FROM terms_N WHERE field = ? AND value = ? AND doc = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the file says of itself.

    Parameters
    ----------
    live, live_format
        The generation that answers and the format it was written in.
    building, building_format
        The generation under construction; 0 if there is none.
    newest
        Number of the generation begun last: numbers never come again.
    """

    live: int
    live_format: int
    building: int
    building_format: int
    newest: int

    @property
    def written(self) -> tuple[int, ...]:
        """The generations every put goes to: those of this program's format."""
        both = ((self.live, self.live_format), (self.building, self.building_format))
        return tuple(generation for generation, written in both if written == INDEX_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A document as it is stored.

    Parameters
    ----------
    digest
        Of all it says but for its version: most documents of a patient say the same in the next fold.
    """

    document: Document
    fields: str
    body: str
    digest: bytes

    @classmethod
    def of(cls, document: Document) -> "Row":
        fields = json.dumps(
            {field: sorted(set(values)) for field, values in sorted(document.fields.items())}, ensure_ascii=False
        )
        body = body_text(document)
        said = (document.kind, document.patient_key, str(document.tombstone), *document.sort, fields, body)
        return cls(
            document=document, fields=fields, body=body,
            digest=blake2b("\0".join(said).encode("utf-8"), digest_size=16).digest(),
        )  # fmt: skip

    @property
    def terms(self) -> frozenset[tuple[str, str]]:
        return _terms(self.document.fields)

    @property
    def columns(self) -> tuple[Any, ...]:
        told = self.document
        return (
            told.kind, told.patient_key, told.version, int(not told.tombstone), *told.sort,
            zlib.compress(self.fields.encode()), self.body, self.digest, told.id,
        )  # fmt: skip


def _terms(fields: Mapping[str, Iterable[str]]) -> frozenset[tuple[str, str]]:
    return frozenset((field, value) for field, values in fields.items() for value in values)


def put(connection: sqlite3.Connection, generation: int, rows: Iterable[Row]) -> int:
    """Write rows into one generation by the rules of `Engine.put`; return how many are new."""
    created = 0
    for row in rows:
        found = connection.execute(in_generation(generation, _FIND), (row.document.id,)).fetchone()
        if found is None:
            doc = connection.execute(in_generation(generation, _INSERT), row.columns).lastrowid
            connection.executemany(in_generation(generation, _ADD_TERM), ((*term, doc) for term in row.terms))
            created += 1
        else:
            _replace(connection, generation, row, found)
    return created


def _replace(connection: sqlite3.Connection, generation: int, row: Row, found: tuple[int, int, int, bytes]) -> None:
    doc, version, alive, digest = found
    told = row.document
    if version > told.version or (version == told.version and alive and told.tombstone):
        return
    if digest == row.digest:
        if version < told.version:
            connection.execute(in_generation(generation, _TOUCH), (told.version, doc))
        return
    (packed,) = connection.execute(in_generation(generation, _FIELDS), (doc,)).fetchone()
    before, now = _terms(unpacked(packed)), row.terms
    connection.execute(in_generation(generation, _UPDATE), row.columns)
    # only what changed is touched: a series keeps hundreds of UIDs through most folds
    connection.executemany(in_generation(generation, _DROP_TERM), ((*term, doc) for term in before - now))
    connection.executemany(in_generation(generation, _ADD_TERM), ((*term, doc) for term in now - before))


def unpacked(packed: bytes) -> dict[str, list[str]]:
    """Return the fields of a document as they were stored."""
    fields: dict[str, list[str]] = json.loads(zlib.decompress(packed).decode())
    return fields


def in_generation(generation: int, statement: str) -> str:
    return statement.replace("_N", f"_{generation:d}")


def run(connection: sqlite3.Connection, generation: int, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(in_generation(generation, statement))


def set_state(connection: sqlite3.Connection, values: Mapping[str, int]) -> None:
    connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values.items())


def create(connection: sqlite3.Connection) -> None:
    """Make the first generation in a file that holds nothing yet."""
    if _has_meta(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    if not _has_meta(connection):  # another process may have been quicker
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
        run(connection, 1, CREATE_GENERATION)
        set_state(
            connection, {"live": 1, "live_format": INDEX_FORMAT, "building": 0, "building_format": 0, "newest": 1}
        )
    connection.execute("COMMIT")


def _has_meta(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is not None
