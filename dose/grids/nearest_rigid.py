"""The rigid map nearest to any other: what a deformable registration would say without its deformation."""

import numpy as np

from dose.grids.grid import Points
from dose.grids.transforms import Transform

_ENOUGH = 4
"""Fewer places than this, or all on one line, do not tell a rotation."""


def nearest_rigid(transform: Transform, places_mm: Points) -> Transform | None:
    """Return the rigid map that is closest to a map at given places, in the least squares sense.

    Rotation and translation by singular value decomposition (Arun, Huang and Blostein, IEEE TPAMI 9:698, 1987), a
    reflection turned back (Umeyama, IEEE TPAMI 13:376, 1991). None where too few of the places have a partner.
    """
    moved = transform.to_moving(places_mm)
    there = np.isfinite(moved).all(axis=1)
    fixed, moving = np.asarray(places_mm, dtype=np.float64)[there], moved[there]
    if len(fixed) < _ENOUGH:
        return None
    middle, aim = fixed.mean(axis=0), moving.mean(axis=0)
    left, size, right = np.linalg.svd((fixed - middle).T @ (moving - aim))
    if size[1] < 1e-6 * max(size[0], 1e-12):
        return None
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(right.T @ left.T))])
    matrix = np.eye(4)
    matrix[:3, :3] = right.T @ mirror @ left.T
    matrix[:3, 3] = aim - matrix[:3, :3] @ middle
    return Transform.of_matrix(matrix)
