"""Reading a package against its digests: before anything of it is taken, every file must be what was packed."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from ingest.errors import BadPackage
from ingest.folders.trees import Tree

_LONGEST_LIST_BYTES: Final = 256 * 1024 * 1024
_LINE: Final = re.compile(r"([0-9A-Fa-f]+)[ \t]+\*?(.+)")
_TOLD: Final = 3
"""So many of several faults are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A package in which every file is what its lists of digests say.

    Parameters
    ----------
    payload
        Path in the tree of each file of the dossier, by its path in the dossier.
    sha256s
        Hex digest of each file that was read, by its path in the tree.
    own
        Path in the tree of each file that makes it a package and is nobody's record.
    """

    payload: Mapping[str, str]
    sha256s: Mapping[str, str]
    own: frozenset[str]


def safe_path(text: str) -> str:
    """Return a path out of a list of a package. Raises `BadPackage` for one that leads out of it."""
    path = PurePosixPath(text)
    control = any(ord(character) < 0x20 for character in text)
    if control or not path.parts or path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text[:2]:
        raise BadPackage(f"It names a file outside of itself: {text[:120]!r}")
    return path.as_posix()


def text_of(tree: Tree, name: str) -> str:
    """Return a small file as text. Raises `BadPackage` if it is missing, too long or no text."""
    try:
        return bytes_of(tree, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadPackage(f"{name} is no text in UTF-8") from error


def bytes_of(tree: Tree, name: str) -> bytes:
    """Return a small file. Raises `BadPackage` if it is missing or too long for what it is."""
    size = tree.names.get(name)
    if size is None:
        raise BadPackage(f"{name} is missing")
    if size > _LONGEST_LIST_BYTES:
        raise BadPackage(f"{name} is {size} bytes long, which no list of a package is")
    return b"".join(tree.pieces(name))


def digests_in(text: str, name: str) -> dict[str, str]:
    """Return what a list of digests says: hex digest by path.

    Raises
    ------
    BadPackage
        A line is none, a path leads out of the package, or two lines tell different things of a file.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise BadPackage(f"{name} holds a line that is no digest and path: {line[:80]!r}")
        path, digest = safe_path(parts[2]), parts[1].lower()
        if found.setdefault(path, digest) != digest:
            raise BadPackage(f"{name} tells two digests of {path}")
    return found


def compare(tree: Tree, wanted: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Read files, compare them with their digests, and return the SHA-256 of each.

    Parameters
    ----------
    wanted
        By path, hex digest by the name of the algorithm, as `hashlib` knows it.

    Raises
    ------
    BadPackage
        Files are missing or are not what was packed; the message names the first of them.
    """
    faults: list[str] = []
    found: dict[str, str] = {}
    for name in sorted(wanted):
        if name not in tree.names:
            faults.append(f"{name} is missing")
            continue
        digests = {algorithm: hashlib.new(algorithm) for algorithm in {"sha256", *wanted[name]}}
        for piece in tree.pieces(name):
            for digest in digests.values():
                digest.update(piece)
        found[name] = digests["sha256"].hexdigest()
        if any(digests[algorithm].hexdigest() != told.lower() for algorithm, told in wanted[name].items()):
            faults.append(f"{name} is not what was packed")
    refuse(faults)
    return found


def refuse(faults: list[str]) -> None:
    """Raise `BadPackage` if there are faults."""
    if faults:
        more = f" and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        raise BadPackage(f"{'; '.join(faults[:_TOLD])}{more}")
