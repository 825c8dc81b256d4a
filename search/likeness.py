"""Every way a name may be written, for comparing persons: in characters, in pinyin, in either order, by initials."""

from dataclasses import dataclass
from itertools import product
from typing import Final

from search import pinyin
from search.names import NameGroup, groups
from search.tokens import has_per_character, parts

_MOST_READINGS: Final = 16
_LONGEST_INITIALS: Final = 4
_MOST_WAYS: Final = 3  # xiaodong is x, xd and xad


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a name may be written.

    Parameters
    ----------
    full
        Without any signs between, in characters and in letters, family name first and last.
    initials
        Of two letters at least, in either order.
    is_short
        Whether the name is written by its initials alone.
    """

    full: frozenset[str] = frozenset()
    initials: frozenset[str] = frozenset()
    is_short: bool = False


def spelling_of(name: str) -> Spelling:
    """Return every way a person name may be written.

    Examples
    --------
    >>> sorted(spelling_of("王小东").full & spelling_of("XIAODONG^WANG").full)
    ['wangxiaodong', 'xiaodongwang']
    >>> spelling_of("W X D").initials <= spelling_of("WANG^XIAODONG").initials, spelling_of("W X D").is_short
    (True, True)
    """
    full: set[str] = set()
    initials: set[str] = set()
    short = []
    for group in (*groups(name), *groups(_mended(name))):
        if group.is_han:
            _add_han(group, full, initials)
            short.append(False)
        else:
            short.append(_add_written(group, full, initials))
    return Spelling(full=frozenset(full), initials=frozenset(initials), is_short=bool(short) and all(short))


def _mended(name: str) -> str:
    """Return a name whose GBK bytes were taken for Latin letters as it was meant; empty where it is none of that."""
    try:
        meant = name.encode("latin-1").decode("gb18030")
    except UnicodeError:
        return ""
    return meant if meant != name and any(pinyin.is_han(sign) for sign in meant) else ""


def _add_han(group: NameGroup, full: set[str], initials: set[str]) -> None:
    surname, given = group.surname_and_given
    full.update((surname + given, given + surname))
    for family, rest in list(pinyin.readings(surname, given))[:_MOST_READINGS]:
        full.update(("".join(family + rest), "".join(rest + family)))
        _add_initials(["".join(one[0] for one in family), "".join(one[0] for one in rest)], initials)


def _add_written(group: NameGroup, full: set[str], initials: set[str]) -> bool:
    """Add a name in letters and return whether it is written by its initials alone."""
    words = [part for text in (group.family, group.given, group.middle) for part in parts(text)]
    joined = "".join(words)
    if has_per_character(joined):
        full.add(joined)
        return False
    if _are_initials(words):
        _add_initials([joined[:1], joined[1:]], initials)
        return True
    for order in group.orders:
        whole = "".join(part for word in order for part in parts(word))
        full.add(whole)
    choices = [sorted({word[:1], *pinyin.initials(word)}, key=_shortest)[:_MOST_WAYS] for word in words[:4]]
    for choice in product(*choices):
        _add_initials([choice[0], "".join(choice[1:])], initials)
        _add_initials(["".join(choice[:-1]), choice[-1]], initials)
    return False


def _shortest(way: str) -> tuple[int, str]:
    return len(way), way


def _are_initials(words: list[str]) -> bool:
    """Return whether these are initials: each one letter, or few letters together that are no syllable."""
    joined = "".join(words)
    if not 1 < len(joined) <= _LONGEST_INITIALS:
        return False
    return all(len(word) == 1 for word in words) or not any(pinyin.initials(word) for word in words if len(word) > 1)


def _add_initials(pair: list[str], initials: set[str]) -> None:
    first, rest = pair
    if first and rest:
        initials.update((first + rest, rest + first))
