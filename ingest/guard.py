"""Guarding a DICOM connection: what may come in one PDU, how long it may take, and no waiting for acknowledgements.

pynetdicom 3.0.4 reserves what a PDU header asks for, four gigabytes and more,
before any negotiation, and never cuts a peer that sends a byte a second. The
guard stands where the socket is read.
"""

import socket
import struct
import time
from contextlib import suppress
from socketserver import BaseServer
from typing import Any
from uuid import uuid4

from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

PDU_HEADER_BYTES = 6
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class PduGuard:
    """Replaces `AssociationSocket.recv`: exact reads with a limit and a deadline.

    Parameters
    ----------
    connection
        The peer's socket.
    pdu_bytes
        The longest PDU that is read.
    deadline_s
        Within this time a PDU that has begun must be there whole.
    """

    def __init__(self, connection: socket.socket, *, pdu_bytes: int, deadline_s: float) -> None:
        self._connection = connection
        self._pdu_bytes = pdu_bytes
        self._deadline_s = deadline_s
        self._ends = 0.0

    def __call__(self, count: int) -> bytearray:
        """Read `count` bytes, fewer if the peer closes; a limit broken closes the connection and raises `OSError`."""
        if count == PDU_HEADER_BYTES:
            self._ends = time.monotonic() + self._deadline_s
        if count > self._pdu_bytes:
            self.cut()
            raise ConnectionAbortedError(f"A PDU of {count} bytes was announced, the limit is {self._pdu_bytes}")
        taken = bytearray(count)
        view = memoryview(taken)
        done = 0
        while done < count:
            more = self._receive(view[done:])
            if not more:
                break
            done += more
        view.release()
        del taken[done:]
        return taken

    def _receive(self, view: memoryview) -> int:
        left = self._ends - time.monotonic()
        if left <= 0:
            self.cut()
            raise TimeoutError(f"A PDU took longer than {self._deadline_s} s")
        self._connection.settimeout(left)
        try:
            count = self._connection.recv_into(view)
        except TimeoutError:
            self.cut()
            raise
        finally:
            with suppress(OSError):  # it was cut
                self._connection.settimeout(None)
        acknowledge_at_once(self._connection)
        return count

    def cut(self) -> None:
        """Reset the connection at once.

        A mere shutdown is not enough: Linux goes on taking what an endless
        sender sends, and pynetdicom leaves the socket of a connection it
        believes closed to the garbage collector, so the peer would hang.
        """
        with suppress(OSError):  # the peer was quicker
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._connection.close()


def acknowledge_at_once(connection: socket.socket) -> None:
    """Ask for immediate acknowledgement: Linux takes the option back after each receive.

    DCMTK and programs built on it leave Nagle's algorithm on; with delayed
    acknowledgement every operation of theirs would take 44 ms.
    """
    quick = getattr(socket, "TCP_QUICKACK", None)
    if quick is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        connection.setsockopt(socket.IPPROTO_TCP, quick, 1)
    except OSError:
        return  # closed meanwhile; the next receive says so


class GuardedHandler(RequestHandler):
    """Makes associations whose socket is guarded."""

    server: "GuardedServer"

    def _create_association(self) -> Association:
        association = super()._create_association()
        connection: socket.socket = self.request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        guard = PduGuard(connection, pdu_bytes=self.server.pdu_bytes, deadline_s=self.server.deadline_s)
        association.dul.socket.recv = guard  # type: ignore[union-attr, method-assign]
        association.name = f"{association.name}-{uuid4().hex}"  # pynetdicom's own is the same within a second
        return association


class GuardedServer(ThreadedAssociationServer):
    """Accepts connections and guards each of them.

    Parameters
    ----------
    pdu_bytes, deadline_s
        See `PduGuard`.
    """

    request_queue_size = 64

    def __init__(self, *arguments: Any, pdu_bytes: int, deadline_s: float, **options: Any) -> None:
        self.pdu_bytes = pdu_bytes
        self.deadline_s = deadline_s
        super().__init__(*arguments, **{**options, "request_handler": GuardedHandler})

    def shutdown(self) -> None:
        """Stop accepting and close the listening socket; pynetdicom's own version expects a list it did not fill."""
        BaseServer.shutdown(self)
        self.server_close()
