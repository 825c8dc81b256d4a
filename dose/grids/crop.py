"""The part of a dose grid that matters for a small target: reading it costs what the target is, not the whole grid."""

from itertools import product

import numpy as np

from dose.grids.grid import DoseGrid, Geometry, Points
from dose.grids.transforms import Transform

_LATTICE = 9
"""Places along each axis of a target that are mapped to tell where it lies on a source."""

_SPARE_MM = 4.0
"""What a map that is no matrix may bulge between these places."""


def lattice(geometry: Geometry, count: int = _LATTICE) -> Points:
    """Return evenly spread places of a grid, its corners among them, ``[n, 3]`` LPS mm."""
    along = [np.linspace(0, size - 1, min(count, max(size, 1))) for size in geometry.shape[::-1]]
    return geometry.to_points(np.array(list(product(*along))))


def cropped(grid: DoseGrid, onto: Geometry, transform: Transform | None = None, *, margin_mm: float = 0.0) -> DoseGrid:
    """Return the part of a dose that can be read on a target, also where the target is moved by up to a margin.

    Where the target reaches beyond the grid, the part ends where the grid ends, so that what is known stays the same.
    """
    mapping = transform or Transform()
    places = mapping.to_moving(lattice(onto))
    if not np.isfinite(places).all():
        return grid
    spare = margin_mm + (0.0 if mapping.matrix is not None else _SPARE_MM)
    index, reach = grid.geometry.to_index(places), spare / np.array(grid.geometry.spacing_mm)
    last = np.array(grid.geometry.shape[::-1]) - 1
    # Two voxels at least: one more on each side holds everything that is interpolated from.
    first = np.clip(np.floor(index.min(axis=0) - reach).astype(int) - 1, 0, np.maximum(last - 1, 0))
    stop = np.clip(np.ceil(index.max(axis=0) + reach).astype(int) + 1, np.minimum(first + 1, last), last) + 1
    affine = grid.geometry.affine.copy()
    affine[:3, 3] = grid.geometry.to_points(first[np.newaxis])[0]
    here = tuple(slice(int(a), int(b)) for a, b in zip(first[::-1], stop[::-1], strict=True))
    dose = np.ascontiguousarray(grid.dose_gy[here])
    known = None if grid.known is None else np.ascontiguousarray(grid.known[here])
    nz, ny, nx = dose.shape
    return DoseGrid(dose_gy=dose, geometry=Geometry(shape=(nz, ny, nx), affine=affine), known=known)
