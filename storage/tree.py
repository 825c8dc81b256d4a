"""Looking at the files below the root of a filesystem store."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from storage.base import ObjectStat, Version, check_prefix

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


def tag_of(found: os.stat_result) -> str:
    """Return the tag of a file's state: time stamp (ns), size and inode, hex."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


def stat_of(key: str, found: os.stat_result) -> ObjectStat:
    """Return what a listing tells of the file that holds `key`."""
    return ObjectStat(
        version=Version(key=key, tag=tag_of(found)),
        size_bytes=found.st_size,
        modified=datetime.fromtimestamp(found.st_mtime, tz=UTC),
    )


def stat_file(path: Path) -> os.stat_result | None:
    """Return the state of a regular file, None if no regular file is there."""
    try:
        found = path.lstat()
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return found if stat.S_ISREG(found.st_mode) else None


@contextmanager
def opened(path: Path) -> Iterator[int | None]:
    """Open a regular file for reading and give its descriptor, None if no regular file is there.

    Links are not followed, and a pipe does not block.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def walk(root: Path, prefix: str) -> Iterator[ObjectStat]:
    """Yield the files whose key begins with `prefix`, in order of key (of its bytes, as S3 orders them).

    Hidden names, links and special files are passed over, and so is what
    disappears meanwhile. Memory is that of the largest folder.
    """
    folder, _, beginning = check_prefix(prefix).rpartition("/")
    yield from _walk(root / folder if folder else root, f"{folder}/" if folder else "", beginning)


def _walk(folder: Path, above: str, beginning: str) -> Iterator[ObjectStat]:
    try:
        with os.scandir(folder) as entries:
            # A folder sorts by its name with the slash that follows in its keys: "a-b" comes before "a/b".
            names = sorted(
                (f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name)
                for entry in entries
                if entry.name.startswith(beginning) and not entry.name.startswith(".")
            )
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith("/"):
            yield from _walk(folder / name, above + name, "")
        elif (found := stat_file(folder / name)) is not None:
            yield stat_of(above + name, found)


def remove_empty_folders(folder: Path, *, below: Path) -> None:
    """Remove `folder` and its ancestors, up to but not `below` itself, as far as they are empty."""
    with suppress(OSError):
        while folder != below:
            folder.rmdir()
            folder = folder.parent
