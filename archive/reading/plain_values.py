"""Values that need no interpretation: printable ASCII and single 16-bit numbers, which is what most elements hold.

For every element it is asked for, pydicom makes objects that can be changed, validated and written again. A receipt
wants the text alone, of a hundred elements of each instance. What is plain is taken from the bytes here, exactly as
pydicom would have read it (a property test compares the two); the rest stays with pydicom.
"""

import re
from collections.abc import Sequence
from typing import Final

from pydicom.charset import python_encoding
from pydicom.dataelem import RawDataElement

_CODE_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI"})
"""Text in the default repertoire, whatever character set is declared (PS3.5 6.1.2.3)."""
_TEXT_VRS: Final = frozenset({"PN", "LO", "SH", "UC"})
_SINGLE_VRS: Final = frozenset({"LT", "ST", "UT"})
_NUMBERS: Final = {
    "DS": re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", re.ASCII),
    "IS": re.compile(r" *[+-]?\d{1,10} *", re.ASCII),
}
_PLAIN: Final = re.compile(rb"[ -~]*\0*")
_ASCII_SETS: Final = frozenset(python_encoding)
"""The defined terms of Specific Character Set: in all of them ASCII bytes without an escape are ASCII."""


def are_ascii_based(character_sets: Sequence[str]) -> bool:
    """Return whether ASCII bytes are ASCII text in these character sets; of an unknown one nobody can tell."""
    return _ASCII_SETS.issuperset(character_sets)


def plain_values(raw: RawDataElement, vr: str, *, ascii_based: bool) -> Sequence[str] | None:
    """Return the values of an element as text, perhaps padded with spaces; None if they are not plain.

    Parameters
    ----------
    vr
        Its value representation in the data dictionary, which holds where the element names none.
    ascii_based
        Whether ASCII bytes are ASCII text in the character sets that hold for it.
    """
    value, vr = raw.value, raw.VR or vr
    if value is None:
        return None
    if vr == "US":
        return (str(int.from_bytes(value, "little" if raw.is_little_endian else "big")),) if len(value) == 2 else None
    is_text = ascii_based and (vr in _TEXT_VRS or vr in _SINGLE_VRS)
    if not (is_text or vr in _CODE_VRS or vr in _NUMBERS) or not _PLAIN.fullmatch(value):
        return None
    text = str(value, "ascii").rstrip(" \0")
    if not text:
        return ()
    if vr in _SINGLE_VRS:
        return (text,)
    if vr == "PN" and "=" in text:  # pydicom leaves out groups that are empty
        return None
    values = text.split("\\")
    number = _NUMBERS.get(vr)
    return values if number is None or all(map(number.fullmatch, values)) else None
