"""Reading the values of data sets: in this process, or in one that may die of it.

A data set that passed the walker may still make pydicom recurse, take all
memory or never end. What comes from the network is therefore read in a child
process with a limit of memory and a deadline. The child is asked ahead, so
that it reads the next data sets while the filer stores the one before.
"""

import os
import pickle
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import BinaryIO, Final, Protocol

from archive.headers import InstanceHeader
from ingest.dataset.limits import Limits
from ingest.errors import ReaderDied, Undescribable
from ingest.filing.instance import ReadInstance, read_instance, with_digests
from ingest.filing.reader_child import LENGTH, write_frame
from ingest.spool.arrival import Held

_AHEAD: Final = 16
_AHEAD_BYTES: Final = 32 * 1024  # half of what a pipe takes: writing requests never blocks
_PIECE_BYTES: Final = 1 << 18
_BOOT: Final = (
    "import sys; n = sys.argv; sys.path[:] = n[5:]; from ingest.filing.reader_child import serve; "
    "serve(int(n[1]), int(n[2]), int(n[3]), float(n[4]))"
)

Reading = InstanceHeader | Undescribable | OSError
"""What became of reading one data set: its header, or why there is none."""
Answer = ReadInstance | Undescribable | OSError
"""What a reader says of one data set."""


class HeaderReader(Protocol):
    """Reads the headers of arrivals."""

    @property
    def limits(self) -> Limits:
        """How much one data set may hold."""

    def read(self, arrivals: Iterable[Held]) -> Generator[Answer, None, None]:
        """Yield what became of each arrival, in order."""

    def close(self) -> None:
        """Let go of what reading needs; it is taken again for the next `read`."""


def readings(reader: HeaderReader, page: Sequence[Held]) -> Generator[tuple[Held, Reading | None], None, None]:
    """Yield each arrival with its digests and what became of reading it; None if there is nothing to read of it."""
    wanted = {held.number: held for held in page if _is_read(held)}
    with closing(reader.read(wanted.values())) as answers:
        for held in page:
            if held.number in wanted:
                yield _digested(held, next(answers), reader.limits)
            else:
                yield held, None


def _digested(held: Held, answer: Answer, limits: Limits) -> tuple[Held, Reading]:
    """Take apart what a reader said; of a long one it left out the digests, which take longer than it may."""
    if not isinstance(answer, ReadInstance):
        return held, answer
    try:
        arrival = with_digests(held.path, answer.arrival, limits=limits)
    except (Undescribable, OSError) as error:
        return held, error
    return replace(held, arrival=arrival), answer.header


def _is_read(held: Held) -> bool:
    arrival = held.arrival
    return arrival.refusal is None and arrival.patient is None and held.path.exists()


class DirectReader:
    """Reads in this process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def read(self, arrivals: Iterable[Held]) -> Generator[Answer, None, None]:
        """See `HeaderReader.read`."""
        for held in arrivals:
            try:
                yield read_instance(held.path, held.arrival, limits=self.limits)
            except (Undescribable, OSError) as error:
                yield error

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderLimits:
    """What reading one data set may take.

    Parameters
    ----------
    memory_bytes
        Address space on top of what the program itself takes.
    deadline_s
        Time.
    """

    memory_bytes: int = 2 * 1024**3
    deadline_s: float = 60.0


class IsolatedReader:
    """Reads in a child process, which is started when it is needed.

    A data set at which the child died is tried once more in a new one, alone:
    another before it may have taken the memory. Then it is `ReaderDied`.
    """

    def __init__(self, limits: Limits, *, cost: ReaderLimits | None = None) -> None:
        self.limits = limits
        self._cost = cost or ReaderLimits()
        self._child: _Child | None = None

    def read(self, arrivals: Iterable[Held]) -> Generator[Answer, None, None]:
        """See `HeaderReader.read`."""
        waiting: deque[bytes] = deque()  # asked, not yet answered
        try:
            for held in arrivals:
                request = pickle.dumps((held.path, held.arrival, self.limits))
                while waiting and (len(waiting) >= _AHEAD or sum(map(len, waiting)) + len(request) > _AHEAD_BYTES):
                    yield self._answer(waiting)
                waiting.append(request)
                self._ask(request)
            while waiting:
                yield self._answer(waiting)
        finally:
            if waiting:
                self.close()  # it would answer what nobody asks any more

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, request: bytes) -> None:
        if self._child is None:
            self._child = _Child(self._cost)
        self._child.ask(request)

    def _answer(self, waiting: deque[bytes]) -> Answer:
        """Return the answer to the request that waits longest, which may cost a child or two."""
        assert self._child is not None
        answer = self._child.answer()
        if isinstance(answer, str):
            self._replace(waiting[0])
            answer = self._child.answer()
            rest = list(waiting)[1:]
            if isinstance(answer, str):
                answer = ReaderDied(f"The process that read it {answer}, twice")
                self._replace(*rest)
            else:
                for request in rest:
                    self._child.ask(request)
        waiting.popleft()
        return answer

    def _replace(self, *requests: bytes) -> None:
        """Begin anew with a child that was asked these."""
        self.close()
        self._child = _Child(self._cost)
        for request in requests:
            self._child.ask(request)


class _Child:
    """One child process and the pipes to it."""

    def __init__(self, cost: ReaderLimits) -> None:
        self._deadline_s = cost.deadline_s
        asked, ask = os.pipe()
        hear, tell = os.pipe()
        numbers = (asked, tell, cost.memory_bytes, cost.deadline_s)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *map(str, numbers), *filter(None, sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what a library says may hold names of patients
            pass_fds=(asked, tell),
        )
        os.close(asked)
        os.close(tell)
        self._ask: BinaryIO = os.fdopen(ask, "wb", buffering=0)
        self._hear = hear
        self._heard = bytearray()

    def ask(self, request: bytes) -> None:
        try:
            write_frame(self._ask, request)
        except BrokenPipeError:
            return  # it died: the missing answer says so

    def answer(self) -> Answer | str:
        """Return the next answer, or in words how the process ended."""
        ends = time.monotonic() + self._deadline_s
        while (body := self._frame()) is None:
            if not select.select([self._hear], [], [], max(ends - time.monotonic(), 0.0))[0]:
                return f"took longer than {self._deadline_s:g} s"
            piece = os.read(self._hear, _PIECE_BYTES)
            if not piece:
                return f"ended ({self._process.wait()})"
            self._heard += piece
        answer: Answer = pickle.loads(body)  # noqa: S301 - written by our own child
        return answer

    def _frame(self) -> bytes | None:
        """Return the next whole frame that was heard, None if there is none yet."""
        if len(self._heard) < LENGTH.size:
            return None
        ends = LENGTH.size + LENGTH.unpack_from(self._heard)[0]
        if len(self._heard) < ends:
            return None
        body = bytes(self._heard[LENGTH.size : ends])
        del self._heard[:ends]
        return body

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._ask.close()
        os.close(self._hear)
