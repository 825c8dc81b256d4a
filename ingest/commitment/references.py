"""References to instances as they stand in messages of Storage Commitment (PS3.4 J.3), read and written piece by piece.

A request may name a hundred thousand instances. pydicom needs two kilobytes
and 60 microseconds for each of them; here they are tuples, and nothing else of
the message is kept.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from ingest.dataset.bytestream import ByteSource, InflatingSource
from ingest.dataset.encoding import LONG_VRS, SHORT_VRS, Encoding, encoding_of
from ingest.dataset.levels import tag_name
from ingest.errors import BadDelimiter, BadLength, BadUID, BadVR, EmptyDataSet, TooMany, Truncated

if TYPE_CHECKING:
    from pydicom import Dataset

MOST_REFERENCES: Final = 100_000
"""So many instances may stand in one request."""

_TRANSACTION: Final = 0x0008_1195
_REFERENCED: Final = 0x0008_1199
_FAILED: Final = 0x0008_1198
_REASON: Final = 0x0008_1197
_SOP_CLASS: Final = 0x0008_1150
_SOP_INSTANCE: Final = 0x0008_1155
_ITEM: Final = 0xFFFE_E000
_ITEM_END: Final = 0xFFFE_E00D
_SEQUENCE_END: Final = 0xFFFE_E0DD
_UNDEFINED: Final = 0xFFFF_FFFF
_MOST_UID_BYTES: Final = 64
_INFLATED_BYTES: Final = 64 * 1024 * 1024
_INFLATE_RATIO: Final = 400


class Reference(NamedTuple):
    """One instance as a message names it."""

    sop_class_uid: str
    sop_instance_uid: str


class Failure(NamedTuple):
    """One instance that is not committed to, and the Failure Reason (0008,1197; PS3.3 C.14.1.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one message says.

    Parameters
    ----------
    transaction_uid
        (0008,1195), empty where it is missing.
    references
        Items of the Referenced SOP Sequence (0008,1199), each once, in their order.
    failures
        Items of the Failed SOP Sequence (0008,1198).
    """

    transaction_uid: str = ""
    references: tuple[Reference, ...] = ()
    failures: tuple[Failure, ...] = ()


def read_message(stream: BinaryIO, transfer_syntax_uid: str, *, most: int = MOST_REFERENCES) -> Message:
    """Read an Action Information or Event Information; what it holds beside the references is skipped.

    Raises
    ------
    BadDataSet
        It is damaged; `TooMany` if it names more than `most` instances.
    TooLarge
        It inflates beyond all reason.
    """
    encoding = encoding_of(transfer_syntax_uid)
    if encoding.deflated:
        source: ByteSource = InflatingSource(stream, inflated_bytes=_INFLATED_BYTES, ratio=_INFLATE_RATIO)
    else:
        source = ByteSource(stream)
    return _Reader(source, encoding, most).message()


class _Reader:
    """One pass over one message."""

    def __init__(self, source: ByteSource, encoding: Encoding, most: int) -> None:
        self._source = source
        self._explicit = encoding.explicit
        order = "<" if encoding.little else ">"
        self._tag = encoding.tag
        self._short, self._long = struct.Struct(f"{order}H"), struct.Struct(f"{order}I")
        self._most = most
        self._classes: dict[str, str] = {}

    def message(self) -> Message:
        transaction = ""
        referenced: dict[Reference, None] = {}
        failed: dict[Failure, None] = {}
        is_empty = True
        for tag, length in self._elements(None):
            is_empty = False
            if tag == _TRANSACTION:
                transaction = self._uid(tag, length)
            elif tag == _REFERENCED:
                for item in self._named(length):
                    referenced[Reference(item.sop_class_uid, item.sop_instance_uid)] = None
                    self._count(len(referenced))
            elif tag == _FAILED:
                for item in self._named(length):
                    failed[item] = None
                    self._count(len(failed))
            else:
                self._skip(tag, length)
        if is_empty:
            raise EmptyDataSet("The message has no element")
        return Message(transaction_uid=transaction, references=tuple(referenced), failures=tuple(failed))

    def _count(self, count: int) -> None:
        if count > self._most:
            raise TooMany(f"The message names more than {self._most} instances")

    def _named(self, length: int) -> Iterator[Failure]:
        for end in self._items(length):
            sop_class = instance = ""
            reason = 0
            for tag, inner in self._elements(end):
                if tag == _SOP_CLASS:
                    sop_class = self._uid(tag, inner)
                elif tag == _SOP_INSTANCE:
                    instance = self._uid(tag, inner)
                elif tag == _REASON and inner == 2:
                    reason = int(self._short.unpack(self._take(2))[0])
                else:
                    self._skip(tag, inner)
            if not (sop_class and instance):
                raise BadUID("An item names no SOP class, or no instance")
            yield Failure(self._classes.setdefault(sop_class, sop_class), instance, reason)

    def _elements(self, end: int | None) -> Iterator[tuple[int, int]]:
        """Yield tag and length of the elements before `end`; None ends with the stream, -1 with an item's delimiter."""
        while True:
            if end is not None and end >= 0 and self._source.position >= end:
                if self._source.position > end:
                    raise BadLength("An element is longer than the item it stands in")
                return
            if not self._source.has(8):
                if end is None and not self._source.has(1):
                    return
                raise Truncated(f"The bytes end at {self._source.position}")
            tag = self._next_tag()
            if tag == _ITEM_END and end == -1:
                self._take(4)
                return
            if tag >> 16 == 0xFFFE:
                raise BadDelimiter(f"{tag_name(tag)} stands where an element must stand")
            yield tag, self._length(tag)

    def _items(self, length: int) -> Iterator[int]:
        """Yield the end of each item of a sequence, -1 where a delimiter ends it."""
        end = None if length == _UNDEFINED else self._source.position + length
        while end is None or self._source.position < end:
            tag = self._next_tag()
            (size,) = self._long.unpack(self._take(4))
            if tag == _SEQUENCE_END and end is None:
                return
            if tag != _ITEM:
                raise BadDelimiter(f"{tag_name(tag)} stands where an item must begin")
            yield -1 if size == _UNDEFINED else self._source.position + size
        if self._source.position != end:
            raise BadLength("An item is longer than its sequence")

    def _skip(self, tag: int, length: int) -> None:
        if length != _UNDEFINED:
            for _ in self._source.pieces(length):
                pass
            return
        for end in self._items(length):
            if end >= 0:
                self._skip(tag, end - self._source.position)
                continue
            for inner, size in self._elements(end):
                if size == _UNDEFINED:  # nothing that belongs into these messages is nested so deep
                    raise BadLength(f"{tag_name(inner)} hides a sequence of undefined length")
                self._skip(inner, size)

    def _next_tag(self) -> int:
        group, number = self._tag.unpack(self._take(4))
        return int(group << 16 | number)

    def _length(self, tag: int) -> int:
        if not self._explicit:
            return int(self._long.unpack(self._take(4))[0])
        vr = self._take(2)
        if vr in SHORT_VRS:
            return int(self._short.unpack(self._take(2))[0])
        if vr not in LONG_VRS:
            raise BadVR(f"{tag_name(tag)} has no known value representation")
        return int(self._long.unpack(self._take(6)[2:])[0])

    def _uid(self, tag: int, length: int) -> str:
        if length > _MOST_UID_BYTES:
            raise BadUID(f"{tag_name(tag)} is longer than a UID can be")
        value = self._take(length).rstrip(b"\0 ")
        if value.strip(b"0123456789."):
            raise BadUID(f"{tag_name(tag)} holds no UID")
        return value.decode("ascii")

    def _take(self, count: int) -> bytes:
        if not self._source.has(count):
            raise Truncated(f"The bytes end at {self._source.position}")
        at = self._source.at
        self._source.at = at + count
        return self._source.buffer[at : at + count]


def dataset_of(message: Message, transfer_syntax_uid: str) -> "Dataset":
    """Return a message as a data set that pynetdicom sends in this transfer syntax, a native one.

    The sequences are bytes already: as `Dataset` items they would need two kilobytes each.
    """
    from pydicom import Dataset
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    encoding = encoding_of(transfer_syntax_uid)
    writer = _Writer(encoding)
    dataset = Dataset()
    dataset.set_original_encoding(not encoding.explicit, encoding.little, dataset._character_set)
    dataset.TransactionUID = message.transaction_uid
    for tag, items in ((_FAILED, message.failures), (_REFERENCED, message.references)):
        value = b"".join(map(writer.item, items))
        if items:  # a sequence that would be empty is left out (PS3.4 J.3.3.1.1)
            dataset[tag] = RawDataElement(
                Tag(tag), "SQ", len(value), value, 0, not encoding.explicit, encoding.little, True
            )
    return dataset


class _Writer:
    """Writes the items of a message in one encoding."""

    def __init__(self, encoding: Encoding) -> None:
        self._explicit = encoding.explicit
        order = "<" if encoding.little else ">"
        self._tag = encoding.tag
        self._short, self._long = struct.Struct(f"{order}H"), struct.Struct(f"{order}I")

    def item(self, named: Reference | Failure) -> bytes:
        body = self._uid(_SOP_CLASS, named.sop_class_uid) + self._uid(_SOP_INSTANCE, named.sop_instance_uid)
        if isinstance(named, Failure):
            body += self._element(_REASON, b"US", self._short.pack(named.reason))
        return self._bare(_ITEM, len(body)) + body

    def _uid(self, tag: int, value: str) -> bytes:
        raw = value.encode("ascii")
        return self._element(tag, b"UI", raw + b"\0" * (len(raw) % 2))

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        if not self._explicit:
            return self._bare(tag, len(value)) + value
        return self._tag.pack(tag >> 16, tag & 0xFFFF) + vr + self._short.pack(len(value)) + value

    def _bare(self, tag: int, length: int) -> bytes:
        return self._tag.pack(tag >> 16, tag & 0xFFFF) + self._long.pack(length)


def without(references: Iterable[Reference], failures: Iterable[Failure]) -> tuple[Reference, ...]:
    """Return those of `references` that are not among `failures`."""
    failed = {Reference(one.sop_class_uid, one.sop_instance_uid) for one in failures}
    return tuple(one for one in references if one not in failed)
