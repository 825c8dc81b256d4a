"""What a peer may do to somebody who asks for an association, and what goes over it."""

import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.vault import places as places_module
from archive.vault.places import Places
from ingest.dataset.part10 import file_header
from ingest.errors import AssociationLost, NotSent
from ingest.node.wire import StoreRequest, StoreResponse, command_pdus, parse_command, parse_pdvs
from ingest.retrieve.association import Association, Patience
from ingest.retrieve.line import Line
from ingest.retrieve.outgoing import Sender
from ingest.retrieve.packing import loads
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer
from tests.archive.house import SmallHouse
from tests.factories import other
from tests.ingest.datasets import CT_CLASS, EXPLICIT, IMPLICIT, dataset, part10
from tests.ingest.retrieve.clients import free_port, storescp
from tests.ingest.retrieve.conftest import data_sets

KINDS = [(CT_CLASS, EXPLICIT)]
HASTY = Patience(connect_s=1.0, answer_s=1.0)
Behaviour = Callable[[socket.socket], None]


@contextmanager
def _peer(behaves: Behaviour) -> Iterator[Peer]:
    """Run a peer that behaves as it likes on its one connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            behaves(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Peer(aet="ODD", host="127.0.0.1", port=listener.getsockname()[1])
    finally:
        thread.join()
        listener.close()


def _read_pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    return head + connection.recv(struct.unpack(">I", head[2:])[0], socket.MSG_WAITALL)


def _reject(connection: socket.socket) -> None:
    _read_pdu(connection)
    connection.sendall(b"\x03\0\0\0\0\4\0\1\1\3")


def _answer(pdu: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        _read_pdu(connection)
        connection.sendall(pdu)

    return behave


@pytest.mark.parametrize(
    ("behaves", "told"),
    [
        (_reject, "refuses the association.*reason 3"),
        (_answer(b"\x07\0\0\0\0\4\0\0\0\0"), "aborts"),
        (_answer(b""), "does not answer"),
        (_answer(b"\x02\0\xff\xff\xff\xf0"), "does not answer.*4294967280"),
        (_answer(b"\x02\0\0\0\0\4abcd"), "takes none"),
        (_answer(b"\x02\0\0\0\0\x60" + b"\xff" * 96), "can't be read"),
        (_answer(b"GET / HTTP/1.0\r\n\r\n"), "does not answer|aborts"),
        (lambda connection: connection.recv(1 << 16) and None, "does not answer"),
    ],
)
def test_request_when_the_peer_behaves_oddly_then_it_says_what_it_did(behaves: Behaviour, told: str) -> None:
    with _peer(behaves) as peer, pytest.raises(NotSent, match=told):
        Association.request(peer, KINDS, calling="US", patience=HASTY)


def test_request_when_the_peer_says_nothing_then_patience_ends() -> None:
    over = threading.Event()

    def wait(_: socket.socket) -> None:
        over.wait(20)

    with _peer(wait) as peer:
        with pytest.raises(NotSent, match="did nothing for 1 s"):
            Association.request(peer, KINDS, calling="US", patience=HASTY)
        over.set()


def test_request_when_the_name_is_none_then_it_says_so() -> None:
    peer = Peer(aet="X", host="no..host", port=104)
    with pytest.raises(NotSent, match="does not answer"):
        Association.request(peer, KINDS, calling="US", patience=HASTY)


def test_send_when_the_peer_stops_reading_then_it_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        line = Line(ours, patience_s=0.3)
        with pytest.raises(AssociationLost, match="did nothing"):
            line.send([[bytes(1 << 16)]] * 200)


def test_send_when_told_to_stop_then_it_breaks_off() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        line = Line(ours, patience_s=60, is_stopped=lambda: True)
        with pytest.raises(AssociationLost, match="stopped"):
            line.send([[bytes(1 << 16)]] * 200)


def test_send_when_the_socket_takes_little_at_a_time_then_every_byte_arrives_in_order() -> None:
    ours, theirs = socket.socketpair()
    buffers = [[bytes([number % 251]) * (number % 1000)] for number in range(3000)]
    whole = b"".join(part for pdu in buffers for part in pdu)
    got = bytearray()

    def read() -> None:
        while len(got) < len(whole):
            got.extend(theirs.recv(4097))

    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        reader = threading.Thread(target=read)
        reader.start()
        Line(ours, patience_s=10).send(buffers)
        reader.join()
    assert bytes(got) == whole


def test_read_pdu_when_several_come_at_once_then_each_is_given_in_turn() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"\x04\0\0\0\0\3abc\x05\0\0\0\0\0\x07\0\0\0\0\4abcd")
        line = Line(ours, patience_s=5)
        assert [(kind, bytes(body)) for kind, body in (line.read_pdu(), line.read_pdu())] == [(4, b"abc"), (5, b"")]
        kind, body = line.with_patience(5).read_pdu()
        assert (kind, bytes(body)) == (7, b"abcd")


def test_read_pdu_when_bytes_come_one_by_one_then_it_is_given_whole() -> None:
    ours, theirs = socket.socketpair()
    pdu = b"\x04\0\0\0\0\x20" + bytes(range(32))

    def trickle() -> None:
        for number in range(len(pdu)):
            theirs.sendall(pdu[number : number + 1])
        theirs.shutdown(socket.SHUT_WR)

    with ours, theirs:
        ours.setblocking(False)
        writer = threading.Thread(target=trickle)
        writer.start()
        line = Line(ours, patience_s=5)
        kind, body = line.read_pdu()
        assert (kind, bytes(body)) == (4, pdu[6:])
        with pytest.raises(AssociationLost, match="closed"):
            line.read_pdu()
        writer.join()


def test_store_when_all_is_sent_then_the_next_is_looked_at_before_the_answer_is_there() -> None:
    answer = StoreResponse(message_id=7, status=0).encode()
    looked = threading.Event()

    def behave(connection: socket.socket) -> None:
        _read_pdu(connection)
        _read_pdu(connection)
        _read_pdu(connection)
        assert looked.wait(10)
        connection.sendall(command_pdus(1, answer, peer_pdu_bytes=0))

    with _peer(behave) as peer:
        line = Line(_connected_to(peer), patience_s=10)
        with line.socket:
            line.send([[b"\x01\0\0\0\0\0"]])
            association = Association(line, accepted={(CT_CLASS, EXPLICIT): 1}, peer_pdu_bytes=0)
            request = StoreRequest(message_id=7, sop_class_uid=CT_CLASS, sop_instance_uid="1.2")
            assert association.store(1, request, [b"data"], meanwhile=looked.set).status == 0


def _connected_to(peer: Peer) -> socket.socket:
    made = socket.create_connection((peer.host, peer.port))
    made.setblocking(False)
    return made


def test_loads_when_one_class_comes_in_two_syntaxes_then_each_has_its_context_and_the_plain_ones_stand_beside() -> None:
    jpeg = "1.2.840.10008.1.2.4.50"
    parcels = [_parcel(syntax) for syntax in (jpeg, EXPLICIT, jpeg)]
    ((kinds, there),) = loads(parcels)
    assert kinds == ((CT_CLASS, jpeg), (CT_CLASS, EXPLICIT), (CT_CLASS, IMPLICIT))
    assert there == parcels


def _parcel(syntax: str) -> Parcel:
    return Parcel(
        sop_class_uid=CT_CLASS,
        sop_instance_uid="1.2",
        transfer_syntax_uid=syntax,
        size_bytes=0,
        read=lambda: iter(()),
    )


@pytest.mark.server
@pytest.mark.parametrize("pdu_bytes", [4096, 16384, 131072])
def test_send_when_the_peer_takes_short_pdus_then_none_is_longer_and_bytes_arrive(
    tmp_path: Path, pdu_bytes: int
) -> None:
    path = tmp_path / "long.dcm"
    path.write_bytes(part10(dataset(description="x" * 64) + _pixels(300_001), instance="1.2.3.4"))
    port = free_port()
    with storescp(tmp_path / "got", "--max-pdu", str(pdu_bytes), port=port):
        peer = Peer(aet="DEST", host="127.0.0.1", port=port)
        (sent,) = [one for one in Sender(calling="US").send([Parcel.of_file(path)], peer) if one]
    assert sent.is_stored
    assert data_sets(tmp_path / "got") == {"1.2.3.4": dataset(description="x" * 64) + _pixels(300_001)}


@pytest.mark.server
@pytest.mark.parametrize("associations", [2, 5])
def test_send_when_over_several_associations_then_each_instance_is_sent_once(tmp_path: Path, associations: int) -> None:
    paths = []
    for number in range(20):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(dataset(instance=f"1.2.3.{number}"), instance=f"1.2.3.{number}"))
        paths.append(path)
    port = free_port()
    with storescp(tmp_path / "got", "-v", port=port):
        peer = Peer(aet="DEST", host="127.0.0.1", port=port)
        sender = Sender(calling="US", associations=associations)
        sent = [one for one in sender.send(map(Parcel.of_file, paths), peer) if one]
    assert sorted(one.parcel.sop_instance_uid for one in sent) == sorted(f"1.2.3.{number}" for number in range(20))
    assert all(one.is_stored for one in sent)
    assert (tmp_path / "storescp.log").read_text("utf-8", "replace").count("Received Store Request") == 20


def test_store_when_the_instance_is_long_then_memory_does_not_grow_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """96 MiB from the archive through a socket, in less than 16; what it takes does not depend on the length."""
    monkeypatch.setattr(places_module, "IN_MEMORY_BYTES", 1 << 20)
    house = SmallHouse(tmp_path)
    header = other("report", "plan")
    body = file_header(sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid=EXPLICIT) + bytes(96 << 20)
    monkeypatch.setattr("tests.archive.house.body_of", lambda _: body)
    (receipt,) = house.facts.read(house.receive([header])).receipts
    parcel = Parcel.of_receipt(receipt, Places(work=house.work, vault=house.vault, facts=house.facts))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        got: list[int] = []
        reader = threading.Thread(target=_answer_store, args=(theirs, got))
        reader.start()
        line = Line(ours, patience_s=30)
        association = Association(line, accepted={("1.2", EXPLICIT): 1}, peer_pdu_bytes=16384)
        tracemalloc.start()
        request = StoreRequest(message_id=1, sop_class_uid="1.2", sop_instance_uid="1.3")
        answer = association.store(1, request, parcel.data_set())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        reader.join()
    assert answer.status == 0
    assert got == [96 << 20]
    assert peak < 16 << 20


def _answer_store(connection: socket.socket, got: list[int]) -> None:
    """Read one C-STORE and answer success."""
    from ingest.node.wire import StoreResponse, command_pdus

    count = 0
    buffer = bytearray(1 << 17)
    view = memoryview(buffer)
    while True:
        head = connection.recv(6, socket.MSG_WAITALL)
        (length,) = struct.unpack(">I", head[2:])
        connection.recv_into(view[:length], length, socket.MSG_WAITALL)
        (pdv,) = parse_pdvs(view[:length])
        if pdv.is_command:
            assert parse_command(pdv.fragment).number(0x0110) == 1
            continue
        count += len(pdv.fragment)
        if pdv.is_last:
            break
    got.append(count)
    connection.sendall(command_pdus(1, StoreResponse(message_id=1, status=0).encode(), peer_pdu_bytes=0))


def _pixels(length: int) -> bytes:
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, length + length % 2) + b"\x55" * (length + length % 2)
