"""Steps of a map that are no matrix: displacement fields, their inverse, and tissue that has no partner."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.errors import BadGeometry
from dose.grids.grid import Affine, Geometry, Mask, Points, moved
from dose.grids.transforms import Step, Transform

Vectors = npt.NDArray[np.float32]
"""``[z, y, x, 3]``: displacements (x, y, z) in mm, LPS, at the voxel centres of a grid."""

_POINTS_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DisplacementStep:
    """A field of displacements: a place goes where its displacement takes it.

    Displacements are interpolated trilinearly between the centres of the grid's elements, and stay constant from the
    outermost centres to the rim of the elements, half a spacing further. Beyond the field, and where a vector that
    counts is NaN, a place has no partner.

    Parameters
    ----------
    vectors_mm
        float32 ``[z, y, x, 3]``; NaN where the map is undefined (PS3.3 C.20.3.1.3).
    geometry
        Where they lie, in the frame of the places handed in.
    """

    vectors_mm: Vectors
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.vectors_mm.shape != (*self.geometry.shape, 3):
            raise BadGeometry(f"Displacements have shape {self.vectors_mm.shape}, their grid {self.geometry.shape}.")

    def apply(self, points_mm: Points) -> Points:
        """Return where places go, ``[n, 3]``; NaN where the field says nothing."""
        index = self.geometry.to_index(points_mm)
        moved = np.empty_like(index)
        _interpolate(np.ascontiguousarray(self.vectors_mm, dtype=np.float32), index, moved)
        moved += points_mm
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class InverseStep:
    """The way back through a map that has no inverse in closed form; NaN where none is found."""

    transform: Transform

    def apply(self, points_mm: Points) -> Points:
        """Return where places come from, ``[n, 3]``."""
        return self.transform.to_fixed(points_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HoleStep:
    """Leaves all places where they are but those in marked voxels, which have no partner (resected tissue)."""

    mask: Mask
    geometry: Geometry

    def apply(self, points_mm: Points) -> Points:
        """Return the places, NaN in marked voxels."""
        return np.where(self._marked(points_mm)[:, np.newaxis], np.nan, points_mm)

    def _marked(self, points_mm: Points) -> Mask:
        index = np.floor(self.geometry.to_index(points_mm) + 0.5)
        size = np.array(self.geometry.shape[::-1])
        # A comparison with NaN is false: what already has no partner lies in no voxel.
        there: Mask = np.asarray(((index >= 0) & (index < size)).all(axis=1))
        i, j, k = np.where(there[:, np.newaxis], index, 0).astype(np.intp).T
        return np.asarray(self.mask[k, j, i] & there)


def inverted(transform: Transform) -> Transform:
    """Return the map the other way: a matrix where it is one.

    Raises
    ------
    BadGeometry
        A matrix has no inverse.
    """
    matrix = transform.matrix
    if matrix is None:
        return Transform((InverseStep(transform),))
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise BadGeometry("A registration takes the whole image into a plane: its matrix has no inverse.")
    return Transform.of_matrix(np.linalg.inv(matrix).astype(np.float64))


def displacements(transform: Transform, geometry: Geometry, *, before: Affine | None = None) -> Vectors:
    """Sample any map onto a grid: what `before` of each voxel centre lacks to where the map takes the centre.

    Returns
    -------
    ndarray
        float32 ``[z, y, x, 3]``, NaN where the map says nothing.
    """
    nz, ny, nx = geometry.shape
    found = np.empty((nz * ny * nx, 3), dtype=np.float32)
    for start in range(0, len(found), _POINTS_AT_ONCE):
        flat = np.arange(start, min(start + _POINTS_AT_ONCE, len(found)))
        k, j, i = np.unravel_index(flat, geometry.shape)
        points = geometry.to_points(np.column_stack([i, j, k]))
        from_mm = points if before is None else moved(points, before)
        found[flat] = transform.to_moving(points) - from_mm
    return found.reshape(nz, ny, nx, 3)


def step_of(transform: Transform, geometry: Geometry) -> Step:
    """Return a map sampled onto a grid as one step; a matrix stays one."""
    if transform.matrix is not None and len(transform.steps) == 1:
        return transform.steps[0]
    return DisplacementStep(vectors_mm=displacements(transform, geometry), geometry=geometry)


@compiled
def _interpolate(vectors: Vectors, index: Points, out: Points) -> None:
    """Trilinear, clamped within half an element of the rim; NaN beyond it. A corner of no weight doesn't count."""
    size = (vectors.shape[2], vectors.shape[1], vectors.shape[0])
    low = np.empty(3, np.int64)
    share = np.empty(3)
    for n in range(index.shape[0]):
        inside = True
        for axis in range(3):
            at = index[n, axis]
            if not (-0.5 <= at <= size[axis] - 0.5):
                inside = False
                break
            at = min(max(at, 0.0), size[axis] - 1.0)
            low[axis] = min(int(at), max(size[axis] - 2, 0))
            share[axis] = at - low[axis]
        for c in range(3):
            out[n, c] = 0.0 if inside else np.nan
        if not inside:
            continue
        for corner in range(8):
            di, dj, dk = corner & 1, (corner >> 1) & 1, corner >> 2
            weight = (share[0] if di else 1 - share[0]) * (share[1] if dj else 1 - share[1])
            weight *= share[2] if dk else 1 - share[2]
            if weight > 0:
                for c in range(3):
                    out[n, c] += weight * vectors[low[2] + dk, low[1] + dj, low[0] + di, c]
