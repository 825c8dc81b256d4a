"""kill -9 at any moment: what was acknowledged is filed, once, and is what was sent."""

import multiprocessing
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from ingest.folders.import_folder import import_paths
from ingest.node import Node, NodeSettings
from ingest.spool.journal import SpoolJournal
from ingest.spool.spool import SpoolLimits
from tests.ingest.conftest import House
from tests.ingest.datasets import element, write_file
from tests.ingest.node.test_node import dataset_of, send

INSTANCES = 60
LONG = element(0x7FE1_1001, b"OB", bytes(SpoolLimits().small_bytes))
_CONTEXT = multiprocessing.get_context("spawn")


def serve(root: str, tell: Connection) -> None:
    """Run a node in a process of its own until it is killed."""
    house = House(Path(root))
    tell.send(Node(NodeSettings(port=0), house.spool).start())
    signal.pause()


def file_slowly(root: str, tell: Connection) -> None:
    """File in a process of its own, a little of everything at a time, until it is killed."""
    house = House(Path(root), worker="filer")
    write = house.facts.write_receipts

    def slow(*arguments: object) -> str:
        time.sleep(0.01)
        return write(*arguments)  # type: ignore[arg-type]

    house.facts.write_receipts = slow  # type: ignore[method-assign, assignment]
    tell.send(0)
    house.filer.drain()
    signal.pause()


def started(target: Callable[[str, Connection], None], root: Path) -> tuple[BaseProcess, int]:
    hear, tell = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=target, args=(str(root), tell), daemon=True)
    process.start()
    assert hear.poll(60)
    return process, hear.recv()


def killed_when(process: BaseProcess, ready: Callable[[], bool]) -> None:
    for _ in range(2000):
        if ready():
            break
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def instances(folder: Path) -> list[Path]:
    """Return files of which every other one is too long for the spool's journal."""
    paths = []
    for number in range(INSTANCES):
        path = folder / f"{number:03}.dcm"
        write_file(path, instance=f"1.2.{number}", patient=f"P{number % 4}")
        path.write_bytes(path.read_bytes() + (LONG if number % 2 else b""))
        paths.append(path)
    return paths


@pytest.mark.server
@pytest.mark.parametrize("acknowledged_at_least", [1, 15, 40])
def test_node_when_killed_then_everything_acknowledged_is_filed(tmp_path: Path, acknowledged_at_least: int) -> None:
    paths = instances(tmp_path / "in")
    process, port = started(serve, tmp_path / "house")
    said: list[str] = []
    sending = threading.Thread(target=lambda: said.append(send(port, *paths)))
    sending.start()
    journal = SpoolJournal(tmp_path / "house/spool/w1/journal.db", held=tmp_path / "house/spool/w1/held")

    killed_when(process, lambda: len(journal.names()) >= acknowledged_at_least)
    sending.join()

    acknowledged = len(re.findall(r"Received Store Response \(Success\)", said[0]))
    house = House(tmp_path / "house", worker="after")
    house.filer.drain()
    receipts = {receipt.header.sop_instance_uid: receipt for receipt in house.receipts()}
    assert acknowledged >= acknowledged_at_least - 1
    for number, path in enumerate(paths[:acknowledged]):
        kept = tmp_path / "kept"
        kept.write_bytes(house.store.read_bytes(receipts[f"1.2.{number}"].key))
        assert dataset_of(kept) == dataset_of(path)
    assert Counter(r.header.sop_instance_uid for r in house.receipts()).most_common(1)[0][1] == 1
    house.spool.close()


@pytest.mark.parametrize("facts_at_least", [0, 1, 2, 3])
def test_filer_when_killed_then_the_next_one_files_everything_once(tmp_path: Path, facts_at_least: int) -> None:
    house = House(tmp_path / "house")
    import_paths(instances(tmp_path / "in"), house.spool)
    process, _ = started(file_slowly, tmp_path / "house")

    wanted = "facts/" if facts_at_least else "intake/"
    killed_when(process, lambda: len(list(house.store.list(wanted))) >= max(1, facts_at_least))
    house.filer.drain()

    uids = Counter(receipt.header.sop_instance_uid for receipt in house.receipts())
    assert set(uids) == {f"1.2.{n}" for n in range(INSTANCES)}
    assert set(uids.values()) == {1}
    assert {receipt.disposition for receipt in house.receipts()} == {"stored"}
    assert len(house.objects("intake/")) == INSTANCES
    assert house.spool.pending() == []
    house.spool.close()
