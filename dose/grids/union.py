"""One grid that covers several, so that nothing of any is cut off."""

from collections.abc import Iterable

import numpy as np

from dose.errors import BadGeometry
from dose.grids.grid import Geometry, Points
from dose.grids.transforms import Transform

SAME_EDGE = 1e-4
"""A corner this many voxels outside counts as inside: positions are written with a few decimals."""

MAX_VOXELS = 400_000_000
"""Grids of distant courses span a box that no sum needs; beyond this (1.6 GB a volume) the union is refused."""


_LATTICE = 17
"""Points along each axis at which a bent grid is looked at."""


def extended(base: Geometry, others: Iterable[tuple[Geometry, Transform | None]]) -> Geometry:
    """Return `base` grown by whole voxels until it holds every voxel centre of `others`.

    The voxels of `base` keep their places, so its own dose needs no interpolation there.

    Parameters
    ----------
    base
        The grid whose voxels are kept.
    others
        Grids, each with the map from the frame of `base` to its own; None where both are one frame.

    Raises
    ------
    BadGeometry
        The union has more than `MAX_VOXELS` voxels.
    """
    count = np.array(base.shape[::-1])  # columns, rows, planes: the order of an index
    least, most = np.zeros(3, dtype=int), count - 1
    for geometry, transform in others:
        index = base.to_index(_outline(geometry, transform))
        least = np.minimum(least, np.floor(index.min(axis=0) + SAME_EDGE).astype(int))
        most = np.maximum(most, np.ceil(index.max(axis=0) - SAME_EDGE).astype(int))
    columns, rows, planes = (int(n) for n in most - least + 1)
    if columns * rows * planes > MAX_VOXELS:
        raise BadGeometry(f"The dose grids span {columns} x {rows} x {planes} voxels: too far apart for one sum.")
    affine = base.affine.copy()
    affine[:3, 3] = base.to_points(least[np.newaxis])[0]
    return Geometry(shape=(planes, rows, columns), affine=affine)


def _outline(geometry: Geometry, transform: Transform | None) -> Points:
    """Places of the fixed image between which a grid lies: its corners, or points all over it where a map bends it.

    Where the map says nothing, its matrices alone tell where the grid goes.
    """
    if transform is None:
        return geometry.corner_points()
    if transform.matrix is not None:
        return transform.to_fixed(geometry.corner_points())
    lattice = np.meshgrid(*(np.linspace(0, n - 1, min(n, _LATTICE)) for n in geometry.shape[::-1]), indexing="ij")
    points = geometry.to_points(np.column_stack([axis.ravel() for axis in lattice]))
    found = transform.to_fixed(points)
    return np.where(np.isnan(found), transform.matrices_alone.to_fixed(points), found)
