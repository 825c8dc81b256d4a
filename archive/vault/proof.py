"""What makes one version of a sealed dossier genuine: its seal, its dossier.json and its inventory tell one thing.

Pure over the bytes of these three files; whose a key is, the ring of keys tells.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from archive.signing.keys import KeyRing
from archive.signing.signing import is_signed
from archive.signing.timestamps import TimeStamps
from archive.vault import ocfl
from archive.vault.ocfl import Inventory

SEAL_FORMAT: Final = "lastgate/seal/1"
DOSSIER: Final = "dossier.json"
SEAL: Final = "seal.json"
STAMP: Final = "seal.tsr"


_ZONES: Final = timedelta(days=1)
"""Days of treatment are the site's, a seal's is that of UTC."""


def parsed(body: bytes | None) -> dict[str, Any] | None:
    """Return a JSON object, None if it is none."""
    try:
        document = json.loads(body or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def parsed_inventory(body: bytes | None) -> Inventory | None:
    """Return an inventory in which everything that is looked up stands, None otherwise."""
    inventory = parsed(body)
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


def version_problems(
    dossier: str, version: str, *, told: bytes | None, seal: bytes | None, inventory: Inventory, keys: KeyRing
) -> Iterator[str]:
    """Yield in words why a version is not what was sealed; nothing if it is.

    Parameters
    ----------
    version
        Such as ``v1``.
    told, seal
        Bytes of its dossier.json and seal.json, None if they can't be had.
    inventory
        Any inventory that names the version.
    """
    document = parsed(seal)
    if told is None or document is None:
        yield f"{version} has no seal that can be read"
        return
    if document.get("format") != SEAL_FORMAT:
        yield f"the seal of {version} is of the format {document.get('format')!r}, which this version does not know"
        return
    yield from _signature_problems(document, version, keys)
    if (document.get("dossier"), f"v{document.get('version')}") != (dossier, version):
        yield f"the seal of {version} is that of {document.get('dossier')} v{document.get('version')}"
    if document.get("dossier_sha256") != hashlib.sha256(told).hexdigest():
        yield f"the seal of {version} was made over another dossier.json"
    if told_files(told) != _held_files(inventory, version):
        yield f"the dossier.json of {version} names other files than the inventory"
    yield from _date_problems(document, told, version)


def _date_problems(seal: Mapping[str, Any], told: bytes, version: str) -> Iterator[str]:
    """Yield why a seal can't have been made when it says: it would be older than what it seals."""
    try:
        made_on = datetime.fromisoformat(str(seal.get("made_at"))).date()
        last = date.fromisoformat(str((parsed(told) or {}).get("last_fraction")))
    except ValueError:
        return
    if made_on + _ZONES < last:
        yield f"the seal of {version} is dated {made_on}, before the last fraction of {last}"


def order_problems(version: str, seal: bytes | None, before: bytes | None) -> Iterator[str]:
    """Yield why a version can't follow the one before it: its seal is dated earlier."""
    try:
        made_at, earlier = (datetime.fromisoformat(str((parsed(one) or {}).get("made_at"))) for one in (seal, before))
        is_earlier = made_at < earlier
    except (ValueError, TypeError):  # told of already
        return
    if is_earlier:
        yield f"the seal of {version} is dated before the one it follows"


def stamp_problems(version: str, seal: bytes | None, token: bytes | None, stamps: TimeStamps) -> Iterator[str]:
    """Yield why the time-stamp of a version does not prove when its seal was made."""
    if seal is None or token is None:
        yield f"the time-stamp of {version} can't be read"
        return
    problem = stamps.problem(seal, token)
    if problem:
        yield f"the time-stamp of {version} is no stamp of its seal: {problem}"


def _signature_problems(seal: Mapping[str, Any], version: str, keys: KeyRing) -> Iterator[str]:
    body = {name: value for name, value in seal.items() if name not in {"signature", "public_key"}}
    public_key = str(seal.get("public_key", ""))
    if not is_signed(body, signature=str(seal.get("signature", "")), public_key=public_key):
        yield f"the seal of {version} is not what was signed"
        return
    try:
        made_at = datetime.fromisoformat(str(seal.get("made_at")))
        problem = keys.problem(public_key, at=made_at)
    except (ValueError, TypeError):
        yield f"the seal of {version} does not tell when it was made"
        return
    if problem:
        yield f"the seal of {version} is signed {problem}"


def told_files(dossier_json: bytes) -> dict[str, str] | None:
    """Return the SHA-256 of each file that a dossier.json names, by logical path; None if it can't be read."""
    document = parsed(dossier_json) or {}
    try:
        files = {file["path"]: file["receipt"]["file_sha256"] for file in document["files"]}
        papers = {paper["path"]: paper["sha256"] for paper in document.get("papers", ())}
        return {**files, **papers}
    except (KeyError, TypeError):
        return None


def _held_files(inventory: Inventory, version: str) -> Mapping[str, str]:
    digests = ocfl.content_paths(inventory)
    paths = ocfl.logical_paths(inventory, version)
    return {path: digests[at][1] for path, at in paths.items() if path not in {DOSSIER, SEAL, STAMP}}
