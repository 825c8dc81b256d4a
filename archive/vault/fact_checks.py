"""Checks of facts: that they can be read, are what they were, and that what they tell of is there."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from archive.errors import FactDamaged, FormatTooNew
from archive.facts.decisions import Decision, Sealed
from archive.facts.disposed import living_receipts, standing_seals
from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore
from archive.signing.acts import signature_problems
from archive.signing.keys import KeyRing
from archive.vault import ocfl, proof
from archive.vault.checks import Checked, Unit, listed, object_check, stands
from archive.vault.disposal import Disposals
from archive.vault.fixity import Flaw
from storage.base import ObjectStore
from storage.errors import ObjectMissing, Replaced, StorageError
from storage.reading import digests, replicas_of

FORMAT: Final = "lastgate/first-seen/1"
_ATTEMPTS: Final = 10


class FirstSeen:
    """The SHA-256 of facts as they were first read back whole.

    Receipts carry no digest of their own until a seal signs them: ``site/fixity/<2>.json`` keeps it meanwhile, one
    document for all patients whose keys begin with these two digits.
    """

    def __init__(self, site: ObjectStore, shard: str) -> None:
        self._site = site
        self._key = f"site/fixity/{shard}.json"
        self._known = self._read()
        self._fresh: dict[str, str] = {}

    def of(self, key: str) -> str | None:
        """Return the digest of a fact, None if it was never read back."""
        return self._known.get(key)

    def note(self, key: str, sha256: str) -> None:
        """Remember what a fact was; `save` makes it last."""
        if key not in self._known:
            self._fresh[key] = sha256

    def save(self) -> None:
        """Store what was noted; what another noted first stands."""
        for _ in range(_ATTEMPTS if self._fresh else 0):
            with suppress(Replaced):
                try:
                    version = self._site.stat(self._key).version
                except ObjectMissing:
                    version = None
                body = {"format": FORMAT, "sha256": dict(sorted({**self._fresh, **self._read()}.items()))}
                self._site.replace_if_match(self._key, json.dumps(body).encode() + b"\n", expected=version)
                return

    def _read(self) -> dict[str, str]:
        try:
            told = json.loads(self._site.read_bytes(self._key))["sha256"]
        except (ObjectMissing, ValueError, KeyError, TypeError):
            return {}
        return {str(key): str(sha256) for key, sha256 in told.items()}


class FactChecks:
    """Checks the facts of patients.

    Parameters
    ----------
    work, locked
        Stores of the intake and of the vault.
    """

    def __init__(self, *, work: ObjectStore, locked: ObjectStore) -> None:
        self._work = work
        self._locked = locked
        self._keys = KeyRing(work)

    def units(self, shard: str) -> Iterator[Unit]:
        """Yield the patients whose keys begin with `shard` (two digits), and the seals that were told of."""
        seen = FirstSeen(self._work, shard)
        patients = dict.fromkeys(PatientKey(key.split("/")[2]) for key in listed(self._work, f"facts/{shard}/"))
        try:
            for patient in patients:
                folder = f"facts/{shard}/{patient}"
                yield Unit(name=folder, position=folder, store="work", check=self._patient(patient, folder, seen))
                for sealed in self._newest_seals(patient):
                    name = f"{folder}/seal/{sealed.dossier}"
                    check = self._seal(sealed)
                    yield Unit(name=name, position=name, store="vault", check=check, dossier=sealed.dossier)
        finally:
            seen.save()

    def _patient(self, patient: PatientKey, folder: str, seen: FirstSeen) -> Callable[[], Checked]:
        def check() -> Checked:
            flaws: dict[int, tuple[Flaw, ...]] = {}
            objects = size = 0
            for key in listed(self._work, f"{folder}/"):
                found = object_check(self._work, key, seen.of(key))()
                objects, size = objects + found.objects, size + found.size_bytes
                told = found.flaws or self._unlike_a_fact(key, seen)
                for copy, some in told.items():
                    flaws[copy] = (*flaws.get(copy, ()), *some)
            for flaw in self._lost(patient):
                flaws[1] = (*flaws.get(1, ()), flaw)
            return Checked(objects=objects, size_bytes=size, flaws=flaws)

        return check

    def _unlike_a_fact(self, key: str, seen: FirstSeen) -> dict[int, tuple[Flaw, ...]]:
        """Take a fact apart: it may have been damaged before anybody noted what it was."""
        first = replicas_of(self._work)[0]
        try:
            for one in FactStore(first, node="", remembered_bytes=0).content(key):
                if isinstance(one, Decision):
                    wrong = next(signature_problems([one], self._keys), None)
                    if wrong:
                        return {1: (Flaw(kind="forged", path=key, problem=f"{key}: {wrong}"),)}
            seen.note(key, digests(first, key).sha256)
        except FactDamaged as error:
            return {1: (Flaw(kind="changed", path=key, problem=str(error)),)}
        except (FormatTooNew, StorageError):  # a newer node's; or deleted a moment ago
            pass
        return {}

    def _lost(self, patient: PatientKey) -> Iterator[Flaw]:
        """Yield the instances of which there is a receipt and no bytes, neither in the intake nor sealed."""
        facts, decisions = self._facts(), self._decisions(patient)
        kept = {sha256 for sealed in standing_seals(decisions) for sha256 in sealed.file_sha256s}
        receipts: list[Receipt] = []
        for name in facts.names(patient):
            with suppress(FactDamaged, FormatTooNew, ObjectMissing):
                receipts.extend(facts.receipts(name))
        for key, receipt in {one.key: one for one in living_receipts(receipts, decisions)}.items():
            if receipt.file_sha256 not in kept and not stands(self._work, key):
                problem = f"{key} is missing, of which there is a receipt"
                yield Flaw(
                    kind="missing", path=key, problem=problem, sha256=receipt.file_sha256, size_bytes=receipt.size_bytes
                )

    def _newest_seals(self, patient: PatientKey) -> list[Sealed]:
        newest: dict[str, Sealed] = {}
        for sealed in standing_seals(self._decisions(patient)):
            before = newest.get(sealed.dossier, sealed)
            newest[sealed.dossier] = sealed if sealed.version >= before.version else before
        return list(newest.values())

    def _decisions(self, patient: PatientKey) -> tuple[Decision, ...]:
        try:
            return self._facts().decisions(patient)
        except (FactDamaged, FormatTooNew):  # told of where the object itself is checked
            return ()

    def _seal(self, sealed: Sealed) -> Callable[[], Checked]:
        """Return what checks that the vault has got the version that the facts tell of: nothing else would miss it."""

        def check() -> Checked:
            key = f"{ocfl.object_folder(sealed.dossier)}/{ocfl.INVENTORY}"
            if next(Disposals(work=self._work, locked=self._locked).unfinished(sealed.dossier), None) is not None:
                return Checked(objects=0, size_bytes=0)  # its tombstone is the last thing that is written
            flaws: dict[int, tuple[Flaw, ...]] = {}
            for copy, replica in enumerate(replicas_of(self._locked), 1):
                held = _head(replica, key)
                if held < sealed.version:
                    problem = (
                        f"version {sealed.version} was sealed, and the vault holds {f'v{held}' if held else 'none'}"
                    )
                    flaws[copy] = (Flaw(kind="missing", path="", problem=problem),)
            return Checked(objects=0, size_bytes=0, flaws=flaws)

        return check

    def _facts(self) -> FactStore:
        return FactStore(self._work, node="", remembered_bytes=0)


def _head(store: ObjectStore, key: str) -> int:
    try:
        inventory = proof.parsed_inventory(store.read_bytes(key))
    except ObjectMissing:
        return 0
    return int(inventory["head"][1:]) if inventory else 0
