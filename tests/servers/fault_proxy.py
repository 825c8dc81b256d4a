"""A proxy before a real server that lets requests fail in the ways networks and servers do.

Each request has a connection of its own (the proxy asks the server to close
it), so that a fault meets exactly the requests it is meant for.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

_PIECE: Final = 4096
_DRIP_S: Final = 0.2
_LATE_S: Final = 0.03
_BUSY: Final = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Fault(Enum):
    """What a request meets."""

    NONE = "none"
    GONE = "gone"
    """The connection is reset before anything is said."""
    BUSY = "answers 503"
    REJECTS = "answers 429"
    CUT_REQUEST = "cut in the body of the request"
    CUT_ANSWER = "cut in the body of the answer"
    LOST_ANSWER = "carried out, and cut before the answer"
    HALF_CONTINUE = "100 Continue and no more"
    """After it the server dies: botocore waits for the blank line for ever, at full speed."""
    SLOW = "slow"
    DRIPS = "drips"
    """One byte at a time: no read from the socket ever takes long."""


class FaultProxy:
    """Passes requests on to a server, or lets them fail.

    Parameters
    ----------
    server
        URL of the server.
    """

    def __init__(self, server: str) -> None:
        split = urlsplit(server)
        assert split.hostname is not None
        self._server = (split.hostname, split.port or 80)
        self._fault, self._first, self._methods = Fault.NONE, 0, frozenset[bytes]()
        self.requests = 0
        self.failed = 0
        self.url = ""
        self._going: set[asyncio.Task[None] | None] = set()  # asyncio itself lets a waiting one be collected

    def fail(self, fault: Fault, *, after: int = 0, methods: tuple[str, ...] = ()) -> None:
        """Let requests fail from now on, once `after` more have passed; only those with these methods, if any."""
        self._methods = frozenset(one.encode() for one in methods)
        self._first, self.requests, self.failed = after, 0, 0
        self._fault = fault

    def mend(self) -> None:
        """Let everything pass again."""
        self._fault = Fault.NONE

    @contextmanager
    def running(self) -> Iterator["FaultProxy"]:
        """Listen on a free port of the loopback until the block ends."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="fault-proxy")
        thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_end(server), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _serve(self, hear: asyncio.StreamReader, tell: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._going.add(task)
        try:
            head = await hear.readuntil(b"\r\n\r\n")
            fault = self._meets(head)
            if fault in (Fault.BUSY, Fault.REJECTS):
                await _answer(head, hear, tell, b"503 Slow Down" if fault is Fault.BUSY else b"429 Too Many Requests")
            elif fault is Fault.HALF_CONTINUE:
                tell.write(b"HTTP/1.1 100 Continue\r\n")
                await tell.drain()
            elif fault is Fault.GONE:
                _reset(tell)
            else:
                await self._pass(head, hear, tell, fault)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # one of both hung up, or the proxy ends
        finally:
            tell.close()
            self._going.discard(task)

    def _meets(self, head: bytes) -> Fault:
        if self._methods and head.split(b" ", 1)[0] not in self._methods:
            return Fault.NONE
        self.requests += 1
        if self._fault is Fault.NONE or self.requests <= self._first:
            return Fault.NONE
        self.failed += 1
        return self._fault

    async def _pass(self, head: bytes, hear: asyncio.StreamReader, tell: asyncio.StreamWriter, fault: Fault) -> None:
        from_server, to_server = await asyncio.open_connection(*self._server)
        try:
            to_server.write(_closing(head))
            upward = asyncio.ensure_future(
                _pump(hear, to_server, most=_PIECE // 8 if fault is Fault.CUT_REQUEST else None)
            )
            if fault is Fault.CUT_REQUEST:
                await asyncio.wait([upward], timeout=1)
                _reset(to_server)
            elif fault is Fault.LOST_ANSWER:
                await from_server.read(1)  # it has been carried out
            else:
                await _downward(from_server, tell, fault)
            upward.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await upward
            if fault is not Fault.NONE and fault is not Fault.SLOW:
                _reset(tell)
        finally:
            to_server.close()


def _closing(head: bytes) -> bytes:
    """Return the head of a request or answer that says that the connection ends with the answer."""
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join((*lines, b"Connection: close", b"", b""))


async def _downward(hear: asyncio.StreamReader, tell: asyncio.StreamWriter, fault: Fault) -> None:
    if fault is Fault.SLOW:
        await asyncio.sleep(_LATE_S)
    head = await hear.readuntil(b"\r\n\r\n")
    tell.write(_closing(head))
    if fault is Fault.DRIPS:
        while piece := await hear.read(1):
            tell.write(piece)
            await tell.drain()
            await asyncio.sleep(_DRIP_S)
    elif fault is Fault.CUT_ANSWER:
        tell.write(await hear.read(8))
        await tell.drain()
    else:
        await _pump(hear, tell, most=None)


async def _pump(hear: asyncio.StreamReader, tell: asyncio.StreamWriter, *, most: int | None) -> None:
    while piece := await hear.read(_PIECE if most is None else most):
        tell.write(piece)
        await tell.drain()
        if most is not None:
            return


async def _answer(head: bytes, hear: asyncio.StreamReader, tell: asyncio.StreamWriter, status: bytes) -> None:
    """Take the whole request and refuse it."""
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    await hear.readexactly(int(lengths[0]) if lengths else 0)
    body = b"" if head.startswith(b"HEAD") else _BUSY
    tell.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
    await tell.drain()


def _reset(tell: asyncio.StreamWriter) -> None:
    """Break a connection as a dead machine does: with a reset, not with an end."""
    connection = tell.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tell.transport.abort()


async def _end(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()
    while others := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
