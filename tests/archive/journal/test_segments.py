"""One segment after the other: every change of a byte is found, and the line it was made in is named."""

import itertools

import pytest

from archive.errors import ChainBroken, FormatTooNew
from archive.journal.chain import START, link, written
from archive.journal.segments import Segment, read_segment

KEY = "journal/n1/0001/00000001.jsonl"
ACTS = ("view", "sign", "close", "seal", "print")


def segment(*acts: str, previous: str = START, **header: object) -> list[bytes]:
    """Return the lines of a segment as they are written, each with its line end."""
    opening: dict[str, object] = {"format": "lastgate/journal/1", "node": "n1", "epoch": 1, "sequence": 1}
    opening |= {"previous": previous, "heads": {}, "through": len(acts), "events": len(acts), **header}
    entries: list[dict[str, object]] = [opening]
    entries += [{"at": f"2026-11-23T08:0{n}:00+00:00", "act": act} for n, act in enumerate(acts)]
    return chained(entries, previous)


def chained(entries: list[dict[str, object]], previous: str = START) -> list[bytes]:
    """Return entries as the lines of a segment."""
    lines, end = [], previous
    for entry in entries:
        end = link(end, entry)
        lines.append(written({**entry, "hash": end}) + b"\n")
    return lines


def read(lines: list[bytes], key: str = KEY) -> Segment:
    return read_segment(key, b"".join(lines))


def found(lines: list[bytes]) -> list[tuple[str, int | None]]:
    return [(problem.kind, problem.line) for problem in read(lines).problems]


def test_segment_when_it_is_whole_then_it_tells_what_it_holds() -> None:
    lines = segment(*ACTS, heads={"n2": "abc"})

    told = read(lines)

    assert (told.node, told.epoch, told.sequence, told.previous) == ("n1", 1, 1, START)
    assert (told.events, told.heads, told.problems, told.notes) == (5, {"n2": "abc"}, (), ())
    assert told.end is not None
    assert told.end.encode() in lines[-1]


def test_segment_when_any_byte_is_another_then_its_line_is_named() -> None:
    body = b"".join(segment("view", "sign", "seal"))
    for place in range(len(body)):
        line = body[:place].count(b"\n") + 1
        changed = body[:place] + bytes([body[place] ^ 0x04]) + body[place + 1 :]
        try:
            problems = read_segment(KEY, changed).problems
        except FormatTooNew:
            assert line == 1
            continue
        assert line in {problem.line for problem in problems}, (place, problems)


def test_segment_when_a_line_is_missing_then_its_place_is_named() -> None:
    lines = segment(*ACTS)

    assert [found([*lines[:gone], *lines[gone + 1 :]]) for gone in range(1, 5)] == [
        [("line-missing", gone + 1)] for gone in range(1, 5)
    ]
    assert found(lines[:-1]) == [("line-missing", 5)]
    assert found(lines[:-3]) == [("line-missing", 3)]
    assert "lacks its last 3 line(s)" in read(lines[:-3]).problems[0].message


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 5), (4, 5), (1, 5)])
def test_segment_when_lines_are_swapped_then_the_first_of_them_is_named(one: int, other: int) -> None:
    lines = segment(*ACTS)
    lines[one], lines[other] = lines[other], lines[one]

    assert found(lines) == [("order-changed", one + 1)]


def test_segment_when_a_line_is_put_in_then_it_is_named() -> None:
    lines = segment(*ACTS)
    end = lines[2].split(b'"hash":"')[1][:64].decode()
    linked = {"at": "2026-11-23T08:02:00+00:00", "act": "view"}
    forged = written({**linked, "hash": link(end, linked)}) + b"\n"

    assert found([*lines[:3], forged, *lines[3:]]) == [("line-inserted", 4)]
    assert found([*lines[:3], lines[2], *lines[3:]]) == [("line-inserted", 3)]
    assert found([*lines, written({**linked, "hash": link(_hash(lines[-1]), linked)}) + b"\n"]) == [
        ("line-inserted", 7)
    ]


def test_segment_when_several_lines_are_changed_then_all_are_named() -> None:
    lines = segment(*ACTS)
    lines[1] = lines[1].replace(b"view", b"vied")
    lines[4] = lines[4].replace(b"seal", b"meal")
    lines[5] = b"{\n"

    assert found(lines) == [("line-changed", 6), ("line-changed", 2), ("line-changed", 5)]


def test_segment_when_it_is_written_otherwise_then_the_line_is_named() -> None:
    lines = segment(*ACTS)

    assert found([*lines[:2], lines[2].replace(b",", b", "), *lines[3:]]) == [("line-changed", 3)]
    assert found([*lines[:2], lines[2].replace(b'"act"', b'"act":"seal","act"'), *lines[3:]]) == [("line-changed", 3)]


def test_segment_when_it_is_cut_then_it_says_where() -> None:
    body = b"".join(segment(*ACTS))
    for length, last in ((len(body) - 1, 6), (len(body) - 40, 6), (200, 1)):
        problems = read_segment(KEY, body[:length]).problems
        assert (problems[0].kind, problems[0].line) == ("segment-cut", last)
    (empty,) = read_segment(KEY, b"").problems
    assert (empty.kind, empty.line, empty.segment) == ("segment-cut", None, KEY)


def test_segment_when_it_stands_under_another_name_then_it_is_foreign() -> None:
    for key in ("journal/n2/0001/00000001.jsonl", "journal/n1/0002/00000001.jsonl", "journal/n1/0001/00000002.jsonl"):
        assert [one.kind for one in read(segment(*ACTS), key).problems] == ["segment-foreign"]
    with pytest.raises(ChainBroken, match="no name of a segment"):
        read(segment(*ACTS), "journal/n1/notes.txt")


def test_segment_when_the_clock_goes_back_then_it_is_a_note() -> None:
    times = ["08:00:00", "08:05:00", "08:04:30", "07:00:00", "07:01:00"]
    opening = {"format": "lastgate/journal/1", "node": "n1", "epoch": 1, "sequence": 1, "previous": START, "events": 5}
    entries: list[dict[str, object]] = [opening]
    entries += [{"at": f"2026-11-23T{one}+00:00", "act": "view"} for one in times]

    told = read(chained(entries))

    assert told.problems == ()
    assert [(note.kind, note.line) for note in told.notes] == [("clock-back", 5)]


def test_segment_when_all_pairs_of_lines_are_dropped_then_each_time_something_is_found() -> None:
    lines = segment(*ACTS)
    for gone in itertools.combinations(range(6), 2):
        assert found([line for number, line in enumerate(lines) if number not in gone])


def _hash(line: bytes) -> str:
    return line.split(b'"hash":"')[1][:64].decode()
