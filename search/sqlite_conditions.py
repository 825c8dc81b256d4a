"""Conditions as SQL over the terms of the embedded index."""

import json
from collections.abc import Iterator
from typing import Final

from search.conditions import (
    AllOf,
    AnyOf,
    Condition,
    OneOf,
    Prefix,
    Range,
    Term,
    Wildcard,
    after_prefix,
    literal_prefix,
)

_TERMS: Final = "SELECT doc FROM terms_N WHERE field = ?"
_LISTED: Final = "(SELECT value FROM json_each(?))"

Leaf = Term | OneOf | Prefix | Range | Wildcard


def where(condition: Condition) -> tuple[str, list[str]]:
    """Return a condition on the documents ``d`` of generation ``_N``, and its values in order.

    All text goes in as values: nothing a user types becomes part of a statement.
    """
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return _joined(conditions, every=isinstance(condition, AllOf))
    statement, values = lookup(condition)
    return f"d.doc IN ({statement})", values


def lookup(leaf: Leaf) -> tuple[str, list[str]]:
    """Return the statement that lists the documents with a term that fits, and its values in order."""
    match leaf:
        case Term(field, value):
            return f"{_TERMS} AND value = ?", [field, value]
        case OneOf(field, values):
            # one value for the whole list: SQLite limits the number of question marks
            return f"{_TERMS} AND value IN {_LISTED}", [field, json.dumps(values, ensure_ascii=False)]
        case Prefix(field, prefix):
            return _between(field, prefix, after_prefix(prefix))
        case Range(field, low, high):
            limits = [(sign, limit) for sign, limit in ((">=", low), ("<=", high)) if limit is not None]
            tests = "".join(f" AND value {sign} ?" for sign, _ in limits)
            return f"{_TERMS}{tests}", [field, *(limit for _, limit in limits)]
        case Wildcard(field, pattern):
            start = literal_prefix(pattern)
            within, bounds = _between(field, start, after_prefix(start))
            glob = pattern.replace("[", "[[]")  # the only other sign that GLOB gives a meaning
            return f"{within} AND value GLOB ?", [*bounds, glob]


def cheap_lookups(condition: Condition) -> Iterator[tuple[str, list[str]]]:
    """Yield the lookups that a document must fit all of and that walk only the terms that fit."""
    parts = condition.conditions if isinstance(condition, AllOf) else (condition,)
    for part in parts:
        if isinstance(part, Term | OneOf | Prefix):
            yield lookup(part)


def _between(field: str, low: str, below: str | None) -> tuple[str, list[str]]:
    if below is None:
        return f"{_TERMS} AND value >= ?", [field, low]
    return f"{_TERMS} AND value >= ? AND value < ?", [field, low, below]


def _joined(conditions: tuple[Condition, ...], *, every: bool) -> tuple[str, list[str]]:
    if not conditions:
        return ("1" if every else "0"), []
    clauses, values = zip(*map(where, conditions), strict=True)
    return f"({(' AND ' if every else ' OR ').join(clauses)})", [value for part in values for value in part]
