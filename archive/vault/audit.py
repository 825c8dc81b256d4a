"""The continuous audit: everything is read back once in each period, at a rate that is even and as low as it can be.

``site/audit.json`` holds how far the round has come and who is at it, so that
a restart goes on where it was left and no two processes read the same.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from pydantic import TypeAdapter, ValidationError

from archive.journal.journal import Event
from archive.vault.rounds import Outcome, Rounds
from storage.base import ObjectStore, Version
from storage.errors import ObjectMissing, Replaced, StorageError
from storage.reading import replicas_of

KEY: Final = "site/audit.json"
OBJECT_BYTES: Final = 4096
"""What an object costs beside its bytes: looking it up."""

_LEASE: Final = timedelta(minutes=30)
_LOOK_S: Final = 300.0
_MEND_S: Final = 60.0
_SAVED_EVERY_S: Final = 600.0
_DONE_AFTER: Final = 0.8
_LEAST_S: Final = 600.0
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One reading of everything.

    Parameters
    ----------
    objects, size_bytes
        So much was read, in all stores together.
    damages
        So many copies were found damaged, `repaired` of them mended at once.
    ended_at
        None while it goes on.
    """

    number: int
    began_at: datetime
    objects: int = 0
    size_bytes: int = 0
    damages: int = 0
    repaired: int = 0
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the audit has come.

    Parameters
    ----------
    station, after
        The part of the archive it is at, and the position of the last unit that was read there.
    expected_bytes
        How much the round will read, `OBJECT_BYTES` for each object with it.
    spent_bytes
        How much of that is done.
    last
        The round that ended last.
    holder, held_until
        Which process is at it.
    """

    format: Literal["lastgate/audit/1"] = "lastgate/audit/1"
    now: Round
    station: str = ""
    after: str = ""
    expected_bytes: int = 0
    spent_bytes: int = 0
    last: Round | None = None
    holder: str = ""
    held_until: datetime | None = None


_CURSOR: Final = TypeAdapter(Cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How fast the audit may read.

    Parameters
    ----------
    period
        Everything is read once within it; the audit aims at four fifths of it.
    most_bytes_per_s
        It never reads faster than that; 0 for no limit. Then a round may take longer than its period.
    """

    period: timedelta
    most_bytes_per_s: int = 0

    def rate(self, cursor: Cursor, now: datetime) -> float:
        """Return bytes per second from now on: evenly over the whole round, and faster where it is late."""
        whole = self.period * _DONE_AFTER
        left_s = (cursor.now.began_at + whole - now).total_seconds()
        even = max(cursor.expected_bytes, OBJECT_BYTES) / whole.total_seconds()
        rate = max(even, (cursor.expected_bytes - cursor.spent_bytes) / max(left_s, _LEAST_S))
        return min(rate, self.most_bytes_per_s) if self.most_bytes_per_s else rate


def read_cursor(site: ObjectStore) -> Cursor | None:
    """Return how far the audit has come, None if it never began, or its document can't be read."""
    with suppress(ObjectMissing, ValidationError):
        return _CURSOR.validate_json(site.read_bytes(KEY))
    return None


class Audit:
    """Reads everything back, again and again, in one process of a site.

    Parameters
    ----------
    work, locked
        All there is to read; the cursor lies in the first.
    begin
        Makes what reads units back, anew for each round.
    holder
        The node: one process of it does this, and goes on at once after a restart.
    record
        Takes an event for each round.
    """

    def __init__(
        self,
        *,
        work: ObjectStore,
        locked: ObjectStore,
        begin: Callable[[], Rounds],
        budget: Budget,
        holder: str,
        clock: Callable[[], datetime],
        record: Callable[[Event], None],
    ) -> None:
        self._work = work
        self._locked = locked
        self._begin = begin
        self._budget = budget
        self._holder = holder
        self._clock = clock
        self._record = record
        self._version: Version | None = None
        self._saved_at: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set; while a store is away it waits."""
        while not stop.is_set():
            try:
                cursor = self._taken()
                if cursor is None or cursor.now.ended_at is not None:
                    stop.wait(_LOOK_S)
                    continue
                self._go_on(cursor, stop)
            except Replaced:  # another process is at it
                stop.wait(_LOOK_S)
            except StorageError as error:
                _LOG.warning("audit.waits", code=error.code, error=str(error))
                stop.wait(_MEND_S)

    def _taken(self) -> Cursor | None:
        """Return the cursor if this process is the one to go on, a new round's if it is time for one."""
        now = self._clock()
        try:
            self._version = self._work.stat(KEY).version
        except ObjectMissing:
            self._version = None
        cursor = read_cursor(self._work)
        if cursor is None:
            return self._save(self._first(Round(number=1, began_at=now)))
        is_held = cursor.held_until is not None and cursor.held_until > now
        if is_held and cursor.holder != self._holder:
            return None
        ended = cursor.now.ended_at
        if ended is not None and now >= cursor.now.began_at + self._budget.period:
            begun = self._first(Round(number=cursor.now.number + 1, began_at=now))
            return self._save(replace(begun, last=cursor.now))
        return cursor if ended is not None else self._save(cursor)

    def _first(self, begun: Round) -> Cursor:
        return Cursor(now=begun, expected_bytes=self._measured(), last=None)

    def _measured(self) -> int:
        stores = {id(one): one for store in (self._work, self._locked) for one in replicas_of(store)}
        return sum(stat.size_bytes + OBJECT_BYTES for store in stores.values() for stat in store.list(""))

    def _go_on(self, cursor: Cursor, stop: threading.Event) -> None:
        rounds = self._begin()
        stations = rounds.stations()
        names = [station.name for station in stations]
        begins = names.index(cursor.station) if cursor.station in names else 0
        for station in stations[begins:]:
            after = cursor.after if station.name == cursor.station and not station.is_in_order else ""
            cursor = replace(cursor, station=station.name, after=after)
            for unit in station.units():
                if stop.is_set():
                    break
                if unit.position > after:
                    outcome = rounds.look_at(unit)
                    cursor = self._waited(_counted(cursor, outcome), outcome, stop)
            if stop.is_set():
                self._save(cursor)
                return
        self._end(cursor)

    def _waited(self, cursor: Cursor, outcome: Outcome, stop: threading.Event) -> Cursor:
        """Wait as long as what was read is worth; the lease is kept meanwhile."""
        cost = outcome.checked.size_bytes + OBJECT_BYTES * max(outcome.checked.objects, 1)
        wait_s = cost / self._budget.rate(cursor, self._clock())
        while True:
            if self._saved_at is None or (self._clock() - self._saved_at).total_seconds() >= _SAVED_EVERY_S:
                cursor = self._save(cursor)
            if wait_s <= 0 or stop.wait(min(wait_s, _SAVED_EVERY_S)):
                return cursor
            wait_s -= _SAVED_EVERY_S

    def _end(self, cursor: Cursor) -> None:
        ended = replace(cursor.now, ended_at=self._clock())
        self._save(replace(cursor, now=ended, station="", after="", holder="", held_until=None))
        told = {"round": ended.number, "objects": ended.objects, "bytes": ended.size_bytes}
        found = {"damages": ended.damages, "repaired": ended.repaired}
        self._record(Event(act="audit", account="", subject={**told, **found}))

    def _save(self, cursor: Cursor) -> Cursor:
        """Store the cursor; raises `Replaced` if another process was at it meanwhile."""
        now = self._clock()
        if cursor.now.ended_at is None:
            cursor = replace(cursor, holder=self._holder, held_until=now + _LEASE)
        body = _CURSOR.dump_json(cursor, indent=1) + b"\n"
        self._version = self._work.replace_if_match(KEY, body, expected=self._version)
        self._saved_at = now
        return cursor


def _counted(cursor: Cursor, outcome: Outcome) -> Cursor:
    read = outcome.checked
    now = replace(
        cursor.now,
        objects=cursor.now.objects + read.objects,
        size_bytes=cursor.now.size_bytes + read.size_bytes,
        damages=cursor.now.damages + max(len(outcome.damages), outcome.repaired),
        repaired=cursor.now.repaired + outcome.repaired,
    )
    spent = cursor.spent_bytes + read.size_bytes + OBJECT_BYTES * read.objects
    return replace(cursor, now=now, after=outcome.unit.position, spent_bytes=spent)
