"""The rulebook: which codes each kind of treatment must pass, how grave each is, and by which figures it is judged.

It is data and nothing else: made of the packs that come with the program and
of what a department changes in them (`archive.gate.binding`), and stored
write-once, so that a rebuild judges by the very same rules.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from archive.assembly.courses import CourseRules
from archive.model import RulesMark, Severity

Figure = float | tuple[str, ...]
"""A threshold, or a list of words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """How one code is judged in one pack.

    Parameters
    ----------
    waivable_by
        Roles that may let it stand; for an urgent one all of them must sign.
    figures
        What the rule reads by name: thresholds and words. Units stand in the names.
    """

    severity: Severity
    waivable_by: tuple[str, ...]
    figures: dict[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """What one kind of treatment must pass.

    Parameters
    ----------
    demands
        By code; what does not stand here is not asked for.
    off
        Codes that the department switched off in this pack.
    """

    en: str
    zh: str
    demands: dict[str, Demand]
    off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Names a pack for the plans that fit; every condition that is given must hold.

    Parameters
    ----------
    words
        One of these stands in label, name, description, prescription, sites or technique; case does not matter.
    modalities, techniques, intents
        As `archive.model.Plan` and Plan Intent tell them; a technique is compared without the word SBRT before it.
    least_fraction_gy
        The largest prescribed dose of a fraction, Gy.
    most_fractions, most_total_gy
        Planned fractions, and the largest prescribed dose of a target in Gy; they must be known.
    """

    pack: str
    words: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    least_fraction_gy: float | None = None
    most_fractions: int | None = None
    most_total_gy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A paper that a department demands beyond the rules of the program: its words, and what to tell people.

    Parameters
    ----------
    packs
        Where it is demanded; everywhere if empty.
    words
        One of these stands in the title or file name of the paper.
    """

    words: tuple[str, ...]
    severity: Severity
    waivable_by: tuple[str, ...]
    en: str
    zh: str
    fix: str
    fix_zh: str
    packs: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """All packs, how one is chosen for a plan, and the settings of assembly.

    Parameters
    ----------
    choices
        The first that fits a plan names its pack; what fits none is judged by ``base``.
    requirements
        By code, which begins with ``LOCAL-``.
    """

    packs: dict[str, Pack]
    choices: tuple[Choice, ...]
    requirements: dict[str, Requirement] = field(default_factory=dict)
    courses: CourseRules = field(default_factory=CourseRules)

    @property
    def codes(self) -> frozenset[str]:
        """Every code that is asked for or switched off somewhere."""
        return frozenset(code for pack in self.packs.values() for code in (*pack.demands, *pack.off))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRules:
    """The rulebook as it lies under ``site/rules/<number>.json``; number 0 was never stored."""

    format: Literal["lastgate/rules/1"] = "lastgate/rules/1"
    number: int = 0
    rulebook: Rulebook

    @property
    def mark(self) -> RulesMark:
        """How a dossier names the rules it is judged by."""
        return RulesMark(number=self.number, sha256=hashlib.sha256(encode(self)).hexdigest())


STORED_RULES = TypeAdapter(StoredRules)


def encode(rules: StoredRules) -> bytes:
    """Return the bytes under which rules are stored; the same rules always give the same."""
    return STORED_RULES.dump_json(rules, indent=1) + b"\n"
