"""Associations that are opened and dropped at every point, and good ones between them."""

import socket
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.hostile.wire import (
    ABORT,
    ECHOING,
    FINDING,
    RELEASE,
    STORING,
    Line,
    association,
    data,
    echo_command,
    find_command,
    line,
    request,
    store_command,
)
from tests.ingest.datasets import dataset, element, implicit, text, uid

BODY: Final = dataset(instance="1.2.55", tail=element(0x7FE0_0010, b"OW", bytes(20_000)))
COMMAND: Final = data(store_command(instance="1.2.55"), command=True)
_ASKED: Final = request(STORING, ECHOING)
_RESET: Final = struct.pack("ii", 1, 0)


def _before_request(_: Line) -> None:
    """Say nothing at all."""


def _in_request(opened: Line) -> None:
    opened.say(_ASKED[:80])


def _in_request_header(opened: Line) -> None:
    opened.say(_ASKED[:3])


def _without_acceptance(opened: Line) -> None:
    opened.say(_ASKED)


def _after_acceptance(opened: Line) -> None:
    opened.say(_ASKED).hear()


def _in_pdu_header(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(COMMAND[:4])


def _in_command(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(COMMAND[:50])


def _after_command(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(COMMAND)


def _in_data_set(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(COMMAND, data(BODY[:1000], last=False), data(BODY[1000:])[:300])


def _without_answer(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(COMMAND, data(BODY))


def _without_echo(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(data(echo_command(), command=True, context=ECHOING.number) * 3)


def _without_released(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(RELEASE)


def _abort(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(ABORT)


def _abort_in_data_set(opened: Line) -> None:
    opened.say(_ASKED).hear()
    opened.say(COMMAND, data(BODY[:1000], last=False), ABORT)


def _rubbish(opened: Line) -> None:
    opened.say(b"GET / HTTP/1.1\r\n\r\n")


DROPS: Final[Sequence[Callable[[Line], None]]] = (
    _before_request,
    _in_request_header,
    _in_request,
    _without_acceptance,
    _after_acceptance,
    _in_pdu_header,
    _in_command,
    _after_command,
    _in_data_set,
    _without_answer,
    _without_echo,
    _without_released,
    _abort,
    _abort_in_data_set,
    _rubbish,
)


def drop(port: int, at: Callable[[Line], None], *, reset: bool) -> None:
    """Open a connection and let it drop at a point: closed, or reset as when a cable is pulled."""
    with line(port) as opened:
        at(opened)
        if reset:
            opened.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def echo(port: int) -> str:
    """Send a C-ECHO as it should be; return the answer."""
    with association(port, ECHOING) as opened:
        said = opened.say(data(echo_command(), command=True, context=ECHOING.number)).hear().word
        opened.say(RELEASE).hear()
        return said


def store_well(port: int, serial: int, chance: Random) -> list[str]:
    """Send one to five instances as it should be; return the answers."""
    words = []
    with association(port, STORING) as opened:
        for number in range(chance.randrange(1, 6)):
            instance = f"1.2.826.0.1.3680043.9.7229.56.{serial}.{number}"
            pixels = element(0x7FE0_0010, b"OW", chance.randbytes(2 * chance.randrange(20_000)))
            body = dataset(
                instance=instance,
                study=f"1.2.56.{serial}",
                series=f"1.2.56.{serial}.1",
                patient=f"S{serial}",
                tail=pixels,
            )
            opened.say(data(store_command(instance=instance, message=number + 1), command=True), data(body))
            words.append(opened.hear(within_s=60).word)
        opened.say(RELEASE).hear()
    return words


def find(port: int, patient: str) -> str:
    """Ask for the studies of a patient; return the final status."""
    identifier = b"".join(
        (
            implicit(0x0008_0052, text("STUDY")),
            implicit(0x0010_0020, text(patient)),
            implicit(0x0020_000D, uid("")),
        )
    )
    with association(port, FINDING) as opened:
        opened.say(data(find_command(), command=True, context=5), data(identifier, context=5))
        word = opened.hear_final(within_s=60).word
        opened.say(RELEASE).hear()
        return word
