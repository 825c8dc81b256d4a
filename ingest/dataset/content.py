"""The content digest: equal for data sets that differ in nothing but how they are written down.

What is digested, in this normal form (every record ends with twelve bytes that
say what stands before them, so that no two data sets share one form):

- an element: the value, padded to even length, numbers little endian; then the
  tag (group, element; two bytes each) and the length (eight bytes);
- a sequence: tag, eight bytes FF; for each item ``FFFE,E000``, eight bytes FF,
  its elements, ``FFFE,E00D``, eight bytes FF; at the end ``FFFE,E0DD``, eight
  bytes FF. A sequence without items is an element without value;
- encapsulated pixel data: tag, eight bytes FE; each fragment, the offset table
  too, as an element ``FFFE,E000``; at the end ``FFFE,E0DD``, eight bytes FF;
- padding at the end of text and UIDs of up to 64 KiB is brought to what PS3.5
  6.2 asks for, since programs that copy an object strip it (DCMTK does);
- group lengths (gggg,0000) and Data Set Trailing Padding (FFFC,FFFC) are left
  out, and so are the value representation and the way a length was written.
"""

import hashlib
import struct
from typing import Final

from ingest.dataset.encoding import TEXT_VRS

TRIMMED_BYTES: Final = 64 * 1024
_TAIL: Final = struct.Struct("<HHQ")
_OPEN: Final = 0xFFFF_FFFF_FFFF_FFFF
_FRAGMENTS: Final = 0xFEFE_FEFE_FEFE_FEFE
_ITEM: Final = _TAIL.pack(0xFFFE, 0xE000, _OPEN)
_ITEM_END: Final = _TAIL.pack(0xFFFE, 0xE00D, _OPEN)
_SEQUENCE_END: Final = _TAIL.pack(0xFFFE, 0xE0DD, _OPEN)
_EMPTY_FRAGMENT: Final = _TAIL.pack(0xFFFE, 0xE000, 0)
_FLUSH_AT: Final = 64 * 1024


def padded(value: bytes, vr: bytes | None) -> bytes:
    """Return a whole value padded as PS3.5 6.2 asks for: text with at most one space, all else with a NUL."""
    if vr in TEXT_VRS:
        value = value.rstrip(b" ")
        return value + b" " if len(value) % 2 else value
    if vr == b"UI":
        value = value.rstrip(b" \0")
    return value + b"\0" if len(value) % 2 else value


class ContentDigest:
    """Takes the elements one after the other and digests them in the normal form of this module."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._waiting = bytearray()

    @property
    def sha256(self) -> str:
        """Hex digest of what came so far."""
        self._flush()
        return self._digest.hexdigest()

    def whole(self, tag: int, value: bytes) -> None:
        """Take an element with its value."""
        self._waiting += value
        self.end(tag, len(value))

    def piece(self, piece: bytes) -> None:
        """Take a piece of a value; `end` says what it belonged to."""
        if len(piece) > _FLUSH_AT:
            self._flush()
            self._digest.update(piece)
            return
        self._waiting += piece

    def end(self, tag: int, length: int) -> None:
        """End an element whose value of `length` bytes came in pieces."""
        if length % 2:
            self._waiting += b"\0"
        self._waiting += _TAIL.pack(tag >> 16, tag & 0xFFFF, length + length % 2)
        if len(self._waiting) > _FLUSH_AT:
            self._flush()

    def open_sequence(self, tag: int) -> None:
        """Begin a sequence of items."""
        self._waiting += _TAIL.pack(tag >> 16, tag & 0xFFFF, _OPEN)

    def open_fragments(self, tag: int) -> None:
        """Begin encapsulated pixel data."""
        self._waiting += _TAIL.pack(tag >> 16, tag & 0xFFFF, _FRAGMENTS)

    def open_item(self) -> None:
        """Begin an item of a sequence."""
        self._waiting += _ITEM

    def close_item(self) -> None:
        """End an item of a sequence."""
        self._waiting += _ITEM_END

    def close_sequence(self) -> None:
        """End a sequence, or encapsulated pixel data."""
        self._waiting += _SEQUENCE_END

    def empty_fragments(self, count: int) -> None:
        """Take `count` fragments without content."""
        self.piece(_EMPTY_FRAGMENT * count)
        self._flush()

    def copy(self) -> "ContentDigest":
        """Return a digest that goes on from here on its own."""
        self._flush()
        twin = ContentDigest()
        twin._digest = self._digest.copy()
        return twin

    def _flush(self) -> None:
        self._digest.update(self._waiting)
        self._waiting.clear()


class NoDigest(ContentDigest):
    """Takes everything and digests nothing: for a walk that is only to say whether a data set is sound."""

    @property
    def sha256(self) -> str:
        """Empty."""
        return ""

    def whole(self, tag: int, value: bytes) -> None:
        """Do nothing."""

    def piece(self, piece: bytes) -> None:
        """Do nothing."""

    def end(self, tag: int, length: int) -> None:
        """Do nothing."""

    def open_sequence(self, tag: int) -> None:
        """Do nothing."""

    def open_fragments(self, tag: int) -> None:
        """Do nothing."""

    def open_item(self) -> None:
        """Do nothing."""

    def close_item(self) -> None:
        """Do nothing."""

    def close_sequence(self) -> None:
        """Do nothing."""

    def empty_fragments(self, count: int) -> None:
        """Do nothing."""

    def copy(self) -> "NoDigest":
        """Return itself."""
        return self
