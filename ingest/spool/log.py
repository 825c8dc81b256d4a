"""The log of one spool folder: space on the disk that is written over again and again.

To make a new file durable costs a file system its own journal: blocks are
allocated, names and lengths noted, and each of these waits for the disk. Bytes
written over blocks that are allocated already cost one flush, shared by all who
wait: three times as many objects a second, for a third of the processor's time
(decision 0015).

The log is a set of segments, files of one length, filled with zeros before they
are used. What comes is written from front to back, in whole pages; a segment
is written over only when nothing in it is needed any more: the filer has laid
all of it out as files of their own, durably, and struck it from the journal.
"""

import io
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from storage.durable import make_folders, sync_data, sync_file, sync_folder, write_all

Buffer = bytes | bytearray | memoryview

PAGE_BYTES: Final = 4096
"""What is written is a multiple of it: of a page that is written in part, the kernel would have to read the rest."""

_ZEROS_BYTES: Final = 1024 * 1024
_ASK_AGAIN_S: Final = 0.05
_GROWS_AFTER: Final = 16
_FIRST_SEGMENTS: Final = 2  # one is written while the other is laid out
_SPARE_FACTOR: Final = 2
_FILE_MODE: Final = 0o600
_LOG = structlog.get_logger(__name__)


class Extent(NamedTuple):
    """A stretch of a segment: its number, the first byte and how many."""

    segment: int
    start: int
    size_bytes: int


def joined(extents: Iterable[Extent]) -> tuple[Extent, ...]:
    """Return extents with those made one that follow each other in a segment."""
    found: list[Extent] = []
    for one in extents:
        last = found[-1] if found else None
        if last is not None and (last.segment, last.start + last.size_bytes) == (one.segment, one.start):
            found[-1] = last._replace(size_bytes=last.size_bytes + one.size_bytes)
        else:
            found.append(one)
    return tuple(found)


class SpoolLog:
    """The segments below `folder` as their one writer sees them.

    Parameters
    ----------
    folder
        ``spool/<worker>/log``; made when the first segment is.
    busy
        Returns the segments in which something lies that the journal still names.
    most_bytes
        How long all segments may be together; 0 is no log.
    free_bytes
        What growing leaves free on the disk, twice over.
    segment_bytes
        How long a segment is: a multiple of `PAGE_BYTES`.
    grows_after
        So many things had no room since it grew: then it grows. One image by the week needs no log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        busy: Callable[[], set[int]],
        most_bytes: int,
        free_bytes: int = 0,
        segment_bytes: int = 32 * 1024 * 1024,
        grows_after: int = _GROWS_AFTER,
    ) -> None:
        self._folder = folder
        self._busy = busy
        self._most_bytes = most_bytes
        self._free_bytes = free_bytes
        self._segment_bytes = segment_bytes
        self._grows_after = grows_after
        self._lock = threading.Lock()
        self._segments = {int(path.name): _Segment.open(path) for path in self._standing()}
        self._going: Counter[int] = Counter()  # bytes that are written and neither journaled nor given back
        self._current: int | None = None
        self._at = 0
        self._look_again_at = 0.0
        self._had_no_room = 0
        self._growing: threading.Thread | None = None
        self._is_closed = False

    def write(self, *parts: Buffer) -> Extent | None:
        """Write bytes, padded to whole pages, and return where; None if there is no room, and nothing was written.

        They are the caller's until `let_go`, and durable after `sync`.

        Raises
        ------
        OSError
            The disk did not take them.
        """
        size_bytes = sum(map(len, parts))
        taken = self._take(_padded(size_bytes))
        if taken is None:
            return None
        number, start = taken
        extent = Extent(number, start, size_bytes)
        try:
            padding = bytes(_padded(size_bytes) - size_bytes)
            write_all(self._segments[number].descriptor, *parts, padding, at=start)
        except BaseException:
            self.let_go([extent])
            raise
        return extent

    def sync(self, extents: Iterable[Extent]) -> None:
        """Make extents durable; raises `SyncFailed`."""
        for number in sorted({one.segment for one in extents}):
            sync_data(self._segments[number].descriptor)

    def let_go(self, extents: Iterable[Extent]) -> None:
        """Give extents back: the journal names them now, or nobody needs them."""
        with self._lock:
            for one in extents:
                self._going[one.segment] -= _padded(one.size_bytes)

    def opened(self, extents: Sequence[Extent]) -> "Stretches":
        """Return a stream over what was written."""
        return Stretches([(self._segments[one.segment].descriptor, one) for one in extents])

    def close(self) -> None:
        """Close it; nobody writes any more."""
        with self._lock:
            self._is_closed, self._current = True, None  # who comes late finds no room
            growing = self._growing
        if growing is not None:
            growing.join()
        for segment in self._segments.values():
            os.close(segment.descriptor)
        self._segments.clear()

    def _standing(self) -> list[Path]:
        """Return the segments that stand, also those a crash kept from their full length."""
        return [path for path in self._folder.iterdir() if path.name.isdigit()] if self._folder.is_dir() else []

    def _take(self, wanted_bytes: int) -> tuple[int, int] | None:
        """Return segment and first byte of room."""
        with self._lock:
            if self._current is None or self._at + wanted_bytes > self._segments[self._current].size_bytes:
                self._current, self._at = self._unused(wanted_bytes), 0
            if self._current is None:
                self._had_no_room += 1
                self._grow()
                return None
            start, self._at = self._at, self._at + wanted_bytes
            self._going[self._current] += wanted_bytes
            return self._current, start

    def _unused(self, wanted_bytes: int) -> int | None:
        """Return a segment nobody needs and that is long enough.

        Who is going is asked before the journal: what stops going meanwhile stands in the journal by then.
        """
        if time.monotonic() < self._look_again_at:
            return None
        idle = [
            number
            for number, segment in self._segments.items()
            if not self._going[number] and segment.size_bytes >= wanted_bytes
        ]
        busy = self._busy() if idle else set()
        unused = [number for number in idle if number not in busy]
        if not unused:
            self._look_again_at = time.monotonic() + _ASK_AGAIN_S
        return min(unused, default=None)

    def _grow(self) -> None:
        """Begin to make more segments, twice as many as there are, in a thread of its own: nobody waits for them."""
        if self._had_no_room < self._grows_after or not self._may_grow():
            return
        if self._growing is None and not self._is_closed:
            self._had_no_room = 0
            wanted = max(_FIRST_SEGMENTS, 2 * len(self._segments))
            self._growing = threading.Thread(target=self._make_segments, args=(wanted,), name="spool-log", daemon=True)
            self._growing.start()

    def _may_grow(self) -> bool:
        stands_bytes = sum(segment.size_bytes for segment in self._segments.values())
        return stands_bytes + self._segment_bytes <= self._most_bytes

    def _make_segments(self, wanted: int) -> None:
        while len(self._segments) < wanted and self._may_grow() and not self._is_closed and self._adds_segment():
            pass
        with self._lock:
            self._growing = None

    def _adds_segment(self) -> bool:
        """Make one more; False if the disk has no room for it."""
        number = max(self._segments, default=-1) + 1
        path = self._folder / f"{number:04}"
        try:
            make_folders(self._folder)
            free = os.statvfs(self._folder)
            if free.f_bavail * free.f_frsize - self._segment_bytes < _SPARE_FACTOR * self._free_bytes:
                return False
            made = self._filled(path)
        except OSError as error:  # no log is no harm: what comes has files of its own
            _LOG.warning("spool.log-not-grown", error=str(error))
            path.unlink(missing_ok=True)
            return False
        with self._lock:
            self._segments[number] = made
            self._look_again_at = 0.0
        return True

    def _filled(self, path: Path) -> "_Segment":
        """Make a segment; its blocks are allocated only once they are written."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        try:
            zeros = memoryview(bytes(_ZEROS_BYTES))
            for start in range(0, self._segment_bytes, _ZEROS_BYTES):
                write_all(descriptor, zeros[: self._segment_bytes - start])
            sync_file(descriptor)
            sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return _Segment(descriptor, self._segment_bytes)


class _Segment(NamedTuple):
    """An open segment and its length, in whole pages."""

    descriptor: int
    size_bytes: int

    @classmethod
    def open(cls, path: Path) -> "_Segment":
        """Open one that stands."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return cls(descriptor, os.fstat(descriptor).st_size // PAGE_BYTES * PAGE_BYTES)


class Stretches(io.RawIOBase):
    """A stream over extents, one after the other, that can be searched; closing it closes no segment."""

    def __init__(self, parts: Sequence[tuple[int, Extent]]) -> None:
        super().__init__()
        self._parts = parts
        self._size_bytes = sum(extent.size_bytes for _, extent in parts)
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there; behind the end nothing is read."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # what RawIOBase hands over
        """Fill the buffer, less only at the end: a file does so too."""
        view, filled, begins = memoryview(buffer), 0, 0
        for descriptor, extent in self._parts:
            inside = self._at - begins
            if 0 <= inside < extent.size_bytes and filled < len(view):
                wanted = view[filled : filled + extent.size_bytes - inside]
                count = os.preadv(descriptor, [wanted], extent.start + inside)
                self._at, filled = self._at + count, filled + count
                if count < len(wanted):
                    break
            begins += extent.size_bytes
        return filled


def stretches_of(folder: Path, extents: Sequence[Extent]) -> bytes | None:
    """Return what stands in extents of the log in `folder`; None if its segments are not there.

    For a process that is not the writer: what it read counts only if the journal names the extents afterwards too.
    """
    parts = []
    for one in extents:
        try:
            descriptor = os.open(folder / f"{one.segment:04}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            parts.append(os.pread(descriptor, one.size_bytes, one.start))
        finally:
            os.close(descriptor)
    return b"".join(parts)


def remove_log(folder: Path) -> None:
    """Remove the segments of a spool that nobody uses any more."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES
