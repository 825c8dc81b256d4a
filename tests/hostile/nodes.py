"""A node in a process of its own, so that its memory, files and threads can be watched, and its end would show."""

import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

from archive.facts.store import FactStore
from ingest.dataset.part10 import find_dataset
from ingest.filing.filer import Filer
from ingest.filing.ports import Ports
from ingest.filing.quarantine import Quarantine, QuarantineNote
from ingest.node import Node, NodeSettings
from ingest.spool.arrival import Held
from ingest.spool.journal import SpoolJournal
from ingest.spool.spool import Spool, SpoolLimits
from storage.filesystem import FilesystemStore

ECHOSCU: Final = "/usr/bin/echoscu"
_CONTEXT: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """How a node is set up.

    Parameters
    ----------
    settings
        Of `NodeSettings`, beside the port.
    free_bytes, object_bytes, small_bytes
        Of `SpoolLimits`; `small_bytes` 0 gives everything a file of its own at once.
    open_files
        How many files its process may have open.
    disk_bytes
        Size of a disk of its own; needs root.
    syncs
        How many times fsync and fdatasync succeed before each fails with EIO; None for ever.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    free_bytes: int = 0
    object_bytes: int = 16 * 1024**3
    small_bytes: int | None = None
    open_files: int | None = None
    disk_bytes: int | None = None
    syncs: int | None = None


BRISK: Final = {"pdu_deadline_s": 1.0, "negotiation_s": 1.0, "idle_s": 2.0}
"""Deadlines a test can wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How a process is at a moment; memory as proportional set size in bytes."""

    memory_bytes: int
    files: int
    threads: int


class LiveNode:
    """A node that runs elsewhere, seen from outside: by its port, its process and its disk."""

    def __init__(self, root: Path, port: int, process_id: int) -> None:
        self.root = root
        self.port = port
        self.process_id = process_id
        self._spool = root / "spool" / "node"
        self.journal = SpoolJournal(self._spool / "journal.db", held=self._spool / "held")

    def is_alive(self) -> bool:
        """Return whether a foreign program gets its C-ECHO answered."""
        asked = subprocess.run([ECHOSCU, "-to", "10", "127.0.0.1", str(self.port)], capture_output=True, check=False)
        return asked.returncode == 0

    def vitals(self) -> Vitals:
        """Return how the process is now."""
        return vitals_of(self.process_id)

    def forget_peak(self) -> int:
        """Begin to watch for the peak of resident memory; returns what is resident now, in bytes."""
        Path(f"/proc/{self.process_id}/clear_refs").write_text("5", "ascii")
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the peak of resident memory since `forget_peak`, in bytes."""
        return self._status("VmHWM")

    def held(self) -> list[Held]:
        """Return what lies in the spool and is not filed yet."""
        return self.journal.pending()

    def unfinished(self) -> list[Path]:
        """Return files of what has not come wholly."""
        return list((self._spool / "incoming").iterdir())

    def file(self) -> dict[str, int]:
        """File what the node took, and return how many things became what."""
        return dict(self._filer().drain())

    def quarantined(self) -> list[QuarantineNote]:
        """Return the notes on what lies in quarantine."""
        return list(Quarantine(self.store).list())

    def stored(self) -> dict[str, list[str]]:
        """Return the digests of all data sets in the archive's objects, by SOP Instance UID; bytes are read."""
        facts = FactStore(self.store, node="n1")
        found: dict[str, list[str]] = {}
        for receipt in (one for key in facts.patients() for one in facts.read(key).receipts):
            digest = dataset_digest(self.store.read_bytes(receipt.key))
            found.setdefault(receipt.header.sop_instance_uid, []).append(digest)
        return found

    def paths(self) -> list[str]:
        """Return all names of files and folders the node and its filer made."""
        return [str(path.relative_to(self.root)) for path in self.root.rglob("*")]

    @property
    def store(self) -> FilesystemStore:
        """Where it is filed."""
        return FilesystemStore(self.root / "store")

    def _filer(self) -> Filer:
        ports = Ports(
            store=self.store,
            facts=FactStore(self.store, node="n1"),
            on_facts=lambda *_: None,
            record=lambda *_: None,
            clock=_now,
        )
        return Filer(self.root / "spool", ports, grace=timedelta(minutes=10))

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.process_id}/status").read_text("ascii").splitlines()
        (found,) = [line for line in lines if line.startswith(f"{name}:")]
        return int(found.split()[1]) * 1024


def vitals_of(process_id: int) -> Vitals:
    """Return how a process is now."""
    proc = Path(f"/proc/{process_id}")
    (memory,) = [line for line in (proc / "smaps_rollup").read_text("ascii").splitlines() if line.startswith("Pss:")]
    return Vitals(
        memory_bytes=int(memory.split()[1]) * 1024,
        files=len(list((proc / "fd").iterdir())),
        threads=len(list((proc / "task").iterdir())),
    )


def dataset_digest(file: bytes) -> str:
    """Return the SHA-256 of the data set in a DICOM file."""
    from io import BytesIO

    layout = find_dataset(BytesIO(file))
    assert layout is not None
    return hashlib.sha256(file[layout.dataset_offset :]).hexdigest()


@contextmanager
def live_node(root: Path, posture: Posture | None = None) -> Iterator[LiveNode]:
    """Run a node in a process of its own until the block ends."""
    posture = posture or Posture()
    root.mkdir(parents=True, exist_ok=True)
    with _disk(root, posture.disk_bytes):
        hear, tell = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(str(root), posture, tell), daemon=True)
        process.start()
        try:
            assert hear.poll(60)
            assert process.pid is not None
            yield LiveNode(root, hear.recv(), process.pid)
            assert process.is_alive(), f"the node ended with {process.exitcode}"
        finally:
            process.kill()
            process.join()
            hear.close()
            tell.close()


@contextmanager
def _disk(root: Path, size_bytes: int | None) -> Iterator[None]:
    if size_bytes is None:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(root)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def can_mount() -> bool:
    """Return whether this process may give a node a disk of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def _serve(root: str, posture: Posture, tell: Connection) -> None:
    limits = SpoolLimits(free_bytes=posture.free_bytes, object_bytes=posture.object_bytes)
    if posture.small_bytes is not None:
        limits = replace(limits, small_bytes=posture.small_bytes)
    spool = Spool(Path(root) / "spool" / "node", clock=_now, limits=limits)
    port = Node(NodeSettings(port=0, **posture.settings), spool).start()
    if posture.open_files is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (posture.open_files, hard))
    if posture.syncs is not None:
        _break_disk(posture.syncs)
    tell.send(port)
    while True:
        signal.pause()


def _break_disk(after: int) -> None:
    """Let fsync fail from some call on, as a disk does that dies."""
    sound, left = os.fsync, [after]

    def sync(descriptor: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            _fail()
        sound(descriptor)

    os.fsync = os.fdatasync = sync  # type: ignore[assignment]


def _fail() -> NoReturn:
    import errno

    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _now() -> datetime:
    return datetime.now(UTC)
