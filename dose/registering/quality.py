"""How good a registration is, measured as AAPM TG-132 asks (Brock et al., Med Phys 44:e43, 2017).

Landmarks tell the error at places, structures drawn on both images at surfaces, the Jacobian whether tissue folds, and
the registration the other way whether both say the same. Each is blind to something: none of them alone is enough.
"""

import csv
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, map_coordinates

from dose.errors import BadLandmarks
from dose.grids.grid import Geometry, ImageVolume, Mask, Points
from dose.grids.transforms import Transform
from dose.registering.images import inside, on_grid, upright
from dose.registering.solids import Solid

Lengths = npt.NDArray[np.float64]

_MOST_VOXELS = 600_000
_FINE_MM = 1.0
_JACOBIAN_MM = 3.0
_CONSISTENCY_MM = 6.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landmarks:
    """Places that are the same tissue on both images, by name.

    Parameters
    ----------
    fixed_mm, moving_mm
        ``[n, 3]`` LPS mm, each in the frame of its image.
    """

    names: tuple[str, ...]
    fixed_mm: Points
    moving_mm: Points


def read_landmarks(text: str) -> Landmarks:
    """Read pairs from CSV with a heading: ``name, fixed_x, fixed_y, fixed_z, moving_x, moving_y, moving_z`` (LPS mm).

    Raises
    ------
    BadLandmarks
        A column is missing, a value is no finite number, or there is no pair.
    """
    columns = [f"{side}_{axis}" for side in ("fixed", "moving") for axis in "xyz"]
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), skipinitialspace=True))
    if not rows:
        raise BadLandmarks("The landmarks have no row.")
    if missing := [name for name in ("name", *columns) if name not in rows[0]]:
        raise BadLandmarks(f"The landmarks have no column {', '.join(missing)}.")
    try:
        values = np.array([[float(row[name]) for name in columns] for row in rows], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadLandmarks(f"The landmarks hold something that is no number: {error}") from error
    if not np.isfinite(values).all():
        raise BadLandmarks("The landmarks hold a number that is not finite.")
    return Landmarks(names=tuple(row["name"] for row in rows), fixed_mm=values[:, :3], moving_mm=values[:, 3:])


def landmark_errors(transform: Transform, landmarks: Landmarks) -> Lengths:
    """Return the target registration error of each landmark in mm; infinite where its place has no partner."""
    errors: Lengths = np.linalg.norm(transform.to_moving(landmarks.fixed_mm) - landmarks.moving_mm, axis=1)
    return np.where(np.isnan(errors), np.inf, errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a structure of the moving image, brought onto the fixed one, agrees with that drawn there.

    Parameters
    ----------
    dice
        Twice the shared volume over the sum of both, 0 to 1.
    mean_distance_mm
        Mean distance of the surfaces, both ways; None where one of them has no voxel.
    """

    dice: float
    mean_distance_mm: float | None


def agreement(fixed: Solid, moving: Solid, transform: Transform) -> Agreement:
    """Compare a structure on the fixed image with its namesake on the moving one.

    Both are looked at on one grid of 1 mm (coarser where the structure is large) around the fixed one and what the map
    brings onto it.
    """
    geometry = _around(fixed, moving, transform)
    points = _centres(geometry)
    ours = fixed.depth_mm(points).reshape(geometry.shape)
    theirs = moving.depth_mm(transform.to_moving(points)).reshape(geometry.shape)
    one, other = ours > 0, theirs > 0
    both = int(one.sum()) + int(other.sum())
    if not one.any() or not other.any():
        return Agreement(dice=0.0, mean_distance_mm=None)
    return Agreement(
        dice=2 * int((one & other).sum()) / both, mean_distance_mm=_surface_distance(ours, theirs, geometry)
    )


def _around(fixed: Solid, moving: Solid, transform: Transform) -> Geometry:
    """Return a fine grid that holds both structures."""
    back = transform.matrices_alone.to_fixed(moving.box_mm)
    corners = np.concatenate([fixed.box_mm, back])
    low, high = corners.min(axis=0) - 12, corners.max(axis=0) + 12
    spacing = max(_FINE_MM, float((np.prod(high - low) / _MOST_VOXELS) ** (1 / 3)))
    count = np.ceil((high - low) / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    return Geometry(shape=(int(count[2]), int(count[1]), int(count[0])), affine=affine)


def _centres(geometry: Geometry) -> Points:
    k, j, i = np.indices(geometry.shape, dtype=np.float64)
    return geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))


def _surface_distance(ours: Lengths, theirs: Lengths, geometry: Geometry) -> float:
    """Mean of the distances of each surface from the other, in mm, both ways."""
    spacing = geometry.spacing_mm[0]
    fields = [_signed(depth > 0) * spacing for depth in (ours, theirs)]
    crossings = [_crossings(field) for field in fields]
    pairs = zip(crossings, reversed(fields), strict=True)
    away = [np.abs(map_coordinates(field, at.T, order=1, mode="nearest")) for at, field in pairs]
    return float(np.concatenate(away).mean())


def _signed(mask: Mask) -> Lengths:
    """Distance to the surface in voxels, negative outside; the surface lies half a voxel from the centres."""
    within: Lengths = distance_transform_edt(mask)
    without: Lengths = distance_transform_edt(~mask)
    return np.where(mask, within - 0.5, 0.5 - without)


def _crossings(depth: Lengths) -> Lengths:
    """Where a depth changes its sign along the axes of the grid, ``[n, 3]`` in index (k, j, i)."""
    found = []
    for axis in range(3):
        low = np.moveaxis(depth, axis, 0)[:-1]
        high = np.moveaxis(depth, axis, 0)[1:]
        at = np.argwhere((low > 0) != (high > 0))
        near, far = low[tuple(at.T)], high[tuple(at.T)]
        place = at.astype(np.float64)
        place[:, 0] += near / (near - far)
        order = [0, 1, 2]
        order.insert(axis, order.pop(0))
        found.append(place[:, order])
    return np.concatenate(found)


def jacobian_range(transform: Transform, body: Mask, geometry: Geometry) -> tuple[float, float] | None:
    """Return the least and the greatest determinant of the Jacobian within a region of the fixed image.

    One keeps volume, less shrinks and more expands on the way to the moving image; zero or less folds. Differences are
    taken over 3 mm. None where no place of the region has partners around it.
    """
    matrix = transform.matrix
    if matrix is not None:
        determinant = float(np.linalg.det(matrix[:3, :3]))
        return determinant, determinant
    grid = upright(geometry, _JACOBIAN_MM)
    there = transform.to_moving(_centres(grid)).reshape(*grid.shape, 3)
    slopes = [np.gradient(there, _JACOBIAN_MM, axis=axis) for axis in (2, 1, 0)]
    determinants = np.linalg.det(np.stack(slopes, axis=-1))
    counted = determinants[on_grid(body, geometry, grid) & np.isfinite(determinants)]
    return (float(counted.min()), float(counted.max())) if counted.size else None


def inverse_consistency(
    forward: Transform, backward: Transform, body: Mask, fixed: Geometry, moving: Geometry
) -> tuple[float, float] | None:
    """Return mean and greatest distance in mm of places of a region from where there and back leads.

    Parameters
    ----------
    forward, backward
        Fixed to moving, and moving to fixed, registered apart from each other.

    Returns
    -------
    tuple or None
        None where no place of the region is on both images.
    """
    grid = upright(fixed, _CONSISTENCY_MM)
    places = _centres(grid)[on_grid(body, fixed, grid).ravel()]
    there = forward.to_moving(places)
    known = inside(there, moving)
    off = np.linalg.norm(backward.to_moving(there[known]) - places[known], axis=1)
    off = off[np.isfinite(off)]
    return (float(off.mean()), float(off.max())) if off.size else None


def body_of(image: ImageVolume, least_hu: float) -> Mask:
    """Return where an image shows more than air, the largest piece only: a couch is no tissue."""
    from scipy.ndimage import label

    pieces, count = label(image.hu > least_hu)
    if count < 2:
        return np.asarray(pieces > 0)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == int(sizes.argmax()))
