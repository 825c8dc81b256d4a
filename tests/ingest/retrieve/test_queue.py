"""A queued send is never forgotten, sends nothing twice, and ends: stored, refused, cancelled or given up."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.facts.receipts import PatientKey, Receipt
from archive.journal.journal import Event
from archive.vault.places import Places
from ingest.errors import NotSent
from ingest.retrieve.courier import Courier, CourierPorts
from ingest.retrieve.outgoing import Sent
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer
from ingest.retrieve.queue import CLAIM, KEPT, QueuedSend, SendQueue
from tests.archive.house import SmallHouse
from tests.factories import key_of, series

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
Answer = Callable[[str], Sent | None]


@dataclass(kw_only=True)
class _Peer:
    """Stands in for the sender: answers by SOP Instance UID, and remembers what it was given."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_away: bool = False
    given: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def send(self, parcels: Iterable[Parcel], peer: Peer, **_: Any) -> Iterator[Sent | None]:
        for parcel in parcels:
            if self.is_away:
                raise NotSent(f"{peer} does not answer")
            self.given.append(parcel.sop_instance_uid)
            yield Sent(parcel=parcel, **self.answers.get(parcel.sop_instance_uid, {"status": 0}))
            self.meanwhile()
            yield None


class _Desk:
    """A queue with a courier, four instances and a clock."""

    def __init__(self, folder: Path) -> None:
        self.house = SmallHouse(folder)
        key = self.house.receive(series("ct", slices=4))
        self.receipts = {one.header.sop_instance_uid: one for one in self.house.facts.read(key).receipts}
        self.uids = tuple(sorted(self.receipts))
        self.queue = SendQueue(self.house.work)
        self.peer = _Peer()
        self.now = NOW
        self.events: list[Event] = []
        self.stop = threading.Event()

    def courier(self, holder: str = "n1-1") -> Courier:
        places = Places(work=self.house.work, vault=self.house.vault, facts=self.house.facts)
        ports = CourierPorts(
            instances=self._instances,
            places=places,
            sender=self.peer,  # type: ignore[arg-type]  # only `send` is asked for
            peer=lambda aet, host, port: Peer(aet=aet, host=host, port=port),
            record=self.events.append,
            clock=lambda: self.now,
            holder=holder,
        )
        return Courier(self.queue, ports)

    def _instances(self, _: PatientKey, uids: Iterable[str]) -> tuple[Receipt, ...]:
        return tuple(self.receipts[uid] for uid in uids if uid in self.receipts)

    def add(self, **values: Any) -> str:
        told: dict[str, Any] = {"id": "0a0b0c0d0e0f", "account": "US", "asked_at": NOW, "aet": "TPS", "host": "h"}
        told |= {"port": 104, "patient": key_of(), "waiting": self.uids, "until": NOW + timedelta(days=7)}
        send = QueuedSend(**{**told, **values})
        self.queue.add(send)
        return send.id

    def turn(self) -> QueuedSend:
        self.courier().turn(self.stop)
        found = self.queue.find("0a0b0c0d0e0f")
        assert found is not None
        return found.send


@pytest.fixture
def desk(tmp_path: Path) -> _Desk:
    return _Desk(tmp_path)


def test_turn_when_the_peer_takes_all_then_the_send_is_done_and_journalled(desk: _Desk) -> None:
    desk.add()
    send = desk.turn()
    assert (send.state, send.stored, send.waiting) == ("done", 4, ())
    assert desk.peer.given == list(desk.uids)
    assert [(one.act, one.account, one.outcome, one.subject["stored"]) for one in desk.events] == [
        ("send", "US", "done", 4)
    ]


def test_turn_when_the_peer_is_away_then_it_is_tried_again_after_longer_and_longer_pauses(desk: _Desk) -> None:
    desk.add()
    desk.peer.is_away = True
    pauses = []
    for _ in range(9):
        send = desk.turn()
        assert send.next_at is not None
        pauses.append(int((send.next_at - desk.now).total_seconds() // 60))
        assert desk.turn() == send  # not due yet
        desk.now = send.next_at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert "does not answer" in send.reason
    desk.peer.is_away = False
    assert desk.turn().state == "done"


def test_turn_when_some_are_not_taken_now_then_only_those_are_sent_again(desk: _Desk) -> None:
    _, second, third, fourth = desk.uids
    desk.add()
    desk.peer.answers = {
        second: {"status": 0xA700, "reason": "full", "is_passing": True},
        third: {"status": 0xC000, "reason": "not understood"},
        fourth: {"status": 0xB000},
    }
    send = desk.turn()
    assert (send.state, send.waiting, send.stored) == ("waiting", (second,), 2)
    assert [(one.uid, one.status) for one in send.refused] == [(third, 0xC000)]
    desk.peer.answers, desk.peer.given, desk.now = {}, [], desk.now + timedelta(hours=1)
    send = desk.turn()
    assert desk.peer.given == [second]
    assert (send.state, send.stored, len(send.refused)) == ("refused", 3, 1)


def test_turn_when_time_is_over_then_it_is_given_up_and_stays_until_somebody_cancels_it(desk: _Desk) -> None:
    desk.add(until=NOW + timedelta(hours=1))
    desk.peer.is_away = True
    desk.now = NOW + timedelta(hours=2)
    assert desk.turn().state == "given-up"
    assert desk.events[-1].outcome == "given-up"
    desk.now += 10 * KEPT
    assert desk.turn().state == "given-up"
    cancelled = desk.queue.cancel("0a0b0c0d0e0f", desk.now)
    assert cancelled is not None
    assert cancelled.state == "cancelled"


def test_turn_when_a_send_ended_long_ago_then_it_is_forgotten(desk: _Desk) -> None:
    desk.add()
    desk.turn()
    desk.now += KEPT
    desk.courier().turn(desk.stop)
    assert desk.queue.find("0a0b0c0d0e0f") is None


def test_turn_when_it_is_cancelled_meanwhile_then_it_stops_and_stays_cancelled(desk: _Desk) -> None:
    desk.add()

    def cancel() -> None:
        desk.queue.cancel("0a0b0c0d0e0f", desk.now)
        desk.now += timedelta(seconds=6)

    desk.peer.meanwhile = cancel
    send = desk.turn()
    assert send.state == "cancelled"
    assert desk.peer.given == [desk.uids[0]]
    assert desk.events[-1].outcome == "cancelled"


def test_turn_when_the_node_stops_then_what_is_left_waits_and_is_free_for_others(desk: _Desk) -> None:
    desk.add()
    desk.peer.meanwhile = desk.stop.set
    send = desk.turn()
    assert (send.state, send.waiting, send.holder) == ("waiting", desk.uids[1:], "")
    desk.stop.clear()
    desk.peer = _Peer()
    assert desk.turn().state == "done"
    assert desk.peer.given == list(desk.uids[1:])


def test_turn_when_another_process_works_on_it_then_it_is_left_alone_until_its_claim_is_over(desk: _Desk) -> None:
    desk.add(holder="n2-9", held_until=NOW + CLAIM)
    assert desk.turn().state == "waiting"
    assert desk.peer.given == []
    desk.now = NOW + CLAIM
    assert desk.turn().state == "done"


def test_turn_when_two_couriers_look_at_once_then_one_sends_it(desk: _Desk) -> None:
    desk.add()
    both = [desk.courier("n1-1"), desk.courier("n1-2")]
    desk.peer.meanwhile = lambda: (both[1].turn(desk.stop), None)[1]
    both[0].turn(desk.stop)
    assert desk.peer.given == list(desk.uids)


def test_turn_when_an_instance_is_gone_then_it_is_refused_and_the_rest_is_sent(desk: _Desk) -> None:
    desk.add()
    del desk.receipts[desk.uids[0]]
    send = desk.turn()
    assert (send.state, send.stored, send.refused[0].uid) == ("refused", 3, desk.uids[0])


def test_save_when_somebody_was_quicker_then_nothing_is_written(desk: _Desk) -> None:
    desk.add()
    found = desk.queue.find("0a0b0c0d0e0f")
    assert found is not None
    assert desk.queue.save(found, replace(found.send, stored=1)) is not None
    assert desk.queue.save(found, replace(found.send, stored=2)) is None


def test_run_when_stopped_then_it_ends(desk: _Desk) -> None:
    desk.add()
    thread = threading.Thread(target=desk.courier().run, args=(desk.stop,))
    thread.start()
    desk.stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
