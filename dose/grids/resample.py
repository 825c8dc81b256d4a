"""Values of one grid at the places of another, by trilinear interpolation, with the mask of what is known.

There is no extrapolation, and no zero outside: see `dose.grids.sampling`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dose.grids.grid import DoseGrid, Geometry, Mask, Volume
from dose.grids.sampling import HULL_TOLERANCE_MM, Source, add_all, sample_points
from dose.grids.transforms import Transform

__all__ = ["HULL_TOLERANCE_MM", "Slab", "resample", "sample_points", "slabs"]

SLAB_VOXELS = 4_000_000
"""Voxels worked on at a time: 16 MB of float32 stay near the processor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slab:
    """Consecutive planes of a target grid, filled from a source.

    Parameters
    ----------
    planes
        Which planes of the target, as a slice.
    values
        float32 ``[z, y, x]``; 0 where not known.
    known
        Where a value stands.
    """

    planes: slice
    values: Volume
    known: Mask


def resample(grid: DoseGrid, onto: Geometry, *, transform: Transform | None = None) -> DoseGrid:
    """Bring a dose onto another grid.

    Parameters
    ----------
    grid
        Dose in its own frame of reference.
    onto
        Target grid.
    transform
        From the frame of `onto` to that of `grid`; None where both are one frame.

    Returns
    -------
    DoseGrid
        On `onto`, with the mask of known voxels always set; dose is 0 where unknown.
    """
    source = Source(grid.dose_gy, grid.geometry, onto, known=grid.known, transform=transform)
    layers = add_all([source], [1.0], onto)
    return DoseGrid(dose_gy=layers.lower, geometry=onto, known=layers.known)


def slabs(
    values: Volume,
    geometry: Geometry,
    onto: Geometry,
    *,
    known: Mask | None = None,
    transform: Transform | None = None,
) -> Iterator[Slab]:
    """Yield the planes of `onto` in slabs, filled from `values`; a target of any size costs little memory."""
    source = Source(values, geometry, onto, known=known, transform=transform)
    step = max(1, SLAB_VOXELS // (onto.shape[1] * onto.shape[2]))
    for start in range(0, onto.shape[0], step):
        planes = slice(start, min(start + step, onto.shape[0]))
        layers = add_all([source], [1.0], onto, planes)
        yield Slab(planes=planes, values=layers.lower, known=layers.known)
