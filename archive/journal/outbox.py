"""The outbox of the journal: events of one node that are not chained yet, in a SQLite file on its own disk."""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

_WAIT_S: Final = 30.0
_TABLES: Final = (
    "events (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL)",
    "identity (epoch INTEGER NOT NULL)",
    "told (subject TEXT PRIMARY KEY, mark TEXT NOT NULL)",
    "owed (id INTEGER PRIMARY KEY AUTOINCREMENT, patient TEXT NOT NULL, decision INTEGER NOT NULL, "
    "signature TEXT NOT NULL, at TEXT NOT NULL, body TEXT)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An act that was begun: once its fact is stored, its event and its place in the index are owed.

    Parameters
    ----------
    id
        Names it to the outbox.
    patient, decision, signature
        Whose fact it is, under which number, and what tells it from another that got the number.
    at
        When it was begun, aware UTC.
    """

    id: int
    patient: str
    decision: int
    signature: str
    at: datetime


class Outbox:
    """Takes events, durably, from all processes of a node.

    One connection is kept for appending: SQLite makes its WAL with the first
    connection to a file and removes it with the last, which would cost each
    append five syncs instead of one.

    Parameters
    ----------
    path
        The SQLite file; made when the first event comes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun: int | None = None
        self._turn = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, bodies: Sequence[str]) -> None:
        """Append events; they survive a power cut when this returns. Raises `sqlite3.Error`: none is there then."""
        with self._writing() as outbox:
            outbox.executemany("INSERT INTO events (body) VALUES (?)", [(body,) for body in bodies])

    def append_once(self, body: str, *, subject: str, mark: str) -> bool:
        """Append an event unless the last one told of this subject bears the same mark; return whether it was."""
        with self._writing() as outbox:
            told = outbox.execute(
                "INSERT INTO told (subject, mark) VALUES (?, ?) "
                "ON CONFLICT (subject) DO UPDATE SET mark = excluded.mark WHERE mark <> excluded.mark",
                (subject, mark),
            )
            if told.rowcount:
                outbox.execute("INSERT INTO events (body) VALUES (?)", (body,))
            return bool(told.rowcount)

    def owe(self, body: str, *, patient: str, decision: int, signature: str, at: datetime) -> int:
        """Note an act before its fact is stored, with the event that is owed then; return what names the note."""
        with self._writing() as outbox:
            row = (patient, decision, signature, at.isoformat(), body)
            noted = outbox.execute(
                "INSERT INTO owed (patient, decision, signature, at, body) VALUES (?, ?, ?, ?, ?)", row
            )
            return int(noted.lastrowid or 0)

    def pay(self, owed: int) -> None:
        """Append the event of a noted act, whose fact is stored now; whoever else pays the same note appends none."""
        with self._writing() as outbox:
            outbox.execute("INSERT INTO events (body) SELECT body FROM owed WHERE id = ? AND body IS NOT NULL", (owed,))
            outbox.execute("UPDATE owed SET body = NULL WHERE id = ?", (owed,))

    def strike(self, owed: int) -> None:
        """Take a note off: all that it was for is done, or its fact will never be stored."""
        with self._writing() as outbox:
            outbox.execute("DELETE FROM owed WHERE id = ?", (owed,))

    def owed(self) -> list[Owed]:
        """Return the notes that stand: of acts that are under way, or were interrupted."""
        with self._writing() as outbox:
            rows = outbox.execute("SELECT id, patient, decision, signature, at FROM owed ORDER BY id").fetchall()
        return [
            Owed(id=row, patient=patient, decision=decision, signature=signature, at=datetime.fromisoformat(at))
            for row, patient, decision, signature, at in rows
        ]

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Open it for more than an append: tables ``events`` (id, body) and ``identity`` (epoch)."""
        with closing(self._connected()) as outbox:
            yield outbox

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        with self._turn:
            self._let_go()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the kept connection for one transaction, which is durable when the block has ended."""
        with self._turn:
            try:
                with self._kept() as outbox:
                    yield outbox
            except sqlite3.Error:
                self._let_go()
                raise

    def _kept(self) -> sqlite3.Connection:
        """Return the connection for appending: to the file that stands under the name now."""
        if self._connection is None or self._begun != _inode(self._path):
            self._let_go()
            self._connection = self._connected()
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        # Asked before the file is made: it may get the inode of the one that was lost.
        is_new = self._begun is None or self._begun != _inode(self._path)
        outbox = sqlite3.connect(self._path, timeout=_WAIT_S, check_same_thread=False)
        if is_new:
            self._begin(outbox)
        outbox.execute("PRAGMA synchronous=FULL")
        return outbox

    def _begin(self, outbox: sqlite3.Connection) -> None:
        """Bring a new file into its mode and form; on one that is not new this changes nothing.

        WAL with FULL loses nothing in a power cut, any weaker setting does (docs/decisions/0002). SQLite does not let
        two processes that switch one new file wait for each other: one of them is told that the database is locked.
        """
        with self._path.with_suffix(".new.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            outbox.execute("PRAGMA journal_mode=WAL")
            outbox.execute("PRAGMA synchronous=FULL")
            for table in _TABLES:
                outbox.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self._begun = _inode(self._path)


def _inode(path: Path) -> int | None:
    """Return which file stands under this name, None if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
