"""One grid that covers several, so that nothing of any is cut off."""

from collections.abc import Iterable

import numpy as np

from dose.errors import BadGeometry
from dose.grids.grid import Affine, Geometry

SAME_EDGE = 1e-4
"""A corner this many voxels outside counts as inside: positions are written with a few decimals."""

MAX_VOXELS = 400_000_000
"""Grids of distant courses span a box that no sum needs; beyond this (1.6 GB a volume) the union is refused."""


def extended(base: Geometry, others: Iterable[tuple[Geometry, Affine]]) -> Geometry:
    """Return `base` grown by whole voxels until it holds every voxel centre of `others`.

    The voxels of `base` keep their places, so its own dose needs no interpolation there.

    Parameters
    ----------
    base
        The grid whose voxels are kept.
    others
        Grids, each with the 4 x 4 map of its points into the frame of `base`, mm.

    Raises
    ------
    BadGeometry
        The union has more than `MAX_VOXELS` voxels.
    """
    count = np.array(base.shape[::-1])  # columns, rows, planes: the order of an index
    least, most = np.zeros(3, dtype=int), count - 1
    for geometry, into in others:
        corners = geometry.corner_points()
        mapped = corners @ into[:3, :3].T + into[:3, 3]
        index = base.to_index(mapped)
        least = np.minimum(least, np.floor(index.min(axis=0) + SAME_EDGE).astype(int))
        most = np.maximum(most, np.ceil(index.max(axis=0) - SAME_EDGE).astype(int))
    columns, rows, planes = (int(n) for n in most - least + 1)
    if columns * rows * planes > MAX_VOXELS:
        raise BadGeometry(f"The dose grids span {columns} x {rows} x {planes} voxels: too far apart for one sum.")
    affine = base.affine.copy()
    affine[:3, 3] = base.to_points(least[np.newaxis])[0]
    return Geometry(shape=(planes, rows, columns), affine=affine)
