"""Every warning and every reason of a composite has its Chinese: collected from the code itself."""

import ast
import re
import tomllib
from pathlib import Path
from string import Formatter

import pytest

import courses
import lastgate.composing
from courses.notices import notice
from reports.composite_notes import translated
from reports.wording import load_words

ROOM = Path(courses.__path__[0])


def _pattern(node: ast.expr) -> str:
    """Return a string literal as its pattern: names in braces become ``{}``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    assert isinstance(node, ast.JoinedStr)
    return "".join("{}" if isinstance(one, ast.FormattedValue) else _pattern(one) for one in node.values)


def _warnings() -> list[str]:
    found = []
    composing = ast.parse(Path(lastgate.composing.__file__).read_text("utf-8"))
    for node in ast.walk(composing):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "insert":
            found.append(_pattern(node.args[1]))
    return found


@pytest.mark.parametrize("pattern", _warnings())
def test_warning_when_printed_in_chinese_then_it_is_translated_with_its_names(pattern: str) -> None:
    words = load_words()["warning"]
    names = [f"NAME{n}" for n in range(pattern.count("{}"))]
    text = pattern.format(*names)

    chinese = translated(text, "zh", words)

    assert chinese != text
    assert all(name in chinese for name in names)
    assert translated(text, "en", words) == text


def test_warning_when_nobody_translated_it_then_it_stays_english() -> None:
    assert translated("Something new.", "zh", load_words()["warning"]) == "Something new."


def test_warnings_when_collected_from_the_code_then_there_are_some() -> None:
    assert _warnings()


NOTICES = tomllib.loads((ROOM / "notices.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", NOTICES)
def test_notice_when_told_then_both_languages_have_its_figures_and_say_what_to_do(name: str) -> None:
    told = NOTICES[name]
    figures = {one for key in ("en", "zh", "fix", "fix_zh") for _, one, _, _ in Formatter().parse(told[key]) if one}
    found = notice(name, **{one: f"FIGURE-{one}" for one in figures})

    assert re.fullmatch(r"LG-(CMP|REG|[A-Z]{3})-[0-9]{3}", found.code)
    assert all((found.words, found.words_zh, found.fix, found.fix_zh))
    assert re.search("[\u4e00-\u9fff]", found.words_zh)
    english = {one for _, one, _, _ in Formatter().parse(told["en"]) if one}
    chinese = {(one or "").removesuffix("_zh") for _, one, _, _ in Formatter().parse(told["zh"]) if one}
    # a reason is a sentence of another module, in English: the Chinese may do without it
    assert english - {"reason"} <= chinese | {"reason"}


def test_notices_when_compared_then_no_code_stands_for_two() -> None:
    codes = [told["code"] for told in NOTICES.values()]
    assert len(set(codes)) == len(codes)


def test_notices_when_the_code_names_them_then_all_are_there_and_none_is_left_over() -> None:
    named = {
        node.args[0].value
        for path in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "notice"
        and node.args and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    assert named == set(NOTICES)
