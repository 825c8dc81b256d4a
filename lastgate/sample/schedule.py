"""When the sample patients came: working days only, and what went wrong on some of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One treatment record: one fraction, or a part of one.

    Parameters
    ----------
    fraction
        Current Fraction Number.
    date, time
        Treatment Date and Time as written, YYYYMMDD and HHMMSS.
    parts
        Beam number and the share of its meterset at which delivery began and ended, in order of delivery.
    kind
        Treatment Delivery Type: TREATMENT or CONTINUATION.
    termination
        Treatment Termination Status of the last beam of the record; the others ended NORMAL.
    """

    fraction: int
    date: str
    time: str
    parts: tuple[tuple[int, float, float], ...]
    kind: Literal["TREATMENT", "CONTINUATION"] = "TREATMENT"
    termination: Literal["NORMAL", "OPERATOR", "MACHINE"] = "NORMAL"


def working_days(first: str) -> Iterator[dt.date]:
    """Mondays to Fridays from a date on, ISO 8601; the first must be one of them."""
    day = dt.date.fromisoformat(first)
    if day.weekday() > 4:
        raise ValueError(f"{first} is no working day.")
    while True:
        if day.weekday() < 5:
            yield day
        day += dt.timedelta(days=1)


def daily(first: str, count: int, beams: tuple[int, ...], *, time: str, every: int = 1) -> tuple[Delivery, ...]:
    """Fractions on every ``every``-th working day, all beams complete."""
    days = working_days(first)
    found = []
    for number in range(1, count + 1):
        found.append(delivered(number, next(days), time, beams))
        for _ in range(every - 1):
            next(days)
    return tuple(found)


def delivered(fraction: int, day: dt.date, time: str, beams: tuple[int, ...]) -> Delivery:
    """One complete fraction; its minute differs a little from day to day, as it does in life."""
    minute = (int(time[2:4]) + (fraction * 7) % 11) % 60
    clock = f"{time[:2]}{minute:02d}{(fraction * 13) % 60:02d}"
    return Delivery(fraction=fraction, date=f"{day:%Y%m%d}", time=clock, parts=tuple((b, 0.0, 1.0) for b in beams))
