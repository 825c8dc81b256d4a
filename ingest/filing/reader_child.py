"""The process that reads the values of data sets for the filer (`ingest.filing.reader`).

It may run out of memory, recurse too deep, hang or crash: it holds nothing
that would be lost. It ends when the filer closes the pipe, and by its own
alarm where the filer is gone and can't end it.
"""

import os
import pickle
import resource
import signal
import struct
from pathlib import Path
from typing import BinaryIO, Final

from ingest.errors import Undescribable
from ingest.filing.instance import read_instance

LENGTH: Final = struct.Struct(">I")
_DIGEST_BYTES: Final = 256 * 1024 * 1024  # of a longer one the filer makes the digests: it is not in a hurry
_ALARM_LATER_S: Final = 10.0


def serve(requests: int, answers: int, memory_bytes: int, deadline_s: float) -> None:
    """Answer requests until there are no more.

    Parameters
    ----------
    requests, answers
        Descriptors of two pipes.
    memory_bytes
        How much address space reading may take on top of what the program takes.
    deadline_s
        How long the filer waits for one answer.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    taken = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes, taken + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(requests, "rb") as asked, os.fdopen(answers, "wb") as told:
        while (body := read_frame(asked)) is not None:
            signal.setitimer(signal.ITIMER_REAL, deadline_s + _ALARM_LATER_S)
            write_frame(told, pickle.dumps(_answer(body)))
            told.flush()
            signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(body: bytes) -> object:
    path, arrival, limits = pickle.loads(body)  # noqa: S301 - written by the filer, our parent
    try:
        return read_instance(path, arrival, limits=limits, digest_bytes=_DIGEST_BYTES)
    except (Undescribable, OSError) as error:
        return error


def read_frame(stream: BinaryIO) -> bytes | None:
    """Return the next frame, None at the end of the stream."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: BinaryIO, body: bytes) -> None:
    """Write one frame."""
    stream.write(LENGTH.pack(len(body)) + body)
