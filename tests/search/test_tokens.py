"""Text is folded and cut so that a word is found by its beginning, in every script."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search.tokens import MAX_TOKEN_CHARS, MAX_VALUE_CHARS, clean, exact, fold, parts, suffixes, tokens, whole, words


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＷＡＮＧ　Ｘｉａｏ", "wang xiao"),  # full width
        ("ﾔﾏﾀﾞ", "やまだ"),  # half-width katakana with its own voicing mark
        ("ヤマダ", "やまだ"),
        ("Jérôme ÅNGSTRÖM", "jerome angstrom"),
        ("Straße", "strasse"),
        ("ŁUKASZ ØRSTED", "lukasz orsted"),
        ("İstanbul ı", "istanbul i"),
        ("Διονύσιος", "διονυσιοσ"),
        ("Nguyễn Văn", "nguyen van"),
        ("O’Brien", "o'brien"),
        ("head–neck", "head-neck"),
        ("阿不都•买买提", "阿不都·买买提"),
        ("йод", "йод"),  # the breve of a Cyrillic letter makes it another letter
        ("がく", "がく"),  # and so does the voicing mark of a kana
        ("홍길동", "홍길동"),
        ("a\x00b\tc\u200bd", "a b cd"),
        ("\ud800x", "\ufffdx"),
    ],
)
def test_fold_of_what_looks_alike_gives_one_text(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_fold_leaves_traditional_and_simplified_apart() -> None:
    assert fold("東") != fold("东")


@given(st.text())
@example("ŉ")
@example("ﾊ\u3099")
def test_fold_when_repeated_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(st.characters()))
def test_fold_and_clean_give_text_that_every_engine_can_store(text: str) -> None:
    for stored in (fold(text), clean(text)):
        assert "\0" not in stored
        assert stored == stored.strip()
        stored.encode()


@given(st.text())
def test_tokens_hold_a_beginning_for_every_word(text: str) -> None:
    found = tokens(text)
    for word in words(text):
        assert any(token.startswith(word[:MAX_TOKEN_CHARS]) for token in found)
        for part in parts(word)[:8]:
            assert any(token.startswith(part[:MAX_TOKEN_CHARS]) for token in found)


@given(st.text("王小东李山田", min_size=1, max_size=12), st.data())
def test_tokens_of_han_text_find_every_stretch_of_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert any(token.startswith(text[start:end]) for token in tokens(text))


def test_suffixes_of_mixed_text_begin_at_runs_and_at_each_character() -> None:
    assert list(suffixes("ct定位1-b2")) == ["ct定位1-b2", "定位1-b2", "位1-b2", "1-b2", "b2"]


def test_suffixes_of_endless_text_are_bounded() -> None:
    found = list(suffixes("长" * 10_000))
    assert len(found) <= 48
    assert {len(one) for one in found} == {MAX_TOKEN_CHARS}


def test_tokens_of_signed_words_hold_them_written_together() -> None:
    assert "ptv60gy" in tokens("PTV_60Gy")
    assert tokens("***") == {"***"}
    assert tokens("") == frozenset()


def test_words_part_at_commas_and_name_marks_only() -> None:
    assert words("Wang,Xiaodong^A=B；c d*e [f] o'g") == ["wang", "xiaodong", "a", "b", "c", "d*e", "[f]", "o'g"]


def test_exact_keeps_case_and_leading_zeros() -> None:
    assert exact("  00A1 ") == "00A1"
    assert whole("  00A1 ") == "00a1"
    assert len(exact("x" * 999)) == len(whole("x" * 999)) == MAX_VALUE_CHARS
