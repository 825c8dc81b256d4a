"""From one native transfer syntax to another: every value is what it was, and the way back gives the same content."""

import io
import struct
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from ingest.dataset.part10 import file_header, find_dataset
from ingest.dataset.walker import Walker
from ingest.errors import NotConvertible, Truncated
from ingest.retrieve.native import NATIVE, rewritten
from lastgate.sample import Department
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
    element,
    implicit,
    item,
    uid,
)

FILES = ("MR_small_bigendian.dcm", "rtplan.dcm", "rtdose_expb.dcm", "UN_sequence.dcm", "test-SR.dcm",
         "examples_overlay.dcm", "waveform_ecg.dcm", "SC_rgb_small_odd_big_endian.dcm")  # fmt: skip


def convert(data: bytes, stored: str, wanted: str, *, pieces: int = 1 << 20) -> bytes:
    """Convert, the bytes coming in pieces of some length."""
    cut = (data[at : at + pieces] for at in range(0, len(data), pieces))
    return b"".join(rewritten(cut, stored, wanted))


def content(data: bytes, syntax: str) -> str | None:
    return Walker(io.BytesIO(data), syntax, size_bytes=len(data)).walk().content_sha256


def stored(path: Path) -> tuple[bytes, str]:
    """Return a data set and its transfer syntax."""
    with path.open("rb") as stream:
        layout = find_dataset(stream)
        assert layout is not None
        stream.seek(layout.dataset_offset)
        return stream.read(), layout.transfer_syntax_uid


@pytest.mark.parametrize("wanted", sorted(NATIVE))
@pytest.mark.parametrize("name", FILES)
def test_rewritten_when_real_files_go_there_and_back_then_their_content_is_the_same(name: str, wanted: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    data, syntax = stored(Path(path))
    there = convert(data, syntax, wanted)
    assert content(there, wanted) == content(data, syntax)
    assert content(convert(there, wanted, syntax), syntax) == content(data, syntax)


@pytest.mark.parametrize("wanted", sorted(NATIVE))
def test_rewritten_when_each_kind_of_the_sample_is_converted_then_its_content_is_the_same(
    sample_department: Department, wanted: str
) -> None:
    for path in {path.name[:2]: path for path in sample_department.paths}.values():
        data, syntax = stored(path)
        assert content(convert(data, syntax, wanted), wanted) == content(data, syntax)


@pytest.mark.parametrize("pieces", [1, 7, 4096])
def test_rewritten_when_bytes_come_in_small_pieces_then_nothing_changes(pieces: int) -> None:
    path = get_testdata_file("rtplan.dcm")
    assert isinstance(path, str)
    data, syntax = stored(Path(path))
    assert convert(data, syntax, EXPLICIT, pieces=pieces) == convert(data, syntax, EXPLICIT)


def test_rewritten_when_texts_are_padded_oddly_then_every_byte_of_them_stays() -> None:
    """pydicom would write numbers in text anew, and take padding away."""
    data = dataset(tail=element(0x0028_0030, b"DS", b" 00.50\\0.5e0  ") + element(0x0040_0280, b"ST", b"a  b \0"))
    assert b" 00.50\\0.5e0  " in convert(data, EXPLICIT, IMPLICIT)
    assert convert(convert(data, EXPLICIT, IMPLICIT), IMPLICIT, EXPLICIT).find(b" 00.50\\0.5e0  ") > 0


def test_rewritten_when_pydicom_reads_it_then_it_finds_the_same_values() -> None:
    path = get_testdata_file("rtplan.dcm")
    assert isinstance(path, str)
    data, syntax = stored(Path(path))
    for wanted in NATIVE:
        header = file_header(sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid=wanted)
        read = dcmread(io.BytesIO(header + convert(data, syntax, wanted)))
        original = dcmread(path)
        original.remove_private_tags()
        read.remove_private_tags()
        assert read.to_json() == original.to_json()


def test_rewritten_when_a_private_value_has_no_type_then_it_is_un_and_its_creator_lo() -> None:
    data = implicit(0x0009_0010, b"MAKER ") + implicit(0x0009_1001, b"\x01\x02\x03\x04")
    assert convert(data, IMPLICIT, EXPLICIT) == element(0x0009_0010, b"LO", b"MAKER ") + element(
        0x0009_1001, b"UN", b"\x01\x02\x03\x04"
    )


def test_rewritten_when_a_value_is_too_long_for_a_short_header_then_it_is_un() -> None:
    data = implicit(0x0008_0018, uid("1.2.3")) + implicit(0x0008_2111, b"x" * 70_000)
    out = convert(data, IMPLICIT, EXPLICIT)
    assert b"\x08\x00\x11\x21UN" in out
    assert content(out, EXPLICIT) == content(data, IMPLICIT)


def test_rewritten_when_smallest_pixel_is_signed_then_it_is_ss() -> None:
    def smallest(is_signed: bytes) -> bytes:
        data = implicit(0x0028_0103, is_signed) + implicit(0x0028_0106, b"\xfe\xff")
        return convert(data, IMPLICIT, EXPLICIT)

    assert smallest(b"\x01\x00").endswith(element(0x0028_0106, b"SS", b"\xfe\xff"))
    assert smallest(b"\x00\x00").endswith(element(0x0028_0106, b"US", b"\xfe\xff"))


def test_rewritten_when_the_byte_order_changes_then_numbers_turn_and_texts_do_not() -> None:
    data = (
        element(0x0008_0060, b"CS", b"CT")
        + element(0x0028_0010, b"US", b"\x02\x01")
        + element(0x0028_9415, b"FL", b"\x01\x02\x03\x04")
        + element(0x7FE0_0010, b"OW", b"\x01\x02\x03\x04")
    )
    out = convert(data, EXPLICIT, BIG)
    assert out[8:10] == b"CT"
    assert out[18:20] == b"\x01\x02"
    assert out[28:32] == b"\x04\x03\x02\x01"
    assert out[-4:] == b"\x02\x01\x04\x03"


def test_rewritten_when_group_lengths_stand_there_then_they_are_left_out() -> None:
    inner = struct.pack("<HH2sHI", 0x0008, 0x0000, b"UL", 4, 99)
    data = inner + element(0x0008_0060, b"CS", b"CT")
    assert convert(data, EXPLICIT, EXPLICIT) == element(0x0008_0060, b"CS", b"CT")


def test_rewritten_when_un_of_undefined_length_stands_there_then_what_it_holds_stays_implicit() -> None:
    held = ITEM + implicit(0x0008_0060, b"CT") + ITEM_END + SEQUENCE_END
    data = element(0x0009_1001, b"UN", b"", length=UNDEFINED) + held
    big = convert(data, EXPLICIT, BIG)
    assert big.endswith(held)
    assert content(big, BIG) == content(data, EXPLICIT)


def test_rewritten_when_a_sequence_is_empty_then_it_stays_empty() -> None:
    data = element(0x0008_1140, b"SQ", b"") + element(0x0008_2112, b"SQ", item(b""))
    assert content(convert(data, EXPLICIT, IMPLICIT), IMPLICIT) == content(data, EXPLICIT)


def test_rewritten_when_deflated_is_odd_then_it_is_padded() -> None:
    for length in range(2, 40, 2):
        out = convert(element(0x0008_103E, b"LO", b"x" * length), EXPLICIT, DEFLATED)
        assert len(out) % 2 == 0


def test_rewritten_when_compressed_pixels_stand_in_a_sequence_then_it_is_refused() -> None:
    fragments = item(b"") + item(b"\xff\xd8") + SEQUENCE_END
    icon = element(0x7FE0_0010, b"OB", b"", length=UNDEFINED) + fragments
    data = element(0x0088_0200, b"SQ", item(icon))
    with pytest.raises(NotConvertible, match="compressed pixel data"):
        convert(data, JPEG, EXPLICIT)


def test_rewritten_when_sequences_lie_very_deep_then_all_are_closed() -> None:
    data = implicit(0x0008_0060, b"CT")
    for _ in range(3000):
        data = implicit(0x0040_A730, ITEM + data + ITEM_END + SEQUENCE_END, length=UNDEFINED)
    out = convert(data, IMPLICIT, EXPLICIT)
    assert out.endswith(element(0x0008_0060, b"CS", b"CT") + (ITEM_END + SEQUENCE_END) * 3000)
    assert convert(out, EXPLICIT, IMPLICIT) == data


def test_rewritten_when_a_value_is_cut_off_then_it_says_so() -> None:
    with pytest.raises(Truncated, match="inside a value of 10 bytes"):
        convert(implicit(0x0008_103E, b"0123456789")[:-1], IMPLICIT, EXPLICIT)


def test_rewritten_when_a_long_value_stands_between_short_ones_then_it_is_not_gathered_with_them() -> None:
    data = element(0x0008_0060, b"CS", b"CT") + element(0x0042_0011, b"OB", bytes(3 << 20))
    data += element(0x0042_0012, b"LO", b"text")
    out = list(rewritten(iter([data]), EXPLICIT, IMPLICIT))
    assert max(map(len, out)) <= 3 << 20
    assert (bytes(out[0][:8]), bytes(out[-1][-4:])) == (implicit(0x0008_0060, b"CT")[:8], b"text")
    assert b"".join(out) == convert(data, EXPLICIT, IMPLICIT, pieces=999)
