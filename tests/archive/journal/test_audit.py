"""Whatever is done to a journal is found, and named: which segment, which line."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from archive.errors import ChainBroken
from archive.journal.audit import Audit, Witness
from archive.journal.chain import START, link
from archive.journal.journal import Event
from archive.journal.problems import Problem
from archive.signing.keys import KeyRing
from archive.signing.signing import SigningKey, canonical
from tests.archive.journal.site import Site, fill
from tests.archive.stores import NOW, overwrite, signing_key

HEAD: Final = "site/journal/n1.json"
Told = set[tuple[str, int, int | None]]
"""Kind of problem, number of the segment (0 where none is meant), line."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def told(audit: Audit) -> Told:
    return {(one.kind, _number(one), one.line) for one in audit.problems}


def _number(problem: Problem) -> int:
    number = problem.segment.rpartition("/")[2].removesuffix(".jsonl")
    return int(number) if number.isdigit() else 0


def change_a_value(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    lines[2]["account"] = "eve"
    site.write(key, lines)


def change_a_byte(site: Site) -> None:
    key = site.segments()[1]
    overwrite(site.locked, key, site.locked.read_bytes(key).replace(b'"ada"', b'"adb"', 1))


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


def drop_the_first_line(site: Site) -> None:
    key = site.segments()[1]
    site.write(key, site.lines(key)[1:])


def drop_the_last_line_of_a_segment(site: Site) -> None:
    key = site.segments()[1]
    site.write(key, site.lines(key)[:-1])


def drop_the_last_line_of_all(site: Site) -> None:
    key = site.segments()[-1]
    site.write(key, site.lines(key)[:-1])


def repeat_a_line(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    site.write(key, [*lines[:2], lines[1], *lines[2:]])


def insert_a_line(site: Site) -> None:
    key = site.segments()[1]
    lines = site.lines(key)
    entry = {**lines[2], "account": "eve"}
    entry.pop("hash")
    site.write(key, [*lines[:3], {**entry, "hash": link(lines[2]["hash"], entry)}, *lines[3:]])


def append_a_line(site: Site) -> None:
    key = site.segments()[-1]
    lines = site.lines(key)
    entry = {**lines[-1], "account": "eve"}
    entry.pop("hash")
    site.write(key, [*lines, {**entry, "hash": link(lines[-1]["hash"], entry)}])


def swap_lines(site: Site) -> None:
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


def remove_the_first_segment(site: Site) -> None:
    (site.locked.root / site.segments()[0]).unlink()


def remove_all_segments(site: Site) -> None:
    for key in site.segments():
        (site.locked.root / key).unlink()


def cut_a_segment_in_mid_line(site: Site) -> None:
    key = site.segments()[1]
    overwrite(site.locked, key, site.locked.read_bytes(key)[:-30])


def cut_the_last_segment_in_mid_line(site: Site) -> None:
    key = site.segments()[-1]
    overwrite(site.locked, key, site.locked.read_bytes(key)[:-30])


def remove_the_head(site: Site) -> None:
    (site.site.root / HEAD).unlink()


def remove_the_tail_and_the_head(site: Site) -> None:
    remove_the_last_segment(site)
    remove_the_head(site)


def break_a_line(site: Site) -> None:
    overwrite(site.locked, site.segments()[1], b"\xff{\n")


def empty_a_segment(site: Site) -> None:
    overwrite(site.locked, site.segments()[1], b"")


def put_a_list_in_place_of_an_entry(site: Site) -> None:
    key = site.segments()[1]
    overwrite(site.locked, key, site.locked.read_bytes(key) + b"[]\n")


def put_a_strange_file_among_the_segments(site: Site) -> None:
    path = site.locked.root / "journal" / "n1" / "notes.txt"
    path.write_bytes(b"x")


def damage_two_segments(site: Site) -> None:
    change_a_value(site)
    cut_the_last_segment_in_mid_line(site)


def head(site: Site, key: SigningKey | None = None, **values: object) -> None:
    """Put another head in place; signed anew if a key is given."""
    body = {**json.loads(site.site.read_bytes(HEAD)), **values}
    if key:
        body = {one: value for one, value in body.items() if one not in {"signature", "public_key"}}
        body = {**body, "signature": key.sign(body), "public_key": key.public_key}
    overwrite(site.site, HEAD, canonical(body))


def change_the_head(site: Site) -> None:
    head(site, hash="0" * 64)


def sign_the_head_with_a_strange_key(site: Site) -> None:
    head(site, signing_key(site.folder, "stranger"))


def sign_the_head_with_the_key_of_another_node(site: Site) -> None:
    fill(site.journal("n2"), segments=1)
    head(site, signing_key(site.folder, "n2"))


def sign_the_head_for_another_end(site: Site) -> None:
    head(site, signing_key(site.folder, "n1"), hash="0" * 64)


def revoke_the_key_of_the_head(site: Site) -> None:
    fill(site.journal("n2"), segments=1)
    name = signing_key(site.folder, "n1").id
    stolen = NOW - timedelta(hours=1)
    by = signing_key(site.folder, "n2")
    KeyRing(site.site).revoke(name, since=stolen, reason="stolen", by=by, account="adam", made_at=NOW)


def take_the_signature_off_the_head(site: Site) -> None:
    head(site, signature=None)


def put_a_broken_head(site: Site) -> None:
    overwrite(site.site, HEAD, b"{")


def put_the_head_under_another_name(site: Site) -> None:
    path = site.site.root / HEAD
    path.rename(path.with_name("n7.json"))


def put_back_an_older_head(site: Site) -> None:
    """Put the head of the first segment back, as a restored backup of the site's small documents would."""
    body = json.loads(site.site.read_bytes(HEAD))
    end = site.lines(site.segments()[0])[-1]["hash"]
    head(site, signing_key(site.folder, "n1"), sequence=1, hash=end, at=body["at"])


def rewrite(site: Site) -> str:
    """Change events and compute every hash after them anew, as somebody who knows the format could."""
    end = START
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
    return end


def rewrite_everything(site: Site) -> None:
    rewrite(site)


def rewrite_everything_and_sign_with_a_strange_key(site: Site) -> None:
    head(site, signing_key(site.folder, "stranger"), hash=rewrite(site))


def rewrite_everything_and_make_the_strange_key_known(site: Site) -> None:
    stranger = signing_key(site.folder, "stranger")
    KeyRing(site.site).publish(stranger, node="n1", at=NOW)
    head(site, stranger, hash=rewrite(site))


_REWRITTEN: Final[Told] = {("contradicted", 0, None)}
TAMPERING: Final[list[tuple[Callable[[Site], None], Told]]] = [
    (change_a_value, {("line-changed", 2, 3)}),
    (change_a_byte, {("line-changed", 2, 2)}),
    (change_and_rehash_the_line, {("line-changed", 2, 4)}),
    (drop_a_line, {("line-missing", 2, 3)}),
    (drop_the_first_line, {("line-changed", 2, 1), ("segment-foreign", 2, 1)}),
    (drop_the_last_line_of_a_segment, {("line-missing", 2, 4)}),
    (drop_the_last_line_of_all, {("line-missing", 3, 4), *_REWRITTEN}),
    (repeat_a_line, {("line-inserted", 2, 2)}),
    (insert_a_line, {("line-inserted", 2, 4)}),
    (append_a_line, {("line-inserted", 3, 6), *_REWRITTEN}),
    (swap_lines, {("order-changed", 2, 2)}),
    (exchange_segments, {("segment-foreign", 1, 1), ("segment-foreign", 2, 1), ("segment-link", 1, 1)}),
    (remove_the_last_segment, {("segment-missing", 0, None), *_REWRITTEN}),
    (remove_a_segment_in_between, {("segment-missing", 0, None)}),
    (remove_the_first_segment, {("segment-missing", 0, None)}),
    (remove_all_segments, {("segment-missing", 0, None), *_REWRITTEN}),
    (cut_a_segment_in_mid_line, {("segment-cut", 2, 5)}),
    (cut_the_last_segment_in_mid_line, {("segment-cut", 3, 5), *_REWRITTEN}),
    (remove_the_head, {("head-missing", 0, None)}),
    (remove_the_tail_and_the_head, {("head-missing", 0, None), *_REWRITTEN}),
    (break_a_line, {("line-changed", 2, 1)}),
    (empty_a_segment, {("segment-cut", 2, None)}),
    (put_a_list_in_place_of_an_entry, {("line-changed", 2, 6)}),
    (put_a_strange_file_among_the_segments, {("segment-foreign", 0, None)}),
    (damage_two_segments, {("line-changed", 2, 3), ("segment-cut", 3, 5), *_REWRITTEN}),
    (change_the_head, {("head-changed", 0, None)}),
    (sign_the_head_with_a_strange_key, {("head-foreign", 0, None)}),
    (sign_the_head_with_the_key_of_another_node, {("head-foreign", 0, None)}),
    (sign_the_head_for_another_end, {("tail-changed", 0, None)}),
    (revoke_the_key_of_the_head, {("head-foreign", 0, None)}),
    (take_the_signature_off_the_head, {("head-changed", 0, None)}),
    (put_a_broken_head, {("head-changed", 0, None), ("head-missing", 0, None)}),
    (put_the_head_under_another_name, {("head-changed", 0, None), ("head-missing", 0, None)}),
    (put_back_an_older_head, {("head-outdated", 0, None)}),
    (rewrite_everything, {("tail-changed", 0, None), *_REWRITTEN}),
    (rewrite_everything_and_sign_with_a_strange_key, {("head-foreign", 0, None), *_REWRITTEN}),
    (rewrite_everything_and_make_the_strange_key_known, _REWRITTEN),
]


@pytest.mark.parametrize(("tamper", "expected"), [pytest.param(*case, id=case[0].__name__) for case in TAMPERING])
def test_audit_after_tampering_then_every_place_is_named(
    site: Site, tamper: Callable[[Site], None], expected: Told
) -> None:
    fill(site.journal())
    assert site.journal().audit().is_whole

    tamper(site)
    found = site.journal().audit()

    assert told(found) == expected
    assert {problem.node for problem in found.problems} <= {"n1", "n7"}
    assert all(problem.advice and problem.message for problem in found.problems)
    with pytest.raises(ChainBroken):
        site.journal().verify()


def test_audit_when_a_tail_and_its_head_are_rolled_back_then_another_node_has_seen_more(site: Site) -> None:
    fill(site.journal(), segments=2)
    before = site.site.read_bytes(HEAD)
    fill(site.journal(), segments=1)
    fill(site.journal("n2"), segments=1)

    remove_the_last_segment(site)
    overwrite(site.site, HEAD, before)
    (lacking,) = site.journal("n3").audit().problems

    assert lacking.kind == "contradicted"
    assert lacking.message == "The journal of node 'n1' lacks what journal/n2/0001/00000001.jsonl names of it"


def test_audit_when_an_old_backup_of_the_store_came_back_then_the_node_itself_remembers_and_goes_on_saying_so(
    site: Site, tmp_path: Path
) -> None:
    fill(site.journal(), segments=2)
    shutil.copytree(site.locked.root, tmp_path / "backup-locked", symlinks=True)
    shutil.copytree(site.site.root, tmp_path / "backup-site", symlinks=True)
    fill(site.journal(), segments=2)
    for name, store in (("locked", site.locked), ("site", site.site)):
        shutil.rmtree(store.root)
        shutil.copytree(tmp_path / f"backup-{name}", store.root, symlinks=True)

    (lost,) = site.journal().audit().problems
    fill(site.journal(), segments=2)
    (still,) = site.journal().audit().problems

    assert lost.message == still.message
    assert lost.message == "The journal of node 'n1' lacks what node n1 itself remembers on its own disk of it"
    assert site.journal("n2").audit().is_whole


def test_audit_when_a_seal_names_a_head_that_is_gone_then_the_seal_is_named(site: Site) -> None:
    fill(site.journal(), segments=3)
    ends = [site.lines(key)[-1]["hash"] for key in site.segments()]
    seals = [Witness(kind="seal", name=f"ABC v{n}", node="n1", hash=end) for n, end in enumerate(ends, 1)]
    assert site.journal().audit(seals).is_whole

    for key in site.segments()[1:]:
        (site.locked.root / key).unlink()
    remove_the_head(site)
    (lacking,) = site.journal("n3").audit(seals).problems

    assert lacking.message == "The journal of node 'n1' lacks what the seal of ABC v2 names of it (and 1 more)"


def test_audit_when_the_clock_was_set_back_then_the_chain_holds_and_a_note_tells(site: Site) -> None:
    fill(site.journal(), segments=1)
    early = site.journal(now=lambda: NOW - timedelta(days=400))
    early.append(Event(act="view", account="ada"))
    early.append(Event(act="view", account="ada"))
    early.flush()
    late = site.journal(now=lambda: NOW - timedelta(days=401))
    for moment in (NOW, NOW - timedelta(days=1)):
        site.journal(now=lambda moment=moment: moment).append(Event(act="view", account="ada"))  # type: ignore[misc]
    late.flush()

    found = site.journal().audit()

    assert found.is_whole
    assert [(note.kind, note.segment[-10:], note.line) for note in found.notes] == [
        ("clock-back", "0002.jsonl", 2),
        ("clock-back", "0003.jsonl", 3),
    ]
    assert [site.lines(key)[0]["sequence"] for key in site.segments()] == [1, 2, 3]


def test_audit_when_the_outbox_was_lost_then_a_note_tells(site: Site) -> None:
    fill(site.journal(), segments=1)
    fill(site.journal(outbox="new"), segments=1)

    found = site.journal(outbox="new").audit()

    assert found.is_whole
    assert [(note.kind, note.segment) for note in found.notes] == [("outbox-new", site.segments()[1])]


def test_audit_when_a_crash_came_between_a_segment_and_its_head_then_a_note_tells(site: Site) -> None:
    fill(site.journal(), segments=1)
    before = site.site.read_bytes(HEAD)
    fill(site.journal(), segments=1)
    overwrite(site.site, HEAD, before)

    found = site.journal().audit()

    assert found.is_whole
    assert [note.kind for note in found.notes] == ["head-behind"]


def test_flush_when_the_segment_its_head_names_is_lost_then_the_journal_goes_on_and_the_gap_is_named(
    site: Site,
) -> None:
    fill(site.journal(), segments=2)
    remove_the_last_segment(site)

    fill(site.journal(), segments=2)
    found = site.journal().audit()

    assert [site.lines(key)[0]["sequence"] for key in site.segments()] == [1, 3, 4]
    assert [problem.message for problem in found.problems] == ["Segment 2 of node 'n1' missing"]
    assert found.events == 12


def test_flush_when_an_old_head_was_put_back_then_the_journal_goes_on_behind_its_last_segment(site: Site) -> None:
    fill(site.journal())
    put_back_an_older_head(site)

    fill(site.journal(), segments=1)

    assert site.journal().verify() == 16


def test_flush_when_the_head_of_another_node_is_broken_then_this_one_goes_on(site: Site) -> None:
    fill(site.journal("n2"), segments=1)
    overwrite(site.site, "site/journal/n2.json", b"{")

    fill(site.journal(), segments=1)

    assert [problem.node for problem in site.journal().audit().problems] == ["n2"]
