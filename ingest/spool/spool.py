"""The spool: where everything that comes in is made safe before anybody is told so.

``spool/<worker>/`` belongs to one process (`worker.lock`). In it: ``incoming/``
(being written, thrown away after a crash), ``held/`` (complete and durable),
``log/`` (written over again and again, `ingest.spool.log`) and ``journal.db``
(`ingest.spool.journal`). Acknowledged means: the file in ``held/`` and its
folder are fsynced, or its bytes in the log are, and its row is committed; what
is small is committed with its row.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from archive.facts.receipts import Source
from ingest.dataset.limits import Limits
from ingest.errors import SpoolFailed, SpoolFull
from ingest.judge import Judge, judge_file
from ingest.spool.arrival import Arrival, Held, Outcome
from ingest.spool.incoming import Incoming
from ingest.spool.journal import GroupCommit, SpoolJournal
from ingest.spool.laying_out import INCOMING, LOG
from ingest.spool.log import Extent, SpoolLog
from storage.durable import SyncFailed, make_folders, sync_folder

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
    log_bytes
        How long the log may become; 0 gives everything that is longer a file of its own at once.
    """

    object_bytes: int = 16 * 1024**3
    free_bytes: int = 1024**3
    small_bytes: int = _GATHERED_BYTES
    log_bytes: int = 0


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
        self.log = SpoolLog(
            folder / LOG,
            busy=self.folder.journal.logged_segments,
            most_bytes=self._limits.log_bytes,
            free_bytes=self._limits.free_bytes,
        )
        self._committer = GroupCommit(folder / "journal.db", held=self.folder.held, log=self.log)

    def begin(self, *, object_bytes: int | None = None) -> Incoming:
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
        self.log.close()
        os.close(self._lock)

    def hold_content(self, name: str, arrival: Arrival, content: bytes | tuple[Extent, ...]) -> Held:
        """Keep something in the journal, or what lies in the log; it is durable when this returns, and a file later."""
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
