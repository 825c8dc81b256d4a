"""The files below one place, alike in a folder and in a zip archive."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from archive.handover.formats import PackageFormat
from ingest.folders.found import FoundFile, NotFoundFit, find_files, open_file, pieces_of
from ingest.folders.zips import CheckedZip


class Tree(Protocol):
    """Files below one place, by their paths with slashes.

    Parameters
    ----------
    shown
        What the place is called in the report.
    kind
        What it is.
    """

    shown: str
    kind: Literal["folder", "zip"]

    @property
    def names(self) -> Mapping[str, int]:
        """Length of each file by its path."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file. Raises `NotTaken` if it can't be read or changes meanwhile."""


class FolderTree:
    """Files below a folder.

    Parameters
    ----------
    limit_bytes
        The longest file that is read.
    """

    kind: Literal["folder", "zip"] = "folder"

    def __init__(self, root: Path, *, shown: str, limit_bytes: int) -> None:
        self.shown = shown
        self._root = root
        self._limit_bytes = limit_bytes

    @cached_property
    def names(self) -> Mapping[str, int]:
        """See `Tree.names`."""
        files = (one.path for one in self._found if isinstance(one, FoundFile))
        return {path.relative_to(self._root).as_posix(): path.lstat().st_size for path in files}

    @property
    def unfit(self) -> tuple[NotFoundFit, ...]:
        """What is there and is no file to be read."""
        return tuple(one for one in self._found if isinstance(one, NotFoundFit))

    @cached_property
    def _found(self) -> tuple[FoundFile | NotFoundFit, ...]:
        return tuple(find_files(self._root, packages=False))

    def pieces(self, name: str) -> Iterator[bytes]:
        """See `Tree.pieces`."""
        if not self.names[name]:
            return
        with open_file(self._root / name) as stream:
            yield from pieces_of(stream, limit_bytes=self._limit_bytes)


class ZipTree:
    """Members of a zip archive."""

    kind: Literal["folder", "zip"] = "zip"

    def __init__(self, archive: CheckedZip, *, shown: str) -> None:
        self.shown = shown
        self._archive = archive

    @property
    def names(self) -> Mapping[str, int]:
        """See `Tree.names`."""
        return self._archive.sizes

    def pieces(self, name: str) -> Iterator[bytes]:
        """See `Tree.pieces`."""
        return self._archive.pieces(name)


class Branch:
    """The part of a tree below one of its folders.

    Parameters
    ----------
    prefix
        The folder, with a slash at its end.
    """

    def __init__(self, tree: Tree, prefix: str) -> None:
        self.shown = f"{tree.shown}/{prefix.rstrip('/')}"
        self.kind = tree.kind
        self._tree = tree
        self._prefix = prefix

    @cached_property
    def names(self) -> Mapping[str, int]:
        """See `Tree.names`."""
        whole = self._tree.names.items()
        return {name.removeprefix(self._prefix): size for name, size in whole if name.startswith(self._prefix)}

    def pieces(self, name: str) -> Iterator[bytes]:
        """See `Tree.pieces`."""
        return self._tree.pieces(f"{self._prefix}{name}")


def branch(tree: Tree, prefix: str) -> Tree:
    """Return the part of a tree below one of its folders; the tree itself for an empty prefix."""
    return Branch(tree, prefix) if prefix else tree


def packages_in(tree: Tree) -> dict[str, PackageFormat]:
    """Return which folders of a tree are packages, by their prefix; those inside of others are not looked for."""
    from ingest.folders.markers import package_format

    by_folder: dict[str, set[str]] = {}
    for name in tree.names:
        folder, slash, last = name.rpartition("/")
        by_folder.setdefault(folder + slash, set()).add(last)
    found: dict[str, PackageFormat] = {}
    for folder in sorted(by_folder, key=lambda one: (one.count("/"), one)):
        kind = package_format(by_folder[folder])
        if kind is not None and not any(folder.startswith(outer) for outer in found):
            found[folder] = kind
    return found
