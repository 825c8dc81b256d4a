"""Speaking the Upper Layer protocol (PS3.8) and DIMSE (PS3.7) byte by byte, as a peer that may lie."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from tests.ingest.datasets import CT_CLASS, EXPLICIT, IMPLICIT, implicit, uid

VERIFICATION: Final = "1.2.840.10008.1.1"
APPLICATION: Final = "1.2.840.10008.3.1.1.1"
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
NO_DATA_SET: Final = 0x0101
PATIENCE_S: Final = 20.0
"""How long a hostile peer waits for the node before it calls the node stuck."""


class Kind(IntEnum):
    """Types of PDU (PS3.8 9.3)."""

    REQUEST = 1
    ACCEPT = 2
    REJECT = 3
    DATA = 4
    RELEASE = 5
    RELEASED = 6
    ABORT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A presentation context as it is asked for; nothing in it needs to be lawful."""

    number: int = 1
    abstract: str = CT_CLASS
    syntaxes: tuple[str, ...] = (EXPLICIT,)

    def encoded(self) -> bytes:
        """Return the item (PS3.8 9.3.2.2)."""
        abstract = item(0x30, self.abstract.encode()) if self.abstract else b""
        syntaxes = b"".join(item(0x40, syntax.encode()) for syntax in self.syntaxes)
        return item(0x20, bytes((self.number, 0, 0, 0)) + abstract + syntaxes)


STORING: Final = Offer()
ECHOING: Final = Offer(number=3, abstract=VERIFICATION, syntaxes=(IMPLICIT,))
FINDING: Final = Offer(number=5, abstract=STUDY_FIND, syntaxes=(IMPLICIT,))


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """Return a PDU; `length` may lie."""
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def item(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """Return an item of an association PDU; `length` may lie."""
    return struct.pack(">BBH", kind, 0, len(body) if length is None else length) + body


def user_information(*, most: int = 16384, more: bytes = b"") -> bytes:
    """Return the user information item with the longest PDU the peer takes (PS3.8 Annex D)."""
    return item(0x50, item(0x51, struct.pack(">I", most)) + item(0x52, b"1.2.3.4") + more)


def request(
    *offers: Offer,
    called: bytes = b"LASTGATE",
    calling: bytes = b"HOSTILE",
    version: int = 1,
    application: str = APPLICATION,
    user: bytes | None = None,
) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    head = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    items = item(0x10, application.encode()) + b"".join(offer.encoded() for offer in offers)
    return pdu(Kind.REQUEST, head + items + (user_information() if user is None else user))


def data(fragment: bytes, *, command: bool = False, last: bool = True, context: int = 1) -> bytes:
    """Return a P-DATA-TF with one value (PS3.8 9.3.5)."""
    control = command | last << 1
    return pdu(Kind.DATA, struct.pack(">IBB", len(fragment) + 2, context, control) + fragment)


RELEASE: Final = pdu(Kind.RELEASE, bytes(4))
ABORT: Final = pdu(Kind.ABORT, bytes(4))


def command_set(elements: dict[int, bytes], *, length: int | None = None) -> bytes:
    """Return a command set, implicit little endian with its group length, which may lie."""
    body = b"".join(implicit(tag, value) for tag, value in sorted(elements.items()))
    return implicit(0x0000_0000, struct.pack("<I", len(body) if length is None else length)) + body


def number(value: int) -> bytes:
    """Return a US value."""
    return struct.pack("<H", value)


def store_elements(*, instance: str = "1.2.3.4", sop_class: str = CT_CLASS, message: int = 1) -> dict[int, bytes]:
    """Return what a C-STORE-RQ says (PS3.7 9.3.1.1)."""
    return {
        0x0002: uid(sop_class),
        0x0100: number(0x0001),
        0x0110: number(message),
        0x0700: number(0),
        0x0800: number(0x0001),
        0x1000: uid(instance),
    }


def echo_command(*, message: int = 1) -> bytes:
    """Return a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return command_set(
        {0x0002: uid(VERIFICATION), 0x0100: number(0x0030), 0x0110: number(message), 0x0800: number(NO_DATA_SET)}
    )


def find_command(*, message: int = 1) -> bytes:
    """Return a C-FIND-RQ in the study root model (PS3.7 9.3.2.1); the identifier follows."""
    return command_set(
        {
            0x0002: uid(STUDY_FIND),
            0x0100: number(0x0020),
            0x0110: number(message),
            0x0700: number(0),
            0x0800: number(0x0001),
        }
    )


def store_command(*, instance: str = "1.2.3.4", sop_class: str = CT_CLASS, message: int = 1) -> bytes:
    """Return a C-STORE-RQ."""
    return command_set(store_elements(instance=instance, sop_class=sop_class, message=message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came from the node.

    Parameters
    ----------
    word
        ``accepted``, ``rejected 1/1/7`` (result, source, reason), ``released``, ``aborted``, ``closed``,
        ``silent`` (within the patience of the caller), or the status of a response as four hex digits.
    comment
        Error Comment (0000,0902) of a response.
    instance
        Affected SOP Instance UID (0000,1000) of a response.
    contexts
        Result by context of an acceptance (PS3.8 9.3.3.2): 0 is accepted.
    """

    word: str
    comment: str = ""
    instance: str = ""
    contexts: tuple[tuple[int, int], ...] = ()


CLOSED: Final = Heard(word="closed")
SILENT: Final = Heard(word="silent")


class Line:
    """A connection to the node on which anything may be said."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._taken = bytearray()

    def say(self, *pieces: bytes) -> Self:
        """Send pieces, each in a segment of its own; a connection the node closed meanwhile is no error."""
        try:
            for piece in pieces:
                self.connection.sendall(piece)
        except OSError:
            pass
        return self

    def hang_up(self) -> None:
        """Say nothing more, and go on listening."""
        with suppress(OSError):  # the node was quicker
            self.connection.shutdown(socket.SHUT_WR)

    def hear(self, *, within_s: float = PATIENCE_S) -> Heard:
        """Return the next thing the node says."""
        self.connection.settimeout(within_s)
        try:
            head = self._read(6)
            body = self._read(int.from_bytes(head[2:6], "big"))
        except TimeoutError:
            return SILENT
        except OSError:
            return CLOSED
        return _understood(head[0], body)

    def hear_final(self, *, within_s: float = PATIENCE_S) -> Heard:
        """Return the final response to a request, past all that are pending."""
        while (heard := self.hear(within_s=within_s)).word in ("FF00", "FF01", "data"):
            pass
        return heard

    def hear_last(self, *, within_s: float = PATIENCE_S) -> Heard:
        """Return the last thing the node says before it closes the connection, or that it stays silent."""
        last = CLOSED
        while (heard := self.hear(within_s=within_s)).word not in ("closed", "silent"):
            last = heard
        return last if heard.word == "closed" else heard

    def _read(self, count: int) -> bytes:
        while len(self._taken) < count:
            more = self.connection.recv(65536)
            if not more:
                raise ConnectionResetError("closed")
            self._taken += more
        piece = bytes(self._taken[:count])
        del self._taken[:count]
        return piece


@contextmanager
def line(port: int) -> Iterator[Line]:
    """Yield a connection to the node."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Line(connection)


@contextmanager
def association(port: int, *offers: Offer, **options: bytes) -> Iterator[Line]:
    """Yield a connection with an accepted association."""
    with line(port) as opened:
        heard = opened.say(request(*(offers or (STORING, ECHOING)), **options)).hear()  # type: ignore[arg-type]
        assert heard.word == "accepted", heard
        yield opened


def store(port: int, body: bytes, *, instance: str = "1.2.3.4", sop_class: str = CT_CLASS, syntax: str = "") -> Heard:
    """Send a data set, whatever it is, as an instance, whichever it is; return the answer."""
    offer = Offer(abstract=sop_class, syntaxes=(syntax or EXPLICIT,))
    with association(port, offer) as opened:
        opened.say(data(store_command(instance=instance, sop_class=sop_class), command=True), *pieces(body))
        heard = opened.hear(within_s=60)
        opened.say(RELEASE)
        return heard


def pieces(body: bytes, *, size: int = 128 * 1024 - 12) -> Sequence[bytes]:
    """Return a data set as PDUs that the node announced to take."""
    starts = range(0, max(len(body), 1), size)
    return [data(body[start : start + size], last=start + size >= len(body)) for start in starts]


def _understood(kind: int, body: bytes) -> Heard:
    if kind == Kind.DATA:
        return _response(body)
    if kind == Kind.ACCEPT:
        return Heard(word="accepted", contexts=tuple(_results(body)))
    if kind == Kind.REJECT:
        return Heard(word="rejected " + "/".join(map(str, body[1:4])))
    return Heard(word={Kind.RELEASED: "released", Kind.ABORT: "aborted"}.get(Kind(kind), f"PDU {kind}"))


def _results(body: bytes) -> Iterator[tuple[int, int]]:
    at = 68
    while at + 4 <= len(body):
        kind, length = body[at], int.from_bytes(body[at + 2 : at + 4], "big")
        if kind == 0x21:
            yield body[at + 4], body[at + 6]
        at += 4 + length


def _response(body: bytes) -> Heard:
    """Return status, comment and instance of a response that came in the first value of a P-DATA-TF."""
    if not body[5] & 1:
        return Heard(word="data")
    values: dict[int, bytes] = {}
    at, ends = 6, 4 + int.from_bytes(body[:4], "big")
    while at + 8 <= ends:
        tag, length = struct.unpack_from("<HI", body, at + 2)
        values[tag] = body[at + 8 : at + 8 + length]
        at += 8 + length
    return Heard(
        word=f"{int.from_bytes(values.get(0x0900, b''), 'little'):04X}",
        comment=values.get(0x0902, b"").decode().strip(),
        instance=values.get(0x1000, b"").decode().strip("\0 "),
    )
