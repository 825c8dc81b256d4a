"""The outbox of the journal: events of one node that are not chained yet, in a SQLite file on its own disk."""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

_WAIT_S: Final = 30.0


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
        with self._turn:
            try:
                with self._kept() as outbox:
                    outbox.executemany("INSERT INTO events (body) VALUES (?)", [(body,) for body in bodies])
            except sqlite3.Error:
                self._let_go()
                raise

    def append_once(self, body: str, *, subject: str, mark: str) -> bool:
        """Append an event unless the last one told of this subject bears the same mark; return whether it was."""
        with self._turn:
            try:
                with self._kept() as outbox:
                    told = outbox.execute(
                        "INSERT INTO told (subject, mark) VALUES (?, ?) "
                        "ON CONFLICT (subject) DO UPDATE SET mark = excluded.mark WHERE mark <> excluded.mark",
                        (subject, mark),
                    )
                    if told.rowcount:
                        outbox.execute("INSERT INTO events (body) VALUES (?)", (body,))
                    return bool(told.rowcount)
            except sqlite3.Error:
                self._let_go()
                raise

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Open it for more than an append: tables ``events`` (id, body) and ``identity`` (epoch)."""
        with closing(self._connected()) as outbox:
            yield outbox

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        with self._turn:
            self._let_go()

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
            outbox.execute(
                "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL)"
            )
            outbox.execute("CREATE TABLE IF NOT EXISTS identity (epoch INTEGER NOT NULL)")
            outbox.execute("CREATE TABLE IF NOT EXISTS told (subject TEXT PRIMARY KEY, mark TEXT NOT NULL)")
        self._begun = _inode(self._path)


def _inode(path: Path) -> int | None:
    """Return which file stands under this name, None if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
