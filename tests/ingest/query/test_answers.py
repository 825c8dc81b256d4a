"""Answers written by our own encoder are what pydicom reads."""

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.filereader import read_dataset

from ingest.query.answers import AnswerWriter, Asked
from ingest.query.charset import decoded, encoder
from ingest.query.models import Source

KEYWORDS = ("StudyDate", "ModalitiesInStudy", "PatientName", "PatientID", "OtherPatientIDsSequence", "StudyInstanceUID",
            "Rows", "PatientComments", "NumberOfStudyRelatedInstances")  # fmt: skip
ASKED = tuple(
    Asked(tag_for_keyword(keyword) or 0, keyword, dictionary_VR(keyword), Source.STUDY)
    for keyword in sorted(KEYWORDS, key=lambda one: tag_for_keyword(one) or 0)
)
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_text = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20).map(
    lambda text: text.replace("\\", "")
)
_rows = st.fixed_dictionaries(
    {
        "StudyDate": st.sampled_from([None, "20240115"]),
        "ModalitiesInStudy": st.sampled_from([None, "CT", "CT\\RTPLAN"]),
        "PatientName": st.one_of(st.none(), _text.map(lambda text: text.replace("=", "").replace("^", ""))),
        "PatientID": st.one_of(st.none(), _text),
        "OtherPatientIDsSequence": st.one_of(
            st.none(), st.lists(st.fixed_dictionaries({"PatientID": _text}), max_size=2)
        ),
        "StudyInstanceUID": st.sampled_from([None, "1.2.3", "1.2.34"]),
        "Rows": st.sampled_from([None, "512"]),
        "PatientComments": st.one_of(st.none(), _text),
        "NumberOfStudyRelatedInstances": st.sampled_from([None, "12"]),
    }
)


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(row=_rows)
def test_answer_when_read_by_pydicom_then_it_says_what_was_written(syntax: str, row: dict[str, Any]) -> None:
    raw = AnswerWriter(ASKED, (), syntax).write([row[one.keyword] for one in ASKED])
    assert len(raw) % 2 == 0
    read = read_dataset(BytesIO(raw), syntax == SYNTAXES[0], syntax != SYNTAXES[2])
    assert read.SpecificCharacterSet == "ISO_IR 192"
    for keyword, value in row.items():
        element = read[keyword]
        if not value:
            assert element.is_empty or (keyword == "OtherPatientIDsSequence" and not element.value)
        elif keyword == "OtherPatientIDsSequence":
            assert [str(item.PatientID) for item in element.value] == [item["PatientID"] for item in value]
        elif element.VM > 1:
            assert "\\".join(element.value) == value
        else:
            assert str(element.value) == value


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("ISO_IR 100",), "Müller^Jürgen"),
        (("GB18030",), "Wang^XiaoDong=王^小东"),
        (("GBK",), "王^小东"),
        (("ISO_IR 192",), "𠮷野^家"),
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
        (("ISO 2022 IR 6", "ISO 2022 IR 58"), "Zhang^XiaoDong=张^小东"),
    ],
)
def test_text_when_written_in_a_character_set_then_it_is_read_back(names: tuple[str, ...], text: str) -> None:
    assert decoded(encoder(names)(text, "PN"), "PN", names) == text


@pytest.mark.parametrize("names", [("ISO_IR 100",), ("",), ("ISO_IR 6",), ("", "ISO 2022 IR 87")])
def test_text_when_a_character_set_lacks_it_then_it_is_refused_there(names: tuple[str, ...]) -> None:
    with pytest.raises(UnicodeEncodeError):
        encoder(names)("𠮷野^家", "PN")


@pytest.mark.parametrize("raw", ["王^小东".encode("gb18030"), "王^小东".encode()])
@pytest.mark.parametrize("names", [(), ("ISO_IR 6",), ("UNKNOWN",)])
def test_text_when_its_character_set_is_not_said_or_unknown_then_it_is_guessed(
    raw: bytes, names: tuple[str, ...]
) -> None:
    assert decoded(raw, "PN", names) == "王^小东"
