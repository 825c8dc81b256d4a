"""What must lie in a sealed dossier, byte for byte, proved from whatever genuine copies are left.

The three files that tell of a version (dossier.json, seal.json, inventory)
stand in each store and in the plan under ``sealing/``. Those that together
pass for genuine (`archive.vault.proof`) decide; nothing else is believed.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from archive.signing.keys import KeyRing
from archive.vault import ocfl, proof
from archive.vault.ocfl import Inventory
from storage.base import ObjectStore
from storage.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One set of the files that tell of a version; None where one can't be had."""

    dossier_json: bytes | None
    seal_json: bytes | None
    inventory: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A sealed dossier as it must be, by path in the object.

    Parameters
    ----------
    bodies
        Files that tell of the object: their very bytes.
    sha256s
        Content files: their SHA-256 (hex).
    versions
        Such as ``v1``; all that could be proved, without a gap.
    """

    bodies: dict[str, bytes]
    sha256s: dict[str, str]
    versions: tuple[str, ...]


def expected(
    dossier: str, *, replicas: Sequence[ObjectStore], plans: Sequence[tuple[int, Telling]], keys: KeyRing
) -> Expected | None:
    """Return what must lie in the dossier, None if not even its first version can be proved.

    Parameters
    ----------
    plans
        Version and files of the plans of its seals.
    """
    folder = ocfl.object_folder(dossier)
    bodies: dict[str, bytes] = {}
    sha256s: dict[str, str] = {}
    versions: list[str] = []
    while True:
        version = f"v{len(versions) + 1}"
        planned = [telling for number, telling in plans if number == len(versions) + 1]
        proved = _proved(dossier, version, [*planned, *(_stored(store, folder, version) for store in replicas)], keys)
        if proved is None or not any(_stands(store, folder, len(versions) + 1) for store in replicas):
            break
        told, seal, body, inventory = proved
        content = ocfl.content_paths(inventory)
        sha256s |= {path: sha256 for path, (_, sha256) in content.items()}
        bodies |= {
            f"{version}/content/{proof.DOSSIER}": told,
            f"{version}/content/{proof.SEAL}": seal,
            f"{version}/{ocfl.INVENTORY}": body,
            f"{version}/{ocfl.SIDECAR}": ocfl.sidecar(body),
            ocfl.INVENTORY: body,
            ocfl.SIDECAR: ocfl.sidecar(body),
        }
        versions.append(version)
    if not versions:
        return None
    bodies[ocfl.OBJECT_DECLARATION] = ocfl.declaration()
    return Expected(
        bodies=bodies,
        sha256s={path: sha256 for path, sha256 in sha256s.items() if path not in bodies},
        versions=tuple(versions),
    )


def _stands(store: ObjectStore, folder: str, number: int) -> bool:
    """Return whether a version was sealed, by what is left of it: a plan alone may be one nobody has carried out."""
    root = proof.parsed_inventory(_bytes(store, f"{folder}/{ocfl.INVENTORY}"))
    named = root is not None and f"v{number}" in root["versions"]
    return named or _bytes(store, f"{folder}/v{number}/{ocfl.INVENTORY}") is not None


def _stored(store: ObjectStore, folder: str, version: str) -> Telling:
    content = f"{folder}/{version}/content"
    return Telling(
        dossier_json=_bytes(store, f"{content}/{proof.DOSSIER}"),
        seal_json=_bytes(store, f"{content}/{proof.SEAL}"),
        inventory=_bytes(store, f"{folder}/{version}/{ocfl.INVENTORY}"),
    )


def _proved(
    dossier: str, version: str, tellings: Sequence[Telling], keys: KeyRing
) -> tuple[bytes, bytes, bytes, Inventory] | None:
    """Return dossier.json, seal.json and inventory that are genuine together, from whichever copies."""
    tolds = _distinct(one.dossier_json for one in tellings)
    seals = _distinct(one.seal_json for one in tellings)
    bodies = _distinct(one.inventory for one in tellings)
    for told, seal, body in product(tolds, seals, bodies):
        inventory = proof.parsed_inventory(body)
        if inventory is None or (inventory["id"], inventory["head"]) != (dossier, version):
            continue
        if not _names(inventory, version, told, seal):
            continue
        if next(proof.version_problems(dossier, version, told=told, seal=seal, inventory=inventory, keys=keys), None):
            continue
        return told, seal, body, inventory
    return None


def _names(inventory: Inventory, version: str, told: bytes, seal: bytes) -> bool:
    """Return whether an inventory names these two files, each by both digests."""
    content = ocfl.content_paths(inventory)
    own = {f"{version}/content/{proof.DOSSIER}": told, f"{version}/content/{proof.SEAL}": seal}
    return all(
        content.get(path) == (hashlib.sha512(body).hexdigest(), hashlib.sha256(body).hexdigest())
        for path, body in own.items()
    )


def _distinct(bodies: Iterator[bytes | None]) -> list[bytes]:
    return list(dict.fromkeys(body for body in bodies if body is not None))


def _bytes(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.read_bytes(key)
    except StorageError:
        return None
