"""Reads a sealed dossier back and tells, in words, what is wrong with it.

Everything is read: files against the digests of the inventory, inventories
against their sidecars and one another, each version's seal against its
signature, its signer and its dossier.json.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from archive.signing.keys import KeyRing
from archive.signing.signing import is_signed
from archive.vault import ocfl
from archive.vault.ocfl import Inventory
from storage.base import ObjectStore
from storage.errors import DigestMismatch, ObjectMissing
from storage.reading import read_back

SEAL_FORMAT = "lastgate/seal/1"


class Fixity:
    """Checks sealed dossiers.

    Parameters
    ----------
    locked
        Store of the vault.
    keys
        Whose public keys are whose.
    """

    def __init__(self, locked: ObjectStore, keys: KeyRing) -> None:
        self._locked = locked
        self._keys = keys

    def problems(self, dossier: str) -> Iterator[str]:
        """Yield what is wrong with a sealed dossier; nothing if it is whole."""
        for problem in self._problems(dossier, ocfl.object_folder(dossier)):
            yield f"{dossier}: {problem}"

    def _problems(self, dossier: str, folder: str) -> Iterator[str]:
        declared = self._bytes(f"{folder}/{ocfl.OBJECT_DECLARATION}")
        body = self._bytes(f"{folder}/{ocfl.INVENTORY}")
        if declared is None and body is None:
            yield f"there is no sealed dossier at {folder}"
            return
        if declared != ocfl.declaration():
            yield f"{ocfl.OBJECT_DECLARATION} is missing or is not what was written"
        inventory = _inventory(body)
        if inventory is None:
            yield f"{ocfl.INVENTORY} is missing or can't be read, so that nothing below it can be checked"
            return
        if inventory["id"] != dossier:
            yield f"{ocfl.INVENTORY} is that of {inventory['id']}"
        yield from self._inventory_problems(folder, inventory, body or b"")
        yield from self._content_problems(folder, inventory)
        yield from self._foreign_files(folder, inventory)
        for version in inventory["versions"]:
            yield from self._seal_problems(dossier, folder, inventory, version)

    def _inventory_problems(self, folder: str, inventory: Inventory, root: bytes) -> Iterator[str]:
        if self._bytes(f"{folder}/{ocfl.SIDECAR}") != ocfl.sidecar(root):
            yield f"{ocfl.INVENTORY} does not have the digest beside it"
        for version, told in inventory["versions"].items():
            body = self._bytes(f"{folder}/{version}/{ocfl.INVENTORY}")
            own = _inventory(body)
            if body is None or own is None:
                yield f"{version}/{ocfl.INVENTORY} is missing or can't be read"
                continue
            if self._bytes(f"{folder}/{version}/{ocfl.SIDECAR}") != ocfl.sidecar(body):
                yield f"{version}/{ocfl.INVENTORY} does not have the digest beside it"
            if own["head"] != version or own["versions"].get(version) != told:
                yield f"{version}/{ocfl.INVENTORY} does not tell what the root inventory tells of {version}"
            if version == inventory["head"] and body != root:
                yield f"the root inventory is not the inventory of {version}"

    def _content_problems(self, folder: str, inventory: Inventory) -> Iterator[str]:
        for path, (sha512, sha256) in sorted(ocfl.content_paths(inventory).items()):
            key = f"{folder}/{path}"
            try:
                found = read_back(self._locked, key, sha256=sha256, size_bytes=self._locked.stat(key).size_bytes)
            except ObjectMissing:
                yield f"{path} is missing"
            except DigestMismatch as error:
                yield f"{path}: {error}"
            else:
                if found != sha512:
                    yield f"{path}: its SHA-512 is not the one in the inventory"

    def _foreign_files(self, folder: str, inventory: Inventory) -> Iterator[str]:
        places = ("", *(f"{version}/" for version in inventory["versions"]))
        named = {f"{place}{name}" for place in places for name in (ocfl.INVENTORY, ocfl.SIDECAR)}
        named |= {ocfl.OBJECT_DECLARATION, *ocfl.content_paths(inventory)}
        for stat in self._locked.list(f"{folder}/"):
            path = stat.key.removeprefix(f"{folder}/")
            if path not in named:
                yield f"{path}: a file that no inventory names"

    def _seal_problems(self, dossier: str, folder: str, inventory: Inventory, version: str) -> Iterator[str]:
        paths = ocfl.logical_paths(inventory, version)
        told = self._bytes(f"{folder}/{paths.get('dossier.json', 'dossier.json')}")
        seal = _document(self._bytes(f"{folder}/{paths.get('seal.json', 'seal.json')}"))
        if told is None or seal is None:
            yield f"{version} has no seal that can be read"
            return
        if seal.get("format") != SEAL_FORMAT:
            yield f"the seal of {version} is of the format {seal.get('format')!r}, which this version does not know"
            return
        body = {name: value for name, value in seal.items() if name not in {"signature", "public_key"}}
        if not is_signed(body, signature=seal.get("signature", ""), public_key=seal.get("public_key", "")):
            yield f"the seal of {version} is not what was signed"
        elif self._keys.owner(seal["public_key"]) is None:
            yield f"the seal of {version} is signed by a key that is no node's"
        if (seal.get("dossier"), f"v{seal.get('version')}") != (dossier, version):
            yield f"the seal of {version} is that of {seal.get('dossier')} v{seal.get('version')}"
        if seal.get("dossier_sha256") != hashlib.sha256(told).hexdigest():
            yield f"the seal of {version} was made over another dossier.json"
        if _files_told(told) != _files_held(inventory, version):
            yield f"the dossier.json of {version} names other files than the inventory"

    def _bytes(self, key: str) -> bytes | None:
        try:
            return self._locked.read_bytes(key)
        except ObjectMissing:
            return None


def _document(body: bytes | None) -> dict[str, Any] | None:
    try:
        document = json.loads(body or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _inventory(body: bytes | None) -> Inventory | None:
    """Return an inventory in which everything that is looked up stands, None otherwise."""
    inventory = _document(body)
    try:
        if inventory is None:
            return None
        ocfl.content_paths(inventory)
        for version in inventory["versions"]:
            ocfl.logical_paths(inventory, version)
        known = isinstance(inventory["id"], str) and inventory["head"] in inventory["versions"]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        return None
    return inventory if known else None


def _files_told(dossier_json: bytes) -> dict[str, str] | None:
    """Return the SHA-256 of each file that a dossier.json names, by path."""
    document = _document(dossier_json) or {}
    try:
        return {file["path"]: file["receipt"]["file_sha256"] for file in document["files"]}
    except (KeyError, TypeError):
        return None


def _files_held(inventory: Inventory, version: str) -> Mapping[str, str]:
    digests = ocfl.content_paths(inventory)
    paths = ocfl.logical_paths(inventory, version)
    return {path: digests[at][1] for path, at in paths.items() if path not in {"dossier.json", "seal.json"}}
