"""DCMTK as the other side of retrieving: what it asks for, what it is given, and what it says of it."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# pynetdicom puts scripts of the same names into the virtual environment: always by full path.
GETSCU = "/usr/bin/getscu"
MOVESCU = "/usr/bin/movescu"
STORESCP = "/usr/bin/storescp"
_COUNT = re.compile(r"(Remaining|Completed|Failed|Warning) Suboperations *: (\d+)")
_FINAL = re.compile(r"DIMSE Status +: 0x([0-9a-f]{4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client printed.

    Parameters
    ----------
    status
        Of the last response.
    counts
        Of the last response.
    """

    code: int
    log: str

    @property
    def statuses(self) -> list[int]:
        """Statuses of all retrieve responses, in order."""
        blocks = re.split(r"(?=D: Message Type)", self.log)
        rsp = [block for block in blocks if re.search(r"C-(MOVE|GET) RSP", block)]
        return [int(found[1], 16) for block in rsp if (found := _FINAL.search(block))]

    @property
    def status(self) -> int:
        """Status of the last response."""
        return self.statuses[-1]

    @property
    def counts(self) -> dict[str, int]:
        """Counts of the last response."""
        last = re.split(r"(?=D: Message Type *: C-(?:MOVE|GET) RSP)", self.log)[-1]
        return {name.lower(): int(count) for name, count in _COUNT.findall(last)}

    @property
    def done(self) -> tuple[int, int, int]:
        """Completed, failed and warning sub-operations of the last response."""
        return self.counts["completed"], self.counts["failed"], self.counts["warning"]


def getscu(port: int, keys: Sequence[str], folder: Path, *options: str) -> Told:
    """Ask with C-GET; what comes is written as it comes."""
    folder.mkdir(parents=True, exist_ok=True)
    return _run([GETSCU, "-d", *_model(options), "+B", "-od", str(folder)], port, keys)


def movescu(port: int, keys: Sequence[str], destination: str, *options: str) -> Told:
    """Ask with C-MOVE."""
    return _run([MOVESCU, "-d", *_model(options), "-aem", destination], port, keys)


def _model(options: Sequence[str]) -> list[str]:
    return list(options) if {"-P", "-S"} & set(options) else ["-S", *options]


def _run(command: list[str], port: int, keys: Sequence[str]) -> Told:
    named = [part for key in keys for part in ("-k", key)]
    done = subprocess.run(
        [*command, *named, "127.0.0.1", str(port)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    return Told(code=done.returncode, log=done.stdout + done.stderr)


@contextmanager
def storescp(folder: Path, *options: str, port: int) -> Iterator[None]:
    """Run `storescp`; without options it takes uncompressed transfer syntaxes."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [STORESCP, "--fork", "--bit-preserving", "+uf", "-aet", "DEST", *options, "-od", str(folder), str(port)]
    with (folder.parent / "storescp.log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "TCP_NODELAY": "1"})
        try:
            _wait(port)
            yield
        finally:
            server.kill()
            server.wait(timeout=20)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("storescp did not start")
