"""Plain values: whatever is read from the bytes here is what pydicom reads from them."""

import warnings
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from archive.reading.plain_values import are_ascii_based, plain_values
from archive.reading.values import Reader
from tests.ingest.datasets import element

_KEYWORDS = {
    "AE": (0x0008_0055, "StationAETitle"),
    "AS": (0x0010_1010, "PatientAge"),
    "CS": (0x0008_0060, "Modality"),
    "DA": (0x0008_0020, "StudyDate"),
    "DS": (0x0028_0030, "PixelSpacing"),
    "DT": (0x0008_002A, "AcquisitionDateTime"),
    "IS": (0x0020_0013, "InstanceNumber"),
    "LO": (0x0008_1030, "StudyDescription"),
    "LT": (0x0010_4000, "PatientComments"),
    "PN": (0x0010_0010, "PatientName"),
    "SH": (0x0008_0050, "AccessionNumber"),
    "ST": (0x0008_0081, "InstitutionAddress"),
    "TM": (0x0008_0030, "StudyTime"),
    "UC": (0x0008_0119, "LongCodeValue"),
    "UI": (0x0008_0018, "SOPInstanceUID"),
    "US": (0x0028_0010, "Rows"),
    "UT": (0x0008_0120, "URNCodeValue"),
}
_LIKELY = st.text("0123456789.+-eE \\^=\0AZaz_~@", max_size=24).map(str.encode)
_NUMBERS = st.lists(st.floats() | st.integers() | st.just(""), max_size=3).map(
    lambda values: "\\".join(map(str, values)).encode()
)
_VALUES = _LIKELY | _NUMBERS | st.binary(max_size=8)
_SETS = st.sampled_from(sorted(python_encoding))


def _dataset(vr: str, value: bytes, character_set: str) -> Dataset:
    tag, _ = _KEYWORDS[vr]
    declared = element(0x0008_0005, b"CS", character_set.encode())
    body = declared + element(tag, vr.encode(), value)
    return read_dataset(BytesIO(body), is_implicit_VR=False, is_little_endian=True)


def _raw(dataset: Dataset, vr: str) -> RawDataElement:
    return next(one for one in dataset.values() if isinstance(one, RawDataElement) and one.tag == _KEYWORDS[vr][0])


@given(vr=st.sampled_from(sorted(_KEYWORDS)), value=_VALUES, character_set=_SETS)
def test_plain_values_when_they_are_plain_then_a_reader_gets_what_pydicom_would_give_it(
    vr: str, value: bytes, character_set: str
) -> None:
    keyword = _KEYWORDS[vr][1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw, converted = _dataset(vr, value, character_set), _dataset(vr, value, character_set)
        if plain_values(_raw(raw, vr), vr, ascii_based=True) is None:
            return
        converted[keyword]  # from now on it holds no raw bytes
        read, by_pydicom = Reader(raw), Reader(converted)
        assert (read.written(keyword), read.texts(keyword)) == (by_pydicom.written(keyword), by_pydicom.texts(keyword))
        assert read.numbers(keyword) == by_pydicom.numbers(keyword)
    assert read.flags == by_pydicom.flags


@pytest.mark.parametrize(
    ("vr", "value", "values"),
    [
        ("UI", b"1.2.840\0", ["1.2.840"]),
        ("CS", b"ORIGINAL\\PRIMARY ", ["ORIGINAL", "PRIMARY"]),
        ("LT", b"one\\two ", ["one\\two"]),
        ("DS", b"-1.5\\ 2 ", ["-1.5", " 2"]),
        ("US", b"\0\2", ["512"]),
        ("LO", b"", []),
    ],
)
def test_plain_values_when_they_are_plain_then_they_are_read(vr: str, value: bytes, values: list[str]) -> None:
    assert list(plain_values(_raw(_dataset(vr, value, "ISO_IR 192"), vr), vr, ascii_based=True) or ()) == values


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("LO", "ä".encode()),
        ("PN", b"\x1b$B;3ED\x1b(B"),
        ("PN", b"A=B"),
        ("DS", b"1,5 "),
        ("IS", b"1.0 "),
        ("US", bytes(4)),
        ("SH", b"a\tb "),
    ],
)
def test_plain_values_when_they_need_interpretation_then_they_are_left_to_pydicom(vr: str, value: bytes) -> None:
    assert plain_values(_raw(_dataset(vr, value, "ISO_IR 100"), vr), vr, ascii_based=True) is None


def test_plain_values_when_the_character_set_is_none_of_dicom_then_text_is_left_to_pydicom() -> None:
    raw = RawDataElement(BaseTag(0x0008_1030), "LO", 4, b"Text", 0, is_implicit_VR=False, is_little_endian=True)
    assert not are_ascii_based(["utf-16"])
    assert plain_values(raw, "LO", ascii_based=False) is None
    assert plain_values(raw._replace(VR="CS"), "LO", ascii_based=False) == ["Text"]
