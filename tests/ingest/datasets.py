"""Data sets written byte by byte, so that damage can be placed where a test wants it."""

import struct
import zlib
from pathlib import Path

from ingest.dataset.encoding import LONG_VRS
from ingest.dataset.part10 import file_header

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
UNDEFINED = 0xFFFF_FFFF

ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def element(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """Return an element in explicit little endian; `length` may lie."""
    count = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HI", 0, count) if vr in LONG_VRS else struct.pack("<H", count)) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """Return an element in implicit little endian; `length` may lie."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def uid(text: str) -> bytes:
    """Return a UID padded to even length."""
    raw = text.encode()
    return raw + b"\0" * (len(raw) % 2)


def text(value: str) -> bytes:
    """Return text padded to even length."""
    raw = value.encode()
    return raw + b" " * (len(raw) % 2)


def item(content: bytes) -> bytes:
    """Return an item of defined length."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def dataset(
    *,
    instance: str = "1.2.3.4",
    study: str = "1.2.3",
    series: str = "1.2.3.1",
    patient: str = "P1",
    name: str = "Test^One",
    sop_class: str = CT_CLASS,
    description: str = "",
    tail: bytes = b"",
) -> bytes:
    """Return a small sound data set in explicit little endian; `tail` follows the last element."""
    return (
        element(0x0008_0016, b"UI", uid(sop_class))
        + element(0x0008_0018, b"UI", uid(instance))
        + element(0x0008_0060, b"CS", b"CT")
        + element(0x0008_103E, b"LO", text(description))
        + element(0x0010_0010, b"PN", text(name))
        + element(0x0010_0020, b"LO", text(patient))
        + element(0x0020_000D, b"UI", uid(study))
        + element(0x0020_000E, b"UI", uid(series))
        + tail
    )


def deflated(plain: bytes) -> bytes:
    """Return `plain` as one raw deflate stream, padded to even length (PS3.5 A.5)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = packer.compress(plain) + packer.flush()
    return stream + b"\0" * (len(stream) % 2)


def part10(body: bytes, *, syntax: str = EXPLICIT, instance: str = "1.2.3.4", sop_class: str = CT_CLASS) -> bytes:
    """Return a file with the header this node writes."""
    return file_header(sop_class_uid=sop_class, sop_instance_uid=instance, transfer_syntax_uid=syntax) + body


def write_file(path: Path, **options: str) -> Path:
    """Write a small sound DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part10(dataset(**options), instance=options.get("instance", "1.2.3.4")))  # type: ignore[arg-type]
    return path
