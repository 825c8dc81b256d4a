"""The built wheel holds what the program reads beside its code: tables, words and templates."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.lastgate.test_house_rules import PROJECT, ROOMS, ROOT

CODE = {".py", ".pyc", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be delivered."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def _tracked() -> set[str]:
    told = subprocess.run(
        ["git", "ls-files", "-z", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return {name for name in told if name and Path(name).suffix not in CODE and (ROOT / name).is_file()}


def test_wheel_when_built_then_every_file_beside_the_code_is_in_it_byte_for_byte(wheel: zipfile.ZipFile) -> None:
    beside = _tracked()
    assert beside <= set(wheel.namelist())
    assert all(wheel.read(name) == (ROOT / name).read_bytes() for name in beside)


def test_wheel_when_built_then_the_tables_of_biology_and_overlap_are_among_them(wheel: zipfile.ZipFile) -> None:
    tables = {f"dose/biology/data/{name}.toml" for name in ("limits", "recovery", "tissues")}
    assert tables | {"courses/overlap.toml", "courses/notices.toml"} <= set(wheel.namelist()) & _tracked()


def test_wheel_when_unpacked_elsewhere_then_the_tables_are_read_from_it(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    asked = (
        "from courses.biology import read_biology; from courses.overlap import overlap_rules; import dose;"
        "read = read_biology();"
        "print(dose.__file__, len(read.tissues.rows), len(read.limits.sets), len(read.recovery.models),"
        " overlap_rules().version)"
    )
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {asked}", tmp_path / "site"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    where, tissues, sets, rules, version = told.stdout.split()
    assert Path(where) == tmp_path / "site" / "dose" / "__init__.py"
    assert (int(tissues) > 20, int(sets), int(rules), bool(version)) == (True, 2, 5, True)


def test_wheel_when_built_then_it_holds_the_rooms_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)
    assert any(top.startswith(f"{PROJECT['project']['name']}-") for top in tops)
