"""A walk without digests judges like one with them: the same names, the same oddities, the same refusal."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from archive.facts.receipts import Source
from ingest.dataset.limits import Limits
from ingest.dataset.part10 import FileLayout, find_dataset
from ingest.dataset.walker import Walker
from ingest.errors import IngestError
from ingest.judge import Announced, digested, judge_network
from ingest.spool.arrival import Arrival
from tests.ingest.dataset.test_walker_properties import data_sets, written
from tests.ingest.datasets import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    dataset,
    deflated,
    element,
    implicit,
    item,
    uid,
)

_SYNTAXES = (EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG)
_LIMITS = Limits(elements=60, values=400_000, nesting=4, fragments=50)


def judged(body: bytes, syntax: str, *, digesting: bool, limits: Limits | None = None, sized: bool = True) -> object:
    """Return all a walk says, but for digests: what it found or why it refused."""
    size = len(body) if sized else None
    walker = Walker(io.BytesIO(body), syntax, limits=limits, size_bytes=size, digesting=digesting)
    try:
        walked = walker.walk()
    except IngestError as error:
        return type(error), str(error), walker.names
    assert bool(walked.dataset_sha256) == bool(walked.content_sha256) == digesting
    return walked.elements, walked.names, walked.flags


def same(body: bytes, syntax: str, limits: Limits | None = None) -> bool:
    return all(
        judged(body, syntax, digesting=False, limits=limits, sized=sized)
        == judged(body, syntax, digesting=True, limits=limits, sized=sized)
        for sized in (True, False)
    )


@settings(max_examples=150, deadline=None)
@given(data_sets())
def test_walk_when_sound_then_both_find_the_same(made: Dataset) -> None:
    explicit = written(made, implicit=False, little=True)

    assert same(explicit, EXPLICIT)
    assert same(written(made, implicit=True, little=True), IMPLICIT)
    assert same(written(made, implicit=False, little=False), BIG)
    assert same(deflated(explicit), DEFLATED)


@settings(max_examples=250, deadline=None)
@given(data_sets(), st.data())
def test_walk_when_bytes_are_changed_then_both_say_the_same(made: Dataset, data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT, JPEG]))
    body = bytearray(written(made, implicit=syntax == IMPLICIT, little=True))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from([0, 1, 2, 8, 0x10, 0x20, 0x53, 0x51, 0x55, 0x4E, 0xFE, 0xFF]))
    cut = data.draw(st.integers(0, len(body)))

    assert same(bytes(body), syntax, _LIMITS)
    assert same(bytes(body[:cut]), syntax, _LIMITS)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                element(0x0008_0000, b"UL", b"\4\0\0\0"),
                element(0x0008_0005, b"CS", b"ISO"),
                element(0x0008_0016, b"UI", uid("1.2.03")),
                element(0x0008_0018, b"UI", uid("1.2.4"), length=4),
                element(0x0009_0010, b"UN", ITEM + ITEM_END + SEQUENCE_END),
                element(0x0009_0011, b"UN", item(element(0x0008_0060, b"CS", b"CT"))),
                element(0x0008_1140, b"SQ", item(implicit(0x0008_1150, b"1.2\0")), length=UNDEFINED) + SEQUENCE_END,
                element(0x0028_0010, b"US", b"\1\0"),
                element(0x0028_0030, b"DS", b"1"),
                element(0x7FE0_0010, b"OB", item(b"ab") + item(b"") + SEQUENCE_END),
                element(0x7FE0_0010, b"OB", b"", length=UNDEFINED) + item(b"abc") + SEQUENCE_END,
                element(0xFFFC_FFFC, b"OB", b"\0" * 8),
                implicit(0x0010_0010, b"A^B "),
                ITEM,
                ITEM_END,
                SEQUENCE_END,
                b"\0" * 8,
            ]
        ),
        max_size=8,
    ),
    st.sampled_from(_SYNTAXES),
)
def test_walk_when_pieces_stand_in_any_order_then_both_say_the_same(pieces: list[bytes], syntax: str) -> None:
    body = b"".join(pieces)

    assert same(deflated(body) if syntax == DEFLATED else body, syntax, _LIMITS)


@pytest.mark.parametrize(
    "body",
    [
        dataset(tail=element(0x7FE0_0010, b"OW", bytes(3_000_000))),
        dataset(tail=element(0x7FE0_0010, b"OW", bytes(3_000_000))[:-1]),
        dataset(tail=element(0x7FE0_0010, b"OW", bytes(3_000_000)) + b"more"),
        dataset(tail=element(0x3006_0050, b"DS", b"1\\" * 300, length=60_000)),
        dataset(tail=element(0x0040_A160, b"UT", b"\\" * 2_000_000)),
        dataset(tail=element(0x0066_0016, b"OF", bytes(2_000_000))),
        dataset(tail=element(0x0028_3006, b"UC", b"1\\" * 1_000_000)),
        dataset(tail=element(0x0009_0010, b"UN", item(element(0x0008_0060, b"CS", b"CT") * 2) + bytes(2_000_000))),
        dataset(tail=element(0x0066_0129, b"OL", b"") + element(0x0070_0294, b"FD", b"")),
    ],
    ids=["pixels", "cut off", "trailing", "short by a lot", "text", "floats", "too many", "hidden", "empty"],
)
def test_walk_when_values_are_long_then_both_say_the_same(body: bytes) -> None:
    assert same(body, EXPLICIT, _LIMITS)


@pytest.mark.parametrize("most", range(1, 24))
@pytest.mark.parametrize("nesting", [1, 2, 3])
def test_walk_when_a_limit_is_met_anywhere_then_both_say_the_same(most: int, nesting: int) -> None:
    innermost = element(0x0008_1150, b"UI", b"1.2\0") + element(0x0008_1155, b"UI", b"1.3\0")
    open_item = ITEM + innermost + ITEM_END
    inner = element(0x0008_1140, b"SQ", b"", length=UNDEFINED) + open_item + item(innermost) + SEQUENCE_END
    middle = element(0x0008_1115, b"SQ", item(inner) + item(b"") + item(innermost))
    outer = element(0x0008_1115, b"SQ", b"", length=UNDEFINED) + item(middle) + ITEM + inner + ITEM_END + SEQUENCE_END
    body = element(0x0008_0005, b"CS", b"ISO ") + outer + element(0x0028_0010, b"US", b"\1\0")

    assert same(body, EXPLICIT, Limits(elements=most, nesting=nesting))


def test_walk_when_sequences_go_beyond_what_is_read_at_once_then_both_say_the_same() -> None:
    innermost = element(0x0008_1150, b"UI", b"1.2\0") + element(0x0008_1155, b"LO", b"x" * 1001)
    items = item(innermost) * 50 + ITEM + innermost + ITEM_END
    nested = element(0x0008_1140, b"SQ", items) + element(0x0008_1145, b"SQ", b"", length=UNDEFINED) + items
    body = dataset(tail=element(0x3006_0010, b"SQ", (item(nested + SEQUENCE_END)) * 20))

    assert same(body, EXPLICIT)
    assert same(body[:-3], EXPLICIT)


@pytest.mark.real_data
def test_walk_when_data_are_real_then_both_find_the_same(real_data: Path) -> None:
    for path in sorted(real_data.rglob("*.dcm"))[::3]:
        body = path.read_bytes()
        try:
            layout = find_dataset(io.BytesIO(body))
        except IngestError:
            continue
        if layout is not None:
            assert same(body[layout.dataset_offset :], layout.transfer_syntax_uid), path.name


class Counting(io.BytesIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        got = super().read(size)
        self.count += len(got)
        return got


def test_walk_when_pixels_are_long_then_they_are_not_read() -> None:
    body = dataset(tail=element(0x7FE0_0010, b"OW", bytes(50_000_000)))
    stream = Counting(body)

    Walker(stream, EXPLICIT, size_bytes=len(body), digesting=False).walk()

    assert stream.count < 100_000


def test_digested_when_a_judge_left_it_out_then_digests_are_those_of_a_full_walk() -> None:
    body = dataset(tail=element(0x7FE0_0010, b"OW", bytes(1000)))
    kept: BinaryIO = io.BytesIO(bytes(20) + body)
    draft = Arrival(
        kind="document",
        received_at=datetime(2026, 11, 23, tzinfo=UTC),
        source=Source(kind="dicom"),
        batch="b",
        file_sha256="",
        size_bytes=20 + len(body),
    )
    layout = FileLayout(dataset_offset=20, transfer_syntax_uid=EXPLICIT)
    ways = {"layout": layout, "announced": Announced(), "limits": Limits()}

    quick = judge_network(**ways, digesting=False)(kept, draft)  # type: ignore[arg-type]
    full = judge_network(**ways, digesting=True)(kept, draft)  # type: ignore[arg-type]

    assert (quick.dataset_sha256, quick.content_sha256) == ("", None)
    assert digested(kept, quick, limits=Limits()) == full
    assert digested(kept, full, limits=Limits()) is full
