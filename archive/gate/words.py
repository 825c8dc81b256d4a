"""The words of the gate: how findings read in both languages, and how grave they are where no pack says otherwise."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from archive.gate.rulebook import Demand, Figure, Requirement
from archive.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How one finding reads, what to do about it, how grave it is and who may let it stand.

    Parameters
    ----------
    source
        Where the rule comes from: a clause of the standard, a report, a guideline. Empty where it is our own.
    figures
        Thresholds and words by which the rule judges, unless a pack names others.
    """

    severity: Severity
    waivable_by: tuple[str, ...]
    en: str
    zh: str
    fix: str
    fix_zh: str
    source: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)

    @property
    def demand(self) -> Demand:
        """How the code is judged where no pack says otherwise."""
        return Demand(severity=self.severity, waivable_by=self.waivable_by, figures=dict(self.figures))


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWords:
    """How a word among the figures reads."""

    en: str
    zh: str


_TERMS = TypeAdapter(dict[str, TermWords])
_WORDS = TypeAdapter(dict[str, Words])


@cache
def _standard() -> dict[str, Words]:
    return _WORDS.validate_python(table("findings.toml"))


def standard_words() -> dict[str, Words]:
    """Return the words that come with the program, by code."""
    return dict(_standard())


def standard_terms() -> dict[str, TermWords]:
    """Return the words that stand among figures, by `Term`."""
    return _TERMS.validate_python(table("terms.toml"))


def words_with(requirements: Mapping[str, Requirement]) -> dict[str, Words]:
    """Return all words, those of a department's own requirements included."""
    return {**_standard(), **{code: _own(one) for code, one in requirements.items()}}


def _own(requirement: Requirement) -> Words:
    """A department writes plain text: a brace in it is a brace, no figure."""
    return Words(
        severity=requirement.severity,
        waivable_by=requirement.waivable_by,
        en=_plain(requirement.en),
        zh=_plain(requirement.zh),
        fix=requirement.fix,
        fix_zh=requirement.fix_zh,
        source=requirement.source,
        figures={"words": requirement.words},
    )


def _plain(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def table(*path: str) -> dict[str, object]:
    """Read one of the tables of this package."""
    return tomllib.loads(files("archive.gate").joinpath(*path).read_text("utf-8"))
