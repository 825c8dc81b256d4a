"""Files pynetdicom receives data sets into: on the spool's disk, limited, and gone when their association is.

With `STORE_RECV_CHUNKED_DATASET` pynetdicom writes a data set into a
`NamedTemporaryFile` as it comes, so that memory does not grow with it. Its own
files would lie in the system's temporary folder, stay behind when a peer
vanishes, and kill the association without an answer when the disk is full.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from ingest.errors import OutOfResources, SpoolFull, TooLarge
from ingest.guard import PduGuard


class ReceivedFile:
    """What `pynetdicom.dimse_messages` needs of a `NamedTemporaryFile`.

    A failed write is remembered in `failure` and what follows is thrown away:
    the peer then gets an answer (A700) instead of a broken connection. Beyond
    twice the limit of `object_bytes` nobody listens any more: the connection is `cut`.
    """

    def __init__(self, folder: Path, *, object_bytes: int, cut: Callable[[], None]) -> None:
        self.name = str(folder / uuid4().hex)
        self.failure: OutOfResources | None = None
        self._limit = object_bytes
        self._size = 0
        self._cut = cut
        try:
            self._stream = Path(self.name).open("xb")  # noqa: SIM115 - lives as long as the message
        except OSError as error:
            self._stream = open(os.devnull, "wb")  # noqa: SIM115, PTH123
            self.failure = SpoolFull(f"No file could be made on the spool's disk: {error.strerror}")

    @property
    def file(self) -> "ReceivedFile":
        """Itself: pynetdicom flushes through this attribute after each fragment."""
        return self

    def write(self, data: bytes) -> int:
        """Append `data`."""
        self._size += len(data)
        if self._size > self._limit:
            self.failure = self.failure or TooLarge(f"It is longer than {self._limit} bytes")
            if self._size > 2 * self._limit:
                self._cut()
        if self.failure is None:
            try:
                self._stream.write(data)
            except OSError as error:
                self.failure = SpoolFull(f"The spool's disk takes no more: {error.strerror}")
        return len(data)

    def flush(self) -> None:
        """Do nothing: it is flushed once, when it is complete."""

    def finish(self) -> None:
        """Flush what was written, or raise `failure`."""
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.failure = SpoolFull(f"The spool's disk takes no more: {error.strerror}")
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Close the file; pynetdicom removes it after the answer."""
        try:
            self._stream.close()
        except OSError:
            return  # a full disk, said by `finish` before

    def discard(self) -> None:
        """Close and remove the file: the peer vanished."""
        self.close()
        Path(self.name).unlink(missing_ok=True)


class ReceivingFolder:
    """Stands in for `tempfile.NamedTemporaryFile` in pynetdicom."""

    def __init__(self, folder: Path, *, object_bytes: int) -> None:
        self._folder = folder
        self._object_bytes = object_bytes

    def __call__(self, *_args: Any, **_options: Any) -> ReceivedFile:
        """Make a new file; where and how is settled here, whatever pynetdicom asks for."""
        # pynetdicom asks in the thread that reads this association's socket.
        connection = getattr(threading.current_thread(), "socket", None)
        guard = getattr(connection, "recv", None)
        cut = guard.cut if isinstance(guard, PduGuard) else _nothing
        return ReceivedFile(self._folder, object_bytes=self._object_bytes, cut=cut)


def _nothing() -> None:
    """Cut nothing: there is no connection."""
