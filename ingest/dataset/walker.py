"""A strict linear walk over a data set, without a full parse: is it sound, what are its digests, which instance is it.

pydicom reads truncated values, trailing garbage and impossible lengths without
a word, and takes seconds and gigabytes for hostile input. This walk looks at
every element once, in the order it stands, and keeps nothing but a few names.
It is strict about damage and tolerant of what real files do: odd lengths are
flagged, so are group lengths that lie; sequences hidden in UN or in private
elements are looked into; defined and undefined lengths are the same to it.
"""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from ingest.dataset.bytestream import ByteSource, InflatingSource
from ingest.dataset.content import TRIMMED_BYTES, ContentDigest, NoDigest, padded
from ingest.dataset.encoding import IMPLICIT, LONG_VRS, SHORT_VRS, encoding_of, standard_vr
from ingest.dataset.levels import FIRST_DATASET_TAG, Kind, Level, out_of_place, tag_name, too_long
from ingest.dataset.limits import Limits, Tally
from ingest.dataset.names import CAPTURED, Names
from ingest.dataset.plain import pass_over
from ingest.dataset.values import TRAILING_PADDING, PassedValues, Values
from ingest.errors import BadDelimiter, BadLength, BadVR, EmptyDataSet, IngestError, TooMany, TrailingBytes, Truncated

_UNDEFINED: Final = 0xFFFF_FFFF
_RESERVED_FROM: Final = 0xFFFF_FFF0
_ITEM: Final = 0xFFFE_E000
_ITEM_END: Final = 0xFFFE_E00D
_SEQUENCE_END: Final = 0xFFFE_E0DD
_PIXEL_DATA: Final = 0x7FE0_0010
_ITEM_BYTES: Final = bytes.fromhex("feff00e0")
_SHORT: Final = {True: struct.Struct("<H"), False: struct.Struct(">H")}
_LONG: Final = {True: struct.Struct("<I"), False: struct.Struct(">I")}
_EXPLICIT: Final = struct.Struct("<HH2sH")
_IMPLICIT: Final = struct.Struct("<HHI")
_TRIED_BYTES: Final = 16 * 1024 * 1024  # a longer value is never tried as a hidden sequence
_UNKNOWN_SIZE: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What a walk over a sound data set found out.

    Parameters
    ----------
    dataset_sha256
        Hex digest of the bytes of the data set as they stand; empty if none was asked for.
    content_sha256
        Hex digest of the elements, independent of the native encoding (`ingest.dataset.content`); None without.
    elements
        Elements and items.
    names
        The few values that say which instance it is.
    flags
        Oddities that are no damage: ``odd-length``, ``group-length-wrong``, ``uid-leading-zero``.
    """

    dataset_sha256: str
    content_sha256: str | None
    elements: int
    names: Names
    flags: tuple[str, ...] = ()


class Walker:
    """One walk over one data set.

    Parameters
    ----------
    stream
        Stands at the first byte of the data set, and ends with it.
    transfer_syntax_uid
        How it is written down.
    limits
        How much it may hold.
    size_bytes
        Length of the data set, where known.
    digesting
        Whether digests are asked for. Without them nothing is read that need not be looked at: every check is the
        same, and an image costs what its header costs.
    """

    def __init__(
        self,
        stream: BinaryIO,
        transfer_syntax_uid: str,
        *,
        limits: Limits | None = None,
        size_bytes: int | None = None,
        digesting: bool = True,
    ) -> None:
        self._limits = limits or Limits()
        self._encoding = encoding_of(transfer_syntax_uid)
        self._captured: dict[int, bytes] = {}
        self._digesting = digesting
        if self._encoding.deflated:
            most, ratio = self._limits.inflated_bytes, self._limits.inflate_ratio
            self._source: ByteSource = InflatingSource(stream, inflated_bytes=most, ratio=ratio, digesting=digesting)
        else:
            self._source = ByteSource(stream, size_bytes=size_bytes, digesting=digesting)

    @property
    def names(self) -> Names:
        """The names seen so far; after a failed walk, what is known of the broken data set."""
        return Names.of(self._captured)

    def walk(self) -> Walked:
        """Walk to the end and return what was found out.

        Raises
        ------
        BadDataSet
            The data set is damaged; the subclass says how.
        TooLarge
            It inflates beyond its limits.
        """
        bound = _UNKNOWN_SIZE if self._source.size_bytes is None else self._source.size_bytes
        tally = Tally(self._limits)
        if self._digesting:
            values = Values(self._source, ContentDigest(), tally, self._captured)
        else:
            values = PassedValues(self._source, NoDigest(), tally, self._captured)
        run = _Run(self._source, values, tally)
        run.over(Level(kind=Kind.ELEMENTS, encoding=self._encoding, end=None, bound=bound))
        if not tally.elements:
            raise EmptyDataSet("The data set has no element")
        return Walked(
            dataset_sha256=self._source.sha256,
            content_sha256=run.values.content.sha256 or None,
            elements=tally.elements,
            names=self.names,
            flags=tuple(sorted(run.values.flags | self.names.flags)),
        )


class _Run:
    """The walk itself; a value that may hide a sequence is walked by a run of its own."""

    def __init__(self, source: ByteSource, values: Values, tally: Tally) -> None:
        self.values = values
        self._source = source
        self._tally = tally
        self._levels: list[Level] = []

    def over(self, top: Level) -> None:
        """Walk over everything in `top`."""
        levels, source = self._levels, self._source
        steps = (self._elements, self._item, self._fragment)
        levels.append(top)
        while levels:
            level = levels[-1]
            if level.end is not None and level.end == source.position:
                self._leave(level)
            else:
                steps[level.kind](level)

    def _elements(self, level: Level) -> None:
        """Pass over what is plain, or take it, and look at the next element."""
        if level.encoding.little:
            if self.values.passed:
                pass_over(self._source, level, self._tally, self.values.flags, outermost=len(self._levels) == 1)
            else:
                self._take_plain(level)
            if level.end is not None and level.end == self._source.position:
                return
        self._element(level)

    def _take_plain(self, level: Level) -> None:
        """Take the elements with short values that stand next, as far as they are in the buffer: most of them.

        One loop does for them what `_element` does in a handful of calls each; it stops in front of everything else.
        """
        source, content = self._source, self.values.content
        buffer, at, last, most, odd, count = source.buffer, source.at, level.last, self._tally.room, 0, 0
        explicit = level.encoding.explicit
        ends = min(len(buffer), at + level.bound - source.position)
        group = None if level.group_end is None else level.group_end[0]
        kept = CAPTURED if len(self._levels) == 1 else frozenset()
        low_bound = max(last, FIRST_DATASET_TAG - 1)
        while at + 8 <= ends and count < most:
            if explicit:
                high, low, vr, length = _EXPLICIT.unpack_from(buffer, at)
                tag = high << 16 | low
                is_short = vr in SHORT_VRS
            else:
                high, low, length = _IMPLICIT.unpack_from(buffer, at)
                tag = high << 16 | low
                vr = standard_vr(tag)
                is_short = vr is not None and vr != b"SQ" and length <= TRIMMED_BYTES and tag != TRAILING_PADDING
            after = at + 8 + length
            if not is_short or not low_bound < tag < _ITEM or not low or tag in kept or after > ends:
                break
            if group not in (None, high):
                break
            content.whole(tag, padded(buffer[at + 8 : after], vr))
            low_bound = last = tag
            at = after
            odd |= length
            count += 1
        source.at, level.last = at, last
        self._tally.pass_over(count)
        if odd % 2:
            self.values.flags.add("odd-length")

    def _element(self, level: Level) -> None:
        tag = self._next_tag(level)
        if tag is None:
            return
        if tag >= _ITEM:
            self._item_end(level, tag)
            return
        if tag <= level.last or tag < FIRST_DATASET_TAG:
            raise out_of_place(level, tag, self._source.position)
        if level.group_end is not None and level.group_end[0] != tag >> 16:
            self._check_group(level, self._source.position)
        level.last = tag
        self._tally.element()
        vr, length = self._vr_and_length(level, tag)
        if length == _UNDEFINED:
            self._open_undefined(level, tag, vr)
            return
        end = self._source.position + length
        if end > level.bound:
            raise self._too_long(level, tag, length)
        if vr == b"SQ" or (vr is None and standard_vr(tag) == b"SQ"):
            self._tally.deeper(tag)
            self._levels.append(Level(kind=Kind.ITEMS, encoding=level.encoding, end=end, bound=end, tag=tag))
        elif not self._hidden_sequence(tag, vr, length):
            self.values.take(level, tag, vr, length, outermost=len(self._levels) == 1)

    def _next_tag(self, level: Level) -> int | None:
        """Return the next tag without moving past it; None when the bytes of the data set have ended."""
        source = self._source
        if source.has(8) and source.position + 8 <= level.bound:
            group, number = level.encoding.tag.unpack_from(source.buffer, source.at)
            return int(group << 16 | number)
        left = min(len(source.buffer) - source.at, level.bound - source.position)
        if len(self._levels) > 1 or level.kind != Kind.ELEMENTS:
            raise Truncated(f"The bytes end at {source.position + left} inside {tag_name(level.tag)}")
        if left:
            raise TrailingBytes(f"{left} bytes stand after the last element {tag_name(level.last)}")
        self._leave(level)
        return None

    def _vr_and_length(self, level: Level, tag: int) -> tuple[bytes | None, int]:
        """Move past the header of an element; return value representation (None in implicit encoding) and length."""
        source, little = self._source, level.encoding.little
        vr, length_at = None, 4
        if level.encoding.explicit:
            vr, length_at = source.buffer[source.at + 4 : source.at + 6], 8
            if vr in SHORT_VRS:
                (short,) = _SHORT[little].unpack_from(source.buffer, source.at + 6)
                source.at += 8
                return vr, int(short)
            if vr not in LONG_VRS:
                raise BadVR(f"{tag_name(tag)} at byte {source.position} has the value representation {vr!r}")
            if not source.has(12) or source.position + 12 > level.bound:
                raise Truncated(f"The bytes end inside the header of {tag_name(tag)} at byte {source.position}")
        (length,) = _LONG[little].unpack_from(source.buffer, source.at + length_at)
        if _RESERVED_FROM <= length < _UNDEFINED:
            raise BadLength(f"{tag_name(tag)} at byte {source.position} claims the impossible length {length:#x}")
        source.at += length_at + 4
        return vr, int(length)

    def _open_undefined(self, level: Level, tag: int, vr: bytes | None) -> None:
        if vr in (b"OB", b"OW") and level.encoding.encapsulated:
            self._levels.append(
                Level(kind=Kind.FRAGMENTS, encoding=level.encoding, end=None, bound=level.bound, tag=tag)
            )
            self.values.content.open_fragments(tag)
        elif vr in (b"SQ", b"UN") or (vr is None and tag != _PIXEL_DATA):
            # What stands in UN of undefined length is implicit little endian, whatever surrounds it (PS3.5 6.2.2).
            inner = IMPLICIT if vr == b"UN" else level.encoding
            self._tally.deeper(tag)
            self._levels.append(Level(kind=Kind.ITEMS, encoding=inner, end=None, bound=level.bound, tag=tag))
        else:
            raise BadLength(f"{tag_name(tag)} can't be of undefined length in this transfer syntax")

    def _hidden_sequence(self, tag: int, vr: bytes | None, length: int) -> bool:
        """Walk a value that looks like a sequence but does not say so; False if it is none after all.

        In implicit encoding private sequences can't be told from bytes, and
        programs that don't know an element copy it as UN: the same content
        must give the same digest.
        """
        if not (vr == b"UN" or (vr is None and standard_vr(tag) is None)) or not 8 <= length <= _TRIED_BYTES:
            return False
        source = self._source
        if not source.has(4) or source.buffer[source.at : source.at + 4] != _ITEM_BYTES or not source.has(length):
            return False
        value = source.buffer[source.at : source.at + length]
        within = ByteSource(io.BytesIO(value))
        values = self.values.within(within)
        depth = self._tally.depth
        try:
            self._tally.deeper(tag)
            _Run(within, values, self._tally).over(
                Level(kind=Kind.ITEMS, encoding=IMPLICIT, end=length, bound=length, tag=tag)
            )
        except TooMany:
            raise
        except IngestError:
            self._tally.depth = depth
            return False
        self.values.content = values.content
        self.values.flags |= values.flags
        source.at += length
        return True

    def _item(self, level: Level) -> None:
        tag = self._next_tag(level)
        start, length = self._take_item_header(level)
        if tag == _SEQUENCE_END and level.end is None and length == 0:
            self._leave(level)
            return
        if tag != _ITEM:
            raise self._misplaced(tag, start, f"where an item of {tag_name(level.tag)} must stand")
        end = None if length == _UNDEFINED else start + length
        if end is not None and end > level.bound:
            raise self._too_long(level, _ITEM, length)
        self._tally.element()
        if not level.holds_items:
            level.holds_items = True
            self.values.content.open_sequence(level.tag)
        self.values.content.open_item()
        if length == 0:
            self.values.content.close_item()
        else:
            bound = level.bound if end is None else end
            self._levels.append(Level(kind=Kind.ELEMENTS, encoding=level.encoding, end=end, bound=bound, tag=level.tag))

    def _fragment(self, level: Level) -> None:
        self.values.skip_empty_fragments()
        tag = self._next_tag(level)
        start, length = self._take_item_header(level)
        if tag == _SEQUENCE_END and length == 0:
            self._leave(level)
            return
        if tag != _ITEM or length >= _RESERVED_FROM:
            raise self._misplaced(tag, start, "where a fragment of pixel data must stand")
        if start + length > level.bound:
            raise self._too_long(level, _ITEM, length)
        self.values.take_fragment(length)

    def _item_end(self, level: Level, tag: int) -> None:
        start, length = self._take_item_header(level)
        if tag != _ITEM_END or level.end is not None or len(self._levels) == 1 or length:
            raise self._misplaced(tag, start, "where an element must stand")
        if level.group_end is not None:
            self._check_group(level, start - 8)
        self._leave(level)

    def _take_item_header(self, level: Level) -> tuple[int, int]:
        """Move past tag and length of an item or delimiter; return where its content begins, and the length."""
        (length,) = _LONG[level.encoding.little].unpack_from(self._source.buffer, self._source.at + 4)
        self._source.at += 8
        return self._source.position, int(length)

    def _leave(self, level: Level) -> None:
        self._levels.pop()
        content = self.values.content
        if level.kind == Kind.ELEMENTS:
            if level.group_end is not None:
                self._check_group(level, self._source.position)
            if self._levels:
                content.close_item()
        elif level.kind == Kind.FRAGMENTS:
            content.close_sequence()
        else:
            self._tally.depth -= 1
            if level.holds_items:
                content.close_sequence()
            else:  # an empty sequence is an element without value, however it was written
                content.whole(level.tag, b"")

    def _check_group(self, level: Level, ends: int) -> None:
        """Flag a group length that lies: retired since 2008, and left wrong by many anonymisers."""
        if level.group_end is not None and level.group_end[1] != ends:
            self.values.flags.add("group-length-wrong")
        level.group_end = None

    def _too_long(self, level: Level, tag: int, length: int) -> IngestError:
        enclosed = any(outer.end is not None for outer in self._levels)
        return too_long(level, tag, length, self._source.position, enclosed=enclosed)

    @staticmethod
    def _misplaced(tag: int | None, start: int, where: str) -> IngestError:
        return BadDelimiter(f"{tag_name(tag or 0)} at byte {start - 8} stands {where}")
