"""The embedded index: one SQLite file, one writing process, any number of readers.

Documents lie in one table, their terms as (field, value, document) in
another. Everything is found by looking terms up or walking a range of them;
there is no full-text search and no score. A rebuild fills the tables of the
next generation and switches in one transaction, so readers in other processes
change over between two questions and a crash leaves the old index answering.

The file lies on a local disk: WAL needs memory shared by all its processes.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from search.base import INDEX_FORMAT, Hit, Page, PatientVersions, Rebuild, Stored
from search.conditions import EVERYTHING, Condition, holds
from search.documents import Document
from search.errors import (
    IndexDamaged,
    IndexOutdated,
    IndexRefused,
    IndexTooNew,
    IndexUnavailable,
    RebuildSuperseded,
)
from search.kinds import Kind
from search.query import Query, condition, decode_cursor, encode_cursor
from search.sqlite_conditions import planned
from search.sqlite_tables import (
    CREATE_GENERATION,
    DROP_GENERATION,
    Row,
    State,
    create,
    in_generation,
    put,
    run,
    set_state,
    unpacked,
)

_GET: Final = "SELECT id, kind, patient, version, body FROM documents_N WHERE id = ? AND alive = 1"
_FETCH: Final = """
    SELECT id, kind, patient, version, body FROM documents_N
    WHERE id IN (SELECT value FROM json_each(?)) AND alive = 1
"""
_COUNT: Final = "SELECT count(*) FROM documents_N WHERE kind = ? AND alive = 1"
_COUNT_ALL: Final = "SELECT count(*) FROM documents_N"
_OF_PATIENT: Final = "SELECT id, kind, version, alive FROM documents_N WHERE patient = ? ORDER BY id"
_SEARCH: Final = "SELECT id, kind, patient, version, body, ORDER_KEY FROM documents_N d WHERE "
_COUNT_FOUND: Final = "SELECT count(*) FROM documents_N d WHERE "
# Few hits are fetched one by one and sorted; many are met by walking documents in order until the page is full.
# The sign + keeps SQLite from the latter, which it can't judge: it does not count before it chooses.
_ORDERED_KIND: Final = "kind = ? AND alive = 1 AND "
_UNORDERED_KIND: Final = "+kind = ? AND alive = 1 AND "
_NARROW_REST: Final = "{} AND rest_fits(d.fields)"
_WIDE_REST: Final = "CASE WHEN {} THEN rest_fits(d.fields) ELSE 0 END"  # the order in which AND is tested is SQLite's
_COUNT_ROWS: Final = "SELECT count(*) FROM"
_PATIENTS: Final = """
    SELECT patient, min(CASE WHEN alive = 1 THEN version END), max(version) FROM documents_N
    WHERE patient > ? GROUP BY patient ORDER BY patient LIMIT ?
"""
_PATIENTS_AT_ONCE: Final = 1000
_NOTHING_BUILDING: Final = {"building": 0, "building_format": 0}


class SqliteEngine:
    """The embedded `search.base.Engine`. Safe for several threads and for readers in other processes.

    Parameters
    ----------
    path
        The index file; it is made when it is missing, and made anew if somebody deletes it meanwhile.
    read_only
        Never writes, and raises `IndexUnavailable` while there is no file.
    busy_timeout_s
        How long another process may hold the file before `IndexUnavailable` is raised.
    """

    def __init__(self, path: Path, *, read_only: bool = False, busy_timeout_s: float = 30.0) -> None:
        self._path = path
        self._read_only = read_only
        self._busy_timeout_s = busy_timeout_s
        self._guard = threading.Lock()
        self._idle: list[tuple[tuple[int, int], sqlite3.Connection]] = []
        self._writing = threading.RLock()
        self._is_closed = False

    def put(self, documents: Iterable[Document]) -> None:
        """Write all documents or none; see `search.base.Engine.put`."""
        rows = [Row.of(document) for document in documents]
        with self._write() as (connection, state):
            if not state.written:
                self._refuse_outdated(state)
            for generation in state.written:
                put(connection, generation, rows)

    def search(self, query: Query) -> Page:
        """Return one page of hits."""
        asked, after, key = condition(query), decode_cursor(query), f"order_{query.order.value}"
        with self._read() as (connection, state):
            plan = planned(asked, partial(_met, connection, state.live))
            fits, values = plan.statement, plan.values
            if plan.rest != EVERYTHING:
                connection.create_function("rest_fits", 1, partial(_rest_fits, plan.rest), deterministic=True)
                fits = (_NARROW_REST if plan.is_narrow else _WIDE_REST).format(fits)
            page = f"{fits} AND ({key}, id) > (?, ?)" if after else fits
            page += f" ORDER BY {key}, id LIMIT ?"
            kind = _UNORDERED_KIND if plan.is_narrow else _ORDERED_KIND
            rows = connection.execute(
                in_generation(state.live, _SEARCH.replace("ORDER_KEY", key) + kind + page),
                (query.kind, *values, *(after or ()), query.limit + 1),
            ).fetchall()
            total = None
            if query.with_total:
                counted = connection.execute(
                    in_generation(state.live, _COUNT_FOUND + kind + fits), (query.kind, *values)
                )
                total = int(counted.fetchone()[0])
        shown = rows[: query.limit]
        cursor = encode_cursor(query, shown[-1][5], shown[-1][0]) if len(rows) > query.limit else None
        return Page(hits=tuple(_hit(row) for row in shown), next_cursor=cursor, total=total)

    def get(self, document_id: str) -> Hit | None:
        """Return one living document."""
        with self._read() as (connection, state):
            row = connection.execute(in_generation(state.live, _GET), (document_id,)).fetchone()
        return _hit(row) if row else None

    def fetch(self, document_ids: Sequence[str]) -> dict[str, Hit]:
        """Return living documents by id."""
        with self._read() as (connection, state):
            rows = connection.execute(in_generation(state.live, _FETCH), (json.dumps(list(document_ids)),)).fetchall()
        return {row[0]: _hit(row) for row in rows}

    def count(self, kind: Kind) -> int:
        """Return the number of living documents of a kind."""
        with self._read() as (connection, state):
            return int(connection.execute(in_generation(state.live, _COUNT), (kind,)).fetchone()[0])

    def documents_of(self, patient_key: str) -> tuple[Stored, ...]:
        """Return all that is held of a patient."""
        with self._read() as (connection, state):
            rows = connection.execute(in_generation(state.live, _OF_PATIENT), (patient_key,)).fetchall()
        return tuple(
            Stored(id=id_, kind=Kind(kind), version=version, is_tombstone=not alive)
            for id_, kind, version, alive in rows
        )

    def patients(self) -> Iterator[PatientVersions]:
        """Yield every patient with a document."""
        last = ""
        while True:
            with self._read() as (connection, state):
                rows = connection.execute(in_generation(state.live, _PATIENTS), (last, _PATIENTS_AT_ONCE)).fetchall()
            for key, oldest, newest in rows:
                yield PatientVersions(patient_key=key, oldest_living=oldest, newest=newest)
            if len(rows) < _PATIENTS_AT_ONCE:
                return
            last = rows[-1][0]

    def begin_rebuild(self) -> Rebuild:
        """Start the next generation; one that was left behind unfinished is dropped."""
        with self._write() as (connection, state):
            if state.building:
                run(connection, state.building, DROP_GENERATION)
            generation = state.newest + 1
            run(connection, generation, CREATE_GENERATION)
            set_state(connection, {"building": generation, "building_format": INDEX_FORMAT, "newest": generation})
        return _SqliteRebuild(self, generation)

    def check(self) -> None:
        """Return if the index can be read; cheap, it does not look at every page."""
        with self._read():
            pass

    def refresh(self) -> None:
        """Return at once: what is put is seen by every later search."""

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    @contextmanager
    def _read(self) -> Iterator[tuple[sqlite3.Connection, State]]:
        with self._lease() as connection:
            connection.execute("BEGIN")
            state = self._state(connection)
            if state.live_format < INDEX_FORMAT:
                self._refuse_outdated(state)
            yield connection, state
            connection.execute("COMMIT")

    @contextmanager
    def _write(self) -> Iterator[tuple[sqlite3.Connection, State]]:
        if self._read_only:
            raise IndexRefused(f"The index {self._path} was opened for reading only.")
        with self._writing, self._lease() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection, self._state(connection)
            connection.execute("COMMIT")

    def _refuse_outdated(self, state: State) -> NoReturn:
        raise IndexOutdated(
            f"The index {self._path} has format {state.live_format}; this program reads and writes {INDEX_FORMAT}."
        )

    def _state(self, connection: sqlite3.Connection) -> State:
        known = dict(connection.execute("SELECT key, value FROM meta"))
        try:
            state = State(**{field.name: int(known[field.name]) for field in fields(State)})
        except (KeyError, ValueError) as error:
            raise IndexDamaged(f"{self._path} does not say which index it holds.") from error
        newest = max(state.live_format, state.building_format)
        if newest > INDEX_FORMAT:
            raise IndexTooNew(f"The index {self._path} has format {newest}; this program knows {INDEX_FORMAT}.")
        return state

    @contextmanager
    def _lease(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that no other thread uses; after an error it is closed, which rolls back."""
        with _translated(self._path):
            identity, connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            with self._guard:
                if not self._is_closed:
                    self._idle.append((identity, connection))
                    return
            connection.close()

    def _take(self) -> tuple[tuple[int, int], sqlite3.Connection]:
        current = self._identity()
        with self._guard:
            if self._is_closed:
                raise IndexUnavailable(f"The index {self._path} was closed.")
            usable = [entry for entry in self._idle if entry[0] == current]
            stale = [entry for entry in self._idle if entry[0] != current]
            self._idle = usable[:-1]
        for _, connection in stale:  # somebody deleted the file, and it may have been made anew
            connection.close()
        if usable:
            return usable[-1]
        connection = self._open()
        return self._identity() or (0, 0), connection

    def _identity(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            status = self._path.stat()
            return status.st_dev, status.st_ino
        return None

    def _open(self) -> sqlite3.Connection:
        if self._read_only and not self._path.is_file():
            raise IndexUnavailable(f"There is no index at {self._path} yet.")
        if not self._read_only:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={'ro' if self._read_only else 'rwc'}",
            uri=True, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        try:
            if not self._read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA cache_size = -65536")  # KiB: terms are written all over the tree
                connection.execute("PRAGMA synchronous = FULL")  # a fold reported as done stays found
                create(connection)
        except BaseException:
            connection.close()
            raise
        return connection


class _SqliteRebuild:
    """The generation under construction."""

    def __init__(self, engine: SqliteEngine, generation: int) -> None:
        self._engine = engine
        self._generation = generation
        self._created = 0

    def put(self, documents: Iterable[Document]) -> None:
        """Write documents into the new generation only."""
        rows = [Row.of(document) for document in documents]
        with self._mine() as (connection, _):
            self._created += put(connection, self._generation, rows)

    def finish(self) -> int:
        """Switch to the new generation and drop the old one in one transaction."""
        with self._mine() as (connection, state):
            held = int(connection.execute(in_generation(self._generation, _COUNT_ALL)).fetchone()[0])
            if held < self._created:
                raise IndexRefused(f"The new index holds {held} of {self._created} documents; the old one stays.")
            set_state(connection, {"live": self._generation, "live_format": INDEX_FORMAT, **_NOTHING_BUILDING})
            run(connection, state.live, DROP_GENERATION)
        return held

    def abandon(self) -> None:
        """Drop the new generation if it is still there."""
        with suppress(RebuildSuperseded), self._mine() as (connection, _):
            run(connection, self._generation, DROP_GENERATION)
            set_state(connection, _NOTHING_BUILDING)

    @contextmanager
    def _mine(self) -> Iterator[tuple[sqlite3.Connection, State]]:
        with self._engine._write() as (connection, state):
            if state.building != self._generation:
                raise RebuildSuperseded("Another rebuild began, or this one ended: its index is gone.")
            yield connection, state


def _met(connection: sqlite3.Connection, generation: int, statement: str, values: list[str], most: int) -> int:
    """Return how many terms a lookup meets, `most` if there are more."""
    few = in_generation(generation, f"{_COUNT_ROWS} ({statement} LIMIT ?)")
    return int(connection.execute(few, (*values, most)).fetchone()[0])


def _rest_fits(rest: Condition, packed: bytes) -> bool:
    return holds(rest, unpacked(packed))


def _hit(row: tuple[Any, ...]) -> Hit:
    return Hit(id=row[0], kind=Kind(row[1]), patient_key=row[2], version=row[3], body=json.loads(row[4]))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours; a mistake in a statement stays what it is."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise IndexDamaged(f"The index {path} can't be read: {error}") from error
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            raise IndexRefused(f"The index {path} can't be written: {error}") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            raise IndexUnavailable(f"The index {path} is busy or can't be reached: {error}") from error
        raise
