"""Finding what lies in folders, without ever following anything out of them."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, overload

from archive.handover.formats import PackageFormat
from ingest.errors import EmptyFile, FileChanged, NotTaken, TooLarge, Unreadable, UnsafePath
from ingest.folders.markers import package_format

_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A regular file; `in_folder` if it was met on the way and not named by the user."""

    path: Path
    in_folder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPackage:
    """A folder that is a package; what is in it was not looked at yet."""

    path: Path
    kind: PackageFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFoundFit:
    """A path that is not taken, and why."""

    path: Path
    error: NotTaken


@overload
def find_files(path: Path, *, packages: Literal[False]) -> Iterator[FoundFile | NotFoundFit]: ...
@overload
def find_files(path: Path, *, packages: bool = True) -> Iterator[FoundFile | FoundPackage | NotFoundFit]: ...
def find_files(path: Path, *, packages: bool = True) -> Iterator[FoundFile | FoundPackage | NotFoundFit]:
    """Yield everything below `path` in order of name: files to be taken, and what is not taken with the reason.

    Links, pipes, devices and sockets are refused, and so are names with
    control characters: they come from nowhere good.

    Parameters
    ----------
    packages
        Whether a folder that is a package is given as a whole, and not the files in it.
    """
    waiting = [path]
    while waiting:
        here = waiting.pop()
        try:
            if _is_folder(here):
                below = sorted(here.iterdir(), reverse=True)
                kind = package_format(one.name for one in below) if packages else None
                if kind is not None:
                    yield FoundPackage(path=here, kind=kind)
                else:
                    waiting.extend(below)
            else:
                yield FoundFile(path=here, in_folder=here != path)
        except OSError as error:
            yield NotFoundFit(path=here, error=Unreadable(f"It can't be read: {error.strerror}"))
        except NotTaken as error:
            yield NotFoundFit(path=here, error=error)


def _is_folder(path: Path) -> bool:
    """Return whether it is a folder, False for a regular file; raises `UnsafePath` for anything else."""
    if any(ord(character) < 0x20 for character in path.name):
        raise UnsafePath("The name holds a control character")
    mode = path.lstat().st_mode
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UnsafePath("It is a link, device, pipe or socket, not a file")
    return stat.S_ISDIR(mode)


def open_file(path: Path) -> BinaryIO:
    """Open a file that must be a regular one at this very moment. Raises `UnsafePath`, `Unreadable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"It can't be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafePath("It is no longer a file")
    return os.fdopen(descriptor, "rb")


def pieces_of(stream: BinaryIO, *, limit_bytes: int) -> Iterator[bytes]:
    """Yield the content of an open file, which must not change meanwhile.

    Raises
    ------
    EmptyFile, TooLarge, FileChanged, Unreadable
        It is not taken.
    """
    before = os.fstat(stream.fileno())
    if not before.st_size:
        raise EmptyFile("The file is empty")
    if before.st_size > limit_bytes:
        raise TooLarge(f"It is {before.st_size} bytes long, the limit is {limit_bytes}")
    size = 0
    stream.seek(0)
    while piece := _read(stream):
        size += len(piece)
        if size > before.st_size:
            raise FileChanged("It grew while it was read")
        yield piece
    after = os.fstat(stream.fileno())
    if (size, after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        raise FileChanged("It changed while it was read")


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(_PIECE_BYTES)
    except OSError as error:
        raise Unreadable(f"It can't be read to the end: {error.strerror}") from error
