"""Joins what keeps the archive whole: the audit in the background, checks on demand, the second store."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import structlog

from archive.vault.audit import Audit, Budget, Round, read_cursor
from archive.vault.checks import Unit
from archive.vault.damage import DamageBook, answer
from archive.vault.repair import Repairer
from archive.vault.rounds import Outcome, Ports, Rounds
from lastgate.storing import catching_up
from lastgate.wiring import House, open_house, utc_now
from storage.errors import StorageError

READERS: Final = 4
"""So many units are read at once on demand: hashing keeps two cores busy, and over a network answers are waited for."""

_LOCAL_DAYS: Final = 30
_REMOTE_DAYS: Final = 90
_AHEAD: Final = 4 * READERS
_CATCH_UP_S: Final = 60.0
_COMPARED_EVERY: Final = timedelta(days=1)
_MEND_S: Final = 60.0
_LOG = structlog.get_logger(__name__)


def damage(house: House) -> list[dict[str, Any]]:
    """Return all copies that are known to be damaged, and whether repairing was stopped, for the work-list."""
    found = DamageBook(house.stores.work).all()
    return sorted((answer(one) for one in found), key=lambda one: (str(one["since"]), str(one["key"])))


def second_store(house: House) -> dict[str, Any] | None:
    """Return how the second store stands, None without one: whether it is reached, and how many keys are behind."""
    pairs = house.stores.pairs
    if not pairs:
        return None
    is_there = all(pair.second.peek() is not None for pair in pairs)
    return {"reached": is_there, "behind": sum(pair.behind.count() for pair in pairs)}


def audit_status(house: House) -> dict[str, Any]:
    """Return how far the audit has come, what its last round found, and all known damage."""
    cursor = read_cursor(house.stores.work)
    now = cursor.now if cursor else None
    last = now if now and now.ended_at else (cursor.last if cursor else None)
    share = cursor.spent_bytes / max(cursor.expected_bytes, cursor.spent_bytes, 1) if cursor else 0.0
    return {
        "period_days": period_of(house).days,
        "last": _told(last),
        "now": _told(now) | {"percent": round(100 * share)} if now and not now.ended_at else None,
        "second_store": second_store(house),
        "damage": damage(house),
    }


def _told(one: Round | None) -> dict[str, Any]:
    if one is None:
        return {}
    return {
        "round": one.number,
        "began": one.began_at.date().isoformat(),
        "ended": one.ended_at.date().isoformat() if one.ended_at else None,
        "objects": one.objects,
        "bytes": one.size_bytes,
        "damages": one.damages,
        "repaired": one.repaired,
    }


def period_of(house: House) -> timedelta:
    """Return within which time everything is read once."""
    told, store = house.settings.fixity.days, house.settings.store
    is_local = store.kind == "filesystem" and store.second.kind != "s3"
    return timedelta(days=told or (_LOCAL_DAYS if is_local else _REMOTE_DAYS))


def verify(house: House, dossier: str = "", *, repair: bool = False, full: bool = False) -> Iterator[Outcome]:
    """Read everything back now, or one sealed dossier (by its id), and yield what became of each unit.

    Parameters
    ----------
    repair
        Mend what can be mended, also copies that could not be read; a stop of the repairer ends with it.
    full
        Compare both digests of sealed files.

    Raises
    ------
    StoreUnavailable
        A store is away: nothing is said about its bytes.
    """
    book = DamageBook(house.stores.work)
    if repair:
        book.settle("repair", [])
    with ThreadPoolExecutor(READERS, "verify") as pool:
        files = pool if dossier else None
        rounds = _rounds(house, book, repair=repair, full=full, thorough=repair, pool=files)
        if dossier:
            yield rounds.look_at(rounds.dossier(dossier))
            return
        for station in rounds.stations():
            if station.is_in_order:
                yield from map(rounds.look_at, station.units())
            else:
                yield from _ahead(rounds, station.units(), pool)


def _ahead(rounds: Rounds, units: Iterator[Unit], pool: ThreadPoolExecutor) -> Iterator[Outcome]:
    """Look at several units at once and yield the outcomes in order; only so many are begun ahead."""
    going: deque[Future[Outcome]] = deque()
    for unit in units:
        going.append(pool.submit(rounds.look_at, unit))
        if len(going) >= _AHEAD:
            yield going.popleft().result()
    while going:
        yield going.popleft().result()


def keep_auditing(house: House, stop: threading.Event) -> None:
    """Read the archive back in the background until `stop` is set; one process does it, in a house of its own.

    The process is the filer's, which steps back behind receiving, and the audit waits after each object for as long as
    its share of the period is.
    """
    while not stop.is_set():
        try:
            with open_house(house.settings) as own:
                audit_of(own).run(stop)
        except Exception as error:  # noqa: BLE001 - nothing is lost by it: it goes on where it was when this is mended
            _LOG.critical("audit.failed", error=f"{type(error).__name__}: {error}")
            stop.wait(_MEND_S)


def audit_of(house: House) -> Audit:
    """Return what reads the archive back in the background."""
    settings, stores = house.settings.fixity, house.stores

    def begin() -> Rounds:
        book = DamageBook(stores.work)
        is_stopped = any(one.kind == "stopped" for one in book.all())
        return _rounds(house, book, repair=settings.repair and not is_stopped)

    return Audit(
        work=stores.work,
        locked=stores.locked,
        begin=begin,
        budget=Budget(period=period_of(house), most_bytes_per_s=settings.most_mb_per_s * 1_000_000),
        holder=house.settings.node.id,
        clock=utc_now,
        record=house.journal.append,
    )


def keep_mirrored(house: House, stop: threading.Event) -> None:
    """Bring the second store up to the first until `stop` is set: what is noted every minute, both lists once a day."""
    compare_at = utc_now()
    while not stop.is_set():
        try:
            with open_house(house.settings) as own:
                if not own.stores.pairs:
                    stop.wait()
                    return
                for one in catching_up(own.stores):
                    one.notes(stop.is_set)
                if utc_now() >= compare_at and all(pair.second.peek() for pair in own.stores.pairs):
                    compare(own, stop)
                    compare_at = utc_now() + _COMPARED_EVERY
        except Exception as error:  # noqa: BLE001 - what is behind stays noted
            _LOG.critical("second_store.failed", error=f"{type(error).__name__}: {error}")
        stop.wait(_CATCH_UP_S)


def compare(house: House, stop: threading.Event) -> None:
    """Compare the lists of both stores: copy what the second lacks, and look at what else differs."""
    book = DamageBook(house.stores.work)
    rounds = _rounds(house, book, repair=house.settings.fixity.repair)
    for one in catching_up(house.stores):
        for found in one.lists(stop.is_set):
            unit = rounds.unit_of(found.key)
            if unit is None:
                continue
            try:
                rounds.look_at(unit)
            except StorageError as error:
                _LOG.warning("second_store.differs", key=found.key, code=error.code, error=str(error))


def _rounds(
    house: House,
    book: DamageBook,
    *,
    repair: bool,
    full: bool = False,
    thorough: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> Rounds:
    stores = house.stores
    ports = Ports(
        work=stores.work,
        locked=stores.locked,
        vault=house.vault,
        verify_journal=house.journal.verify,
        record=house.journal.append,
        clock=utc_now,
    )
    repairer = Repairer(
        work=stores.work,
        locked=stores.locked,
        vault=house.vault,
        record=house.journal.append,
        most=house.settings.fixity.most_repairs,
    )
    return Rounds(ports, book, repairer=repairer if repair else None, full=full, thorough=thorough, pool=pool)
