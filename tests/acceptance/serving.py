"""A live `lastgate serve`, with all its processes, for other programs to talk to."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from ingest.dataset.part10 import find_dataset

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
AET = "LASTGATE"
_START_S = 60.0
_STOP_S = 40.0
_SETTINGS = """\
[node]
aet = "{aet}"
unknown_peers = "accept"

[commitment]
unknown_after_s = 0
same_association_s = 1
"""
_PEER = """
[[node.peers]]
title = "{title}"
services = ["verify", "store", "find", "move", "get", "commit"]
host = "127.0.0.1"
port = {port}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running node.

    Parameters
    ----------
    home
        Its archive.
    settings
        Its settings file.
    peers
        Ports of the peers it may send to, by title.
    """

    port: int
    home: Path
    settings: Path
    peers: Mapping[str, int]

    @property
    def address(self) -> tuple[str, str]:
        """Host and port as arguments of a command."""
        return "127.0.0.1", str(self.port)

    def wait_until_found(self, *headers: Dataset) -> None:
        """Wait until queries find instances: answers come before filing, the index after it."""
        entity = AE(ae_title="WAITING")
        entity.add_requested_context(STUDY_ROOT_FIND)
        association = entity.associate("127.0.0.1", self.port, ae_title=AET)
        assert association.is_established
        try:
            for header in headers:
                eventually(lambda one=header: _finds(association, one), what="the instance is found")  # type: ignore[misc]
        finally:
            association.release()

    def lastgate(self, *arguments: str) -> str:
        """Run a command of ours on the same archive and return what it prints."""
        return subprocess.run(
            [sys.executable, "-c", "from lastgate.cli import main; main()", *arguments],
            env={**os.environ, **_environment(self.settings, self.home)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def eventually(holds: Callable[[], bool], *, what: str, within_s: float = 60.0) -> None:
    """Wait until something holds; raises `TimeoutError` with its name."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {within_s:.0f} s in vain until {what}")
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Return whether somebody takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def dataset_bytes(path: Path) -> bytes:
    """Return the encoded data set of a Part 10 file: what goes over the wire."""
    body = path.read_bytes()
    layout = find_dataset(BytesIO(body))
    assert layout is not None, f"{path} is no DICOM file"
    return body[layout.dataset_offset :]


def needs(*programs: Path, package: str) -> None:
    """Skip the test where programs are missing; in CI that is a failure."""
    absent = [str(program) for program in programs if not program.exists()]
    if absent and os.environ.get("CI"):
        pytest.fail(f"{', '.join(absent)} must be there in CI: tests/servers/install.sh installs {package}.")
    if absent:
        pytest.skip(f"{', '.join(absent)} is not installed; tests/servers/install.sh installs {package}.")


def _finds(association: Association, header: Dataset) -> bool:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "IMAGE"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(wanted, keyword, header[keyword].value)
    return len(list(association.send_c_find(wanted, STUDY_ROOT_FIND))) > 1


@contextmanager
def serving(folder: Path, titles: Sequence[str]) -> Iterator[Served]:
    """Run `lastgate serve` with peers of these titles, each on a free port of its own."""
    port, *others = free_ports(1 + len(titles))
    peers = dict(zip(titles, others, strict=True))
    settings, home = folder / "lastgate.toml", folder / "home"
    settings.write_text(
        _SETTINGS.format(aet=AET) + "".join(_PEER.format(title=title, port=at) for title, at in peers.items())
    )
    environment = {**os.environ, **_environment(settings, home), "LASTGATE_NODE__PORT": str(port)}
    command = [sys.executable, "-c", "from lastgate.cli import main; main()", "serve"]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            eventually(
                lambda: process.poll() is not None or listens(port), what="`lastgate serve` listens", within_s=_START_S
            )
            assert process.poll() is None, (folder / "serve.log").read_text()
            yield Served(port=port, home=home, settings=settings, peers=peers)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=_STOP_S)


def _environment(settings: Path, home: Path) -> dict[str, str]:
    return {"LASTGATE_CONFIG": str(settings), "LASTGATE_HOME": str(home)}
