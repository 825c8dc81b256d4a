"""Reads a sealed dossier back and tells, in words, what is wrong with it.

Everything is read once: files against the digests of the inventory,
inventories against their sidecars and one another, each version's seal against
its signature, its signer and its dossier.json. One store is looked at: where
there are two, each copy is checked by itself.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

from archive.signing.keys import KeyRing
from archive.signing.timestamps import TimeStamps
from archive.vault import ocfl, proof
from archive.vault.ocfl import Inventory
from archive.vault.proof import SEAL_FORMAT, parsed_inventory
from storage.base import ObjectStore
from storage.errors import DigestMismatch, ObjectMissing, StorageError
from storage.reading import Digests, digests, mismatch

__all__ = ["SEAL_FORMAT", "Fixity", "Flaw", "FlawKind"]

FlawKind = Literal["missing", "changed", "foreign", "forged", "unread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong with a stored copy.

    Parameters
    ----------
    kind
        ``missing``; ``changed``: other bytes than were recorded; ``foreign``: nothing names it; ``forged``: a seal that
        proves nothing; ``unread``: the store could not give it now, which says nothing about the bytes.
    path
        In the sealed object, empty where the whole object is meant; outside the vault the key.
    problem
        In words.
    sha256, size_bytes
        What the bytes must be, where that is known.
    """

    kind: FlawKind
    path: str
    problem: str
    sha256: str = ""
    size_bytes: int | None = None


class Fixity:
    """Checks sealed dossiers in one store.

    Parameters
    ----------
    locked
        Store of the vault, or one of its replicas.
    keys
        Whose public keys are whose.
    underway
        Whether the seal of a version (dossier, ``v2``) was begun: its files may stand before any inventory names them.
    full
        Compare the SHA-512 of the manifest too, which costs twice the SHA-256 of the fixity block. The signed
        dossier.json names files by SHA-256, so a routine check proves as much without it.
    pool
        Reads several files of a dossier at once; None reads one after the other.
    stamps
        Checks time-stamps; None leaves them to others.
    """

    def __init__(
        self,
        locked: ObjectStore,
        keys: KeyRing,
        *,
        underway: Callable[[str, str], bool] = lambda _dossier, _version: False,
        full: bool = True,
        pool: Executor | None = None,
        stamps: TimeStamps | None = None,
    ) -> None:
        self._locked = locked
        self._keys = keys
        self._underway = underway
        self._full = full
        self._pool = pool
        self._stamps = stamps

    def problems(self, dossier: str) -> Iterator[str]:
        """Yield what is wrong with a sealed dossier; nothing if it is whole."""
        for flaw in self.flaws(dossier):
            yield f"{dossier}: {flaw.problem}"

    def flaws(self, dossier: str) -> Iterator[Flaw]:
        """Yield the same, each with its place.

        Raises
        ------
        StoreUnavailable
            The list of its files can't be had.
        """
        folder = ocfl.object_folder(dossier)
        sizes = {stat.key.removeprefix(f"{folder}/"): stat.size_bytes for stat in self._locked.list(f"{folder}/")}
        read = _OwnFiles(self._locked, folder, sizes)
        if ocfl.OBJECT_DECLARATION not in sizes and ocfl.INVENTORY not in sizes:
            yield _flaw("missing", "", f"there is no sealed dossier at {folder}")
            return
        if read.get(ocfl.OBJECT_DECLARATION) != ocfl.declaration():
            what = f"{ocfl.OBJECT_DECLARATION} is missing or is not what was written"
            yield _flaw("changed", ocfl.OBJECT_DECLARATION, what)
        inventory = parsed_inventory(read.get(ocfl.INVENTORY))
        if inventory is None:
            what = f"{ocfl.INVENTORY} is missing or can't be read, so that nothing below it can be checked"
            yield _flaw("changed", ocfl.INVENTORY, what)
            yield from read.unread()
            return
        if inventory["id"] != dossier:
            yield _flaw("changed", ocfl.INVENTORY, f"{ocfl.INVENTORY} is that of {inventory['id']}")
        yield from self._inventory_flaws(inventory, read)
        yield from self._content_flaws(folder, inventory, sizes, read)
        yield from self._foreign_files(dossier, inventory, sizes)
        for version in inventory["versions"]:
            yield from self._seal_flaws(dossier, inventory, version, read)
        yield from read.unread()

    def _inventory_flaws(self, inventory: Inventory, read: "_OwnFiles") -> Iterator[Flaw]:
        root = read.get(ocfl.INVENTORY) or b""
        if read.get(ocfl.SIDECAR) != ocfl.sidecar(root):
            yield _flaw("changed", ocfl.SIDECAR, f"{ocfl.INVENTORY} does not have the digest beside it")
        for version, told in inventory["versions"].items():
            name = f"{version}/{ocfl.INVENTORY}"
            body = read.get(name)
            own = parsed_inventory(body)
            if body is None or own is None:
                yield _flaw("changed", name, f"{name} is missing or can't be read")
                continue
            if read.get(f"{version}/{ocfl.SIDECAR}") != ocfl.sidecar(body):
                yield _flaw("changed", f"{version}/{ocfl.SIDECAR}", f"{name} does not have the digest beside it")
            if own["head"] != version or own["versions"].get(version) != told:
                yield _flaw("changed", name, f"{name} does not tell what the root inventory tells of {version}")
            if version == inventory["head"] and body != root:
                yield _flaw("changed", ocfl.INVENTORY, f"the root inventory is not the inventory of {version}")

    def _content_flaws(
        self, folder: str, inventory: Inventory, sizes: dict[str, int], read: "_OwnFiles"
    ) -> Iterator[Flaw]:
        """Read the content; what tells of the dossier is read once and serves the check of the seal as well."""
        paths = sorted(ocfl.content_paths(inventory).items())

        def check(named: tuple[str, tuple[str, str]]) -> Flaw | None:
            path, (sha512, sha256) = named
            if path not in sizes:
                return _flaw("missing", path, f"{path} is missing", sha256=sha256)
            own = path.rpartition("/")[2] in (proof.DOSSIER, proof.SEAL) and path.count("/") == 2
            try:
                found = read.digests(path) if own else digests(self._locked, f"{folder}/{path}", long=self._full)
            except StorageError as error:
                return as_flaw(error, path, sha256=sha256)
            if found is None:  # told as unread at the end
                return None
            if found.sha256 != sha256:
                told = mismatch(path, found=(found.sha256, found.size_bytes), sha256=sha256, size_bytes=sizes[path])
                return _flaw("changed", path, f"{path}: {told}", sha256=sha256)
            if found.sha512 not in (None, sha512):
                return _flaw("changed", path, f"{path}: its SHA-512 is not the one in the inventory", sha256=sha256)
            return None

        found = map(check, paths) if self._pool is None else self._pool.map(check, paths)
        yield from (flaw for flaw in found if flaw is not None)

    def _foreign_files(self, dossier: str, inventory: Inventory, sizes: dict[str, int]) -> Iterator[Flaw]:
        places = ("", *(f"{version}/" for version in inventory["versions"]))
        named = {f"{place}{name}" for place in places for name in (ocfl.INVENTORY, ocfl.SIDECAR)}
        named |= {ocfl.OBJECT_DECLARATION, *ocfl.content_paths(inventory)}
        for path in sizes:
            version = path.partition("/")[0]
            begun = path not in named and version not in inventory["versions"] and self._underway(dossier, version)
            if path not in named and not begun:
                yield _flaw("foreign", path, f"{path}: a file that no inventory names")

    def _seal_flaws(self, dossier: str, inventory: Inventory, version: str, read: "_OwnFiles") -> Iterator[Flaw]:
        paths = ocfl.logical_paths(inventory, version)
        told, seal = (read.get(paths.get(name, name)) for name in (proof.DOSSIER, proof.SEAL))
        place = paths.get(proof.SEAL, f"{version}/content/{proof.SEAL}")
        for problem in proof.version_problems(
            dossier, version, told=told, seal=seal, inventory=inventory, keys=self._keys
        ):
            yield _flaw("forged", place, problem)
        if int(version[1:]) > 1:
            earlier = ocfl.logical_paths(inventory, f"v{int(version[1:]) - 1}").get(proof.SEAL, "")
            for problem in proof.order_problems(version, seal, read.get(earlier)):
                yield _flaw("forged", place, problem)
        if proof.STAMP in paths and self._stamps is not None:
            for problem in proof.stamp_problems(version, seal, read.get(paths[proof.STAMP]), self._stamps):
                yield _flaw("forged", paths[proof.STAMP], problem)


class _OwnFiles:
    """The small files that tell of an object, each read once."""

    def __init__(self, store: ObjectStore, folder: str, sizes: dict[str, int]) -> None:
        self._store = store
        self._folder = folder
        self._sizes = sizes
        self._read: dict[str, bytes | None] = {}
        self._unread: dict[str, Flaw] = {}

    def get(self, path: str) -> bytes | None:
        """Return a file, None if it is not there or can't be read."""
        if path not in self._read:
            self._read[path] = None
            if path in self._sizes:
                try:
                    self._read[path] = self._store.read_bytes(f"{self._folder}/{path}")
                except StorageError as error:
                    self._unread[path] = as_flaw(error, path)
        return self._read[path]

    def digests(self, path: str) -> Digests | None:
        """Return what a file is, None if it can't be read."""
        body = self.get(path)
        if body is None:
            return None
        short, long = hashlib.sha256(body).hexdigest(), hashlib.sha512(body).hexdigest()
        return Digests(sha256=short, size_bytes=len(body), sha512=long)

    def unread(self) -> Iterator[Flaw]:
        """Yield what could not be read."""
        yield from self._unread.values()


def as_flaw(error: StorageError, path: str, *, sha256: str = "") -> Flaw:
    """Return what an error tells of a copy. An answer that did not come means "not yet", never "missing"."""
    if isinstance(error, ObjectMissing):
        return _flaw("missing", path, f"{path} is missing", sha256=sha256)
    if isinstance(error, DigestMismatch):
        return _flaw("changed", path, f"{path}: {error}", sha256=sha256)
    return _flaw("unread", path, f"{path} can't be read now: {error}", sha256=sha256)


def _flaw(kind: FlawKind, path: str, problem: str, *, sha256: str = "") -> Flaw:
    return Flaw(kind=kind, path=path, problem=problem, sha256=sha256)
