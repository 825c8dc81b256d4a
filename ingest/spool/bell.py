"""A bell between processes: whoever waits for something need not ask a database again and again.

It is a named pipe in the spool. Ringing costs two system calls, never blocks
and never fails; it tells nothing but that there is something to look at, so a
ring that is lost costs a pause and no more.
"""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_MODE: Final = 0o640
_ALL: Final = 4096


class Bell:
    """The bell at `path`, whose folder stands."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ring(self) -> None:
        """Wake the process that listens, if there is one."""
        with suppress(OSError):  # nobody listens, or the pipe is full of rings
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"!")
            finally:
                os.close(descriptor)

    @contextmanager
    def heard(self) -> Iterator["Ear"]:
        """Listen for the length of the block."""
        with suppress(FileExistsError):
            os.mkfifo(self._path, _MODE)
        # Opened for writing too: otherwise the pipe would report its end for ever once a ringer has closed it.
        descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            yield Ear(descriptor)
        finally:
            os.close(descriptor)


class Ear:
    """The listening end of a bell."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def wait(self, within_s: float) -> bool:
        """Wait so long at most and return whether the bell was rung since the last call."""
        if not select.select([self._descriptor], [], [], within_s)[0]:
            return False
        with suppress(BlockingIOError):
            while len(os.read(self._descriptor, _ALL)) == _ALL:
                pass
        return True
