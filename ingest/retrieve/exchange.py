"""One retrieve request on an association that was accepted: its request, its responses, what is stored in between.

All of it happens in the thread that owns the socket, as C-STORE does
(`ingest.node.fast_receive`): nothing is handed over, and bytes go out straight
from the buffers they were read into. What does not belong to the request stays
on the connection for pynetdicom, whose state machine knows what to do.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from ingest.errors import AssociationLost, BadMessage
from ingest.node.messages import Message, first_message, take_identifier
from ingest.node.reactor import ReactorAssociation
from ingest.node.wire import Buffer, CommandKind, Field, StoreRequest, StoreResponse, command_pdus, data_set_pdus
from ingest.retrieve.association import Kind
from ingest.retrieve.line import Line, both

IDENTIFIER_BYTES: Final = 1 << 20
"""The longest identifier that is read: ten thousand UIDs fit."""

_INVALID_PDU: Final = "Evt19"  # PS3.8 9.2.1: unrecognised or invalid PDU; the association is aborted


class Exchange:
    """Serves one request.

    Parameters
    ----------
    association
        On which it came; this thread is the one of its upper layer.
    message_id
        Of the request: a cancel names it.
    answer_s
        How long the peer is waited for.
    """

    def __init__(self, association: ReactorAssociation, *, message_id: int, answer_s: float) -> None:
        self._association = association
        self._connection = association.dul.connection
        self._message_id = message_id
        self._answer_s = answer_s
        self.is_cancelled = False
        assert self._connection.socket is not None
        self._line = Line(self._connection.socket, patience_s=answer_s, is_stopped=lambda: association.dul.is_ending)

    @property
    def accepted(self) -> dict[Kind, int]:
        """Presentation contexts on which we may store."""
        return {
            (str(one.abstract_syntax), str(one.transfer_syntax[0])): one.context_id or 0
            for one in self._association.accepted_contexts
            if one.as_scu
        }

    def send(self, context_id: int, command: bytes, data_set: Iterable[Buffer] | None = None) -> None:
        """Send a message; raises `AssociationLost` if that can't be done any more."""
        most = self._association.dimse.maximum_pdu_size
        whole = command_pdus(context_id, command, peer_pdu_bytes=most)
        if data_set is None:
            self._line.send([[whole]])
        else:
            self._line.send(both(whole, data_set_pdus(context_id, data_set, peer_pdu_bytes=most)))

    def identifier(self, message: Message) -> bytes:
        """Take a request, and return the data set behind it.

        Raises
        ------
        BadMessage
            It is too long, or something else stands in the middle of it.
        OSError, AssociationLost
            It does not come.
        """
        taken = take_identifier(self._connection, message, most_bytes=IDENTIFIER_BYTES, drained_bytes=IDENTIFIER_BYTES)
        if not taken:
            raise BadMessage("A retrieve request has no identifier")
        return taken

    def look_up(self) -> None:
        """Notice a cancel, without waiting; raises `AssociationLost` if the peer is gone, or we are to end."""
        try:
            while self._connection.ready:
                message = first_message(self._connection)
                if message is None:
                    raise AssociationLost("The peer ended the association")
                if not self._takes_cancel(message):
                    return  # a request that waits for its turn
        except OSError as error:
            raise AssociationLost(str(error)) from error
        if self._association.dul.is_ending:
            raise AssociationLost("The association is to end")

    def store(
        self, context_id: int, request: StoreRequest, pieces: Iterable[Buffer], *, meanwhile: Callable[[], None]
    ) -> StoreResponse:
        """Store an instance at the peer that asked for it and return its answer.

        Parameters
        ----------
        meanwhile
            Called when all is sent, before the answer is waited for.

        Raises
        ------
        AssociationLost
            It is over; whether the instance was stored nobody knows.
        """
        self.send(context_id, request.encode(), pieces)
        meanwhile()
        try:
            return self._answer(request.message_id)
        except (BadMessage, OSError) as error:
            self.refuse()
            raise AssociationLost(str(error)) from error

    def refuse(self) -> None:
        """Let the state machine abort the association."""
        self._association.dul.event_queue.put(_INVALID_PDU)

    def _answer(self, message_id: int) -> StoreResponse:
        while True:
            self._await()
            message = first_message(self._connection)
            if message is None:
                raise AssociationLost("The peer ended the association")
            if self._takes_cancel(message):
                continue
            answer = StoreResponse.of(message.command)
            self._connection.consume(message.size_bytes)
            if answer.message_id == message_id:
                return answer

    def _takes_cancel(self, message: Message) -> bool:
        """Take a C-CANCEL; one for another request does not matter."""
        if message.command.kind != CommandKind.C_CANCEL_RQ:
            return False
        self._connection.consume(message.size_bytes)
        if message.command.number(Field.MESSAGE_ID_RESPONDED_TO) == self._message_id:
            self.is_cancelled = True
        return True

    def _await(self) -> None:
        """Wait until something can be read."""
        ends = time.monotonic() + self._answer_s
        while not self._connection.ready:
            left = ends - time.monotonic()
            if self._association.dul.is_ending or left <= 0:
                raise AssociationLost("The association is to end" if left > 0 else "The peer does not answer")
            self._connection.wait(left)
