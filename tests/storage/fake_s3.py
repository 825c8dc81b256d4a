"""A small HTTP server that speaks a little S3 and can be told to misbehave."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from storage.s3 import Limits, S3Store, connect

Answer = Callable[["FakeS3", BaseHTTPRequestHandler], bool]
"""Answers a request itself and returns True, or False to leave it to the well-behaved server."""


@dataclass(kw_only=True)
class FakeS3:
    """Objects by path, and what the next requests meet."""

    endpoint_url: str = ""
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    misbehave: Answer | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def store(self, **limits: float) -> S3Store:
        """Return a store in the bucket ``bucket`` of this server."""
        client = connect(self.endpoint_url, "us-east-1", "any", "any")
        return S3Store(client, "bucket", limits=Limits(**limits))  # type: ignore[arg-type]

    def carry_out(self, handler: BaseHTTPRequestHandler) -> int:
        """Do what a PUT asks and return its status."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self.lock:
            found = self.objects.get(handler.path)
            wanted = handler.headers.get("If-Match")
            if (handler.headers.get("If-None-Match") and found) or (wanted and (not found or etag(found[0]) != wanted)):
                return 412
            kept = {name: value for name, value in handler.headers.items() if name.lower().startswith("x-amz-meta")}
            self.objects[handler.path] = (body, kept)
            return 200


def etag(data: bytes) -> str:
    """Return the ETag of a simple object."""
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Send one complete answer."""
    handler.send_response(status)
    headers.setdefault("Content_Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: ClassVar[FakeS3]

    def handle_any(self) -> None:
        self.fake.requests.append((self.command, self.path, dict(self.headers)))
        if self.fake.misbehave is not None and self.fake.misbehave(self.fake, self):
            return
        if self.command == "PUT":
            status = self.fake.carry_out(self)
            written = self.fake.objects[self.path][0]
            send(self, status, ETag=etag(written))
        elif self.command in {"GET", "HEAD"} and self.path in self.fake.objects:
            data, kept = self.fake.objects[self.path]
            send(self, 200, data, ETag=etag(data), Last_Modified="Mon, 06 May 2030 07:08:09 GMT", **kept)
        else:
            send(self, 200 if self.path == "/bucket" else 404)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def fake_s3() -> Iterator[FakeS3]:
    """Run the server on a free port of the loopback."""
    fake = FakeS3()
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    fake.endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def always(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer that is given to every request."""

    def answer(_: FakeS3, handler: BaseHTTPRequestHandler) -> bool:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        send(handler, status, body, **headers)
        return True

    return answer
