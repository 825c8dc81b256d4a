"""The spool: where everything that comes in is made safe before anybody is told so.

``spool/<worker>/`` belongs to one process (`worker.lock`). In it: ``incoming/``
(being written, thrown away after a crash), ``held/`` (complete and durable)
and ``journal.db`` (`ingest.spool_journal`). Acknowledged means: the file in
``held/`` and its folder are fsynced, and its row is committed.
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
from uuid import uuid4

from archive.facts import Source
from ingest.arrival import Arrival, Held, Outcome
from ingest.errors import SpoolFailed, SpoolFull, TooLarge
from ingest.judge import Judge, judge_file
from ingest.limits import Limits
from ingest.spool_journal import GroupCommit, SpoolJournal
from storage.durable import SyncFailed, make_folders, sync_file, sync_folder, write_all

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """How much the spool takes.

    Parameters
    ----------
    object_bytes
        The longest thing it takes.
    free_bytes
        What must stay free on its disk: below it nothing is taken.
    """

    object_bytes: int = 16 * 1024**3
    free_bytes: int = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a crash left in a spool folder: unfinished files removed, complete files without row taken in again."""

    removed: int
    adopted: int


class SpoolFolder:
    """The folder of one worker, its journal and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incoming = path / "incoming"
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
        self._committer = GroupCommit(folder / "journal.db")

    def receive(self, pieces: Iterable[bytes], judge: Judge, *, source: Source, batch: str, issuer: str = "") -> Held:
        """Take in one thing; when this returns, it is safe.

        What could not be understood is kept as well, and goes to quarantine:
        look at ``held.arrival.refusal``.

        Parameters
        ----------
        pieces
            The bytes of the file.
        judge
            Says what it is (`ingest.judge`).
        source, batch, issuer
            See `Arrival`.

        Raises
        ------
        SpoolFull, SpoolFailed, TooLarge
            Nothing was kept, and nothing may be acknowledged.
        """
        self._check_room()
        with self._translated(), self._unfinished() as (path, descriptor):
            sha256, size_bytes = self._write(pieces, descriptor)
            draft = Arrival(
                kind="document",
                received_at=self.clock(),
                source=source,
                batch=batch,
                issuer=issuer,
                file_sha256=sha256,
                size_bytes=size_bytes,
            )
            with path.open("rb") as stream:
                arrival = judge(stream, draft)
            sync_file(descriptor)
            return self._hold(path, arrival)

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

    def _hold(self, path: Path, arrival: Arrival) -> Held:
        kept = self.folder.held / path.name
        path.rename(kept)
        try:
            sync_folder(self.folder.held)
            number = self._committer.commit(kept.name, arrival)
        except BaseException:
            kept.unlink(missing_ok=True)  # nobody was told that it is safe
            raise
        return Held(number=number, path=kept, arrival=arrival)

    def _write(self, pieces: Iterable[bytes], descriptor: int) -> tuple[str, int]:
        digest = hashlib.sha256()
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > self._limits.object_bytes:
                raise TooLarge(f"It is longer than {self._limits.object_bytes} bytes")
            digest.update(piece)
            write_all(descriptor, piece)
        return digest.hexdigest(), size

    def _check_room(self) -> None:
        if self._failure is not None:
            raise SpoolFailed(self._failure)
        with self._translated():
            free = os.statvfs(self.folder.path)
        if free.f_bavail * free.f_frsize < self._limits.free_bytes:
            raise SpoolFull(f"Less than {self._limits.free_bytes} bytes are free on the spool's disk")

    @contextmanager
    def _unfinished(self) -> Iterator[tuple[Path, int]]:
        path = self.folder.incoming / uuid4().hex
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield path, descriptor
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
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
