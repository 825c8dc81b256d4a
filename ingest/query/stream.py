"""Sends pending answers: many in one go, past the queues and threads of pynetdicom.

An answer is two small PDUs. pynetdicom encodes each with objects of its own
and hands it to another thread; that costs ten times what finding it costs. The
final response goes pynetdicom's way, after all others were sent.
"""

import select
import socket
import ssl
import time
from typing import Any, Final, cast

from pynetdicom.association import Association

from ingest.node.wire import CommandKind, Field, command_pdus, data_set_pdus, encode_command

_TOGETHER_BYTES: Final = 64 * 1024
_PATIENCE_S: Final = 0.05
"""If answers are slow to come, none waits longer than this for another to be sent with it."""
_LOOK_S: Final = 0.25


class PeerGone(ConnectionError):
    """The peer takes no more answers."""


class AnswerStream:
    """Writes pending responses of one request to the socket of its association.

    Parameters
    ----------
    patience_s
        A peer that takes nothing for this long is given up.
    """

    def __init__(
        self, association: Association, *, context_id: int, sop_class_uid: str, message_id: int, patience_s: float
    ) -> None:
        self._association = association
        self._context_id = context_id
        self._sop_class_uid = sop_class_uid
        self._message_id = message_id
        self._patience_s = patience_s
        self._most = association.requestor.maximum_length or 0
        self._commands: dict[int, bytes] = {}
        self._waiting: list[bytes | memoryview] = []
        self._size = 0
        self._since = 0.0  # the first answer goes at once

    @staticmethod
    def suits(association: Association) -> bool:
        """Return whether answers may be written beside pynetdicom's thread: TLS takes no two threads at a time."""
        return not isinstance(_socket_of(association), ssl.SSLSocket | None)

    def put(self, status: int, identifier: bytes) -> None:
        """Add an answer; it is sent with others, or soon.

        Raises
        ------
        PeerGone
            Nobody takes it.
        """
        self._waiting.append(self._command(status))
        for pdu in data_set_pdus(self._context_id, [identifier], peer_pdu_bytes=self._most):
            self._waiting += pdu
        self._size += len(identifier)
        if self._size >= _TOGETHER_BYTES or time.monotonic() - self._since > _PATIENCE_S:
            self.flush()

    def flush(self) -> None:
        """Send what waits; raises `PeerGone`."""
        if self._waiting:
            self._send(memoryview(b"".join(self._waiting)))
        self._waiting, self._size, self._since = [], 0, time.monotonic()

    def _command(self, status: int) -> bytes:
        if status not in self._commands:
            encoded = encode_command(
                {
                    Field.AFFECTED_SOP_CLASS_UID: self._sop_class_uid,
                    Field.COMMAND_FIELD: CommandKind.C_FIND_RSP,
                    Field.MESSAGE_ID_RESPONDED_TO: self._message_id,
                    Field.DATA_SET_TYPE: 0x0001,
                    Field.STATUS: status,
                }
            )
            self._commands[status] = command_pdus(self._context_id, encoded, peer_pdu_bytes=self._most)
        return self._commands[status]

    def _send(self, left: memoryview) -> None:
        ends = time.monotonic() + self._patience_s
        try:
            while left:
                connection = self._alive()
                try:
                    left = left[connection.send(left, socket.MSG_DONTWAIT) :]
                    ends = time.monotonic() + self._patience_s
                except BlockingIOError:
                    if time.monotonic() > ends:
                        raise PeerGone("The peer takes no answers") from None
                    _await_room(connection)
        except (OSError, ValueError) as error:
            raise PeerGone("The connection is closed") from error
        self._association.dul._idle_timer.restart()  # it is not silent as long as it takes answers

    def _alive(self) -> socket.socket:
        connection = _socket_of(self._association)
        if connection is None or not self._association.is_established:
            raise PeerGone("The association is over")
        return connection


def _socket_of(association: Association) -> socket.socket | None:
    transport: Any = association.dul.socket
    return cast("socket.socket | None", transport.socket) if transport is not None else None


def _await_room(connection: socket.socket) -> None:
    waiting = select.poll()
    waiting.register(connection, select.POLLOUT)
    waiting.poll(_LOOK_S * 1000)
