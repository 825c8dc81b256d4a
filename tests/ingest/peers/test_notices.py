"""Notices: a flood at the door is a few entries in the journal, and whatever ails the journal, the node goes on."""

import threading

from archive.journal.journal import Event
from ingest.peers.identity import readable
from ingest.peers.notices import Notices


def test_notices_when_a_thousand_are_equal_then_one_is_recorded_with_their_count() -> None:
    recorded: list[Event] = []
    notices = Notices(recorded.append)
    for _ in range(1000):
        notices.tell("refuse", account="A", outcome="refused", subject={"reason": "X"})
    notices.flush()

    assert recorded == [
        Event(act="refuse", account="A", outcome="refused", subject={"reason": "X", "count": 1000}),
    ]


def test_notices_when_all_are_different_then_the_rest_is_only_counted() -> None:
    recorded: list[Event] = []
    notices = Notices(recorded.append)
    for number in range(5000):
        notices.tell("refuse", account=f"A{number}", outcome="refused", subject={})
    notices.flush()

    assert len(recorded) == 101
    assert recorded[-1].subject == {"others": True, "count": 4900}


def test_notices_when_a_while_has_passed_then_they_are_recorded_without_being_asked() -> None:
    told = threading.Event()
    notices = Notices(lambda _: told.set(), batch_s=0.01)
    notices.tell("refuse", account="A", outcome="refused", subject={})

    assert told.wait(10)
    notices.flush()


def test_notices_when_the_journal_fails_then_nothing_is_raised_and_the_next_are_tried() -> None:
    recorded: list[Event] = []

    def record(event: Event) -> None:
        if event.account == "A":
            raise OSError("no disk")
        recorded.append(event)

    notices = Notices(record)
    notices.tell("refuse", account="A", outcome="refused", subject={})
    notices.tell("refuse", account="B", outcome="refused", subject={})
    notices.flush()

    assert [event.account for event in recorded] == ["B"]


def test_readable_when_a_stranger_sends_anything_then_it_can_stand_in_a_log() -> None:
    assert readable(b"mei ") == "mei"
    assert readable("王".encode()) == "王"
    assert readable(b"a\n\x1b[31mb\xff") == "a\ufffd\ufffd[31mb\ufffd"
    assert len(readable(b"x" * 10_000)) == 200
    assert readable(None) == ""
