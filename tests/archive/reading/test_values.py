"""Reading values: a number whose bytes may mean two things is absent and flagged, never one of them."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset

from archive.reading.values import Reader
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


def _text(value: bytes, *, undeclared: str, keyword: str = "PatientName", vr: bytes = b"PN") -> tuple[str, list[str]]:
    tag = {"PatientName": 0x0010_0010, "StudyDescription": 0x0008_1030}[keyword]
    dataset = read_dataset(BytesIO(element(tag, vr, value)), is_implicit_VR=False, is_little_endian=True)
    reader = Reader(dataset, undeclared=undeclared)
    return reader.text(keyword), reader.flags


@pytest.mark.parametrize(
    ("character_set", "encoding", "text"),
    [
        ("GB18030", "gb18030", "王^小东"),
        ("GBK", "gbk", "王^小东"),
        ("ISO_IR 192", "utf-8", "Müller^Jörg"),
        ("ISO_IR 100", "latin-1", "Müller^Jörg"),
        ("ISO_IR 126", "iso-8859-7", "Διονυσιος"),
        ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ],
)
def test_text_when_the_sender_is_known_then_undeclared_bytes_are_read_as_it_writes(
    character_set: str, encoding: str, text: str
) -> None:
    read, flags = _text(text.encode(encoding), undeclared=character_set)
    assert (read, flags) == (text, [f"charset-of-sender:{character_set}"])


def test_text_when_the_sender_uses_code_extensions_then_they_are_followed() -> None:
    """The Korean name of PS3.5 I.2, as a sender writes it that forgets to declare it."""
    name = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    read, flags = _text(name, undeclared="\\ISO 2022 IR 149")
    assert (read, flags) == ("Hong^Gildong=洪^吉洞=홍^길동", ["charset-of-sender:\\ISO 2022 IR 149"])


def test_text_when_the_bytes_do_not_fit_what_the_sender_writes_then_they_are_recognised() -> None:
    read, flags = _text("王小东".encode("gb18030"), undeclared="ISO_IR 192")
    assert (read, flags) == ("王小东", ["charset-guessed:gb18030"])


def test_text_when_it_is_ascii_then_nothing_is_flagged() -> None:
    assert _text(b"Doe^Jane", undeclared="GB18030") == ("Doe^Jane", [])


def test_text_when_the_data_set_declares_its_own_then_that_holds() -> None:
    body = element(0x0008_0005, b"CS", b"ISO_IR 192") + element(0x0010_0010, b"PN", "Jörg".encode())
    dataset = read_dataset(BytesIO(body), is_implicit_VR=False, is_little_endian=True)
    reader = Reader(dataset, undeclared="GB18030")
    assert (reader.text("PatientName"), reader.flags) == ("Jörg", [])


@pytest.mark.parametrize(
    ("value", "text", "flags"),
    [
        ("王^小东".encode("gb18030"), "王^小东", ["charset-guessed:gb18030"]),
        (b"WANG^XIAODONG=" + "王^小东".encode("gb18030"), "WANG^XIAODONG=王^小东", ["charset-guessed:gb18030"]),
        ("Jörg^Łukasz".encode(), "Jörg^Łukasz", ["charset-guessed:utf-8"]),
        ("Conceição".encode("latin-1"), "Conceição", []),
        ("Þóra^Páll".encode("latin-1"), "Þóra^Páll", []),
        ("Müller".encode("latin-1"), "Müller", []),
    ],
)
def test_text_when_latin_1_is_declared_then_what_can_be_no_name_in_it_is_recognised(
    value: bytes, text: str, flags: list[str]
) -> None:
    body = element(0x0008_0005, b"CS", b"ISO_IR 100") + element(0x0010_0010, b"PN", value + b" " * (len(value) % 2))
    reader = Reader(read_dataset(BytesIO(body), is_implicit_VR=False, is_little_endian=True))
    assert (reader.text("PatientName"), reader.flags) == (text, flags)


def test_items_when_the_sender_is_known_then_their_text_is_read_so_too() -> None:
    item = element(0x0008_0104, b"LO", "前列腺".encode("gb18030"))
    sequence = element(0x0008_2218, b"SQ", b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item)
    dataset = read_dataset(BytesIO(sequence), is_implicit_VR=False, is_little_endian=True)
    reader = Reader(dataset, undeclared="ISO_IR 144")
    (inside,) = reader.items("AnatomicRegionSequence")
    assert inside.text("CodeMeaning") == "前列腺".encode("gb18030").decode("iso-8859-5")
    assert reader.flags == ["charset-of-sender:ISO_IR 144"]
