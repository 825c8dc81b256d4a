"""Lines fit their width as a terminal counts it, and no mark begins one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lastgate.plaintext import fold

CHINESE = "计划 LungL_SBRT\uff1a5个治疗日中有5日没有摆位图像或其配准\uff0c请从治疗机发送\u3002" * 3


@pytest.mark.parametrize("width", [20, 33, 40, 76])
def test_fold_when_chinese_and_english_mix_then_each_line_fits_and_nothing_is_lost(width: int) -> None:
    lines = fold(CHINESE, 3, 2, width=width).split("\n")
    assert all(cell_len(line) <= width + 2 for line in lines)
    assert "".join("".join(lines).split()) == "".join(CHINESE.split())
    assert not any(line.strip()[0] in "\uff0c\u3002\uff1a,.:" for line in lines)
    assert lines[0].startswith("   计")
    assert all(line.startswith("     ") for line in lines[1:])


def test_fold_when_a_word_is_longer_than_the_line_then_it_stays_whole() -> None:
    assert fold("see 2.25.12345678901234567890 there", width=10).split("\n") == [
        "see",
        "2.25.12345678901234567890",
        "there",
    ]


def test_fold_when_there_is_nothing_then_is_one_empty_line() -> None:
    assert fold("") == ""


@given(st.text(alphabet="ab 计划\uff0c\u3002,.", max_size=80), st.integers(10, 40))
def test_fold_when_given_any_text_then_the_words_are_the_same(text: str, width: int) -> None:
    assert "".join(fold(text, 2, 2, width=width).split()) == "".join(text.split())
