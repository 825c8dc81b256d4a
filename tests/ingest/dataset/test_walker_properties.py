"""Whatever data set pydicom writes, in whichever encoding: the walker takes it and finds the same content."""

import io
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from ingest.dataset.walker import Walker
from ingest.errors import IngestError
from tests.ingest.datasets import BIG, DEFLATED, EXPLICIT, IMPLICIT, deflated

_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), max_size=20)
_VALUES: dict[int, tuple[str, st.SearchStrategy[Any]]] = {
    0x0008_0018: ("UI", st.lists(st.integers(0, 9999), min_size=2, max_size=6).map(lambda n: ".".join(map(str, n)))),
    0x0008_103E: ("LO", _TEXT),
    0x0010_0010: ("PN", _TEXT),
    0x0018_9087: ("FD", st.floats(allow_nan=False)),
    0x0020_0013: ("IS", st.integers(-(2**31), 2**31 - 1)),
    0x0028_0010: ("US", st.integers(0, 2**16 - 1)),
    0x0028_0009: ("AT", st.integers(0, 2**32 - 1)),
    0x0040_A162: ("UL", st.lists(st.integers(0, 2**32 - 1), max_size=4)),
    0x0066_0016: ("OF", st.binary(max_size=64).map(lambda b: b[: len(b) // 4 * 4])),
    0x7FE0_0010: ("OW", st.binary(max_size=400).map(lambda b: b[: len(b) // 2 * 2])),
}


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    made = Dataset()
    for tag in draw(st.sets(st.sampled_from(sorted(_VALUES)), min_size=1)):
        vr, values = _VALUES[tag]
        made.add_new(tag, vr, draw(values))
    if depth:
        items = draw(st.lists(data_sets(depth=depth - 1), max_size=2))
        made.add_new(0x300A_0010, "SQ", Sequence(items))
        for item in items:
            item.is_undefined_length_sequence_item = draw(st.booleans())
        made[0x300A_0010].is_undefined_length = draw(st.booleans())
    return made


def written(made: Dataset, *, implicit: bool, little: bool) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, little
    write_dataset(stream, _swapped(made) if not little else made)
    return stream.getvalue()


def _swapped(made: Dataset) -> Dataset:
    """pydicom writes OW and OF as they are: a big endian writer has to swap them itself."""
    copy = Dataset()
    for element in made:
        if element.VR == "SQ":
            copy.add_new(element.tag, "SQ", Sequence([_swapped(item) for item in element.value]))
        elif element.VR in ("OW", "OF"):
            width = 2 if element.VR == "OW" else 4
            raw = element.value
            turned = b"".join(raw[at : at + width][::-1] for at in range(0, len(raw), width))
            copy.add_new(element.tag, element.VR, turned)
        else:
            copy.add_new(element.tag, element.VR, element.value)
    return copy


@settings(max_examples=150, deadline=None)
@given(data_sets())
def test_walk_when_pydicom_writes_it_in_any_encoding_then_content_is_the_same(made: Dataset) -> None:
    explicit = written(made, implicit=False, little=True)
    forms = {
        EXPLICIT: explicit,
        IMPLICIT: written(made, implicit=True, little=True),
        BIG: written(made, implicit=False, little=False),
        DEFLATED: deflated(explicit),
    }

    digests = {Walker(io.BytesIO(form), syntax).walk().content_sha256 for syntax, form in forms.items()}

    assert len(digests) == 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]))
def test_walk_when_bytes_are_arbitrary_then_nothing_but_an_ingest_error_is_raised(body: bytes, syntax: str) -> None:
    with suppress(IngestError):
        Walker(io.BytesIO(body), syntax, size_bytes=len(body)).walk()
