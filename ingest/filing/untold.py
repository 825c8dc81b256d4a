"""Patients with new facts of whom the index was not told yet.

Folding a patient costs the more the larger the record is. During a long
association that must not happen for every bundle of receipts, so a patient is
folded at once, and then again only when folding has taken a tenth of the time
since. Who waits is written down before the arrivals are settled: a crash
in between leaves no patient untold.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import structlog

from archive.facts.receipts import PatientKey
from ingest.spool.journal import connect

_AT_ONCE: Final = 64
_SHARE: Final = 9.0  # so many times as long as the last folding took, the next one waits
_LONGEST_WAIT_S: Final = 30.0
_AGAIN_AFTER_S: Final = 5.0
_REMEMBERED: Final = 10_000
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS untold (patient TEXT PRIMARY KEY) WITHOUT ROWID"
_LOG = structlog.get_logger(__name__)


class TellIndex(Protocol):
    """Folds patients with new facts and brings the index up to them."""

    def __call__(self, *keys: PatientKey) -> None:
        """Return when searches see them."""


class Untold:
    """The list of one node, in a SQLite file; only its filer uses it.

    Parameters
    ----------
    path
        The file; made if it is missing.
    tell
        Called with those whose turn it is.
    monotonic
        A clock in seconds.
    """

    def __init__(self, path: Path, tell: TellIndex, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._tell = tell
        self._monotonic = monotonic
        self._waiting: dict[PatientKey, float] = {}
        self._rested: dict[PatientKey, float] = {}  # not to be folded before
        self._told: set[PatientKey] = set()  # but still written down

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self._waiting)

    def load(self) -> None:
        """Read the list again: another filer may have left somebody on it."""
        with self._open() as connection:
            rows = connection.execute("SELECT patient FROM untold").fetchall()
        self._told.clear()
        for (key,) in rows:
            self._waiting.setdefault(PatientKey(key), self._monotonic())

    def add(self, keys: Collection[PatientKey]) -> None:
        """Put patients on the list; they stay on it through a power cut when this returns."""
        new = [key for key in keys if key not in self._waiting and key not in self._told]
        if new:
            with self._open() as connection:
                connection.executemany("INSERT OR IGNORE INTO untold VALUES (?)", [(key,) for key in new])
                self._strike(connection, self._told.difference(keys))
                connection.commit()
        now = self._monotonic()
        for key in keys:
            self._told.discard(key)
            self._waiting.setdefault(key, max(now, self._rested.get(key, now)))

    def tell_due(self) -> None:
        """Tell the index of those whose turn it is."""
        now = self._monotonic()
        self._tell_all([key for key, due in self._waiting.items() if due <= now])

    def tell_all(self) -> None:
        """Tell the index of everybody, and strike them off the list."""
        self._tell_all(list(self._waiting))
        self.strike_told()

    def help(self) -> None:
        """Tell the index of everybody on the list beside the filer whose list it is: who waits for it need not wait."""
        with self._open() as connection:
            keys = [PatientKey(key) for (key,) in connection.execute("SELECT patient FROM untold")]
        for start in range(0, len(keys), _AT_ONCE):
            self._tell(*keys[start : start + _AT_ONCE])

    def strike_told(self) -> None:
        """Strike off the list who was told; until then a crash makes them be told twice."""
        if self._told:
            with self._open() as connection:
                self._strike(connection, set(self._told))
                connection.commit()

    def next_due_s(self) -> float | None:
        """Return in how many seconds somebody's turn comes; None if nobody waits."""
        return max(min(self._waiting.values()) - self._monotonic(), 0.0) if self._waiting else None

    def _strike(self, connection: sqlite3.Connection, keys: Iterable[PatientKey]) -> None:
        struck = list(keys)
        connection.executemany("DELETE FROM untold WHERE patient = ?", [(key,) for key in struck])
        self._told.difference_update(struck)

    def _tell_all(self, keys: Sequence[PatientKey]) -> None:
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            if not self._try(part) and len(part) > 1:
                for key in part:  # one that can't be folded must not keep the others back
                    self._try([key])

    def _try(self, keys: Sequence[PatientKey]) -> bool:
        began = self._monotonic()
        try:
            self._tell(*keys)
        except Exception as error:  # noqa: BLE001 - whatever ails the index, receiving goes on
            if len(keys) == 1:
                self._waiting[keys[0]] = self._monotonic() + _AGAIN_AFTER_S
                _LOG.error("filer.index_behind", patient=keys[0], error=f"{type(error).__name__}: {error}")
            return False
        ended = self._monotonic()
        if len(self._rested) > _REMEMBERED:
            self._rested.clear()
        for key in keys:
            self._rested[key] = ended + min(_SHARE * (ended - began) / len(keys), _LONGEST_WAIT_S)
            del self._waiting[key]
        self._told.update(keys)
        return True

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = connect(self._path)
        try:
            connection.execute(_SCHEMA)
            yield connection
        finally:
            connection.close()
