"""The node against peers that lie, stall, vanish or never end."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.errors import SpoolFull
from ingest.node import Node, NodeSettings
from tests.ingest.conftest import AS_FILES, House
from tests.ingest.datasets import CT_CLASS, EXPLICIT, dataset, element, implicit

pytestmark = pytest.mark.server

ACCEPTED, REJECTED, DATA = 2, 3, 4


@contextmanager
def listening(house: House, **settings: object) -> Iterator[int]:
    node = Node(NodeSettings(port=0, **settings), house.spool)  # type: ignore[arg-type]
    port = node.start()
    try:
        yield port
    finally:
        node.stop()


def eventually(question: Callable[[], bool]) -> bool:
    for _ in range(200):
        if question():
            return True
        time.sleep(0.05)
    return False


def is_cut(connection: socket.socket, *, within_s: float = 15.0) -> bool:
    """Return whether the node ends the connection, with an A-ABORT or without."""
    connection.settimeout(within_s)
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def association_request(*, called: str = "LASTGATE", sop_class: str = CT_CLASS) -> bytes:
    """Return an A-ASSOCIATE-RQ for one class, CT storage, explicit little endian (PS3.8 9.3.2)."""
    context = item(
        0x20, struct.pack(">BBBB", 1, 0, 0, 0) + item(0x30, sop_class.encode()) + item(0x40, EXPLICIT.encode())
    )
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4"))
    body = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + b"ATTACKER".ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return struct.pack(">BBI", 1, 0, len(body)) + body


def received_pdu(connection: socket.socket) -> tuple[int, bytes]:
    head = connection.recv(6, socket.MSG_WAITALL)
    return head[0], connection.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)


@contextmanager
def negotiated(port: int) -> Iterator[socket.socket]:
    """Yield a connection with an accepted association."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(association_request())
        kind, _ = received_pdu(connection)
        assert kind == ACCEPTED
        yield connection


def pdata(control: int, fragment: bytes) -> bytes:
    value = struct.pack(">IBB", len(fragment) + 2, 1, control) + fragment
    return struct.pack(">BBI", 4, 0, len(value)) + value


def store_command() -> bytes:
    """Return a C-STORE-RQ for the CT image 1.2.3.4 (PS3.7 9.3.1.1)."""
    body = (
        implicit(0x0002, CT_CLASS.encode() + b"\0")
        + implicit(0x0100, b"\x01\x00")
        + implicit(0x0110, b"\x01\x00")
        + implicit(0x0700, b"\x00\x00")
        + implicit(0x0800, b"\x01\x00")
        + implicit(0x1000, b"1.2.3.4\0")
    )
    return implicit(0x0000, struct.pack("<I", len(body))) + body


def answer_of(connection: socket.socket) -> tuple[int, str]:
    """Return status and comment of a C-STORE-RSP."""
    kind, body = received_pdu(connection)
    assert kind == DATA
    values: dict[int, bytes] = {}
    at = 6
    while at < len(body):
        tag, length = struct.unpack_from("<HHI", body, at)[1:]
        values[tag] = body[at + 8 : at + 8 + length]
        at += 8 + length
    return int.from_bytes(values[0x0900], "little"), values.get(0x0902, b"").decode().strip()


def store(port: int, body: bytes) -> tuple[int, str]:
    """Send a data set as the CT image 1.2.3.4, whatever it is; return status and comment answered."""
    with negotiated(port) as connection:
        connection.sendall(pdata(3, store_command()))
        connection.sendall(pdata(2, body))
        return answer_of(connection)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (dataset(instance="1.2.99"), 0xA900, "LG-ING-200"),
        (dataset(sop_class="1.2.840.10008.5.1.4.1.1.4"), 0xA900, "LG-ING-200"),
        (dataset(study=""), 0xC000, "LG-ING-110"),
        (dataset()[:-3], 0xC000, "LG-ING-102"),
        (dataset() + b"garbage", 0xC000, "LG-ING-103"),
        (dataset(tail=element(0x0028_0010, b"ZZ", b"\0\0")), 0xC000, "LG-ING-105"),
        (element(0x0002_0010, b"UI", b"1.2\0") + dataset(), 0xC000, "LG-ING-108"),
    ],
    ids=["other UID", "other class", "no study", "cut off", "garbage", "bad VR", "file meta inside"],
)
def test_store_when_it_can_not_be_understood_then_it_is_refused_and_kept(
    house: House, body: bytes, status: int, code: str
) -> None:
    with listening(house) as port:
        answered, comment = store(port, body)

    assert answered == status
    assert comment.startswith(code)
    assert house.filer.drain() == {"quarantined": 1}
    (kept,) = [value for key, value in house.objects("quarantine/").items() if not key.endswith(".json")]
    assert kept.endswith(body)
    assert house.receipts() == []


def test_store_when_it_is_sound_but_odd_then_it_is_taken(house: House) -> None:
    with listening(house) as port:
        status, _ = store(port, dataset(name="<script>\n=cmd()", tail=element(0x0028_0030, b"DS", b"1e999")))

    assert status == 0
    assert house.filer.drain() == {"stored": 1}


def test_store_when_the_spool_is_full_then_resources_are_named_and_nothing_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise SpoolFull("no room")

    monkeypatch.setattr(house.spool, "begin", full)
    with listening(house) as port:
        status, comment = store(port, dataset())

    assert (status, comment) == (0xA700, "LG-ING-301 no room")
    assert list(house.spool.folder.incoming.iterdir()) == []


def test_store_when_it_is_too_long_then_resources_are_named(house: House) -> None:
    with listening(house, object_bytes=2000) as port:
        status, comment = store(port, dataset(tail=element(0x7FE0_0010, b"OW", bytes(1900))))

    assert status == 0xA700
    assert comment.startswith("LG-ING-303")
    assert house.spool.pending() == []


def test_connection_when_it_speaks_http_then_it_is_cut(house: House) -> None:
    with listening(house) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")

        assert is_cut(connection)


@pytest.mark.parametrize("kind", [1, 4], ids=["association", "data"])
def test_connection_when_a_pdu_claims_four_gigabytes_then_it_is_cut_at_once(house: House, kind: int) -> None:
    with listening(house) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(struct.pack(">BBI", kind, 0, 0xFFFF_FFF0) + bytes(1000))

        assert is_cut(connection, within_s=5)


def test_connection_when_it_drips_then_it_is_cut_at_the_deadline(house: House) -> None:
    with listening(house, pdu_deadline_s=0.5) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        request = association_request()
        stop = threading.Event()

        def drip() -> None:
            for at in range(len(request)):
                if stop.wait(0.1):
                    return
                try:
                    connection.sendall(request[at : at + 1])
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        cut = is_cut(connection, within_s=5)
        stop.set()
        dripping.join()

    assert cut


def test_connection_when_it_is_silent_then_it_is_closed(house: House) -> None:
    with listening(house, negotiation_s=0.5) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        assert is_cut(connection, within_s=8)


def test_connection_when_data_come_before_an_association_then_it_is_cut(house: House) -> None:
    with listening(house) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(pdata(3, store_command()))

        assert is_cut(connection)


def test_association_when_the_called_title_is_wrong_then_it_is_rejected_for_that(house: House) -> None:
    with (
        listening(house, checks_called_ae=True) as port,
        socket.create_connection(("127.0.0.1", port), timeout=15) as connection,
    ):
        connection.sendall(association_request(called="SOMEBODY"))
        answer = connection.recv(10, socket.MSG_WAITALL)

    assert answer[0] == REJECTED
    assert tuple(answer[7:]) == (1, 1, 7)  # permanent, service user, called AE title not recognised


def test_association_when_there_are_too_many_then_it_is_rejected_for_now(house: House) -> None:
    with listening(house, associations=2) as port:
        with (
            negotiated(port),
            negotiated(port),
            socket.create_connection(("127.0.0.1", port), timeout=15) as connection,
        ):
            connection.sendall(association_request())
            answer = connection.recv(10, socket.MSG_WAITALL)
        freed = eventually(lambda: _is_accepted(port))

    assert answer[0] == REJECTED
    assert tuple(answer[7:]) == (2, 3, 2)  # transient, presentation, local limit exceeded
    assert freed


def _is_accepted(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(association_request())
        kind, _ = received_pdu(connection)
    return kind == ACCEPTED


@AS_FILES
def test_peer_when_it_vanishes_mid_data_set_then_nothing_stays(house: House) -> None:
    with listening(house) as port:
        with negotiated(port) as connection:
            connection.sendall(pdata(3, store_command()) + pdata(0, dataset()[:40]))
            arrived = eventually(lambda: len(list(house.spool.folder.incoming.iterdir())) == 1)
        removed = eventually(lambda: list(house.spool.folder.incoming.iterdir()) == [])
        after, _ = store(port, dataset())

    assert arrived
    assert removed
    assert after == 0
    assert len(house.spool.pending()) == 1


def test_peer_when_it_never_ends_then_the_association_is_aborted(house: House) -> None:
    with listening(house, object_bytes=100_000) as port:
        with negotiated(port) as connection:
            connection.sendall(pdata(3, store_command()))
            piece = pdata(0, bytes(16_000))
            with pytest.raises(OSError, match=r"reset|pipe"):
                _send_for_ever(connection, piece)
        removed = eventually(lambda: list(house.spool.folder.incoming.iterdir()) == [])

    assert removed
    assert house.spool.pending() == []


def _send_for_ever(connection: socket.socket, piece: bytes) -> None:
    for _ in range(10_000):
        connection.sendall(piece)


def test_node_when_stopped_then_the_port_is_free_and_it_can_start_again(house: House) -> None:
    with listening(house) as port:
        pass
    with listening(house) as other:
        status, _ = store(other, dataset())

    assert status == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_node_when_memory_is_watched_then_a_long_instance_does_not_make_it_grow(house: House, tmp_path: Path) -> None:
    import resource

    body = dataset(tail=element(0x7FE0_0010, b"OW", b"", length=200 * 1024 * 1024))
    with listening(house) as port, negotiated(port) as connection:
        connection.sendall(pdata(3, store_command()) + pdata(0, body))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        piece = pdata(0, bytes(128 * 1024))
        for _ in range(200 * 8 - 1):
            connection.sendall(piece)
        connection.sendall(pdata(2, bytes(128 * 1024)))
        connection.settimeout(60)
        status, _ = answer_of(connection)

    assert status == 0
    assert house.spool.pending()[0].arrival.size_bytes > 200 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024  # kilobytes
