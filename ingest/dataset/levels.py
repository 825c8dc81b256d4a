"""Where a walk over a data set is: in a data set or item, in a sequence, or in the fragments of pixel data."""

from enum import IntEnum

from ingest.dataset.encoding import Encoding
from ingest.errors import BadLength, BadTagOrder, IngestError, MetaInside, TrailingBytes, Truncated

FIRST_DATASET_TAG = 0x0004_0000  # groups 0000 to 0003 are command and file meta elements (PS3.5 7.1, PS3.10 7.1)


class Kind(IntEnum):
    """What a level holds."""

    ELEMENTS = 0
    ITEMS = 1
    FRAGMENTS = 2


class Level:
    """One level of a walk.

    Parameters
    ----------
    kind
        What it holds.
    encoding
        How what it holds is written down.
    end
        Offset where it ends; None if a delimiter ends it, or the end of all bytes.
    bound
        Offset beyond which nothing inside may go.
    tag
        The sequence or element it is, or lies in.
    """

    __slots__ = ("bound", "encoding", "end", "group_end", "holds_items", "kind", "last", "tag")

    def __init__(self, *, kind: Kind, encoding: Encoding, end: int | None, bound: int, tag: int = 0) -> None:
        self.kind = kind
        self.encoding = encoding
        self.end = end
        self.bound = bound
        self.tag = tag
        self.last = -1  # the last tag seen
        self.holds_items = False
        self.group_end: tuple[int, int] | None = None  # a group and where its length says it ends


def tag_name(tag: int) -> str:
    """Return a tag as people write it, such as ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})" if tag >= 0 else "the beginning"


def out_of_place(level: Level, tag: int, at: int) -> IngestError:
    """Return the error for a tag that may not stand at byte `at` after those before it."""
    where = f"{tag_name(tag)} at byte {at}"
    if tag == 0 and level.last > 0:
        return TrailingBytes(f"Zeros, or no element, stand at byte {at} after {tag_name(level.last)}")
    if tag < FIRST_DATASET_TAG:
        return MetaInside(f"{where} belongs into a command or file header, not into a data set")
    if tag == level.last:
        return BadTagOrder(f"{where} is repeated")
    return BadTagOrder(f"{where} stands after {tag_name(level.last)}")


def too_long(level: Level, tag: int, length: int, at: int, *, enclosed: bool) -> IngestError:
    """Return the error for a value of `length` bytes at byte `at` that goes beyond what is around it."""
    claim = f"{tag_name(tag)} at byte {at} claims {length} bytes"
    if enclosed:
        return BadLength(f"{claim}, the item or sequence around it has {level.bound - at} left")
    return Truncated(f"{claim}, {level.bound - at} are left")
