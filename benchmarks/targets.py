"""The servers that are measured: Orthanc, DCMTK's, dcm4che's and ours, each on a free port in a folder of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.association import IMPLICIT, VERIFICATION, Association, PeerBroke
from ingest.spool.spool import SpoolFolder

ROOT = Path(__file__).parents[1]
DCM4CHE = ROOT / ".tools" / "dcm4che" / "lib"
"""Jars of the dcm4che tools, if somebody put them there; see docs/benchmarks.md."""
ORTHANC = Path("/usr/sbin/Orthanc")
# pynetdicom puts scripts of the same names into the virtual environment: always by full path.
DCMTK = Path("/usr/bin")
NO_DELAY = {"TCP_NODELAY": "1"}
"""What makes programs of DCMTK, Orthanc among them, send small messages at once."""
DESTINATION_AE = "DEST"

_START_S = 60.0
_STOP_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a server is started.

    Parameters
    ----------
    command
        Program and arguments.
    called_ae
        The title it answers to.
    environment
        Beside the one we run in.
    """

    command: list[str]
    called_ae: str
    environment: Mapping[str, str] = field(default_factory=dict)


Starter = Callable[[Path, int, int], Start]
"""Makes a `Start` from folder, port and the port of the C-MOVE destination."""


def _orthanc(**options: object) -> Starter:
    def start(folder: Path, port: int, destination: int) -> Start:
        configuration = {
            "Name": "bench",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "HttpServerEnabled": False,
            "DicomAet": "ORTHANC",
            "DicomPort": port,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "DicomModalities": {"dest": [DESTINATION_AE, "127.0.0.1", destination]},
            "Plugins": [],
            **options,
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        return Start(command=[str(ORTHANC), str(folder / "orthanc.json")], called_ae="ORTHANC")

    return start


def _storescp(folder: Path, port: int, _: int) -> Start:
    (folder / "in").mkdir(exist_ok=True)
    return Start(
        command=[str(DCMTK / "storescp"), "--fork", "-od", str(folder / "in"), str(port)], called_ae="STORESCP"
    )


def _dcmqrscp(folder: Path, port: int, destination: int) -> Start:
    (folder / "area").mkdir(exist_ok=True)
    lines = [
        f"NetworkTCPPort = {port}",
        "MaxPDUSize = 16384",
        "MaxAssociations = 32",
        "HostTable BEGIN",
        f"dest = ({DESTINATION_AE}, 127.0.0.1, {destination})",
        "HostTable END",
        "VendorTable BEGIN",
        "VendorTable END",
        "AETable BEGIN",
        f"QRSCP {folder / 'area'} RW (500, 8192mb) ANY",
        "AETable END",
    ]
    (folder / "dcmqrscp.cfg").write_text("\n".join(lines) + "\n")
    return Start(command=[str(DCMTK / "dcmqrscp"), "-c", str(folder / "dcmqrscp.cfg")], called_ae="QRSCP")


def _dcm4che(folder: Path, port: int, _: int) -> Start:
    command = ["java", "-cp", f"{DCM4CHE}/*", "org.dcm4che3.tool.storescp.StoreSCP", "-b", f"DCM4CHE:{port}"]
    (folder / "logback.xml").write_text("<configuration/>")  # otherwise it prints every PDU
    command[1:1] = [f"-Dlogback.configurationFile={folder / 'logback.xml'}"]
    return Start(command=[*command, "--accept-unknown", "--directory", str(folder / "in")], called_ae="DCM4CHE")


_LASTGATE = """\
[node]
unknown_peers = "accept"
most_associations = 64

[[node.peers]]
title = "{title}"
services = ["verify", "store", "find", "move", "get"]
host = "127.0.0.1"
port = {port}
"""


def _lastgate(folder: Path, port: int, destination: int) -> Start:
    (folder / "lastgate.toml").write_text(_LASTGATE.format(title=DESTINATION_AE, port=destination))
    return Start(
        command=[sys.executable, "-c", "from lastgate.cli import main; main()", "serve"],
        called_ae="LASTGATE",
        environment={
            "LASTGATE_CONFIG": str(folder / "lastgate.toml"),
            "LASTGATE_HOME": str(folder / "home"),
            "LASTGATE_NODE__PORT": str(port),
        },
    )


def _bare_node(folder: Path, port: int, _: int) -> Start:
    return Start(command=[sys.executable, "-m", "benchmarks.bare_node", str(port), str(folder)], called_ae="LASTGATE")


STARTERS: dict[str, Starter] = {
    "Orthanc": _orthanc(),
    "Orthanc without fsync": _orthanc(SyncStorageArea=False),
    "dcmqrscp": _dcmqrscp,
    "storescp": _storescp,
    "dcm4che storescp": _dcm4che,
    "lastgate serve": _lastgate,
    "Lastgate node alone": _bare_node,
}
OURS = ("lastgate serve", "Lastgate node alone")


def missing(name: str) -> str:
    """Return why a target can't be measured here; empty if it can."""
    programs = {"dcmqrscp": DCMTK / "dcmqrscp", "storescp": DCMTK / "storescp", "dcm4che storescp": DCM4CHE}
    needed = ORTHANC if name.startswith("Orthanc") else programs.get(name, ROOT)
    return "" if needed.exists() else f"{needed} is not there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers."""

    name: str
    pid: int
    port: int
    called_ae: str
    folder: Path

    def waiting(self) -> int:
        """Return how many objects ours has acknowledged and not filed yet; 0 for the others."""
        spools = [one for one in (self.folder / "home" / "spool").glob("*") if one.is_dir()]
        return sum(len(SpoolFolder(one).journal.pending(limit=1_000_000)) for one in spools)

    def wait_until_filed(self, most_s: float) -> float:
        """Wait until ours has filed everything, and return how long that took; raises `TimeoutError`."""
        started = time.monotonic()
        while self.waiting():
            if time.monotonic() - started > most_s:
                raise TimeoutError(f"{self.waiting()} objects are not filed after {most_s:.0f} s")
            time.sleep(0.1)
        return time.monotonic() - started


@contextmanager
def running(
    name: str, work: Path, *, no_delay: bool, destination: int = 0, folder: Path | None = None
) -> Iterator[Server]:
    """Start a server and yield it once it answers C-ECHO.

    Parameters
    ----------
    work
        It gets an empty folder in there, which is gone afterwards.
    no_delay
        With TCP_NODELAY=1 in its environment.
    destination
        Port of the peer `DESTINATION_AE` for C-MOVE; 0 if there is none.
    folder
        Use this one as it is instead, and leave it.
    """
    home = folder or work / f"{name.replace(' ', '-').lower()}-{os.getpid()}"
    if folder is None:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    start = STARTERS[name](home, port, destination or free_port())
    inherited = {key: value for key, value in os.environ.items() if key not in NO_DELAY}
    environment = {**inherited, **start.environment, **(NO_DELAY if no_delay else {})}
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            start.command, stdout=log, stderr=log, env=environment, cwd=ROOT, start_new_session=True
        )
        try:
            _wait_until_ready(process, port, start.called_ae, home)
            yield Server(name=name, pid=process.pid, port=port, called_ae=start.called_ae, folder=home)
        finally:
            _stop(process)
    if folder is None:
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    """Return a port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, called: str, folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with Association(port, called, [(VERIFICATION, IMPLICIT)], timeout_s=5) as association:
                association.echo()
        except (OSError, PeerBroke):
            time.sleep(0.05)
        else:
            return
    said = (folder / "log.txt").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{called} did not start (exit code {process.poll()}):\n{said}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(timeout=_STOP_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        break
    process.wait()
