"""Recovery between courses: published rules, shown side by side, none applied unless somebody asks for it.

Rules are of two kinds. A `RecoveryModel` *forgets*: a part of the dose given is taken as gone. A `LimitScaling` raises
the *limit* and forgets nothing. With 30 Gy given and a limit of 50 Gy, a limit times 1.25 leaves 32.5 Gy, a quarter
forgotten 27.5 Gy: the two are types of their own, so that one is never taken for the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import cast

from dose.biology.names import parse_name
from dose.biology.tables import SOURCE_KEYS, Checked, Source, read_table
from dose.biology.tissues import KINDS, Kind

_KEYS = SOURCE_KEYS | {"title", "steps", "only"}
_MOST_DAYS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What holds from so many months on.

    Parameters
    ----------
    is_beyond
        Whether it holds only beyond that time, not at it.
    value
        Part forgotten (0 to 1), or factor of the limit (1 or more).
    """

    months: float
    is_beyond: bool
    value: float

    def holds_at(self, months: float) -> bool:
        """Return whether so much time has passed."""
        return months > self.months if self.is_beyond else months >= self.months


Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryModel:
    """A rule by which a part of the dose given is taken as gone.

    Parameters
    ----------
    kinds
        Kinds of tissue it is for.
    only
        Organs it is for; all of those kinds if empty.
    by_structure
        Steps of organs that have their own, whatever kind they are; no steps: nothing recovers.
    """

    name: str
    title: str
    kinds: frozenset[Kind]
    only: frozenset[str]
    steps: Steps
    by_structure: dict[str, Steps]
    source: Source

    def forgotten(self, interval_months: float | None, structure: str, kind: Kind = "serial") -> float:
        """Return the part of a course's dose that is taken as gone, 0 to 1.

        Parameters
        ----------
        interval_months
            From the last fraction of that course; None where a date is missing: nothing is gone.
        structure
            TG-263 name. A planning risk volume recovers as its organ does.
        kind
            Of its tissue; targets and acute effects never recover.
        """
        if interval_months is None or not self.is_for(structure, kind):
            return 0.0
        steps = self.by_structure.get(parse_name(structure).organ_key, self.steps)
        return _value(steps, interval_months, 0.0)

    def usual(self, interval_months: float | None) -> float:
        """Return the part that is taken as gone in organs without steps of their own, 0 to 1."""
        return 0.0 if interval_months is None else _value(self.steps, interval_months, 0.0)

    def is_for(self, structure: str, kind: Kind = "serial") -> bool:
        """Return whether the rule says anything of a structure."""
        name = parse_name(structure)
        if name.is_target or kind in ("target", "acute"):
            return False
        if name.organ_key in self.by_structure:
            return True
        return kind in self.kinds and (not self.only or name.organ_key in self.only)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitScaling:
    """A rule by which a limit is raised with time, while all dose given counts in full."""

    name: str
    title: str
    only: frozenset[str]
    steps: Steps
    source: Source

    def factor(self, interval_months: float | None, structure: str) -> float:
        """Return by what the limit is multiplied, 1 or more; 1 where a date is missing.

        Parameters
        ----------
        interval_months
            From the last fraction of the course treated last.
        """
        if interval_months is None or not self.is_for(structure):
            return 1.0
        return _value(self.steps, interval_months, 1.0)

    def is_for(self, structure: str) -> bool:
        """Return whether the rule says anything of a structure; none does of a planning risk volume or a target."""
        return parse_name(structure).key in self.only


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRules:
    """All rules that are known, of both kinds, by name."""

    models: dict[str, RecoveryModel]
    scalings: dict[str, LimitScaling]
    version: str


def read_recovery(own: Path | None = None) -> RecoveryRules:
    """Read the rules that come with the program, and the department's over them.

    Raises
    ------
    BadTable
        A rule can't be used; the message names it.
    """
    forgetting, scaling = (read_table("recovery.toml", kind, own) for kind in ("recovery", "scaling"))
    models = {one.name: _model(one, forgetting.version) for one in forgetting.checked()}
    scalings = {one.name: _scaling(one, scaling.version) for one in scaling.checked()}
    both = sorted(set(models) & set(scalings))
    if both:
        raise next(one for one in forgetting.checked() if one.name == both[0]).fail(
            "a rule that forgets and one that scales limits have different names."
        )
    return RecoveryRules(models=models, scalings=scalings, version=forgetting.version)


def months_between(last: date | None, as_of: date | None) -> float | None:
    """Return the calendar months from one day to another, with a part below one for the days over.

    From 15 January to 15 July is six, the day before is less. None where a day is missing or they are the other way
    round: then nobody knows the interval.
    """
    if last is None or as_of is None or as_of < last:
        return None
    months = (as_of.year - last.year) * 12 + as_of.month - last.month
    days = as_of.day - last.day
    return months + days / _MOST_DAYS if days >= 0 else months - 1 + (days + _MOST_DAYS) / _MOST_DAYS


def _value(steps: Steps, months: float, before: float) -> float:
    reached = [step.value for step in steps if step.holds_at(months)]
    return reached[-1] if reached else before


def _model(row: Checked, version: str) -> RecoveryModel:
    row.only(_KEYS | {"kinds", "structures"})
    kinds = row.names("kinds")
    if not kinds or not set(kinds) <= set(KINDS) - {"target", "acute"}:
        raise row.fail("kinds is a list of serial, parallel or other; targets and acute effects do not recover.")
    by_structure = row.row.get("structures", {})
    if not isinstance(by_structure, dict):
        raise row.fail("structures is a table with a list of steps for each organ.")
    return RecoveryModel(
        name=row.name,
        title=row.text("title"),
        kinds=frozenset(cast("tuple[Kind, ...]", kinds)),
        only=_keys(row),
        steps=_steps(row, row.row.get("steps"), "forgotten", lambda value: 0 <= value <= 1),
        by_structure={
            parse_name(name).organ_key: _steps(row, steps, "forgotten", lambda value: 0 <= value <= 1)
            for name, steps in by_structure.items()
        },
        source=row.source(version=version),
    )


def _scaling(row: Checked, version: str) -> LimitScaling:
    row.only(_KEYS)
    return LimitScaling(
        name=row.name,
        title=row.text("title"),
        only=_keys(row),
        steps=_steps(row, row.row.get("steps"), "factor", lambda value: value >= 1),
        source=row.source(version=version),
    )


def _keys(row: Checked) -> frozenset[str]:
    return frozenset(parse_name(name).key for name in row.names("only"))


def _steps(row: Checked, written: object, key: str, fits: Callable[[float], bool]) -> Steps:
    """Return the steps of a rule in the order of time; each tells more than the one before."""
    if not isinstance(written, list):
        raise row.fail(f"steps is a list of {{ from_months = 6, {key} = ... }}.")
    steps = tuple(_step(Checked(table=row.table, name=row.name, row=one), key) for one in written)
    if not all(fits(step.value) for step in steps):
        raise row.fail(f"{key} is between 0 and 1." if key == "forgotten" else f"{key} is 1 or more.")
    if any(one.months >= other.months or one.value > other.value for one, other in pairwise(steps)):
        raise row.fail(f"steps stand in the order of time, and {key} never falls.")
    return steps


def _step(step: Checked, key: str) -> Step:
    if not isinstance(step.row, dict):
        raise step.fail(f"a step is {{ from_months = 6, {key} = ... }}.")
    step.only({"from_months", "after_months", key})
    start, beyond = step.maybe("from_months", least=0), step.maybe("after_months", least=0)
    if (start is None) == (beyond is None):
        raise step.fail("a step has either from_months or after_months.")
    return Step(
        months=cast("float", beyond if start is None else start),
        is_beyond=start is None,
        value=step.number(key, least=0),
    )
