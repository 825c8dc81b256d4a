"""Bytes of PDUs out of and into a socket: straight from the buffers they were read into, and never waiting for ever.

Every wait is cut into short ones, so that whoever wants to stop is heard.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from ingest.errors import AssociationLost
from ingest.node.connection import acknowledge_at_once
from ingest.node.wire import PDU_HEADER, Buffer

_GATHERED_BUFFERS: Final = 512  # the kernel takes 1,024 in one call
_GATHERED_BYTES: Final = 1 << 20
_LOOK_UP_S: Final = 0.25
_RECEIVED_BYTES: Final = 4096  # an answer to C-STORE is two hundred long

LARGEST_ANSWER_BYTES: Final = 1 << 20
"""A longer PDU than this no peer has reason to send to somebody who only stores there."""

Stopped = Callable[[], bool]


class Line:
    """A socket on which PDUs come and go.

    Parameters
    ----------
    socket
        Plain or TLS, non-blocking; who made it also closes it.
    patience_s
        Without any progress for so long, the peer is given up.
    is_stopped
        Asked several times a second; once it says so, sending and waiting end with `AssociationLost`.
    """

    def __init__(self, socket: socket.socket, *, patience_s: float, is_stopped: Stopped = lambda: False) -> None:
        self.socket = socket
        self._patience_s = patience_s
        self._is_stopped = is_stopped
        self._received = bytearray()

    def with_patience(self, patience_s: float, *, is_stopped: Stopped = lambda: False) -> "Line":
        """Return the same line for somebody else to wait on; this one is not to be used any more."""
        line = Line(self.socket, patience_s=patience_s, is_stopped=is_stopped)
        line._received = self._received
        return line

    def send(self, pdus: Iterable[Sequence[Buffer]]) -> None:
        """Send PDUs, each a list of buffers; read from `pdus` only as far as the peer takes them.

        Raises
        ------
        AssociationLost
            The peer went, takes no more, or we are to stop.
        """
        gathered: list[Buffer] = []
        size = 0
        for pdu in pdus:
            gathered.extend(pdu)
            size += sum(map(len, pdu))
            if size >= _GATHERED_BYTES or len(gathered) >= _GATHERED_BUFFERS:
                self._write(gathered)
                gathered, size = [], 0
        if gathered:
            self._write(gathered)

    def _write(self, buffers: list[Buffer]) -> None:
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self._write_sealed(b"".join(buffers))
            else:
                self._write_plain(buffers)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise AssociationLost(f"The connection broke while sending: {error}") from error

    def _write_plain(self, buffers: list[Buffer]) -> None:
        ends = time.monotonic() + self._patience_s
        while buffers:
            try:
                sent = self.socket.sendmsg(buffers[:_GATHERED_BUFFERS])
            except BlockingIOError:
                self._wait(for_reading=False, ends=ends)
                continue
            ends = time.monotonic() + self._patience_s
            while buffers and sent >= len(buffers[0]):
                sent -= len(buffers[0])
                del buffers[0]
            if sent:
                buffers[0] = memoryview(buffers[0])[sent:]

    def _write_sealed(self, data: bytes) -> None:
        view = memoryview(data)
        ends = time.monotonic() + self._patience_s
        while view:
            try:
                sent = self.socket.send(view)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._wait(for_reading=False, ends=ends)
                continue
            view = view[sent:]
            ends = time.monotonic() + self._patience_s

    def read_pdu(self) -> tuple[int, memoryview]:
        """Return type and body of the next PDU.

        Raises
        ------
        AssociationLost
            It does not come, the peer closed, or we are to stop.
        """
        self._receive(PDU_HEADER.size)
        kind, length = PDU_HEADER.unpack_from(self._received)
        if length > LARGEST_ANSWER_BYTES:
            raise AssociationLost(f"The peer announced a PDU of {length} bytes")
        ends = PDU_HEADER.size + length
        self._receive(ends)
        body = memoryview(bytes(self._received[PDU_HEADER.size : ends]))
        del self._received[:ends]
        return kind, body

    def _receive(self, count: int) -> None:
        """Wait until `count` bytes are there; what has come beyond them is taken along."""
        ends = time.monotonic() + self._patience_s
        try:
            while len(self._received) < count:
                try:
                    more = self.socket.recv(_RECEIVED_BYTES)
                except (ssl.SSLWantReadError, BlockingIOError):
                    self._wait(for_reading=True, ends=ends)
                    continue
                if not more:
                    raise AssociationLost("The peer closed the connection")
                self._received += more
                acknowledge_at_once(self.socket)
        except (OSError, ValueError) as error:
            raise AssociationLost(f"The connection broke while waiting for an answer: {error}") from error

    def _wait(self, *, for_reading: bool, ends: float) -> None:
        """Wait until the socket is ready; returns early only when it is."""
        while True:
            if self._is_stopped():
                raise AssociationLost("The transfer was stopped")
            left = ends - time.monotonic()
            if left <= 0:
                raise AssociationLost(f"The peer did nothing for {self._patience_s:g} s")
            poll = select.poll()  # `select` can't watch descriptors beyond 1,023
            poll.register(self.socket, select.POLLIN if for_reading else select.POLLOUT)
            if poll.poll(min(_LOOK_UP_S, left) * 1000):
                return


def both(command: bytes, data_set: Iterable[Sequence[Buffer]]) -> Iterator[Sequence[Buffer]]:
    """Yield the PDUs of a command set and then those of its data set."""
    yield [command]
    yield from data_set
