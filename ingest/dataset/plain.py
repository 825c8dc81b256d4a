"""Passing over the elements of a data set that need no other look than at their headers: most of them.

Part of a walk without digests (`ingest.dataset.walker`). One loop does for a run of
elements, and for whole sequences, what the walker does in a handful of calls
for each element, with the same checks: known value representation, order of
tags, lengths, delimiters, nesting. It stops in front of anything else, and the
walker goes on from there: the two never judge differently, which a property
test shows. A sequence is passed as a whole or not at all.
"""

import struct
from typing import Final, NamedTuple

from ingest.dataset.bytestream import ByteSource
from ingest.dataset.encoding import LONG_VRS, SHORT_VRS, standard_vr
from ingest.dataset.levels import FIRST_DATASET_TAG, Level
from ingest.dataset.limits import COUNTED_FROM_BYTES, Tally
from ingest.dataset.names import CAPTURED

_UNDEFINED: Final = 0xFFFF_FFFF
_ITEM: Final = 0xFFFE_E000
_ITEM_HIGH: Final = 0xFFFE
_ITEM_LOW: Final = 0xE000
_ITEM_END_LOW: Final = 0xE00D
_SEQUENCE_END_LOW: Final = 0xE0DD
_ITEM_BYTES: Final = bytes.fromhex("feff00e0")
_PLAIN_LONG: Final = LONG_VRS - {b"SQ", b"UN"}
_EXPLICIT: Final = struct.Struct("<HH2sH")
_IMPLICIT: Final = struct.Struct("<HHI")
_LONG: Final = struct.Struct("<I")
_NOTHING: Final[frozenset[int]] = frozenset()


class _Passed(NamedTuple):
    """How far was passed.

    Parameters
    ----------
    at
        Where in the buffer it ended.
    last
        The last tag.
    elements
        How many elements and items there were.
    odd
        All lengths or-ed.
    """

    at: int
    last: int
    elements: int
    odd: int


def pass_over(source: ByteSource, level: Level, tally: Tally, flags: set[str], *, outermost: bool) -> None:
    """Pass over the plain elements that stand next, as far as they are in the buffer.

    Parameters
    ----------
    source
        Stands before an element.
    level
        What the elements lie in; little endian.
    tally
        Gets their number.
    flags
        Gets ``odd-length``.
    outermost
        Whether `level` is the data set itself: the elements that name it are left to the walker.
    """
    ends = min(len(source.buffer), source.at + level.bound - source.position)
    pass_elements = _pass_explicit if level.encoding.explicit else _pass_implicit
    group = None if level.group_end is None else level.group_end[0]
    kept = CAPTURED if outermost else _NOTHING
    passed = pass_elements(source.buffer, source.at, ends, level.last, tally.levels, tally.room, kept, group)
    source.at = passed.at
    level.last = passed.last
    tally.pass_over(passed.elements)
    if passed.odd % 2:
        flags.add("odd-length")


def _pass_explicit(
    buffer: bytes,
    at: int,
    ends: int,
    last: int,
    depth: int,
    most: int,
    kept: frozenset[int] = _NOTHING,
    group: int | None = None,
) -> _Passed:
    """Pass over elements that name their value representation, up to the first that is not plain.

    Parameters
    ----------
    last
        The tag before.
    depth, most
        How many sequences may yet be entered, and how many elements and items there may yet be.
    kept
        Tags to stop at.
    group
        The one group whose length is being checked.
    """
    low_bound, elements, odd = max(last, FIRST_DATASET_TAG - 1), 0, 0
    while at + 8 <= ends and elements < most:
        high, low, vr, length = _EXPLICIT.unpack_from(buffer, at)
        after = at + 8 + length
        tag = high << 16 | low
        if not low_bound < tag < _ITEM or not low or tag in kept or group not in (None, high):
            break
        if vr not in SHORT_VRS:
            if at + 12 > ends:
                break
            (length,) = _LONG.unpack_from(buffer, at + 8)
            after = at + 12 + length
            if vr == b"SQ":
                inside = _pass_sequence(buffer, at + 12, ends, length, depth, most - elements - 1, explicit=True)
                if inside is None:
                    break
                after, length = inside.at, inside.odd
                elements += inside.elements
            elif vr not in _PLAIN_LONG or length > COUNTED_FROM_BYTES:
                break
        if after > ends:
            break
        low_bound = last = tag
        at = after
        odd |= length
        elements += 1
    return _Passed(at, last, elements, odd)


def _pass_implicit(
    buffer: bytes,
    at: int,
    ends: int,
    last: int,
    depth: int,
    most: int,
    kept: frozenset[int] = _NOTHING,
    group: int | None = None,
) -> _Passed:
    """See `_pass_explicit`; what may be a sequence but is not known as one is left."""
    low_bound, elements, odd = max(last, FIRST_DATASET_TAG - 1), 0, 0
    while at + 8 <= ends and elements < most:
        high, low, length = _IMPLICIT.unpack_from(buffer, at)
        after = at + 8 + length
        tag = high << 16 | low
        if not low_bound < tag < _ITEM or not low or tag in kept or group not in (None, high):
            break
        vr = standard_vr(tag)
        if vr == b"SQ":
            inside = _pass_sequence(buffer, at + 8, ends, length, depth, most - elements - 1, explicit=False)
            if inside is None:
                break
            after, length = inside.at, inside.odd
            elements += inside.elements
        elif length > COUNTED_FROM_BYTES or (vr is None and buffer.startswith(_ITEM_BYTES, at + 8)):
            break
        if after > ends:
            break
        low_bound = last = tag
        at = after
        odd |= length
        elements += 1
    return _Passed(at, last, elements, odd)


def _pass_sequence(
    buffer: bytes, at: int, ends: int, length: int, depth: int, most: int, *, explicit: bool
) -> _Passed | None:
    """Pass over the items of a sequence of `length` bytes, which may be undefined; None unless all of it is plain."""
    is_open = length == _UNDEFINED
    if depth < 1 or (not is_open and at + length > ends):
        return None
    ends = ends if is_open else at + length
    elements, odd = 0, 0
    while is_open or at < ends:
        if at + 8 > ends:
            return None
        high, low, item_length = _IMPLICIT.unpack_from(buffer, at)
        if high == _ITEM_HIGH and low == _SEQUENCE_END_LOW and not item_length and is_open:
            return _Passed(at + 8, -1, elements, odd)
        if high != _ITEM_HIGH or low != _ITEM_LOW:
            return None
        inside = _pass_item(buffer, at + 8, ends, item_length, depth - 1, most - elements - 1, explicit=explicit)
        if inside is None:
            return None
        at = inside.at
        elements += 1 + inside.elements
        odd |= inside.odd
    return _Passed(at, -1, elements, odd)


def _pass_item(
    buffer: bytes, at: int, ends: int, length: int, depth: int, most: int, *, explicit: bool
) -> _Passed | None:
    """Pass over what is in an item of `length` bytes, which may be undefined; None unless all of it is plain."""
    is_open = length == _UNDEFINED
    if most < 0 or (not is_open and at + length > ends):
        return None
    pass_elements = _pass_explicit if explicit else _pass_implicit
    inside = pass_elements(buffer, at, ends if is_open else at + length, -1, depth, most)
    if not is_open:
        return inside if inside.at == at + length else None
    if inside.at + 8 > ends or _IMPLICIT.unpack_from(buffer, inside.at) != (_ITEM_HIGH, _ITEM_END_LOW, 0):
        return None
    return inside._replace(at=inside.at + 8)
