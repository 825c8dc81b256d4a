"""Rules of the house that no room can test alone: its names, its import rules, its lock files, what it must not say."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = tuple(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])

BREACHES = {
    "An upper room may know a lower one, rooms on one line never each other": ("storage", "import archive.model"),
    "Templates are data: they know nobody": ("templates", "import storage.base"),
    "dose knows arrays and pydicom, not the archive": ("dose", "import archive.errors"),
    "boto3 only in storage": ("archive", "import boto3"),
    "SimpleITK only in dose": ("courses", "import SimpleITK"),
    "numba only in dose": ("lastgate", "import numba"),
    "elasticsearch only in search": ("courses", "import elasticsearch"),
    "pynetdicom only in ingest": ("lastgate", "import pynetdicom"),
    "reportlab only in reports": ("ingest", "import reportlab"),
    "typer and rich only in lastgate": ("reports", "import rich"),
}
"""For each contract a module that breaks it."""

# Put together here, so that this file does not say them itself.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("repo1", "maven", "org"),
        ("maven", "apache", "org"),
        ("crates", "io"),
        ("anaconda", "org"),
        ("proxy", "golang", "org"),
    )
)


def _committed() -> list[Path]:
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip("This is no clone: what is committed can't be told.")
    return [path for name in told.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_rooms_when_packages_are_installed_then_none_but_ours_brings_one_of_our_names() -> None:
    provided = importlib.metadata.packages_distributions()
    others = {room: set(provided.get(room, ())) - {"lastgate"} for room in ROOMS}
    assert {room: names for room, names in others.items() if names} == {}
    assert set(ROOMS) & set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_room_when_imported_then_is_the_one_of_this_repository(room: str) -> None:
    found = importlib.util.find_spec(room)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin) == ROOT / room / "__init__.py"
    assert (ROOT / room / "py.typed").is_file()


def _lint(folder: Path) -> tuple[int, str]:
    program = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    return told.returncode, told.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms and their rules, elsewhere."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_import_rules_when_each_is_broken_once_then_each_is_reported(copy: Path) -> None:
    """A rule that can't fail keeps nobody out."""
    contracts = [contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]]
    assert set(BREACHES) == set(contracts)
    code, told = _lint(copy)
    assert (code, f"{len(contracts)} kept, 0 broken" in told) == (0, True), told
    for number, (room, line) in enumerate(BREACHES.values()):
        (copy / room / f"breach_{number}.py").write_text(f'"""Breaks a rule."""\n\n{line}\n', "utf-8")
    code, told = _lint(copy)
    assert code == 1
    assert f"0 kept, {len(contracts)} broken" in told
    for room, line in BREACHES.values():
        breach = re.escape(line.removeprefix("import "))
        assert re.search(rf"{room}\.breach_\d+ -> {breach}", told), (room, line)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda path: path.name)
def test_lock_file_when_read_then_names_digests_and_no_address(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert " @ " not in text
    wanted = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert wanted
    assert all("==" in line and line.endswith("\\") for line in wanted)
    assert text.count("--hash=sha256:") >= len(wanted)


def test_committed_files_when_read_then_name_no_path_of_this_machine() -> None:
    """The folder this clone lies in, and the home of whoever runs this."""
    places = {str(place).rstrip("/") + "/" for place in (ROOT, ROOT.parent, Path.home())} - {"/"}
    assert _holding(places) == {}


def test_committed_files_when_read_then_name_no_registry() -> None:
    assert _holding(set(REGISTRIES)) == {}


def test_committed_files_when_searched_then_a_forbidden_word_would_be_found() -> None:
    assert str(Path(__file__).relative_to(ROOT)) in _holding({"import rules, its lock files"})


def _holding(words: set[str]) -> dict[str, list[str]]:
    wanted = {word: word.encode() for word in words}
    found = {}
    for path in _committed():
        body = path.read_bytes()
        held = [word for word, raw in wanted.items() if raw in body]
        if held:
            found[str(path.relative_to(ROOT))] = held
    return found
