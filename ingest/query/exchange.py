"""One query on the association it came over: its identifier, its answers, its cancel.

All of it happens in the thread that owns the socket, as C-STORE and C-MOVE do
(`ingest.node.fast_receive`, `ingest.retrieve.exchange`). An answer is two small
PDUs: pynetdicom encodes each with objects of its own and hands it to another
thread, which costs ten times what finding it costs. Here answers are sent many
at a time, and the last of them together with the final response.
"""

import time
from typing import Final

from ingest.errors import AssociationLost
from ingest.node.messages import Message, take_identifier
from ingest.node.reactor import ReactorAssociation
from ingest.node.wire import (
    NO_DATA_SET,
    Buffer,
    CommandKind,
    Field,
    Value,
    command_pdus,
    data_set_pdus,
    encode_command,
)
from ingest.query.identifier import MOST_BYTES
from ingest.retrieve.exchange import Exchange
from ingest.retrieve.line import Line

_TOGETHER_BYTES: Final = 64 * 1024
_PATIENCE_S: Final = 0.05
"""If answers are slow to come, none waits longer than this for another to be sent with it."""
_DRAINED_BYTES: Final = 64 * 1024 * 1024
"""So much of an identifier that is too long is read, so that the peer can be told."""
_CLOSED: Final = "Evt17"  # PS3.8 9.2.1: the transport connection is closed
_DATA_SET_FOLLOWS: Final = 0x0001


class Cancelled(Exception):
    """The peer wants no more answers."""


class FindExchange:
    """Reads one C-FIND request and sends what is answered.

    Parameters
    ----------
    association
        On which it came; this thread is the one of its upper layer.
    message
        The request, not taken off the connection yet.
    patience_s
        A peer that takes no answers for this long is given up.
    """

    def __init__(self, association: ReactorAssociation, message: Message, *, patience_s: float) -> None:
        self._association = association
        self._connection = association.dul.connection
        self._message = message
        self._message_id = message.command.number(Field.MESSAGE_ID) or 0
        self._sop_class_uid = message.command.text(Field.AFFECTED_SOP_CLASS_UID)
        self._most = association.dimse.maximum_pdu_size
        self._peer = Exchange(association, message_id=self._message_id, answer_s=patience_s)
        assert self._connection.socket is not None
        self._line = Line(self._connection.socket, patience_s=patience_s, is_stopped=lambda: association.dul.is_ending)
        self._pending: dict[int, bytes] = {}
        self._waiting: list[Buffer] = []
        self._size = 0
        self._since = time.monotonic()

    def identifier(self) -> bytes:
        """Take the request, and return the data set behind it; of one that is too long `MOST_BYTES` and one byte.

        Raises
        ------
        BadMessage
            Something else stands in the middle of it, or it does not end.
        OSError
            It does not come: the connection broke, or was cut at its deadline.
        AssociationLost
            The peer ended the association instead.
        """
        return take_identifier(self._connection, self._message, most_bytes=MOST_BYTES, drained_bytes=_DRAINED_BYTES)

    def put(self, status: int, identifier: bytes) -> None:
        """Add an answer; it is sent with others, or soon. Raises what `pause` raises."""
        if status not in self._pending:
            self._pending[status] = self._response(status, _DATA_SET_FOLLOWS)
        self._waiting.append(self._pending[status])
        for pdu in data_set_pdus(self._message.context_id, [identifier], peer_pdu_bytes=self._most):
            self._waiting += pdu
        self._size += len(identifier)
        if self._size >= _TOGETHER_BYTES or time.monotonic() - self._since > _PATIENCE_S:
            self.pause()

    def pause(self) -> None:
        """Send what waits, and hear what the peer says meanwhile.

        Raises
        ------
        Cancelled
            It cancels this query.
        AssociationLost
            It is gone, takes no answers, or we are to end.
        BadMessage
            It sends what can't be read.
        """
        self._send()
        self._peer.look_up()
        if self._peer.is_cancelled:
            raise Cancelled

    def end(self, status: int, comment: str = "") -> None:
        """Send what waits, and the final response; raises `AssociationLost`."""
        self._waiting.append(self._response(status, NO_DATA_SET, comment))
        self._send()

    def refuse(self) -> None:
        """Let the state machine abort the association."""
        self._peer.refuse()

    def _send(self) -> None:
        waiting, self._waiting, self._size = b"".join(self._waiting), [], 0
        try:
            self._line.send([[waiting]] if waiting else ())
        except AssociationLost:
            if not self._association.dul.is_ending:  # else our last words may be on their way
                self._hang_up()
            raise
        self._since = time.monotonic()

    def _hang_up(self) -> None:
        """End the connection: half an answer may be out, and queries that wait would be answered to nobody."""
        self._connection.throw_away()
        self._connection.cut()
        self._association.dul.event_queue.put(_CLOSED)

    def _response(self, status: int, data_set_type: int, comment: str = "") -> bytes:
        fields: dict[int, Value] = {
            Field.AFFECTED_SOP_CLASS_UID: self._sop_class_uid,
            Field.COMMAND_FIELD: CommandKind.C_FIND_RSP,
            Field.MESSAGE_ID_RESPONDED_TO: self._message_id,
            Field.DATA_SET_TYPE: data_set_type,
            Field.STATUS: status,
        }
        if comment:
            fields[Field.ERROR_COMMENT] = comment
        return command_pdus(self._message.context_id, encode_command(fields), peer_pdu_bytes=self._most)
