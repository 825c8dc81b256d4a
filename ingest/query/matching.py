"""Whether a value fits a key (PS3.4 C.2.2.2): single value, list of UIDs, wildcard, range, sequence, name."""

from collections.abc import Callable
from typing import Final

from ingest.query.errors import BadIdentifier
from ingest.query.identifier import Key
from ingest.query.ranges import date_test, datetime_test, time_test
from search.attributes import Value
from search.conditions import as_expression
from search.names import canonical_group, name_tokens
from search.tokens import words

Test = Callable[[str], bool]
"""Whether one single value fits."""

Match = Callable[[Value | None], Value | None]
"""Returns the value to be answered, None if none fits."""

_WILD: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_ONE_VALUE: Final = frozenset({"LT", "ST", "UR", "UT"})
_NUMBERS: Final = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_RANGES: Final = {"DA": date_test, "TM": time_test, "DT": datetime_test}


def match_of(key: Key, *, fuzzy: bool = False) -> Match | None:
    """Return how a key is matched; None if it fits everything, what has no value too.

    Parameters
    ----------
    fuzzy
        Names are found as a person types them as well: in any order, by beginnings, in pinyin.

    Raises
    ------
    BadIdentifier
        It is no value of its representation, such as a date that is none.
    """
    if key.is_universal:
        return None
    if key.vr == "SQ":
        return _items_match(key, fuzzy=fuzzy)
    return _text_match(_test(key, fuzzy=fuzzy), splits=key.vr not in _ONE_VALUE)


def _text_match(test: Test, *, splits: bool) -> Match:
    def match(value: Value | None) -> Value | None:
        for one in [value] if isinstance(value, str) else value or ():
            parts = one.split("\\") if splits and isinstance(one, str) and "\\" in one else (one,)
            if any(isinstance(part, str) and test(part) for part in parts):
                return one if isinstance(one, str) else None
        return None

    return match


def _items_match(key: Key, *, fuzzy: bool) -> Match:
    """PS3.4 C.2.2.2.6: an item fits if all keys in the item asked for fit it."""
    made = ((item.keyword, match_of(item, fuzzy=fuzzy)) for item in key.items)
    inside = [(keyword, one) for keyword, one in made if one is not None]

    def match(value: Value | None) -> Value | None:
        if not isinstance(value, list):
            return None
        items = [item for item in value if isinstance(item, dict)]
        if any(all(test(item.get(keyword)) is not None for keyword, test in inside) for item in items):
            return items
        return None

    return match


def _test(key: Key, *, fuzzy: bool) -> Test:
    values = [key.value] if key.vr in _ONE_VALUE else [value for value in key.value.split("\\") if value]
    if key.vr in _RANGES:
        made = _RANGES[key.vr]
        return _any([made(value, key.keyword) for value in values])
    if key.vr == "PN":
        return _any([name_test(value, fuzzy=fuzzy) for value in values])
    if key.vr in _NUMBERS:
        return _any([_number_test(value, key.keyword) for value in values])
    if key.vr in _WILD and any(sign in key.value for sign in "*?"):
        return _any([_wildcard_test(value) for value in values])
    return frozenset(values).__contains__


def _any(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _wildcard_test(pattern: str) -> Test:
    fits = as_expression(pattern).fullmatch
    return lambda value: fits(value) is not None


def _number_test(text: str, keyword: str) -> Test:
    try:
        wanted = float(text)
    except ValueError as error:
        raise BadIdentifier(f"{keyword or 'A key'} is no number: {text[:16]!r}") from error

    def test(value: str) -> bool:
        try:
            return float(value) == wanted
        except ValueError:
            return False

    return test


def name_test(pattern: str, *, fuzzy: bool = False) -> Test:
    """Return whether a name fits: each group asked for must fit some group, without regard to case and accents.

    Many systems write characters where letters belong, and clients ask in one group for what stands in another.
    """
    wanted = [group for group in map(canonical_group, pattern.replace("＝", "=").split("=")) if group]
    groups = [_group_test(group) for group in wanted]
    typed = words(pattern.replace("*", " ").replace("?", " ")) if fuzzy else []

    def test(value: str) -> bool:
        known = [canonical_group(group) for group in value.split("=")]
        if all(any(fits(group) for group in known if group) for fits in groups):
            return True
        tokens = name_tokens(value) if typed else ()
        return bool(typed) and all(any(token.startswith(word) for token in tokens) for word in typed)

    return test


def _group_test(wanted: str) -> Test:
    if "*" not in wanted and "?" not in wanted:
        return wanted.__eq__
    fits = as_expression(wanted).fullmatch
    bare = wanted[:-2] if wanted.endswith("^*") else None  # WANG^* asks also for one of whom no given name is known
    return lambda group: fits(group) is not None or group == bare
