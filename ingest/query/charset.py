"""Text of queries and answers in the character sets of DICOM (PS3.5 6.1, PS3.3 C.12.1.1.2)."""

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pydicom import charset
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS, PersonName

UTF_8: Final = "ISO_IR 192"
_DEFAULT: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_WHOLE: Final[dict[str, str]] = {
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 203": "iso8859-15",
    "ISO_IR 166": "tis-620",
}
"""Character sets without escape sequences, and Python's names for them."""
_GB2312: Final = "ISO 2022 IR 58"
_ASIAN: Final = ("ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149")
_ESCAPES: Final = re.compile(rb"\x1b(\$\)A|\(B)")
_GUESSES: Final = ("utf-8", "gb18030")

Encode = Callable[[str, str], bytes]
"""Encodes text of a value representation; raises `UnicodeEncodeError` for what it can't say."""


def decoded(raw: bytes, vr: str, names: tuple[str, ...]) -> str:
    """Return the text of a key; bytes that are not of the character set named are guessed, as in receipts."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if _DEFAULT.issuperset(names):
        return _guessed(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydicom warns where it replaces what it can't read
        try:
            if len(names) == 1 and names[0] in _WHOLE:
                return raw.decode(_WHOLE[names[0]])
            if _is_gb2312(names):
                return _ESCAPES.sub(b"", raw).decode("gb18030")
            encodings = charset.convert_encodings(list(names))
            if vr == "PN":
                return "=".join(charset.decode_bytes(group, encodings, PN_DELIMS) for group in raw.split(b"="))
            return charset.decode_bytes(raw, encodings, TEXT_VR_DELIMS)
        except (UnicodeError, UserWarning, LookupError):
            return _guessed(raw)


def _guessed(raw: bytes) -> str:
    for encoding in _GUESSES:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


@lru_cache(maxsize=64)
def encoder(names: tuple[str, ...]) -> Encode:
    """Return what encodes text in a character set of one value, or of several with escape sequences."""
    if len(names) == 1 and names[0] in _WHOLE:
        codec = _WHOLE[names[0]]
        return lambda text, _: text.encode(codec)
    if _DEFAULT.issuperset(names):
        return lambda text, _: text.encode("ascii")
    return lambda text, vr: _escaped(text, vr, names)


def _is_gb2312(names: tuple[str, ...]) -> bool:
    """Return whether the only set of several bytes is ISO 2022 IR 58: pydicom 3.0 mistakes its escapes for text."""
    return _GB2312 in names and not any(name in names for name in _ASIAN)


def _in_gb2312(text: str) -> bytes:
    """Encode with ISO 2022 IR 58: each component that needs it begins with its escape sequence (PS3.5 annex K)."""
    parts = re.split(r"([\^=\\\r\n\f\t])", text)
    return b"".join(part.encode("ascii") if part.isascii() else b"\x1b$)A" + part.encode("gb2312") for part in parts)


def _escaped(text: str, vr: str, names: tuple[str, ...]) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            encodings = charset.convert_encodings(list(names))
            if _is_gb2312(names):
                raw = _in_gb2312(text)
            elif vr == "PN":
                raw = b"\\".join(PersonName(one, encodings).encode(encodings) for one in text.split("\\"))
            else:
                raw = charset.encode_string(text, encodings)
        except (UnicodeError, UserWarning, LookupError, ValueError) as error:
            raise UnicodeEncodeError("dicom", text, 0, len(text), "not in this character set") from error
    if decoded(raw, vr, names) != text:  # pydicom takes a character that looks alike for some
        raise UnicodeEncodeError("dicom", text, 0, len(text), "not in this character set")
    return raw
