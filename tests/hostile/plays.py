"""Longer plays of hostile peers: more than one connection, or no end."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from tests.hostile.nodes import LiveNode
from tests.hostile.wire import (
    ECHOING,
    RELEASE,
    STORING,
    association,
    data,
    echo_command,
    line,
    request,
    store,
    store_command,
)
from tests.ingest.datasets import dataset


def crowd(node: LiveNode) -> str:
    """One association more than the node takes."""
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(association(node.port))
        opened = stack.enter_context(line(node.port))
        return opened.say(request(STORING)).hear().word


def vanish(node: LiveNode) -> str:
    """Go away in the middle of a data set; nothing of it may stay."""
    with association(node.port) as opened:
        opened.say(data(store_command(), command=True), data(dataset()[:60], last=False))
        wait_until(lambda: len(node.unfinished()) > 0, within_s=2)
        opened.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "nothing stays" if wait_until(lambda: node.unfinished() == []) else "something stays"


def endless_data(node: LiveNode) -> str:
    """Send a data set without end; the node has to hang up."""
    with association(node.port) as opened:
        opened.say(data(store_command(), command=True))
        return endless(opened.connection, data(bytes(16_000), last=False))


def endless_command(node: LiveNode) -> str:
    """Send a command set without end: there is nothing to write it to but memory."""
    with association(node.port) as opened:
        return endless(opened.connection, data(bytes(16_000), command=True, last=False))


def endless(connection: socket.socket, piece: bytes) -> str:
    """Say the same until the node hangs up."""
    connection.settimeout(30)
    ends = time.monotonic() + 30
    try:
        while time.monotonic() < ends:
            connection.sendall(piece)
    except TimeoutError:
        return "stuck"
    except OSError:
        return "closed"
    return "taken"


def twins(node: LiveNode) -> str:
    """Two associations send one instance at once."""
    body = dataset(instance="1.2.17")
    words: list[str] = []
    sending = [
        threading.Thread(target=lambda: words.append(store(node.port, body, instance="1.2.17").word)) for _ in range(2)
    ]
    for one in sending:
        one.start()
    for one in sending:
        one.join()
    return " ".join(words)


def deaf(node: LiveNode) -> str:
    """Ask and ask and never read an answer: the node must not wait for ever to get rid of them."""
    with line(node.port) as opened:
        opened.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.say(request(STORING, ECHOING)).hear()
        asked = data(echo_command(), command=True, context=3) * 500
        return endless(opened.connection, asked)


def pipelined(node: LiveNode) -> str:
    """Send stores and release in one go without hearing anything."""
    said = b""
    for n in range(3):
        instance = f"1.2.90.{n}"
        said += data(store_command(instance=instance, message=n + 1), command=True) + data(dataset(instance=instance))
    with association(node.port) as opened:
        opened.say(said + RELEASE)
        return " ".join(opened.hear().word for _ in range(4))


def poor(node: LiveNode) -> str:
    """Take all files the process may open; the node must come back when they are free again."""
    with ExitStack() as stack:
        opened = [stack.enter_context(line(node.port)) for _ in range(40)]
        for one in opened:
            one.say(request(STORING))
        time.sleep(0.5)
    wait_until(lambda: node.vitals().files < 20)
    return store(node.port, dataset(instance="1.2.24"), instance="1.2.24").word


def failing(node: LiveNode) -> str:
    """Store twice on a disk that fails to sync: a failed fsync is never tried again."""
    return " ".join(store(node.port, dataset()).word for _ in range(2))


def wait_until(question: Callable[[], bool], *, within_s: float = 10.0) -> bool:
    """Return whether it becomes true."""
    ends = time.monotonic() + within_s
    while not question():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True
