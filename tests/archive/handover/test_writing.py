"""A package is there whole or not at all, and nothing is ever written over."""

import hashlib
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archive.handover.errors import NoRoom, TargetTaken
from archive.handover.writing import new_package
from storage.errors import DigestMismatch


def test_package_when_written_then_it_is_there_with_both_digests_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with new_package(target, needed_bytes=5) as package:
        written = package.write("a/b.txt", [b"he", b"llo"], sha256=hashlib.sha256(b"hello").hexdigest())
        assert not target.exists()
    assert (target / "a" / "b.txt").read_bytes() == b"hello"
    assert (written.size_bytes, written.sha512) == (5, hashlib.sha512(b"hello").hexdigest())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_package_when_a_file_is_not_what_is_kept_then_nothing_of_it_is_left(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch, match="would not be what is kept"):
        _write_rotten(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def _write_rotten(target: Path) -> None:
    with new_package(target, needed_bytes=0) as package:
        package.write("good", [b"good"])
        package.write("bad", [b"rotten"], sha256=hashlib.sha256(b"sound").hexdigest())


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_package_when_something_is_there_then_it_is_refused_and_stays_as_it_was(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "out")
    with pytest.raises(TargetTaken, match="is there already"), new_package(tmp_path / "out", needed_bytes=0):
        pytest.fail("it was begun")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_package_when_the_folder_above_is_missing_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetTaken, match="There is no folder"), new_package(tmp_path / "no" / "out", needed_bytes=0):
        pytest.fail("it was begun")


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_package_when_the_disk_has_too_little_free_then_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(1, 1, 100 * 1024 * 1024))
    with new_package(tmp_path / "small", needed_bytes=1024):
        pass
    with pytest.raises(NoRoom), new_package(tmp_path / "large", needed_bytes=90 * 1024 * 1024):
        pytest.fail("it was begun")
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../beside", "a/../../b"])
def test_package_when_a_path_leads_out_of_it_then_it_is_no_path(tmp_path: Path, path: str) -> None:
    with new_package(tmp_path / "out", needed_bytes=0) as package, pytest.raises(ValueError, match="no path inside"):
        package.write(path, [b"x"])


def test_package_when_a_file_is_written_twice_then_the_first_one_stands(tmp_path: Path) -> None:
    with new_package(tmp_path / "out", needed_bytes=0) as package:
        package.write("a", [b"first"])
        with pytest.raises(FileExistsError):
            package.write("a", [b"second"])
    assert (tmp_path / "out" / "a").read_bytes() == b"first"
