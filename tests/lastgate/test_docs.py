"""The documents tell what there is: every command, setting, finding, error, link; and nothing that does not exist."""

import configparser
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from archive.gate.words import Words, standard_words
from archive.model import Severity
from ingest import errors as ingest_errors
from lastgate.cli.app import app
from lastgate.settings import Settings, load_settings
from tests.lastgate import pages

COMMANDS_PAGE = pages.DOCS / "commands.md"
MANAGER_PAGE = pages.DOCS / "file-manager.md"
ADMINISTRATOR_PAGE = pages.DOCS / "administrator.md"
GLOSSARY = pages.DOCS / "glossary.md"
ROOMS = ("lastgate", "web", "ingest", "reports", "courses", "search", "dose", "archive", "storage")


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _walk(inner, f"{name} {part}")


COMMANDS: dict[str, Any] = dict(_walk(typer.main.get_command(app), "lastgate"))


def _options(command: Any) -> set[str]:
    return {option for one in command.params for option in (*one.opts, *one.secondary_opts) if option.startswith("-")}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_page_when_a_command_exists_then_its_section_is_complete(name: str) -> None:
    section = pages.section(COMMANDS_PAGE, name)
    assert section, f"docs/commands.md has no heading '## {name}'"
    told = {word for span in pages.spans(section) for word in re.findall(r"--?[a-z][a-z-]*", span)}
    assert _options(COMMANDS[name]) <= told
    arguments = [one for one in COMMANDS[name].params if one.param_type_name == "argument"]
    for argument in arguments:
        shown = (argument.metavar or argument.name).strip("[]").removesuffix("...").upper()
        assert any(shown in span.upper() for span in pages.spans(section)), argument.name
    examples = [line for body in pages.blocks(section, "") for line in body.splitlines()]
    assert any(line.startswith(name) for line in examples)
    assert re.search(r"^Exit codes:", section, flags=re.M)


def test_commands_page_when_it_has_a_heading_of_a_command_then_there_is_one() -> None:
    told = {heading for heading in pages.headings(COMMANDS_PAGE) if heading.startswith("lastgate")}
    assert told == set(COMMANDS)


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.name)
def test_pages_when_they_show_a_command_line_then_the_program_would_take_it(path: Path) -> None:
    lines = [line for body in pages.blocks(pages.text(path), "") for line in body.splitlines()]
    lines += [span for span in pages.spans(pages.text(path)) if span.startswith("lastgate ")]
    for line in lines:
        for shown in re.findall(r"(?:^|/bin/|; )(lastgate(?: [^;#]*)?)", line):
            words = shown.split()
            if "COMMAND" in words or "/" in words:  # the help of any command; the list of rooms
                continue
            name = next(" ".join(words[:end]) for end in (3, 2, 1) if " ".join(words[:end]) in COMMANDS)
            assert len(words) == 1 or words[1].startswith("-") or name != "lastgate", line
            used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            assert used <= _options(COMMANDS[name]) | {"--help"}, line


def _modules() -> Iterator[Any]:
    for room in ROOMS:
        package = importlib.import_module(room)
        for info in pkgutil.walk_packages(package.__path__, prefix=f"{room}."):
            yield importlib.import_module(info.name)


def _errors() -> dict[str, type[Exception]]:
    found = {
        value
        for module in _modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception) and "code" in vars(value)
    }
    coded = [error for error in found if str(vars(error)["code"]).startswith("LG-")]
    codes = Counter(vars(error)["code"] for error in coded)
    assert [code for code, count in codes.items() if count > 1] == []
    return {vars(error)["code"]: error for error in coded}


def test_error_tables_when_compared_with_the_code_then_each_has_its_line_and_no_other_is_told() -> None:
    told = {row[0]: row for row in pages.rows(pages.section(ADMINISTRATOR_PAGE, "Error codes")) if "LG-" in row[0]}
    errors = _errors()
    assert set(told) == set(errors)
    assert {code: row[1] for code, row in told.items()} == {code: error.__name__ for code, error in errors.items()}
    assert all(len(row) == 4 and all(row) for row in told.values())


def test_hints_when_they_name_a_command_then_it_exists() -> None:
    hints = [getattr(error, "hint", "") for error in _errors().values()]
    hints += [words.fix for words in standard_words().values()]
    sources = [path.read_text("utf-8") for room in ROOMS for path in (pages.ROOT / room).rglob("*.py")]
    hints += [hint for source in sources for hint in re.findall(r'hint=f?"([^"]+)"', source)]
    named = {name for hint in hints for name in re.findall(r"\blastgate ([a-z][a-z-]+)", hint)}
    assert named
    assert {f"lastgate {name}" for name in named} <= set(COMMANDS)


def _settings(model: type[BaseModel] = Settings, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _settings(part, f"{before}{name}.")
        else:
            yield f"{before}{name}", field.default


@pytest.mark.parametrize(("name", "default"), list(_settings()), ids=lambda value: str(value))
def test_settings_when_one_exists_then_it_has_a_heading_with_variable_and_default(name: str, default: object) -> None:
    section = pages.section(ADMINISTRATOR_PAGE, name)
    assert section, f"docs/administrator.md has no heading '### {name}'"
    variable = f"LASTGATE_{name.upper().replace('.', '__')}"
    if default in (None, ""):
        assert section.lstrip().startswith(f"`{variable}`, no default")
    else:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        assert section.lstrip().startswith(f"`{variable}`, default `{shown}`.")


def test_settings_when_the_page_has_a_heading_of_one_then_it_exists() -> None:
    told = re.findall(r"^### (\S+)$", pages.section(ADMINISTRATOR_PAGE, "Settings"), flags=re.M)
    assert told == [name for name, _ in _settings()] or set(told) == {name for name, _ in _settings()}
    variables = {
        span.split("=")[0]
        for path in pages.PAGES
        for span in pages.spans(pages.text(path))
        if re.match(r"LASTGATE_[A-Z]", span) and "*" not in span
    }
    real = {f"LASTGATE_{name.upper().replace('.', '__')}" for name, _ in _settings()}
    assert variables <= real | {"LASTGATE_CONFIG", "LASTGATE_PASSWORD"}


def test_settings_when_the_examples_are_read_then_the_program_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = pages.blocks(pages.text(ADMINISTRATOR_PAGE), "toml")
    assert len(examples) > 1
    for example in examples:
        path = tmp_path / "lastgate.toml"
        path.write_text(example, "utf-8")
        monkeypatch.setenv("LASTGATE_CONFIG", str(path))
        assert load_settings().home == Path("/srv/lastgate")


def test_unit_file_when_read_then_it_starts_the_node_with_its_settings() -> None:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.read_string(pages.blocks(pages.text(ADMINISTRATOR_PAGE), "ini")[0])
    assert unit["Service"]["ExecStart"].endswith("/bin/lastgate serve")
    assert unit["Service"]["Environment"].startswith("LASTGATE_CONFIG=")
    assert unit["Unit"]["RequiresMountsFor"] == unit["Service"]["ReadWritePaths"] == "/srv/lastgate"


def _who_may(words: Words) -> str:
    if words.severity is Severity.NOTE:
        return "**Note**; it does not hold the dossier."
    gravity = f"**{words.severity.value.capitalize()}**"
    if not words.waivable_by:
        return f"{gravity}; nobody may sign."
    if words.severity is Severity.URGENT:
        return f"{gravity}; a {' and a '.join(words.waivable_by)} must both sign."
    return f"{gravity}; a {' or a '.join(words.waivable_by)} may sign."


@pytest.mark.parametrize("code", standard_words())
def test_findings_when_one_can_be_raised_then_it_is_explained_with_who_may_sign(code: str) -> None:
    section = pages.section(MANAGER_PAGE, code)
    assert section, f"docs/file-manager.md has no heading '### {code}'"
    assert section.strip().splitlines()[0] == _who_may(standard_words()[code])
    assert len(section.split()) > 15


def test_findings_when_the_page_explains_one_then_it_can_be_raised() -> None:
    told = re.findall(r"^### ([A-Z0-9-]+)$", pages.section(MANAGER_PAGE, "Findings"), flags=re.M)
    assert set(told) == set(standard_words())
    assert len(told) == len(set(told))


def _kept_out() -> set[str]:
    """Return the codes of what is not filed: bad data sets, what an import does not take, what can't be described."""
    roots = (
        ingest_errors.BadDataSet,
        ingest_errors.Mismatch,
        ingest_errors.TooLarge,
        ingest_errors.NotTaken,
        ingest_errors.Undescribable,
    )
    return {code for code, error in _errors().items() if issubclass(error, roots)}


def test_quarantine_when_something_is_kept_out_then_its_reason_is_explained() -> None:
    told = re.findall(r"^#### (LG-\S+)$", pages.text(MANAGER_PAGE), flags=re.M)
    assert set(told) == _kept_out()
    for code in told:
        assert re.search(r"quarantined|refused", pages.section(MANAGER_PAGE, code), flags=re.I), code


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.name)
def test_links_when_they_stay_inside_then_they_lead_somewhere(path: Path) -> None:
    for target in pages.links(path):
        place, _, name = target.partition("#")
        assert "://" not in target, f"{target} leads outside"
        aim = (path.parent / place).resolve() if place else path
        assert aim.exists(), f"{path.name} links to {target}"
        if name:
            assert name in {pages.anchor(heading) for heading in pages.headings(aim)}, f"{path.name} links to {target}"


def test_headings_when_linked_to_then_no_page_has_two_of_one_name() -> None:
    for path in pages.PAGES:
        linked = {
            target.partition("#")[2]
            for other in pages.PAGES
            for target in pages.links(other)
            if ((other.parent / target.partition("#")[0]).resolve() if target[0] != "#" else other) == path
        } - {""}
        names = Counter(pages.anchor(heading) for heading in pages.headings(path))
        assert {name: names[name] for name in linked if names[name] > 1} == {}, path.name


_WORDS = """
Instance, Variant, Conflict, Patient, Course, Phase, Revision, Plan, Session, Fraction, Close, Dossier, Intake, Gate,
Finding, Waiver, Fact, Receipt, Decision, Seal, Addendum, Vault, Index, Journal, Composite dose, Summary, Held, Walker,
Spool, Filer, Ports, House, Desk, Fold, Quarantine, Node, Arrival, Ruling, Tombstone, Patient key, Work store,
Vault store
"""


@pytest.mark.parametrize("word", [word.strip() for word in _WORDS.split(",")])
def test_glossary_when_a_word_is_used_then_it_is_explained_in_a_sentence(word: str) -> None:
    told = {one: row for row in pages.rows(pages.text(GLOSSARY)) for one in re.findall(r"\*\*([^*]+)\*\*", row[0])}
    assert len(told[word][1].split()) > 3


def test_pages_when_read_then_nothing_in_them_waits_to_be_written() -> None:
    waiting = re.compile(r"\b(TODO|TBD|FIXME|XXX|lorem ipsum|to be written|coming soon)\b", re.I)
    assert [path.name for path in pages.PAGES if waiting.search(pages.text(path))] == []
