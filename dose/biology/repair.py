"""Incomplete repair: fractions so close that the damage of one was not all repaired when the next came.

Half-times of repair are rows ``[repair.NAME]`` of `tissues.toml`, each with its source; nobody knows one for sure, so
what they change is told beside the plain figure and never in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dose.biology.linear_quadratic import _positive
from dose.biology.names import parse_name
from dose.biology.tables import SOURCE_KEYS, Checked, Source, read_table

COMPLETE_AFTER_H: Final = 6.0
"""Fractions closer than this, or two on one day, are flagged: repair is not taken as complete."""

DEFAULT_HALF_TIME: Final = "default"
"""Name of the row for structures without one."""

_KEYS = SOURCE_KEYS | {"half_time_h", "structures"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfTime:
    """How fast tissues repair.

    Parameters
    ----------
    name
        Of the row.
    hours
        After so long half of the damage is left.
    structures
        TG-263 names the row is for.
    """

    name: str
    hours: float
    structures: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfTimes:
    """All rows by name; the row `DEFAULT_HALF_TIME` is always there."""

    rows: Mapping[str, HalfTime]

    def of(self, structure: str) -> HalfTime:
        """Return the half-time of a structure by its TG-263 name: side and margin change nothing."""
        wanted = parse_name(structure).organ_key
        fitting = (row for row in self.rows.values() if wanted in {one.casefold() for one in row.structures})
        return next(fitting, self.rows[DEFAULT_HALF_TIME])


def read_half_times(own: Path | None = None) -> HalfTimes:
    """Read the half-times that come with the program, and the department's over them.

    Raises
    ------
    BadTable
        A row can't be used; the message names it.
    """
    table = read_table("tissues.toml", "repair", own)
    return HalfTimes(rows={one.name: _half_time(one, table.version) for one in table.checked()})


def left_unrepaired(apart_h: float, half_time_h: float) -> float:
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


def _half_time(row: Checked, version: str) -> HalfTime:
    row.only(_KEYS)
    return HalfTime(
        name=row.name,
        hours=row.number("half_time_h", above=0),
        structures=row.names("structures"),
        source=row.source(version=version),
    )
