"""How a data set is written down: transfer syntaxes and value representations (PS3.5 2026c, 6.2, 7.1 and 10)."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"

# PS3.5 Table 7.1-2: these have a length of two bytes, those of Table 7.1-1 two reserved bytes and a length of four.
SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
TEXT_VRS: Final = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT".split())
# Text in which a backslash separates values (PS3.5 6.2, 6.4): LT, ST, UR and UT hold one value.
MANY_VALUED_TEXT: Final = frozenset(b"AE AS CS DA DS DT IS LO PN SH TM UC UI".split())
# Bytes of one value, for numbers that stand side by side.
VALUE_BYTES: Final = {b"US": 2, b"SS": 2, b"UL": 4, b"SL": 4, b"FL": 4, b"AT": 4, b"FD": 8, b"SV": 8, b"UV": 8}
# Bytes that change places when the byte order changes (PS3.5 7.3); AT is a pair of 16-bit numbers.
SWAP_BYTES: Final = VALUE_BYTES | {b"AT": 2, b"OW": 2, b"OF": 4, b"OL": 4, b"OD": 8, b"OV": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the elements of a data set are written down.

    Parameters
    ----------
    explicit
        Each element names its value representation.
    little
        Numbers are little endian.
    deflated
        The whole data set is one raw deflate stream (PS3.5 A.5).
    encapsulated
        Pixel data may come as fragments (PS3.5 A.4).
    """

    explicit: bool
    little: bool = True
    deflated: bool = False
    encapsulated: bool = False

    @property
    def tag(self) -> struct.Struct:
        """Reads group and element number."""
        return _TAG_LITTLE if self.little else _TAG_BIG


_TAG_LITTLE: Final = struct.Struct("<HH")
_TAG_BIG: Final = struct.Struct(">HH")

IMPLICIT: Final = Encoding(explicit=False)
EXPLICIT: Final = Encoding(explicit=True)
_BIG: Final = Encoding(explicit=True, little=False)
_DEFLATED: Final = Encoding(explicit=True, deflated=True, encapsulated=True)
_ENCAPSULATED: Final = Encoding(explicit=True, encapsulated=True)

_BY_UID: Final = {
    IMPLICIT_LITTLE: IMPLICIT,
    EXPLICIT_LITTLE: EXPLICIT,
    EXPLICIT_BIG: _BIG,
    DEFLATED_LITTLE: _DEFLATED,
    "1.2.840.10008.1.2.4.95": _DEFLATED,  # JPIP Referenced Deflate
    "1.2.840.10008.1.2.4.205": _DEFLATED,  # JPIP HTJ2K Referenced Deflate
    "1.2.840.113619.5.2": IMPLICIT,  # GE private: implicit little endian with big endian pixel data
}


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how data sets of this transfer syntax are written down.

    Every other syntax, private ones too, is explicit little endian with pixel
    data that may be encapsulated: PS3.5 A.4 allows nothing else for new ones.
    """
    return _BY_UID.get(transfer_syntax_uid, _ENCAPSULATED)


@lru_cache(maxsize=8192)
def standard_vr(tag: int) -> bytes | None:
    """Return the value representation the data dictionary (PS3.6) gives this tag; None for private and unknown ones."""
    from pydicom._dicom_dict import DicomDictionary

    entry = DicomDictionary.get(tag)
    return entry[0][:2].encode() if entry else None


def swapped(value: bytes, width: int) -> bytes:
    """Return `value` with the bytes of each number of `width` bytes reversed; a rest shorter than that stays."""
    whole = len(value) - len(value) % width
    turned = bytearray(value)
    for place in range(width):
        turned[place:whole:width] = value[width - 1 - place : whole : width]
    return bytes(turned)
