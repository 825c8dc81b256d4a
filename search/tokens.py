"""Text as the index sees it: folded, cut into tokens, ready for exact and prefix matching.

Engines do no analysis of their own. A word is found by any of its beginnings
and from any boundary inside it, because every *suffix at a boundary* is a
token and queries match tokens by prefix. ``ptv_60gy-new`` gives
``ptv_60gy-new``, ``60gy-new`` and ``new``; ``王小东`` gives ``王小东``,
``小东`` and ``东``, so 小东 finds 王小东 without any n-gram.

Traditional and simplified characters are different characters here: a name is
evidence, and converting it would join people who are not the same.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

MAX_TOKEN_CHARS: Final = 64
"""Longer tokens, in documents and queries alike, count by their first 64 characters (a UID has at most 64)."""

MAX_VALUE_CHARS: Final = 256
"""Longer whole values count by their first 256 characters: far below any engine's limit for one term."""

_MAX_SUFFIXES: Final = 48
_REPLACEMENT: Final = "\ufffd"
# One sign for what keyboards and systems write differently in names.
_SAME_SIGN: Final = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u2032`\u00b4", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63", "-")
    | dict.fromkeys("\u2022\u2027\u2219\u22c5\u30fb\u0387", "\u00b7")
)
# Latin letters that have no decomposition, though readers take them for letters with an accent.
_PLAIN_LATIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
)
_LATIN_OR_GREEK: Final = ((0x41, 0x24F), (0x370, 0x3FF), (0x1E00, 0x1FFF))
_PER_CHARACTER: Final = (
    (0x3005, 0x3007),  # 々 〆 〇
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),  # small kana
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xF900, 0xFAFF),  # Han, compatibility: those few that NFKC keeps
    (0x20000, 0x3FFFF),  # Han, extensions B and later
)


def clean(text: str) -> str:
    """Return `text` as one line that every engine can store: no controls, no lone surrogates, single spaces."""
    if not text.isprintable():  # else there is nothing to take out
        text = "".join(map(_storable, text))
    return " ".join(text.split())


def _storable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    if category == "Cf":  # zero width, direction and byte-order marks: invisible, so no one can type them
        return ""
    return _REPLACEMENT if category == "Cs" else character


@lru_cache(maxsize=4096)  # the same labels, machines and names come with every document of a patient
def fold(text: str) -> str:
    """Return `text` without the differences that a searching person does not see.

    Compatibility forms (full width, half-width katakana), case, accents on
    Latin and Greek letters, variants of apostrophe, hyphen and middle dot, and
    the two kana scripts become one. Folding twice changes nothing.
    """
    folded = clean(text)
    for _ in range(4):  # a step may open the way for an earlier one (İ, ŉ, ｱﾞ): go on until nothing changes
        before, folded = folded, _fold_once(folded)
        if folded == before:
            break
    return folded


def _fold_once(text: str) -> str:
    if text.isascii():
        return text.lower().translate(_SAME_SIGN)
    compatible = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = _without_accents(compatible).translate(_PLAIN_LATIN)
    return clean("".join(map(_to_hiragana, plain)).translate(_SAME_SIGN))


def _without_accents(text: str) -> str:
    kept: list[str] = []
    after_letter = False
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.category(character) == "Mn":
            if after_letter:
                continue
        else:
            after_letter = _is_in(character, _LATIN_OR_GREEK) and character.isalpha()
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def _to_hiragana(character: str) -> str:
    return chr(ord(character) - 0x60) if "\u30a1" <= character <= "\u30f6" else character


def _is_in(character: str, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= ord(character) <= last for first, last in ranges)


def is_per_character(character: str) -> bool:
    """Return whether `character` is written without spaces between words: Han, kana or Hangul."""
    return character >= "\u3005" and _is_in(character, _PER_CHARACTER)


def has_per_character(text: str) -> bool:
    """Return whether `text` holds any Han, kana or Hangul character."""
    return any(map(is_per_character, text))


def exact(value: str) -> str:
    """Return an identifier as it is compared: case and leading zeros kept, no padding, one line."""
    return clean(value)[:MAX_VALUE_CHARS]


def whole(value: str) -> str:
    """Return a text as it is compared as a whole: folded."""
    return fold(value)[:MAX_VALUE_CHARS]


def words(text: str) -> list[str]:
    """Return the folded words of `text`: what stands between white space, commas and the marks ``^ = \\``.

    Other signs stay in their word and mean themselves: nothing in a word is a command to an engine.
    """
    return "".join(" " if character in ",;，、；^=\\" else character for character in fold(text)).split()


def parts(word: str) -> list[str]:
    """Return the runs of letters and digits of a folded word, ``jean-pierre`` as ``jean`` and ``pierre``."""
    return "".join(character if _is_wordy(character) else " " for character in word).split()


def _is_wordy(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def suffixes(word: str) -> Iterator[str]:
    """Yield a folded word from each boundary inside it to its end, the whole word first.

    A boundary lies before every Han, kana and Hangul character, after it, and
    before each run of letters and digits.
    """
    found = 0
    before = " "
    for position, character in enumerate(word):
        if position == 0 or is_per_character(character) or _starts_run(before, character):
            yield word[position : position + MAX_TOKEN_CHARS]
            found += 1
            if found == _MAX_SUFFIXES:
                return
        before = character


def _starts_run(before: str, character: str) -> bool:
    return _is_wordy(character) and (not _is_wordy(before) or is_per_character(before))


@lru_cache(maxsize=4096)
def tokens(text: str) -> frozenset[str]:
    """Return every token of `text`, to be matched by prefix.

    Examples
    --------
    >>> sorted(tokens("CT定位 PTV-60"))
    ['60', 'ct定位', 'ptv-60', 'ptv60', '位', '定位']
    """
    found: set[str] = set()
    for word in words(text):
        found.update(suffixes(word))
        joined = "".join(parts(word))
        if joined:
            found.add(joined[:MAX_TOKEN_CHARS])
    return frozenset(found)
