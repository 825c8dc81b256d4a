"""A query as bytes: however it is cut, whatever stands in it, and whoever is gone meanwhile."""

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.node import Node, NodeSettings
from ingest.node.reactor import ReactorAssociation
from ingest.node.wire import CommandKind, Field, Value, encode_command, parse_command, parse_pdvs
from ingest.peers.tls import ServerTls
from ingest.query import FindService, FindSettings, rows
from ingest.query.exchange import FindExchange
from ingest.retrieve.line import Line
from ingest.spool.spool import Spool
from search.base import Page
from search.query import Query
from search.sqlite import SqliteEngine
from tests.ingest.node.test_node_attacks import ACCEPTED, association_request, eventually, is_cut, received_pdu
from tests.ingest.peers.authority import Authority
from tests.ingest.query.conftest import Queried
from tests.ingest.query.corpus import uid

pytestmark = pytest.mark.server

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
COMMAND, LAST = 1, 2
PENDING = 0xFF00


def element(tag: int, vr: bytes, value: str) -> bytes:
    raw = value.encode()
    raw += b"\0" * (len(raw) % 2) if vr == b"UI" else b" " * (len(raw) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(raw)) + raw


def identifier(study_uid: str = "", name: str = "") -> bytes:
    """Return the identifier of a query for studies, in explicit little endian."""
    level, person = element(0x00080052, b"CS", "STUDY"), element(0x00100010, b"PN", name)
    return level + person + element(0x0020000D, b"UI", study_uid)


def request(sop_class: str = STUDY_ROOT, *, has_data_set: bool = True, kind: int = CommandKind.C_FIND_RQ) -> bytes:
    """Return the command set of a request with the message ID 7."""
    fields: dict[int, Value] = {
        Field.AFFECTED_SOP_CLASS_UID: sop_class,
        Field.COMMAND_FIELD: kind,
        Field.MESSAGE_ID: 7,
        Field.PRIORITY: 0,
        Field.DATA_SET_TYPE: 0x0001 if has_data_set else 0x0101,
    }
    return encode_command(fields)


def cancel() -> bytes:
    fields: dict[int, Value] = {
        Field.COMMAND_FIELD: CommandKind.C_CANCEL_RQ,
        Field.MESSAGE_ID_RESPONDED_TO: 7,
        Field.DATA_SET_TYPE: 0x0101,
    }
    return pdu((COMMAND | LAST, encode_command(fields)))


def pdu(*values: tuple[int, bytes]) -> bytes:
    """Return one P-DATA-TF PDU with several values: control header and fragment of each."""
    body = b"".join(struct.pack(">IBB", len(part) + 2, 1, control) + part for control, part in values)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def whole(encoded: bytes) -> bytes:
    """Return a request with its identifier, as most clients send it."""
    return pdu((COMMAND | LAST, request())) + pdu((LAST, encoded))


@contextmanager
def asking(queried: Queried) -> Iterator[socket.socket]:
    """Yield a connection with an accepted association for queries."""
    with socket.create_connection(("127.0.0.1", queried.port), timeout=15) as connection:
        connection.sendall(association_request(sop_class=STUDY_ROOT))
        assert received_pdu(connection)[0] == ACCEPTED
        yield connection
        with suppress(OSError):  # once the release is answered the trail has been told
            connection.sendall(struct.pack(">BBII", 5, 0, 4, 0))
            connection.recv(1)


def statuses(connection: socket.socket) -> list[int]:
    """Return the statuses of all responses to one request."""
    found: list[int] = []
    while not found or found[-1] == PENDING:
        _, body = received_pdu(connection)
        (value,) = parse_pdvs(memoryview(body))
        if value.is_command:
            command = parse_command(value.fragment)
            assert command.number(Field.MESSAGE_ID_RESPONDED_TO) == 7
            assert command.text(Field.AFFECTED_SOP_CLASS_UID) == STUDY_ROOT
            found.append(command.number(Field.STATUS) or 0)
    return found


def the_only(queried: Queried) -> ReactorAssociation:
    """Return the association that goes on, once those of tests before have ended."""
    assert eventually(lambda: sum(one.is_established for one in queried.associations()) == 1)
    (served,) = [one for one in queried.associations() if one.is_established]
    assert isinstance(served, ReactorAssociation)
    return served


@pytest.mark.parametrize("length", [1, 7, 30, 1000])
def test_query_when_it_comes_in_pieces_then_it_is_answered_all_the_same(queried: Queried, length: int) -> None:
    parts = [(COMMAND, request()), (0, identifier(uid(1)))]
    pieces = [(control, part[at : at + length]) for control, part in parts for at in range(0, len(part), length)]
    ends = {max(number for number, one in enumerate(pieces) if one[0] == kind) for kind in (COMMAND, 0)}
    marked = [(control | (LAST if number in ends else 0), part) for number, (control, part) in enumerate(pieces)]
    with asking(queried) as connection:
        connection.sendall(b"".join(map(pdu, marked)))
        assert statuses(connection) == [PENDING, 0]
        connection.sendall(pdu(*marked))
        assert statuses(connection) == [PENDING, 0]


def test_query_when_the_next_comes_before_the_answer_then_each_is_answered(queried: Queried) -> None:
    with asking(queried) as connection:
        connection.sendall(whole(identifier(uid(1))) * 3)
        assert [statuses(connection) for _ in range(3)] == [[PENDING, 0]] * 3


def test_answers_when_they_are_few_then_they_are_sent_at_once_with_the_final_response(
    queried: Queried, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    send = Line.send

    def counted(self: Line, pdus: Any) -> None:
        sent.append(self)
        send(self, pdus)

    monkeypatch.setattr(Line, "send", counted)
    monkeypatch.setattr("ingest.query.exchange._PATIENCE_S", 60.0)  # however slow the machine is
    with asking(queried) as connection:
        connection.sendall(whole(identifier()))
        assert statuses(connection) == [PENDING] * 7 + [0]
    assert len(sent) == 1


def test_query_when_it_has_no_identifier_then_its_level_is_missed(queried: Queried) -> None:
    with asking(queried) as connection:
        connection.sendall(pdu((COMMAND | LAST, request(has_data_set=False))))
        assert statuses(connection) == [0xA900]


@pytest.mark.parametrize(
    "behind",
    [
        pdu((COMMAND | LAST, request())),
        pdu((LAST, identifier()), (LAST, identifier())),
        struct.pack(">BBIIBB", 4, 0, 6, 100, 1, LAST),
    ],
    ids=["another message", "another data set", "a length that does not fit"],
)
def test_query_when_something_else_stands_in_its_identifier_then_the_association_is_aborted(
    queried: Queried, behind: bytes
) -> None:
    with asking(queried) as connection:
        connection.sendall(pdu((COMMAND | LAST, request())) + behind)
        assert is_cut(connection)
    assert queried.told().outcome == "failed"


def test_query_when_its_command_set_is_out_of_order_then_it_is_refused_and_the_association_goes_on(
    queried: Queried,
) -> None:
    message_id, priority = (struct.pack("<HHIH", 0, tag, 2, value) for tag, value in ((0x0110, 7), (0x0700, 0)))
    command = request().replace(message_id + priority, priority + message_id)
    assert command != request()
    with asking(queried) as connection:
        connection.sendall(pdu((COMMAND | LAST, command)) + pdu((LAST, identifier(uid(1)))))
        assert statuses(connection) == [0xC000]
        connection.sendall(whole(identifier(uid(1))))
        assert statuses(connection) == [PENDING, 0]


def test_query_when_the_index_fails_as_nobody_expects_then_the_association_goes_on(
    queried: Queried, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(queried) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(engine, "search", lambda _: 1 / 0)
            connection.sendall(whole(identifier(uid(1))))
            assert statuses(connection) == [0xC000]
        assert queried.told().outcome == "failed"
        connection.sendall(whole(identifier(uid(1))))
        assert statuses(connection) == [PENDING, 0]


class Slow:
    """An index of one document a page that waits before the second."""

    def __init__(self, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("_FIRST_PAGE", "_PAGE"):
            monkeypatch.setattr(rows, name, 1)
        self.is_asked, self.goes_on = threading.Event(), threading.Event()
        self.pages = 0
        self._search = engine.search
        monkeypatch.setattr(engine, "search", self._page)

    def _page(self, asked: Query) -> Page:
        self.pages += 1
        if asked.cursor is not None:
            self.is_asked.set()
            assert self.goes_on.wait(10)
        return self._search(asked)


@pytest.fixture
def slow(engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """An index that waits in the middle of a query."""
    return Slow(engine, monkeypatch)


def test_query_when_it_is_cancelled_before_anything_is_found_then_it_ends(queried: Queried, slow: Slow) -> None:
    with asking(queried) as connection:
        # many names must be looked at one by one: nothing in the index says which hold what stands in the middle
        connection.sendall(whole(identifier(name="*^*^*^*^X*")))
        assert slow.is_asked.wait(10)
        connection.sendall(cancel())
        served = the_only(queried)
        assert eventually(lambda: served.dul.connection.ready)
        slow.goes_on.set()
        assert statuses(connection) == [0xFE00]
        told = queried.told()
        assert (told.outcome, told.hits) == ("cancelled", 0)
        assert slow.pages == 2


def test_query_when_its_peer_vanishes_then_no_more_is_searched(queried: Queried, slow: Slow) -> None:
    with asking(queried) as connection:
        connection.sendall(whole(identifier()))
        assert slow.is_asked.wait(10)
        served = the_only(queried)
        connection.close()
    assert eventually(lambda: served.dul.connection.ready)
    slow.goes_on.set()
    assert queried.told().outcome == "failed"
    assert slow.pages == 2


def test_query_when_the_association_is_aborted_here_then_no_more_is_searched(queried: Queried, slow: Slow) -> None:
    with asking(queried) as connection:
        connection.sendall(whole(identifier()))
        assert slow.is_asked.wait(10)
        served = the_only(queried)
        served.abort(block=False)
        slow.goes_on.set()
        assert is_cut(connection)
    assert queried.told().outcome == "failed"
    assert slow.pages == 2


def test_answers_when_the_peer_takes_none_then_it_is_given_up_with_all_it_asked(
    queried: Queried, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = FindExchange.__init__

    def hurried(self: FindExchange, *arguments: Any, patience_s: float) -> None:
        assert patience_s == 30.0
        impatient(self, *arguments, patience_s=0.1)

    monkeypatch.setattr(FindExchange, "__init__", hurried)
    with asking(queried) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        served = the_only(queried)
        assert served.dul.connection.socket is not None
        served.dul.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.sendall(whole(identifier()) * 1000)  # whose answers fill every buffer on the way
        while (told := queried.trail.get(timeout=10)).outcome == "done":
            pass
        assert is_cut(connection)
        assert eventually(lambda: not served.is_alive())
    assert told.outcome == "failed"
    assert queried.trail.empty()


def test_query_over_tls_when_it_is_sent_then_it_is_answered(engine: SqliteEngine, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    theirs = authority.files("CN=ASKER,O=Hospital")
    spool = Spool(tmp_path / "spool", clock=lambda: datetime.now(UTC))
    service = FindService(engine, FindSettings(ae_title="LASTGATE"), on_query=lambda _: None)
    tls = ServerTls(authority.files("CN=LASTGATE,O=Hospital"), clients="require")
    node = Node(NodeSettings(bind="127.0.0.1", port=None, tls_port=0), spool, [service], tls=tls)
    try:
        port = node.start()
        secured = ["+tls", str(theirs.key), str(theirs.certificate), "+cf", str(theirs.authorities)]
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]
        told = subprocess.run(
            ["/usr/bin/findscu", "-S", "-v", *secured, *keys, "127.0.0.1", str(port)], capture_output=True, check=True
        )
    finally:
        node.stop()
        spool.close()
    text = (told.stdout + told.stderr).decode()
    assert text.count("(Pending)") == 7
    assert "Received Final Find Response (Success)" in text
