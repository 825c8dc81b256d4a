"""Reading values: a number whose bytes may mean two things is absent and flagged, never one of them."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset

from archive.values import Reader
from tests.ingest.datasets import element


def _read(tag: int, vr: bytes, value: bytes) -> Reader:
    return Reader(read_dataset(BytesIO(element(tag, vr, value)), is_implicit_VR=False, is_little_endian=True))


@pytest.mark.parametrize(("vr", "value"), [(b"IS", b"25"), (b"DS", b"25"), (b"UN", b"25"), (b"LO", b"25")])
def test_integer_when_written_in_digits_then_is_read(vr: bytes, value: bytes) -> None:
    reader = _read(0x300A_0078, vr, value)
    assert (reader.integer("NumberOfFractionsPlanned"), reader.flags) == (25, [])


@pytest.mark.parametrize(
    ("vr", "value"), [(b"US", b"25"), (b"US", b"\x19\0"), (b"UL", b"\x19\0\0\0"), (b"FD", bytes(8))]
)
def test_integer_when_declared_binary_then_is_absent_and_flagged(vr: bytes, value: bytes) -> None:
    """Two digits read as US are 13618 fractions; whether the value or its label is wrong can't be told."""
    reader = _read(0x300A_0078, vr, value)
    assert reader.integer("NumberOfFractionsPlanned") is None
    assert reader.flags == ["unreadable:NumberOfFractionsPlanned"]


def test_number_when_binary_is_its_own_representation_then_is_read() -> None:
    assert _read(0x0028_0010, b"US", b"\x19\0").integer("Rows") == 25


def test_number_when_it_is_not_there_then_is_absent_without_a_flag() -> None:
    reader = Reader(Dataset())
    assert (reader.number("NumberOfFractionsPlanned"), reader.flags) == (None, [])
