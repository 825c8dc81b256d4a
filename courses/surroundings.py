"""The part of the grid of a sum that figures of one structure are read from."""

import numpy as np

from dose.grids.grid import Geometry
from dose.shapes.structures import Structure

_VOXELS = 2
"""Voxels of the sum kept around a structure: its histogram interpolates between them."""

_SLICE_MM = 5.0
"""Half of the thickest slice: so far a structure may reach beyond its end contours."""


def around(structure: Structure, geometry: Geometry) -> Geometry:
    """Return the voxels of a grid that lie around a structure; at least one voxel of the grid.

    Where the part ends before the grid does, no figure of the structure can tell the two apart.
    """
    index = geometry.to_index(np.concatenate(structure.closed))
    count = np.array(geometry.shape[::-1])
    spare = _VOXELS + np.ceil(_SLICE_MM / np.array(geometry.spacing_mm)).astype(int)
    first = np.clip(np.floor(index.min(axis=0)).astype(int) - spare, 0, count - 1)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int) + spare, first, count - 1)
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_points(first[np.newaxis])[0]
    columns, rows, planes = (int(n) for n in last - first + 1)
    return Geometry(shape=(planes, rows, columns), affine=affine)
