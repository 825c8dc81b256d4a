"""Characters to syllables, and Latin letters to initials."""

import pytest

from search.pinyin import initials, is_han, readings, split_surname


@pytest.mark.parametrize(
    ("name", "surname"),
    [("王小东", "王"), ("欧阳娜娜", "欧阳"), ("司马光", "司马"), ("王", "王"), ("万俟卨", "万俟"), ("东方", "东")],
)
def test_split_surname_of_a_chinese_name(name: str, surname: str) -> None:
    assert split_surname(name) == (surname, name[len(surname) :])


@pytest.mark.parametrize(
    ("family", "likeliest", "others"),
    [
        ("曾", "zeng", {"ceng"}),
        ("单", "shan", {"dan"}),
        ("解", "xie", {"jie"}),
        ("仇", "qiu", {"chou"}),
        ("區", "ou", {"qu"}),
        ("查", "zha", {"cha"}),
        ("盖", "ge", {"gai"}),
        ("朴", "piao", {"pu"}),
        ("吕", "lv", {"lu", "lyu"}),
        ("王", "wang", set()),
        ("尉迟", "yuchi", set()),
        ("欧阳", "ouyang", set()),
    ],
)
def test_readings_of_a_surname_begin_with_the_one_used_in_names(family: str, likeliest: str, others: set[str]) -> None:
    found = ["".join(surname) for surname, _ in readings(family, "")]
    assert found[0] == likeliest
    assert set(found[1:]) == others


def test_readings_of_a_given_name_change_one_character_at_a_time() -> None:
    found = {"".join(given) for _, given in readings("李", "乐行")}
    assert found == {"lexing", "yuexing", "lehang"}


@pytest.mark.parametrize("text", ["", "たろう", "홍", "wang", "王a", "王" * 17])
def test_readings_of_what_is_no_chinese_name_are_none(text: str) -> None:
    assert list(readings(text, "")) == []


def test_readings_of_a_character_without_a_reading_keep_it() -> None:
    assert list(readings("𠮷", "")) == [(("𠮷",), ())]
    assert is_han("𠮷")


@pytest.mark.parametrize(
    ("word", "found"),
    [("wang", {"w"}), ("xian", {"x", "xa"}), ("smith", set()), ("zhuang", {"z", "za"}), ("", {""}), ("a" * 25, set())],
)
def test_initials_of_a_latin_word_are_those_of_its_syllables(word: str, found: set[str]) -> None:
    assert initials(word) == found
