"""Tolerant reading of DICOM values: what can't be read is absent and flagged, never an exception."""

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from archive.reading.plain_values import are_ascii_based, plain_values

_DEFAULT_REPERTOIRE: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_TEXT_VRS: Final = frozenset({"PN", "LO", "SH", "LT", "ST", "UT", "UC"})
_SINGLE_VRS: Final = frozenset({"LT", "ST", "UT"})  # a backslash in these is text, not a separator (PS3.5 6.2)
_NUMBER_STRING_VRS: Final = frozenset({"DS", "IS"})
_BINARY_NUMBER_VRS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
_LATIN: Final = frozenset({"ISO_IR 100", "ISO 2022 IR 100"})
_GUESSES: Final = ("utf-8", "gb18030")
_HANZI: Final = re.compile(rb"(?:(?<![A-Za-z])[\xb0-\xf7][\xa1-\xfe](?![A-Za-z])|[\x00-\x7f])+")
"""GB 2312 characters in words of their own, and ASCII."""
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BACKSLASH: Final = 0x5C
_EQUALS: Final = 0x3D
_REPLACED: Final = "\ufffd"
"""Stands where pydicom could not decode a byte in the declared character set."""


class Reader:
    """Reads values of one data set by keyword and collects what could not be read in `flags`.

    Parameters
    ----------
    dataset
        The data set, or an item of a sequence in it.
    flags
        List shared with the readers of items; a fresh one if None.
    character_sets
        Specific Character Set of the enclosing data set, for items that have none of their own.
    undeclared
        Specific Character Set in which the sender is known to write text where it declares none, such as ``GB18030``;
        empty recognises UTF-8 and GB 18030.
    """

    def __init__(
        self,
        dataset: Dataset,
        flags: list[str] | None = None,
        character_sets: tuple[str, ...] | None = None,
        *,
        undeclared: str = "",
    ) -> None:
        self.dataset = dataset
        self._undeclared = undeclared
        self.flags: list[str] = [] if flags is None else flags
        # With tags that are plain integers: comparing those of pydicom costs as much as ten look-ups.
        self._elements = {int(tag): element for tag, element in dataset.items()}
        self._is_ascii_based = True
        self._character_sets = character_sets or ()
        self._character_sets = self.texts("SpecificCharacterSet") or self._character_sets
        self._is_ascii_based = are_ascii_based(self._character_sets)

    def quiet(self) -> "Reader":
        """Return a reader of the same data set that keeps its flags to itself."""
        return Reader(self.dataset, None, self._character_sets, undeclared=self._undeclared)

    def text(self, keyword: str) -> str:
        """Return the first value as text without padding, an empty string if there is none."""
        values = self.texts(keyword)
        return values[0] if values else ""

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return all values as text without padding; bytes that could not be decoded are replaced and flagged."""
        values = self._values(keyword)
        if not values:
            return ()
        texts = tuple(filter(None, map(self._clean, values)))
        if _REPLACED in "".join(texts):
            self._flag(keyword)
        return texts

    def written(self, keyword: str) -> str:
        """Return all values as one text, each in its place, parted by backslashes; empty if there is none."""
        values = self._values(keyword)
        return "\\".join(map(self._clean, values)).rstrip("\\") if values else ""

    def number(self, keyword: str) -> float | None:
        """Return the first value as a finite number, None (flagged) if it is none."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return all values as finite numbers; empty (flagged) if one of them is not."""
        if self._is_binary_for_text(keyword):
            self._flag(keyword)
            return ()
        texts = [text for value in self._values(keyword) if (text := self._clean(value))]
        numbers = tuple(float(text) for text in texts if _NUMBER.fullmatch(text))
        if len(numbers) < len(texts) or not all(map(math.isfinite, numbers)):
            self._flag(keyword)
            return ()
        return numbers

    def integer(self, keyword: str) -> int | None:
        """Return the first value as an integer, None (flagged) if it is none."""
        number = self.number(keyword)
        if number is None:
            return None
        if number != int(number):
            self._flag(keyword)
            return None
        return int(number)

    def items(self, keyword: str) -> Iterator["Reader"]:
        """Yield a reader for each item of a sequence; none (flagged) if it is no sequence."""
        value = self._value(keyword)
        if value is None or value == "":
            return
        if not isinstance(value, Sequence) or not all(isinstance(item, Dataset) for item in value):
            self._flag(keyword)
            return
        for item in value:
            yield Reader(item, self.flags, self._character_sets, undeclared=self._undeclared)

    def sequences(self) -> tuple[str, ...]:
        """Return the keywords of the standard sequences in this data set, in order of tag."""
        keywords = map(keyword_for_tag, sorted(self.dataset.keys()))
        return tuple(keyword for keyword in keywords if keyword.endswith("Sequence"))

    def has(self, keyword: str) -> bool:
        """Return whether the element is present, even if empty."""
        return _definition(keyword)[0] in self._elements

    def references(self, keyword: str) -> tuple[str, ...]:
        """Return the Referenced SOP Instance UIDs of a sequence's items, each once, in order."""
        return tuple(
            dict.fromkeys(filter(None, (item.text("ReferencedSOPInstanceUID") for item in self.items(keyword))))
        )

    def _clean(self, value: object) -> str:
        return str(value).strip(" \0")

    def _values(self, keyword: str) -> Sequence[object]:
        """Return the values of an element that holds no items; none (flagged) if it holds items or bare bytes."""
        tag, vr = _definition(keyword)
        element = self._elements.get(tag)
        if element is None:
            return ()
        if isinstance(element, RawDataElement):
            plain = plain_values(element, vr, ascii_based=self._is_ascii_based)
            if plain is not None:
                return plain
        value = self._value(keyword)
        if value is None or value == "":
            return ()
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
        if any(isinstance(one, Dataset | bytes) for one in values):
            self._flag(keyword)
            return ()
        return [one for one in values if one is not None]

    def _value(self, keyword: str) -> object:
        tag, vr = _definition(keyword)
        element = self._elements.get(tag)
        if element is None:
            return None
        try:
            guessed: object = self._guess(element, keyword, vr)
            return self.dataset[element.tag].value if guessed is None else guessed
        except Exception:  # noqa: BLE001 - pydicom raises seven kinds of exception on bad values (found by fuzzing)
            self._flag(keyword)
            return None

    def _is_binary_for_text(self, keyword: str) -> bool:
        """Whether a decimal or integer string (DS, IS) is declared a binary number.

        Whether its bytes are digits or a number can't be told: "25" taken for US is 13618 fractions.
        """
        tag, vr = _definition(keyword)
        element = self._elements.get(tag)
        return element is not None and vr in _NUMBER_STRING_VRS and element.VR in _BINARY_NUMBER_VRS

    def _guess(self, raw: DataElement | RawDataElement, keyword: str, vr: str) -> list[str] | None:
        """Return text of undeclared encoding, or none of the declared one; None where the declared one may hold.

        Many Chinese systems write GBK or UTF-8 and declare nothing, or Latin-1 because a form asked for something.
        """
        is_undeclared = _DEFAULT_REPERTOIRE.issuperset(self._character_sets)
        if keyword == "SpecificCharacterSet" or not (is_undeclared or _LATIN.issuperset(self._character_sets)):
            return None
        vr = raw.VR or vr  # None in implicit VR
        if vr not in _TEXT_VRS or not isinstance(raw, RawDataElement):
            return None
        if not isinstance(raw.value, bytes) or raw.value.isascii():
            return None
        text = self._undeclared_text(raw.value, vr) if is_undeclared else self._misdeclared_text(raw.value)
        if text is None and not is_undeclared:
            return None
        if text is None:
            self._flag(keyword)
            text = raw.value.decode("latin-1")
        # Split after decoding: the second byte of a GBK character may be a backslash.
        return [text] if vr in _SINGLE_VRS else text.split("\\")

    def _misdeclared_text(self, value: bytes) -> str | None:
        """Decode bytes declared Latin-1 that are UTF-8, or words of Chinese characters only; None if they are neither.

        Conceição and Þóra hold pairs of bytes that are characters in GBK too, but they stand beside letters.
        """
        for encoding in _GUESSES if _HANZI.fullmatch(value) else _GUESSES[:1]:
            try:
                text = value.decode(encoding)
            except UnicodeDecodeError:
                continue
            self.flags.append(f"charset-guessed:{encoding}")
            return text
        return None

    def _undeclared_text(self, value: bytes, vr: str) -> str | None:
        """Decode bytes of undeclared encoding as their sender is known to write, or else as they read; None if not."""
        text = _decoded(value, self._undeclared, is_name=vr == "PN")
        if text is not None:
            self.flags.append(f"charset-of-sender:{self._undeclared}")
            return text
        for encoding in _GUESSES:
            try:
                text = value.decode(encoding)
            except UnicodeDecodeError:
                continue
            self.flags.append(f"charset-guessed:{encoding}")
            return text
        return None

    def _flag(self, keyword: str) -> None:
        self.flags.append(f"unreadable:{keyword}")


@lru_cache(maxsize=1024)
def _definition(keyword: str) -> tuple[int, str]:
    """Return tag and value representation of an attribute by its keyword (PS3.6)."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"The data dictionary has no attribute {keyword}")
    return tag, dictionary_VR(tag)


def _decoded(value: bytes, character_set: str, *, is_name: bool) -> str | None:
    """Decode bytes in a Specific Character Set (PS3.3 C.12.1.1.2); None if there is none, or if they do not fit it."""
    if not character_set:
        return None
    encodings = convert_encodings(character_set.split("\\"))
    if len(encodings) == 1:
        try:
            return value.decode(encodings[0])
        except UnicodeDecodeError:
            return None
    # Code extensions end at each delimiter, and at the end of each value (PS3.5 6.1.2.5.3).
    text = decode_bytes(value, encodings, (PN_DELIMS | {_EQUALS} if is_name else TEXT_VR_DELIMS) | {_BACKSLASH})
    return None if _REPLACED in text else text
