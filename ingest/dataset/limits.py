"""How much one data set may hold, and the counting of it."""

from dataclasses import dataclass
from typing import Final

from ingest.dataset.encoding import MANY_VALUED_TEXT, VALUE_BYTES
from ingest.dataset.levels import tag_name
from ingest.errors import TooMany

COUNTED_FROM_BYTES: Final = 1024 * 1024  # shorter values can't hold too many


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one data set may hold before it is refused.

    Parameters
    ----------
    elements
        Elements and items together.
    values
        Values of one element that is text or numbers.
    nesting
        Sequences within sequences.
    fragments
        Fragments of encapsulated pixel data.
    inflated_bytes, inflate_ratio
        Of a deflated data set.
    """

    elements: int = 200_000
    values: int = 2_000_000
    nesting: int = 64
    fragments: int = 4_000_000
    inflated_bytes: int = 4 * 1024**3
    inflate_ratio: int = 400


class Tally:
    """Counts what one data set holds; every method raises `TooMany` beyond a limit."""

    def __init__(self, limits: Limits) -> None:
        self.elements = 0
        self.depth = 0
        self._fragments = 0
        self._limits = limits

    def element(self) -> None:
        """Count an element or item."""
        self.elements += 1
        if self.elements > self._limits.elements:
            raise TooMany(f"The data set has more than {self._limits.elements} elements and items")

    @property
    def room(self) -> int:
        """How many more elements and items there may be."""
        return self._limits.elements - self.elements

    @property
    def levels(self) -> int:
        """How many sequences may yet be entered from here."""
        return self._limits.nesting - self.depth

    def pass_over(self, count: int) -> None:
        """Count elements for which there was `room`."""
        self.elements += count

    def fragments(self, count: int) -> None:
        """Count fragments of pixel data."""
        self._fragments += count
        if self._fragments > self._limits.fragments:
            raise TooMany(f"The pixel data come in more than {self._limits.fragments} fragments")

    def deeper(self, tag: int) -> None:
        """Enter a sequence."""
        self.depth += 1
        if self.depth > self._limits.nesting:
            raise TooMany(f"{tag_name(tag)} is nested more than {self._limits.nesting} sequences deep")

    def numbers(self, tag: int, vr: bytes | None, length: int) -> None:
        """Count the numbers in a value of `length` bytes."""
        width = VALUE_BYTES.get(vr or b"")
        if width and length // width > self._limits.values:
            raise TooMany(f"{tag_name(tag)} holds {length // width} values")

    def separators(self, tag: int, vr: bytes | None, piece: bytes, before: int) -> int:
        """Count the separators in a piece of text; return how many there were with those `before`."""
        if vr not in MANY_VALUED_TEXT:
            return 0
        after = before + piece.count(b"\\")
        if after >= self._limits.values:
            raise TooMany(f"{tag_name(tag)} holds more than {self._limits.values} values")
        return after
