"""What is read back, in pieces: each unit is one object, one dossier or one segment, in all stores that hold it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from archive.vault import ocfl
from archive.vault.damage import Damage, StoreName, of_flaw
from archive.vault.disposal import FOLDER as DISPOSED
from archive.vault.disposal import Disposals
from archive.vault.fixity import Flaw, as_flaw
from archive.vault.vault import Vault
from storage.base import ObjectStore, Replicated
from storage.errors import ObjectMissing, StorageError
from storage.reading import Digests, digests, mismatch, replicas_of

NAMED_FOLDERS: Final = (
    "intake/dicom",
    "intake/documents",
    "intake/packages",
    "conflict",
    "quarantine",
    "papers",
    "damaged",
)
"""Below them an object's name is its SHA-256."""

_NAMED: Final = re.compile(rf"(?:{'|'.join(NAMED_FOLDERS)})/[0-9a-f]{{2}}/([0-9a-f]{{64}})")
_LOOKS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of checking one unit.

    Parameters
    ----------
    size_bytes
        So much was read, in all stores together.
    flaws
        By store: 1 is the first, 2 the second.
    """

    objects: int
    size_bytes: int
    flaws: Mapping[int, tuple[Flaw, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Something that is checked in one piece.

    Parameters
    ----------
    name
        Names it in records of damage.
    position
        Units of one station come in this order.
    check
        Reads it; raises `StoreUnavailable` where nothing can be read at all.
    """

    name: str
    position: str
    store: StoreName
    check: Callable[[], Checked]
    dossier: str = ""

    def damages(self, checked: Checked, *, found_at: datetime) -> list[Damage]:
        """Return what is recorded of the flaws of this unit."""
        return [
            of_flaw(
                flaw,
                unit=self.name,
                store=self.store,
                copy=copy,
                key=self._key(flaw),
                found_at=found_at,
                dossier=self.dossier,
            )
            for copy, flaws in checked.flaws.items()
            for flaw in flaws
        ]

    def _key(self, flaw: Flaw) -> str:
        if not self.dossier:
            return flaw.path
        return "/".join(part for part in (ocfl.object_folder(self.dossier), flaw.path) if part)


def named_sha256(key: str) -> str | None:
    """Return the SHA-256 that the name of an object tells, None if it tells none."""
    found = _NAMED.fullmatch(key)
    return found[1] if found else None


def is_replaced(key: str) -> bool:
    """Return whether the document under a key may be replaced, so that the first store's state is right."""
    return key.startswith("site/")


def is_behind(store: ObjectStore, key: str) -> bool:
    """Return whether it is known that the second store has not got the newest state of a key yet."""
    return isinstance(store, Replicated) and store.is_behind(key)


def listed(store: ObjectStore, prefix: str) -> list[str]:
    """Return the keys below `prefix` in any of the stores that hold copies, in order."""
    return sorted({stat.key for replica in replicas_of(store) for stat in replica.list(prefix)})


def dossier_units(
    vault: Vault, locked: ObjectStore, prefix: str, *, full: bool, pool: Executor | None
) -> Iterator[Unit]:
    """Yield the sealed dossiers whose folders begin with `prefix` (below ``vault/``)."""
    folders: dict[str, None] = {}
    for replica in replicas_of(locked):
        for stat in replica.list(f"{ocfl.ROOT}/{prefix}"):
            parts = stat.key.split("/")
            if len(parts) > 5:
                folders["/".join(parts[:5])] = None
    for folder in sorted(folders):
        yield dossier_unit(vault, locked, folder.rpartition("/")[2], full=full, pool=pool)


def dossier_unit(vault: Vault, locked: ObjectStore, dossier: str, *, full: bool, pool: Executor | None) -> Unit:
    """Return the unit that is one sealed dossier."""
    folder = ocfl.object_folder(dossier)

    def check() -> Checked:
        flaws, objects, size = {}, 0, 0
        if is_leaving(locked, dossier):
            return Checked(objects=0, size_bytes=0)
        for copy, replica in enumerate(replicas_of(locked), 1):
            if not _is_sealed(vault, dossier, folder, replica):
                continue
            found = tuple(vault.fixity(replica, full=full, pool=pool).flaws(dossier))
            sizes = [stat.size_bytes for stat in replica.list(f"{folder}/")]
            objects, size = objects + len(sizes), size + sum(sizes)
            if found and not (copy > 1 and all(is_behind(locked, f"{folder}/{flaw.path}") for flaw in found)):
                flaws[copy] = found
        return Checked(objects=objects, size_bytes=size, flaws=flaws)

    return Unit(name=folder, position=folder, store="vault", check=check, dossier=dossier)


def is_leaving(locked: ObjectStore, dossier: str) -> bool:
    """Return whether a dossier is being destroyed, or was: what a store still holds of it is never brought back."""
    disposals = Disposals(work=locked, locked=locked)
    if next(disposals.unfinished(dossier), None) is not None:
        return True
    was_destroyed = any(True for _ in locked.list(f"{DISPOSED}{dossier}/"))
    return was_destroyed and not any(True for _ in locked.list(f"{ocfl.object_folder(dossier)}/"))


def _is_sealed(vault: Vault, dossier: str, folder: str, replica: ObjectStore) -> bool:
    """Return whether there is anything to check: the first seal may be under way, and then nothing is declared yet."""
    places = (f"{folder}/{ocfl.OBJECT_DECLARATION}", f"{folder}/{ocfl.INVENTORY}")
    return any(stands(replica, place) for place in places) or not vault.is_underway(dossier, "v1")


def object_units(store: ObjectStore, name: StoreName, prefix: str) -> Iterator[Unit]:
    """Yield the objects below `prefix`, each by itself."""
    return (object_unit(store, name, key) for key in listed(store, prefix))


def object_unit(store: ObjectStore, name: StoreName, key: str) -> Unit:
    """Return one object as a unit; its name tells its SHA-256, or it can only be read."""
    return Unit(name=key, position=key, store=name, check=object_check(store, key, named_sha256(key)))


def object_check(store: ObjectStore, key: str, sha256: str | None) -> Callable[[], Checked]:
    """Return what reads an object back, and looks twice before it finds fault."""

    def check() -> Checked:
        checked = Checked(objects=0, size_bytes=0)
        for _ in range(_LOOKS):  # what was replaced or deleted between two reads is looked at again
            checked = looked_at(store, key, sha256)
            if not checked.flaws:
                break
        return checked

    return check


def looked_at(store: ObjectStore, key: str, sha256: str | None) -> Checked:
    """Read an object in all stores that hold it, and compare with what its name tells or what is known of it."""
    found: dict[int, Digests] = {}
    flaws: dict[int, tuple[Flaw, ...]] = {}
    for copy, replica in enumerate(replicas_of(store), 1):
        try:
            found[copy] = digests(replica, key)
        except StorageError as error:
            flaws[copy] = (as_flaw(error, key, sha256=sha256 or ""),)
    if all(flaw.kind == "missing" for one in flaws.values() for flaw in one) and not found:
        return Checked(objects=0, size_bytes=0)  # deleted since it was listed
    wanted = sha256 or _agreed(store, key, found)
    for copy, what in found.items():
        flaw = _object_flaw(key, what, wanted, sha256)
        if flaw is not None:
            flaws[copy] = (flaw,)
    flaws = {
        copy: tuple(replace(flaw, sha256=flaw.sha256 or wanted) for flaw in one)
        for copy, one in flaws.items()
        if copy == 1 or not is_behind(store, key)
    }
    size = sum(what.size_bytes for what in found.values())
    return Checked(objects=len(found), size_bytes=size, flaws=flaws)


def _agreed(store: ObjectStore, key: str, found: Mapping[int, Digests]) -> str:
    """Return the digest of an object whose name tells none, as far as it can be told: of copies that can be read.

    Of documents that are replaced the first store's state is right. Where nothing tells which of two is right there is
    no answer.
    """
    readable = [what.sha256 for copy, what in found.items() if _is_readable(replicas_of(store)[copy - 1], key)]
    return readable[0] if len(set(readable)) == 1 or (readable and is_replaced(key)) else ""


def _object_flaw(key: str, what: Digests, wanted: str, known: str | None) -> Flaw | None:
    if wanted and what.sha256 != wanted:
        told = mismatch(key, found=(what.sha256, what.size_bytes), sha256=wanted, size_bytes=what.size_bytes)
        return Flaw(kind="changed", path=key, problem=told, sha256=wanted)
    if not wanted and known is None:
        return Flaw(kind="changed", path=key, problem=f"{key} can't be read as what it must be, or its copies differ")
    return None


def _is_readable(store: ObjectStore, key: str) -> bool:
    """Return whether a small document is what its name says: lines of JSON, or JSON."""
    if not key.endswith((".json", ".jsonl")):
        return True
    try:
        body = store.read_bytes(key)
        for line in body.splitlines() if key.endswith(".jsonl") else [body]:
            json.loads(line)
    except (StorageError, ValueError):
        return False
    return True


def stands(store: ObjectStore, key: str) -> bool:
    """Return whether something stands under a key."""
    try:
        store.stat(key)
    except ObjectMissing:
        return False
    return True
