"""Associations that wait instead of looking: the same answers, the same ends, and no turn without a reason."""

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from ingest.node import wire
from ingest.node.connection import Bell, Connection, ConnectionLimits
from ingest.node.reactor import ReactorAssociation, UpperLayer
from ingest.node.requesting import associate
from ingest.node.wire import CommandKind, Field
from ingest.service import Context, Handler
from tests.ingest.conftest import House
from tests.ingest.datasets import element, write_file
from tests.ingest.node.test_fast_receive import echo_command
from tests.ingest.node.test_node_attacks import (
    association_request,
    eventually,
    is_cut,
    listening,
    negotiated,
    pdata,
    received_pdu,
)

COMMITMENT = str(StorageCommitmentPushModel)
COMMITMENT_INSTANCE = str(StorageCommitmentPushModelInstance)
FIND = str(StudyRootQueryRetrieveInformationModelFind)
RELEASE = struct.pack(">BBII", 5, 0, 4, 0)


class Finding:
    """A query service that answers without end, until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.most = 1_000_000
        self.made = 0
        self.chars = 2

    def contexts(self) -> Iterable[Context]:
        return (Context(abstract_syntax=FIND),)

    def handlers(self) -> Iterable[Handler]:
        return ((evt.EVT_C_FIND, self.on_find),)

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", "1.2.3"
        answer.TextValue = "x" * self.chars
        for number in range(self.most):
            self.made = number
            if event.is_cancelled:
                self.cancelled.set()
                yield 0xFE00, None
                return
            yield 0xFF00, answer


def asked(port: int, **options: Any) -> ReactorAssociation:
    contexts = [build_context(Verification), build_context(FIND), build_context(CTImageStorage)]
    return associate(AE(ae_title="ASKER"), ("127.0.0.1", port), ae_title="LASTGATE", contexts=contexts, **options)


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if isinstance(one, ReactorAssociation | UpperLayer)]


def test_association_when_requested_used_and_released_then_nothing_is_left(house: House) -> None:
    with listening(house) as port:
        association = asked(port)
        statuses = [association.send_c_echo().Status for _ in range(20)]
        association.release()

        assert statuses == [0] * 20
        assert association.is_released
        assert eventually(lambda: threads() == [])


def test_association_when_it_stores_then_the_peer_has_it(house: House, tmp_path: Path) -> None:
    with listening(house) as port:
        association = asked(port)
        status = association.send_c_store(write_file(tmp_path / "a.dcm"))
        association.release()

    assert status.Status == 0
    assert len(house.spool.pending()) == 1


def information() -> Dataset:
    told = Dataset()
    told.TransactionUID = "1.2.3"
    return told


class Reporting:
    """An archive that is asked for commitment and reports on the same association, soon after it has answered."""

    def __init__(self) -> None:
        self.answers: list[int | None] = []

    def on_n_action(self, event: evt.Event) -> tuple[int, None]:
        threading.Timer(0.3, self._report, args=(event.assoc,)).start()
        return 0x0000, None

    def _report(self, association: Any) -> None:
        status, _ = association.send_n_event_report(information(), 1, COMMITMENT, COMMITMENT_INSTANCE)
        self.answers.append(status.get("Status"))

    @contextmanager
    def listening(self) -> Iterator[int]:
        entity = AE(ae_title="OTHER")
        entity.add_supported_context(COMMITMENT)
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, self.on_n_action)])
        assert server is not None
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def test_association_when_a_report_is_being_answered_then_the_release_waits_and_then_goes() -> None:
    came = threading.Event()

    def on_report(_event: evt.Event) -> tuple[int, None]:
        came.set()
        time.sleep(0.2)
        return 0x0000, None

    other = Reporting()
    with other.listening() as port:
        handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
        contexts = [build_context(COMMITMENT)]
        address = ("127.0.0.1", port)
        association = associate(AE("ASKER"), address, ae_title="OTHER", contexts=contexts, handlers=handlers)
        association.send_n_action(information(), 1, COMMITMENT, COMMITMENT_INSTANCE)
        assert came.wait(10)
        releasing = threading.Thread(target=association.release, daemon=True)
        releasing.start()
        releasing.join(10)

        assert not releasing.is_alive()
        assert association.is_released
        assert eventually(lambda: other.answers == [0x0000])
        assert eventually(lambda: threads() == [])


def test_association_when_nobody_listens_then_it_is_not_established() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        association = asked(free.getsockname()[1])

    assert not association.is_established
    assert eventually(lambda: threads() == [])


def test_association_when_several_threads_use_one_each_then_all_are_served(house: House) -> None:
    def use(_number: int) -> list[int]:
        association = asked(port)
        statuses = [association.send_c_echo().Status for _ in range(10)]
        association.release()
        return statuses

    with listening(house) as port, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(16))) == [[0] * 10] * 16


def test_find_when_answers_are_many_then_all_arrive(house: House) -> None:
    finding = Finding()
    finding.most = 300
    with serving(house, finding) as port:
        association = asked(port)
        found = list(association.send_c_find(_query(), FIND))
        association.release()

    assert [status.Status for status, _ in found] == [0xFF00] * 300 + [0]


def test_find_when_cancelled_then_the_service_hears_it(house: House) -> None:
    finding = Finding()
    with serving(house, finding) as port:
        association = asked(port)
        statuses = []
        for status, _ in association.send_c_find(_query(), FIND, msg_id=7):
            statuses.append(status.Status)
            if len(statuses) == 3:
                association.send_c_cancel(7, query_model=FIND)
        association.release()

    assert finding.cancelled.is_set()
    assert statuses[-1] == 0xFE00


def test_idle_association_when_nothing_happens_then_no_thread_takes_a_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[object] = []
    turn, over = UpperLayer._turn, ReactorAssociation._is_over

    def counted_turn(layer: UpperLayer) -> None:
        turns.append(layer)
        turn(layer)

    def counted_over(association: ReactorAssociation) -> bool:
        turns.append(association)
        return over(association)

    monkeypatch.setattr(UpperLayer, "_turn", counted_turn)
    monkeypatch.setattr(ReactorAssociation, "_is_over", counted_over)
    with listening(house, idle_s=1.0) as port, negotiated(port) as connection:
        assert is_cut(connection, within_s=10)  # a second of silence would be a thousand looks each

    assert len(turns) < 30


def test_idle_association_when_the_time_is_over_then_the_peer_is_told(house: House) -> None:
    with listening(house, idle_s=0.3) as port, negotiated(port) as connection:
        kind, _ = received_pdu(connection)

    assert kind == 7


def test_connection_when_the_peer_leaves_without_a_word_then_both_threads_end_at_once(house: House) -> None:
    with listening(house, negotiation_s=60) as port:
        with socket.create_connection(("127.0.0.1", port)):
            assert eventually(lambda: len(threads()) == 2)
        assert eventually(lambda: threads() == [])


def test_connection_when_it_is_reset_then_both_threads_end(house: House) -> None:
    with listening(house) as port:
        with negotiated(port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert eventually(lambda: threads() == [])


def test_release_when_asked_for_then_it_is_answered_and_closed(house: House) -> None:
    with listening(house) as port, negotiated(port) as connection:
        connection.sendall(RELEASE)
        kind, _ = received_pdu(connection)

        assert kind == 6
        assert is_cut(connection, within_s=5)


def test_peer_when_it_never_reads_then_it_is_cut_and_the_service_ends(house: House) -> None:
    finding = Finding()
    finding.chars = 50_000
    with serving(house, finding, pdu_deadline_s=0.5) as port, socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(association_request(sop_class=FIND))
        assert received_pdu(raw)[0] == 2
        raw.sendall(pdata(3, _find_command()) + pdata(2, element(0x0008_0052, b"CS", b"STUDY ")))

        assert eventually(lambda: threads() == [])

    assert finding.made < 10_000


def test_requests_when_a_peer_never_waits_then_it_is_cut_before_memory_is_full(house: House) -> None:
    held = threading.Event()

    class Slow(Finding):
        def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:  # noqa: ARG002
            held.wait(30)
            yield 0, None

    with serving(house, Slow()) as port:
        association = asked(port)
        answers = association.send_c_find(_query(), FIND)
        raw = association.dul.connection.socket
        assert raw is not None
        for number in range(200):
            try:
                raw.send(pdata(3, echo_command(number)))
            except OSError:
                break
        # Nobody asks for the answers yet, so only the state of the upper layer tells.
        was_cut = eventually(lambda: association.dul.state_machine.current_state != "Sta6")
        held.set()
        list(answers)

    assert was_cut


def test_tls_when_spoken_on_both_sides_then_long_messages_arrive_whole(house: House, tmp_path: Path) -> None:
    server, client = _contexts(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    received = bytearray()
    data = bytes(range(256)) * 8000

    def echo() -> None:
        raw, _ = listener.accept()
        with server.wrap_socket(raw, server_side=True) as peer:
            while len(received) < len(data):
                received.extend(peer.recv(1 << 16))
            peer.sendall(received)

    peer = threading.Thread(target=echo)
    peer.start()
    raw = socket.create_connection(listener.getsockname())
    wrapped = client.wrap_socket(raw, server_hostname="localhost")
    association = ReactorAssociation(AE(), "requestor")
    association.dul.bell.open()
    connection = Connection(
        association, waiter=association.dul, limits=ConnectionLimits(pdu_bytes=4_000_000), client_socket=wrapped
    )
    connection.send(data)
    returned = connection.recv(len(data))
    peer.join()
    association.dul.bell.close()
    connection.close()
    listener.close()

    assert bytes(received) == data
    assert bytes(returned) == data


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks where Linux lists its connections")
def test_connection_when_closed_to_a_peer_that_reads_nothing_then_the_system_forgets_it_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        deaf = socket.create_connection(listener.getsockname())
        raw, _ = listener.accept()
        association = ReactorAssociation(AE(), "requestor")
        connection = Connection(
            association, waiter=association.dul, limits=ConnectionLimits(deadline_s=1.0), client_socket=raw
        )
        with suppress(BlockingIOError):
            while raw.send(bytes(1 << 16)):
                pass
        ends = f"{raw.getsockname()[1]:04X} 0100007F:{raw.getpeername()[1]:04X} "
        assert ends in Path("/proc/net/tcp").read_text("ascii")

        connection.close()

        assert eventually(lambda: ends not in Path("/proc/net/tcp").read_text("ascii"))
        deaf.close()


def test_bell_when_rung_often_then_it_is_heard_once_and_lost_after_closing() -> None:
    import select

    bell = Bell()
    bell.ring()
    bell.open()
    heard = select.poll()
    heard.register(bell.fileno(), select.POLLIN)
    assert not heard.poll(0)
    bell.ring()
    bell.ring()
    assert heard.poll(0)
    bell.hush()
    bell.hush()
    assert not heard.poll(0)
    bell.ring()
    assert heard.poll(0)
    bell.close()
    bell.ring()
    bell.close()


def serving(house: House, service: Finding, **options: Any) -> Any:
    from contextlib import contextmanager

    from ingest.node import Node, NodeSettings

    @contextmanager
    def running() -> Iterator[int]:
        node = Node(NodeSettings(port=0, **options), house.spool, services=(service,))
        try:
            yield node.start()
        finally:
            node.stop()

    return running()


def _find_command() -> bytes:
    return wire.encode_command(
        {
            Field.AFFECTED_SOP_CLASS_UID: FIND,
            Field.COMMAND_FIELD: CommandKind.C_FIND_RQ,
            Field.MESSAGE_ID: 1,
            Field.PRIORITY: 0,
            Field.DATA_SET_TYPE: 1,
        }
    )


def _query() -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", ""
    return query


def _contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return TLS contexts of a server with a certificate of its own, and of a client that trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "pair.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(encoding))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=certificate.public_bytes(encoding).decode())
    return server, client
