"""Seals as witnesses of the journals: each names the heads of all chains as they were when it was made."""

import json
from collections.abc import Iterator
from typing import Any, Final

from archive.journal.audit import Witness
from archive.signing.keys import KeyRing
from archive.signing.signing import is_signed
from archive.vault import ocfl
from storage.base import ObjectStore

_SEAL: Final = "/content/seal.json"


def seal_witnesses(locked: ObjectStore, keys: KeyRing) -> Iterator[Witness]:
    """Yield what the seals of all sealed dossiers have seen of the journals.

    A seal that is not what a node signed proves nothing and is left out; fixity tells of it.
    """
    for stat in locked.list(f"{ocfl.ROOT}/"):
        if not stat.key.endswith(_SEAL):
            continue
        seal = _genuine(locked.read_bytes(stat.key), keys)
        heads = seal.get("journal_heads") if seal else None
        for node, end in (heads if isinstance(heads, dict) else {}).items():
            name = f"{seal.get('dossier')} v{seal.get('version')}"
            yield Witness(kind="seal", name=name, node=str(node), hash=str(end))


def _genuine(body: bytes, keys: KeyRing) -> dict[str, Any]:
    try:
        seal = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(seal, dict):
        return {}
    told = {name: value for name, value in seal.items() if name not in {"signature", "public_key"}}
    public_key = str(seal.get("public_key", ""))
    is_genuine = is_signed(told, signature=str(seal.get("signature", "")), public_key=public_key)
    return seal if is_genuine and keys.owner(public_key) is not None else {}
