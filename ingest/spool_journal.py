"""The journal of one spool folder: a SQLite file that says what was acknowledged and what was filed.

WAL with synchronous=FULL lost nothing in power cuts; every other mode did.
One committing thread gathers all rows that wait into one transaction (group
commit): several writers on one file starve each other for seconds.
"""

import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ingest.arrival import ARRIVAL, OUTCOME, Arrival, Held, Outcome
from ingest.errors import SpoolFailed, SpoolFull

_SCHEMA = """
CREATE TABLE IF NOT EXISTS arrival (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    outcome TEXT,
    filed_at TEXT
);
CREATE INDEX IF NOT EXISTS arrival_pending ON arrival (number) WHERE outcome IS NULL;
"""
_WAIT_S = 30.0
_PAGE = 500


class SpoolJournal:
    """Rows of one spool folder; each call opens, works and leaves no lock behind.

    Parameters
    ----------
    path
        The SQLite file; made if it is missing.
    held
        The folder of the files the rows name.
    """

    def __init__(self, path: Path, *, held: Path) -> None:
        self._path = path
        self._held = held
        with self._connected() as connection:
            connection.executescript(_SCHEMA)

    def names(self) -> set[str]:
        """Return the names of all files the journal knows."""
        with self._connected() as connection:
            return {row[0] for row in connection.execute("SELECT name FROM arrival")}

    def pending(self, *, after: int = 0, limit: int = _PAGE) -> list[Held]:
        """Return up to `limit` arrivals that are not filed, in order of arrival, beyond number `after`."""
        query = "SELECT number, name, body FROM arrival WHERE outcome IS NULL AND number > ? ORDER BY number LIMIT ?"
        with self._connected() as connection:
            rows = connection.execute(query, (after, limit)).fetchall()
        return [
            Held(number=number, path=self._held / name, arrival=ARRIVAL.validate_json(body))
            for number, name, body in rows
        ]

    def outcomes(self, numbers: Sequence[int]) -> dict[int, Outcome]:
        """Return what became of these arrivals, as far as it is settled."""
        found: dict[int, Outcome] = {}
        with self._connected() as connection:
            for start in range(0, len(numbers), _PAGE):
                page = numbers[start : start + _PAGE]
                marks = ",".join("?" * len(page))
                query = f"SELECT number, outcome FROM arrival WHERE outcome IS NOT NULL AND number IN ({marks})"  # noqa: S608 - marks only
                found |= {number: OUTCOME.validate_json(text) for number, text in connection.execute(query, page)}
        return found

    def settle(self, outcomes: Sequence[tuple[int, Outcome]], *, at: datetime) -> None:
        """Record what became of arrivals."""
        rows = [(OUTCOME.dump_json(outcome).decode(), at.isoformat(), number) for number, outcome in outcomes]
        with self._connected() as connection:
            connection.executemany("UPDATE arrival SET outcome = ?, filed_at = ? WHERE number = ?", rows)
            connection.commit()

    def settled(self, *, before: datetime) -> list[tuple[int, Path]]:
        """Return the arrivals whose outcome was recorded before `before`."""
        query = "SELECT number, name FROM arrival WHERE outcome IS NOT NULL AND filed_at < ? ORDER BY number"
        with self._connected() as connection:
            rows = connection.execute(query, (before.isoformat(),)).fetchall()
        return [(number, self._held / name) for number, name in rows]

    def forget(self, numbers: Sequence[int]) -> None:
        """Remove rows whose files are gone."""
        with self._connected() as connection:
            connection.executemany("DELETE FROM arrival WHERE number = ?", [(number,) for number in numbers])
            connection.commit()

    def add(self, rows: Sequence[tuple[str, Arrival]]) -> list[int]:
        """Add rows in one transaction and return their numbers; durable when it returns."""
        with self._connected() as connection:
            numbers = [_insert(connection, name, arrival) for name, arrival in rows]
            connection.commit()
        return numbers

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = connect(self._path)
        try:
            yield connection
        finally:
            connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open the SQLite file in the one mode that keeps its word through a power cut."""
    connection = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _insert(connection: sqlite3.Connection, name: str, arrival: Arrival) -> int:
    text = ARRIVAL.dump_json(arrival, exclude_defaults=True).decode()
    number = connection.execute("INSERT INTO arrival (name, body) VALUES (?, ?)", (name, text)).lastrowid
    assert number is not None
    return number


class GroupCommit:
    """The committing thread of one spool: callers wait until their row is durable, and share transactions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: queue.SimpleQueue[tuple[str, Arrival, Future[int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spool-commit", daemon=True)
        self._thread.start()

    def commit(self, name: str, arrival: Arrival) -> int:
        """Add a row and return its number; the row survives a power cut when this returns.

        Raises
        ------
        SpoolFull, SpoolFailed
            The row is not there.
        """
        done: Future[int] = Future()
        self._waiting.put((name, arrival, done))
        return done.result()

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection = connect(self._path)
        try:
            going = True
            while going:
                first = self._waiting.get()
                batch = [] if first is None else [first]
                going = first is not None
                while going and not self._waiting.empty():
                    more = self._waiting.get()
                    if more is None:
                        going = False
                    else:
                        batch.append(more)
                if batch:
                    self._commit(connection, batch)
        finally:
            connection.close()

    @staticmethod
    def _commit(connection: sqlite3.Connection, batch: list[tuple[str, Arrival, "Future[int]"]]) -> None:
        try:
            numbers = [_insert(connection, name, arrival) for name, arrival, _ in batch]
            connection.commit()
        except sqlite3.Error as error:
            failure = _translated(error)
            failure.__cause__ = error
            for _, _, done in batch:
                done.set_exception(failure)
            if connection.in_transaction:
                connection.rollback()
            return
        for (_, _, done), number in zip(batch, numbers, strict=True):
            done.set_result(number)


def _translated(error: sqlite3.Error) -> SpoolFull | SpoolFailed:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return SpoolFull("The spool's disk is full: the journal row could not be written")
    return SpoolFailed(f"The spool's journal could not be written: {error}")
