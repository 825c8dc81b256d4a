"""Answers as data sets: prepared once for a query, written for each row without an object in between.

A query may have ten thousand answers, and encoding a pydicom data set costs
twenty times what the index needs to find it.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from archive.reading.attributes import SEQUENCES, Level
from ingest.dataset.encoding import DEFLATED_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE, LONG_VRS
from ingest.query.charset import UTF_8, Encode, encoder
from ingest.query.identifier import Key
from ingest.query.models import HERE, UNIQUE_KEYS, Model, Source, supported
from search.attributes import Value

Chosen = Sequence[Value | None]
"""A value for each of `Layout.asked`."""

_CHARACTER_SET: Final = 0x00080005
_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_IN_CHARACTER_SET: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_REMEMBERED: Final = 256
"""Of each attribute but UIDs: one answer after the other tells the same date, modality or physician."""
_REMEMBERED_WRITERS: Final = 8
_UTF_8_NAMES: Final = (UTF_8,)


@dataclass(frozen=True, slots=True)
class Asked:
    """An attribute that every answer has.

    Parameters
    ----------
    source
        The document that tells it; None if nothing does, and it comes back empty.
    items
        Of a sequence: keywords of what its items shall hold; empty for all.
    """

    tag: int
    keyword: str
    vr: str
    source: Source | None
    items: tuple[str, ...] = ()


def layout(model: Model, level: Level, keys: Iterable[Key]) -> tuple[Asked, ...]:
    """Return the attributes of the answers in order of tag: what was asked for, and what always comes along.

    Always come the level, our title, the unique keys of this level and those above, and the issuer of the
    identifier: a number alone names nobody.
    """
    known = supported(level)
    asked = {key.tag: _asked(key, known) for key in keys}
    always = [*HERE[:2], "PatientID", "IssuerOfPatientID", UNIQUE_KEYS[level]]
    always += [UNIQUE_KEYS[above] for above in model.above(level)]
    for keyword in always:
        tag = tag_for_keyword(keyword) or 0
        asked.setdefault(tag, Asked(tag, keyword, dictionary_VR(tag), known[keyword]))
    return tuple(asked[tag] for tag in sorted(asked))


def _asked(key: Key, known: Mapping[str, Source]) -> Asked:
    return Asked(
        tag=key.tag,
        keyword=key.keyword,
        vr=key.vr,
        source=known.get(key.keyword),
        items=tuple(item.keyword for item in key.items if item.keyword),
    )


@lru_cache(maxsize=_REMEMBERED_WRITERS)
def answer_writer(asked: tuple[Asked, ...], names: tuple[str, ...], transfer_syntax_uid: str) -> "AnswerWriter":
    """Return an `AnswerWriter`: a system asks for the same attributes again and again."""
    return AnswerWriter(asked, names, transfer_syntax_uid)


class AnswerWriter:
    """Writes answers in one transfer syntax and character set.

    Parameters
    ----------
    asked
        What `layout` returned.
    names
        Specific Character Set of the query. An answer that can't be said in it, or any answer to a query that names
        none, is in UTF-8.
    """

    def __init__(self, asked: Sequence[Asked], names: tuple[str, ...], transfer_syntax_uid: str) -> None:
        self._form = _Form.of(transfer_syntax_uid)
        self._deflates = transfer_syntax_uid == DEFLATED_LITTLE
        self._asked = asked
        first = 1 if asked and asked[0].tag < _CHARACTER_SET else 0
        self._split = first
        chosen = names if any(names) else _UTF_8_NAMES
        self._ways = [self._way(chosen)]
        if chosen != _UTF_8_NAMES:
            self._ways.append(self._way(_UTF_8_NAMES))

    def _way(self, names: tuple[str, ...]) -> tuple[bytes, list[Callable[[Value | None], bytes]]]:
        encode = encoder(names)
        told = self._form.element(_CHARACTER_SET, "CS", _padded("\\".join(names).encode("ascii", "replace"), b" "))
        return told, [self._form.writer(one, encode) for one in self._asked]

    def write(self, chosen: Chosen) -> bytes:
        """Return the data set of one answer."""
        for told, writers in self._ways[:-1]:
            try:
                return self._joined(told, writers, chosen)
            except UnicodeEncodeError:
                continue
        return self._joined(*self._ways[-1], chosen)

    def _joined(self, told: bytes, writers: list[Callable[[Value | None], bytes]], chosen: Chosen) -> bytes:
        parts = [write(value) for write, value in zip(writers, chosen, strict=True)]
        parts.insert(self._split, told)
        body = b"".join(parts)
        if not self._deflates:
            return body
        deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflating.compress(body) + deflating.flush()
        return body + b"\0" * (len(body) % 2)


class _Form:
    """How elements are written down in a transfer syntax (PS3.5 7.1)."""

    def __init__(self, *, explicit: bool, order: str) -> None:
        self._explicit = explicit
        self._order = order
        self._tag = struct.Struct(f"{order}HH")
        self._short = struct.Struct(f"{order}H")
        self._long = struct.Struct(f"{order}I")

    @classmethod
    def of(cls, transfer_syntax_uid: str) -> "_Form":
        return cls(
            explicit=transfer_syntax_uid != IMPLICIT_LITTLE, order=">" if transfer_syntax_uid == EXPLICIT_BIG else "<"
        )

    def head(self, tag: int, vr: str) -> tuple[bytes, struct.Struct]:
        """Return what stands before the length of an element, and how the length is packed."""
        numbers = self._tag.pack(tag >> 16, tag & 0xFFFF)
        if not self._explicit:
            return numbers, self._long
        if vr.encode() in LONG_VRS:
            return numbers + vr.encode() + b"\0\0", self._long
        return numbers + vr.encode(), self._short

    def element(self, tag: int, vr: str, raw: bytes) -> bytes:
        head, length = self.head(tag, vr)
        return head + length.pack(len(raw)) + raw

    def writer(self, asked: Asked, encode: Encode) -> Callable[[Value | None], bytes]:
        """Return what writes a value of one attribute."""
        head, length = self.head(asked.tag, asked.vr)
        empty = head + length.pack(0)
        if asked.vr == "SQ":
            return self._sequence_writer(asked, encode, empty)
        raw_of = self._raw_of(asked.vr, encode)
        most = 0xFFFE if length is self._short else 0xFFFFFFFE

        def told(value: str) -> bytes:
            raw = raw_of(value)
            return head + length.pack(len(raw)) + raw if len(raw) <= most else empty

        tell = told if asked.vr == "UI" else lru_cache(maxsize=_REMEMBERED)(told)

        def write(value: Value | None) -> bytes:
            if isinstance(value, str):
                return tell(value)
            # of several values in which instances differ the most frequent is told
            return tell(value[0]) if value and isinstance(value[0], str) else empty

        return write

    def _raw_of(self, vr: str, encode: Encode) -> Callable[[str], bytes]:
        if vr in _NUMBERS:
            return self._packer(vr)
        if vr in _IN_CHARACTER_SET:
            return lambda value: _padded(encode(value, vr), b" ")
        pad = b"\0" if vr == "UI" else b" "
        return lambda value: _padded(value.encode("ascii", "replace"), pad)

    def _packer(self, vr: str) -> Callable[[str], bytes]:
        sign = _NUMBERS[vr]
        number = float if vr in ("FL", "FD") else int

        def pack(value: str) -> bytes:
            try:
                values = [number(part) for part in value.split("\\")]
                return struct.pack(f"{self._order}{len(values)}{sign}", *values)
            except (ValueError, struct.error):
                return b""

        return pack

    def _sequence_writer(self, asked: Asked, encode: Encode, empty: bytes) -> Callable[[Value | None], bytes]:
        inside = sorted(
            (tag_for_keyword(keyword) or 0, keyword)
            for keyword in SEQUENCES.get(asked.keyword, ())
            if not asked.items or keyword in asked.items
        )
        writers = [
            (keyword, self.writer(Asked(tag, keyword, dictionary_VR(tag), None), encode)) for tag, keyword in inside
        ]
        begin, length = self._tag.pack(0xFFFE, 0xE000), self._long

        def write(value: Value | None) -> bytes:
            if not isinstance(value, list) or not value:
                return empty
            items = []
            for item in value:
                told = item if isinstance(item, dict) else {}
                raw = b"".join(write_one(told.get(keyword)) for keyword, write_one in writers if keyword in told)
                items.append(begin + length.pack(len(raw)) + raw)
            return self.element(asked.tag, "SQ", b"".join(items))

        return write


def _padded(raw: bytes, pad: bytes) -> bytes:
    return raw + pad if len(raw) % 2 else raw
