"""Names of persons: every way of writing one that should find it.

A DICOM person name (PS3.5 section 6.2.1.1) has up to three groups joined by
``=`` (alphabetic, ideographic, phonetic), each of up to five components
joined by ``^`` (family, given, middle, prefix, suffix). Many systems write
only one group, in any script, or plain text without components. All are
understood; none is corrected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Final

from search import pinyin
from search.tokens import MAX_TOKEN_CHARS, MAX_VALUE_CHARS, fold, has_per_character, parts, suffixes, tokens

_MAX_NAME_CHARS: Final = 512  # a legal name has at most 194 (PS3.5 table 6.2-1: three groups of 64)
_MAX_INITIALS: Final = 16
_MAX_SPELT_FORMS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NameGroup:
    """One group of a person name, folded; a name without components is all family name.

    Parameters
    ----------
    family, given, middle
        The components, words separated by single spaces.
    title
        Prefix and suffix: they help nobody to find a person, but are not ignored.
    """

    family: str
    given: str = ""
    middle: str = ""
    title: str = ""

    @property
    def is_han(self) -> bool:
        """Whether it is written in Han characters alone, but for the signs between them."""
        return pinyin.is_han("".join(parts(f"{self.family} {self.given} {self.middle}")))

    @property
    def is_spaceless(self) -> bool:
        """Whether it is written in a script without spaces between words."""
        return has_per_character(self.family + self.given)

    @property
    def surname_and_given(self) -> tuple[str, str]:
        """Surname and given name of a Chinese name, divided where nobody marked the border."""
        given = "".join(parts(f"{self.given} {self.middle}"))
        if given:
            return "".join(parts(self.family)), given
        first, *rest = parts(self.family)
        return (first, "".join(rest)) if rest else pinyin.split_surname(first)

    @property
    def orders(self) -> list[list[str]]:
        """The parts that are not empty in each order people write them, family name first at the beginning."""
        named = [part for part in (self.family, self.given, self.middle) if part]
        if named == [self.family] and not self.is_spaceless:
            named = self.family.split()  # plain text: nobody knows which word is the family name
        rotated = [named[1:] + named[:1], named[-1:] + named[:-1]]
        return [named, *(order for order in rotated if order != named)]


def groups(name: str) -> tuple[NameGroup, ...]:
    """Return the groups of a person name that are not empty, in their order.

    Examples
    --------
    >>> groups("WANG^XiaoDong=王^小东")[1]
    NameGroup(family='王', given='小东', middle='', title='')
    """
    # "\\" would begin a second value: names are multi-valued only by mistake
    found = (_group(text) for text in name[:_MAX_NAME_CHARS].replace("\\", "=").split("="))
    return tuple(group for group in found if group.family or group.given or group.middle or group.title)


def _group(text: str) -> NameGroup:
    components = [fold(component) for component in text.split("^")]
    family, given, middle, *rest = components + [""] * (3 - len(components))
    if len(components) == 1 and "," in family:  # "Wang, Xiaodong" as secretaries write it
        family, _, given = (part.strip() for part in family.partition(","))
    return NameGroup(family=family, given=given, middle=middle, title=" ".join(part for part in rest if part))


@lru_cache(maxsize=1024)  # asked for each document of a patient
def name_tokens(name: str) -> frozenset[str]:
    """Return every token that finds this person, to be matched by prefix.

    王小东 gives his characters from each on, and as pinyin ``wangxiaodong``,
    ``xiaodong``, ``dong``, ``xiaodongwang``, ``wangxd`` and ``wxd``; a Latin
    name gives its words, both orders written together, and initials.
    """
    found: set[str] = set()
    for group in groups(name):
        found.update(_written(group))
        found.update(_spelt(group) if group.is_han else _latin_initials(group))
    return frozenset(token[:MAX_TOKEN_CHARS] for token in found if token)


def _written(group: NameGroup) -> Iterator[str]:
    for component in (group.family, group.given, group.middle, group.title):
        yield from tokens(component)
    for order in group.orders[:1] if group.is_spaceless else group.orders:
        yield from suffixes(_joined(order))


def _joined(words: Iterable[str]) -> str:
    return "".join(parts(" ".join(words)))


def _spelt(group: NameGroup) -> Iterator[str]:
    for family, given in pinyin.readings(*group.surname_and_given):
        syllables = family + given
        for start in range(len(syllables)):
            yield "".join(syllables[start:])
            if len(syllables) - start > 1:
                yield "".join(syllable[0] for syllable in syllables[start:])
        if given:
            yield "".join(given + family)
            yield "".join(family) + "".join(syllable[0] for syllable in given)


def _latin_initials(group: NameGroup) -> frozenset[str]:
    text = " ".join((group.family, group.given, group.middle))
    words = parts(text)
    if not 1 < len(words) <= 6 or has_per_character(text):
        return frozenset()
    choices = [sorted({word[0], *pinyin.initials(word)}, key=lambda way: (len(way), way))[:3] for word in words]
    ordered = ["".join(choice) for choice in product(*choices)]
    shortest = sorted(ordered, key=lambda way: (len(way), way))[:_MAX_INITIALS]
    return frozenset([*shortest, "".join(word[0] for word in words[1:] + words[:1])])


@lru_cache(maxsize=1024)
def name_forms(name: str) -> frozenset[str]:
    """Return the whole forms of a name that DICOM matching, with or without wildcards, is tried on.

    Of each group the components joined by ``^``, by a space and by nothing, in both orders; of a Chinese group also the
    same in pinyin, because many who query can type only Latin letters.
    """
    found: set[str] = set()
    for group in groups(name):
        found.update(_forms(group))
        if group.is_han:
            found.add("^".join(group.surname_and_given).rstrip("^"))
            spelt = islice(pinyin.readings(*group.surname_and_given), _MAX_SPELT_FORMS)
            for surname, given in spelt:
                found.update(_forms(NameGroup(family="".join(surname), given="".join(given))))
    return frozenset(form[:MAX_VALUE_CHARS] for form in found if form)


def _forms(group: NameGroup) -> Iterator[str]:
    yield _canonical(group)
    for order in group.orders:
        yield " ".join(order)
        yield _joined(order)
        if not group.given:
            yield "^".join((order[0], " ".join(order[1:]))).rstrip("^")


def _canonical(group: NameGroup) -> str:
    return "^".join((group.family, group.given, group.middle, group.title)).rstrip("^")


def name_groups(names: Iterable[str]) -> list[str]:
    """Return the groups of names, each in the form a query's is compared in; a backslash parts several names."""
    found = (canonical_group(group) for name in names for one in name.split("\\") for group in one.split("="))
    return [group[:MAX_VALUE_CHARS] for group in dict.fromkeys(found) if group]


def canonical_group(pattern: str) -> str:
    """Return one group of a query's name as `name_forms` writes it: folded, components trimmed, no ``^`` at the end."""
    return "^".join(fold(component) for component in pattern.split("^")).rstrip("^")


@lru_cache(maxsize=1024)
def name_sort_key(name: str) -> str:
    """Return the text persons are listed by: Latin spelling first, Chinese names among them by pinyin.

    Empty for an empty name.
    """
    found = groups(name)
    if not found:
        return ""
    latin = next((group for group in found if not group.is_spaceless), found[0])
    return f"{_spoken(latin)} {'='.join(map(_canonical, found))}"[:MAX_VALUE_CHARS].strip()


def _spoken(group: NameGroup) -> str:
    likeliest = next(pinyin.readings(*group.surname_and_given), None) if group.is_han else None
    if likeliest is None:
        return " ".join(group.orders[0])
    surname, given = likeliest
    return f"{''.join(surname)} {''.join(given)}".strip()
