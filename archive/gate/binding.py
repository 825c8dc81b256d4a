"""Makes the rulebook: the packs that come with the program, and what a department changes in them.

A pack is a small TOML table (`archive/gate/packs/`). It names the codes it
asks for and what it judges otherwise than ``findings.toml``; with ``extends``
it begins with all that another pack asks for. A department's own file has the
same tables and may add packs, choices, requirements and the settings of
assembly (docs/administrator.md). What it switches off stays visible.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from archive.assembly.courses import CourseRules
from archive.errors import BadRules
from archive.gate.rulebook import Choice, Demand, Figure, Pack, Requirement, Rulebook
from archive.gate.words import standard_words, table, words_with
from archive.model import Severity

OWN = "LOCAL-"
"""How the code of a department's own requirement begins."""

WAIVING_ROLES = frozenset({"file-manager", "physicist", "doctor"})
"""Who may sign at all; an administrator keeps the machine and signs nothing."""

_CHOICE = "choice.toml"
_EXACT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class _PackTable:
    """A pack as it is written: what it adds to the one it extends, and what it judges otherwise."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    extends: str = ""
    en: str = ""
    zh: str = ""
    rules: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    severity: dict[str, Severity] = field(default_factory=dict)
    waivable_by: dict[str, tuple[str, ...]] = field(default_factory=dict)
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Department:
    """What a department's own file may say."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    packs: dict[str, _PackTable] = field(default_factory=dict)
    choose: tuple[Choice, ...] = ()
    requirements: dict[str, Requirement] = field(default_factory=dict)
    courses: CourseRules = field(default_factory=CourseRules)


_PACK = TypeAdapter(_PackTable)
_CHOICES = TypeAdapter(dict[str, tuple[Choice, ...]])
_DEPARTMENT = TypeAdapter(_Department)


@cache
def standard_rulebook() -> Rulebook:
    """Return the rulebook of a department that changes nothing."""
    return _rulebook(_Department())


def rulebook_from(text: str) -> Rulebook:
    """Return the rulebook of a department.

    Parameters
    ----------
    text
        Its own file, TOML.

    Raises
    ------
    BadRules
        It is no TOML, or names a table, pack, code, role or figure that there isn't.
    """
    try:
        department = _DEPARTMENT.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadRules(f"The file of the gate's rules is no TOML: {error}") from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadRules(f"The file of the gate's rules can't be used: {told}") from error
    return _rulebook(department)


def _rulebook(department: _Department) -> Rulebook:
    _refuse_bad_requirements(department.requirements)
    shipped = _shipped_packs()
    own = {name: one for name, one in department.packs.items() if name not in shipped}
    made: dict[str, Pack] = {}
    for name in (*shipped, *own):
        _make(name, {**shipped, **own}, department, made, under_way=())
    choices = (*department.choose, *_CHOICES.validate_python(table("packs", _CHOICE))["choose"])
    named = {choice.pack for choice in choices}.union(*(one.packs for one in department.requirements.values()))
    if unknown := sorted(named - made.keys()):
        raise BadRules(f"There is no pack {', '.join(unknown)}; these there are: {', '.join(made)}")
    return Rulebook(packs=made, choices=choices, requirements=department.requirements, courses=department.courses)


@cache
def _shipped_packs() -> Mapping[str, _PackTable]:
    names = sorted(one.name for one in files("archive.gate").joinpath("packs").iterdir())
    tables = (name for name in names if name.endswith(".toml") and name != _CHOICE)
    return {name.removesuffix(".toml"): _PACK.validate_python(table("packs", name)) for name in tables}


def _make(
    name: str,
    tables: Mapping[str, _PackTable],
    department: _Department,
    made: dict[str, Pack],
    *,
    under_way: tuple[str, ...],
) -> Pack:
    """Make a pack after the one it extends: what the department changes there passes to it."""
    if name in made:
        return made[name]
    if name not in tables or name in under_way:
        raise BadRules(f"The pack {name!r} that {under_way[-1]!r} extends can't be found or extends it in turn")
    written = tables[name]
    parent = _make(written.extends, tables, department, made, under_way=(*under_way, name)) if written.extends else None
    pack = replace(parent, en=written.en, zh=written.zh) if parent else Pack(en=written.en, zh=written.zh, demands={})
    if not pack.en or not pack.zh:
        raise BadRules(f"The pack {name!r} has no name in both languages: write en and zh")
    pack = _changed(name, pack, written)
    pack = _with_requirements(name, pack, department.requirements, is_root=parent is None)
    changes = department.packs.get(name)
    if changes and changes is not written:
        if changes.extends:
            raise BadRules(f"The pack {name!r} comes with the program: it can be changed, but extends what it extends")
        pack = _changed(name, pack, changes)
    made[name] = pack
    return pack


def _changed(name: str, pack: Pack, table: _PackTable) -> Pack:
    words = standard_words()
    demands = dict(pack.demands)
    for code in table.rules:
        if code not in words and code not in demands:
            raise BadRules(f"The pack {name!r} asks for {code}, a rule that there isn't")
        if code not in demands:
            demands[code] = words[code].demand
    for code in (*table.without, *table.off, *table.severity, *table.waivable_by, *table.figures):
        if code not in demands and code not in pack.off:
            raise BadRules(f"The pack {name!r} names {code}, which it does not ask for")
    for code in {*table.severity, *table.waivable_by, *table.figures} & demands.keys():
        demands[code] = _judged(name, code, demands[code], table)
    left = {code: one for code, one in demands.items() if code not in {*table.without, *table.off}}
    off = tuple(sorted({*pack.off, *table.off} - set(table.rules)))
    return replace(pack, demands=left, off=off)


def _judged(name: str, code: str, demand: Demand, table: _PackTable) -> Demand:
    roles, figures = table.waivable_by.get(code, demand.waivable_by), table.figures.get(code, {})
    _refuse_unknown_roles(roles, f"The pack {name!r}")
    for figure, value in figures.items():
        if not isinstance(value, type(demand.figures.get(figure))):
            known = ", ".join(demand.figures) or "none"
            raise BadRules(f"The pack {name!r} gives {code} the figure {figure!r}, which it does not have: {known}")
    return Demand(
        severity=table.severity.get(code, demand.severity), waivable_by=roles, figures={**demand.figures, **figures}
    )


def _with_requirements(name: str, pack: Pack, requirements: Mapping[str, Requirement], *, is_root: bool) -> Pack:
    """Add a department's own requirements: those of this pack, and to a root those of every pack."""
    words = words_with(requirements)
    asked = {code for code, one in requirements.items() if name in one.packs or (is_root and not one.packs)}
    return replace(pack, demands={**pack.demands, **{code: words[code].demand for code in sorted(asked)}})


def _refuse_bad_requirements(requirements: Mapping[str, Requirement]) -> None:
    for code, one in requirements.items():
        if not code.startswith(OWN) or code != code.upper():
            raise BadRules(f"The requirement {code!r} must begin with {OWN} and stand in capitals")
        if not one.words or not all((*one.words, one.en, one.zh, one.fix, one.fix_zh)):
            raise BadRules(f"The requirement {code!r} lacks words to look for, or its text in a language")
        _refuse_unknown_roles(one.waivable_by, f"The requirement {code!r}")


def _refuse_unknown_roles(roles: Iterable[str], where: str) -> None:
    for role in roles:
        if role not in WAIVING_ROLES:
            raise BadRules(f"{where} names the role {role!r}; these may sign: {', '.join(sorted(WAIVING_ROLES))}")
