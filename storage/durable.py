"""Writing files so that they survive a power cut.

The order is always: write under a name nobody lists, compare length and
digest, fsync the file, give it its name, fsync the folder. Without the last
step the newest names are gone after a power cut; without the fsync before,
the name may stand over an empty file.
"""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

PIECE_BYTES = 1 << 20
_ROOM_BYTES = 1 << 18
FOLDER_MODE = 0o750
FILE_MODE = 0o440


class SyncFailed(OSError):
    """An fsync failed: the kernel may have dropped the bytes, and a second fsync would wrongly say they are safe."""


def write_all(descriptor: int, *parts: bytes | bytearray | memoryview, at: int | None = None) -> None:
    """Write all of `parts`, one after the other, from byte `at` on if that is given.

    One write may write less and still report success.
    """
    left = [memoryview(part) for part in parts if len(part)]
    while left:
        written = os.writev(descriptor, left) if at is None else os.pwritev(descriptor, left, at)
        if written <= 0:
            raise OSError(errno.EIO, "a write wrote nothing")
        at = None if at is None else at + written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def copy_in(source: BinaryIO, descriptor: int, *, at_most: int) -> tuple[str, int]:
    """Copy `source` into an open file; return SHA-256 (hex) and length of what was read.

    Reading stops one byte after `at_most`, so that a source that is too long
    shows and an endless one does not fill the disk.
    """
    digest = hashlib.sha256()
    size = 0
    while size <= at_most and (piece := source.read(min(PIECE_BYTES, at_most + 1 - size))):
        digest.update(piece)
        write_all(descriptor, piece)
        size += len(piece)
    return digest.hexdigest(), size


def digest_of(descriptor: int) -> tuple[str, int]:
    """Return SHA-256 (hex) and length of an open file, read from its beginning, from the disk where possible."""
    forget_pages(descriptor)
    digest = hashlib.sha256()
    size = 0
    while piece := os.pread(descriptor, PIECE_BYTES, size):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def digests_of(descriptor: int, *, long: bool) -> tuple[str, int, str | None]:
    """Return SHA-256 (hex), length, and with `long` SHA-512 of an open file, read from the disk where possible.

    One buffer is filled again and again: it stays in the processor's cache, and nothing is allocated by the piece.
    """
    forget_pages(descriptor)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    short, other, size = hashlib.sha256(), hashlib.sha512() if long else None, 0
    room = memoryview(bytearray(_ROOM_BYTES))
    while count := os.preadv(descriptor, [room], size):
        piece = room[:count]
        short.update(piece)
        if other is not None:
            other.update(piece)
        size += count
    forget_pages(descriptor)  # what is read once in months shall not push out what is read daily
    return short.hexdigest(), size, None if other is None else other.hexdigest()


def forget_pages(descriptor: int) -> None:
    """Ask the kernel to drop its clean pages of this file, so that the next read comes from the disk itself."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_file(descriptor: int) -> None:
    """Fsync an open file or folder.

    Raises
    ------
    SyncFailed
        The disk did not take the bytes. Never try again on the same file:
        after a failed fsync Linux marks the pages clean, and the next fsync
        succeeds without them (fsyncgate, 2018).
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise SyncFailed(error.errno, f"fsync failed: {error.strerror}") from error


def sync_data(descriptor: int) -> None:
    """Make what was written over in an open file durable, without the time it was; raises `SyncFailed`."""
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        raise SyncFailed(error.errno, f"fsync failed: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Fsync a folder, which makes the names in it durable. Raises `SyncFailed`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make `folder` and its missing ancestors, each of them durable before the next.

    Raises
    ------
    FileNotFoundError
        Somebody removed an empty folder at the same time: try again.
    NotADirectoryError
        A file is in the way.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    try:
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except FileExistsError as error:
        # Something is in the way; or it was a folder, which somebody removed before we looked at it.
        code = errno.ENOTDIR if os.path.lexists(folder) and not folder.is_dir() else errno.ENOENT
        raise OSError(code, os.strerror(code), str(folder)) from error
    sync_folder(folder.parent)


@contextmanager
def unfinished(folder: Path) -> Iterator[tuple[Path, int]]:
    """Open a new hidden file in `folder` for writing; its name is gone at the end, however that comes about.

    Yields its path and descriptor. Within the block the file gets its lasting
    name by link or rename, after `finish`.
    """
    path = folder / f".tmp-{uuid4().hex}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def finish(descriptor: int, *, after_ns: int = 0) -> None:
    """Make a written file read-only, stamp it with a time later than `after_ns` (ns since 1970) and fsync it.

    The stamp is set by us because the kernel's own moves only every few
    milliseconds: two replacements within one tick would look the same.
    """
    os.fchmod(descriptor, FILE_MODE)
    stamp = max(time.time_ns(), after_ns + 1)
    os.utime(descriptor, ns=(stamp, stamp))
    sync_file(descriptor)


def replace_file(path: Path, data: bytes, *, temporary: Path) -> None:
    """Put `data` under `path` in one step, durable on return; `temporary` is a folder on the same filesystem."""
    make_folders(path.parent)
    with unfinished(temporary) as (name, descriptor):
        write_all(descriptor, data)
        finish(descriptor, after_ns=path.stat().st_mtime_ns if path.exists() else 0)
        name.replace(path)
        sync_folder(path.parent)
