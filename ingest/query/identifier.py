"""The identifier of a query: its level, its keys and its character set (PS3.4 C.4.1.1.3)."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from archive.reading.attributes import Level
from ingest.dataset.encoding import DEFLATED_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE
from ingest.query.charset import decoded
from ingest.query.errors import BadIdentifier, TooMuchAsked, UnreadableIdentifier
from ingest.query.models import Model

MOST_BYTES: Final = 1024 * 1024
"""Of an identifier, inflated."""
MOST_VALUES: Final = 10_000
"""Of one key."""
MOST_KEYS: Final = 1_000
_MOST_DEPTH: Final = 4

_CHARACTER_SET: Final = 0x00080005
_LEVEL: Final = 0x00080052
_UNDEFINED: Final = 0xFFFF_FFFF
_TEXT: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
_IN_CHARACTER_SET: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

Element = DataElement | RawDataElement


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One attribute asked for.

    Parameters
    ----------
    keyword
        Empty if we don't know the attribute, such as a private one.
    value
        As text, several values parted by a backslash; empty for universal matching.
    items
        Of a sequence the keys of its item.
    """

    tag: int
    keyword: str
    vr: str
    value: str = ""
    items: tuple["Key", ...] = ()

    @property
    def is_universal(self) -> bool:
        """Whether it only asks for the value to be returned (PS3.4 C.2.2.2.3)."""
        return not self.value.strip("*") and all(key.is_universal for key in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """What a query asks for.

    Parameters
    ----------
    keys
        In order of tag.
    character_sets
        Specific Character Set as named, empty if none is.
    """

    level: Level
    keys: tuple[Key, ...]
    character_sets: tuple[str, ...]

    def value(self, keyword: str) -> str:
        """Return what a key asks for, empty if it asks for anything or is not there."""
        return next((key.value for key in self.keys if key.keyword == keyword and not key.is_universal), "")


def read_identifier(encoded: bytes, transfer_syntax_uid: str, model: Model) -> Identifier:
    """Read the identifier of a C-FIND.

    Raises
    ------
    TooMuchAsked
        It is longer or has more keys than a query may.
    UnreadableIdentifier
        It is no data set.
    BadIdentifier
        It names no level of the model.
    """
    try:
        dataset = _dataset(encoded, transfer_syntax_uid)
        names = _character_sets(dataset)
        keys = _keys(dataset, names, 0)
    except (TooMuchAsked, BadIdentifier):
        raise
    except Exception as error:  # pydicom raises seven kinds of exception on bad data
        raise UnreadableIdentifier(f"The identifier can't be read: {type(error).__name__}") from error
    level = next((key.value for key in keys if key.tag == _LEVEL), "")
    if level not in model.levels:
        raise BadIdentifier(f"{model.name} has no Query/Retrieve Level {level[:16]!r}")
    asked = tuple(key for key in keys if key.tag not in (_CHARACTER_SET, _LEVEL))
    return Identifier(level=Level(level), keys=asked, character_sets=names)


def _dataset(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    if transfer_syntax_uid == DEFLATED_LITTLE and 0 < len(encoded) <= MOST_BYTES:
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        encoded = inflating.decompress(encoded, MOST_BYTES + 1)
    if len(encoded) > MOST_BYTES:
        raise TooMuchAsked(f"The identifier is longer than {MOST_BYTES} bytes")
    return read_dataset(
        BytesIO(encoded),
        is_implicit_VR=transfer_syntax_uid == IMPLICIT_LITTLE,
        is_little_endian=transfer_syntax_uid != EXPLICIT_BIG,
        bytelength=len(encoded),
    )


def _character_sets(dataset: Dataset) -> tuple[str, ...]:
    raw = _raw(dataset.get_item(_CHARACTER_SET)) if _CHARACTER_SET in dataset else b""
    if not raw:
        return ()
    return tuple(name.strip(" \0").upper() for name in raw.decode("latin-1").split("\\"))


def _raw(element: object) -> bytes:
    value = element.value if isinstance(element, RawDataElement) else None
    return value if isinstance(value, bytes) else b""


def _keys(dataset: Dataset, names: tuple[str, ...], depth: int) -> tuple[Key, ...]:
    if len(dataset) > MOST_KEYS or depth > _MOST_DEPTH:
        raise TooMuchAsked(f"The identifier has more than {MOST_KEYS} keys, or too deep ones")
    elements = sorted((int(tag), element) for tag, element in dataset.items())  # no tag is there twice
    return tuple(_key(dataset, tag, element, names, depth) for tag, element in elements if tag & 0xFFFF)


def _key(dataset: Dataset, tag: int, element: Element, names: tuple[str, ...], depth: int) -> Key:
    _check_whole(element)
    keyword, vr = _known(tag)
    vr = vr or str(element.VR or "UN")[:2]
    if vr == "SQ":
        items: object = dataset[tag].value
        first = items[0] if isinstance(items, Sequence) and items else Dataset()
        return Key(tag=tag, keyword=keyword, vr=vr, items=_keys(first, names, depth + 1))
    value = _value(dataset, tag, element, vr, names)
    if value.count("\\") >= MOST_VALUES:
        raise TooMuchAsked(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) lists more than {MOST_VALUES} values")
    return Key(tag=tag, keyword=keyword, vr=vr, value=value)


@lru_cache(maxsize=1024)
def _known(tag: int) -> tuple[str, str]:
    """Return keyword and value representation of an attribute, both empty if the standard does not know it."""
    return (dictionary_keyword(tag), dictionary_VR(tag)[:2]) if dictionary_has_tag(tag) else ("", "")


def _check_whole(element: Element) -> None:
    """Raise `EOFError` for half a value: pydicom reads it without a word, and half a UID would find another study."""
    if isinstance(element, RawDataElement) and element.length not in (len(element.value or b""), _UNDEFINED):
        raise EOFError("cut off")


def _value(dataset: Dataset, tag: int, element: Element, vr: str, names: tuple[str, ...]) -> str:
    raw = _raw(element)
    if vr in _TEXT:
        text = decoded(raw, vr, names) if vr in _IN_CHARACTER_SET else raw.decode("latin-1")
        return "\\".join(part.strip(" \0") for part in text.split("\\"))
    if not raw:
        return ""
    value = dataset[tag].value
    if isinstance(value, bytes):
        return ""
    return "\\".join(map(str, value if isinstance(value, list) or hasattr(value, "append") else [value]))
