"""Killing a server while it receives, and asking afterwards for everything it acknowledged."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Protocol, Self

from ingest.dataset.part10 import find_dataset
from ingest.dataset.walker import Walker
from ingest.errors import IngestError
from ingest.spool.spool import SpoolFolder
from tests.hostile.nodes import dataset_digest
from tests.hostile.wire import ECHOING, STORING, Line, association, data, echo_command, pieces, store_command
from tests.ingest.datasets import dataset, element

ROOT: Final = Path(__file__).parents[2]
UID_ROOT: Final = "1.2.826.0.1.3680043.9.7229.9"
STUDY: Final = f"{UID_ROOT}.0.1"
SERIES: Final = f"{UID_ROOT}.0.2"
_READY_S: Final = 60.0


class Fate(Protocol):
    """Says what became of an instance that was acknowledged, given the digest of the data set that was sent."""

    def __call__(self, instance: str, digest: str) -> str:
        """Return ``kept``, ``missing`` or ``unreadable``."""


class Subject(Protocol):
    """A server that is killed.

    Parameters
    ----------
    name
        In the table.
    called
        The title it answers to.
    """

    name: str
    called: str

    def start(self, folder: Path, port: int) -> "subprocess.Popen[bytes]":
        """Start it on what lies in its folder, in a session of its own."""

    def fates(self, folder: Path) -> Fate:
        """Return what the restarted server, which is running, knows of instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """An instance that was acknowledged: its UID, the digest of its data set, and when we read the answer."""

    instance: str
    digest: str
    at_s: float


@dataclass(slots=True)
class Tally:
    """What became of acknowledged instances."""

    acknowledged: int = 0
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def add(self, told: list[Acknowledged], fate: Fate) -> None:
        """Ask for each of them."""
        self.acknowledged += len(told)
        for one in told:
            became = fate(one.instance, one.digest)
            if became == "missing":
                self.missing.append(one.instance)
            elif became == "unreadable":
                self.unreadable.append(one.instance)


class Load:
    """Associations that store instance after instance until the server is gone.

    Parameters
    ----------
    serial
        Makes the UIDs of this load its own.
    associations
        How many at once.
    """

    def __init__(self, port: int, called: str, *, serial: str, chance: Random, associations: int = 4) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.refused: list[str] = []
        self._port = port
        self._called = called.encode()
        self._stop = threading.Event()
        seeds = [chance.randrange(1 << 30) for _ in range(associations)]
        self._threads = [
            threading.Thread(target=self._send, args=(f"{serial}.{number}", Random(seed)))
            for number, seed in enumerate(seeds)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_until_acknowledged(self, count: int, *, within_s: float = 30.0) -> bool:
        """Return whether so many were acknowledged."""
        ends = time.monotonic() + within_s
        while len(self.acknowledged) < count and time.monotonic() < ends:
            time.sleep(0.001)
        return len(self.acknowledged) >= count

    def _send(self, serial: str, chance: Random) -> None:
        number = 0
        try:
            with association(self._port, STORING, called=self._called) as opened:
                while not self._stop.is_set():
                    number += 1
                    if not self._store(opened, f"{UID_ROOT}.{serial}.{number}", chance, number):
                        return
        except (OSError, AssertionError):
            return  # the server is gone

    def _store(self, opened: Line, instance: str, chance: Random, number: int) -> bool:
        body = dataset(instance=instance, study=STUDY, series=SERIES, patient="CRASH", tail=_pixels(chance))
        command = store_command(instance=instance, message=number % 65536)
        opened.say(b"".join((data(command, command=True), *pieces(body, size=16_000))))
        heard = opened.hear(within_s=60)
        if heard.word == "0000":
            digest = hashlib.sha256(body).hexdigest()
            self.acknowledged.append(Acknowledged(instance=instance, digest=digest, at_s=time.monotonic()))
        elif heard.word not in ("closed", "silent", "aborted"):
            self.refused.append(heard.word)
        return heard.word not in ("closed", "silent", "aborted")


class Lastgate:
    """Our node, with all its processes."""

    name = "Lastgate"
    called = "LASTGATE"

    def start(self, folder: Path, port: int) -> "subprocess.Popen[bytes]":
        """Start ``lastgate serve``."""
        foreign = {key: value for key, value in os.environ.items() if not key.startswith("LASTGATE_")}
        ours = {
            "LASTGATE_HOME": str(folder / "home"),
            "LASTGATE_NODE__PORT": str(port),
            "LASTGATE_NODE__UNKNOWN_PEERS": "accept",
            "LASTGATE_SPOOL_LOG_MB": "64",  # so that it is written over within seconds
        }
        command = [sys.executable, "-c", "from lastgate.cli import main; main()", "serve"]
        return started(command, folder, {**foreign, **ours}, work=ROOT)

    def fates(self, folder: Path) -> Fate:
        """Wait until all is filed; then read what the receipts name."""
        from lastgate.settings import Settings
        from lastgate.wiring import open_house

        home = folder / "home"
        _wait_until_filed(home / "spool")
        with open_house(Settings(home=home)) as house:
            receipts = [one for key in house.facts.patients() for one in house.facts.read(key).receipts]
            store = house.stores.work
        keys = {one.header.sop_instance_uid: one.key for one in receipts}

        def fate(instance: str, digest: str) -> str:
            if instance not in keys:
                return "missing"
            return "kept" if dataset_digest(store.read_bytes(keys[instance])) == digest else "unreadable"

        return fate


def started(
    command: list[str], folder: Path, environment: Mapping[str, str], *, work: Path | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, so that all its processes can be killed at once."""
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, env=dict(environment), cwd=work or folder, start_new_session=True
        )


@contextmanager
def running(subject: Subject, folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server until the block ends, or it was killed in it; it answers when the block begins."""
    process = subject.start(folder, port)
    try:
        wait_until_ready(process, port, subject.called)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
    finally:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a server with all its processes, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, called: str) -> None:
    """Wait until the server answers C-ECHO."""
    ends = time.monotonic() + _READY_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            with association(port, ECHOING, called=called.encode()) as opened:
                echo = data(echo_command(), command=True, context=ECHOING.number)
                if opened.say(echo).hear().word == "0000":
                    return
        except (OSError, AssertionError):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{called} does not answer (exit code {process.poll()})")


def free_port() -> int:
    """Return a port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_sound(file: Path) -> str:
    """Return the SOP Instance UID of a DICOM file that is whole, otherwise nothing; told by our strict walker."""
    try:
        with file.open("rb") as stream:
            layout = find_dataset(stream)
            if layout is None:
                return ""
            stream.seek(layout.dataset_offset)
            size_bytes = file.stat().st_size - layout.dataset_offset
            return Walker(stream, layout.transfer_syntax_uid, size_bytes=size_bytes).walk().names.sop_instance_uid
    except IngestError:
        return ""


def _wait_until_filed(spool: Path, *, within_s: float = 120.0) -> None:
    ends = time.monotonic() + within_s
    while waiting := sum(len(SpoolFolder(one).journal.pending()) for one in spool.iterdir() if one.is_dir()):
        if time.monotonic() > ends:
            raise RuntimeError(f"{waiting} objects are not filed after {within_s:.0f} s")
        time.sleep(0.1)


def _pixels(chance: Random) -> bytes:
    """Return pixels of a size between a record and an image; noise, so that a block of zeros shows."""
    size_bytes = chance.choice((0, 2_000, 2_000, 60_000, 400_000))
    return element(0x7FE0_0010, b"OW", chance.randbytes(size_bytes))
