"""The vault's format: OCFL 1.1 objects that any OCFL tool lists, checks and copies.

Only the format stands here, as pure functions; `archive.vault.vault` writes it.
Layout is extension 0003-hash-and-id-n-tuple-storage-layout with SHA-256,
three tuples of three characters.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ROOT = "vault"
ROOT_DECLARATION = "0=ocfl_1.1"
OBJECT_DECLARATION = "0=ocfl_object_1.1"
INVENTORY = "inventory.json"
SIDECAR = "inventory.json.sha512"
_LAYOUT = "0003-hash-and-id-n-tuple-storage-layout"
_TYPE = "https://ocfl.io/1.1/spec/#inventory"

Inventory = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFile:
    """One file of a version.

    Parameters
    ----------
    path
        Logical path inside the dossier, such as ``dicom/<series>/<uid>.dcm``.
    sha512, sha256
        Hex digests: the manifest's and the fixity block's.
    """

    path: str
    sha512: str
    sha256: str
    size_bytes: int


def object_folder(object_id: str) -> str:
    """Return the key under which an OCFL object lies; ids are lower-case letters and digits."""
    digest = hashlib.sha256(object_id.encode()).hexdigest()
    return f"{ROOT}/{digest[:3]}/{digest[3:6]}/{digest[6:9]}/{object_id}"


def root_files(readme: str) -> dict[str, bytes]:
    """Return the files of the storage root by key."""
    layout = {"extension": _LAYOUT, "description": "SHA-256 of the id in three tuples of three, then the id itself"}
    config = {
        "extensionName": _LAYOUT,
        "digestAlgorithm": "sha256",
        "tupleSize": 3,
        "numberOfTuples": 3,
    }
    return {
        f"{ROOT}/extensions/{_LAYOUT}/config.json": _json(config),
        f"{ROOT}/ocfl_layout.json": _json(layout),
        f"{ROOT}/README.txt": readme.encode(),
        f"{ROOT}/{ROOT_DECLARATION}": b"ocfl_1.1\n",
    }


def declaration() -> bytes:
    """Return the content of an object's declaration file."""
    return b"ocfl_object_1.1\n"


def next_inventory(
    object_id: str,
    before: Inventory | None,
    files: Iterable[ContentFile],
    *,
    created: str,
    message: str,
    account: str,
) -> Inventory:
    """Return the inventory of the next version, in which `files` are all that the version holds.

    Parameters
    ----------
    before
        Inventory of the newest version, None for the first.
    created
        RFC 3339 time.
    """
    number = 1 if before is None else int(before["head"][1:]) + 1
    manifest: dict[str, list[str]] = {} if before is None else {key: list(at) for key, at in before["manifest"].items()}
    fixity: dict[str, list[str]] = (
        {} if before is None else {k: list(at) for k, at in before["fixity"]["sha256"].items()}
    )
    state: dict[str, list[str]] = {}
    for file in files:
        state.setdefault(file.sha512, []).append(file.path)
        if file.sha512 not in manifest:
            content = f"v{number}/content/{file.path}"
            manifest[file.sha512] = [content]
            fixity.setdefault(file.sha256, []).append(content)
    version = {"created": created, "message": message, "user": {"name": account}, "state": state}
    return {
        "id": object_id,
        "type": _TYPE,
        "digestAlgorithm": "sha512",
        "head": f"v{number}",
        "contentDirectory": "content",
        "manifest": manifest,
        "fixity": {"sha256": fixity},
        "versions": {**({} if before is None else before["versions"]), f"v{number}": version},
    }


def with_file(inventory: Inventory, file: ContentFile) -> Inventory:
    """Return the inventory with one more file in its newest version."""
    head = inventory["head"]
    place = f"{head}/content/{file.path}"
    version = inventory["versions"][head]
    state = {**version["state"], file.sha512: [*version["state"].get(file.sha512, []), file.path]}
    if file.sha512 in inventory["manifest"]:  # the same bytes stand there already
        return {**inventory, "versions": {**inventory["versions"], head: {**version, "state": state}}}
    short = inventory["fixity"]["sha256"]
    return {
        **inventory,
        "manifest": {**inventory["manifest"], file.sha512: [place]},
        "fixity": {"sha256": {**short, file.sha256: [*short.get(file.sha256, []), place]}},
        "versions": {**inventory["versions"], head: {**version, "state": state}},
    }


def encode(inventory: Inventory) -> bytes:
    """Return an inventory as the bytes that are stored."""
    return _json(inventory)


def sidecar(inventory: bytes) -> bytes:
    """Return the content of the digest file beside an inventory."""
    return f"{hashlib.sha512(inventory).hexdigest()} {INVENTORY}\n".encode()


def content_paths(inventory: Inventory) -> dict[str, tuple[str, str]]:
    """Return sha512 and sha256 of each content file by its path in the object."""
    sha256_at = {path: digest for digest, paths in inventory["fixity"]["sha256"].items() for path in paths}
    return {path: (digest, sha256_at[path]) for digest, paths in inventory["manifest"].items() for path in paths}


def logical_paths(inventory: Inventory, version: str | None = None) -> dict[str, str]:
    """Return the content path of each logical path of a version, the newest if None."""
    state: Mapping[str, list[str]] = inventory["versions"][version or inventory["head"]]["state"]
    return {logical: inventory["manifest"][digest][0] for digest, paths in state.items() for logical in paths}


def _json(body: Mapping[str, object]) -> bytes:
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
