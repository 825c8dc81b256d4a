"""Names of structures after AAPM TG-263: which are right, and what a wrong one should be called."""

import re
from functools import cache
from typing import cast

from archive.gate.words import table

_FORM = re.compile(r"[A-Za-z0-9_^~!+.-]{1,16}")
"""TG-263 6: at most 16 characters, of these."""

_SIDES = {"l": "L", "left": "L", "lt": "L", "左": "L", "r": "R", "right": "R", "rt": "R", "右": "R"}
_HELPERS = ("z", "_")
"""TG-263 6.1: what is only used for planning begins so, and is free otherwise."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[左右]|[^\x00-\x7f左右]+")


@cache
def _targets() -> re.Pattern[str]:
    prefixes = "|".join(sorted(cast("list[str]", table("tg263.toml")["targets"]), key=len, reverse=True))
    return re.compile(f"({prefixes})(.*)", re.IGNORECASE | re.DOTALL)


@cache
def _organs() -> dict[str, str]:
    """Return the right name of an organ by its words run together, small; paired ones without a side."""
    written = table("tg263.toml")
    names = [*cast("list[str]", written["paired"]), *cast("list[str]", written["single"])]
    others = cast("dict[str, str]", written["other_words"])
    return {_run_together(word): name for word, name in [*((name, name) for name in names), *others.items()]}


@cache
def _paired() -> frozenset[str]:
    return frozenset(cast("list[str]", table("tg263.toml")["paired"]))


def _run_together(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def target_name(name: str) -> bool:
    """Return whether a name begins as that of a target does, whatever its case."""
    return _targets().match(name) is not None


@cache
def suggestion(name: str) -> str:
    """Return what a structure should be called: `name` itself if it is right, empty where nothing can be proposed."""
    if name.startswith(_HELPERS) and _FORM.fullmatch(name):
        return name
    target = _targets().match(name)
    if target:
        return _in_form(target[1].upper() + re.sub(r"\s+", "_", target[2].strip()))
    return _organ_called(name) or _in_form(name)


def _in_form(name: str) -> str:
    return name if _FORM.fullmatch(name) else ""


def _organ_called(name: str) -> str:
    """Return the organ that is meant, with its side where it was told; empty if it is none that is known."""
    whole = _organs().get(_run_together(name))
    if whole:
        return whole
    words = _WORD.findall(name)
    sides = {_SIDES[word.casefold()] for word in words if word.casefold() in _SIDES}
    organ = _organs().get("".join(word.casefold() for word in words if word.casefold() not in _SIDES), "")
    return f"{organ}_{sides.pop()}" if organ in _paired() and len(sides) == 1 else ""
