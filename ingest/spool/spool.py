"""The spool: where everything that comes in is made safe before anybody is told so.

``spool/<worker>/`` belongs to one process (`worker.lock`). In it: ``incoming/``
(being written, thrown away after a crash), ``held/`` (complete and durable)
and ``journal.db`` (`ingest.spool.journal`). Acknowledged means: the file in
``held/`` and its folder are fsynced, and its row is committed; what is small
is committed with its row.
"""

import errno
import fcntl
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self, cast
from uuid import uuid4

from archive.facts import Source
from ingest.dataset.limits import Limits
from ingest.errors import SpoolFailed, SpoolFull, TooLarge
from ingest.judge import Judge, judge_file
from ingest.spool.arrival import Arrival, Held, Outcome
from ingest.spool.journal import INCOMING, GroupCommit, SpoolJournal
from storage.durable import SyncFailed, make_folders, sync_file, sync_folder, write_all

Buffer = bytes | bytearray | memoryview

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_GATHERED_BYTES = 64 * 1024  # a buffer beyond 128 KB would be mapped and cleared by the kernel each time


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """How much the spool takes.

    Parameters
    ----------
    object_bytes
        The longest thing it takes.
    free_bytes
        What must stay free on its disk: below it nothing is taken.
    small_bytes
        What is shorter lies in the journal, and has no file of its own until it is filed.
    """

    object_bytes: int = 16 * 1024**3
    free_bytes: int = 1024**3
    small_bytes: int = _GATHERED_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a crash left in a spool folder: unfinished files removed, complete files without row taken in again."""

    removed: int
    adopted: int


class SpoolFolder:
    """The folder of one worker, its journal and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incoming = path / INCOMING
        self.held = path / "held"
        for folder in (self.incoming, self.held):
            make_folders(folder)
        self.journal = SpoolJournal(path / "journal.db", held=self.held)
        sync_folder(path)

    @contextmanager
    def owned(self) -> Iterator[bool]:
        """Take the folder for oneself for the length of the block; yields False if a living process has it."""
        descriptor = self.lock()
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def lock(self) -> int | None:
        """Take the folder for oneself until the descriptor is closed; None if a living process has it."""
        descriptor = os.open(self.path / "worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def recover(self, *, limits: Limits, clock: Callable[[], datetime]) -> Recovered:
        """Put in order what a crash left; only for the one who owns the folder.

        An unfinished file was never acknowledged and goes. A complete file
        without row was not acknowledged either, unless its journal was lost:
        so it is taken in again rather than thrown away.
        """
        unfinished = list(self.incoming.iterdir())
        for path in unfinished:
            path.unlink()
        self.journal.mend()
        known = self.journal.names()
        orphans = sorted(path for path in self.held.iterdir() if path.name not in known)
        rows = [(path.name, _arrival_of_orphan(path, limits=limits, now=clock())) for path in orphans]
        if rows:
            self.journal.add(rows)
        return Recovered(removed=len(unfinished), adopted=len(rows))


class Spool:
    """The spool of this process.

    Parameters
    ----------
    folder
        ``spool/<worker>``; made if it is missing.
    limits, dataset_limits
        How much it takes, and how much one data set may hold.
    clock
        Returns the time, aware UTC.
    wait_s
        How long to wait for the folder: the filer has it for a moment when it cleans up after a dead worker.

    Raises
    ------
    SpoolFailed
        Another living process has this folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        limits: SpoolLimits | None = None,
        dataset_limits: Limits | None = None,
        wait_s: float = 10.0,
    ) -> None:
        self.folder = SpoolFolder(folder)
        self.dataset_limits = dataset_limits or Limits()
        self.clock = clock
        self._limits = limits or SpoolLimits()
        self._failure: str | None = None
        self._lock = self._own(wait_s)
        self.recovered = self.folder.recover(limits=self.dataset_limits, clock=clock)
        self._committer = GroupCommit(folder / "journal.db", held=self.folder.held)

    def begin(self, *, object_bytes: int | None = None) -> "Incoming":
        """Begin to take in one thing, whose bytes come in pieces.

        Parameters
        ----------
        object_bytes
            How long it may be, if that is less than the spool takes.

        Raises
        ------
        SpoolFull, SpoolFailed
            Nothing is taken at the moment.
        """
        self._check_room()
        most = min(self._limits.object_bytes, object_bytes or self._limits.object_bytes)
        return Incoming(self, most, gather_bytes=min(self._limits.small_bytes, _GATHERED_BYTES))

    def receive(self, pieces: Iterable[bytes], judge: Judge, *, source: Source, batch: str, issuer: str = "") -> Held:
        """Take in one thing; when this returns, it is safe. See `Incoming.keep`, which this ends with."""
        with self.translated(), self.begin() as incoming:
            for piece in pieces:
                incoming.write(piece)
            return incoming.keep(judge, source=source, batch=batch, issuer=issuer)

    def _own(self, wait_s: float) -> int:
        ends = time.monotonic() + wait_s
        while (lock := self.folder.lock()) is None:
            if time.monotonic() >= ends:
                raise SpoolFailed(f"Another process uses the spool folder {self.folder.path.name}")
            time.sleep(0.05)
        return lock

    def pending(self, *, after: int = 0) -> list[Held]:
        """Return what is not filed yet, in order of arrival, in pages: ask again after the last number."""
        return self.folder.journal.pending(after=after)

    def outcomes(self, numbers: Sequence[int]) -> dict[int, Outcome]:
        """Return what became of arrivals, as far as it is settled; gone after the grace time."""
        return self.folder.journal.outcomes(numbers)

    def close(self) -> None:
        """Commit what waits and give the folder free."""
        self._committer.close()
        os.close(self._lock)

    def hold_small(self, name: str, arrival: Arrival, content: bytes) -> Held:
        """Keep something small in the journal; it is durable when this returns, and laid out as a file later."""
        with self.translated():
            number = self._committer.commit(name, arrival, content)
        return Held(number=number, path=self.folder.held / name, arrival=arrival)

    def hold(self, path: Path, arrival: Arrival) -> Held:
        """Give a complete, fsynced file of ``incoming/`` its place and its row; both are durable when this returns."""
        kept = self.folder.held / path.name
        with self.translated():
            path.rename(kept)
            try:
                number = self._committer.commit(kept.name, arrival)
            except BaseException:
                kept.unlink(missing_ok=True)  # nobody was told that it is safe
                raise
        return Held(number=number, path=kept, arrival=arrival)

    def _check_room(self) -> None:
        if self._failure is not None:
            raise SpoolFailed(self._failure)
        with self.translated():
            free = os.statvfs(self.folder.path)
        if free.f_bavail * free.f_frsize < self._limits.free_bytes:
            raise SpoolFull(f"Less than {self._limits.free_bytes} bytes are free on the spool's disk")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the operating system says into errors of this room; a failed fsync ends this spool's service."""
        try:
            yield
        except SyncFailed as error:
            self._failure = f"The spool's disk failed: {error}"
            raise SpoolFailed(self._failure) from error
        except OSError as error:
            if error.errno in _FULL:
                raise SpoolFull(f"The spool's disk is full: {error.strerror}") from error
            raise SpoolFailed(f"The spool could not be written: {error.strerror}") from error


class Incoming:
    """One thing on its way into the spool, gone unless it is kept: in memory, and in ``incoming/`` once it is long.

    Parameters
    ----------
    spool
        Where it goes.
    object_bytes
        How long it may be.
    gather_bytes
        So much is held in memory before it is written.
    """

    def __init__(self, spool: Spool, object_bytes: int, *, gather_bytes: int) -> None:
        self.size_bytes = 0
        self._gather_bytes = gather_bytes
        self._spool = spool
        self._object_bytes = object_bytes
        self._is_kept = False
        self._digest = hashlib.sha256()
        self._gathered = bytearray()
        self._path = spool.folder.incoming / uuid4().hex
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.discard()

    def write(self, piece: Buffer) -> None:
        """Append bytes, which may be written over as soon as this returns.

        Raises
        ------
        TooLarge, SpoolFull, SpoolFailed
            It can't be kept any more.
        """
        size_bytes = self.size_bytes + len(piece)
        if size_bytes > self._object_bytes:
            raise TooLarge(f"It is longer than {self._object_bytes} bytes")
        self._gathered += piece
        self.size_bytes = size_bytes
        if len(self._gathered) >= self._gather_bytes:
            self._put_down()

    def keep(self, judge: Judge, *, source: Source, batch: str, issuer: str = "", character_set: str = "") -> Held:
        """Say that it is complete; when this returns, it is safe.

        What could not be understood is kept as well, and goes to quarantine:
        look at ``held.arrival.refusal``.

        Parameters
        ----------
        judge
            Says what it is (`ingest.judge`).
        source, batch, issuer, character_set
            See `Arrival`.

        Raises
        ------
        SpoolFull, SpoolFailed
            Nothing was kept, and nothing may be acknowledged.
        """
        is_small = self._descriptor < 0
        self._digest.update(self._gathered) if is_small else self._put_down()
        draft = Arrival(
            kind="document",
            received_at=self._spool.clock(),
            source=source,
            batch=batch,
            issuer=issuer,
            character_set=character_set,
            file_sha256=self._digest.hexdigest(),
            size_bytes=self.size_bytes,
        )
        held = self._keep_small(judge, draft) if is_small else self._keep_file(judge, draft)
        self._is_kept = True
        return held

    def _keep_small(self, judge: Judge, draft: Arrival) -> Held:
        content = bytes(self._gathered)
        return self._spool.hold_small(self._path.name, judge(io.BytesIO(content), draft), content)

    def _keep_file(self, judge: Judge, draft: Arrival) -> Held:
        with self._spool.translated():
            with open(self._descriptor, "rb", buffering=0, closefd=False) as stream:
                stream.seek(0)
                arrival = judge(cast(BinaryIO, stream), draft)
            sync_file(self._descriptor)
        return self._spool.hold(self._path, arrival)

    def _put_down(self) -> None:
        """Write and digest what was gathered.

        Both let other threads run. Done for each fragment of 16 KB, as most
        senders send them, an instance would cost a hundred changes of thread.
        """
        with self._spool.translated():
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            write_all(self._descriptor, self._gathered)
        self._digest.update(self._gathered)
        self._gathered.clear()

    def discard(self) -> None:
        """Close the file, and remove it unless it was kept."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if not self._is_kept:
                self._path.unlink(missing_ok=True)


def _arrival_of_orphan(path: Path, *, limits: Limits, now: datetime) -> Arrival:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        draft = Arrival(
            kind="document",
            received_at=now,
            source=Source(kind="file", name="found in the spool"),
            batch="recovered",
            file_sha256=digest,
            size_bytes=path.stat().st_size,
        )
        stream.seek(0)
        return replace(judge_file(limits=limits, patient=None, title=path.name)(stream, draft), flags=("recovered",))
