"""The bad-input list for the services beside storage: cases 66 to 68, and more of the kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.hostile.wire import (
    NO_DATA_SET,
    Line,
    Offer,
    association,
    command_set,
    data,
    number,
    pieces,
)
from tests.ingest.datasets import (
    CT_CLASS,
    IMPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    dataset,
    implicit,
    item,
    text,
    uid,
)

FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
COMMITTER: Final = "1.2.840.10008.1.20.1.1"
PROCEDURES: Final = "1.2.840.10008.3.1.2.3.3"

GONE: Final = ("aborted", "closed")
UNUSABLE: Final = ("A900", "C000", "C001", "0110", "0120", "0115", "A700", *GONE)
"""What may be answered to what can't be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request no peer should make, and what may be answered."""

    what: str
    play: Callable[[int], str]
    expects: tuple[str, ...]


def asks(
    sop_class: str, command: dict[int, bytes], identifier: bytes | None, *, then: bytes = b""
) -> Callable[[int], str]:
    """Return a play: say this request on an association of its own and hear the final answer."""
    elements = {0x0110: number(7), 0x0800: number(NO_DATA_SET if identifier is None else 1), **command}

    def play(port: int) -> str:
        with association(port, Offer(abstract=sop_class, syntaxes=(IMPLICIT,))) as opened:
            _say(opened, elements, identifier)
            return opened.say(then).hear_final(within_s=60).word

    return play


def _say(opened: Line, elements: dict[int, bytes], identifier: bytes | None) -> None:
    opened.say(data(command_set(elements), command=True))
    if identifier is not None:
        opened.say(*pieces(identifier, size=100_000))


def query(sop_class: str, field: int, identifier: bytes | None, **more: bytes) -> Callable[[int], str]:
    """Return a play: a C-FIND, C-MOVE or C-GET."""
    command = {0x0002: uid(sop_class), 0x0100: number(field), 0x0700: number(0)}
    if "destination" in more:
        command[0x0600] = more["destination"]
    return asks(sop_class, command, identifier, then=more.get("then", b""))


def key(**values: str) -> bytes:
    """Return an identifier: level, patient, study, instance."""
    tags = {"level": 0x0008_0052, "instance": 0x0008_0018, "patient": 0x0010_0020, "study": 0x0020_000D}
    return b"".join(implicit(tag, text(values[name])) for name, tag in tags.items() if name in values)


CANCEL: Final = data(
    command_set({0x0100: number(0x0FFF), 0x0120: number(7), 0x0800: number(NO_DATA_SET)}), command=True
)


def queries() -> Iterator[Asking]:
    """Yield case 66: C-FIND."""
    done = ("0000", "FE00", *UNUSABLE)
    many = "\\".join(f"1.2.3.{n}" for n in range(10_000))
    deep = implicit(0x0008_1115, ITEM, length=UNDEFINED) * 3000 + (ITEM_END + SEQUENCE_END) * 3000
    said = {
        "star only": (key(level="STUDY", patient="*"), done),
        "stars": (key(level="STUDY", patient="*?" * 5000), done),
        "a key of 1 MB": (key(level="STUDY", patient="x" * 1_000_000), done),
        "10,000 UIDs": (key(level="STUDY", study=many), done),
        "no level": (key(patient="*"), UNUSABLE),
        "unknown level": (key(level="PLANET", patient="*"), UNUSABLE),
        "nothing": (b"", UNUSABLE),
        "garbage": (bytes(range(256)) * 4, UNUSABLE),
        "cut off": (key(level="STUDY", patient="PATIENT")[:-3], UNUSABLE),
        "3000 levels deep": (key(level="STUDY") + deep, UNUSABLE),
        "explicit in implicit": (dataset(), UNUSABLE),
        "brackets": (key(level="STUDY", patient="[a-z]*%_';--"), done),
        "a date of noise": (key(level="STUDY") + implicit(0x0008_0020, b"2026139x-"), done),
    }
    for what, (identifier, expects) in said.items():
        yield Asking(what=f"find {what}", play=query(FIND, 0x0020, identifier), expects=expects)
    yield Asking(what="find without identifier", play=query(FIND, 0x0020, None), expects=UNUSABLE)
    cancelled = query(FIND, 0x0020, key(level="STUDY", patient="*"), then=CANCEL)
    yield Asking(what="find and cancel at once", play=cancelled, expects=("0000", "FE00"))


def retrievals() -> Iterator[Asking]:
    """Yield case 67: C-MOVE and C-GET."""
    one = key(level="STUDY", study="1.2.3")
    for what, destination in {
        "nobody": b"NOBODY",
        "a path": b"../../etc/passwd",
        "200 characters": b"X" * 200,
        "nothing": b"",
    }.items():
        moving = query(MOVE, 0x0021, one, destination=destination)
        yield Asking(what=f"move to {what}", play=moving, expects=("A801", *UNUSABLE))
    yield Asking(what="move without destination", play=query(MOVE, 0x0021, one), expects=("A801", *UNUSABLE))
    for what, identifier in {
        "no key": key(level="STUDY"),
        "stars": key(level="STUDY", study="*"),
        "no level": key(study="1.2.3"),
        "garbage": b"\xff" * 100,
        "nothing": b"",
    }.items():
        yield Asking(what=f"get {what}", play=query(GET, 0x0010, identifier), expects=("0000", *UNUSABLE))
    many = key(level="STUDY", study="\\".join(f"1.2.3.{n}" for n in range(10_000)))
    yield Asking(what="get 10,000 UIDs", play=query(GET, 0x0010, many), expects=("0000", *UNUSABLE))


def commitments() -> Iterator[Asking]:
    """Yield case 68: N-ACTION, and N-CREATE of a procedure step."""
    sound = transaction("1.2.9", 3)
    yield Asking(what="action on unknown instance", play=action(sound, instance="1.2.3.4"), expects=("0112",))
    yield Asking(what="action of unknown type", play=action(sound, kind=77), expects=("0123",))
    wrong = action(sound, sop_class=CT_CLASS)
    yield Asking(what="action on another class", play=wrong, expects=("0119", "0118", "0112", "0110", *GONE))
    yield Asking(what="action without information", play=action(None), expects=("0120", "0115", "0110", *GONE))
    yield Asking(what="action with garbage", play=action(b"\xff" * 99), expects=("0115", "0120", "0110", "0106", *GONE))
    nothing = action(transaction("1.2.9.1", 0))
    yield Asking(
        what="action about nothing", play=nothing, expects=("0000", "0114", "0115", "0120", "0110", "0106", *GONE)
    )
    bounded = ("0000", "0213", "0115", "0120", "0110", "0106", *GONE)
    yield Asking(what="action about 100,000 instances", play=action(transaction("1.2.9.2", 100_000)), expects=bounded)
    creating = {0x0002: uid(PROCEDURES), 0x0100: number(0x0140), 0x1000: uid("../../x")}
    refused = ("0115", "0120", "0106", "0110", "0117", *GONE)
    yield Asking(what="step of a path", play=asks(PROCEDURES, creating, key(patient="x")), expects=refused)
    yield Asking(what="step of garbage", play=asks(PROCEDURES, creating, b"\xff" * 99), expects=refused)


def action(
    information: bytes | None, *, instance: str = COMMITTER, sop_class: str = COMMITMENT, kind: int = 1
) -> Callable[[int], str]:
    """Return a play: an N-ACTION on the commitment service (PS3.4 J.3.2)."""
    command = {0x0003: uid(sop_class), 0x0100: number(0x0130), 0x1001: uid(instance), 0x1008: number(kind)}
    return asks(COMMITMENT, command, information)


def transaction(transaction_uid: str, count: int) -> bytes:
    """Return a request for commitment of so many instances."""
    items = b"".join(
        item(implicit(0x0008_1150, uid(CT_CLASS)) + implicit(0x0008_1155, uid(f"1.2.9.9.{n}"))) for n in range(count)
    )
    return implicit(0x0008_1195, uid(transaction_uid)) + implicit(0x0008_1199, items)


SERVICE_CASES: Final = (*queries(), *retrievals(), *commitments())
