"""A node with rules, on plain and on TLS ports, and DCMTK as the other side."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archive.journal.journal import Event
from ingest.node import Node, NodeSettings
from ingest.peers import PeerRule, Peers
from ingest.peers.rules import UnknownPeers
from ingest.peers.tls import ServerTls, TlsFiles
from ingest.service import Service
from tests.ingest.conftest import House
from tests.ingest.peers.authority import Authority


@dataclass
class Listening:
    """A node that listens: its ports and what it told the journal (after it stopped)."""

    port: int
    tls_port: int | None = None
    events: list[Event] = field(default_factory=list)


Listen = Callable[..., AbstractContextManager[Listening]]
"""Runs a node with the rules given, for the length of a block; `NodeSettings` by keyword."""


@pytest.fixture
def listen(house: House) -> Listen:
    """Return what runs a node with the rules given, for the length of a block."""

    @contextmanager
    def run(
        *rules: PeerRule,
        unknown: UnknownPeers = "refuse",
        services: tuple[Service, ...] = (),
        tls: ServerTls | None = None,
        **settings: object,
    ) -> Iterator[Listening]:
        events: list[Event] = []
        values: dict[str, object] = {"port": 0, "tls_port": 0, "peers": Peers(rules=rules, unknown=unknown)} | settings
        node = Node(NodeSettings(**values), house.spool, services, record=events.append, tls=tls)  # type: ignore[arg-type]
        node.start()
        try:
            yield Listening(port=node.ports[0], tls_port=node.ports[-1] if tls else None, events=events)
        finally:
            node.stop()

    return run


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The department's authority."""
    return Authority(tmp_path / "authority")


def dcmtk(program: str, port: int | None, *options: str, paths: tuple[Path, ...] = ()) -> str:
    """Run a DCMTK client against a port and return what it says."""
    command = [f"/usr/bin/{program}", "-v", *options, "127.0.0.1", str(port), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def over_tls(files: TlsFiles, *options: str) -> tuple[str, ...]:
    """Return the options that let DCMTK speak TLS with a certificate."""
    return ("+tls", str(files.key), str(files.certificate), "+cf", str(files.authorities), *options)
