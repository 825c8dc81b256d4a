"""Conditions as SQL over the terms of the embedded index."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from search.conditions import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Condition,
    OneOf,
    Prefix,
    Range,
    Term,
    Wildcard,
    after_prefix,
    all_of,
    literal_prefix,
)

_TERMS: Final = "SELECT doc FROM terms_N WHERE field = ?"
_LISTED: Final = "(SELECT value FROM json_each(?))"

NARROW: Final = 2000
"""So many documents are looked at one by one; more are met by walking documents in order."""
_FEW: Final = 50
_LISTED_AT_MOST: Final = 20_000

Leaf = Term | OneOf | Prefix | Range | Wildcard


def where(condition: Condition) -> tuple[str, list[str]]:
    """Return a condition on the documents ``d`` of generation ``_N``, and its values in order.

    All text goes in as values: nothing a user types becomes part of a statement.
    """
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return _joined(conditions, every=isinstance(condition, AllOf))
    statement, values = lookup(condition)
    if isinstance(condition, Term):  # one step down the tree for each document met, however many others have the term
        return f"EXISTS ({statement} AND doc = d.doc)", values
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How documents that fit a condition are found.

    Parameters
    ----------
    statement, values
        What a document must fulfil in SQL.
    is_narrow
        Whether that leaves few documents: they are fetched one by one and sorted. Else documents are met in order.
    rest
        What must hold beside, by the fields of a document.
    """

    statement: str
    values: list[str]
    is_narrow: bool = False
    rest: Condition = EVERYTHING


Count = Callable[[str, list[str], int], int]
"""How many terms a lookup meets, counted no further than the number given."""


def planned(condition: Condition, count: Count) -> Plan:
    """Choose by which of its parts a condition is looked up: by one that meets a few documents, or by all narrow ones.

    Reading a thousand terms more costs less than opening a few dozen documents to see whether the rest holds.
    """
    parts = condition.conditions if isinstance(condition, AllOf) else (condition,)
    narrow: list[Leaf] = []
    for part in parts:
        if isinstance(part, Term | OneOf | Prefix | Range):
            met = count(*lookup(part), NARROW + 1)
            if met <= _FEW:
                narrow = [part]
                break
            if met <= NARROW:
                narrow.append(part)
    if not narrow:
        return _in_order(parts, count)
    statements, values = zip(*map(lookup, narrow), strict=True)
    return Plan(
        statement=" AND ".join(f"d.doc IN ({statement})" for statement in statements),
        values=[value for part in values for value in part],
        is_narrow=True,
        rest=all_of(*(part for part in parts if part not in narrow)),
    )


def _in_order(parts: tuple[Condition, ...], count: Count) -> Plan:
    """Plan to walk documents in order: what would meet most of them anyway is tested on each, not listed before.

    A list would be made anew for every page.
    """
    wide = {
        part
        for part in parts
        if isinstance(part, Prefix | Range) and count(*lookup(part), _LISTED_AT_MOST + 1) > _LISTED_AT_MOST
    }
    statement, values = where(all_of(*(part for part in parts if part not in wide)))
    return Plan(statement=statement, values=values, rest=all_of(*(part for part in parts if part in wide)))


def _between(field: str, low: str, below: str | None) -> tuple[str, list[str]]:
    if below is None:
        return f"{_TERMS} AND value >= ?", [field, low]
    return f"{_TERMS} AND value >= ? AND value < ?", [field, low, below]


def _joined(conditions: tuple[Condition, ...], *, every: bool) -> tuple[str, list[str]]:
    if not conditions:
        return ("1" if every else "0"), []
    clauses, values = zip(*map(where, conditions), strict=True)
    return f"({(' AND ' if every else ' OR ').join(clauses)})", [value for part in values for value in part]
