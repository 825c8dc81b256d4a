"""C-STORE from the socket to the spool without a detour (PS3.7 9.3.1, PS3.8 9.3.5).

Once an association is established, its upper layer asks `FastReceive` about
every message that begins. A C-STORE request with a data set is taken: fragments
go from the buffer they were received in to where they are kept, and the answer
is written in the same thread. Everything else, and everything odd in the middle
of a data set, is left to pynetdicom, whose state machine knows what to do.

What pynetdicom does for each data set instead: two hand-overs between threads,
four copies, and an object and an event for each PDU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from ingest.errors import BadMessage
from ingest.node import wire
from ingest.node.connection import Connection
from ingest.node.messages import Message
from ingest.node.reactor import ReactorAssociation
from ingest.node.wire import Command, CommandKind, Field, Pdv

_NUMBER_BYTES: Final = 2
_INVALID_PDU: Final = "Evt19"  # PS3.8 9.2.1: unrecognised or invalid PDU


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A C-STORE request whose data set follows.

    Parameters
    ----------
    command
        The request.
    context
        The presentation context it came in.
    """

    command: Command
    context: PresentationContext


class Reception(Protocol):
    """One data set on its way in."""

    def write(self, fragment: memoryview) -> bool:
        """Take a fragment, good until this returns; False if no more of it is listened to: the peer is cut."""

    def finish(self) -> tuple[int, str]:
        """Make it safe, now that it is complete; return status and Error Comment."""

    def discard(self) -> None:
        """Forget it: the rest will not come."""


class Store(Protocol):
    """Where data sets go."""

    def receive(self, association: Association, begun: Begun) -> Reception:
        """Begin to take one in; trouble is told by `Reception.finish`, so that the peer gets an answer."""


class FastReceive:
    """Takes the C-STORE requests of one association.

    Parameters
    ----------
    association
        Whose messages they are.
    store
        Where they go.
    """

    def __init__(self, association: ReactorAssociation, store: Store) -> None:
        self._association = association
        self._store = store

    def take(self, connection: Connection, message: Message) -> bool:
        """Take a C-STORE request with a data set; see `Receiver.take`."""
        if message.kind != CommandKind.C_STORE_RQ or not message.has_data_set:
            return False
        context = self._association._accepted_cx.get(message.context_id)
        connection.consume(message.size_bytes)
        if context is None or not _says_enough(message.command):
            self._refuse()
        else:
            self._receive(connection, message, Begun(command=message.command, context=context))
        return True

    def _receive(self, connection: Connection, first: Message, begun: Begun) -> None:
        reception = self._store.receive(self._association, begun)
        ended = _Ended.BROKEN
        try:
            ended = self._read(connection, first, reception)
        except BadMessage:
            self._refuse()
        except OSError:
            pass  # broken, cut, or given up because the association is to end: the reactor finds out next
        finally:
            if ended == _Ended.BROKEN:
                reception.discard()
        if ended != _Ended.BROKEN:
            self._answer(connection, begun, reception)
        if ended == _Ended.TOO_LONG:
            connection.cut()

    def _read(self, connection: Connection, first: Message, reception: Reception) -> "_Ended":
        """Read the data set; what else comes instead of it stays in the buffer."""
        ended = _written(first.rest, first.context_id, reception)
        while ended == _Ended.NOT_YET:
            pdu = connection.peek(patient=True)
            if pdu is None or pdu.kind != wire.P_DATA_TF:
                return _Ended.BROKEN
            self._association.dul._idle_timer.restart()
            connection.consume(pdu.size_bytes)
            ended = _written(wire.parse_pdvs(pdu.body), first.context_id, reception)
        return ended

    def _answer(self, connection: Connection, begun: Begun, reception: Reception) -> None:
        """Make the data set safe and say so; meanwhile the peer may be silent."""
        dul = self._association.dul
        dul._idle_timer.stop()
        status, comment = reception.finish()
        connection.send(
            wire.command_pdus(
                begun.context.context_id or 0,
                wire.encode_command(_response(begun.command, status, comment)),
                peer_pdu_bytes=self._association.dimse.maximum_pdu_size,
            )
        )
        dul._idle_timer.restart()

    def _refuse(self) -> None:
        """Let the state machine abort the association for an invalid PDU."""
        self._association.dul.event_queue.put(_INVALID_PDU)


class _Ended(Enum):
    """How far a data set has come."""

    NOT_YET = auto()
    COMPLETE = auto()
    TOO_LONG = auto()
    BROKEN = auto()


def _says_enough(command: Command) -> bool:
    """Whether a request holds what it must (PS3.7 9.3.1.1): what it is answered by, and what it announces."""
    announced = command.get(Field.AFFECTED_SOP_CLASS_UID) and command.get(Field.AFFECTED_SOP_INSTANCE_UID)
    return bool(announced) and len(command.get(Field.MESSAGE_ID, b"")) == _NUMBER_BYTES


def _written(pdvs: Sequence[Pdv], context_id: int, reception: Reception) -> _Ended:
    """Write the fragments of one PDU; raises `BadMessage` for one that does not belong to this data set."""
    for number, pdv in enumerate(pdvs):
        if pdv.is_command or pdv.context_id != context_id:
            raise BadMessage("Another message stands in the middle of a data set")
        if not reception.write(pdv.fragment):
            return _Ended.TOO_LONG
        if pdv.is_last:
            if number + 1 < len(pdvs):
                raise BadMessage("Something stands behind a data set in one PDU")
            return _Ended.COMPLETE
    return _Ended.NOT_YET


def _response(command: Command, status: int, comment: str) -> dict[int, wire.Value]:
    """Return the C-STORE-RSP; the UIDs go back as they came, well-formed or not."""
    answer: dict[int, wire.Value] = {
        Field.COMMAND_FIELD: CommandKind.C_STORE_RSP,
        Field.MESSAGE_ID_RESPONDED_TO: command[Field.MESSAGE_ID],
        Field.DATA_SET_TYPE: wire.NO_DATA_SET,
        Field.STATUS: status,
    }
    for uid in (Field.AFFECTED_SOP_CLASS_UID, Field.AFFECTED_SOP_INSTANCE_UID):
        if uid in command:
            answer[uid] = command[uid]
    if comment:
        answer[Field.ERROR_COMMENT] = comment
    return answer
