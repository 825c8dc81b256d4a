"""Reading the archive back, unit by unit: what is found is recorded, journalled and mended where it can be."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from archive.errors import TooMuchDamage
from archive.journal.journal import Event
from archive.vault import ocfl
from archive.vault.checks import NAMED_FOLDERS, Checked, Unit, dossier_unit, dossier_units, object_unit, object_units
from archive.vault.damage import Damage, DamageBook, stopped
from archive.vault.disposal import FOLDER as DISPOSED
from archive.vault.fact_checks import FactChecks
from archive.vault.fixity import Flaw
from archive.vault.journal_checks import journal_units
from archive.vault.repair import Repairer
from archive.vault.vault import Vault
from storage.base import ObjectStore
from storage.reading import replicas_of

JOURNAL: Final = "journal"
_LOG = structlog.get_logger(__name__)
_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
_PREFIXES: Final = (
    *(f"{folder}/{shard}/" for folder in (*NAMED_FOLDERS, "derived") for shard in _SHARDS),
    "sealing/",
    "site/",
)
_LOCKED_PREFIXES: Final = (
    DISPOSED,
    *(f"{ocfl.ROOT}/{name}" for name in (ocfl.ROOT_DECLARATION, "README", "ocfl_layout", "extensions/")),
)
_DOSSIER_DEPTH: Final = 5
_NO_REPAIR: Final = ("unread", "forged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One part of the archive; a round goes through all of them in order.

    Parameters
    ----------
    name
        Stands in the cursor: `units` of a station are in order of position, so that a round goes on where it was left.
    is_in_order
        Its units hang on one another: they are read one after the other, from the first.
    """

    name: str
    units: Callable[[], Iterator[Unit]]
    is_in_order: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What reading back needs of the house.

    Parameters
    ----------
    work, locked
        Stores of the intake and of the vault; pairs, where there are two.
    verify_journal
        Checks all chains against their signed heads; raises `ChainBroken`.
    record
        Takes events for the journal.
    clock
        Aware UTC.
    """

    work: ObjectStore
    locked: ObjectStore
    vault: Vault
    verify_journal: Callable[[], int]
    record: Callable[[Event], None]
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one unit: what is wrong with it now, and how many copies were mended."""

    unit: Unit
    checked: Checked
    damages: tuple[Damage, ...] = ()
    repaired: int = 0


class Rounds:
    """Reads units back and keeps the book of damage.

    Parameters
    ----------
    book
        What is known to be damaged.
    repairer
        Mends what it can; None only finds.
    full
        Compare both digests of sealed files.
    thorough
        Mend also copies that could not be read: a person asks for that, who has seen that the store itself is well.
    pool
        Reads several files of one dossier at once.
    """

    def __init__(
        self,
        ports: Ports,
        book: DamageBook,
        *,
        repairer: Repairer | None,
        full: bool = False,
        thorough: bool = False,
        pool: Executor | None = None,
    ) -> None:
        self._ports = ports
        self._book = book
        self._repairer = repairer
        self._full = full
        self._thorough = thorough
        self._pool = pool
        self._mending = threading.Lock()

    def stations(self) -> tuple[Station, ...]:
        """Return all parts of the archive: facts first, for they have no digest of their own before they were seen."""
        ports = self._ports
        facts = FactChecks(work=ports.work, locked=ports.locked)
        return (
            *(_station(f"facts/{shard}", facts.units, shard) for shard in _SHARDS),
            Station(name=JOURNAL, units=lambda: journal_units(ports.locked, ports.verify_journal), is_in_order=True),
            *(_station(f"vault/{shard}", self._dossiers, shard) for shard in _SHARDS),
            *(_station(prefix, self._objects, prefix) for prefix in _PREFIXES),
            *(_station(prefix, self._locked_objects, prefix) for prefix in _LOCKED_PREFIXES),
        )

    def dossier(self, dossier: str) -> Unit:
        """Return one sealed dossier as a unit."""
        return dossier_unit(self._ports.vault, self._ports.locked, dossier, full=self._full, pool=self._pool)

    def unit_of(self, key: str) -> Unit | None:
        """Return the unit an object belongs to; None if it can only be judged with what stands around it."""
        parts = key.split("/")
        if parts[0] == ocfl.ROOT and len(parts) > _DOSSIER_DEPTH:
            return self.dossier(parts[_DOSSIER_DEPTH - 1])
        if parts[0] == "journal":
            return None
        if key.startswith(_LOCKED_PREFIXES):
            return object_unit(self._ports.locked, "vault", key)
        return object_unit(self._ports.work, "work", key)

    def look_at(self, unit: Unit) -> Outcome:
        """Read a unit back, mend what can be mended, and keep the book.

        Raises
        ------
        StoreUnavailable
            Nothing of it could be read; this says nothing about its bytes.
        """
        checked = unit.check()
        if not checked.flaws:
            return self._settled(unit, checked, repaired=0)
        for damage in unit.damages(checked, found_at=self._ports.clock()):
            _LOG.error("fixity.damage", kind=damage.kind, store=damage.store, copy=damage.copy, key=damage.key)
        self._settled(unit, checked, repaired=0)
        repaired = self._mend(unit, checked)
        return self._settled(unit, unit.check(), repaired=repaired) if repaired else self._told(unit, checked, 0)

    def _dossiers(self, shard: str) -> Iterator[Unit]:
        return dossier_units(self._ports.vault, self._ports.locked, shard, full=self._full, pool=self._pool)

    def _objects(self, prefix: str) -> Iterator[Unit]:
        return object_units(self._ports.work, "work", prefix)

    def _locked_objects(self, prefix: str) -> Iterator[Unit]:
        return object_units(self._ports.locked, "vault", prefix)

    def _settled(self, unit: Unit, checked: Checked, *, repaired: int) -> Outcome:
        """Bring the book up to what was found, and tell the journal of what is new in it."""
        damages = unit.damages(checked, found_at=self._ports.clock())
        fresh, closed = self._book.settle(unit.name, damages)
        for damage in fresh:
            subject = {"unit": unit.name, "key": damage.key, "store": damage.store, "copy": damage.copy}
            told = {**subject, "kind": damage.kind, "problem": damage.problem}
            self._ports.record(Event(act="damage", account="", subject=told, outcome="found"))
        if closed and not damages:
            self._ports.record(Event(act="damage", account="", subject={"unit": unit.name}, outcome="closed"))
        return Outcome(unit=unit, checked=checked, damages=tuple(damages), repaired=repaired)

    def _told(self, unit: Unit, checked: Checked, repaired: int) -> Outcome:
        damages = unit.damages(checked, found_at=self._ports.clock())
        return Outcome(unit=unit, checked=checked, damages=tuple(damages), repaired=repaired)

    def _mend(self, unit: Unit, checked: Checked) -> int:
        with self._mending:  # one after the other, so that too much is noticed in time
            return self._mend_one(unit, checked)

    def _mend_one(self, unit: Unit, checked: Checked) -> int:
        if self._repairer is None:
            return 0
        try:
            return sum(
                self._mend_copy(self._repairer, unit, copy, flaws) for copy, flaws in sorted(checked.flaws.items())
            )
        except TooMuchDamage as error:
            self._book.settle("repair", [stopped(str(error), found_at=self._ports.clock())])
            self._ports.record(Event(act="repair", account="", subject={"reason": str(error)}, outcome="stopped"))
            _LOG.critical("fixity.stopped", error=str(error))
            self._repairer = None
            return 0

    def _mend_copy(self, repairer: Repairer, unit: Unit, copy: int, flaws: Sequence[Flaw]) -> int:
        store = self._ports.locked if unit.store == "vault" else self._ports.work
        replica = replicas_of(store)[copy - 1]
        if unit.dossier:
            if not self._thorough:
                flaws = [flaw for flaw in flaws if flaw.kind != "unread"]
            return repairer.dossier(unit.dossier, replica, flaws) if flaws else 0
        return sum(
            repairer.object(replica, flaw.path, flaw.sha256, among=store)
            for flaw in flaws
            if flaw.sha256 and (self._thorough or flaw.kind not in _NO_REPAIR)
        )


def _station(name: str, units: Callable[[str], Iterator[Unit]], prefix: str) -> Station:
    return Station(name=name, units=lambda: units(prefix))
