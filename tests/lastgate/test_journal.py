"""`lastgate journal`: shows, proves and exports who did what, and is itself journalled."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from archive.journal.journal import Event
from lastgate.reception import keep_chained
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import open_house
from storage.filesystem import FilesystemStore
from tests.archive.stores import overwrite
from tests.lastgate.program import environment, lastgate


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An archive in which five things were done."""
    with open_house(Settings(home=tmp_path / "home", node=NodeSettings(port=0))) as house:
        for number in range(5):
            house.journal.append(Event(act="view", account="mei", subject={"dossier": "abc", "number": number}))
    return tmp_path / "home"


def journal(home: Path, *arguments: object, **settings: str) -> Any:
    return lastgate("journal", *arguments, env=environment(home, **settings))


def _segment(home: Path) -> Path:
    return home / "archive" / "journal" / "node1" / "0001" / "00000001.jsonl"


def test_journal_when_it_is_read_then_that_stands_in_it_too(home: Path) -> None:
    assert lastgate("account", "add", "adam", "--role", "administrator", env=environment(home)).code == 0

    journal(home, "--json")
    journal(home, "--verify", "--as", "adam")
    read = journal(home, "--json").json["events"]

    assert [(event["act"], event["account"], event["subject"]) for event in read[5:]] == [
        ("view-journal", "node1", {"events": 5}),
        ("view-journal", "adam", {"events": 6, "verified": True}),
    ]


def test_journal_when_verified_then_it_is_whole_to_the_last_event(home: Path) -> None:
    told = journal(home, "--verify", "--json").json

    assert (told["verified"], told["problems"], told["notes"]) == (5, [], [])
    assert "The chain is whole: 6 events, signed to the end." in journal(home, "--verify").words


def test_journal_when_it_was_tampered_with_then_every_place_is_named_and_the_code_is_1(home: Path) -> None:
    path = _segment(home)
    body = path.read_bytes().replace(b'"number":1', b'"number":7').replace(b'"number":3', b'"number":8')
    overwrite(FilesystemStore(home / "archive"), path.relative_to(home / "archive").as_posix(), body)

    told = journal(home, "--verify", "--json")
    printed = journal(home, "--verify")

    assert (told.code, printed.code) == (1, 1)
    assert [(one["kind"], one["line"]) for one in told.json["problems"]] == [("line-changed", 3), ("line-changed", 5)]
    assert all(one["segment"] == "journal/node1/0001/00000001.jsonl" for one in told.json["problems"])
    assert (told.json["verified"], told.json["events"]) == (None, [])
    for word in ("line 3, is not what was written", "line 5, is not", "LG-ARC-007", "Change nothing."):
        assert word in printed.words
    assert journal(home).code == 0


@pytest.mark.parametrize("kind", ["dicom", "fhir"])
def test_journal_when_exported_then_each_event_is_a_line(home: Path, tmp_path: Path, kind: str) -> None:
    told = journal(home, "--format", kind, "-o", tmp_path / "out")

    lines = (tmp_path / "out").read_text("utf-8").splitlines()
    assert (told.code, len(lines)) == (0, 5)
    assert "Wrote 5 events" in told.out
    assert all(
        line.startswith("<AuditMessage>" if kind == "dicom" else '{"resourceType":"AuditEvent"') for line in lines
    )
    last = journal(home, "--json").json["events"][-1]
    assert (last["act"], last["subject"]) == ("view-journal", {"events": 5, "format": kind})


def test_journal_when_days_are_named_then_only_their_events_come(home: Path) -> None:
    today = datetime.now(UTC).date()

    assert len(journal(home, "--json", "--from", today, "--to", today).json["events"]) >= 5
    assert journal(home, "--json", "--to", "2020-01-01").json["events"] == []
    assert journal(home, "--json", "--from", "2999-01-01").json["events"] == []


@pytest.mark.parametrize(
    "arguments", [("--format", "fhir"), ("-o", "x"), ("--from", "soon"), ("--format", "hl7", "-o", "x")]
)
def test_journal_when_an_option_is_wrong_then_the_code_is_2(home: Path, arguments: tuple[str, ...]) -> None:
    assert journal(home, *arguments).code == 2


def test_serve_when_a_minute_is_over_then_what_waits_is_chained_and_signed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, chained = threading.Event(), Queue[int]()
    monkeypatch.setattr("lastgate.reception._CHAINED_EVERY_S", 0.05)
    with open_house(Settings(home=home, node=NodeSettings(port=0))) as house:
        flush = house.journal.flush
        monkeypatch.setattr(house.journal, "flush", lambda: chained.put(flush()))
        thread = threading.Thread(target=keep_chained, args=(house, stop))
        thread.start()
        house.journal.append(Event(act="view", account="mei"))
        counts = [chained.get(timeout=20)]
        while sum(counts) < 1:
            counts.append(chained.get(timeout=20))
        stop.set()
        thread.join(timeout=20)
        head = json.loads(house.stores.work.read_bytes("site/journal/node1.json"))
        monkeypatch.undo()

    assert sum(counts) >= 1
    assert head["sequence"] >= 2
    assert not thread.is_alive()
