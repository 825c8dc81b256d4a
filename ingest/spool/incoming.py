"""One thing on its way into the spool."""

import hashlib
import io
import os
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast
from uuid import uuid4

from archive.facts.receipts import Source
from ingest.errors import TooLarge
from ingest.judge import Judge
from ingest.spool.arrival import Arrival, Held
from ingest.spool.log import PAGE_BYTES, Buffer, Extent, joined
from storage.durable import sync_file, write_all

if TYPE_CHECKING:
    from ingest.spool.spool import Spool

LOGGED_BYTES: Final = 8 * 1024 * 1024
"""What is longer has a file of its own: for it the file system's journal is a small part of the price."""


class Incoming:
    """One thing on its way into the spool, gone unless it is kept.

    It begins in memory; once it is long it lies in the log, or, where that has
    no room for it, in a file below ``incoming/``.

    Parameters
    ----------
    spool
        Where it goes.
    object_bytes
        How long it may be.
    gather_bytes
        So much is held in memory before it is written, in whole pages.
    """

    def __init__(self, spool: "Spool", object_bytes: int, *, gather_bytes: int) -> None:
        self.size_bytes = 0
        self._gather_bytes = gather_bytes // PAGE_BYTES * PAGE_BYTES
        self._spool = spool
        self._object_bytes = object_bytes
        self._is_kept = False
        self._digest = hashlib.sha256()
        self._gathered = bytearray()
        self._logged: list[Extent] = []
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
        self.size_bytes = size_bytes
        if len(self._gathered) + len(piece) < self._gather_bytes:
            self._gathered += piece
        else:
            self._put_down(piece)

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
        is_small = self._descriptor < 0 and not self._logged
        self._digest.update(self._gathered) if is_small else self._put_down(is_last=True)
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
        if is_small:
            held = self._keep_small(judge, draft)
        elif self._logged:
            held = self._keep_logged(judge, draft)
        else:
            held = self._keep_file(judge, draft)
        self._is_kept = True
        return held

    def discard(self) -> None:
        """Let go of what it holds, and remove its file unless it was kept."""
        self._spool.log.let_go(self._logged)
        self._logged = []
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if not self._is_kept:
                self._path.unlink(missing_ok=True)

    def _keep_small(self, judge: Judge, draft: Arrival) -> Held:
        content = bytes(self._gathered)
        return self._spool.hold_content(self._path.name, judge(io.BytesIO(content), draft), content)

    def _keep_logged(self, judge: Judge, draft: Arrival) -> Held:
        extents = joined(self._logged)
        with self._spool.translated():
            arrival = judge(cast(BinaryIO, self._spool.log.opened(extents)), draft)
        return self._spool.hold_content(self._path.name, arrival, extents)

    def _keep_file(self, judge: Judge, draft: Arrival) -> Held:
        with self._spool.translated():
            with open(self._descriptor, "rb", buffering=0, closefd=False) as stream:
                stream.seek(0)
                arrival = judge(cast(BinaryIO, stream), draft)
            sync_file(self._descriptor)
        return self._spool.hold(self._path, arrival)

    def _put_down(self, piece: Buffer = b"", *, is_last: bool = False) -> None:
        """Write and digest what was gathered, and a piece behind it.

        Both let other threads run. Done for each fragment of 16 KB, as most
        senders send them, an instance would cost a hundred changes of thread.
        """
        with self._spool.translated():
            if self._descriptor < 0 and not self._is_put_into_log(piece, is_last=is_last):
                self._begin_file()
            if self._descriptor >= 0:
                write_all(self._descriptor, self._gathered, piece)
                self._digest.update(self._gathered)
                self._digest.update(piece)
                self._gathered.clear()

    def _is_put_into_log(self, piece: Buffer, *, is_last: bool) -> bool:
        """Write what was gathered and a piece to the log, whole pages but for the last; False if there is no room."""
        if self.size_bytes > LOGGED_BYTES:
            return False
        count = len(self._gathered) + len(piece)
        if not is_last:
            count -= count % PAGE_BYTES
        if not count:
            self._gathered += piece if self._logged else b""
            return bool(self._logged)
        # At `gather_bytes`, or else a page, more is there than was gathered: the cut lies in the piece.
        with memoryview(piece) as view, view[: count - len(self._gathered)] as now:
            extent = self._spool.log.write(self._gathered, now)
            if extent is None:
                return False
            self._logged.append(extent)
            self._digest.update(self._gathered)
            self._digest.update(now)
            self._gathered[:] = view[len(now) :]
        return True

    def _begin_file(self) -> None:
        """Make its file, and move there what lies in the log."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with self._spool.log.opened(self._logged) as stream:
            while piece := stream.read(LOGGED_BYTES):
                write_all(self._descriptor, piece)
        self._spool.log.let_go(self._logged)
        self._logged = []
