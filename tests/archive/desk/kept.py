"""A small archive in which time can pass, with its retention officers."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from archive.desk.accounts import Account
from archive.desk.desk import Desk
from archive.desk.keeping import Keeping
from archive.facts.decisions import Decision
from archive.facts.receipts import PatientKey
from archive.model import Dossier
from archive.vault import ocfl
from archive.vault.retention import retention_of, rules_of
from archive.vault.tidying import Tidied, Tidying
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests.archive.house import SmallHouse
from tests.archive.stores import NOW

FIRST = Account(name="rita", role="retention-officer", password="")
SECOND = Account(name="rolf", role="retention-officer", password="")
KEPT_UNTIL = date(2054, 3, 8)
"""Thirty years after the fifth fraction."""
ENDED = datetime(2054, 3, 9, 12, tzinfo=UTC)
"""That day is over in every time zone."""
RULES = rules_of("default", site_years=30)


class KeptHouse:
    """The desk of a `SmallHouse`, terms by the table, and a clock that stands at `at`."""

    def __init__(
        self,
        folder: Path,
        *,
        at: datetime = NOW,
        work: ObjectStore | None = None,
        locked: ObjectStore | None = None,
        locks: bool = True,
    ) -> None:
        self.at = at
        self.work_files = FilesystemStore(folder / "work", now=self.clock)
        self.locked_files = FilesystemStore(folder / "locked", now=self.clock)
        self.work = work or self.work_files
        self.locked = locked or self.locked_files
        self.small = SmallHouse(folder, work=self.work, locked=self.locked)
        self.desk: Desk = replace(self.small.desk, clock=self.clock, retain=_retained if locks else _never)
        self.small.desk = self.desk
        self.vault = self.small.vault
        self.facts = self.small.facts
        self.keeping = Keeping(
            desk=self.desk, rules=RULES, lock_certificates=lambda: self.at + timedelta(days=365) if locks else None
        )
        self.tidied: list[Tidied] = []

    def clock(self) -> datetime:
        """Return the moment the clock stands at."""
        return self.at

    def keys(self, prefix: str = "", *, locked: bool = True) -> list[str]:
        """Return the keys of a store that begin so."""
        return [stat.key for stat in (self.locked_files if locked else self.work_files).list(prefix)]

    def object_keys(self, dossier: Dossier) -> list[str]:
        """Return the keys of a sealed dossier."""
        return self.keys(f"{ocfl.object_folder(dossier.id)}/")

    def ended(self) -> tuple[PatientKey, Dossier]:
        """Seal a course, and let its retention pass."""
        key, dossier = self.small.sealed()
        self.at = ENDED
        return key, dossier

    def dispose(self, key: PatientKey, dossier: Dossier) -> None:
        """Ask for the disposal of a dossier and confirm it."""
        self.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)
        self.keeping.confirm_disposal(key, dossier.id, account=SECOND)

    def events(self) -> list[str]:
        """Return the acts that stand in the journal."""
        self.small.journal.flush()
        return [event["act"] for event in self.small.journal.events()]

    def tidy(self, *, work: ObjectStore | None = None) -> list[Tidied]:
        """Sweep the intake of all that was recorded by now."""
        tidying = Tidying(
            work=work or self.work,
            locked=self.locked,
            vault=self.vault,
            dossiers=lambda key: (one for each in self.facts.linked(key) for one in self.desk.record(each).dossiers),
            record=self.tidied.append,
        )
        return list(tidying.sweep(before=datetime(2999, 1, 1, tzinfo=UTC)))


def _never(*_: object) -> None:
    """Lock nothing: on a real server nobody can let time pass."""


def _retained(dossier: Dossier, decisions: Sequence[Decision], sealed_on: date) -> datetime:
    return retention_of(dossier, decisions, RULES, sealed_on=sealed_on).lock_until


def sha256(body: bytes) -> str:
    """Return the digest of some bytes, hex."""
    return hashlib.sha256(body).hexdigest()
