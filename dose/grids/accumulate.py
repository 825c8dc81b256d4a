"""Sums of doses on one grid, with bounds where a part is unknown.

Physical doses are interpolated first and only then added (or converted, see `dose.biology`). Where a part does not
reach, its contribution is not zero: the lower bound leaves it out, the upper bound takes the largest dose that part has
anywhere, the worst that is reasonable (a hot spot outside the calculated volume hotter than all inside would be a fault
of the plan). A voxel is *known* where all parts are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dose.errors import BadDose, NothingToAdd
from dose.grids.grid import Affine, DoseGrid, Geometry, Mask, Volume
from dose.grids.resample import slabs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One dose of a sum.

    Parameters
    ----------
    grid
        As stored, in its own frame of reference.
    weight
        What it counts: delivered over planned fractions, for instance.
    moving_to_fixed
        4 x 4, mm, from its frame of reference to that of the sum; None where both are one frame.
    label
        How it is called in reports.
    """

    grid: DoseGrid
    weight: float
    label: str
    moving_to_fixed: Affine | None = None

    @property
    def worst_gy(self) -> float:
        """The most this part can add where it is unknown: its weighted maximum."""
        return self.weight * max(self.grid.max_gy, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Fraction of the voxels of the sum where a part is known, 0 to 1."""

    label: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sum:
    """A sum of doses with bounds.

    Parameters
    ----------
    geometry
        The grid summed on.
    lower_gy
        Sum of what is known, float32 ``[z, y, x]``.
    upper_gy
        `lower_gy` plus the weighted maximum of every part unknown there; the very same array where all is known.
    known
        Where all parts are known.
    coverage
        One per part, in their order.
    outside_gy
        The most the sum can reach outside the grid: all weighted maxima together.
    """

    geometry: Geometry
    lower_gy: Volume
    upper_gy: Volume
    known: Mask
    coverage: tuple[Coverage, ...]
    outside_gy: float

    @property
    def grid(self) -> DoseGrid:
        """The lower bound with the mask of what is known, as `dose.shapes.dvh` and `dose.shapes.planes` take it."""
        return DoseGrid(dose_gy=self.lower_gy, geometry=self.geometry, known=self.known)

    @property
    def is_complete(self) -> bool:
        """Whether the whole grid is known."""
        return bool(self.known.all())


def accumulate(parts: Sequence[Part], onto: Geometry) -> Sum:
    """Add doses at the voxel centres of a grid.

    Parameters
    ----------
    parts
        Doses of one kind (all physical, or all weighted alike: the caller sees to that).
    onto
        Where to sum; any orientation, any spacing.

    Raises
    ------
    NothingToAdd
        No parts, or a weight below zero or not finite.
    BadDose
        A part holds doses below zero: a difference is not added.
    """
    _check(parts)
    lower = np.zeros(onto.shape, dtype=np.float32)
    missing = np.zeros(onto.shape, dtype=np.float32)
    known = np.ones(onto.shape, dtype=np.bool_)
    coverage = []
    for part in parts:
        reached = 0
        worst = np.float32(part.worst_gy)
        grid = part.grid
        for slab in slabs(grid.dose_gy, grid.geometry, onto, known=grid.known, moving_to_fixed=part.moving_to_fixed):
            lower[slab.planes] += slab.values * np.float32(part.weight)
            np.add(missing[slab.planes], worst, out=missing[slab.planes], where=~slab.known)
            known[slab.planes] &= slab.known
            reached += int(np.count_nonzero(slab.known))
        coverage.append(Coverage(label=part.label, fraction=reached / known.size))
    return Sum(
        geometry=onto,
        lower_gy=lower,
        upper_gy=lower if known.all() else np.add(lower, missing, out=missing),
        known=known,
        coverage=tuple(coverage),
        outside_gy=sum(part.worst_gy for part in parts),
    )


def _check(parts: Sequence[Part]) -> None:
    if not parts:
        raise NothingToAdd("There is no dose to add.")
    for part in parts:
        if not (np.isfinite(part.weight) and part.weight >= 0):
            raise NothingToAdd(f"{part.label}: a weight of {part.weight} can't be summed.")
        if float(part.grid.dose_gy.min()) < 0:
            raise BadDose(f"{part.label} holds doses below zero: a difference of doses can't be added.")
