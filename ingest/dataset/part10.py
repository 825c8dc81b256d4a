"""The DICOM file format (PS3.10 2026c, 7.1): the header this node writes, and where the data set lies in any file."""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from archive.uids import UID_ROOT
from ingest.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, LONG_VRS, SHORT_VRS
from ingest.errors import BadFileMeta, ExecutablePreamble

IMPLEMENTATION_CLASS_UID: Final = f"{UID_ROOT}.1"
"""In the header of every file this node ever wrote or will write: no release changes it, or equal data would differ."""

_PREAMBLE_BYTES: Final = 128
_PREFIX: Final = b"DICM"
META_LIMIT: Final = 1024 * 1024
"""The header of a file ends before this byte."""

_EXECUTABLES: Final = (
    b"MZ",
    b"\x7fELF",
    b"#!",
    b"\xfe\xed\xfa",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayout:
    """Where the data set of a DICOM file lies and how it is written down.

    Parameters
    ----------
    dataset_offset
        Byte at which it begins.
    transfer_syntax_uid
        From the file meta group, or guessed from the first element.
    sop_class_uid, sop_instance_uid, implementation_class_uid
        From the file meta group, empty where it does not say.
    flags
        ``no-preamble``, ``no-file-meta``, ``transfer-syntax-guessed``.
    """

    dataset_offset: int
    transfer_syntax_uid: str
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    implementation_class_uid: str = ""
    flags: tuple[str, ...] = ()


def file_header(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return the header this node writes before a data set from the network.

    A preamble of zeros and (0002,0000 0001 0002 0003 0010 0012), nothing else:
    no time, no sender, no version, so that the same data set always gives the
    same file. Sender and time stand in the receipt.
    """
    elements = b"".join(
        (
            _long_element(0x0001, b"OB", b"\x00\x01"),
            _uid_element(0x0002, sop_class_uid),
            _uid_element(0x0003, sop_instance_uid),
            _uid_element(0x0010, transfer_syntax_uid),
            _uid_element(0x0012, IMPLEMENTATION_CLASS_UID),
        )
    )
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements))
    return bytes(_PREAMBLE_BYTES) + _PREFIX + length + elements


def _uid_element(number: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, b"UI", len(value)) + value


def _long_element(number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sHI", 2, number, vr, 0, len(value)) + value


def find_dataset(stream: BinaryIO) -> FileLayout | None:
    """Find the data set in a file that may be DICOM; None if it is no DICOM file.

    Taken are Part 10 files, files without preamble (file meta or data set from
    the first byte on), and files whose meta group does not name the transfer
    syntax: it is guessed from the first element, as DCMTK and pydicom do.

    Raises
    ------
    BadFileMeta
        It is a DICOM file, but its meta group is broken.
    ExecutablePreamble
        It is a DICOM file and a program at once (CVE-2019-11687).
    """
    head = stream.read(META_LIMIT)
    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == _PREFIX:
        if head.startswith(_EXECUTABLES):
            raise ExecutablePreamble("The preamble of this DICOM file makes it a program")
        return _read_meta(head, _PREAMBLE_BYTES + 4, ())
    if head[:4] == b"\x02\x00\x00\x00":
        return _read_meta(head, 0, ("no-preamble",))
    syntax = _guess(head[:8])
    if syntax is None:
        return None
    return FileLayout(dataset_offset=0, transfer_syntax_uid=syntax, flags=("no-file-meta", "no-preamble"))


def _read_meta(head: bytes, at: int, flags: tuple[str, ...]) -> FileLayout:
    values: dict[int, str] = {}
    last = -1
    while head[at : at + 2] == b"\x02\x00":
        number, value, at = _meta_element(head, at)
        if number <= last:
            raise BadFileMeta(f"(0002,{number:04X}) is repeated or out of order in the file meta group")
        last = number
        values[number] = value.decode("ascii", "replace").strip(" \0")
    syntax = values.get(0x0010, "")
    if not syntax:
        guessed = _guess(head[at : at + 8])
        if guessed is None:
            raise BadFileMeta("The file meta group names no transfer syntax, and the data set does not show it")
        syntax, flags = guessed, (*flags, "transfer-syntax-guessed")
    return FileLayout(
        dataset_offset=at,
        transfer_syntax_uid=syntax,
        sop_class_uid=values.get(0x0002, ""),
        sop_instance_uid=values.get(0x0003, ""),
        implementation_class_uid=values.get(0x0012, ""),
        flags=flags,
    )


def _meta_element(head: bytes, at: int) -> tuple[int, bytes, int]:
    """Return number, value and end of one element of the file meta group, which is explicit little endian."""
    if at + 12 > len(head):
        raise BadFileMeta("The file ends inside its meta group")
    number, vr, length = struct.unpack_from("<H2sH", head, at + 2)
    start = at + 8
    if vr in LONG_VRS:
        (length,) = struct.unpack_from("<I", head, at + 8)
        start = at + 12
    elif vr not in SHORT_VRS:
        raise BadFileMeta(f"(0002,{number:04X}) has the value representation {vr!r}")
    if start + length > len(head):
        raise BadFileMeta(f"(0002,{number:04X}) claims {length} bytes, more than the file meta group can hold")
    return number, head[start : start + length], start + length


def _guess(first: bytes) -> str | None:
    """Guess the transfer syntax from the header of the first element; None if it is none of a data set.

    Groups 0004 (DICOMDIR) to 0020 are taken as a beginning: with wider nets
    every other binary file would look like DICOM.
    """
    if len(first) < 8:
        return None
    vr = first[4:6]
    explicit = vr in SHORT_VRS or vr in LONG_VRS
    group, number = struct.unpack_from("<HH", first)
    if 0x0004 <= group <= 0x0020 and group % 2 == 0:
        if explicit:
            return EXPLICIT_LITTLE
        (length,) = struct.unpack_from("<I", first, 4)
        return IMPLICIT_LITTLE if length < META_LIMIT and group == 0x0008 else None
    group, number = struct.unpack_from(">HH", first)
    if explicit and 0x0004 <= group <= 0x0020 and group % 2 == 0 and number < 0x4000:
        return EXPLICIT_BIG
    return None
