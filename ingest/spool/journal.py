"""The journal of one spool folder: a SQLite file that says what was acknowledged and what was filed.

WAL with synchronous=FULL lost nothing in power cuts; every other mode did.
The receiving threads share one connection and one transaction (group commit):
several writers on one file starve each other for seconds.

A small thing lies in the journal itself: its bytes and its row are durable by
one fsync that others share, where a file of its own would cost two more. A
longer one may lie in the log (`ingest.spool.log`), and the journal says where.
Who asks what is pending finds every thing as a file all the same; what has one
that is durable is struck from the log.
"""

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ingest.errors import SpoolFailed, SpoolFull
from ingest.spool.arrival import ARRIVAL, OUTCOME, Arrival, Held, Outcome
from ingest.spool.laying_out import decoded, encoded, lay_out, write_small
from ingest.spool.log import Extent, SpoolLog
from storage.durable import SyncFailed, sync_file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS arrival (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    outcome TEXT,
    filed_at TEXT
);
CREATE TABLE IF NOT EXISTS small (
    name TEXT PRIMARY KEY,
    content BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logged (
    name TEXT PRIMARY KEY,
    extents TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS arrival_pending ON arrival (number) WHERE outcome IS NULL;
"""
Content = bytes | tuple[Extent, ...] | None
"""What a new arrival is: its bytes, where they lie in the log, or nothing, since it has a file."""

_WAIT_S = 30.0
_PAGE = 500
_CHECKPOINT_PAGES = 4096
_PRIMARY_CODE = 0xFF


class Counts(NamedTuple):
    """How many arrivals of a folder wait, how many are settled and still held, and when the last of those was."""

    waiting: int
    held: int
    newest: datetime | None


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
        with self._connected() as connection:
            waiting = self._waiting(connection, after, limit)
            lay_out(connection, self._held, [held.path.name for held in waiting])
        return waiting

    def waiting(self, *, after: int = 0, limit: int = _PAGE) -> list[Held]:
        """Return what `pending` does, but not every path stands: for whoever asks only what there is."""
        with self._connected() as connection:
            return self._waiting(connection, after, limit)

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

    def mend(self) -> None:
        """Lay out anew what a power cut damaged or took of the files laid out; only for the owner of the folder."""
        with self._connected() as connection:
            for name, content in connection.execute("SELECT name, content FROM small"):
                path = self._held / name
                if not path.exists() or path.read_bytes() != content:
                    write_small(self._held, name, content)

    def logged_segments(self) -> set[int]:
        """Return the segments of the log that hold what has no file of its own yet."""
        with self._connected() as connection:
            return {
                one.segment for (text,) in connection.execute("SELECT extents FROM logged") for one in decoded(text)
            }

    def settled(self, *, before: datetime) -> list[tuple[int, Path]]:
        """Return the arrivals whose outcome was recorded before `before`."""
        query = "SELECT number, name FROM arrival WHERE outcome IS NOT NULL AND filed_at < ? ORDER BY number"
        with self._connected() as connection:
            rows = connection.execute(query, (before.isoformat(),)).fetchall()
        return [(number, self._held / name) for number, name in rows]

    def counts(self) -> Counts:
        """Return how many arrivals wait, how many are settled, and when the last of those was."""
        query = "SELECT outcome IS NULL, count(*), max(filed_at) FROM arrival GROUP BY 1"
        with self._connected() as connection:
            found = {bool(waits): (count, newest) for waits, count, newest in connection.execute(query)}
        held, newest = found.get(False, (0, None))
        waiting, _ = found.get(True, (0, None))
        return Counts(waiting=waiting, held=held, newest=datetime.fromisoformat(newest) if newest else None)

    def forget(self, numbers: Sequence[int]) -> None:
        """Remove rows whose files are gone."""
        with self._connected() as connection:
            rows = [(number,) for number in numbers]
            for table in ("small", "logged"):
                forgotten = f"DELETE FROM {table} WHERE name = (SELECT name FROM arrival WHERE number = ?)"  # noqa: S608
                connection.executemany(forgotten, rows)
            connection.executemany("DELETE FROM arrival WHERE number = ?", rows)
            connection.commit()

    def add(self, rows: Sequence[tuple[str, Arrival]]) -> list[int]:
        """Add rows in one transaction and return their numbers; durable when it returns."""
        with self._connected() as connection:
            numbers = [_insert(connection, name, _body(arrival)) for name, arrival in rows]
            connection.commit()
        return numbers

    def _waiting(self, connection: sqlite3.Connection, after: int, limit: int) -> list[Held]:
        query = "SELECT number, name, body FROM arrival WHERE outcome IS NULL AND number > ? ORDER BY number LIMIT ?"
        return [
            Held(number=number, path=self._held / name, arrival=ARRIVAL.validate_json(body))
            for number, name, body in connection.execute(query, (after, limit))
        ]

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
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        # SQLite does not let two that switch one new file wait for each other, and worker and filer may meet here.
        with path.with_suffix(".new.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _body(arrival: Arrival) -> str:
    return ARRIVAL.dump_json(arrival, exclude_defaults=True).decode()


def _insert(connection: sqlite3.Connection, name: str, body: str) -> int:
    number = connection.execute("INSERT INTO arrival (name, body) VALUES (?, ?)", (name, body)).lastrowid
    assert number is not None
    return number


class GroupCommit:
    """Makes arrivals durable, several at once where several wait.

    Whoever comes while a transaction is written waits for its end; the first of
    those then writes for all: one fsync of the folder, one transaction. Alone,
    nobody waits and nothing is handed to another thread.

    Parameters
    ----------
    path
        The SQLite file.
    held
        The folder of the files the rows name.
    log
        Where the bytes of some of them lie.
    """

    def __init__(self, path: Path, *, held: Path, log: SpoolLog) -> None:
        self._log = log
        self._turn = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._connection = connect(path)
        self._connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")  # the sender waits for each
        self._folder = os.open(held, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._is_open = True

    def commit(self, name: str, arrival: Arrival, content: Content = None) -> int:
        """Make an arrival durable and return its number.

        Parameters
        ----------
        name
            The name of its file in the folder, which is made durable too.
        content
            Its bytes, or where they lie in the log, where it has no file yet.

        Raises
        ------
        SpoolFull, SpoolFailed
            The row is not there.
        SyncFailed
            The folder could not be made durable.
        """
        mine = _Waiting(name, _body(arrival), content)
        self._waiting.append(mine)
        with self._turn:
            if mine.number is None and mine.failure is None:
                self._write(self._all_waiting())
        if mine.number is None:
            raise mine.failure or SpoolFailed("The one who wrote for all was interrupted")
        return mine.number

    def close(self) -> None:
        """Close the journal, after what is being written."""
        with self._turn:
            if self._is_open:
                self._is_open = False
                self._connection.close()
                os.close(self._folder)

    def _all_waiting(self) -> list["_Waiting"]:
        batch = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        return batch

    def _write(self, batch: list["_Waiting"]) -> None:
        try:
            if not self._is_open:
                raise SpoolFailed("The spool is closed")
            if any(one.content is None for one in batch):
                sync_file(self._folder)
            logged = [(one.name, one.content) for one in batch if isinstance(one.content, tuple)]
            self._log.sync(extent for _, extents in logged for extent in extents)
            numbers = [_insert(self._connection, one.name, one.body) for one in batch]
            small = [(one.name, one.content) for one in batch if isinstance(one.content, bytes)]
            self._connection.executemany("INSERT INTO small (name, content) VALUES (?, ?)", small)
            rows = [(name, encoded(extents)) for name, extents in logged]
            self._connection.executemany("INSERT INTO logged (name, extents) VALUES (?, ?)", rows)
            self._connection.commit()
        except (sqlite3.Error, OSError, SpoolFailed) as error:
            failure = _translated(error) if isinstance(error, sqlite3.Error) else error
            for one in batch:
                one.failure = failure
            if self._is_open and self._connection.in_transaction:
                self._connection.rollback()
            return
        for one, number in zip(batch, numbers, strict=True):
            one.number = number  # only now: whoever sees it answers that the row is durable


class _Waiting:
    """An arrival that waits to be made durable."""

    __slots__ = ("body", "content", "failure", "name", "number")

    def __init__(self, name: str, body: str, content: Content) -> None:
        self.name = name
        self.body = body
        self.content = content
        self.number: int | None = None
        self.failure: Exception | None = None


def _translated(error: sqlite3.Error) -> SpoolFull | SpoolFailed | SyncFailed:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    failure: SpoolFull | SpoolFailed | SyncFailed
    if code == sqlite3.SQLITE_FULL:
        failure = SpoolFull("The spool's disk is full: the journal row could not be written")
    elif code == sqlite3.SQLITE_IOERR:  # a failed fsync among them, after which no later one can be believed
        failure = SyncFailed(f"the journal could not be written: {error}")
    else:
        failure = SpoolFailed(f"The spool's journal could not be written: {error}")
    failure.__cause__ = error
    return failure
