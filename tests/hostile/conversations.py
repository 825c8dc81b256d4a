"""Conversations no peer should have: sound and broken PDUs in any order and fragmentation, and what must come of them.

All chance comes from a `random.Random` that is handed in, so that Hypothesis
can shrink a conversation and a fuzzer can repeat it from its seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.hostile.wire import (
    ABORT,
    ECHOING,
    RELEASE,
    STORING,
    Heard,
    Kind,
    Line,
    data,
    echo_command,
    line,
    pdu,
    request,
    store_command,
)
from tests.ingest.datasets import dataset, element

GONE: Final = "gone"
"""The node ends the connection, with an A-ABORT or without."""
UNSURE: Final = "unsure"
"""PS3.7 and PS3.8 do not settle what a node does next."""

_MOVES: Final = (
    "echo",
    "store",
    "store",
    "command",
    "fragment",
    "last",
    "release",
    "abort",
    "request",
    "reply",
    "junk",
)
_UID_ROOT: Final = "1.2.826.0.1.3680043.9.7229.8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One thing a peer says.

    Parameters
    ----------
    name
        What it is, or was before it was broken.
    said
        The bytes on the wire.
    instance, body
        Of a whole C-STORE.
    is_sound
        Nothing in it was broken.
    """

    name: str
    said: bytes
    instance: str = ""
    body: bytes = b""
    is_sound: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Moves one after the other, cut into segments at random places.

    Parameters
    ----------
    moves
        What is said.
    segments
        Lengths of the pieces that are sent, taken round and round.
    """

    moves: tuple[Move, ...]
    segments: tuple[int, ...] = (65536,)

    @property
    def said(self) -> bytes:
        """Everything on the wire."""
        return b"".join(move.said for move in self.moves)

    @property
    def is_sound(self) -> bool:
        """Whether every PDU of it is sound in itself, wherever it stands."""
        return all(move.is_sound for move in self.moves)

    def foretold(self) -> tuple[list[str], str]:
        """Return what the node must say to sound moves, and how it ends: ``open``, ``released``, gone or unsure."""
        state, words = "start", list[str]()
        for at, move in enumerate(self.moves):
            said, state = _STEPS[state](move.name)
            words += said
            if state == "released" and at + 1 < len(self.moves):
                state = GONE  # what comes behind the release may be read before it is answered (PS3.8 9.2, state 8)
            if state in (GONE, UNSURE, "released"):
                break
        return words, "open" if state in ("start", "ready", "storing") else state


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a conversation.

    Parameters
    ----------
    heard
        What the node said, in order.
    has_ended
        Whether the node closed the connection after we had said all.
    """

    heard: list[Heard] = field(default_factory=list)
    has_ended: bool = False

    @property
    def words(self) -> list[str]:
        """What the node said, in short."""
        return [one.word for one in self.heard]


def conversation(chance: Random, *, most: int = 10, broken: float = 0.3, serial: str = "0") -> Conversation:
    """Return a conversation; `broken` of its moves are spoiled, `serial` makes its UIDs its own."""
    names = ["request"] if chance.random() < 0.85 else []
    names += [chance.choice(_MOVES) for _ in range(chance.randrange(most))]
    moves = [_move(name, chance, f"{_UID_ROOT}.{serial}.{at}") for at, name in enumerate(names)]
    moves = [spoiled(move, chance) if chance.random() < broken else move for move in moves]
    segments = [chance.choice((1, 2, 5, 6, 7, 64, 1000, 65536)) for _ in range(chance.randrange(1, 6))]
    return Conversation(moves=tuple(moves), segments=(*segments, 65536))


def spoiled(move: Move, chance: Random) -> Move:
    """Return a move with damage at a random place."""
    said = mutated(move.said, chance)
    return Move(name=move.name, said=said, instance=move.instance, is_sound=said == move.said)


def mutated(raw: bytes, chance: Random) -> bytes:
    """Return bytes with one to four random damages: flipped, cut, doubled, inserted, overwritten with extremes."""
    spoilt = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _damage(spoilt, chance)
    return bytes(spoilt)


def hold(port: int, talk: Conversation, *, patience_s: float) -> Outcome:
    """Have a conversation: say all of it, hear what must be said, hang up and hear the rest."""
    outcome = Outcome()
    with line(port) as opened:
        said = talk.said
        if talk.is_sound and talk.moves[:1] and talk.moves[0].name == "request":
            # What comes before the acceptance ends an association (PS3.8 9.2, state 3), and whether it does is chance.
            said = said[len(talk.moves[0].said) :]
            _say(opened, talk.moves[0].said, talk.segments)
            outcome.heard.append(opened.hear(within_s=patience_s))
        _say(opened, said, talk.segments)
        outcome.has_ended = _hear_out(opened, talk, outcome.heard, patience_s)
    return outcome


def _say(opened: Line, said: bytes, segments: Sequence[int]) -> None:
    at = turn = 0
    while at < len(said):
        step = segments[turn % len(segments)]
        opened.say(said[at : at + step])
        at, turn = at + step, turn + 1


def _hear_out(opened: Line, talk: Conversation, heard: list[Heard], patience_s: float) -> bool:
    """Hear what must be said, hang up and hear the rest; return whether the node hung up too."""
    words, end = talk.foretold()
    wanted = len(words) if talk.is_sound and end in ("open", "released") else 0
    while len(heard) < wanted and (one := opened.hear(within_s=patience_s)).word not in _ENDS:
        heard.append(one)
    opened.hang_up()
    while (one := opened.hear(within_s=patience_s)).word not in _ENDS:
        heard.append(one)
    return one.word == "closed"


_ENDS: Final = ("closed", "silent")


def _damage(raw: bytearray, chance: Random) -> None:
    at = chance.randrange(len(raw)) if raw else 0
    how = chance.randrange(7)
    if how == 0 and raw:
        raw[at] ^= 1 << chance.randrange(8)
    elif how == 1:
        del raw[at:]
    elif how == 2:
        raw[at:at] = raw[at : at + chance.randrange(1, 64)]
    elif how == 3:
        raw[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 16)))
    elif how == 4:
        raw[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xf0", b"\0\0\0\1"))
    elif how == 5:
        del raw[at : at + chance.randrange(1, 16)]
    elif len(raw) >= 6:
        raw[0] = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 0xFF))


def _move(name: str, chance: Random, instance: str) -> Move:
    if name == "store":
        body = dataset(instance=instance, tail=_pixels(chance))
        said = data(store_command(instance=instance), command=True) + _in_values(body, chance)
        return Move(name=name, said=said, instance=instance, body=body)
    return Move(name=name, said=_SAID[name](chance, instance))


def _pixels(chance: Random) -> bytes:
    return element(0x7FE0_0010, b"OW", bytes(2 * chance.choice((0, 1, 500, 20_000))))


def _in_values(body: bytes, chance: Random) -> bytes:
    """Return a data set in values of random lengths, several in one PDU at times (PS3.8 9.3.5)."""
    said, at = b"", 0
    while at < len(body):
        step = chance.choice((1, 100, 16_000))
        piece = data(body[at : at + step], last=at + step >= len(body))
        at += step
        said += piece
        if len(said) > 100_000 or chance.random() < 0.5:
            continue
        said += data(b"", last=False) if at < len(body) else b""
    return said


def _junk(chance: Random, _: str) -> bytes:
    kind = chance.choice((0, 4, 8, 0x50, 0xFF))
    return pdu(kind, bytes(chance.randrange(256) for _ in range(chance.randrange(40))))


def _reply(chance: Random, _: str) -> bytes:
    return pdu(chance.choice((Kind.ACCEPT, Kind.REJECT, Kind.RELEASED)), bytes(4))


_SAID: Final[dict[str, Callable[[Random, str], bytes]]] = {
    "echo": lambda _c, _i: data(echo_command(), command=True, context=ECHOING.number),
    "command": lambda _c, instance: data(store_command(instance=instance), command=True),
    "fragment": lambda _c, _i: data(dataset()[:40], last=False),
    "last": lambda _c, _i: data(dataset()[40:]),
    "release": lambda _c, _i: RELEASE,
    "abort": lambda _c, _i: ABORT,
    "request": lambda _c, _i: request(STORING, ECHOING),
    "reply": _reply,
    "junk": _junk,
}


def _at_start(name: str) -> tuple[Sequence[str], str]:
    return (("accepted",), "ready") if name == "request" else ((), GONE)


def _when_ready(name: str) -> tuple[Sequence[str], str]:
    if name in ("echo", "store"):
        return ("0000",), "ready"
    if name == "command":
        return (), "storing"
    if name == "release":
        return ("released",), "released"
    return (), UNSURE if name in ("junk", "fragment", "last") else GONE


def _when_storing(name: str) -> tuple[Sequence[str], str]:
    if name == "fragment":
        return (), "storing"
    return (), GONE if name in ("abort", "request", "reply") else UNSURE


_STEPS: Final[dict[str, Callable[[str], tuple[Sequence[str], str]]]] = {
    "start": _at_start,
    "ready": _when_ready,
    "storing": _when_storing,
}
