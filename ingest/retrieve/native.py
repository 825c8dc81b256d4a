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
from typing import Final

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
from ingest.errors import NotConvertible
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
_ORDER: Final = {True: "<", False: ">"}

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
        source = InflatingSource(stream, inflated_bytes=limits.inflated_bytes, ratio=limits.inflate_ratio)
    else:
        source = ByteSource(stream)
    chunks = _gathered(_Rewriter(source, dict(replacing or {}), pixels).data_set(encoding, target))
    return _deflated(chunks) if target.deflated else chunks


def header(tag: int, vr: bytes, length: int, encoding: Encoding) -> bytes:
    """Return the header of an element (PS3.5 7.1.2, 7.1.3); `length` must fit."""
    order = _ORDER[encoding.little]
    group, number = tag >> 16, tag & 0xFFFF
    if not encoding.explicit:
        return struct.pack(f"{order}HHI", group, number, length)
    if vr in LONG_VRS:
        return struct.pack(f"{order}HH2sHI", group, number, vr, 0, length)
    return struct.pack(f"{order}HH2sH", group, number, vr, length)


class _Rewriter:
    """One data set on its way from one native encoding to another."""

    def __init__(self, source: ByteSource, replacing: dict[int, Replacement], pixels: Iterator[Buffer] | None) -> None:
        self._source = source
        self._replacing = replacing
        self._pixels = pixels
        self._is_signed = False

    def data_set(self, source: Encoding, target: Encoding) -> Iterator[Buffer]:
        """Yield the whole data set."""
        waiting = sorted(self._replacing)
        while self._source.has(8):
            tag = self._tag(source)
            while waiting and waiting[0] < tag:
                yield from self._replaced(waiting.pop(0), target)
            if waiting and waiting[0] == tag:
                yield from self._replaced(waiting.pop(0), target)
                self._skip(*self._header(source))
            elif tag == _PIXEL_DATA and self._pixels is not None:
                self._header(source)
                self._skip_fragments(source)
                yield from self._pixels
            else:
                yield from self._element(tag, source, target)
        for tag in waiting:
            yield from self._replaced(tag, target)

    def _replaced(self, tag: int, target: Encoding) -> Iterator[Buffer]:
        new = self._replacing[tag]
        if new is not None:
            vr, value = new
            width = 0 if target.little else SWAP_BYTES.get(vr, 0)
            yield header(tag, vr, len(value), target) + (swapped(value, width) if width else value)

    def _elements(self, ends: int | None, source: Encoding, target: Encoding) -> Iterator[Buffer]:
        """Yield the elements of an item."""
        while ends is None or self._source.position < ends:
            if not self._source.has(8):
                raise NotConvertible("The data set ends inside a sequence")
            tag = self._tag(source)
            if tag == _ITEM_END:
                self._source.at += 8
                return
            yield from self._element(tag, source, target)

    def _element(self, tag: int, source: Encoding, target: Encoding) -> Iterator[Buffer]:
        told, length = self._header(source)
        if not tag & 0xFFFF:
            self._skip(told, length)
            return
        vr = told or self._implied_vr(tag, is_undefined=length == _UNDEFINED)
        if vr == b"SQ" or (vr == b"UN" and length == _UNDEFINED):
            # UN of undefined length holds implicit little endian, whatever surrounds it (PS3.5 6.2.2).
            inner = (IMPLICIT, IMPLICIT) if vr == b"UN" else (source, target)
            yield header(tag, vr, _UNDEFINED, target)
            yield from self._items(None if length == _UNDEFINED else self._source.position + length, *inner)
            yield _delimiter(_SEQUENCE_END, inner[1])
        elif length == _UNDEFINED:
            raise NotConvertible(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) holds compressed pixel data")
        else:
            yield from self._value(tag, vr, length, source, target)

    def _items(self, ends: int | None, source: Encoding, target: Encoding) -> Iterator[Buffer]:
        around = self._is_signed
        while ends is None or self._source.position < ends:
            if not self._source.has(8):
                raise NotConvertible("The data set ends inside a sequence")
            tag = self._tag(source)
            (length,) = struct.unpack_from(f"{_ORDER[source.little]}I", self._source.buffer, self._source.at + 4)
            self._source.at += 8
            if tag == _SEQUENCE_END:
                return
            yield struct.pack(f"{_ORDER[target.little]}HHI", _ITEM >> 16, _ITEM & 0xFFFF, _UNDEFINED)
            yield from self._elements(None if length == _UNDEFINED else self._source.position + length, source, target)
            yield _delimiter(_ITEM_END, target)
            self._is_signed = around

    def _value(self, tag: int, vr: bytes, length: int, source: Encoding, target: Encoding) -> Iterator[Buffer]:
        width = SWAP_BYTES.get(vr, 0) if source.little != target.little else 0
        written = b"UN" if target.explicit and vr not in LONG_VRS and length > _LONGEST_SHORT else vr
        yield header(tag, written, length, target)
        for piece in self._source.pieces(length):
            if tag == _PIXEL_REPRESENTATION:
                self._is_signed = bool(any(piece))
            yield swapped(piece, width) if width else piece

    def _tag(self, encoding: Encoding) -> int:
        group, number = encoding.tag.unpack_from(self._source.buffer, self._source.at)
        return int(group << 16 | number)

    def _header(self, encoding: Encoding) -> tuple[bytes | None, int]:
        """Move past the header of an element; return value representation (None in implicit encoding) and length."""
        source, order = self._source, _ORDER[encoding.little]
        if not encoding.explicit:
            (length,) = struct.unpack_from(f"{order}I", source.buffer, source.at + 4)
            source.at += 8
            return None, int(length)
        vr = source.buffer[source.at + 4 : source.at + 6]
        if vr not in LONG_VRS:
            (length,) = struct.unpack_from(f"{order}H", source.buffer, source.at + 6)
            source.at += 8
            return vr, int(length)
        if not source.has(12):
            raise NotConvertible("The data set ends inside an element")
        (length,) = struct.unpack_from(f"{order}I", source.buffer, source.at + 8)
        source.at += 12
        return vr, int(length)

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

    def _skip(self, vr: bytes | None, length: int) -> None:  # noqa: ARG002 - as `_header` gives it
        for _ in self._source.pieces(length):
            pass

    def _skip_fragments(self, encoding: Encoding) -> None:
        while self._source.has(8):
            tag = self._tag(encoding)
            (length,) = struct.unpack_from("<I", self._source.buffer, self._source.at + 4)
            self._source.at += 8
            if tag == _SEQUENCE_END:
                return
            self._skip(None, length)


@lru_cache(maxsize=8192)
def _dictionary_vr(tag: int) -> str:
    from pydicom.datadict import dictionary_VR

    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"


def _delimiter(tag: int, encoding: Encoding) -> bytes:
    return struct.pack(f"{_ORDER[encoding.little]}HHI", tag >> 16, tag & 0xFFFF, 0)


def _gathered(chunks: Iterator[Buffer]) -> Iterator[Buffer]:
    """Join the many small pieces a data set is made of; long ones pass as they are."""
    gathered = bytearray()
    for chunk in chunks:
        if len(chunk) >= _FLUSHED_BYTES:
            if gathered:
                yield bytes(gathered)
                gathered.clear()
            yield chunk
        else:
            gathered += chunk
            if len(gathered) >= _FLUSHED_BYTES:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)


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
