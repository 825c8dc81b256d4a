"""One segment of a journal read as evidence: what it holds, and which of its lines are not what was written.

Pure functions over bytes. Each line carries the SHA-256 over the hash of the
line before and its own canonical JSON, so of a broken line it can be told
whether its words were changed, or which line it once followed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from archive.errors import ChainBroken, FormatTooNew
from archive.journal.chain import SEGMENT_FORMAT, link, parsed, written
from archive.journal.problems import CLOCKS_DIFFER, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a segment tells.

    Parameters
    ----------
    sequence
        Its number, by its name.
    previous, end
        Hash it says it follows, and hash of its last line; None where that can't be read.
    events
        How many events can be read.
    times
        When its first and its last event happened, by the node's clock; empty where that can't be read.
    heads
        What its node saw of the others when it was opened: node, hash.
    problems
        What is wrong within it.
    notes
        What is worth knowing and breaks nothing: a clock that went back.
    """

    key: str
    node: str
    epoch: int
    sequence: int
    previous: str | None
    end: str | None
    events: int
    times: tuple[datetime, ...]
    heads: Mapping[str, str]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    entry: Mapping[str, Any] | None
    hash: str = ""
    is_as_written: bool = True


@dataclass(slots=True, kw_only=True)
class _Examined:
    """The lines of a segment on their way from the first to the last."""

    key: str
    node: str
    lines: Sequence[_Line]
    missing: int | None
    problems: list[Problem] = field(default_factory=list)

    def tell(self, kind: str, message: str, line: int | None = None) -> None:
        self.problems.append(Problem(kind=kind, node=self.node, segment=self.key, line=line, message=message))


def place_of(key: str) -> tuple[str, int, int]:
    """Return node, epoch and number of a segment by its name; raises `ChainBroken` if it is no segment's."""
    try:
        _, node, epoch, name = key.split("/")
        return node, int(epoch), int(name.removesuffix(".jsonl"))
    except ValueError as error:
        raise ChainBroken(f"{key} is no name of a segment") from error


def read_segment(key: str, body: bytes) -> Segment:
    """Return what a segment tells, damaged or not.

    Raises
    ------
    ChainBroken
        The key is no name of a segment.
    FormatTooNew
        A newer Lastgate wrote it.
    """
    node, epoch, sequence = place_of(key)
    lines = tuple(_lines(key, body))
    header = lines[0].entry if lines else None
    _refuse_newer(key, header)
    told = header.get("events") if header else None
    examined = _Examined(
        key=key, node=node, lines=lines, missing=told - len(lines) + 1 if isinstance(told, int) else None
    )
    _examine_form(examined, body)
    _examine_header(examined, header, epoch, sequence)
    _examine_links(examined, str(header.get("previous", "")) if header else "")
    heads = header.get("heads", {}) if header else {}
    times = [(line.number, moment) for line in lines if line.entry and (moment := _moment(line.entry))]
    return Segment(
        key=key,
        node=node,
        epoch=epoch,
        sequence=sequence,
        previous=str(header["previous"]) if header and "previous" in header else None,
        end=lines[-1].hash or None if lines else None,
        events=sum(1 for line in lines if line.entry and "act" in line.entry),
        times=tuple(moment for _, moment in (*times[:1], *times[-1:])),
        heads=heads if isinstance(heads, dict) else {},
        problems=tuple(examined.problems),
        notes=tuple(_clock_notes(key, node, times)),
    )


def _lines(key: str, body: bytes) -> Iterator[_Line]:
    for number, text in enumerate(body.splitlines(), 1):
        try:
            entry = parsed(key, text)
        except ChainBroken:
            yield _Line(number=number, entry=None)
            continue
        is_as_written = written(entry) == text
        yield _Line(number=number, hash=str(entry.pop("hash", "")), entry=entry, is_as_written=is_as_written)


def _refuse_newer(key: str, header: Mapping[str, Any] | None) -> None:
    kind, _, number = str(header.get("format") if header else "").rpartition("/")
    known, _, newest = SEGMENT_FORMAT.rpartition("/")
    if kind == known and number.isdigit() and int(number) > int(newest):
        raise FormatTooNew(f"{key} was written in the format {kind}/{number}")


def _examine_form(examined: _Examined, body: bytes) -> None:
    last = len(examined.lines)
    is_cut = not body.endswith(b"\n")
    if is_cut:
        where = f"in the middle of line {last}" if last else "before its first line"
        examined.tell("segment-cut", f"{examined.key} ends {where}", last or None)
    for line in examined.lines:
        if line.entry is None and not (is_cut and line.number == last):
            examined.tell("line-changed", f"{examined.key}, line {line.number}, can't be read", line.number)


def _examine_header(examined: _Examined, header: Mapping[str, Any] | None, epoch: int, sequence: int) -> None:
    if header is None:
        return
    told = (header.get("node"), header.get("epoch"), header.get("sequence"))
    if told != (examined.node, epoch, sequence):
        message = f"{examined.key} is not the segment it is named as: its first line tells of another, or is missing"
        examined.tell("segment-foreign", message, 1)


def _examine_links(examined: _Examined, previous: str) -> None:
    befores: tuple[str, ...] = (previous,)
    moved: list[int] = []
    for line in examined.lines:
        if line.entry is None:
            befores = ()  # what follows an unreadable line can't be judged by it
            continue
        reckoned = [link(before, line.entry) for before in befores]
        if befores and line.hash not in reckoned:
            _tell_broken(examined, line, moved)
        elif not line.is_as_written:
            message = f"{examined.key}, line {line.number}, is not written as it was"
            examined.tell("line-changed", message, line.number)
        befores = (line.hash, *reckoned[:1])
    _tell_moved(examined, moved)
    _tell_count(examined)


def _tell_broken(examined: _Examined, line: _Line, moved: list[int]) -> None:
    """Tell what became of a line that does not follow the one before it."""
    followed = _followed(examined, line)
    where = f"{examined.key}, line {line.number}"
    if followed is None and examined.missing is not None and examined.missing > 0:
        message = f"{examined.missing} line(s) are missing before line {line.number} of {examined.key}"
        examined.tell("line-missing", message, line.number)
        examined.missing = 0
    elif followed is None:
        examined.tell("line-changed", f"{where}, is not what was written", line.number)
    elif followed < line.number - 1 and examined.missing is not None and examined.missing < 0:
        between = (
            f"line {followed + 1}" if followed + 2 == line.number else f"lines {followed + 1} to {line.number - 1}"
        )
        examined.tell("line-inserted", f"{examined.key}, {between}, was put in later", followed + 1)
        examined.missing = 0
    else:
        moved.append(line.number)


def _followed(examined: _Examined, line: _Line) -> int | None:
    """Return which line this one followed when it was written, None if none of them."""
    assert line.entry is not None
    for other in examined.lines:
        if other.number != line.number and other.hash and link(other.hash, line.entry) == line.hash:
            return other.number
    return None


def _tell_moved(examined: _Examined, moved: Sequence[int]) -> None:
    if moved:
        message = f"{examined.key}, lines {moved[0]} to {moved[-1]}, do not stand in the order they were written in"
        examined.tell("order-changed", message, moved[0])


def _tell_count(examined: _Examined) -> None:
    """Tell lines too few or too many at the end, where no line breaks."""
    last = len(examined.lines)
    if examined.missing is None or examined.problems:
        return
    if examined.missing > 0:
        examined.tell("line-missing", f"{examined.key} lacks its last {examined.missing} line(s)", last)
    elif examined.missing < 0:
        message = f"{examined.key} has {-examined.missing} line(s) more at its end than were written"
        examined.tell("line-inserted", message, last + examined.missing + 1)


def _clock_notes(key: str, node: str, times: Sequence[tuple[int, datetime]]) -> Iterator[Problem]:
    for (_, before), (line, after) in pairwise(times):
        if note := clock_note(key, node, line, before=before, after=after):
            yield note


def clock_note(key: str, node: str, line: int, *, before: datetime, after: datetime) -> Problem | None:
    """Return the note of a clock that went back from one event to the next, None if it did not."""
    if after >= before - CLOCKS_DIFFER:
        return None
    message = f"{key}, line {line}: the clock went back from {before.isoformat()} to {after.isoformat()}"
    return Problem(kind="clock-back", node=node, segment=key, line=line, message=message)


def _moment(entry: Mapping[str, Any]) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(entry.get("at")))
    except ValueError:
        return None
    return found if found.tzinfo else None
