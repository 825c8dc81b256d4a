"""Messages at the front of a connection, looked at before pynetdicom sees them (PS3.7 6.3, PS3.8 9.3.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingest.errors import AssociationLost, BadMessage
from ingest.node.connection import Connection
from ingest.node.wire import P_DATA_TF, Command, Pdv, parse_command, parse_pdvs

COMMAND_BYTES: Final = 64 * 1024
"""The longest command set that is listened to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A command set at the front of the connection, not taken yet.

    Parameters
    ----------
    kind
        See `CommandKind`; None if it names none.
    has_data_set
        Whether a data set follows.
    size_bytes
        Length of the PDUs that hold it.
    rest
        What stands behind it in the last of them, good until the connection receives again.
    """

    context_id: int
    command: Command
    kind: int | None
    has_data_set: bool
    size_bytes: int
    rest: tuple[Pdv, ...]


def first_message(connection: Connection) -> Message | None:
    """Look at the command set that begins; None if something else does.

    Raises
    ------
    BadMessage, OSError
        It can't be read, or the connection broke.
    """
    parts: list[bytes] = []
    context_id, at = None, 0
    while at <= COMMAND_BYTES:
        pdu = connection.peek(at)
        if pdu is None or pdu.kind != P_DATA_TF:
            return None
        at += pdu.size_bytes
        pdvs = parse_pdvs(pdu.body)
        for number, pdv in enumerate(pdvs):
            if not pdv.is_command or context_id not in (None, pdv.context_id):
                return None
            context_id = pdv.context_id
            parts.append(bytes(pdv.fragment))
            if pdv.is_last:
                command = parse_command(b"".join(parts))
                return Message(
                    context_id=context_id,
                    command=command,
                    kind=command.kind,
                    has_data_set=command.has_data_set,
                    size_bytes=at,
                    rest=tuple(pdvs[number + 1 :]),
                )
    return None


def take_identifier(connection: Connection, message: Message, *, most_bytes: int, drained_bytes: int) -> bytes:
    """Take a message with the data set behind it, and return that; of one that is too long the first part.

    Parameters
    ----------
    most_bytes
        The longest that is wanted: of a longer one so many bytes and one more are returned.
    drained_bytes
        So much of one that is too long is read, so that the peer can be told.

    Raises
    ------
    BadMessage
        Something else stands in the middle of it, or it does not end.
    OSError
        It does not come: the connection broke, or was cut at its deadline.
    AssociationLost
        The peer ended the association instead.
    """
    taken, size_bytes = bytearray(), 0
    pdvs: Sequence[Pdv] = message.rest
    pdu_bytes = message.size_bytes
    while message.has_data_set:
        for number, pdv in enumerate(pdvs):
            size_bytes += len(pdv.fragment)
            if pdv.is_command or pdv.context_id != message.context_id or size_bytes > drained_bytes:
                raise BadMessage("Another message stands in the middle of an identifier, or it does not end")
            taken += pdv.fragment[: most_bytes + 1 - len(taken)]
            if pdv.is_last:
                if number + 1 < len(pdvs):
                    raise BadMessage("Something stands behind an identifier in one PDU")
                connection.consume(pdu_bytes)
                return bytes(taken)
        connection.consume(pdu_bytes)
        pdu = connection.peek()
        if pdu is None or pdu.kind != P_DATA_TF:
            raise AssociationLost("The identifier ends early")
        pdvs, pdu_bytes = parse_pdvs(pdu.body), pdu.size_bytes
    connection.consume(pdu_bytes)
    return b""
