"""The journal is a chain in which nothing can be changed, dropped or put in between unseen."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archive.errors import FormatTooNew
from archive.journal import journal as module
from archive.journal.journal import Event
from storage.base import ObjectStore
from tests.archive.journal.site import Site, fill
from tests.archive.stores import PowerCut, clock, dying


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_journal_when_flushed_then_events_stand_in_order_and_the_chain_holds(site: Site) -> None:
    journal = site.journal()

    fill(journal)

    assert journal.verify() == 12
    events = list(journal.events())
    assert [(one["subject"]["segment"], one["subject"]["event"]) for one in events] == [
        (segment, event) for segment in range(3) for event in range(4)
    ]
    assert events[0]["node"] == "n1"
    assert events[0]["at"] == clock().isoformat()
    assert journal.heads()["n1"]["sequence"] == 3


def test_journal_when_a_term_is_set_then_every_segment_is_locked_until_its_end(site: Site) -> None:
    until = datetime(2056, 1, 1, tzinfo=UTC)
    fill(site.journal(until=until), segments=2)

    kept = [site.locked.retention(stat.version) for stat in site.locked.list("journal/n1/")]

    assert kept == [until, until]


def test_journal_when_nothing_waits_then_flush_writes_no_segment(site: Site) -> None:
    journal = site.journal()
    fill(journal, segments=1)

    assert journal.flush() == 0
    assert len(site.segments()) == 1


def test_journal_of_a_new_site_then_it_verifies(site: Site) -> None:
    assert site.journal().verify() == 0


def test_journal_when_many_events_wait_then_segments_stay_within_their_size(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_EVENTS", 5)
    journal = site.journal()
    for number in range(12):
        journal.append(Event(act="view", account="ada", subject={"n": number}))

    assert journal.flush() == 12
    assert [len(site.lines(key)) - 1 for key in site.segments()] == [5, 5, 2]
    assert journal.verify() == 12


def test_journal_when_not_flushed_then_another_process_finds_the_events(site: Site) -> None:
    site.journal().append(Event(act="view", account="ada"))

    assert site.journal().flush() == 1


def test_journal_of_two_nodes_then_each_names_the_head_of_the_other(site: Site) -> None:
    one, two = site.journal("n1"), site.journal("n2")
    fill(one, segments=1)
    fill(two, segments=1)

    assert one.verify() == 8
    (segment,) = site.segments("n2")
    assert site.lines(segment)[0]["heads"] == {"n1": one.heads()["n1"]["hash"]}


def test_journal_when_a_node_is_called_like_the_beginning_of_another_then_they_stay_apart(site: Site) -> None:
    fill(site.journal("n1"), segments=1)
    fill(site.journal("n1-b"), segments=2)
    fill(site.journal("n1"), segments=1)

    assert len(site.segments("n1")) == 2
    assert site.journal().verify() == 16


def test_verify_when_a_newer_version_wrote_then_it_says_so(site: Site) -> None:
    fill(site.journal(), segments=1)
    (key,) = site.segments()
    lines = site.lines(key)
    lines[0]["format"] = "lastgate/journal/2"
    site.write(key, lines)

    with pytest.raises(FormatTooNew):
        site.journal().verify()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("store", ["locked", "site"])
def test_flush_when_the_process_dies_then_the_next_one_ends_it_without_loss_or_doubles(
    site: Site, store: str, after: bool
) -> None:
    fill(site.journal(), segments=1)
    site.journal().append(Event(act="view", account="ada", subject={"n": 1}))
    whole: dict[str, ObjectStore] = {"locked": site.locked, "site": site.site}
    cut = {**whole, store: dying(whole[store], at=0, after=after)}

    with pytest.raises(PowerCut):
        site.journal(locked=cut["locked"], site=cut["site"]).flush()

    again = site.journal()
    assert again.verify() in {4, 5}, "a crash is no tampering"
    again.flush()
    assert again.verify() == 5
    assert again.heads()["n1"]["sequence"] == 2


def test_flush_when_the_very_first_head_was_not_signed_then_it_is_mended(site: Site) -> None:
    site.journal().append(Event(act="view", account="ada"))
    with pytest.raises(PowerCut):  # the first write to the site is the public key, the second the head
        site.journal(site=dying(site.site, at=1, after=False)).flush()

    assert site.journal().verify() == 1
    site.journal().flush()

    assert site.journal().heads()["n1"]["sequence"] == 1


def test_flush_when_the_outbox_was_lost_then_the_chain_goes_on_in_a_new_epoch(site: Site) -> None:
    fill(site.journal(), segments=2)

    fill(site.journal(outbox="new-disk"), segments=2)

    assert [key.split("/")[2] for key in site.segments()] == ["0001", "0001", "0002", "0002"]
    assert site.journal(outbox="new-disk").verify() == 16
    assert site.journal().heads()["n1"]["sequence"] == 4


def test_flush_when_the_outbox_was_lost_between_a_segment_and_its_head_then_nothing_is_chained_twice(
    site: Site,
) -> None:
    fill(site.journal(), segments=1)
    site.journal().append(Event(act="view", account="ada"))
    with pytest.raises(PowerCut):
        site.journal(site=dying(site.site, at=0, after=False)).flush()

    fill(site.journal(outbox="new-disk"), segments=1, events=1)

    assert site.journal().verify() == 6
    assert [key.split("/")[2] for key in site.segments()] == ["0001", "0001", "0002"]


_APPEND = """
import sys
from pathlib import Path
from archive.journal.journal import Event
from tests.archive.journal.test_journal import Site
journal = Site(Path(sys.argv[1])).journal()
for number in range(40):
    journal.append(Event(act="view", account=sys.argv[2], subject={"n": number}))
    if number % 10 == 9:
        journal.flush()
"""


def test_append_from_two_processes_then_every_event_is_there_once_and_in_its_order(site: Site) -> None:
    command = [sys.executable, "-W", "error", "-c", _APPEND, str(site.folder)]
    workers = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[3]) for name in ("ada", "bob")]

    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]

    journal = site.journal()
    journal.flush()
    assert journal.verify() == 80
    for name in ("ada", "bob"):
        assert [one["subject"]["n"] for one in journal.events() if one["account"] == name] == list(range(40))
