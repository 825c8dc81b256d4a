"""Writing a package so that a part of it never looks whole.

Everything is written into a hidden folder beside the target, each file
compared with its digest on the way and fsynced; the folder gets its name in
the last step. Whatever goes wrong before, the target is not there.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from uuid import uuid4

from archive.handover.errors import NoRoom, TargetTaken
from storage.durable import sync_file, sync_folder, write_all
from storage.errors import DigestMismatch

_SPARE_BYTES: Final = 64 * 1024 * 1024
"""Left free beside what is written: directories, inventories and manifests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file of a package as it was written.

    Parameters
    ----------
    path
        Relative to the package, with slashes.
    sha256, sha512
        Hex digests of what was written.
    """

    path: str
    sha256: str
    sha512: str
    size_bytes: int


class PackageFolder:
    """The folder of a package while it is being written.

    Parameters
    ----------
    root
        Where it lies until it is whole.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: dict[str, Written] = {}

    def write(self, path: str, pieces: Iterable[bytes], *, sha256: str = "") -> Written:
        """Write one file; it is on the disk when this returns.

        Parameters
        ----------
        path
            Relative to the package, with slashes.
        sha256
            What its digest must be, hex; empty where this program makes the content.

        Raises
        ------
        DigestMismatch
            The content is another one.
        FileExistsError
            The package has such a file already.
        """
        target = self.place(path)
        digests, size = (hashlib.sha256(), hashlib.sha512()), 0
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            for piece in pieces:
                write_all(descriptor, piece)
                size += len(piece)
                for digest in digests:
                    digest.update(piece)
            sync_file(descriptor)
        finally:
            os.close(descriptor)
        found = Written(path=path, sha256=digests[0].hexdigest(), sha512=digests[1].hexdigest(), size_bytes=size)
        if sha256 and found.sha256 != sha256:
            raise DigestMismatch(f"{path} would not be what is kept: its SHA-256 is {found.sha256}, not {sha256}")
        self.written[path] = found
        return found

    def move(self, path: str, to: str) -> Written:
        """Give a written file another place."""
        before = self.written.pop(path)
        (self.root / path).rename(self.place(to))
        moved = Written(path=to, sha256=before.sha256, sha512=before.sha512, size_bytes=before.size_bytes)
        self.written[to] = moved
        return moved

    def place(self, path: str) -> Path:
        """Return where a file of the package lies and make its folders. Raises `ValueError` for a path that leaves."""
        parts = PurePosixPath(path).parts
        if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
            raise ValueError(f"{path!r} is no path inside a package")
        target = self.root.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


@contextmanager
def new_package(target: Path, *, needed_bytes: int) -> Iterator[PackageFolder]:
    """Yield the folder to write a package into; it is `target` once the block ended well, and gone otherwise.

    Parameters
    ----------
    target
        A folder that is not there yet, in one that is.
    needed_bytes
        Length of all content.

    Raises
    ------
    TargetTaken
        There is something at `target`, or nothing to lay it into.
    NoRoom
        The disk has less free.
    """
    if os.path.lexists(target):
        raise TargetTaken(f"{target} is there already")
    if not target.parent.is_dir():
        raise TargetTaken(f"There is no folder {target.parent}")
    free = shutil.disk_usage(target.parent).free
    if free < needed_bytes + _SPARE_BYTES:
        raise NoRoom(f"{needed_bytes + _SPARE_BYTES} bytes are needed in {target.parent}, {free} are free")
    unfinished = target.with_name(f".{target.name}.unfinished-{uuid4().hex[:12]}")
    unfinished.mkdir()
    try:
        yield PackageFolder(unfinished)
        _sync_folders(unfinished)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(target.parent)


def _sync_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        sync_folder(Path(folder))
