"""The socket of an association: read ahead into one buffer, with limits and deadlines, and without a sleep.

pynetdicom 3.0.4 reserves what a PDU header asks for, four gigabytes and more,
before any negotiation, never cuts a peer that sends a byte a second or reads
nothing, reads in pieces of 4 KiB and looks for data a thousand times a second.
Here a receive takes what has come, several PDUs where they are there, and a
wait ends when bytes come or another thread rings the bell.
"""

import math
import os
import select
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from ingest.node.wire import PDU_HEADER

PDU_HEADER_BYTES: Final = PDU_HEADER.size
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_BUFFER_BYTES: Final = 192 * 1024
_THROWN_READS: Final = 16
_QUICK: Final = getattr(socket, "TCP_QUICKACK", None)
_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)
_TOLD: Final = b"\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may cost.

    Parameters
    ----------
    pdu_bytes
        The longest PDU that is read.
    deadline_s
        Within this time a PDU that has begun must be there whole, and a peer must take more of what it is sent.
    """

    pdu_bytes: int = 1024 * 1024
    deadline_s: float = 30.0


class Bell:
    """Ends the wait of another thread in `poll`; rung any number of times, it is heard once.

    It costs nothing before `open`, which the waiting thread calls when it starts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # after `close` the number of the descriptor may be another file's
        self._hears, self._rings = -1, -1
        self._is_rung = False
        self._is_open = False

    def open(self) -> None:
        """Begin to be heard; whoever calls looks for work before the first wait."""
        with self._lock:
            self._hears, self._rings = os.pipe()
            self._is_open = True

    def fileno(self) -> int:
        """Return what `poll` waits for."""
        return self._hears

    def ring(self) -> None:
        """End the wait that goes on, or else the next."""
        with self._lock:
            if self._is_open and not self._is_rung:
                self._is_rung = True
                os.write(self._rings, _TOLD)

    def hush(self) -> None:
        """Hear it: whoever calls looks for work before the next wait."""
        with self._lock:
            if self._is_open and self._is_rung:
                self._is_rung = False
                os.read(self._hears, 1)

    def close(self) -> None:
        """Close it; rings are lost from now on."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._hears)
                os.close(self._rings)


class Pdu(NamedTuple):
    """A whole PDU in the buffer: its type and a view of what follows its header, good until the next receive."""

    kind: int
    body: memoryview

    @property
    def size_bytes(self) -> int:
        """Length with its header."""
        return PDU_HEADER_BYTES + len(self.body)


class Interrupted(ConnectionAbortedError):
    """The association is to end: a wait for the peer was given up."""


class Waiter(Protocol):
    """The reactor that waits on a connection."""

    bell: Bell

    @property
    def is_ending(self) -> bool:
        """Whether somebody wants this association to end at once."""


class Connection(AssociationSocket):
    """Replaces pynetdicom's socket: the same methods, a buffer, limits, and waits that can be ended.

    The socket below is non-blocking from the moment it is connected; all waits
    are `poll` on it and on the bell of the reactor.

    Parameters
    ----------
    assoc, client_socket, address
        See `AssociationSocket`.
    waiter
        Its reactor.
    limits
        What is read, and for how long is waited.
    """

    def __init__(
        self,
        assoc: Association,
        *,
        waiter: Waiter,
        limits: ConnectionLimits,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
    ) -> None:
        super().__init__(assoc, client_socket, address)
        self.limits = limits
        self._waiter = waiter
        self._buffer = bytearray()
        self._start = 0
        self._end = 0
        self._ends = 0.0  # when the PDU being read must be there
        if client_socket is not None:
            _prepare(client_socket)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect as requestor; see `AssociationSocket.connect`."""
        super().connect(primitive)
        if self.socket is not None and self._is_connected:
            _prepare(self.socket)

    @property
    def ready(self) -> bool:
        """Whether there is something to be read, be it the end."""
        if self._start < self._end:
            return True
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if connection.fileno() < 0:  # it was cut
            return True
        waiting = select.poll()
        waiting.register(connection, select.POLLIN)
        return _is_pending(connection) or bool(waiting.poll(0))

    def wait(self, timeout_s: float) -> None:
        """Wait until something can be read, the bell rings or the time is over; what has come is not touched."""
        connection = self.socket
        if connection is None or not self._is_connected or connection.fileno() < 0:
            self._await(None, 0, timeout_s)
        elif self._start == self._end and not _is_pending(connection):
            self._await(connection, select.POLLIN, timeout_s)

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes` bytes, fewer if the peer closes.

        Raises
        ------
        OSError
            A limit was broken, and the connection is cut.
        """
        if nr_bytes == PDU_HEADER_BYTES:
            self._ends = time.monotonic() + self.limits.deadline_s
        if nr_bytes > self.limits.pdu_bytes:
            self.cut()
            raise ConnectionAbortedError(
                f"A PDU of {nr_bytes} bytes was announced, the limit is {self.limits.pdu_bytes}"
            )
        self._fill(nr_bytes)
        taken = self._buffer[self._start : min(self._end, self._start + nr_bytes)]
        self.consume(len(taken))
        return taken

    def peek(self, at: int = 0, *, patient: bool = False) -> Pdu | None:
        """Return the next PDU without taking it, as soon as it is there whole.

        Parameters
        ----------
        at
            Bytes of PDUs looked at before.
        patient
            Leave it to the timer of the association how long to wait for the first byte.

        Returns
        -------
        Pdu or None
            None if the peer closed, or if the PDU breaks a limit: `recv` will say so.

        Raises
        ------
        OSError
            The connection broke, or was cut at the deadline.
        """
        self._ends = math.inf if patient and self._start == self._end else time.monotonic() + self.limits.deadline_s
        if not self._fill(at + PDU_HEADER_BYTES):
            return None
        kind, length = PDU_HEADER.unpack_from(self._buffer, self._start + at)
        if length > self.limits.pdu_bytes or not self._fill(at + PDU_HEADER_BYTES + length):
            return None
        begins = self._start + at + PDU_HEADER_BYTES
        return Pdu(kind, memoryview(self._buffer)[begins : begins + length])

    def consume(self, count: int) -> None:
        """Let go of the next `count` bytes, which were looked at."""
        self._start += count
        if self._start >= self._end:
            self._start = self._end = 0

    def send(self, bytestream: bytes) -> None:
        """Send all of it; a peer that takes nothing for the length of the deadline is cut."""
        try:
            self._send_all(memoryview(bytestream))
        except (OSError, AttributeError):  # broken or closed meanwhile
            self.event_queue.put("Evt17")
            return
        evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})

    def _shutdown_socket(self) -> None:
        """Shut it down and close it; pynetdicom leaves one open that was never connected.

        A peer that reads nothing gets the length of the deadline to take our last words: the system would offer them
        for many minutes, and the peer would hang in what it sends.
        """
        if self.socket is not None:
            if _USER_TIMEOUT is not None:
                with suppress(OSError):  # broken, or no TCP, as in tests
                    self.socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(self.limits.deadline_s * 1000))
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                self.socket.close()

    def throw_away(self) -> None:
        """Throw away what has come: closing with unread bytes would reset the connection, and our last words with it.

        A peer that sends without end is not listened to for long.
        """
        self._start = self._end = 0
        with suppress(OSError):
            for _ in range(_THROWN_READS):
                if self.socket is None or not self.socket.recv(_BUFFER_BYTES):
                    return

    def cut(self) -> None:
        """Reset the connection at once.

        A mere shutdown is not enough: Linux goes on taking what an endless
        sender sends, and pynetdicom leaves the socket of a connection it
        believes closed to the garbage collector, so the peer would hang.
        """
        if self.socket is None:
            return
        with suppress(OSError):  # the peer was quicker
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.socket.close()

    def _fill(self, count: int) -> bool:
        """Bring at least `count` bytes into the buffer; False if the peer closes before."""
        while self._end - self._start < count:
            self._make_room(count)
            received = self._receive()
            if not received:
                return False
            self._end += received
            self._ends = min(self._ends, time.monotonic() + self.limits.deadline_s)
        return True

    def _make_room(self, count: int) -> None:
        """Bring what is left to the front when the rest does not fit behind it."""
        if self._start + count <= len(self._buffer) and self._end < len(self._buffer):
            return
        left = self._buffer[self._start : self._end]
        if count > len(self._buffer):
            self._buffer = bytearray(max(count, _BUFFER_BYTES))
        self._buffer[: len(left)] = left
        self._start, self._end = 0, len(left)

    def _receive(self) -> int:
        connection = self._alive()
        with memoryview(self._buffer)[self._end :] as view:
            while True:
                try:
                    received = connection.recv_into(view)
                    break
                except (BlockingIOError, ssl.SSLWantReadError):
                    self._await_within_deadline(connection, select.POLLIN)
                except ssl.SSLWantWriteError:
                    self._await_within_deadline(connection, select.POLLOUT)
        acknowledge_at_once(connection)
        return received

    def _send_all(self, left: memoryview) -> None:
        connection = self._alive()
        while left:
            self._ends = time.monotonic() + self.limits.deadline_s
            try:
                left = left[connection.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await_within_deadline(connection, select.POLLOUT)
            except ssl.SSLWantReadError:
                self._await_within_deadline(connection, select.POLLIN)

    def _alive(self) -> socket.socket:
        if self.socket is None:
            raise ConnectionAbortedError("The connection is closed")
        return self.socket

    def _await_within_deadline(self, connection: socket.socket, events: int) -> None:
        while True:
            left = self._ends - time.monotonic()
            if left <= 0:
                self.cut()
                raise TimeoutError(f"The peer took longer than {self.limits.deadline_s} s")
            if self._await(connection, events, left):
                return
            if self._waiter.is_ending:
                raise Interrupted("The association is to end")

    def _await(self, connection: socket.socket | None, events: int, timeout_s: float) -> bool:
        """Wait for the connection or the bell; return whether it was the connection."""
        bell = self._waiter.bell
        waiting = select.poll()  # not select: its descriptors end at 1023
        waiting.register(bell.fileno(), select.POLLIN)
        if connection is not None:
            waiting.register(connection, events)
        heard = {number for number, _ in waiting.poll(None if timeout_s == math.inf else max(0.0, timeout_s) * 1000)}
        if bell.fileno() in heard:
            bell.hush()
            heard.remove(bell.fileno())
        return bool(heard)


def _prepare(connection: socket.socket) -> None:
    """Make a connected socket what all of this relies on."""
    connection.setblocking(False)
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # closed by the peer already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_pending(connection: socket.socket) -> bool:
    """Return whether TLS has decrypted bytes that `poll` can't see."""
    return isinstance(connection, ssl.SSLSocket) and bool(connection.pending())


def acknowledge_at_once(connection: socket.socket) -> None:
    """Ask for immediate acknowledgement: Linux takes the option back after each receive.

    DCMTK and programs built on it leave Nagle's algorithm on; with delayed
    acknowledgement every operation of theirs would take 44 ms.
    """
    if _QUICK is None:
        return
    with suppress(OSError):  # closed meanwhile: the next receive says so; or no TCP, as in tests
        connection.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)
