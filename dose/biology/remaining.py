"""What remains of a limit for the next course, given what all courses before have done.

The limit and the dose given are in the row's own quantity (EQD2 or BED with its alpha/beta). What is given is known
between bounds, so is what remains: the largest dose given leaves the least. It is told as physical dose in the planned
fractions too, and holds for the hot spot of the new plan lying on that of the old ones.
"""

from dataclasses import dataclass, replace
from typing import Literal

from dose.biology.limits import Limit
from dose.biology.linear_quadratic import dose_for_eqd2

State = Literal["left", "may-be-exceeded", "exceeded", "not-applicable", "inactive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The metric of a limit for all courses before, in the quantity of the limit.

    Parameters
    ----------
    estimate
        Best estimate between the bounds; None where there is none.
    lo, hi
        Bounds; `hi` is None where a dose is missing that nothing bounds.
    largest_course
        Upper bound of the course that gave most; None where nobody knows.
    months
        Since the last fraction of the course treated last; None where a date is missing.
    """

    estimate: float | None
    lo: float
    hi: float | None
    largest_course: float | None = None
    months: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A figure with bounds; `estimate` is None where there is none."""

    estimate: float | None
    lo: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What remains of one limit.

    Parameters
    ----------
    limit_value
        The limit as evaluated: scaled, if a rule scales it. Gy, or cc of a critical volume.
    left
        Gy in the quantity of the limit; of a critical volume the cc beyond the least. Never below zero; None where the
        limit is not evaluated.
    physical_gy
        The same as physical dose in the planned fractions; None for volumes.
    is_at_most
        Whether a dose is missing, so that only the upper bound says anything.
    reasons
        In words: why it is not applicable, or what else the limit asks that is not met.
    """

    limit: Limit
    state: State
    limit_value: float
    left: Range | None = None
    physical_gy: Range | None = None
    is_at_most: bool = False
    reasons: tuple[str, ...] = ()


def remaining(limit: Limit, given: Given, fractions: float, *, factor: float = 1.0) -> Remaining:
    """Return what remains of a limit.

    Parameters
    ----------
    given
        In full, or with what a recovery model takes as gone taken off.
    fractions
        Of the new course, all alike.
    factor
        Of a rule that scales the limit; then `given` is in full.
    """
    value = _value_of(limit) * factor
    if not limit.is_active:
        return Remaining(limit=limit, state="inactive", limit_value=value, reasons=(_NOT_READ,))
    unmet = _unmet(limit, given)
    if unmet:
        return Remaining(limit=limit, state="not-applicable", limit_value=value, reasons=unmet)
    if limit.at_least is not None:
        return _of_volume(limit, given, limit.at_least)
    left = _left(limit, given, value)
    return Remaining(
        limit=limit,
        state=_state(given.lo - value, None if given.hi is None else given.hi - value),
        limit_value=value,
        left=left,
        physical_gy=_physical(limit, left, fractions),
        is_at_most=given.hi is None,
    )


_NOT_READ = "The row is not active: its publication was not read. Check it and make it active in the department's file."
_ROUNDING = 1e-9


def _value_of(limit: Limit) -> float:
    return limit.at_most if limit.at_most is not None else limit.at_least or 0.0


def _unmet(limit: Limit, given: Given) -> tuple[str, ...]:
    """Return in words which of the conditions that a limit presumes are not met."""
    found = []
    if limit.least_months is not None and given.months is None:
        found.append(f"It presumes an interval of {limit.least_months:g} months, and the interval is not known.")
    elif limit.least_months is not None and given.months is not None and given.months < limit.least_months:
        found.append(f"It presumes an interval of {limit.least_months:g} months, and {given.months:.1f} have passed.")
    if limit.each_course_gy is not None and given.largest_course is None:
        found.append(f"It presumes courses of at most {limit.each_course_gy:g} Gy each, and one of them is not known.")
    elif (limit.each_course_gy or 0) + _ROUNDING < (given.largest_course or 0) and limit.each_course_gy is not None:
        found.append(
            f"It presumes courses of at most {limit.each_course_gy:g} Gy each, and one may have given "
            f"{given.largest_course:.1f} Gy."
        )
    return tuple(found)


def _left(limit: Limit, given: Given, value: float) -> Range:
    """Return what is left between the bounds of what was given.

    What is left falls with what was given, but for a limit of the new course's share, which rises with it: the least is
    at one of the bounds, the most at the one place where the two cross, or at a bound.
    """

    def at(dose: float) -> float:
        caps = [value - dose]
        caps += [cap for cap in (limit.new_course_gy, limit.each_course_gy) if cap is not None]
        if limit.new_share is not None:
            caps.append(dose * limit.new_share / (1 - limit.new_share))
        return max(0.0, min(caps))

    crossing = value * (1 - (limit.new_share or 0.0))
    if given.hi is None:
        most = at(max(given.lo, crossing)) if limit.new_share is not None else at(given.lo)
        return Range(estimate=None, lo=0.0, hi=most)
    most_at = min(max(crossing, given.lo), given.hi) if limit.new_share is not None else given.lo
    estimate = None if given.estimate is None else at(given.estimate)
    return Range(estimate=estimate, lo=min(at(given.lo), at(given.hi)), hi=at(most_at))


def _physical(limit: Limit, left: Range, fractions: float) -> Range:
    def gray(value: float) -> float:
        return float(dose_for_eqd2(value / limit.per_eqd2, fractions, limit.alpha_beta_gy))

    estimate = None if left.estimate is None else gray(left.estimate)
    return replace(left, estimate=estimate, lo=gray(left.lo), hi=gray(left.hi))


def _of_volume(limit: Limit, given: Given, least_cc: float) -> Remaining:
    """Return by how much a critical volume is larger than it must be; a missing dose leaves nothing certain of it."""

    def beyond(volume_cc: float) -> float:
        return max(0.0, volume_cc - least_cc)

    hi = given.hi if given.hi is not None else given.lo
    estimate = None if given.estimate is None else beyond(given.estimate)
    return Remaining(
        limit=limit,
        state=_state(least_cc - hi, least_cc - given.lo),
        limit_value=least_cc,
        left=Range(estimate=estimate, lo=beyond(given.lo), hi=beyond(hi)),
        is_at_most=given.lo <= 0 < hi,
    )


def _state(least_excess: float, most_excess: float | None) -> State:
    if least_excess > _ROUNDING:
        return "exceeded"
    return "may-be-exceeded" if most_excess is None or most_excess > _ROUNDING else "left"
