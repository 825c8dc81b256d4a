"""The spool's disk: full to the last byte, which needs root, or unable to sync, which needs strace."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.nodes import BRISK, Posture, can_mount, live_node
from tests.hostile.wire import store
from tests.ingest.datasets import dataset, element

pytestmark = pytest.mark.server

own_disk = pytest.mark.skipif(not can_mount(), reason="only root can give the node a small disk of its own")

DISK_BYTES = 16_000_000


@own_disk
def test_store_when_the_disk_runs_full_then_resources_are_named_nothing_stays_and_the_next_small_one_is_taken(
    tmp_path: Path,
) -> None:
    long = dataset(instance="1.2.18", tail=element(0x7FE0_0010, b"OW", bytes(2 * DISK_BYTES)))
    with live_node(tmp_path / "node", Posture(settings=BRISK, disk_bytes=DISK_BYTES)) as node:
        refused = store(node.port, long, instance="1.2.18")
        left = node.unfinished()
        taken = store(node.port, dataset())
        held = [one.arrival.names.sop_instance_uid for one in node.held()]

    assert refused.word == "A700"
    assert refused.comment.startswith("LG-ING-301")
    assert left == []
    assert (taken.word, held) == ("0000", ["1.2.3.4"])


@own_disk
def test_store_when_the_disk_fills_with_what_is_safe_then_all_that_was_acknowledged_stays_readable(
    tmp_path: Path,
) -> None:
    with live_node(tmp_path / "node", Posture(settings=BRISK, disk_bytes=DISK_BYTES)) as node:
        bodies = {
            f"1.2.{n}": dataset(instance=f"1.2.{n}", tail=element(0x7FE0_0010, b"OW", bytes(900_000)))
            for n in range(30)
        }
        words = {instance: store(node.port, body, instance=instance).word for instance, body in bodies.items()}
        held = {one.arrival.names.sop_instance_uid: one.path.read_bytes() for one in node.held()}

    assert set(words.values()) == {"0000", "A700"}
    assert held.keys() == {instance for instance, word in words.items() if word == "0000"}
    assert all(kept.endswith(bodies[instance]) for instance, kept in held.items())


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes fsync fail below SQLite too")
@pytest.mark.parametrize("size_bytes", [100, 2_000_000], ids=["in the journal", "in a file"])
def test_store_when_one_fsync_fails_then_nothing_is_acknowledged_from_then_on(tmp_path: Path, size_bytes: int) -> None:
    """The kernel may have dropped what it could not write, and the next fsync would say that all is well."""
    body = dataset(tail=element(0x7FE0_0010, b"OW", bytes(size_bytes)))
    with live_node(tmp_path / "node", Posture(settings=BRISK)) as node:
        before = store(node.port, body).word
        with _one_fsync_failing(node.process_id):
            failed = store(node.port, body).word
        after = store(node.port, body).word
        held = len(node.held())

    assert (before, failed, after) == ("0000", "A700", "A700")
    assert held == 1


@contextmanager
def _one_fsync_failing(process_id: int) -> Iterator[None]:
    calls = "fsync,fdatasync"
    command = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when=1"]
    tracer = subprocess.Popen([*command, "-o", "/dev/null", "-p", str(process_id)], stderr=subprocess.DEVNULL)
    try:
        while not all(map(_is_traced, Path(f"/proc/{process_id}/task").iterdir())):
            assert tracer.poll() is None, "strace may not look at the node"
            time.sleep(0.02)
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def _is_traced(task: Path) -> bool:
    try:
        return "TracerPid:\t0\n" not in (task / "status").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has ended meanwhile
