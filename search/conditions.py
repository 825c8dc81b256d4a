"""The small algebra every engine evaluates.

A document has named fields, each with any number of values (text). A
condition holds for a document if *some* value of the field fits. Text is
compared by code point, which is the order of its UTF-8 bytes too, so Python,
SQLite and Elasticsearch agree.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
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


def holds(condition: Condition, fields: Mapping[str, Collection[str]]) -> bool:
    """Return whether a condition holds for a document with these fields."""
    match condition:
        case AllOf(conditions):
            return all(holds(part, fields) for part in conditions)
        case AnyOf(conditions):
            return any(holds(part, fields) for part in conditions)
        case Term(field, value):
            return value in fields.get(field, ())
        case OneOf(field, values):
            return not frozenset(values).isdisjoint(fields.get(field, ()))
        case Prefix(field, value):
            return any(one.startswith(value) for one in fields.get(field, ()))
        case Range(field, low, high):
            return any((low is None or one >= low) and (high is None or one <= high) for one in fields.get(field, ()))
        case Wildcard(field, pattern):
            fits = as_expression(pattern).fullmatch
            return any(fits(one) for one in fields.get(field, ()))


@lru_cache(maxsize=256)
def as_expression(pattern: str) -> re.Pattern[str]:
    """Return a wildcard pattern as a regular expression to be matched in full; it never goes back over a ``*``.

    Examples
    --------
    >>> as_expression("W?NG^*").pattern
    'W.NG\\\\^.*'
    """
    first, *others = (
        "".join("." if sign == "?" else re.escape(sign) for sign in piece) for piece in re.split(r"\*+", pattern)
    )
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    # what stands between two stars may be taken where it is met first: a later place leaves less for the rest
    return re.compile(first + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}", re.DOTALL)


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
