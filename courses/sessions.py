"""Which grids gave dose in one session, and how often: told by treatment records, else taken from the plan.

Of the shares that grids gave in a session, layers are made: what all gave counts as fractions of all together, what one
gave beyond that as fractions of it alone. So physical dose is exact, the dose per fraction stays the planned one, and
the effect is never less than that of the session as it was (it is convex in dose).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from archive.assembly.delivery import SESSION_GAP, parse_date, starts_at
from archive.model import Fraction
from courses.delivered import DeliveredDose
from dose.biology.repair import COMPLETE_AFTER_H

REPAIR_GAP = timedelta(hours=COMPLETE_AFTER_H)
"""Sessions closer than this, or on one day, are told as incomplete repair (dose of a day is not yet repaired)."""

_UNEVEN = 0.02
"""Beams of one fraction that differ by less than this part gave it together: metersets are rounded and drift."""

_WHOLE = 1 + 1e-3
_GAP_STEP_H = 0.5
_NOTHING = 1e-9
_NEAR = 6
"""No more sessions before or after another lie within its day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Grids that gave dose in one session, and in how many sessions.

    Parameters
    ----------
    grids
        Numbers of plan and grid in what was handed in, in order; one stands twice where two fractions of it were given.
    scales
        What each grid gave of its planned dose per fraction on average: 1 but for drifting metersets.
    close
        Hours to another session of the day or within six hours, rounded down, and how many fractions had one.
    """

    grids: tuple[tuple[int, int], ...]
    fractions: float
    scales: tuple[float, ...]
    last_date: str
    close: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Item:
    """One grid in one session: the share that counts, and what it truly gave for a share of 1."""

    grid: tuple[int, int]
    share: float
    scale: float


@dataclass(slots=True)
class _Visit:
    """One session: when it began, and the fractions given in it."""

    written: str
    day: date | None
    starts: datetime | None
    fractions: list[tuple[int, Fraction]] = field(default_factory=list)


@dataclass(slots=True)
class _Count:
    fractions: float = 0.0
    amounts: list[float] = field(default_factory=list)
    last_date: str = ""
    close: dict[float, float] = field(default_factory=lambda: defaultdict(float))


def given_together(doses: Sequence[DeliveredDose]) -> list[Together]:
    """Return what was given together of these plans, and how often.

    Plans without records count with their planned fractions, each fraction group by itself.
    """
    visits = _visits((n, one) for n, dose in enumerate(doses) for one in _fractions(dose))
    counts: dict[tuple[tuple[int, int], ...], _Count] = defaultdict(_Count)
    for number, visit in enumerate(visits):
        gaps = _gaps(visits, number)
        for members, thickness in _layers(_items(doses, visit)):
            _count(counts[tuple(one.grid for one in members)], members, thickness, visit, gaps)
    told = [_together(grids, one) for grids, one in counts.items() if one.fractions > _NOTHING]
    return [*told, *(one for n, dose in enumerate(doses) for one in _as_planned(n, dose))]


def _fractions(dose: DeliveredDose) -> list[Fraction]:
    return list({id(one): one for grid in dose.grids for one, _ in grid.given}.values())


def _visits(fractions: Iterable[tuple[int, Fraction]]) -> list[_Visit]:
    """Return sessions in their order: what starts less than two hours after the first beam of a session belongs to it.

    Where only a day is told, the first fraction of each plan and group that day is one session, the second another; a
    fraction without a day is a session of its own.
    """
    visits: list[_Visit] = []
    days: dict[tuple[str, int], _Visit] = {}
    seen: dict[tuple[int, int | None, str], int] = defaultdict(int)
    ordered = sorted(fractions, key=lambda one: (starts_at(one[1].date, one[1].time), one[0], one[1].number or 0))
    for plan, fraction in ordered:
        day = parse_date(fraction.date)
        if day and fraction.time:
            starts = starts_at(fraction.date, fraction.time)
            last = next((one.starts for one in reversed(visits) if one.starts), None)
            if last is None or starts - last >= SESSION_GAP:
                visits.append(_Visit(fraction.date, day, starts))
            visit = next(one for one in reversed(visits) if one.starts)
        else:
            of_the_day = (plan, fraction.group_number, fraction.date)
            known = days.get((fraction.date, seen[of_the_day])) if day else None
            visit = known or _Visit(fraction.date, day, None)
            if known is None:
                visits.append(visit)
                days[fraction.date, seen[of_the_day]] = visit
            seen[of_the_day] += 1
        visit.fractions.append((plan, fraction))
    return visits


def _gaps(visits: Sequence[_Visit], number: int) -> list[float]:
    """Return the hours to every other session of the same day or within six hours, rounded down to half hours.

    Where nobody knows the hour, none have passed: that is the worst.
    """
    mine = visits[number]
    gaps: list[float] = []
    for at in (*range(max(0, number - _NEAR), number), *range(number + 1, min(len(visits), number + _NEAR + 1))):
        other = visits[at]
        if mine.day is None or other.day is None:
            continue
        if mine.starts is None or other.starts is None:
            gaps += [0.0] if mine.day == other.day else []
        elif mine.day == other.day or abs(mine.starts - other.starts) < REPAIR_GAP:
            hours = abs(mine.starts - other.starts).total_seconds() / 3600
            gaps.append(int(hours / _GAP_STEP_H) * _GAP_STEP_H)
    return gaps


def _items(doses: Sequence[DeliveredDose], visit: _Visit) -> list[_Item]:
    """Return what each grid gave in a session; parts of one fraction that was continued are one."""
    shares: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for plan, fraction in visit.fractions:
        told = {at: share for at, grid in enumerate(doses[plan].grids) for one, share in grid.given if one is fraction}
        for at, (share, scale) in _even(told, fraction.share).items():
            shares[plan, at].append((share, scale))
    items = []
    for grid, given in shares.items():
        total = sum(share for share, _ in given)
        if total <= _WHOLE and total > 0:
            given = [(total, sum(share * scale for share, scale in given) / total)]
        items += [_Item(grid, share, scale) for share, scale in given if share > _NOTHING]
    return sorted(items, key=lambda one: one.grid)


def _even(told: dict[int, float], usual: float) -> dict[int, tuple[float, float]]:
    """Return the share of each grid of a plan in a fraction, and what it truly gave for a share of 1."""
    if usual > 0 and all(abs(share / usual - 1) < _UNEVEN for share in told.values()):
        return {at: (usual, share / usual) for at, share in told.items()}
    return {at: (share, 1.0) for at, share in told.items()}


def _layers(items: Sequence[_Item]) -> Iterable[tuple[list[_Item], float]]:
    below = 0.0
    for level in sorted({one.share for one in items}):
        yield [one for one in items if one.share >= level], level - below
        below = level


def _count(count: _Count, members: Sequence[_Item], thickness: float, visit: _Visit, gaps: Iterable[float]) -> None:
    count.amounts = count.amounts or [0.0] * len(members)
    for at, one in enumerate(members):
        count.amounts[at] += one.scale * thickness
    count.fractions += thickness
    count.last_date = max(count.last_date, visit.written if visit.day else "")
    for gap in gaps:
        count.close[gap] += thickness


def _together(grids: tuple[tuple[int, int], ...], count: _Count) -> Together:
    scales = (amount / count.fractions for amount in count.amounts)
    return Together(
        grids=grids,
        fractions=count.fractions,
        scales=tuple(1.0 if abs(scale - 1) < _NOTHING else scale for scale in scales),
        last_date=count.last_date,
        close=tuple(sorted(count.close.items())),
    )


def _as_planned(number: int, dose: DeliveredDose) -> Iterable[Together]:
    """Return the planned fractions of the grids that no records count for, those of one fraction group together."""
    by_groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, grid in enumerate(dose.grids):
        if dose.is_planned:
            by_groups[grid.groups].append(at)
    for members in by_groups.values():
        yield Together(
            grids=tuple((number, at) for at in members),
            fractions=float(dose.grids[members[0]].planned or 1),
            scales=(1.0,) * len(members),
            last_date="",
        )
