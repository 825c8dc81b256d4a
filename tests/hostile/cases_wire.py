"""The bad-input list at the level of the wire: cases 1 to 24, and more of the kind (X)."""

import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final

from ingest.peers import PeerRule, Peers
from tests.hostile.cases import Case
from tests.hostile.nodes import BRISK, LiveNode, Posture
from tests.hostile.plays import crowd, deaf, endless_command, endless_data, failing, pipelined, poor, twins, vanish
from tests.hostile.wire import (
    ABORT,
    ECHOING,
    RELEASE,
    STORING,
    Kind,
    Offer,
    association,
    command_set,
    data,
    echo_command,
    item,
    line,
    number,
    pdu,
    pieces,
    request,
    store,
    store_command,
    store_elements,
    user_information,
)
from tests.ingest.datasets import CT_CLASS, dataset, element, uid

_FRIEND_ONLY: Final = Peers(rules=(PeerRule(title="FRIEND"),), unknown="refuse")
POSTURES: Final = {
    "plain": Posture(settings=BRISK | {"associations": 12}),
    "strict": Posture(settings=BRISK | {"checks_called_ae": True, "peers": _FRIEND_ONLY}),
    "crowded": Posture(settings=BRISK | {"associations": 2}),
    "small": Posture(settings=BRISK | {"object_bytes": 100_000}, object_bytes=200_000),
    "full": Posture(settings=BRISK, free_bytes=1 << 60),
    "failing": Posture(settings=BRISK, small_bytes=0, syncs=0),
    "poor": Posture(settings=BRISK, open_files=24),
}

GONE: Final = ("aborted", "closed")
"""The node ends the connection, with an A-ABORT or without."""

TLS_HELLO: Final = bytes.fromhex("16030100c8010000c40303") + bytes(192)


def says(*raw: bytes) -> Callable[[LiveNode], str]:
    """Return a play: connect, say this, hear until the node closes."""

    def play(node: LiveNode) -> str:
        with line(node.port) as opened:
            return opened.say(*raw).hear_last().word

    return play


def answers(*raw: bytes, offers: tuple[Offer, ...] = (STORING, ECHOING)) -> Callable[[LiveNode], str]:
    """Return a play: associate, say this, hear the next thing."""

    def play(node: LiveNode) -> str:
        with association(node.port, *offers) as opened:
            return opened.say(*raw).hear().word

    return play


def asks(asked: bytes) -> Callable[[LiveNode], str]:
    """Return a play: ask for an association, and if it is granted, for an echo and the release."""

    def play(node: LiveNode) -> str:
        with line(node.port) as opened:
            return opened.say(asked).hear().word

    return play


def drips(raw: bytes, *, after: tuple[bytes, ...] = ()) -> Callable[[LiveNode], str]:
    """Return a play: say something a byte at a time, slower than anybody may wait."""

    def play(node: LiveNode) -> str:
        with line(node.port) as opened:
            if after:
                opened.say(*after).hear()
            stop = threading.Event()

            def drip() -> None:
                for at in range(len(raw)):
                    if stop.wait(0.2):
                        return
                    opened.say(raw[at : at + 1])

            dripping = threading.Thread(target=drip)
            dripping.start()
            word = opened.hear_last(within_s=8).word
            stop.set()
            dripping.join()
            return word

    return play


def without(tag: int, **more: bytes) -> bytes:
    """Return a C-STORE-RQ that misses an element."""
    return command_set({key: value for key, value in store_elements().items() if key != tag})


def differing(tag: int, value: bytes) -> bytes:
    """Return a C-STORE-RQ with another value in an element."""
    return command_set(store_elements() | {tag: value})


BODY: Final = data(dataset())
COMMAND: Final = data(store_command(), command=True)


def connections() -> Iterator[Case]:
    """Yield cases 1 to 5: what happens before an association."""
    yield Case(number="1", what="HTTP", play=says(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), expects=GONE)
    yield Case(number="1b", what="TLS on the plain port", play=says(TLS_HELLO), expects=GONE)
    yield Case(number="1c", what="line noise", play=says(bytes(range(256)) * 40), expects=GONE)
    for kind in (*Kind, 0, 0x16):
        huge = pdu(kind, bytes(2000), length=0xFFFF_FFF0)
        yield Case(number="2", what=f"PDU {kind:d} of 4 GB", play=says(huge), expects=GONE)
    huge = pdu(Kind.DATA, bytes(2000), length=0xFFFF_FFF0)
    yield Case(number="2b", what="PDU of 4 GB in an association", play=answers(huge), expects=GONE)
    yield Case(number="2c", what="request of 2 MB", play=says(pdu(1, bytes(2_000_000))), expects=GONE)
    yield Case(number="3", what="a request drips", play=drips(request(STORING)), expects=GONE)
    asked = (request(STORING, ECHOING),)
    dripping = drips(data(store_command(), command=True), after=asked)
    yield Case(number="3b", what="a command drips", play=dripping, expects=GONE)
    yield Case(number="4", what="silence", play=says(), expects=GONE)
    yield Case(number="4b", what="half a header", play=says(b"\x01\x00\x00"), expects=GONE)
    yield Case(number="4c", what="half a request", play=says(request(STORING)[:90]), expects=GONE)
    yield Case(number="4d", what="silence in an association", play=says(*asked), expects=(*GONE, "accepted"))
    for kind in (0x00, 0x08, 0x7F, 0xFF):
        yield Case(number="5", what=f"unknown PDU {kind:02X}", play=says(pdu(kind, bytes(4))), expects=GONE)
        unknown = answers(pdu(kind, bytes(4)))
        yield Case(number="5b", what=f"unknown PDU {kind:02X} in an association", play=unknown, expects=GONE)


def negotiations() -> Iterator[Case]:
    """Yield cases 6 to 12 and 15: asking for an association."""
    strangers = request(STORING, called=b"SOMEBODY", calling=b"FRIEND")
    yield Case(number="6", what="wrong title", play=asks(strangers), expects=("rejected 1/1/7",), posture="strict")
    unknown = asks(request(STORING))
    yield Case(number="7", what="unknown caller", play=unknown, expects=("rejected 1/1/3",), posture="strict")
    known = asks(request(STORING, calling=b"FRIEND"))
    yield Case(number="7b", what="known caller", play=known, expects=("accepted",), posture="strict")
    yield Case(number="8", what="too many", play=crowd, expects=("rejected 2/3/2",), posture="crowded")
    odd = [Offer(number=n, abstract=CT_CLASS) for n in range(1, 256, 2)]
    yield Case(number="10", what="128 contexts", play=asks(request(*odd)), expects=("accepted",))
    doubtful = ("accepted", "rejected 1/1/1", *GONE)
    yield Case(number="10b", what="no context", play=asks(request()), expects=doubtful)
    yield Case(number="10c", what="even context", play=asks(request(Offer(number=2))), expects=doubtful)
    yield Case(number="10d", what="context twice", play=asks(request(STORING, STORING)), expects=doubtful)
    yield Case(number="10e", what="no syntax", play=asks(request(Offer(syntaxes=()))), expects=doubtful)
    yield Case(number="10f", what="no class", play=asks(request(Offer(abstract=""))), expects=doubtful)
    many = Offer(syntaxes=tuple(f"1.2.{n}" for n in range(3000)))
    yield Case(number="10g", what="3000 syntaxes", play=asks(request(many)), expects=doubtful)
    bad = Offer(abstract="../../../etc/passwd", syntaxes=("\n\n",))
    yield Case(number="10h", what="no UIDs", play=asks(request(bad)), expects=doubtful)
    for most in (0, 1, 7, 0xFFFF_FFFF):
        yield Case(number="11", what=f"takes {most} bytes", play=modest(most), expects=("0000", "data", *doubtful))
    private = Offer(abstract="1.2.826.0.1.3680043.9.7229.99.1")
    yield Case(number="15", what="private class", play=asks(request(private)), expects=("accepted",))
    old = asks(request(STORING, version=2))
    yield Case(number="X1", what="other protocol version", play=old, expects=("rejected 1/2/2", *GONE))
    other = asks(request(STORING, application="1.2.840.10008.3.1.1.2"))
    yield Case(number="X2", what="other application", play=other, expects=("rejected 1/1/2",))
    no_text = asks(request(STORING, called=b"\xff" * 16, calling=b"\0" * 16))
    yield Case(number="X3", what="titles of noise", play=no_text, expects=doubtful)
    blank = asks(request(STORING, called=b"", calling=b""))
    yield Case(number="X3b", what="blank titles", play=blank, expects=doubtful)
    path = asks(request(STORING, calling=b"../../../etc/x"))
    yield Case(number="X3c", what="a path as title", play=path, expects=("accepted",))
    yield from _items(doubtful)


def _items(doubtful: tuple[str, ...]) -> Iterator[Case]:
    users = {
        "none": b"",
        "twice": user_information() * 2,
        "too long": item(0x50, bytes(20), length=60_000),
        "cut off": user_information()[:-3],
        "a role of nothing": user_information(more=item(0x54, b"")),
        "an identity of lies": user_information(more=item(0x58, b"\x02\x01\xff\xff" + bytes(8))),
        "an identity of 60 kB": user_information(more=item(0x58, b"\x02\x01\xea\x60" + bytes(60_000) + b"\0\0")),
        "a window of noise": user_information(more=item(0x53, b"\xff")),
        "an extension of lies": user_information(more=item(0x56, b"\xff\xff1.2")),
        "an unknown item": user_information(more=item(0x5F, bytes(100))),
        "5000 items": user_information(more=item(0x5F, b"") * 5000),
    }
    for what, user in users.items():
        yield Case(
            number="X4", what=f"user information: {what}", play=asks(request(STORING, user=user)), expects=doubtful
        )


def modest(most: int) -> Callable[[LiveNode], str]:
    """Return a play: an echo for a peer that takes PDUs of this length only."""

    def play(node: LiveNode) -> str:
        with line(node.port) as opened:
            heard = opened.say(request(ECHOING, user=user_information(most=most))).hear()
            if heard.word != "accepted":
                return heard.word
            return opened.say(data(echo_command(), command=True, context=3)).hear().word

    return play


def out_of_order() -> Iterator[Case]:
    """Yield case 9 and its kind: lawful PDUs where they may not stand."""
    accept = pdu(Kind.ACCEPT, request(STORING)[6:])
    reject = pdu(Kind.REJECT, b"\0\1\1\1")
    first = {"data": COMMAND, "accept": accept, "reject": reject, "release": RELEASE, "abort": ABORT}
    for what, said in {**first, "released": pdu(Kind.RELEASED, bytes(4))}.items():
        yield Case(number="9", what=f"{what} comes first", play=says(said), expects=GONE)
    second = {"a request": request(STORING), "accept": accept, "reject": reject}
    for what, said in {**second, "released": pdu(Kind.RELEASED, bytes(4))}.items():
        yield Case(number="9b", what=f"{what} in an association", play=answers(said), expects=GONE)
    yield Case(number="9c", what="release in a data set", play=answers(COMMAND, RELEASE), expects=(*GONE, "released"))
    yield Case(number="9d", what="abort in a data set", play=answers(COMMAND, ABORT), expects=GONE)
    yield Case(
        number="9e", what="data after release", play=answers(RELEASE, COMMAND, BODY), expects=("released", *GONE)
    )
    early = says(request(STORING) + COMMAND + BODY)
    yield Case(number="9f", what="data before the acceptance", play=early, expects=(*GONE, "0000"))
    yield Case(number="X5", what="all in one go", play=pipelined, expects=("0000 0000 0000 released",))
    yield Case(number="X6", what="never reads", play=deaf, expects=("closed",))


def messages() -> Iterator[Case]:
    """Yield cases 13, 14, 16 and 17: the messages of C-STORE."""
    yield Case(number="13", what="vanishes in a data set", play=vanish, expects=("nothing stays",))
    long = dataset(tail=element(0x7FE0_0010, b"OW", bytes(110_000)))
    too_long = lambda node: store(node.port, long).word  # noqa: E731
    yield Case(number="14", what="too long", play=too_long, expects=("A700",), posture="small")
    yield Case(number="14b", what="endless", play=endless_data, expects=("closed",), posture="small")
    yield Case(number="14c", what="endless command", play=endless_command, expects=("closed",))
    refused = ("0110", "A900", "C000", *GONE)
    for what, tag in {"class": 0x0002, "message id": 0x0110, "instance": 0x1000, "command": 0x0100}.items():
        missing = answers(data(without(tag), command=True), BODY)
        yield Case(number="16", what=f"no {what}", play=missing, expects=refused)
    wrong = {
        "instance is a path": (0x1000, b"../../etc/passwd"),
        "instance of letters": (0x1000, uid("1.2.x")),
        "instance of 200 digits": (0x1000, b"1." + b"2" * 198),
        "other class than negotiated": (0x0002, uid("1.2.840.10008.5.1.4.1.1.4")),
        "a data set without one": (0x0800, number(0x0101)),
        "unknown command": (0x0100, number(0x7777)),
        "a response": (0x0100, number(0x8001)),
        "message id too short": (0x0110, b"\1"),
        "message id of text": (0x0110, b"one "),
    }
    for what, (tag, value) in wrong.items():
        spoiled = answers(data(differing(tag, value), command=True), BODY)
        yield Case(number="16b", what=what, play=spoiled, expects=(*refused, "0211", "0122"))
    yield Case(number="17", what="twins", play=twins, expects=("0000 0000",))
    yield from _fragments(refused)


def _fragments(refused: tuple[str, ...]) -> Iterator[Case]:
    broken = {
        "cut off": (data(store_command()[:-5], command=True), BODY),
        "garbage": (data(bytes(range(200)), command=True), BODY),
        "empty": (data(b"", command=True), BODY),
        "wrong group length": (data(command_set(store_elements(), length=9999), command=True), BODY),
        "data set first": (BODY,),
        "unknown context": (data(store_command(), command=True, context=99), data(dataset(), context=99)),
        "data in another context": (COMMAND, data(dataset(), context=3)),
        "command in a data set": (COMMAND, data(dataset()[:40], last=False), COMMAND),
        "value longer than its PDU": (pdu(4, struct.pack(">IBB", 5000, 1, 3) + store_command()),),
        "value of length 0": (pdu(4, struct.pack(">I", 0)),),
        "value of length 1": (pdu(4, struct.pack(">IB", 1, 1)),),
        "value cut off": (pdu(4, b"\0\0"),),
        "nothing in the PDU": (pdu(4, b""),),
    }
    for what, said in broken.items():
        yield Case(number="16c", what=f"command: {what}", play=answers(*said), expects=(*refused, "0000"))
    single = [data(store_command()[at : at + 1], command=True, last=False) for at in range(len(store_command()))]
    by_byte = answers(*single, data(b"", command=True), BODY)
    yield Case(number="X7", what="a command byte by byte", play=by_byte, expects=("0000",))
    hollow = answers(COMMAND, data(b"", last=False) * 10_000, BODY)
    yield Case(number="X8", what="10,000 empty values", play=hollow, expects=("0000",))
    bare = pieces(dataset(instance="1.2.91"), size=1)
    thin = answers(data(store_command(instance="1.2.91"), command=True), *bare)
    yield Case(number="X9", what="a data set byte by byte", play=thin, expects=("0000",))
    cancel = command_set({0x0100: number(0x0FFF), 0x0120: number(7), 0x0800: number(0x0101)})
    stray = answers(data(cancel, command=True), data(echo_command(), command=True, context=3))
    yield Case(number="X10", what="cancels what was never asked", play=stray, expects=("0000", *GONE))


def resources() -> Iterator[Case]:
    """Yield cases 18, 19 and 24: what the node needs and can't get."""
    full = lambda node: store(node.port, dataset()).word  # noqa: E731
    yield Case(number="18", what="spool full", play=full, expects=("A700",), posture="full")
    yield Case(number="19", what="fsync fails", play=failing, expects=("A700 A700",), posture="failing")
    yield Case(number="24", what="out of files", play=poor, expects=("0000",), posture="poor")


WIRE_CASES: Final = (*connections(), *negotiations(), *out_of_order(), *messages(), *resources())
