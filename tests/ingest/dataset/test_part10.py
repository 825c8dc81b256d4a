"""Our own file header never changes, and the data set is found in the files of others."""

import hashlib
import io
import struct
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from ingest.dataset.part10 import IMPLEMENTATION_CLASS_UID, file_header, find_dataset
from ingest.errors import BadFileMeta, ExecutablePreamble
from tests.ingest.datasets import BIG, CT_CLASS, EXPLICIT, IMPLICIT, dataset, element, implicit, part10, uid


def test_file_header_when_written_in_any_release_then_it_is_these_bytes() -> None:
    header = file_header(sop_class_uid=CT_CLASS, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT)

    assert header[:132] == bytes(128) + b"DICM"
    assert hashlib.sha256(header).hexdigest() == "7f7a68e5d22e6dfc8b6528a1fc43f001073537abf42d90ecdd9c2f03a90e4a58"


def test_file_header_when_read_by_pydicom_and_dcmtk_then_both_understand_it(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(dataset()))

    meta = dcmread(path).file_meta
    checked = subprocess.run(["/usr/bin/dcmftest", str(path)], capture_output=True, text=True, check=True)

    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert "ImplementationVersionName" not in meta
    assert checked.stdout.startswith("yes")


@pytest.mark.parametrize(
    ("body", "offset", "syntax"),
    [
        (part10(dataset()), len(part10(b"")), EXPLICIT),
        (part10(dataset())[132:], len(part10(b"")) - 132, EXPLICIT),
        (dataset(), 0, EXPLICIT),
        (implicit(0x0008_0005, b"ISO_IR 100"), 0, IMPLICIT),
        (struct.pack(">HH2sH", 8, 5, b"CS", 10) + b"ISO_IR 100", 0, BIG),
        (bytes(128) + b"DICM" + element(0x0002_0002, b"UI", uid(CT_CLASS)) + dataset(), 166, EXPLICIT),
    ],
    ids=["part 10", "no preamble", "bare explicit", "bare implicit", "bare big endian", "no transfer syntax"],
)
def test_find_dataset_when_the_file_is_dicom_then_place_and_syntax_are_found(
    body: bytes, offset: int, syntax: str
) -> None:
    layout = find_dataset(io.BytesIO(body))

    assert layout is not None
    assert (layout.dataset_offset, layout.transfer_syntax_uid) == (offset, syntax)


@pytest.mark.parametrize(
    "body", [b"", b"%PDF-1.7 ...", b"\x89PNG\r\n\x1a\n", b"Dear colleague,", bytes(200), b"PK\x03\x04" + bytes(40)]
)
def test_find_dataset_when_the_file_is_something_else_then_none(body: bytes) -> None:
    assert find_dataset(io.BytesIO(body)) is None


@pytest.mark.parametrize("start", [b"MZ\x90", b"\x7fELF\x02", b"#!/bin/sh\n"])
def test_find_dataset_when_the_preamble_is_a_program_then_it_is_refused(start: bytes) -> None:
    body = part10(dataset())

    with pytest.raises(ExecutablePreamble):
        find_dataset(io.BytesIO(start + body[len(start) :]))


@pytest.mark.parametrize(
    "meta",
    [
        element(0x0002_0010, b"UI", b"1.2", length=60_000),
        element(0x0002_0010, b"ZZ", b"1.2\0"),
        element(0x0002_0010, b"UI", uid(EXPLICIT)) * 2,
        b"\x02\x00\x10\x00",
        element(0x0002_0002, b"UI", uid(CT_CLASS)) + b"no data set here",
    ],
    ids=["length lies", "unknown VR", "repeated", "cut off", "no transfer syntax"],
)
def test_find_dataset_when_the_meta_group_is_broken_then_it_says_so(meta: bytes) -> None:
    with pytest.raises(BadFileMeta):
        find_dataset(io.BytesIO(bytes(128) + b"DICM" + meta))
