"""Messages as bytes: whatever pynetdicom writes is read, and what is written pynetdicom reads."""

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dimse_messages import C_FIND_RSP, C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_FIND, C_STORE
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from ingest.errors import BadMessage
from ingest.node import wire
from ingest.node.wire import Command, CommandKind, Field, Pdv, StoreRequest, StoreResponse

_NUMBERS = st.integers(0, 0xFFFF)
_UIDS = st.lists(st.integers(0, 99999), min_size=2, max_size=9).map(lambda n: "1." + ".".join(map(str, n)))
_TITLES = st.text("ABCXYZ019_", min_size=1, max_size=16)
_LIMITS = st.one_of(st.just(0), st.integers(16, 4096), st.integers(4096, 2**32 - 1))
_FIELDS = {
    Field.AFFECTED_SOP_CLASS_UID: _UIDS,
    Field.REQUESTED_SOP_CLASS_UID: _UIDS,
    Field.COMMAND_FIELD: _NUMBERS,
    Field.MESSAGE_ID: _NUMBERS,
    Field.MESSAGE_ID_RESPONDED_TO: _NUMBERS,
    Field.MOVE_DESTINATION: _TITLES,
    Field.PRIORITY: _NUMBERS,
    Field.DATA_SET_TYPE: _NUMBERS,
    Field.STATUS: _NUMBERS,
    Field.ERROR_COMMENT: st.text("abc XYZ.", max_size=64).map(str.strip),
    Field.AFFECTED_SOP_INSTANCE_UID: _UIDS,
    Field.COMPLETED: _NUMBERS,
    Field.MOVE_ORIGINATOR_AE: _TITLES,
    Field.MOVE_ORIGINATOR_MESSAGE_ID: _NUMBERS,
}


@st.composite
def commands(draw: st.DrawFn) -> dict[int, Any]:
    return {int(field): draw(_FIELDS[field]) for field in draw(st.sets(st.sampled_from(sorted(_FIELDS))))}


def pdus(stream: bytes) -> list[bytes]:
    """Split a stream of PDUs."""
    found = []
    while stream:
        kind, length = wire.PDU_HEADER.unpack_from(stream)
        assert kind == wire.P_DATA_TF
        found.append(stream[: 6 + length])
        stream = stream[6 + length :]
    return found


def understood(stream: bytes) -> DIMSEMessage:
    """Let pynetdicom read PDUs."""
    message = DIMSEMessage()
    complete = False
    for raw in pdus(stream):
        assert not complete
        pdu = P_DATA_TF()
        pdu.decode(raw)
        complete = message.decode_msg(pdu.to_primitive())
    assert complete
    return message


def taken(stream: bytes) -> list[Pdv]:
    return [pdv for raw in pdus(stream) for pdv in wire.parse_pdvs(memoryview(raw)[6:])]


@given(commands())
def test_encode_command_when_pydicom_writes_the_same_then_bytes_are_equal(fields: dict[int, Any]) -> None:
    theirs = Dataset()
    for number, value in fields.items():
        theirs.add_new(number, "US" if isinstance(value, int) else _vr(number), value)
    theirs.CommandGroupLength = 0
    encoded = encode(theirs, True, True)
    assert encoded is not None
    theirs.CommandGroupLength = len(encoded) - 12

    assert wire.encode_command(fields) == encode(theirs, True, True)


@given(commands())
def test_parse_command_when_encoded_then_values_come_back(fields: dict[int, Any]) -> None:
    read = wire.parse_command(wire.encode_command(fields))

    numbers = {number: read.number(number) for number, value in fields.items() if isinstance(value, int)}
    texts = {number: read.text(number) for number, value in fields.items() if isinstance(value, str)}
    assert numbers | texts == fields
    assert (
        decode(BytesIO(wire.encode_command(fields)), True, True).CommandGroupLength
        == len(wire.encode_command(fields)) - 12
    )


@given(_UIDS, _UIDS, _NUMBERS, st.integers(0, 2), st.one_of(st.none(), st.tuples(_TITLES, _NUMBERS)), _LIMITS)
def test_store_request_when_pynetdicom_encodes_it_then_it_is_read(
    sop_class: str, instance: str, message_id: int, priority: int, origin: tuple[str, int] | None, limit: int
) -> None:
    theirs = C_STORE()
    theirs.MessageID, theirs.Priority = message_id, priority
    theirs.AffectedSOPClassUID, theirs.AffectedSOPInstanceUID = sop_class, instance
    if origin is not None:
        theirs.MoveOriginatorApplicationEntityTitle, theirs.MoveOriginatorMessageID = origin
    theirs.DataSet = BytesIO(b"\0" * 100)
    message = C_STORE_RQ()
    message.primitive_to_message(theirs)
    stream = b"".join(P_DATA_TF(primitive).encode() for primitive in message.encode_msg(5, limit))

    found = taken(stream)
    command = wire.parse_command(b"".join(pdv.fragment for pdv in found if pdv.is_command))

    assert StoreRequest.of(command) == StoreRequest(
        message_id=message_id,
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        priority=priority,
        originator_ae=origin[0] if origin else "",
        originator_message_id=origin[1] if origin else None,
    )
    assert command.has_data_set
    assert {pdv.context_id for pdv in found} == {5}
    assert b"".join(pdv.fragment for pdv in found if not pdv.is_command) == b"\0" * 100
    assert [pdv.is_last for pdv in found if not pdv.is_command][-1]


@given(_UIDS, _UIDS, _NUMBERS, st.binary(max_size=9000), st.lists(st.integers(1, 3000)), st.integers(8, 5000))
def test_store_request_when_we_encode_it_then_pynetdicom_reads_it(
    sop_class: str, instance: str, message_id: int, data: bytes, cuts: list[int], limit: int
) -> None:
    request = StoreRequest(message_id=message_id, sop_class_uid=sop_class, sop_instance_uid=instance)
    pieces, left = [], data
    for cut in cuts:
        pieces.append(left[:cut])
        left = left[cut:]
    pieces.append(left)

    stream = wire.command_pdus(3, request.encode(), peer_pdu_bytes=limit)
    stream += b"".join(b"".join(pdu) for pdu in wire.data_set_pdus(3, pieces, peer_pdu_bytes=limit))

    message = understood(stream)
    assert isinstance(message, C_STORE_RQ)
    assert message.context_id == 3
    assert message.data_set is not None
    assert message.data_set.getvalue() == data
    assert message.command_set.MessageID == message_id
    assert message.command_set.AffectedSOPInstanceUID == instance
    assert all(len(raw) - 6 <= limit for raw in pdus(stream))
    assert all(len(pdv.fragment) % 2 == 0 for pdv in taken(stream) if not pdv.is_last)


@given(_UIDS, _NUMBERS, st.sampled_from([0, 0xA700, 0xA900, 0xC000]), st.text("abc ", max_size=64).map(str.strip))
def test_store_response_when_written_then_both_read_the_same(
    instance: str, message_id: int, status: int, comment: str
) -> None:
    response = StoreResponse(message_id=message_id, status=status, sop_instance_uid=instance, comment=comment)

    message = understood(wire.command_pdus(1, response.encode(), peer_pdu_bytes=0))

    assert isinstance(message, C_STORE_RSP)
    assert message.command_set.Status == status
    assert message.command_set.MessageIDBeingRespondedTo == message_id
    assert message.command_set.AffectedSOPInstanceUID == instance
    assert message.command_set.get("ErrorComment", "") == comment
    assert StoreResponse.of(wire.parse_command(response.encode())) == response


def test_parse_pdvs_when_one_pdu_holds_command_and_data_then_both_are_found() -> None:
    primitive = P_DATA()
    both = [[1, b"\x03command"], [1, b"\x02data"]]
    primitive.presentation_data_value_list = both  # type: ignore[assignment]  # lists are what it takes
    raw = P_DATA_TF(primitive).encode()

    first, second = wire.parse_pdvs(memoryview(raw)[6:])

    assert (first.is_command, first.is_last, bytes(first.fragment)) == (True, True, b"command")
    assert (second.is_command, second.is_last, bytes(second.fragment)) == (False, True, b"data")


def test_parse_pdvs_when_looked_at_then_nothing_is_copied() -> None:
    buffer = bytearray(b"".join(next(wire.data_set_pdus(1, [b"abcd"], peer_pdu_bytes=0))))
    (pdv,) = wire.parse_pdvs(memoryview(buffer)[6:])

    buffer[-1:] = b"X"

    assert bytes(pdv.fragment) == b"abcX"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0\1\1",
        b"\0\0\0\1\1\0",
        b"\0\0\0\3\1\0",
        b"\xff\xff\xff\xff\1\0data",
        b"\0\0\0\2\1\3\0",
    ],
)
def test_parse_pdvs_when_lengths_do_not_fit_then_it_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        wire.parse_pdvs(memoryview(body))


@pytest.mark.parametrize(
    "command",
    [
        b"\0\0\0\1",
        b"\0\0\0\1\4\0\0\0\1\0",
        b"\2\0\0\1\0\0\0\0",
        b"\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0",
        b"\0\0\x10\1\0\0\0\0\0\0\0\1\0\0\0\0",
    ],
)
def test_parse_command_when_broken_then_it_is_refused(command: bytes) -> None:
    with pytest.raises(BadMessage):
        wire.parse_command(command)


@given(st.binary(max_size=60))
def test_parse_when_bytes_are_random_then_nothing_but_bad_message_is_raised(data: bytes) -> None:
    for parse in (lambda: wire.parse_pdvs(memoryview(data)), lambda: StoreRequest.of(wire.parse_command(data))):
        try:
            parse()
        except BadMessage:
            continue


def test_command_when_a_number_has_another_length_then_it_is_refused() -> None:
    command = Command({int(Field.STATUS): b"\0\0\0\0", int(Field.AFFECTED_SOP_CLASS_UID): b"1.2.\xff"})

    with pytest.raises(BadMessage, match="4 bytes long"):
        command.number(Field.STATUS)
    with pytest.raises(BadMessage, match="ASCII"):
        command.text(Field.AFFECTED_SOP_CLASS_UID)


@pytest.mark.parametrize("limit", range(1, 8))
def test_fragment_bytes_when_nothing_fits_then_it_is_refused(limit: int) -> None:
    with pytest.raises(BadMessage):
        wire.fragment_bytes(limit)


def test_fragment_bytes_when_the_peer_sets_no_limit_then_ours_holds() -> None:
    assert wire.fragment_bytes(0) == wire.fragment_bytes(2**32 - 1) == wire.LARGEST_PDU_BYTES - 6
    assert wire.fragment_bytes(8) == 2
    assert wire.fragment_bytes(16385) == 16378


def test_data_set_pdus_when_there_is_no_byte_then_one_empty_last_fragment() -> None:
    (pdu,) = wire.data_set_pdus(7, [], peer_pdu_bytes=0)

    (pdv,) = wire.parse_pdvs(memoryview(b"".join(pdu))[6:])
    assert (pdv.context_id, pdv.control, len(pdv.fragment)) == (7, wire.LAST, 0)


def test_command_when_it_is_no_store_request_then_it_is_refused() -> None:
    primitive = C_FIND()
    primitive.MessageIDBeingRespondedTo, primitive.Status = 1, 0
    primitive.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    message = C_FIND_RSP()
    message.primitive_to_message(primitive)
    (pdata,) = message.encode_msg(1, 0)
    command = wire.parse_command(taken(P_DATA_TF(pdata).encode())[0].fragment)

    assert command.kind == CommandKind.C_FIND_RSP
    assert not command.has_data_set
    with pytest.raises(BadMessage):
        StoreRequest.of(command)
    with pytest.raises(BadMessage):
        StoreResponse.of(command)


def _vr(number: int) -> str:
    if number in (Field.MOVE_DESTINATION, Field.MOVE_ORIGINATOR_AE):
        return "AE"
    return "LO" if number == Field.ERROR_COMMENT else "UI"
