"""Sums of doses on one grid, with bounds where a part is unknown.

Physical doses are interpolated first and only then added (or converted, see `dose.biology`). Where a part does not
reach, its contribution is not zero: the lower bound leaves it out, the upper bound takes the largest dose that part has
anywhere, the worst that is reasonable (a hot spot outside the calculated volume hotter than all inside would be a fault
of the plan). Between them stands an estimate, the dose at the edge fallen off (see `dose.grids.fall_off`). A voxel is
*known* where all parts are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dose.errors import BadDose, NothingToAdd
from dose.grids.grid import DoseGrid, Geometry, Mask, Volume
from dose.grids.sampling import Source, add_all
from dose.grids.transforms import Transform


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One dose of a sum.

    Parameters
    ----------
    grid
        As stored, in its own frame of reference.
    weight
        What it counts: delivered over planned fractions, for instance.
    label
        How it is called in reports.
    transform
        From the frame of reference of the sum to its own; None where both are one frame.
    """

    grid: DoseGrid
    weight: float
    label: str
    transform: Transform | None = None


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
    estimate_gy
        What is probable, never below `lower_gy` nor above `upper_gy`; the same array as these where all is known.
    upper_gy
        `lower_gy` plus the weighted maximum of every part unknown there; the same array where every grid covers all.
    known
        Where all parts are known.
    coverage
        One per part, in their order.
    outside_gy
        The most the sum can reach outside the grid: all weighted maxima together.
    """

    geometry: Geometry
    lower_gy: Volume
    estimate_gy: Volume
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
    sources = [
        Source(part.grid.dose_gy, part.grid.geometry, onto, known=part.grid.known, transform=part.transform)
        for part in parts
    ]
    covers = all(source.covers for source in sources)
    layers = add_all(sources, [part.weight for part in parts], onto, upper=not covers)
    return Sum(
        geometry=onto,
        lower_gy=layers.lower,
        estimate_gy=layers.lower if layers.estimate is None else layers.estimate,
        upper_gy=layers.lower if layers.upper is None else layers.upper,
        known=layers.known,
        coverage=tuple(
            Coverage(label=part.label, fraction=count / layers.known.size)
            for part, count in zip(parts, layers.reached, strict=True)
        ),
        outside_gy=sum(part.weight * source.worst for part, source in zip(parts, sources, strict=True)),
    )


def _check(parts: Sequence[Part]) -> None:
    if not parts:
        raise NothingToAdd("There is no dose to add.")
    for part in parts:
        if not (np.isfinite(part.weight) and part.weight >= 0):
            raise NothingToAdd(f"{part.label}: a weight of {part.weight} can't be summed.")
        if float(part.grid.dose_gy.min()) < 0:
            raise BadDose(f"{part.label} holds doses below zero: a difference of doses can't be added.")
