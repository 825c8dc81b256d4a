"""Messages on the wire as bytes, without objects in between: P-DATA-TF PDUs and command sets.

Pure functions: what pynetdicom does for every message with a queue, a thread,
three objects and several copies is a few shifts of bytes here. A received PDU
is looked at through memoryviews, so nothing is copied; what is to be sent
comes as lists of buffers for `socket.sendmsg`.

Sources: PS3.8 9.3.5 (P-DATA-TF), Annex D.1 (maximum length), Annex E (fragments);
PS3.7 6.3.1 (command sets are implicit little endian), Annex E.1 (command elements).
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from ingest.errors import BadMessage

P_DATA_TF: Final = 0x04
PDU_HEADER: Final = struct.Struct(">BxI")
"""Type and length of any PDU."""

COMMAND: Final = 0x01
"""Bit of a message control header: the fragment belongs to the command set."""
LAST: Final = 0x02
"""Bit of a message control header: the fragment is the last of its kind."""
NO_DATA_SET: Final = 0x0101
"""Value of Command Data Set Type (0000,0800) that says that no data set follows."""

LARGEST_PDU_BYTES: Final = 256 * 1024
"""What we send at most in one PDU, even if the peer would take more, or sets no limit."""

Buffer = bytes | bytearray | memoryview
Value = int | str | bytes

_PDV_HEADER: Final = struct.Struct(">IBB")
_PDV_OVERHEAD: Final = _PDV_HEADER.size
_SMALLEST_PDU_BYTES: Final = _PDV_OVERHEAD + 2
_ELEMENT: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<H")
_UL: Final = struct.Struct("<I")


class Field(IntEnum):
    """Command elements (PS3.7 Annex E.1): the element number, the group being 0000."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ACTION_TYPE_ID = 0x1008
    REMAINING = 0x1020
    COMPLETED = 0x1021
    FAILED = 0x1022
    WARNING = 0x1023
    MOVE_ORIGINATOR_AE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


class CommandKind(IntEnum):
    """Values of Command Field (0000,0100)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


_UID_FIELDS: Final = frozenset(
    {
        Field.AFFECTED_SOP_CLASS_UID,
        Field.REQUESTED_SOP_CLASS_UID,
        Field.AFFECTED_SOP_INSTANCE_UID,
        Field.REQUESTED_SOP_INSTANCE_UID,
    }
)


class Pdv(NamedTuple):
    """One presentation data value: a fragment of a command set or of a data set.

    Parameters
    ----------
    context_id
        The presentation context.
    control
        The message control header: `COMMAND`, `LAST`; the other bits mean nothing (PS3.8 E.2).
    fragment
        A view into the PDU: it changes when the buffer is used again.
    """

    context_id: int
    control: int
    fragment: memoryview

    @property
    def is_command(self) -> bool:
        """Does it belong to a command set?"""
        return bool(self.control & COMMAND)

    @property
    def is_last(self) -> bool:
        """Is it the last fragment of its command set or data set?"""
        return bool(self.control & LAST)


def parse_pdvs(body: memoryview) -> list[Pdv]:
    """Return what a P-DATA-TF PDU holds, without copying it.

    Parameters
    ----------
    body
        The PDU without its six bytes of header.

    Raises
    ------
    BadMessage
        It holds nothing, or lengths that do not fit.
    """
    found: list[Pdv] = []
    at, ends = 0, len(body)
    while at < ends:
        if ends - at < _PDV_OVERHEAD:
            raise BadMessage(f"{ends - at} bytes stand after the last presentation data value")
        length, context_id, control = _PDV_HEADER.unpack_from(body, at)
        after = at + 4 + length
        if length < 2 or after > ends:
            raise BadMessage(f"A presentation data value claims {length} bytes, {ends - at - 4} are left")
        found.append(Pdv(context_id, control, body[at + _PDV_OVERHEAD : after]))
        at = after
    if not found:
        raise BadMessage("The PDU holds no presentation data value")
    return found


class Command(dict[int, bytes]):
    """A command set: raw values by element number (`Field`), with readers for the kinds of value it holds."""

    def number(self, field: int) -> int | None:
        """Return a number (US); None if the element is missing or empty. Raises `BadMessage` for any other length."""
        raw = self.get(field)
        if not raw:
            return None
        if len(raw) != _US.size:
            raise BadMessage(f"(0000,{field:04X}) is {len(raw)} bytes long, not two")
        return int(_US.unpack(raw)[0])

    def text(self, field: int) -> str:
        """Return text or a UID without its padding; empty if the element is missing. Raises `BadMessage`."""
        try:
            return self.get(field, b"").decode("ascii").strip(" \0")
        except UnicodeDecodeError as error:
            raise BadMessage(f"(0000,{field:04X}) holds other characters than ASCII") from error

    @property
    def kind(self) -> int | None:
        """Command Field (0000,0100), see `CommandKind`."""
        return self.number(Field.COMMAND_FIELD)

    @property
    def has_data_set(self) -> bool:
        """Does a data set follow?"""
        return self.number(Field.DATA_SET_TYPE) != NO_DATA_SET


def parse_command(encoded: Buffer) -> Command:
    """Return the elements of a command set.

    Raises
    ------
    BadMessage
        It is cut off, or an element is not of group 0000, repeated or out of order.
    """
    data = bytes(encoded)
    found = Command()
    at, last = 0, -1
    while at < len(data):
        if len(data) - at < _ELEMENT.size:
            raise BadMessage(f"The command set ends inside the header of an element at byte {at}")
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group:
            raise BadMessage(f"({group:04X},{number:04X}) stands in a command set")
        if number <= last:
            raise BadMessage(f"(0000,{number:04X}) stands after (0000,{last:04X}) in a command set")
        if length > len(data) - at:
            raise BadMessage(f"(0000,{number:04X}) claims {length} bytes, {len(data) - at} are left")
        found[number] = data[at : at + length]
        at += length
        last = number
    return found


def encode_command(fields: Mapping[int, Value]) -> bytes:
    """Return a command set with its group length.

    Parameters
    ----------
    fields
        By element number (`Field`): a number is written as US, text is padded (a UID with NUL, anything
        else with a space), bytes are written as they are. The group length is ours to add.
    """
    parts: list[bytes] = []
    for number in sorted(fields):
        raw = _encoded(number, fields[number])
        parts += (_ELEMENT.pack(0, number, len(raw)), raw)
    body = b"".join(parts)
    return _ELEMENT.pack(0, Field.GROUP_LENGTH, _UL.size) + _UL.pack(len(body)) + body


def _encoded(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _US.pack(value)
    if isinstance(value, bytes):
        return value
    raw = value.encode("ascii")
    if len(raw) % 2:
        raw += b"\0" if number in _UID_FIELDS else b" "
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """C-STORE-RQ (PS3.7 9.3.1.1).

    Parameters
    ----------
    message_id
        Given back in the answer.
    sop_class_uid, sop_instance_uid
        Of the data set that follows.
    priority
        0 medium, 1 high, 2 low.
    originator_ae, originator_message_id
        Of the C-MOVE it is a sub-operation of, if any.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    priority: int = 0
    originator_ae: str = ""
    originator_message_id: int | None = None

    def encode(self) -> bytes:
        """Return the command set."""
        fields: dict[int, Value] = {
            Field.AFFECTED_SOP_CLASS_UID: self.sop_class_uid,
            Field.COMMAND_FIELD: CommandKind.C_STORE_RQ,
            Field.MESSAGE_ID: self.message_id,
            Field.PRIORITY: self.priority,
            Field.DATA_SET_TYPE: 0x0001,
            Field.AFFECTED_SOP_INSTANCE_UID: self.sop_instance_uid,
        }
        if self.originator_ae:
            fields[Field.MOVE_ORIGINATOR_AE] = self.originator_ae
        if self.originator_message_id is not None:
            fields[Field.MOVE_ORIGINATOR_MESSAGE_ID] = self.originator_message_id
        return encode_command(fields)

    @classmethod
    def of(cls, command: Command) -> "StoreRequest":
        """Read it from a command set; raises `BadMessage` if it is another, or lacks its message ID."""
        message_id = command.number(Field.MESSAGE_ID)
        if command.kind != CommandKind.C_STORE_RQ or message_id is None:
            raise BadMessage("The command set is no C-STORE request with a message ID")
        return cls(
            message_id=message_id,
            sop_class_uid=command.text(Field.AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=command.text(Field.AFFECTED_SOP_INSTANCE_UID),
            priority=command.number(Field.PRIORITY) or 0,
            originator_ae=command.text(Field.MOVE_ORIGINATOR_AE),
            originator_message_id=command.number(Field.MOVE_ORIGINATOR_MESSAGE_ID),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResponse:
    """C-STORE-RSP (PS3.7 9.3.1.2).

    Parameters
    ----------
    message_id
        Of the request.
    status
        See `ingest.status`.
    sop_class_uid, sop_instance_uid
        As in the request; left out where empty.
    comment
        Error Comment, at most 64 characters.
    """

    message_id: int
    status: int
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    comment: str = ""

    def encode(self) -> bytes:
        """Return the command set."""
        fields: dict[int, Value] = {
            Field.COMMAND_FIELD: CommandKind.C_STORE_RSP,
            Field.MESSAGE_ID_RESPONDED_TO: self.message_id,
            Field.DATA_SET_TYPE: NO_DATA_SET,
            Field.STATUS: self.status,
        }
        if self.sop_class_uid:
            fields[Field.AFFECTED_SOP_CLASS_UID] = self.sop_class_uid
        if self.sop_instance_uid:
            fields[Field.AFFECTED_SOP_INSTANCE_UID] = self.sop_instance_uid
        if self.comment:
            fields[Field.ERROR_COMMENT] = self.comment
        return encode_command(fields)

    @classmethod
    def of(cls, command: Command) -> "StoreResponse":
        """Read it from a command set; raises `BadMessage` if it is another, or lacks status or message ID."""
        message_id, status = command.number(Field.MESSAGE_ID_RESPONDED_TO), command.number(Field.STATUS)
        if command.kind != CommandKind.C_STORE_RSP or message_id is None or status is None:
            raise BadMessage("The command set is no C-STORE response with message ID and status")
        return cls(
            message_id=message_id,
            status=status,
            sop_class_uid=command.text(Field.AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=command.text(Field.AFFECTED_SOP_INSTANCE_UID),
            comment=command.get(Field.ERROR_COMMENT, b"").decode("ascii", "replace").strip(" \0"),
        )


def fragment_bytes(peer_pdu_bytes: int) -> int:
    """Return how long a fragment may be, always even.

    Parameters
    ----------
    peer_pdu_bytes
        The maximum length the peer announced (PS3.8 D.1); 0 is no limit.

    Raises
    ------
    BadMessage
        No fragment fits.
    """
    if peer_pdu_bytes and peer_pdu_bytes < _SMALLEST_PDU_BYTES:
        raise BadMessage(f"The peer takes {peer_pdu_bytes} bytes in one PDU: no fragment fits")
    return (min(peer_pdu_bytes or LARGEST_PDU_BYTES, LARGEST_PDU_BYTES) - _PDV_OVERHEAD) & ~1


def command_pdus(context_id: int, command: bytes, *, peer_pdu_bytes: int) -> bytes:
    """Return the PDUs of an encoded command set, one after the other; nearly always one.

    Raises
    ------
    BadMessage
        See `fragment_bytes`.
    """
    most = fragment_bytes(peer_pdu_bytes)
    parts: list[bytes] = []
    for at in range(0, len(command), most):
        fragment = command[at : at + most]
        last = LAST if at + most >= len(command) else 0
        parts += (_header(context_id, COMMAND | last, len(fragment)), fragment)
    return b"".join(parts)


def data_set_pdus(
    context_id: int, pieces: Iterable[Buffer], *, peer_pdu_bytes: int
) -> Iterator[list[bytes | memoryview]]:
    """Yield the PDUs of a data set, each as a list of buffers for `socket.sendmsg`.

    Parameters
    ----------
    pieces
        The data set in pieces of any length, read only as far as needed. None may be written over
        before the PDU that holds its end, and the one after, were taken: use fresh `bytes`.

    Raises
    ------
    BadMessage
        See `fragment_bytes`.
    """
    most = fragment_bytes(peer_pdu_bytes)
    waiting: list[bytes | memoryview] = []
    count = 0
    for piece in pieces:
        view = memoryview(piece)
        while view.nbytes:
            if count == most:  # only now it is known that it is not the last
                yield [_header(context_id, 0, count), *waiting]
                waiting, count = [], 0
            part = view[: most - count]
            waiting.append(part)
            count += part.nbytes
            view = view[part.nbytes :]
    yield [_header(context_id, LAST, count), *waiting]


def _header(context_id: int, control: int, count: int) -> bytes:
    """Return the headers of a PDU with one value of `count` bytes."""
    return PDU_HEADER.pack(P_DATA_TF, count + _PDV_OVERHEAD) + _PDV_HEADER.pack(count + 2, context_id, control)
