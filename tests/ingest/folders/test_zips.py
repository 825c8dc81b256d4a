"""Zip archives: sound ones are looked into, dangerous ones are refused whole."""

import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.folders.import_folder import ImportLimits
from ingest.folders.zips import ZipLimits
from tests.ingest.conftest import House
from tests.ingest.datasets import dataset, part10

ONE = part10(dataset())


def archive(path: Path, members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as target:
        for name, body in members.items():
            target.writestr(name, body)
    return path


def test_import_when_an_archive_is_sound_then_its_members_are_taken(house: House, tmp_path: Path) -> None:
    path = archive(
        tmp_path / "study.zip",
        {
            "ct/1.dcm": ONE,
            "ct/2.dcm": part10(dataset(instance="1.2.5"), instance="1.2.5"),
            "notes.txt": b"hello",
            "__MACOSX/._1.dcm": b"litter",
            "inner.zip": b"PK\x03\x04 not looked into",
        },
    )

    report = house.take(path)

    found = {line.path.removeprefix(f"{path}/"): line.disposition for line in report.lines}
    assert found == {
        "ct/1.dcm": "stored",
        "ct/2.dcm": "stored",
        "notes.txt": "quarantined",
        "__MACOSX/._1.dcm": "ignored",
        "inner.zip": "quarantined",
    }
    assert house.receipts()[0].source.kind == "zip"


def test_import_when_an_office_document_comes_then_it_is_not_looked_into(house: House, tmp_path: Path) -> None:
    archive(tmp_path / "a.zip", {"word/document.xml": b"<w/>"}).rename(tmp_path / "report.docx")

    report = house.take(tmp_path / "report.docx")

    assert len(report.lines) == 1


def _slip(path: Path) -> None:
    archive(path, {"good.dcm": ONE, "../../evil.dcm": ONE})


def _absolute(path: Path) -> None:
    archive(path, {"good.dcm": ONE, "/etc/evil.dcm": ONE})


def _backslash(path: Path) -> None:
    archive(path, {"good.dcm": ONE, "..\\evil.dcm": ONE})


def _symlink(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("good.dcm", ONE)
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(link, "/etc/passwd")


def _twice(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as target:
            target.writestr("a.dcm", ONE)
            target.writestr("a.dcm", ONE + b"x")


def _case_clash(path: Path) -> None:
    archive(path, {"a.dcm": ONE, "A.DCM": ONE})


def _bomb(path: Path) -> None:
    archive(path, {"good.dcm": ONE, "bomb": bytes(64 * 1024 * 1024)})


def _damaged(path: Path) -> None:
    archive(path, {"a.dcm": ONE}, method=zipfile.ZIP_STORED)
    body = bytearray(path.read_bytes())
    body[200] ^= 1
    path.write_bytes(bytes(body))


def _forged_size(path: Path) -> None:
    archive(path, {"a.dcm": ONE})
    body = bytearray(path.read_bytes())
    directory = body.index(b"PK\x01\x02")
    body[directory + 24 : directory + 28] = struct.pack("<I", 10)
    path.write_bytes(bytes(body))


def _overlapping(path: Path) -> None:
    archive(path, {"a.dcm": ONE, "b.dcm": ONE}, method=zipfile.ZIP_STORED)
    body = bytearray(path.read_bytes())
    second = body.index(b"PK\x01\x02", body.index(b"PK\x01\x02") + 4)
    body[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(bytes(body))


def _encrypted(path: Path) -> None:
    archive(path, {"a.dcm": ONE}, method=zipfile.ZIP_STORED)
    body = bytearray(path.read_bytes())
    body[body.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(body))


def _cut_off(path: Path) -> None:
    archive(path, {"a.dcm": ONE})
    path.write_bytes(path.read_bytes()[:-30])


DANGERS = (
    _slip,
    _absolute,
    _backslash,
    _symlink,
    _twice,
    _case_clash,
    _bomb,
    _damaged,
    _forged_size,
    _overlapping,
    _encrypted,
    _cut_off,
)


@pytest.mark.parametrize("make", DANGERS, ids=lambda make: make.__name__.strip("_"))
def test_import_when_an_archive_is_dangerous_then_it_is_refused_whole(
    house: House, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "danger.zip"
    make(path)

    report = house.take(path)

    assert [line.disposition for line in report.lines] == ["refused"]
    assert "LG-ING-404" in report.lines[0].reason
    assert house.receipts() == []
    assert house.objects("quarantine/") == {}
    assert not (tmp_path.parent / "evil.dcm").exists()


@pytest.mark.parametrize(
    "limits", [ZipLimits(members=1), ZipLimits(total_bytes=500), ZipLimits(member_bytes=100)], ids=str
)
def test_import_when_an_archive_holds_too_much_then_it_is_refused_whole(
    house: House, tmp_path: Path, limits: ZipLimits
) -> None:
    path = archive(tmp_path / "big.zip", {"a.dcm": ONE, "b.dcm": ONE})

    assert house.take(path, limits=ImportLimits(archives=limits)).counts == {"refused": 1}
