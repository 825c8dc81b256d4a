"""The journal is a chain in which nothing can be changed, dropped or put in between unseen."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archive.errors import ChainBroken, FormatTooNew
from archive.journal import journal as module
from archive.journal.chain import link
from archive.journal.journal import Event, Journal
from archive.signing.signing import SigningKey, canonical
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests.archive.stores import PowerCut, clock, dying, overwrite, signing_key


class Site:
    """Two stores and as many nodes as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locked = FilesystemStore(folder / "locked")
        self.site = FilesystemStore(folder / "site")

    def journal(
        self,
        node: str = "n1",
        *,
        outbox: str = "",
        locked: ObjectStore | None = None,
        site: ObjectStore | None = None,
        key: SigningKey | None = None,
        until: datetime | None = None,
    ) -> Journal:
        return Journal(
            locked=locked or self.locked,
            site=site or self.site,
            node=node,
            outbox=self.folder / f"{outbox or node}.db",
            key=key or signing_key(self.folder, node),
            clock=clock,
            retain=lambda: until,
        )

    def segments(self, node: str = "n1") -> list[str]:
        return [stat.key for stat in self.locked.list(f"journal/{node}/")]

    def lines(self, key: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.locked.read_bytes(key).splitlines()]

    def write(self, key: str, lines: list[dict[str, Any]]) -> None:
        overwrite(self.locked, key, b"".join(canonical(line) + b"\n" for line in lines))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def fill(journal: Journal, segments: int = 3, events: int = 4) -> None:
    for segment in range(segments):
        for event in range(events):
            journal.append(Event(act="view", account="ada", subject={"segment": segment, "event": event, "名": "样"}))
        journal.flush()


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


def change_a_value(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    lines[2]["account"] = "eve"
    site.write(key, lines)


def change_and_rehash_the_line(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    entry = {**lines[2], "account": "eve"}
    entry.pop("hash")
    lines[2] = {**entry, "hash": link(lines[1]["hash"], entry)}
    site.write(key, lines)


def drop_a_line(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    site.write(key, [*lines[:2], *lines[3:]])


def drop_the_last_line_of_a_segment(site: Site) -> None:
    key = site.segments()[1]
    site.write(key, site.lines(key)[:-1])


def drop_the_last_line_of_all(site: Site) -> None:
    key = site.segments()[-1]
    site.write(key, site.lines(key)[:-1])


def insert_a_line(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    site.write(key, [*lines[:2], lines[1], *lines[2:]])


def append_a_line(site: Site) -> None:
    key = site.segments()[-1]
    lines = site.lines(key)
    entry = {**lines[-1], "account": "eve"}
    entry.pop("hash")
    site.write(key, [*lines, {**entry, "hash": link(lines[-1]["hash"], entry)}])


def reorder_lines(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    lines[1], lines[2] = lines[2], lines[1]
    site.write(key, lines)


def exchange_segments(site: Site) -> None:
    first, second, _ = site.segments()
    one, two = site.lines(first), site.lines(second)
    site.write(first, two)
    site.write(second, one)


def remove_the_last_segment(site: Site) -> None:
    (site.locked.root / site.segments()[-1]).unlink()


def remove_a_segment_in_between(site: Site) -> None:
    (site.locked.root / site.segments()[1]).unlink()


def remove_all_segments(site: Site) -> None:
    for key in site.segments():
        (site.locked.root / key).unlink()


def remove_the_tail_and_the_head(site: Site) -> None:
    remove_the_last_segment(site)
    (site.site.root / "site/journal/n1.json").unlink()


def rewrite_everything_after_a_change(site: Site) -> None:
    """Change one event and compute every hash after it anew, as somebody who knows the format could."""
    end = "0" * 64
    for key in site.segments():
        lines = []
        for line in site.lines(key):
            entry = {**line, "account": "eve"} if line.get("account") else dict(line)
            entry.pop("hash")
            if "previous" in entry:
                entry["previous"] = end
            end = link(end, entry)
            lines.append({**entry, "hash": end})
        site.write(key, lines)


def break_a_line(site: Site) -> None:
    overwrite(site.locked, site.segments()[1], b"\xff{\n")


def empty_a_segment(site: Site) -> None:
    overwrite(site.locked, site.segments()[1], b"")


def put_a_list_in_place_of_an_entry(site: Site) -> None:
    key = site.segments()[1]
    overwrite(site.locked, key, site.locked.read_bytes(key) + b"[]\n")


def head(site: Site, key: SigningKey | None = None, **values: object) -> None:
    """Put another head in place; signed anew if a key is given."""
    name = "site/journal/n1.json"
    body = {**json.loads(site.site.read_bytes(name)), **values}
    if key:
        body = {one: value for one, value in body.items() if one not in {"signature", "public_key"}}
        body = {**body, "signature": key.sign(body), "public_key": key.public_key}
    overwrite(site.site, name, canonical(body))


def change_the_head(site: Site) -> None:
    head(site, hash="0" * 64)


def sign_the_head_with_a_strange_key(site: Site) -> None:
    remove_the_last_segment(site)
    last = site.lines(site.segments()[-1])[-1]["hash"]
    head(site, signing_key(site.folder, "stranger"), sequence=2, hash=last)


def sign_the_head_with_the_key_of_another_node(site: Site) -> None:
    other = site.journal("n2")
    fill(other, segments=1)
    remove_the_last_segment(site)
    last = site.lines(site.segments()[-1])[-1]["hash"]
    head(site, signing_key(site.folder, "n2"), sequence=2, hash=last)


def take_the_signature_off_the_head(site: Site) -> None:
    head(site, signature=None)


def put_a_broken_head(site: Site) -> None:
    overwrite(site.site, "site/journal/n1.json", b"{")


def put_the_head_under_another_name(site: Site) -> None:
    path = site.site.root / "site/journal/n1.json"
    path.rename(path.with_name("n7.json"))


TAMPERING: list[Callable[[Site], None]] = [
    change_a_value,
    change_and_rehash_the_line,
    drop_a_line,
    drop_the_last_line_of_a_segment,
    drop_the_last_line_of_all,
    insert_a_line,
    append_a_line,
    reorder_lines,
    exchange_segments,
    remove_the_last_segment,
    remove_a_segment_in_between,
    remove_all_segments,
    remove_the_tail_and_the_head,
    rewrite_everything_after_a_change,
    break_a_line,
    empty_a_segment,
    put_a_list_in_place_of_an_entry,
    change_the_head,
    sign_the_head_with_a_strange_key,
    sign_the_head_with_the_key_of_another_node,
    take_the_signature_off_the_head,
    put_a_broken_head,
    put_the_head_under_another_name,
]


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
def test_verify_after_tampering_then_the_chain_is_broken(site: Site, tamper: Callable[[Site], None]) -> None:
    fill(site.journal())

    tamper(site)

    with pytest.raises(ChainBroken):
        site.journal().verify()


def test_verify_when_a_tail_and_its_head_are_rolled_back_then_another_node_has_seen_more(site: Site) -> None:
    fill(site.journal(), segments=2)
    before = site.site.read_bytes("site/journal/n1.json")
    fill(site.journal(), segments=1)
    fill(site.journal("n2"), segments=1)

    remove_the_last_segment(site)
    overwrite(site.site, "site/journal/n1.json", before)

    with pytest.raises(ChainBroken, match="lacks what node 'n2' has seen"):
        site.journal().verify()


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
    workers = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[2]) for name in ("ada", "bob")]

    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]

    journal = site.journal()
    journal.flush()
    assert journal.verify() == 80
    for name in ("ada", "bob"):
        assert [one["subject"]["n"] for one in journal.events() if one["account"] == name] == list(range(40))
