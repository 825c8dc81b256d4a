"""Every warning and every reason of a composite has its Chinese: collected from the code itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import courses
import lastgate.composing
from reports.composite_notes import translated
from reports.wording import load_words

ROOM = Path(courses.__path__[0])
WARNING_SOURCES = (
    (ROOM / "answers.py", "_warnings"),
    (ROOM / "delivered.py", "_notes"),
)


def _pattern(node: ast.expr) -> str:
    """Return a string literal as its pattern: names in braces become ``{}``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    assert isinstance(node, ast.JoinedStr)
    return "".join("{}" if isinstance(one, ast.FormattedValue) else _pattern(one) for one in node.values)


def _yielded(path: Path, function: str) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    (body,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function]
    for node in ast.walk(body):
        if isinstance(node, ast.Yield) and node.value is not None:
            yield _pattern(node.value)


def _warnings() -> list[str]:
    found = [pattern for path, function in WARNING_SOURCES for pattern in _yielded(path, function)]
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


def test_warnings_when_collected_from_the_code_then_there_are_some_from_each_place() -> None:
    assert len(_warnings()) >= 9
