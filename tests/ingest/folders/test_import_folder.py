"""Imports: everything is accounted for, nothing dangerous is followed."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.headers import Identifier, InstanceKind
from ingest.filing.quarantine import Quarantine
from ingest.folders.import_folder import import_paths
from tests.ingest.conftest import House
from tests.ingest.datasets import dataset, part10, write_file


def test_import_when_a_folder_is_mixed_then_every_path_has_its_line(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_file(folder / "b" / "1.dcm")
    write_file(folder / "a" / "no-suffix", instance="1.2.8")
    (folder / "a" / "bare").write_bytes(dataset(instance="1.2.9"))
    (folder / "broken.dcm").write_bytes(part10(dataset())[:-1])
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7 hello")
    (folder / "empty").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "DICOMDIR").write_bytes(part10(dataset(), sop_class="1.2.840.10008.1.3.10"))

    report = house.take(folder)

    found = {str(Path(line.path).relative_to(folder)): line.disposition for line in report.lines}
    assert found == {
        ".DS_Store": "ignored",
        "DICOMDIR": "ignored",
        "a/bare": "stored",
        "a/no-suffix": "stored",
        "b/1.dcm": "stored",
        "broken.dcm": "quarantined",
        "empty": "refused",
        "letter.pdf": "quarantined",
    }
    assert sum(report.counts.values()) == len(report.lines) == 8
    assert not report.is_clean
    assert all(line.reason for line in report.lines if line.disposition not in ("stored",))


def test_import_when_files_are_kept_then_byte_for_byte_as_found(house: House, tmp_path: Path) -> None:
    bare = dataset(instance="1.2.9")
    odd = b"TIFF-like preamble".ljust(128, b"\0") + part10(dataset())[128:]
    (tmp_path / "bare").write_bytes(bare)
    (tmp_path / "odd").write_bytes(odd)

    house.take(tmp_path / "bare", tmp_path / "odd")

    assert sorted(house.objects("intake/").values()) == sorted([bare, odd])


def test_import_when_a_patient_is_named_then_documents_are_his(house: House, tmp_path: Path) -> None:
    (tmp_path / "consent.pdf").write_bytes(b"%PDF-1.7 consent")
    patient = Identifier(value="P1", issuer="HOSPITAL-A")

    report = house.take(tmp_path / "consent.pdf", patient=patient)

    (receipt,) = house.receipts()
    assert report.counts == {"stored": 1}
    assert receipt.header.kind is InstanceKind.DOCUMENT
    assert receipt.header.patient.identifier == patient
    assert receipt.header.document_title == "consent.pdf"
    assert receipt.key == f"intake/documents/{receipt.file_sha256[:2]}/{receipt.file_sha256}"
    assert house.take(tmp_path / "consent.pdf", patient=patient).counts == {"duplicate": 1}


def test_import_when_no_patient_is_named_then_the_document_waits_in_quarantine(house: House, tmp_path: Path) -> None:
    (tmp_path / "scan.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    report = house.take(tmp_path / "scan.png")

    (note,) = Quarantine(house.store).list()
    assert "No patient was named" in report.lines[0].reason
    assert note.reason == "LG-ING-406"


def test_import_when_a_dicom_file_is_a_program_too_then_it_is_isolated(house: House, tmp_path: Path) -> None:
    (tmp_path / "polyglot.dcm").write_bytes(b"MZ" + part10(dataset())[2:])

    report = house.take(tmp_path / "polyglot.dcm")

    assert report.counts == {"quarantined": 1}
    assert "LG-ING-403" in report.lines[0].reason


def test_import_when_the_file_meta_names_another_instance_then_the_data_set_counts_and_it_is_flagged(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "a.dcm").write_bytes(part10(dataset(instance="1.2.9"), instance="1.2.8"))

    house.take(tmp_path / "a.dcm")

    (receipt,) = house.receipts()
    assert receipt.header.sop_instance_uid == "1.2.9"
    assert "file-meta-differs" in receipt.header.flags


@pytest.fixture
def traps(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "traps"
    secret = write_file(tmp_path / "outside" / "secret.dcm")
    write_file(folder / "good.dcm", instance="1.2.8")
    (folder / "link.dcm").symlink_to(secret)
    (folder / "folder-link").symlink_to(secret.parent)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    write_file(folder / "new\nline.dcm", instance="1.2.7")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket must be short
        listening.bind("socket")
        os.chdir(here)
        yield folder


def test_import_when_links_pipes_and_sockets_lie_there_then_they_are_refused(house: House, traps: Path) -> None:
    report = house.take(traps)

    found = {Path(line.path).name: line.disposition for line in report.lines}
    assert found == {
        "folder-link": "refused",
        "good.dcm": "stored",
        "link.dcm": "refused",
        "loop": "refused",
        "new\nline.dcm": "refused",
        "pipe": "refused",
        "socket": "refused",
    }
    assert len(house.receipts()) == 1


def test_import_when_paths_are_not_there_or_not_readable_then_they_are_refused(house: House, tmp_path: Path) -> None:
    report = house.take(tmp_path / "missing", Path("/dev/null"))

    assert report.counts == {"refused": 2}


def test_import_when_a_file_is_longer_than_the_limit_then_it_is_not_even_read(house: House, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)

    report = house.take(tmp_path / "sparse")

    assert report.counts == {"refused": 1}
    assert "LG-ING-303" in report.lines[0].reason


def test_import_when_a_file_grows_meanwhile_then_it_is_refused(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_file(tmp_path / "a.dcm")

    def growing(stream: object, _read: object = None) -> bytes:
        with path.open("ab") as more:
            more.write(b"more")
        return stream.read(1 << 20)  # type: ignore[attr-defined, no-any-return]

    monkeypatch.setattr("ingest.folders.found._read", growing)
    report = house.take(path)

    assert report.counts == {"refused": 1}
    assert "LG-ING-402" in report.lines[0].reason
    assert house.spool.pending() == []


def test_import_when_nobody_files_then_everything_waits(house: House, tmp_path: Path) -> None:
    seen: list[str] = []

    report = import_paths(
        [write_file(tmp_path / "a.dcm")], house.spool, on_progress=lambda line: seen.append(line.disposition)
    )

    assert report.counts == {"waiting": 1}
    assert seen == ["waiting"]
    assert house.filer.drain() == {"stored": 1}


def test_import_when_a_name_is_no_utf8_then_it_is_taken_and_shown_escaped(house: House, tmp_path: Path) -> None:
    name = os.fsdecode(b"bild-\xff.dcm")
    write_file(tmp_path / name)

    report = house.take(tmp_path / name)

    assert report.counts == {"stored": 1}
    assert report.lines[0].path.endswith("bild-\\udcff.dcm")


@pytest.mark.real_data
def test_import_when_data_are_real_then_the_counts_add_up(house: House, real_data: Path) -> None:
    report = house.take(real_data / "pydicom_rt", real_data / "pymedphys_plans", real_data / "pps")

    assert sum(report.counts.values()) == len(report.lines)
    quarantined = {Path(line.path).name for line in report.lines if line.disposition == "quarantined"}
    assert {name for name in quarantined if name.endswith(".dcm")} == {
        "rtplan_truncated.dcm",
        "chrSQEncoding.dcm",
        "chrSQEncoding1.dcm",
    }
    kept = report.counts["stored"] + report.counts["conflict"] + report.counts.get("variant", 0)
    assert len(house.receipts()) == kept + report.counts.get("duplicate", 0)
