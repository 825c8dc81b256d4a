"""`lastgate serve` as processes: they share the work, die, are started again, and lose nothing they acknowledged."""

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.facts.receipts import Receipt
from ingest.retrieve.sender import Peer, Sent, send
from lastgate.reception import filer_of
from tests.acceptance import dcmtk
from tests.acceptance.houses import local
from tests.ingest.datasets import write_file
from tests.lastgate.served import Served, served, started

pytestmark = pytest.mark.server


def _peer(node: Served) -> Peer:
    return Peer(aet="LASTGATE", host="127.0.0.1", port=node.port)


def _until(is_so: Callable[[], bool], *, within_s: float = 30.0) -> bool:
    ends = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def _receipts(home: Path) -> list[Receipt]:
    """File what the spools still hold and return all receipts."""
    with local(home) as house:
        filer_of(house).drain()
        return [receipt for key in house.facts.patients() for receipt in house.facts.read(key).receipts]


def test_serve_when_it_runs_then_workers_and_filer_are_processes_of_their_own(tmp_path: Path) -> None:
    with served(tmp_path / "home", LASTGATE_NODE__WORKERS="2") as node:
        assert set(node.children()) == {"worker-1", "worker-2", "filer", "checker"}
        for name in ("filer", "checker"):
            assert os.getpriority(os.PRIO_PROCESS, node.children()[name]) >= 10
            assert os.sched_getscheduler(node.children()[name]) == os.SCHED_BATCH
        assert send([write_file(tmp_path / "one.dcm")], _peer(node), calling="TPS")[0].is_stored
        children = node.children().values()
        assert node.stop() == (0, "")
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert len(_receipts(tmp_path / "home")) == 1


def test_serve_when_a_second_one_is_started_then_it_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with served(tmp_path / "home") as node:
        second = started(tmp_path / "home")
        told, _ = second.communicate(timeout=30)
        assert second.returncode == 1
        assert "A node runs on" in told
        assert "LG-RUN-002" in told
        assert send([write_file(tmp_path / "one.dcm")], _peer(node), calling="TPS")[0].is_stored


def test_serve_when_the_port_is_taken_then_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = started(tmp_path / "home", LASTGATE_NODE__PORT=str(taken.getsockname()[1]))
        told, _ = node.communicate(timeout=30)
    assert (node.returncode, "Address already in use" in told) == (2, True)


def test_serve_when_a_process_dies_then_another_takes_its_place(tmp_path: Path) -> None:
    with served(tmp_path / "home", LASTGATE_NODE__WORKERS="1") as node:
        before = node.children()
        for name in ("worker-1", "filer", "checker"):
            os.kill(before[name], signal.SIGKILL)
        assert _until(
            lambda: set(node.children()) == set(before) and not set(node.children().values()) & set(before.values())
        )
        assert send([write_file(tmp_path / "one.dcm")], _peer(node), calling="TPS")[0].is_stored
        code, said = node.stop()
    assert code == 0
    assert said.count("serve.child_died") == 3
    assert len(_receipts(tmp_path / "home")) == 1


def test_serve_when_the_supervisor_is_killed_then_no_process_stays(tmp_path: Path) -> None:
    with served(tmp_path / "home") as node:
        children = node.children().values()
        node.process.kill()
        assert _until(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()])
        with served(tmp_path / "home") as again:
            assert send([write_file(tmp_path / "one.dcm")], _peer(again), calling="TPS")[0].is_stored


def test_serve_when_told_to_stop_then_a_running_association_ends_its_work(tmp_path: Path) -> None:
    paths = [write_file(tmp_path / "in" / f"{n}.dcm", instance=f"1.2.{n}") for n in range(40)]
    going, sent = threading.Event(), list[Sent]()

    def told(one: Sent) -> None:
        sent.append(one)
        if len(sent) == 5:
            going.set()

    with served(tmp_path / "home") as node:
        sender = threading.Thread(target=send, args=(paths, _peer(node)), kwargs={"calling": "TPS", "on_sent": told})
        sender.start()
        assert going.wait(30)
        code, said = node.stop()
        sender.join(timeout=30)
    assert (code, said) == (0, "")
    assert [one.is_stored for one in sent] == [True] * len(paths)
    assert len(_receipts(tmp_path / "home")) == len(paths)


def _send_all(paths: list[Path], node: Served, stored: list[str]) -> None:
    """Send ten at a time; what an association that is cut did not bring is given up."""
    for start in range(0, len(paths), 10):
        answers = dcmtk.storescu(paths[start : start + 10], port=node.port, aet="LASTGATE").answers
        stored.extend(path.stem for path, answer in answers.items() if answer == "Success")


def _kill_until(stop: threading.Event, node: Served, chance: random.Random) -> None:
    while not stop.wait(chance.uniform(0.05, 0.4)):
        children = node.children()
        if children:
            os.kill(children[chance.choice(sorted(children))], signal.SIGKILL)


@pytest.mark.parametrize("seed", [1, 2])
def test_serve_when_workers_and_filer_are_killed_at_random_then_nothing_acknowledged_is_lost(
    tmp_path: Path, seed: int
) -> None:
    home, stored, stop = tmp_path / "home", list[str](), threading.Event()
    paths = [write_file(tmp_path / "in" / f"1.2.{n}.dcm", instance=f"1.2.{n}", patient=f"P{n % 5}") for n in range(150)]
    with served(home, LASTGATE_NODE__WORKERS="2") as node:
        senders = [threading.Thread(target=_send_all, args=(paths[part::2], node, stored)) for part in range(2)]
        killer = threading.Thread(target=_kill_until, args=(stop, node, random.Random(seed)))
        for thread in (*senders, killer):
            thread.start()
        for thread in senders:
            thread.join(timeout=60)
        stop.set()
        killer.join()
        assert node.stop()[0] == 0
    receipts = Counter(receipt.header.sop_instance_uid for receipt in _receipts(home))
    assert len(stored) > 10
    assert set(stored) <= set(receipts)
    assert set(receipts.values()) == {1}


def test_serve_when_success_means_filed_then_every_acknowledged_object_is_in_the_store(tmp_path: Path) -> None:
    paths = [write_file(tmp_path / "in" / f"{n}.dcm", instance=f"1.2.{n}") for n in range(10)]
    stored, receipts = list[int](), list[int]()

    def look(_: Sent) -> None:
        facts = (tmp_path / "home/archive/facts").rglob("r-*.jsonl")
        receipts.append(sum(len(path.read_text().splitlines()) for path in facts))
        stored.append(len(list((tmp_path / "home/archive/intake").rglob("?" * 64))))

    with served(tmp_path / "home", LASTGATE_ACKNOWLEDGE="filed") as node:
        assert all(one.is_stored for one in send(paths, _peer(node), calling="TPS", on_sent=look))
        assert node.stop() == (0, "")
    assert len(stored) == len(receipts) == 10
    assert [number for number, count in enumerate(stored, 1) if count < number] == []
    assert [number for number, count in enumerate(receipts, 1) if count < number] == []


def test_serve_when_a_small_study_came_then_it_is_found_soon(tmp_path: Path) -> None:
    with served(tmp_path / "home") as node, local(tmp_path / "home") as house:
        send([write_file(tmp_path / "one.dcm", patient="P7")], _peer(node), calling="TPS")
        assert _until(lambda: bool(house.patients_with("1.2.3.4")))
        assert node.stop()[0] == 0
