"""A person is found by every way of writing the name, and listed where a reader looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.names import NameGroup, canonical_group, groups, name_forms, name_sort_key, name_tokens
from search.tokens import MAX_TOKEN_CHARS, MAX_VALUE_CHARS


def finds(text: str, name: str) -> bool:
    """Return whether each word of `text` is the beginning of a token of `name`."""
    tokens = name_tokens(name)
    return all(any(token.startswith(word) for token in tokens) for word in text.split())


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("王^小东", "王小东 小东 东 wangxiaodong xiaodong dong wxd wangxd xiaodongwang wangx"),
        ("王小东", "王小东 小东 wangxiaodong wxd wangxd"),
        ("WANG^XIAODONG", "wang xiaodong wangxiaodong xiaodongwang wxd wx"),
        ("Wang Xiaodong", "wang xiaodong wangxiaodong xiaodongwang wxd"),
        ("Wang^XiaoDong=王^小东=", "王小东 小东 wangxiaodong wxd"),
        ("=王^小东", "王小东 wxd"),
        ("欧阳^小东", "欧阳 ouyang ouyangxd oyxd"),
        ("欧阳小东", "ouyangxd xiaodongouyang"),
        ("曾^国藩", "zengguofan cengguofan zgf"),
        ("单^田芳", "shantianfang dantianfang stf dtf"),
        ("解^晓东", "xiexiaodong jiexiaodong xxd"),
        ("仇^英", "qiuying chouying qy"),
        ("万俟^雅言", "moqiyayan mqyy"),
        ("吕^布", "lvbu lubu lyubu lb"),
        ("李^乐", "lile liyue"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada tarou 山田太郎 やまだ たろう やまだたろう"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "hong gildong 홍길동 길동 洪吉洞"),
        ("O'Brien^Seán", "o'brien obrien brien sean obriensean"),
        ("Müller-Lüdenscheidt^Jürgen^^Dr.", "muller ludenscheidt muller-lud mullerludenscheidt jurgen dr"),
        ("Smith^John^Peter", "smith john peter johnpetersmith sjp jps"),
        ("阿不都·买买提", "阿不都买买提 买买提 abudou maimaiti"),
        ("Wang^Wu\\Zhao^Liu", "wang zhao zhaoliu"),
    ],
)
def test_name_tokens_of_a_person_are_found_by(name: str, texts: str) -> None:
    missed = [text for text in texts.split() if not finds(text, name)]
    assert not missed


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("yu", "王^小东"),  # 王 is read yu in classical texts only
        ("pang", "李^方"),
        ("王晓东", "王^小东"),
        ("王東", "王^东"),  # traditional is not simplified
        ("小王", "王^小东"),
        ("wd", "WANG^XIAO"),
        ("iaodong", "Wang^Xiaodong"),
    ],
)
def test_name_tokens_of_a_person_are_not_found_by(text: str, name: str) -> None:
    assert not finds(text, name)


def test_name_forms_of_a_chinese_name_hold_what_a_query_may_ask_for() -> None:
    forms = name_forms("王^小东")
    assert {"王^小东", "王小东", "王 小东", "wang^xiaodong", "wangxiaodong", "wang xiaodong", "xiaodong wang"} <= forms
    assert "王^小东" in name_forms("王小东")


def test_name_forms_of_plain_text_hold_both_guesses_at_the_family_name() -> None:
    assert {"wang^xiaodong", "xiaodong^wang"} <= name_forms("Wang Xiaodong")
    assert "xiaodong^wang" not in name_forms("Wang^Xiaodong")


def test_groups_of_a_name_read_all_components() -> None:
    assert groups("Smith^John^Peter^Dr^III=史密斯") == (
        NameGroup(family="smith", given="john", middle="peter", title="dr iii"),
        NameGroup(family="史密斯"),
    )
    assert groups("Smith, John")[0] == NameGroup(family="smith", given="john")
    assert groups("^") == groups("") == ()


def test_canonical_group_of_a_pattern_is_written_like_the_forms() -> None:
    assert canonical_group(" WANG ^ Xiao* ^^") == "wang^xiao*"


def test_name_sort_key_lists_chinese_names_by_pinyin() -> None:
    names = ["张^三", "Zhang^Si", "李^四", "Adams", "单^田芳", "やまだ", "曾^国藩", "Wang^Wu=王^五"]
    assert sorted(names, key=name_sort_key) == [
        "Adams", "李^四", "单^田芳", "Wang^Wu=王^五", "曾^国藩", "张^三", "Zhang^Si", "やまだ",
    ]  # fmt: skip
    assert name_sort_key("^") == ""


@given(st.text(max_size=40))
def test_names_of_any_text_give_bounded_tokens(name: str) -> None:
    assert all(0 < len(token) <= MAX_TOKEN_CHARS for token in name_tokens(name))
    assert all(0 < len(form) <= MAX_VALUE_CHARS for form in name_forms(name))
    assert len(name_sort_key(name)) <= MAX_VALUE_CHARS


def test_names_of_absurd_length_give_few_tokens() -> None:
    assert len(name_tokens("长乐" * 5000 + "^" + "lian" * 5000)) < 500
