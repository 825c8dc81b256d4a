"""The small algebra every engine evaluates.

A document has named fields, each with any number of values (text). A
condition holds for a document if *some* value of the field fits. Text is
compared by code point, which is the order of its UTF-8 bytes too, so Python,
SQLite and Elasticsearch agree.
"""

from dataclasses import dataclass
from typing import Final

_LAST_CODE_POINT: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Term:
    """Some value of `field` equals `value`."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some value of `field` equals one of `values`."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """Some value of `field` begins with `value`."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Range:
    """Some value of `field` lies between `low` and `high`, both included; None leaves a side open."""

    field: str
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Some value of `field` fits `pattern` as a whole: ``*`` any text, ``?`` one character, all else itself."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of `conditions` holds; with none of them, every document fits."""

    conditions: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of `conditions` holds; with none of them, no document fits."""

    conditions: tuple["Condition", ...] = ()


Condition = Term | OneOf | Prefix | Range | Wildcard | AllOf | AnyOf

EVERYTHING: Final = AllOf()
NOTHING: Final = AnyOf()


def all_of(*conditions: Condition | None) -> Condition:
    """Join conditions that must all hold; None and `EVERYTHING` add nothing."""
    kept = tuple(dict.fromkeys(c for c in conditions if c is not None and c != EVERYTHING))
    return kept[0] if len(kept) == 1 else AllOf(kept)


def any_of(*conditions: Condition) -> Condition:
    """Join conditions of which one must hold."""
    kept = tuple(dict.fromkeys(conditions))
    return kept[0] if len(kept) == 1 else AnyOf(kept)


def literal_prefix(pattern: str) -> str:
    """Return the text every match of a wildcard pattern begins with."""
    return pattern[: min((at for at in (pattern.find("*"), pattern.find("?")) if at >= 0), default=len(pattern))]


def after_prefix(prefix: str) -> str | None:
    """Return the smallest text above all texts that begin with `prefix`; None if there is none.

    Examples
    --------
    >>> after_prefix("wang"), after_prefix("")
    ('wanh', None)
    """
    while prefix and ord(prefix[-1]) == _LAST_CODE_POINT:
        prefix = prefix[:-1]
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)  # surrogates are no characters
