"""Names of one person are recognised in every way they are written."""

import pytest

from search.likeness import spelling_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("王小东", "WANG^XIAODONG"),
        ("WANG^XIAODONG=王^小东", "王小东"),
        ("王小东", "Wang Xiao Dong"),
        ("WANG^XIAODONG", "XIAODONG^WANG"),
        ("XIAO DONG^WANG", "王^小东"),
        ("Wang^Xiao^Dong", "王小东"),
        ("ÍõÐ¡¶«", "王小东"),  # GBK bytes taken for Latin letters
        ("ÍõÐ¡¶«", "WANG^XIAODONG"),
        ("欧阳小东", "OUYANG^XIAODONG"),
        ("吕布", "LYU^BU"),
        ("Smith^John", "JOHN^SMITH"),
        ("Müller^Änne", "muller^anne"),
    ],
)
def test_spelling_when_one_person_is_written_in_two_ways_then_they_share_a_full_one(one: str, other: str) -> None:
    assert spelling_of(one).full & spelling_of(other).full


@pytest.mark.parametrize("short", ["W X D", "WXD", "W^XD", "W.X.D.", "w^x^d", "X D W"])
@pytest.mark.parametrize("name", ["王小东", "WANG^XIAODONG", "Wang^Xiao^Dong", "XIAODONG^WANG"])
def test_spelling_when_a_name_is_written_by_initials_then_they_are_those_of_the_full_one(name: str, short: str) -> None:
    assert spelling_of(short).is_short
    assert not spelling_of(short).full
    assert spelling_of(short).initials & spelling_of(name).initials
    assert not spelling_of(name).is_short


@pytest.mark.parametrize(
    ("one", "other"),
    [("王小东", "WANG^XIAOXI"), ("王小东", "李小东"), ("Smith^John", "Smith^Jane"), ("W X D", "L X D")],
)
def test_spelling_of_others_then_nothing_is_shared(one: str, other: str) -> None:
    assert not spelling_of(one).full & spelling_of(other).full
    assert not spelling_of(one).initials & spelling_of(other).initials or spelling_of(one).full


@pytest.mark.parametrize("name", ["", "^^", "=", "\\"])
def test_spelling_of_nothing_then_it_is_empty(name: str) -> None:
    assert not spelling_of(name).full | spelling_of(name).initials


@pytest.mark.parametrize("name", ["Wu^Li", "Li", "An", "Yu^E"])
def test_spelling_of_a_short_syllable_then_it_is_a_name_and_no_initials(name: str) -> None:
    assert not spelling_of(name).is_short
