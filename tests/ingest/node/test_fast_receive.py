"""C-STORE past pynetdicom: however its bytes are cut, what was sent is kept; anything odd goes the usual way."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import SpoolFull
from ingest.node import wire
from ingest.node.wire import CommandKind, Field
from ingest.spool.incoming import Incoming
from tests.ingest.conftest import AS_FILES, House
from tests.ingest.datasets import CT_CLASS, dataset, element
from tests.ingest.node.test_node_attacks import (
    DATA,
    answer_of,
    eventually,
    is_cut,
    listening,
    negotiated,
    pdata,
    received_pdu,
    store_command,
)

pytestmark = pytest.mark.server

BODY = dataset(tail=element(0x7FE0_0010, b"OW", bytes(range(256)) * 40))
RELEASE, RELEASED, ABORT = struct.pack(">BBII", 5, 0, 4, 0), 6, 7


def pdu(*values: tuple[int, bytes], context: int = 1) -> bytes:
    """Return one P-DATA-TF PDU with several values: control header and fragment of each."""
    body = b"".join(struct.pack(">IBB", len(part) + 2, context, control) + part for control, part in values)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def kept(house: House) -> list[bytes]:
    """Return the data sets in the spool."""
    return [held.path.read_bytes()[held.arrival.dataset_offset :] for held in house.spool.pending()]


def is_clean(house: House) -> bool:
    return eventually(lambda: list(house.spool.folder.incoming.iterdir()) == [])


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % len(data) for cut in cuts} - {0})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command_cuts=st.lists(st.integers(0, 1000), max_size=3),
    data_cuts=st.lists(st.integers(0, 100_000), max_size=6),
    joined=st.lists(st.booleans(), min_size=12, max_size=12),
    stream_cuts=st.lists(st.integers(0, 100_000), max_size=6),
)
def test_store_when_it_is_cut_anywhere_then_what_was_sent_is_kept(
    shared: tuple[House, int], command_cuts: list[int], data_cuts: list[int], joined: list[bool], stream_cuts: list[int]
) -> None:
    house, port = shared
    commands, data = pieces_of(store_command(), command_cuts), pieces_of(BODY, data_cuts)
    values = [(1, part) for part in commands[:-1]] + [(3, commands[-1])]
    values += [(0, part) for part in data[:-1]] + [(2, data[-1])]
    grouped: list[list[tuple[int, bytes]]] = [[]]
    for value, stays in zip(values, joined, strict=False):
        if grouped[-1] and not stays:
            grouped.append([])
        grouped[-1].append(value)
    stream = b"".join(pdu(*group) for group in grouped)

    before = len(kept(house))
    with negotiated(port) as connection:
        for part in pieces_of(stream, stream_cuts):
            connection.sendall(part)
        status, _ = answer_of(connection)

    assert status == 0
    assert kept(house)[before:] == [BODY]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A house and its node that several examples share."""
    house = House(tmp_path_factory.mktemp("shared"))
    with listening(house) as port:
        yield house, port
    house.spool.close()


def test_store_when_requests_do_not_wait_for_answers_then_each_is_answered(house: House) -> None:
    with listening(house) as port, negotiated(port) as connection:
        connection.sendall((pdata(3, store_command()) + pdata(2, BODY)) * 3)
        statuses = [answer_of(connection)[0] for _ in range(3)]

    assert statuses == [0, 0, 0]
    assert kept(house) == [BODY] * 3


def test_store_when_answered_then_message_and_instance_are_named(house: House) -> None:
    with listening(house) as port, negotiated(port) as connection:
        connection.sendall(pdata(3, store_command()) + pdata(2, BODY))
        kind, body = received_pdu(connection)
    (value,) = wire.parse_pdvs(memoryview(body))

    response = wire.StoreResponse.of(wire.parse_command(value.fragment))

    assert (kind, value.context_id, value.control) == (DATA, 1, 3)
    assert (response.message_id, response.status) == (1, 0)
    assert (response.sop_class_uid, response.sop_instance_uid) == (CT_CLASS, "1.2.3.4")


def echo_command(message_id: int) -> bytes:
    return wire.encode_command(
        {
            Field.AFFECTED_SOP_CLASS_UID: "1.2.840.10008.1.1",
            Field.COMMAND_FIELD: CommandKind.C_ECHO_RQ,
            Field.MESSAGE_ID: message_id,
            Field.DATA_SET_TYPE: wire.NO_DATA_SET,
        }
    )


def test_store_when_other_services_are_used_between_then_all_are_answered(house: House) -> None:
    with listening(house) as port, negotiated(port) as connection:
        for message_id in range(3):
            connection.sendall(pdata(3, echo_command(message_id)))
            assert answer_of(connection)[0] == 0
            connection.sendall(pdata(3, store_command()) + pdata(2, BODY))
            assert answer_of(connection)[0] == 0

    assert kept(house) == [BODY] * 3


@pytest.mark.parametrize(
    "intruder",
    [
        pdata(3, echo_command(9)),
        pdata(3, store_command()),
        pdu((0, BODY[100:200]), context=3),
        pdu((2, BODY[100:]), (3, echo_command(9))),
        pdu((0, b""), (1, b"")),
        struct.pack(">BBI", 4, 0, 3) + b"abc",
        struct.pack(">BBI", 4, 0, 0),
        struct.pack(">BBI", 9, 0, 4) + b"abcd",
        struct.pack(">BBI", 1, 0, 4) + b"abcd",
    ],
    ids=["echo", "store", "context", "behind", "command", "broken", "empty", "unknown", "association"],
)
def test_data_set_when_something_else_stands_in_it_then_the_association_is_aborted(
    house: House, intruder: bytes
) -> None:
    with listening(house) as port:
        with negotiated(port) as connection:
            connection.sendall(pdata(3, store_command()) + pdata(0, BODY[:100]) + intruder)
            kind, _ = received_pdu(connection)
            assert kind == ABORT
            assert is_cut(connection)
        assert is_clean(house)

    assert kept(house) == []


def test_data_set_when_released_amid_then_it_is_released_and_nothing_stays(house: House) -> None:
    with listening(house) as port:
        with negotiated(port) as connection:
            connection.sendall(pdata(3, store_command()) + pdata(0, BODY[:100]) + RELEASE)
            kind, _ = received_pdu(connection)
        assert is_clean(house)

    assert kind == RELEASED
    assert kept(house) == []


def test_data_set_when_aborted_amid_then_nothing_stays(house: House) -> None:
    with listening(house) as port:
        with negotiated(port) as connection:
            connection.sendall(pdata(3, store_command()) + pdata(0, BODY[:100]) + struct.pack(">BBII", 7, 0, 4, 0))
            assert is_cut(connection)
        assert is_clean(house)

    assert kept(house) == []


def test_store_when_the_context_was_not_accepted_then_the_association_is_aborted(house: House) -> None:
    with listening(house) as port, negotiated(port) as connection:
        connection.sendall(pdu((3, store_command()), context=5))
        kind, _ = received_pdu(connection)

    assert kind == ABORT


def test_store_when_the_disk_fills_amid_then_resources_are_named_and_the_association_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Incoming.write

    def filling(incoming: Incoming, piece: bytes | bytearray | memoryview) -> None:
        if incoming.size_bytes > 3000:
            raise SpoolFull("no room")
        write(incoming, piece)

    with listening(house) as port, negotiated(port) as connection:
        monkeypatch.setattr(Incoming, "write", filling)
        connection.sendall(pdata(3, store_command()) + pdata(0, BODY[:5000]) + pdata(2, BODY[5000:]))
        full = answer_of(connection)
        left = list(house.spool.folder.incoming.iterdir())
        monkeypatch.undo()
        connection.sendall(pdata(3, store_command()) + pdata(2, BODY))
        after, _ = answer_of(connection)

    assert full == (0xA700, "LG-ING-301 no room")
    assert left == []
    assert after == 0
    assert kept(house) == [BODY]


def test_store_when_it_is_far_too_long_then_it_is_told_and_cut(house: House) -> None:
    with listening(house, object_bytes=1000) as port, negotiated(port) as connection:
        connection.sendall(pdata(3, store_command()))
        piece = pdata(0, bytes(500_000))
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - which of them it is that fails
            for _ in range(100):
                connection.sendall(piece)
        answered = answer_of(connection)

    assert answered[0] == 0xA700
    assert is_clean(house)


@AS_FILES
def test_node_when_stopped_amid_a_data_set_then_it_ends_and_nothing_stays(house: House) -> None:
    with listening(house) as port, negotiated(port) as between:
        connection = between
        connection.sendall(pdata(3, store_command()) + pdata(0, BODY[:100]))
        assert eventually(lambda: len(list(house.spool.folder.incoming.iterdir())) == 1)
        half = struct.pack(">BBI", 4, 0, 1000)
        connection.sendall(half)
    assert list(house.spool.folder.incoming.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_store_when_it_is_two_gigabytes_long_then_memory_does_not_grow(tmp_path: Path) -> None:
    import resource

    house = House(tmp_path)
    size = 2 * 1024**3
    piece = pdata(0, bytes(128 * 1024))
    with listening(house) as port, negotiated(port) as connection:
        connection.settimeout(600)
        connection.sendall(pdata(3, store_command()) + pdata(2, BODY))
        assert answer_of(connection)[0] == 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = dataset(tail=element(0x7FE0_0010, b"OW", b"", length=size))
        connection.sendall(pdata(3, store_command()) + pdata(0, start))
        for _ in range(size // (128 * 1024) - 1):
            connection.sendall(piece)
        connection.sendall(pdata(2, bytes(128 * 1024)))
        status, _ = answer_of(connection)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    (_, held) = house.spool.pending()
    held.path.unlink()
    house.spool.close()

    assert status == 0
    assert held.arrival.size_bytes > size
    assert grown < 4 * 1024  # kilobytes
