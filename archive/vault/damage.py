"""What is known to be damaged: one small document each, for the work-list, until the object is whole again."""

import hashlib
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from archive.vault.fixity import Flaw
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing

FOLDER: Final = "site/damage/"
StoreName = Literal["work", "vault"]

_BRING_BACK: Final = "Run lastgate verify --repair; without a second store bring it back from a backup. Delete nothing."
_ADVICE: Final = {
    "missing": _BRING_BACK,
    "changed": _BRING_BACK,
    "foreign": "Find out who put it there. lastgate verify --repair moves it to damaged/ and keeps its bytes.",
    "forged": "Tell the administrator today: compare with a second copy or a backup before anything is changed.",
    "unread": "See to the disk or server. If it stays so, run lastgate verify --repair.",
    "stopped": "Find the cause first: a disk, a controller, a person. Then run lastgate verify --repair.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One damaged copy, or the word that repairing was stopped.

    Parameters
    ----------
    unit
        What was checked in one piece: a dossier's folder, a key, a node's journal. Checking it again settles all its
        damage.
    kind
        As `Flaw.kind`; ``stopped``: too much is damaged at once, and a person is asked.
    store
        ``work`` or ``vault``.
    copy
        1 in the first store, 2 in the second.
    key
        Of the object; empty where no single one is meant.
    problem, advice
        What is wrong and what to do, in words.
    sha256
        What the bytes must be, where that is known.
    """

    format: Literal["lastgate/damage/1"] = "lastgate/damage/1"
    unit: str
    kind: Literal["missing", "changed", "foreign", "forged", "unread", "stopped"]
    store: StoreName
    copy: int
    key: str
    problem: str
    advice: str
    found_at: datetime
    dossier: str = ""
    sha256: str = ""

    @property
    def id(self) -> str:
        """The name of the document: the same damage found again is the same document."""
        return hashlib.sha256(
            "\0".join((self.store, str(self.copy), self.unit, self.key, self.kind)).encode()
        ).hexdigest()


_DAMAGE: Final = TypeAdapter(Damage)


def of_flaw(
    flaw: Flaw, *, unit: str, store: StoreName, copy: int, key: str, found_at: datetime, dossier: str = ""
) -> Damage:
    """Return what is recorded of a flaw."""
    return Damage(
        unit=unit,
        kind=flaw.kind,
        store=store,
        copy=copy,
        key=key,
        problem=flaw.problem,
        advice=_ADVICE[flaw.kind],
        found_at=found_at,
        dossier=dossier,
        sha256=flaw.sha256,
    )


def stopped(problem: str, *, found_at: datetime) -> Damage:
    """Return the word that repairing was stopped."""
    return Damage(
        unit="repair",
        kind="stopped",
        store="work",
        copy=1,
        key="",
        problem=problem,
        advice=_ADVICE["stopped"],
        found_at=found_at,
    )


class DamageBook:
    """Keeps what is known to be damaged under ``site/damage/``; several processes may write."""

    def __init__(self, site: ObjectStore) -> None:
        self._site = site
        self._known: dict[str, set[str]] | None = None
        self._lock = threading.Lock()

    def settle(self, unit: str, found: Collection[Damage]) -> tuple[list[Damage], int]:
        """Record what a check of a unit found, and take out what it found no more.

        Returns
        -------
        What was not known before, and how many records were taken out.
        """
        with self._lock:
            known = self._units().get(unit, set())
            now = {damage.id: damage for damage in found}
            fresh = [damage for name, damage in now.items() if name not in known and self._put(damage)]
            gone = known - set(now)
            for name in gone:
                self._site.delete(f"{FOLDER}{name}.json")
            if now or gone:
                self._units()[unit] = set(now)
            return fresh, len(gone)

    def all(self) -> Iterator[Damage]:
        """Yield everything that is known to be damaged, in order of name; a record that can't be read is left out."""
        for stat in self._site.list(FOLDER):
            with suppress(ObjectMissing, ValidationError):
                yield _DAMAGE.validate_json(self._site.read_bytes(stat.key))

    def _units(self) -> dict[str, set[str]]:
        if self._known is None:
            self._known = {}
            for damage in self.all():
                self._known.setdefault(damage.unit, set()).add(damage.id)
        return self._known

    def _put(self, damage: Damage) -> bool:
        try:
            put_document(self._site, f"{FOLDER}{damage.id}.json", _DAMAGE.dump_json(damage, indent=1) + b"\n")
        except KeyTaken:  # found before: the first time stands
            return False
        return True


def answer(damage: Damage) -> dict[str, object]:
    """Return a record as commands and pages show it; times as days, so that an answer does not depend on now."""
    return {
        "kind": damage.kind,
        "store": damage.store,
        "copy": damage.copy,
        "key": damage.key,
        "dossier": damage.dossier,
        "problem": damage.problem,
        "advice": damage.advice,
        "since": damage.found_at.date().isoformat(),
    }
