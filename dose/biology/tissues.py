"""Alpha/beta of tissues, by structure: a value of one question about one structure, never a map over the patient.

Where structures overlap a voxel belongs to both, and has the EQD2 of whichever is asked for.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

from dose.biology.linear_quadratic import _positive
from dose.biology.names import parse_name
from dose.biology.repair import HalfTimes, read_half_times
from dose.biology.tables import SOURCE_KEYS, Checked, Source, read_table

Kind = Literal["serial", "parallel", "acute", "target", "other"]
"""How a tissue answers: recovery is a matter of late effects in serial organs unless a model says otherwise."""

KINDS: tuple[Kind, ...] = ("serial", "parallel", "acute", "target", "other")

DEFAULT = "default"
"""Name of the row for organs without one."""

DEFAULT_TARGET = "target"
"""Name of the row for targets without one."""

_KEYS = SOURCE_KEYS | {"alpha_beta_gy", "lo_gy", "hi_gy", "transition_gy", "kind", "structures"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """How one structure answers to the size of fractions.

    Parameters
    ----------
    name
        Of the row; ``SpinalCord``.
    alpha_beta_gy
        Alpha/beta, Gy.
    transition_gy
        Dose per fraction where the linear part of LQ-L begins, Gy; None where LQ-L is not to be computed.
    lo_gy, hi_gy
        Between which alpha/beta is varied to see what depends on it.
    structures
        Other names of structures the row is for.
    """

    alpha_beta_gy: float
    transition_gy: float | None = None
    source: Source | None = None
    name: str = ""
    lo_gy: float | None = None
    hi_gy: float | None = None
    kind: Kind = "other"
    structures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _positive("alpha/beta", self.alpha_beta_gy)

    @property
    def range_gy(self) -> tuple[float, float]:
        """Lowest and highest alpha/beta to look at."""
        return self.lo_gy or self.alpha_beta_gy, self.hi_gy or self.alpha_beta_gy


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissues:
    """A table of tissues.

    Parameters
    ----------
    rows
        By name; the rows `DEFAULT` and `DEFAULT_TARGET` are always there.
    half_times
        Of repair, from the same files.
    version
        Of the file, and of the department's over it.
    """

    rows: dict[str, Tissue]
    half_times: HalfTimes
    version: str

    def of(self, structure: str) -> Tissue:
        """Return the tissue of a structure by its TG-263 name: side and margin change nothing.

        A structure without a row is a target or an organ by how its name begins, and has the row for those.
        """
        name = parse_name(structure)
        found = self._by_name.get(name.organ_key)
        return found or self.rows[DEFAULT_TARGET if name.is_target else DEFAULT]

    def has(self, structure: str) -> bool:
        """Return whether a structure has a row of its own, not only the one for all others."""
        return parse_name(structure).organ_key in self._by_name

    @property
    def _by_name(self) -> dict[str, Tissue]:
        rows = self.rows.values()
        return {name.casefold(): row for row in rows for name in (row.name, *row.structures)}


def read_tissues(own: Path | None = None) -> Tissues:
    """Read the table that comes with the program, and the department's over it.

    Raises
    ------
    BadTable
        A row can't be used; the message names it.
    """
    table = read_table("tissues.toml", "tissue", own)
    rows = {one.name: _tissue(one, table.version) for one in table.checked()}
    return Tissues(rows=rows, half_times=read_half_times(own), version=table.version)


@cache
def standard_tissues() -> Tissues:
    """Return the table that comes with the program."""
    return read_tissues()


def alpha_beta_for(structure: str) -> Tissue:
    """Return the tissue of a structure after the table that comes with the program."""
    return standard_tissues().of(structure)


def _tissue(row: Checked, version: str) -> Tissue:
    row.only(_KEYS)
    alpha_beta = row.number("alpha_beta_gy", above=0)
    lo, hi = row.maybe("lo_gy", above=0), row.maybe("hi_gy", above=0)
    if (lo or alpha_beta) > alpha_beta or (hi or alpha_beta) < alpha_beta:
        raise row.fail("alpha_beta_gy lies between lo_gy and hi_gy.")
    return Tissue(
        name=row.name,
        alpha_beta_gy=alpha_beta,
        lo_gy=lo,
        hi_gy=hi,
        transition_gy=row.maybe("transition_gy", above=0),
        kind=cast("Kind", row.text("kind", among=KINDS)),
        structures=row.names("structures"),
        source=row.source(version=version),
    )
