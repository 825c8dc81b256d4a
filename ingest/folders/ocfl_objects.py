"""Checking OCFL objects (1.0 and 1.1): whole and true to their inventories, or refused."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ingest.errors import BadPackage
from ingest.folders.checked import Checked, bytes_of, compare, refuse, safe_path, text_of
from ingest.folders.markers import OBJECT_DECLARATIONS
from ingest.folders.trees import Tree

_ALGORITHMS: Final = frozenset({"sha256", "sha512"})
_INVENTORY: Final = "inventory.json"
_VERSION: Final = re.compile(r"v[0-9]+")
_OWN: Final = re.compile(r"0=ocfl_object_1\.[01]|(v[0-9]+/)?inventory\.json(\.sha(256|512))?|(logs|extensions)/.*")
_OWN_OF_ROOT: Final = re.compile(r"0=ocfl_1\.[01]|ocfl_[^/]*|readme[^/]*|extensions/.*", re.I)


def objects_in(tree: Tree) -> list[str]:
    """Return the folders of a tree that hold an object, each with a slash at its end, empty for the tree itself."""
    names = (name.rpartition("/") for name in tree.names)
    return sorted({folder + slash for folder, slash, last in names if last in OBJECT_DECLARATIONS})


def is_of_root(name: str) -> bool:
    """Return whether a file outside of all objects is one that makes a storage root."""
    return _OWN_OF_ROOT.fullmatch(name) is not None


def check_object(tree: Tree) -> Checked:
    """Read an object against its inventory, all versions of it.

    Raises
    ------
    BadPackage
        It is not whole or not true to its inventory.
    """
    inventory, algorithm = _inventory(tree, "")
    try:
        manifest = {digest.lower(): list(map(safe_path, paths)) for digest, paths in inventory["manifest"].items()}
        states = [_state(inventory, version) for version in _newest_first(inventory)]
        content = inventory.get("contentDirectory", "content")
        fixity = _fixity(inventory)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadPackage(f"{_INVENTORY} is no inventory of an OCFL object") from error
    digests = {path: digest for digest, paths in manifest.items() for path in paths}
    refuse([f"{path} stands in no inventory" for path in _content_names(tree, content) if path not in digests])
    for version in inventory["versions"]:
        if f"{version}/{_INVENTORY}" in tree.names:
            _inventory(tree, f"{version}/")
    wanted = {path: {**fixity.get(path, {}), algorithm: digest} for path, digest in digests.items()}
    sha256s = compare(tree, wanted)
    own = frozenset(name for name in tree.names if _OWN.fullmatch(name))
    return Checked(payload=_payload(states, manifest), sha256s=sha256s, own=own)


def _inventory(tree: Tree, at: str) -> tuple[dict[str, Any], str]:
    """Return an inventory whose digest stands beside it, and the algorithm of its digests."""
    body = bytes_of(tree, f"{at}{_INVENTORY}")
    try:
        inventory = json.loads(body)
        algorithm = str(inventory["digestAlgorithm"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadPackage(f"{at}{_INVENTORY} can't be read") from error
    if algorithm not in _ALGORITHMS:
        raise BadPackage(f"{at}{_INVENTORY} has digests of the kind {algorithm[:20]!r}, which prove nothing")
    beside = text_of(tree, f"{at}{_INVENTORY}.{algorithm}").split()
    compare(tree, {f"{at}{_INVENTORY}": {algorithm: beside[0] if beside else ""}})
    return inventory, algorithm


def _newest_first(inventory: Mapping[str, Any]) -> list[str]:
    versions = sorted(inventory["versions"], key=lambda version: int(version[1:]), reverse=True)
    if not versions or versions[0] != inventory["head"]:
        raise BadPackage(f"{_INVENTORY} names a newest version that it does not tell of")
    return versions


def _state(inventory: Mapping[str, Any], version: str) -> dict[str, str]:
    """Return the digest of each logical path of a version."""
    state = inventory["versions"][version]["state"]
    return {safe_path(path): digest.lower() for digest, paths in state.items() for path in paths}


def _fixity(inventory: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for algorithm, block in inventory.get("fixity", {}).items():
        for digest, paths in block.items() if algorithm in _ALGORITHMS else ():
            for path in paths:
                found.setdefault(path, {})[algorithm] = digest
    return found


def _content_names(tree: Tree, content: str) -> Iterator[str]:
    for name in tree.names:
        version, _, rest = name.partition("/")
        if _VERSION.fullmatch(version) and rest.startswith(f"{content}/"):
            yield name


def _payload(states: list[dict[str, str]], manifest: Mapping[str, list[str]]) -> dict[str, str]:
    """Return every content once: of the newest version under its path there, older content under its path then."""
    payload: dict[str, str] = {}
    seen: set[str] = set()
    for state in states:
        for path, digest in sorted(state.items()):
            if digest not in manifest:
                raise BadPackage(f"{_INVENTORY} tells of {path} but not where it lies")
            if digest not in seen:
                place = path if path not in payload else f"{path}.{digest[:16]}"
                payload[posixpath.normpath(place)] = manifest[digest][0]
                seen.add(digest)
    return payload
