"""Which two patients may be one person, and why: a proposal for people to decide, never a decision.

A pure comparison of what is told of both. How a name is spelt in other scripts
is told by whoever hands the patients in (`Likeable.spellings`): the archive
knows no pinyin.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from archive.facts.receipts import PatientKey
from archive.headers import Identifier

MOST_ALIKE: Final = 50
"""So many persons may share an ID, or name and birth date: more are phantoms, test patients and the unnamed."""

_SIGNS_BETWEEN = re.compile(r"[\s\-_./]+")


class Reason(StrEnum):
    """Why two patients may be one person; the words are for people, `lastgate people` prints them."""

    SAME_IDENTIFIER = "both bear one identifier of one issuer"
    ID_OF_TWO_ISSUERS = "one ID, of two issuers"
    ID_WRITTEN_OTHERWISE = "IDs that differ in leading zeros, case or signs between alone"
    SAME_NAME = "one name"
    NAME_SPELT_OTHERWISE = "one name, in another script, order or spelling"
    INITIALS = "initials of one name"
    SAME_BIRTH_DATE = "one birth date"
    SAME_SEX = "one sex"


_IDS = (Reason.SAME_IDENTIFIER, Reason.ID_OF_TWO_ISSUERS, Reason.ID_WRITTEN_OTHERWISE)
_NAMES = (Reason.SAME_NAME, Reason.NAME_SPELT_OTHERWISE, Reason.INITIALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeable:
    """One person of the archive, as far as comparing needs it.

    Parameters
    ----------
    key
        The key the person goes by.
    names
        As written in the instances.
    spellings
        Every full way to write the names, without any signs between: in characters, in letters, in either order.
    initials
        What a name that is written by its initials may stand for.
    is_short
        Whether the name itself is written by its initials alone.
    told_apart
        Keys of whom a person said that they are somebody else.
    keys
        All keys that are this person.
    """

    key: PatientKey
    identifiers: tuple[Identifier, ...] = ()
    names: frozenset[str] = frozenset()
    spellings: frozenset[str] = frozenset()
    initials: frozenset[str] = frozenset()
    is_short: bool = False
    birth_date: str = ""
    sex: str = ""
    told_apart: frozenset[PatientKey] = frozenset()
    keys: frozenset[PatientKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Two patients that may be one person, in order of key."""

    one: PatientKey
    other: PatientKey
    reasons: tuple[Reason, ...]


def plain_id(value: str) -> str:
    """Return what is compared of an ID: letters folded, without signs between and leading zeros; empty if nothing is.

    Examples
    --------
    >>> plain_id("00-12345 a"), plain_id("12345A"), plain_id("000")
    ('12345a', '12345a', '')
    """
    return _SIGNS_BETWEEN.sub("", value).casefold().lstrip("0")


def likeness(one: Likeable, other: Likeable) -> tuple[Reason, ...]:
    """Return why two may be one person; nothing where that is not likely enough to be looked at.

    An ID that is alike needs a name or a birth date beside it; a name needs the
    birth date; initials need birth date and sex. Where both tell a birth date
    or a sex and they differ, a name alone never counts.
    """
    ids, name = tuple(_ids(one, other)), _name(one, other)
    dates = _same(one.birth_date, other.birth_date)
    sexes = _same(one.sex, other.sex)
    if not _is_likely(ids, name, dates=dates, sexes=sexes):
        return ()
    also = [Reason.SAME_BIRTH_DATE] if dates else []
    also += [Reason.SAME_SEX] if sexes else []
    return (*ids, *([name] if name else []), *also)


def _is_likely(ids: tuple[Reason, ...], name: Reason | None, *, dates: bool | None, sexes: bool | None) -> bool:
    if Reason.SAME_IDENTIFIER in ids:
        return True
    if ids:
        return name is not None or bool(dates and sexes is not False)
    if not dates or sexes is False:
        return False
    return name in (Reason.SAME_NAME, Reason.NAME_SPELT_OTHERWISE) or (name is Reason.INITIALS and bool(sexes))


def _same(one: str, other: str) -> bool | None:
    """Return whether both tell the same; None where one tells nothing."""
    return one == other if one and other else None


def _ids(one: Likeable, other: Likeable) -> Iterator[Reason]:
    pairs = [(mine, theirs) for mine in one.identifiers for theirs in other.identifiers]
    if any((mine.value, mine.issuer) == (theirs.value, theirs.issuer) for mine, theirs in pairs):
        yield Reason.SAME_IDENTIFIER
    if any(mine.value == theirs.value and mine.issuer != theirs.issuer for mine, theirs in pairs):
        yield Reason.ID_OF_TWO_ISSUERS
    written = [(mine.value, theirs.value) for mine, theirs in pairs if mine.value != theirs.value]
    if any(plain_id(mine) and plain_id(mine) == plain_id(theirs) for mine, theirs in written):
        yield Reason.ID_WRITTEN_OTHERWISE


def _name(one: Likeable, other: Likeable) -> Reason | None:
    if not one.names.isdisjoint(other.names):
        return Reason.SAME_NAME
    if not one.spellings.isdisjoint(other.spellings):
        return Reason.NAME_SPELT_OTHERWISE
    if (one.is_short or other.is_short) and not one.initials.isdisjoint(other.initials):
        return Reason.INITIALS
    return None


def proposals_among(persons: Iterable[Likeable]) -> Iterator[Proposal]:
    """Yield who of these may be one person, but for those of whom that was refused; in order of keys.

    Only who shares an ID, or a birth date and a way to write the name, is
    compared, so the work grows with the number of persons and not with its
    square. What more than `MOST_ALIKE` share is a placeholder and tells nothing.
    """
    known = sorted(persons, key=lambda person: person.key)
    shelves: dict[tuple[str, str], list[int]] = {}
    for place, person in enumerate(known):
        for shelf in _shelves_of(person):
            shelves.setdefault(shelf, []).append(place)
    told = (places for places in shelves.values() if len(places) <= MOST_ALIKE)
    pairs = {pair for places in told for pair in combinations(places, 2)}
    for first, second in sorted(pairs):
        found = _proposal(known[first], known[second])
        if found is not None:
            yield found


def proposals_for(person: Likeable, others: Iterable[Likeable]) -> Iterator[Proposal]:
    """Yield who of these others may be this person, but for those of whom that was refused."""
    for other in sorted(others, key=lambda one: one.key):
        found = _proposal(*sorted((person, other), key=lambda one: one.key)) if other.key != person.key else None
        if found is not None:
            yield found


def _shelves_of(person: Likeable) -> set[tuple[str, str]]:
    ids = {("id", plain_id(one.value)) for one in person.identifiers if plain_id(one.value)}
    written = (person.names | person.spellings | person.initials) if person.birth_date else ()
    return ids | {(person.birth_date, text) for text in written}


def _proposal(one: Likeable, other: Likeable) -> Proposal | None:
    if one.told_apart & (other.keys | {other.key}) or other.told_apart & (one.keys | {one.key}):
        return None
    reasons = likeness(one, other)
    return Proposal(one=one.key, other=other.key, reasons=reasons) if reasons else None
