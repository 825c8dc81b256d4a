"""How long a dossier is kept: the latest day that any rule gives, computed from the dossier and its decisions.

The rules are data (``retention.toml``). Nothing here asks a clock: the same
facts give the same day whenever it is asked for. Every rule only lengthens, so
that a lock that was set is never longer than what a later look gives, unless a
fact was withdrawn; and no lock is ever shortened.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from pydantic import TypeAdapter

from archive.dates import parse_date
from archive.facts.decisions import Decision, KeepUntil, SetHold, StateDeath
from archive.model import Dossier

After = Literal["last-treatment", "birth", "death", "sealing"]
Preset = Literal["default", "china", "england", "germany", "site"]
PRESETS: Final[tuple[str, ...]] = get_args(Preset)

_COMES_OF_AGE: Final = 18
_LAST_DAY: Final = date(9998, 12, 31)
_DAY_IS_OVER_EVERYWHERE: Final = timedelta(hours=36)
"""At noon UTC of the next day a day has ended in every time zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the table: so many years after some day.

    Parameters
    ----------
    minors_only
        Whether it holds only for those under 18 on their first day of treatment.
    confirmed
        Whether its source was read for the table.
    """

    code: str
    after: After
    years: int
    source: str
    minors_only: bool = False
    confirmed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The days a term may be counted from; None where nobody knows."""

    first_treatment: date | None = None
    last_treatment: date | None = None
    birth: date | None = None
    death: date | None = None
    sealing: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What one rule gives for one dossier: the last day on which it must be kept."""

    code: str
    until: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Until when a dossier is kept.

    Parameters
    ----------
    terms
        All that the rules and the persons gave, the latest first; never empty.
    """

    terms: tuple[Term, ...]

    @property
    def until(self) -> date:
        """The last day on which it must be kept."""
        return self.terms[0].until

    @property
    def lock_until(self) -> datetime:
        """The moment (aware UTC) from which it may go: that day has ended in every time zone."""
        return datetime.combine(self.until, time(), UTC) + _DAY_IS_OVER_EVERYWHERE


_TABLE: Final = TypeAdapter(dict[str, tuple[Rule, ...]])


@cache
def table() -> dict[str, tuple[Rule, ...]]:
    """Return the rules of all presets, and those that ``always`` hold."""
    return _TABLE.validate_python(tomllib.loads(Path(__file__).with_name("retention.toml").read_text("utf-8")))


def rules_of(preset: Preset, *, site_years: int) -> tuple[Rule, ...]:
    """Return the rules of a preset, with the site's own least number of years after the last treatment."""
    own = Rule(code="SITE", after="last-treatment", years=site_years, source="The settings of this site")
    return (*table()["always"], *table()[preset], own)


def retention_of(
    dossier: Dossier, decisions: Iterable[Decision], rules: Sequence[Rule], *, sealed_on: date
) -> Retention:
    """Return until when a dossier is kept.

    Parameters
    ----------
    decisions
        All about the patient: a death, and what persons lengthened.
    sealed_on
        Day of its newest seal; one without any day of treatment counts from there.
    """
    known = tuple(decisions)
    life = life_of(dossier, known, sealed_on=sealed_on)
    terms = [*terms_of(life, rules), *_lengthened(dossier, known)]
    return Retention(terms=tuple(sorted(terms, key=lambda term: (term.until, term.code), reverse=True)))


def life_of(dossier: Dossier, decisions: Iterable[Decision], *, sealed_on: date) -> Life:
    """Return the days of a patient and a course that terms are counted from."""
    closed = parse_date(dossier.close.last_date) if dossier.close else None
    days = [day for day in (parse_date(dossier.last_fraction), closed) if day]
    last = max(days, default=sealed_on)
    deaths = [one for one in decisions if isinstance(one.what, StateDeath)]
    newest = max(deaths, key=lambda one: one.number, default=None)
    birth = parse_date(dossier.person.birth_date)
    return Life(
        first_treatment=parse_date(dossier.first_fraction) or last,
        last_treatment=last,
        birth=birth if birth and birth <= last else None,
        death=parse_date(newest.what.date) if newest and isinstance(newest.what, StateDeath) else None,
        sealing=sealed_on,
    )


def terms_of(life: Life, rules: Iterable[Rule]) -> tuple[Term, ...]:
    """Return what each rule gives; none where its day is unknown or it is not for this person."""
    found = []
    for rule in rules:
        start = getattr(life, rule.after.replace("-", "_"))
        if start is not None and (not rule.minors_only or _was_minor(life)):
            found.append(Term(code=rule.code, until=years_after(start, rule.years), source=rule.source))
    return tuple(found)


def years_after(day: date, years: int) -> date:
    """Return the same day so many years later; 1 March for a 29 February that is not there, and never beyond 9998."""
    year = day.year + years
    if year > _LAST_DAY.year:
        return _LAST_DAY
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def hold_of(dossier: Dossier, decisions: Iterable[Decision]) -> Decision | None:
    """Return the decision that forbids to dispose of a dossier, None if nothing does.

    The newest word about each of its plans counts: what was put on hold as one
    course and divided since stays on hold in both parts until each is let go.
    """
    newest: dict[str, Decision] = {}
    for one in sorted(decisions, key=lambda decision: decision.number):
        if isinstance(one.what, SetHold):
            newest.update(dict.fromkeys(one.what.plan_uids, one))
    standing = [newest[uid] for uid in dossier.plan_uids if uid in newest and getattr(newest[uid].what, "held", False)]
    return max(standing, key=lambda one: one.number, default=None)


def _was_minor(life: Life) -> bool:
    if life.birth is None or life.first_treatment is None:
        return False
    return life.first_treatment < years_after(life.birth, _COMES_OF_AGE)


def _lengthened(dossier: Dossier, decisions: Iterable[Decision]) -> Iterable[Term]:
    uids = frozenset(dossier.plan_uids)
    for one in decisions:
        if isinstance(one.what, KeepUntil) and uids.intersection(one.what.plan_uids):
            until = min(date.fromisoformat(one.what.until), _LAST_DAY)
            yield Term(code="PERSON", until=until, source=f"{one.account}: {one.what.reason}")
