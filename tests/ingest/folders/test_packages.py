"""Packages that come in: whole and true, or refused whole with what is wrong; what they tell is believed."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from archive.headers import Identifier, InstanceKind
from archive.signing.signing import SigningKey
from archive.vault import ocfl
from archive.vault.ocfl import ContentFile
from ingest.folders.import_folder import ImportLimits
from tests.ingest.conftest import House
from tests.ingest.datasets import dataset, part10

DICOM = part10(dataset())
SCAN = b"%PDF-1.7 consent"
KEY = SigningKey(Ed25519PrivateKey.generate())


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _told(**changes: object) -> bytes:
    """Return the dossier.json of a dossier of one instance and one document."""

    def receipt(body: bytes, title: str) -> dict[str, object]:
        header = {"patient": {"identifier": {"value": "P1", "issuer": "SENDER"}}, "document_title": title}
        return {"file_sha256": _sha256(body), "header": header}

    files = [
        {"path": "dicom/1.2.3/1.2.3.4.dcm", "receipt": receipt(DICOM, "")},
        {"path": f"documents/{_sha256(SCAN)}", "receipt": receipt(SCAN, "consent.pdf")},
    ]
    return json.dumps({"format": "lastgate/dossier/1", "id": "abc", "files": files, **changes}).encode()


def _seal(told: bytes, **changes: object) -> bytes:
    body = {"format": "lastgate/seal/1", "account": "mei", "made_at": "2026-11-01", "dossier_sha256": _sha256(told)}
    signed = {**body, "signature": KEY.sign(body), "public_key": KEY.public_key}
    return json.dumps({**signed, **changes}).encode()


def _contents(told: bytes, seal: bytes) -> dict[str, bytes]:
    return {
        "dicom/1.2.3/1.2.3.4.dcm": DICOM,
        f"documents/{_sha256(SCAN)}": SCAN,
        "dossier.json": told,
        "seal.json": seal,
    }


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def bag(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write a bag as another program would."""
    payload = {f"data/{path}": body for path, body in contents.items()}
    manifest = "".join(f"{hashlib.sha512(body).hexdigest()} {path}\n" for path, body in payload.items())
    declaration = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    return _write(folder, {**payload, "manifest-sha512.txt": manifest.encode(), "bagit.txt": declaration})


def ocfl_root(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write a storage root with one object of one version."""
    files = [
        ContentFile(path=path, sha512=hashlib.sha512(body).hexdigest(), sha256=_sha256(body), size_bytes=len(body))
        for path, body in contents.items()
    ]
    inventory = ocfl.encode(
        ocfl.next_inventory("abc", None, files, created="2026-11-01T00:00:00Z", message="Sealed", account="mei")
    )
    own = {"inventory.json": inventory, "inventory.json.sha512": ocfl.sidecar(inventory)}
    held = {f"v1/content/{path}": body for path, body in contents.items()}
    versions = {f"v1/{name}": body for name, body in own.items()}
    _write(folder / "obj", {**held, **own, **versions, "0=ocfl_object_1.1": b"ocfl_object_1.1\n"})
    return _write(folder, {"0=ocfl_1.1": b"ocfl_1.1\n", "README.txt": b"read me"})


def medium(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write a medium as this program does."""
    places = {f"LASTGATE/{path}": body for path, body in contents.items() if not path.startswith("dicom/")}
    files = {**places, "PT0/IM0": DICOM, "DICOMDIR": dicomdir(["PT0", "IM0"])}
    digests = "".join(f"{_sha256(body)}  {name}\n" for name, body in files.items())
    return _write(folder, {**files, "LASTGATE/manifest-sha256.txt": digests.encode()})


def dicomdir(*file_ids: list[str]) -> bytes:
    """Return a DICOMDIR that names these files."""
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    records = []
    for file_id in file_ids:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.add(DataElement("ReferencedFileID", "CS", file_id, validation_mode=IGNORE))
        records.append(record)
    directory.DirectoryRecordSequence = Sequence(records)
    target = io.BytesIO()
    directory.save_as(target, enforce_file_format=True)
    return target.getvalue()


Write = Callable[[Path, dict[str, bytes]], Path]
KINDS: tuple[Write, ...] = (bag, ocfl_root, medium)
every_kind = pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)


@every_kind
@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_package_when_it_is_whole_then_its_files_come_in_as_the_sender_knew_them(
    house: House, tmp_path: Path, write: Write, zipped: bool
) -> None:
    told = _told()
    path = write(tmp_path / "out", _contents(told, _seal(told)))
    if zipped:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", path))

    report = house.take(path, issuer="HERE")

    assert report.is_clean
    assert (report.counts["stored"], report.counts["package"]) == (2, 1)
    scan, plan = sorted(house.receipts(), key=lambda one: one.header.kind is not InstanceKind.DOCUMENT)
    assert {one.file_sha256 for one in (scan, plan)} == {_sha256(SCAN), _sha256(DICOM)}
    assert scan.header.patient.identifier == Identifier(value="P1", issuer="SENDER")
    assert scan.header.document_title == "consent.pdf"
    assert plan.header.patient.identifier.issuer == "SENDER"
    for one in (scan, plan):
        assert one.source.package in ("bagit", "ocfl", "dicomdir")
        assert one.source.dossier_sha256 == _sha256(told)
        assert one.source.seal_sha256


@every_kind
@pytest.mark.parametrize("what", ["changed", "missing", "more"])
def test_package_when_a_file_is_not_as_packed_then_nothing_of_it_comes_in(
    house: House, tmp_path: Path, write: Write, what: str
) -> None:
    told = _told()
    path = write(tmp_path / "out", _contents(told, _seal(told)))
    (scan,) = (one for one in path.rglob("*") if one.is_file() and one.read_bytes() == SCAN)
    if what == "changed":
        scan.write_bytes(SCAN.replace(b"1.7", b"1.4"))
    elif what == "missing":
        scan.unlink()
    else:
        (scan.parent / "more").write_bytes(b"more")

    report = house.take(path)

    assert report.counts["refused"] == 1
    assert "stored" not in report.counts
    (line,) = (line for line in report.lines if line.disposition == "refused")
    assert "LG-ING-408" in line.reason
    assert {"changed": "is not what was packed", "missing": "is missing", "more": "stands in no"}[what] in line.reason
    assert house.receipts() == []
    assert house.take(path, limits=ImportLimits(as_files=True)).counts["stored"] >= 1, "--as-files saves what is left"


def _forged(told: bytes) -> tuple[bytes, bytes]:
    return told, _seal(told, account="somebody else")


def _of_another(told: bytes) -> tuple[bytes, bytes]:
    return told.replace(b'"abc"', b'"abd"'), _seal(told)


def _unsigned(told: bytes) -> tuple[bytes, bytes]:
    return told, _seal(told, signature="", public_key="")


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (_forged, "not what was signed"),
        (_unsigned, "not what was signed"),
        (_of_another, "made over another dossier.json"),
    ],
)
def test_package_when_its_seal_is_not_good_then_it_is_refused_whole(
    house: House, tmp_path: Path, tamper: Callable[[bytes], tuple[bytes, bytes]], message: str
) -> None:
    report = house.take(bag(tmp_path / "out", _contents(*tamper(_told()))))
    assert [message in line.reason for line in report.lines] == [True]
    assert house.receipts() == []


def test_package_when_its_dossier_names_a_file_it_lacks_then_it_is_refused_whole(house: House, tmp_path: Path) -> None:
    told = _told()
    contents = {path: body for path, body in _contents(told, _seal(told)).items() if body != SCAN}
    report = house.take(bag(tmp_path / "out", contents))
    assert [line.disposition for line in report.lines] == ["refused"]
    assert f"documents/{_sha256(SCAN)} is missing" in report.lines[0].reason


def test_package_when_a_newer_lastgate_wrote_it_then_it_is_left_alone(house: House, tmp_path: Path) -> None:
    told = _told(format="lastgate/dossier/2")
    report = house.take(bag(tmp_path / "out", _contents(told, _seal(told))))
    assert "update Lastgate" in report.lines[0].reason
    assert house.receipts() == []


@pytest.mark.parametrize(
    "line", ["00 ../../etc/passwd", "00 /etc/passwd", "00 data/../../x", "00 C:/x", "00 a\\b", "no"]
)
def test_bag_when_a_manifest_leads_out_of_it_then_it_is_refused_whole(house: House, tmp_path: Path, line: str) -> None:
    path = bag(tmp_path / "out", {"a.dcm": DICOM})
    manifest = path / "manifest-sha512.txt"
    manifest.write_text(f"{manifest.read_text()}{line}\n")
    assert house.take(path).counts == {"refused": 1}
    assert house.receipts() == []


def test_bag_when_it_has_holes_or_only_a_weak_digest_then_it_is_refused_whole(house: House, tmp_path: Path) -> None:
    holes, weak = (bag(tmp_path / name, {"a.dcm": DICOM}) for name in ("holes", "weak"))
    (holes / "fetch.txt").write_text("https://example.org/a 1 data/a\n")
    (weak / "manifest-sha512.txt").unlink()
    (weak / "manifest-md5.txt").write_text(f"{'0' * 32} data/a.dcm\n")
    reasons = [line.reason for line in house.take(holes, weak).lines]
    assert ["fetch.txt" in reasons[0], "no manifest of SHA-256" in reasons[1]] == [True, True]


def test_bag_when_something_stands_beside_its_payload_then_that_comes_in_too(house: House, tmp_path: Path) -> None:
    path = bag(tmp_path / "out", {"a.dcm": DICOM})
    (path / "b.dcm").write_bytes(DICOM)
    report = house.take(path)
    assert sorted(line.disposition for line in report.lines if line.disposition not in ("ignored", "package")) == [
        "duplicate",
        "stored",
    ]


@pytest.mark.parametrize("change", ["inventory", "sidecar", "version"])
def test_ocfl_when_an_inventory_was_changed_then_the_object_is_refused_whole(
    house: House, tmp_path: Path, change: str
) -> None:
    path = ocfl_root(tmp_path / "out", {"dicom/1/1.dcm": DICOM})
    name = {"inventory": "inventory.json", "sidecar": "inventory.json.sha512", "version": "v1/inventory.json"}[change]
    body = (path / "obj" / name).read_bytes()
    (path / "obj" / name).write_bytes(body.replace(b"a", b"b", 1))
    report = house.take(path)
    assert report.counts["refused"] == 1
    assert house.receipts() == []


def test_ocfl_when_one_of_two_objects_is_damaged_then_the_other_comes_in(house: House, tmp_path: Path) -> None:
    path = ocfl_root(tmp_path / "out", {"dicom/1/1.dcm": DICOM})
    shutil.copytree(path / "obj", path / "bad")
    (path / "bad" / "v1" / "content" / "dicom" / "1" / "1.dcm").write_bytes(b"rotten")
    report = house.take(path)
    assert (report.counts["refused"], report.counts["stored"]) == (1, 1)


@pytest.mark.parametrize(
    "file_id", [["..", "..", "ETC"], ["/ETC"], ["A", "..", "B"], ["A/../../B"], ["C:\\A"], [".", "A"]]
)
def test_medium_when_its_dicomdir_leads_out_of_it_then_it_is_refused_whole(
    house: House, tmp_path: Path, file_id: list[str]
) -> None:
    path = _write(tmp_path / "out", {"DICOMDIR": dicomdir(["IM0"], file_id), "IM0": DICOM})
    report = house.take(path)
    assert [line.disposition for line in report.lines] == ["refused"]
    assert "outside of the medium" in report.lines[0].reason
    assert house.receipts() == []


def test_medium_when_another_program_wrote_it_then_its_files_are_taken_as_they_lie(
    house: House, tmp_path: Path
) -> None:
    files = {"dicomdir": dicomdir(["IM0"], ["GONE"]), "IM0": DICOM, "README": b"a viewer"}
    report = house.take(_write(tmp_path / "out", files))
    assert {Path(line.path).name: line.disposition for line in report.lines} == {
        "IM0": "stored",
        "README": "quarantined",
        "dicomdir": "ignored",
    }
    (receipt,) = house.receipts()
    assert receipt.source.package == ""


def test_package_when_it_lies_deep_in_a_folder_with_others_then_each_is_taken_for_what_it_is(
    house: House, tmp_path: Path
) -> None:
    told = _told()
    bag(tmp_path / "disk" / "a" / "bag", _contents(told, _seal(told)))
    _write(tmp_path / "disk" / "b", {"other.dcm": part10(dataset()), "notes.txt": b"?"})
    report = house.take(tmp_path / "disk", issuer="SENDER")
    assert {name: report.counts[name] for name in ("package", "stored", "duplicate", "quarantined")} == {
        "package": 1,
        "stored": 2,
        "duplicate": 1,
        "quarantined": 1,
    }
