"""Lets the intake go of what lies in the vault: one lasting place for each instance instead of two.

The plan of a seal names what it copied from the intake. Once the seal stands
for a grace time, every dossier that holds an instance of it is sealed, and the
vault's copy was read back whole, the intake's copy goes. What an open dossier
holds stays, and its plan is looked at again next time. Papers stay: one can
have been given to two patients who know nothing of each other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from archive.facts.receipts import PatientKey
from archive.model import Dossier, DossierState
from archive.vault import ocfl
from archive.vault.vault import SealingPlan, SourceFile, Vault
from storage.base import ObjectStore, Replicated, Version
from storage.documents import put_document
from storage.errors import DigestMismatch, ObjectMissing
from storage.reading import read_back, replicas_of

_SWEPT: Final = "intake/dicom/"
_RECORDED: Final = ".recorded"
_TIDIED: Final = ".tidied"
_BOTH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What one plan of a seal let go of; `bytes` as the receipts tell, though a hard link frees none."""

    dossier: str
    version: int
    patient_key: PatientKey
    objects: int
    bytes: int


class Tidying:
    """Sweeps the intake.

    Parameters
    ----------
    work, locked
        Stores of the intake and of the vault.
    dossiers
        Returns all dossiers of everybody ever linked to a patient.
    record
        Is told what was let go, after it is gone.
    """

    def __init__(
        self,
        *,
        work: ObjectStore,
        locked: ObjectStore,
        vault: Vault,
        dossiers: Callable[[PatientKey], Iterable[Dossier]],
        record: Callable[[Tidied], None],
    ) -> None:
        self._work = work
        self._locked = locked
        self._vault = vault
        self._dossiers = dossiers
        self._record = record

    def sweep(self, *, before: datetime) -> Iterator[Tidied]:
        """Let go of what was sealed before that moment (aware UTC), plan by plan; done again, it goes on.

        While one of two stores is away nothing goes: its copies can't be read.
        """
        if any(isinstance(store, Replicated) and len(store.replicas) < _BOTH for store in (self._work, self._locked)):
            return
        stats = {stat.key: stat for stat in self._work.list("sealing/")}
        for key, stat in sorted(stats.items()):
            plan_key = key.removesuffix(_RECORDED)
            is_due = key.endswith(_RECORDED) and stat.modified < before and plan_key + _TIDIED not in stats
            if is_due:
                yield from self._tidy(plan_key)

    def _tidy(self, plan_key: str) -> Iterator[Tidied]:
        plan = self._vault.plan(f"{plan_key}.json")
        swept = [file for file in plan.copies if file.source_key.startswith(_SWEPT)]
        needed = _needed(self._dossiers(plan.patient_key))
        free = [file for file in swept if file.sha256 not in needed]
        gone = [file for file in free if self._let_go(plan, file)]
        if gone:
            tidied = Tidied(
                dossier=plan.dossier,
                version=plan.version,
                patient_key=plan.patient_key,
                objects=len(gone),
                bytes=sum(file.size_bytes for file in gone),
            )
            self._record(tidied)
            yield tidied
        if len(free) == len(swept) and not any(self._version(file) for file in swept):
            put_document(self._work, plan_key + _TIDIED, b"tidied\n")

    def _let_go(self, plan: SealingPlan, file: SourceFile) -> bool:
        """Remove the intake's copy of a file if every copy in the vault is whole; return whether it went."""
        version = self._version(file)
        if version is None or not self._is_in_vault(plan, file):
            return False
        self._work.delete(file.source_key, version=version)
        return True

    def _version(self, file: SourceFile) -> Version | None:
        try:
            return self._work.stat(file.source_key).version
        except ObjectMissing:
            return None

    def _is_in_vault(self, plan: SealingPlan, file: SourceFile) -> bool:
        inventory = self._vault.inventory(plan.dossier)
        paths: Mapping[str, list[str]] = inventory["fixity"]["sha256"] if inventory else {}
        keys = [f"{ocfl.object_folder(plan.dossier)}/{path}" for path in paths.get(file.sha256, ())]
        try:
            for key in keys:
                for replica in replicas_of(self._locked):
                    read_back(replica, key, sha256=file.sha256, size_bytes=file.size_bytes)
        except (ObjectMissing, DigestMismatch):  # the intake's copy is what mends it
            return False
        return bool(keys)


def sweep_before(now: datetime, *, days: int) -> datetime:
    """Return before which moment a seal must have been recorded to be swept."""
    return now - timedelta(days=days)


def _needed(dossiers: Iterable[Dossier]) -> frozenset[str]:
    """Return the digests of what dossiers hold that are not sealed, or that waits beside a sealed one."""
    found: set[str] = set()
    for dossier in dossiers:
        if dossier.state in (DossierState.OPEN, DossierState.READY):
            found.update(held.receipt.file_sha256 for held in dossier.instances)
        found.update(held.receipt.file_sha256 for held in dossier.late)
        found.update(other.file_sha256 for held in (*dossier.instances, *dossier.late) for other in held.others)
    return frozenset(found)
