"""Reading zip archives that nobody vouches for: checked whole before a single member is taken."""

import lzma
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from ingest.errors import BadZip

_PIECE_BYTES: Final = 1 << 20
_LOCAL_HEADER_BYTES: Final = 30
_RATIO_CHECKED_FROM: Final = 16 * 1024 * 1024
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipLimits:
    """What an archive may hold: members, bytes of one and of all of them, and by how much one may inflate."""

    members: int = 200_000
    member_bytes: int = 16 * 1024**3
    total_bytes: int = 256 * 1024**3
    ratio: int = 400


class CheckedZip:
    """A zip archive that passed every check.

    Parameters
    ----------
    stream
        The archive.
    limits
        What it may hold.

    Raises
    ------
    BadZip
        A name that leaves the archive, a link, an encrypted, repeated or
        overlapping member, a wrong digest or size, a bomb: whatever it is, the
        archive is refused whole.
    """

    def __init__(self, stream: BinaryIO, *, limits: ZipLimits | None = None) -> None:
        self._limits = limits or ZipLimits()
        with _translated("The archive"):
            self._archive = zipfile.ZipFile(stream)
        members = self._archive.infolist()
        self._check_directory(members)
        self._members = sorted((member for member in members if not member.is_dir()), key=lambda m: m.filename)
        for member in self._members:
            self._check_content(member)

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield name and content, in pieces, of each member, in order of name."""
        for member in self._members:
            yield member.filename, self._pieces(member)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each member by its name."""
        return {member.filename: member.file_size for member in self._members}

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a member."""
        return self._pieces(self._archive.getinfo(name))

    def first_bytes(self, name: str, count: int) -> bytes:
        """Return the beginning of a member."""
        with _translated(name), self._archive.open(name) as stream:
            return stream.read(count)

    def _check_directory(self, members: list[zipfile.ZipInfo]) -> None:
        if len(members) > self._limits.members:
            raise BadZip(f"The archive holds {len(members)} members")
        if sum(member.file_size for member in members) > self._limits.total_bytes:
            raise BadZip(f"The archive holds more than {self._limits.total_bytes} bytes")
        seen: set[str] = set()
        for member in members:
            _check_name(member)
            folded = unicodedata.normalize("NFC", member.filename).casefold().rstrip("/")
            if folded in seen:
                raise BadZip(f"The archive holds {member.filename!r} twice (or differing only in upper and lower case)")
            seen.add(folded)
        _check_overlap(members)

    def _check_content(self, member: zipfile.ZipInfo) -> None:
        limits = self._limits
        inflated = member.file_size > max(_RATIO_CHECKED_FROM, member.compress_size * limits.ratio)
        if member.file_size > limits.member_bytes or inflated:
            raise BadZip(f"{member.filename!r} inflates to {member.file_size} bytes from {member.compress_size}")
        size = sum(map(len, self._pieces(member)))  # at its end zipfile compares the CRC
        if size != member.file_size:
            raise BadZip(f"{member.filename!r} holds {size} bytes, the directory says {member.file_size}")

    def _pieces(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        with _translated(member.filename), self._archive.open(member) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece


def is_zip(path: Path, first: bytes) -> bool:
    """Return whether a file is an archive to look into; office documents are zip archives too, but documents."""
    return path.suffix.lower() == ".zip" and first.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _check_name(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    path = PurePosixPath(name)
    control = any(ord(character) < 0x20 for character in name)
    if control or "\\" in name or path.is_absolute() or ".." in path.parts or ":" in name[:2] or not path.parts:
        raise BadZip(f"The archive holds the dangerous name {name[:120]!r}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadZip(f"{name[:120]!r} is a link or device")
    if member.flag_bits & 0x1:
        raise BadZip(f"{name[:120]!r} is encrypted")


def _check_overlap(members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share compressed bytes: that is how 10 MB inflate to 281 TB without one high ratio."""
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise BadZip(f"{member.filename!r} overlaps another member")
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise BadZip(f"{name[:120]!r} can't be read: {error}") from error
