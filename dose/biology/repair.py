"""Incomplete repair: fractions so close that the damage of one was not all repaired when the next came."""

from dose.biology.linear_quadratic import _positive

COMPLETE_AFTER_H = 6.0
"""Fractions closer than this, or two on one day, are flagged: repair is not taken as complete."""

HALF_TIME_H = 4.0
"""Half-time of repair that close fractions are shown with where nobody states one; late damage repairs with two to five
hours (convention, to be replaced by the department's)."""


def is_incomplete(apart_h: float, *, same_day: bool = False) -> bool:
    """Return whether two sessions were too close for repair to be taken as complete."""
    return same_day or apart_h < COMPLETE_AFTER_H


def left_unrepaired(apart_h: float, half_time_h: float = HALF_TIME_H) -> float:
    """Return the part of the damage that is left after so long: ``h = exp(-ln 2 dt / T)``, 0 to 1.

    Raises
    ------
    ValueError
        The half-time is not positive, or the time is negative.
    """
    _positive("half-time of repair", half_time_h)
    if apart_h < 0:
        raise ValueError(f"Sessions can't be {apart_h} hours apart.")
    return float(2.0 ** (-apart_h / half_time_h))
