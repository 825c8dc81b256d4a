"""Queued sends as people see them: queued by a command, sent by the running node, listed, cancelled."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.sending import keep_sending, peer_of, queued_sends
from lastgate.settings import NodeSettings, PeerSettings, Settings
from lastgate.wiring import House, open_house
from tests.acceptance.houses import found
from tests.ingest.retrieve.clients import free_port, storescp
from tests.lastgate.program import environment, lastgate


@pytest.fixture
def home(tmp_path: Path, sample_department: Department) -> Path:
    """The home of an archive with the plan of the prostate course."""
    home = tmp_path / "home"
    with _open(home) as house:
        take_in(house, [sample_department.patient("SAMPLE-0003").courses[0].plans[0].path])
    return home


def _open(home: Path, *peers: PeerSettings) -> AbstractContextManager[House]:
    return open_house(Settings(home=home, node=NodeSettings(port=0, peers=peers)))


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    """The archive, opened."""
    with _open(home) as opened:
        yield opened


def _wait_for(house: House, state: str) -> None:
    for _ in range(200):
        if [one["state"] for one in queued_sends(house)] == [state]:
            return
        time.sleep(0.05)
    pytest.fail(f"It never became {state}: {queued_sends(house)}")


@pytest.mark.server
def test_send_when_it_is_queued_then_the_running_node_sends_it_and_the_list_says_so(
    home: Path, house: House, tmp_path: Path
) -> None:
    port, env = free_port(), environment(home)
    (dossier,) = found(house)
    told = lastgate("send", dossier["id"], f"DEST@127.0.0.1:{port}", "--queue", "--json", env=env)
    assert (told.code, told.json["state"], told.json["waiting"]) == (0, "waiting", 1)
    stop = threading.Event()
    node = threading.Thread(target=keep_sending, args=(house, stop))
    with storescp(tmp_path / "got", "+xa", port=port):
        node.start()
        try:
            _wait_for(house, "done")
        finally:
            stop.set()
            node.join()
    assert len(list((tmp_path / "got").iterdir())) == 1
    listed = lastgate("sends", env=env)
    assert told.json["id"] in listed.words
    assert "1 stored, 0 waiting, 0 refused" in listed.words
    house.journal.flush()
    events = [event for event in house.journal.events() if event["act"] == "send"]
    assert [event["outcome"] for event in events] == ["queued", "done"]


def test_sends_when_one_is_cancelled_then_it_is_not_tried_any_more(home: Path, house: House) -> None:
    env = environment(home)
    (dossier,) = found(house)
    queued = lastgate("send", dossier["id"], "DEST@127.0.0.1:9", "--queue", "--json", env=env).json
    told = lastgate("sends", "--cancel", queued["id"][:4], env=env)
    assert (told.code, "is cancelled" in told.words) == (0, True)
    assert [one["state"] for one in lastgate("sends", "--json", env=env).json] == ["cancelled"]
    assert lastgate("sends", "--cancel", queued["id"], env=env).code == 2


def test_send_when_the_peer_is_named_by_title_alone_then_its_rule_tells_where(home: Path) -> None:
    with _open(home, PeerSettings(title="TPS", host="10.0.0.7", port=11112)) as house:
        assert str(peer_of(house, "TPS")) == "TPS@10.0.0.7:11112"
    told = lastgate("send", "any", "TPS", env=environment(home))
    assert told.code == 2
    assert "AET@HOST:PORT" in told.err


def test_send_when_it_is_to_be_queued_and_committed_then_refused(home: Path) -> None:
    assert lastgate("send", "any", "A@h:1", "--queue", "--commit", env=environment(home)).code == 2
