"""From one native transfer syntax to another, element by element as they pass: no value changes, memory stays flat.

pydicom would hold the whole data set, and write texts and numbers anew in its
own way. Here the bytes of each value are those that were received, their order
turned where the byte order changes. What changes is the frame around them:
headers, and sequences, which are written with undefined length because that of
their content is not known before it has passed. Group lengths (retired) would
be wrong and are left out.

Sources: PS3.5 7.1 (headers), 7.3 (byte order), 7.5 (sequences), 6.2.2 (UN), A.1 to A.5.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BufferedReader
from typing import Final, NamedTuple

from ingest.dataset.bytestream import ByteSource, InflatingSource
from ingest.dataset.encoding import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT,
    IMPLICIT_LITTLE,
    LONG_VRS,
    SWAP_BYTES,
    Encoding,
    encoding_of,
    swapped,
)
from ingest.dataset.limits import Limits
from ingest.errors import NotConvertible, Truncated
from ingest.node.wire import Buffer
from storage.reading import PieceReader

NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE})
"""Transfer syntaxes without compressed pixel data that this module reads and writes."""

_UNDEFINED: Final = 0xFFFF_FFFF
_ITEM: Final = 0xFFFE_E000
_ITEM_END: Final = 0xFFFE_E00D
_SEQUENCE_END: Final = 0xFFFE_E0DD
_PIXEL_REPRESENTATION: Final = 0x0028_0103
_PIXEL_DATA: Final = 0x7FE0_0010
_LONGEST_SHORT: Final = 0xFFFF
_FLUSHED_BYTES: Final = 64 * 1024
# By whether it is little endian.
_IMPLICIT: Final = {True: struct.Struct("<HHI"), False: struct.Struct(">HHI")}
_SHORT: Final = {True: struct.Struct("<HH2sH"), False: struct.Struct(">HH2sH")}
_LONG: Final = {True: struct.Struct("<HH2sHI"), False: struct.Struct(">HH2sHI")}

Replacement = tuple[bytes, bytes] | None
"""Value representation and value (little endian) of an element written instead; None leaves it out."""


def rewritten(
    pieces: Iterator[Buffer],
    stored: str,
    wanted: str,
    *,
    replacing: Mapping[int, Replacement] | None = None,
    pixels: Iterator[Buffer] | None = None,
) -> Iterator[Buffer]:
    """Yield a data set in another transfer syntax.

    Parameters
    ----------
    pieces
        The data set, which was found sound when it came.
    stored, wanted
        Transfer syntaxes; `wanted` is one of `NATIVE`, `stored` too unless `pixels` are given.
    replacing
        Elements of the data set itself (not of its sequences) to be written instead, or beside, those there.
    pixels
        Header and native value of (7FE0,0010), in the byte order and form of `wanted`: written instead of
        encapsulated pixel data.

    Raises
    ------
    NotConvertible
        Encapsulated pixel data stand where none may, while the data set is on its way.
    """
    stream = BufferedReader(PieceReader(map(bytes, pieces)))
    encoding, target = encoding_of(stored), encoding_of(wanted)
    source: ByteSource
    if encoding.deflated:
        limits = Limits()
        source = InflatingSource(
            stream, inflated_bytes=limits.inflated_bytes, ratio=limits.inflate_ratio, digesting=False
        )
    else:
        source = ByteSource(stream, digesting=False)
    chunks = _Rewriter(source, dict(replacing or {}), pixels).data_set(encoding, target)
    return _deflated(chunks) if target.deflated else chunks


def header(tag: int, vr: bytes, length: int, encoding: Encoding) -> bytes:
    """Return the header of an element (PS3.5 7.1.2, 7.1.3); `length` must fit."""
    group, number = tag >> 16, tag & 0xFFFF
    if not encoding.explicit:
        return _IMPLICIT[encoding.little].pack(group, number, length)
    if vr in LONG_VRS:
        return _LONG[encoding.little].pack(group, number, vr, 0, length)
    return _SHORT[encoding.little].pack(group, number, vr, length)


class _Begun(NamedTuple):
    """A sequence or an item that has begun and not ended.

    Parameters
    ----------
    holds_items
        Whether it is a sequence.
    ends
        Where it ends in the source; None where a delimiter says so.
    source, target
        How what it holds is written, and is to be written.
    is_signed
        Of the pixels of the data set around it.
    """

    holds_items: bool
    ends: int | None
    source: Encoding
    target: Encoding
    is_signed: bool


class _Rewriter:
    """One data set on its way from one native encoding to another.

    One loop goes over the elements of all levels and gathers what is short: a generator for each level and value
    would cost more than the work.
    """

    def __init__(self, source: ByteSource, replacing: dict[int, Replacement], pixels: Iterator[Buffer] | None) -> None:
        self._source = source
        self._replacing = replacing
        self._pixels = pixels
        self._is_signed = False
        self._around: list[_Begun] = []
        self._gathered = bytearray()

    def data_set(self, source: Encoding, target: Encoding) -> Iterator[Buffer]:
        """Yield the whole data set: short elements together, long values as they come."""
        waiting = sorted(self._replacing)
        while self._goes_on():
            begun = self._around[-1] if self._around else None
            value: Iterator[Buffer] | None = None
            if begun is None:
                tag = self._tag(source)
                while waiting and waiting[0] < tag:
                    self._replace(waiting.pop(0), target)
                if waiting and waiting[0] == tag:
                    self._replace(waiting.pop(0), target)
                    self._skip(self._header(source)[1])
                elif tag == _PIXEL_DATA and self._pixels is not None:
                    self._header(source)
                    self._skip_fragments(source)
                    value = self._pixels
                else:
                    value = self._element(tag, source, target)
            elif begun.holds_items:
                self._item(begun)
            else:
                value = self._inside(begun)
            if value is not None or len(self._gathered) >= _FLUSHED_BYTES:
                yield from self._flushed()
            if value is not None:
                yield from value
        for tag in waiting:
            self._replace(tag, target)
        yield from self._flushed()

    def _goes_on(self) -> bool:
        """End what ends here; return whether anything stands behind it."""
        while self._around and (ends := self._around[-1].ends) is not None and self._source.position >= ends:
            self._end()
        if self._source.has(8):
            return True
        if self._around:
            raise NotConvertible("The data set ends inside a sequence")
        return False

    def _flushed(self) -> Iterator[Buffer]:
        if self._gathered:
            yield bytes(self._gathered)
            self._gathered.clear()

    def _replace(self, tag: int, target: Encoding) -> None:
        new = self._replacing[tag]
        if new is not None:
            vr, value = new
            width = 0 if target.little else SWAP_BYTES.get(vr, 0)
            self._gathered += header(tag, vr, len(value), target) + (swapped(value, width) if width else value)

    def _item(self, sequence: _Begun) -> None:
        """Begin the next item of a sequence, or end the sequence."""
        source, at = self._source, self._source.at
        group, number, length = _IMPLICIT[sequence.source.little].unpack_from(source.buffer, at)
        source.at = at + 8
        if group << 16 | number == _SEQUENCE_END:
            self._end()
            return
        self._gathered += _mark(_ITEM, _UNDEFINED, sequence.target)
        self._begin(length, sequence.source, sequence.target, holds_items=False)

    def _inside(self, item: _Begun) -> Iterator[Buffer] | None:
        """Pass on the next element of an item, or end the item; see `_element`."""
        tag = self._tag(item.source)
        if tag != _ITEM_END:
            return self._element(tag, item.source, item.target)
        self._source.at += 8
        self._end()
        return None

    def _begin(self, length: int, source: Encoding, target: Encoding, *, holds_items: bool) -> None:
        ends = None if length == _UNDEFINED else self._source.position + length
        self._around.append(_Begun(holds_items, ends, source, target, self._is_signed))

    def _end(self) -> None:
        ended = self._around.pop()
        self._gathered += _mark(_SEQUENCE_END if ended.holds_items else _ITEM_END, 0, ended.target)
        self._is_signed = ended.is_signed

    def _element(self, tag: int, source: Encoding, target: Encoding) -> Iterator[Buffer] | None:
        """Pass on an element, of a sequence the beginning; return its value if that is too long to be gathered."""
        told, length = self._header(source)
        if not tag & 0xFFFF:
            self._skip(length)
            return None
        vr = told or self._implied_vr(tag, is_undefined=length == _UNDEFINED)
        if vr == b"SQ" or (vr == b"UN" and length == _UNDEFINED):
            # UN of undefined length holds implicit little endian, whatever surrounds it (PS3.5 6.2.2).
            inner = (IMPLICIT, IMPLICIT) if vr == b"UN" else (source, target)
            self._gathered += header(tag, vr, _UNDEFINED, target)
            self._begin(length, *inner, holds_items=True)
            return None
        if length == _UNDEFINED:
            raise NotConvertible(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) holds compressed pixel data")
        width = SWAP_BYTES.get(vr, 0) if source.little != target.little else 0
        written = b"UN" if target.explicit and vr not in LONG_VRS and length > _LONGEST_SHORT else vr
        self._gathered += header(tag, written, length, target)
        if length >= _FLUSHED_BYTES:
            return self._long_value(length, width)
        value = self._short_value(length)
        if tag == _PIXEL_REPRESENTATION:
            self._is_signed = any(value)
        self._gathered += swapped(value, width) if width else value
        return None

    def _short_value(self, length: int) -> bytes:
        source = self._source
        if not source.has(length):
            raise Truncated(f"The bytes end at {source.position}, inside a value of {length} bytes")
        at = source.at
        source.at = at + length
        return source.buffer[at : source.at]

    def _long_value(self, length: int, width: int) -> Iterator[Buffer]:
        for piece in self._source.pieces(length):
            yield swapped(piece, width) if width else piece

    def _tag(self, encoding: Encoding) -> int:
        group, number = encoding.tag.unpack_from(self._source.buffer, self._source.at)
        return int(group << 16 | number)

    def _header(self, encoding: Encoding) -> tuple[bytes | None, int]:
        """Move past the header of an element; return value representation (None in implicit encoding) and length."""
        source, little = self._source, encoding.little
        if not encoding.explicit:
            length: int = _IMPLICIT[little].unpack_from(source.buffer, source.at)[2]
            source.at += 8
            return None, length
        vr: bytes
        _, _, vr, length = _SHORT[little].unpack_from(source.buffer, source.at)
        if vr not in LONG_VRS:
            source.at += 8
            return vr, length
        if not source.has(12):
            raise NotConvertible("The data set ends inside an element")
        length = _LONG[little].unpack_from(source.buffer, source.at)[4]
        source.at += 12
        return vr, length

    def _implied_vr(self, tag: int, *, is_undefined: bool) -> bytes:
        """Return the value representation of an element whose own encoding names none (PS3.5 A.1, 6.2.2)."""
        if is_undefined:
            return b"SQ"
        if tag >> 16 & 1:
            return b"LO" if 0x10 <= tag & 0xFFFF <= 0xFF else b"UN"
        known = _dictionary_vr(tag)
        if known == "US or SS":
            return b"SS" if self._is_signed else b"US"
        # Pixel data, overlays and curves are OW in implicit encoding; tables of US fit no length of 16 bits.
        return b"OW" if " or " in known else known.encode()

    def _skip(self, length: int) -> None:
        for _ in self._source.pieces(length):
            pass

    def _skip_fragments(self, encoding: Encoding) -> None:
        while self._source.has(8):
            tag = self._tag(encoding)
            (length,) = struct.unpack_from("<I", self._source.buffer, self._source.at + 4)
            self._source.at += 8
            if tag == _SEQUENCE_END:
                return
            self._skip(length)


@lru_cache(maxsize=8192)
def _dictionary_vr(tag: int) -> str:
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"


def _mark(tag: int, length: int, encoding: Encoding) -> bytes:
    """Return an item tag or a delimiter, which have no value representation in any encoding (PS3.5 7.5)."""
    return _IMPLICIT[encoding.little].pack(tag >> 16, tag & 0xFFFF, length)


def _deflated(chunks: Iterator[Buffer]) -> Iterator[Buffer]:
    """Yield one raw deflate stream, padded to even length (PS3.5 A.5)."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for chunk in chunks:
        if made := deflater.compress(chunk):
            size += len(made)
            yield made
    end = deflater.flush()
    yield end + bytes((size + len(end)) % 2)
