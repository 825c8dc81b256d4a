"""Voxel masks as contours and back, exactly: contours run along voxel edges."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dose.grids.grid import Geometry, Mask, Points
from dose.shapes.raster import Raster, coverage, scan
from dose.shapes.sections import sections
from dose.shapes.structures import Structure

_Corner = tuple[int, int]


def outline(mask: Mask, geometry: Geometry) -> list[tuple[int, Points]]:
    """Contours around the marked voxels, along their edges, on the planes of the grid.

    Returns
    -------
    list
        Plane index and closed contour ``[n, 3]`` in LPS mm. Contours of one plane combine by exclusive or: a contour
        within another is a hole. They never cross each other; they may touch at a corner.
    """
    contours = []
    for plane in np.flatnonzero(mask.any(axis=(1, 2))):
        for loop in _loops(mask[plane]):
            corners = np.array(loop, dtype=np.float64)
            index = np.column_stack([corners[:, 1] - 0.5, corners[:, 0] - 0.5, np.full(len(corners), plane)])
            contours.append((int(plane), geometry.to_points(index)))
    return contours


def fill(structure: Structure, geometry: Geometry) -> Mask:
    """Voxels whose centre lies within the contours of a structure drawn on the planes of a grid.

    Only planes of the grid with contours are filled; nothing is interpolated between them.

    Raises
    ------
    BadStructure, ContoursNotPlanar
        The structure has no closed contour, or its planes are not those of the grid.
    """
    stack = sections(structure, geometry)
    u, v = stack.in_plane_axes
    spacing, size = geometry.spacing_mm, geometry.shape[::-1]
    marked = np.zeros((size[stack.axis], size[v], size[u]), dtype=np.bool_)
    raster, first = _raster(np.concatenate([p for plane in stack.polygons for p in plane]), spacing[u], spacing[v])
    rows, columns = raster.shape
    on_grid = _shared(first[1], rows, size[v]), _shared(first[0], columns, size[u])
    on_raster = _shared(-first[1], size[v], rows), _shared(-first[0], size[u], columns)
    for at, polygons in zip(stack.at_mm, stack.polygons, strict=True):
        plane = round(at / spacing[stack.axis])
        if 0 <= plane < len(marked):
            inside = coverage(scan(polygons, raster), raster) >= 0.5
            marked[plane][on_grid] = inside[on_raster]
    turned = {2: marked, 1: marked.transpose(1, 0, 2), 0: marked.transpose(1, 2, 0)}[stack.axis]
    return np.ascontiguousarray(turned)


def _raster(corners: npt.NDArray[np.float64], pixel_u: float, pixel_v: float) -> tuple[Raster, tuple[int, int]]:
    """Raster of voxels that holds all corners, and the voxel indices (u, v) of its first pixel."""
    pixel = np.array([pixel_u, pixel_v])
    first = np.floor(corners.min(axis=0) / pixel + 0.5).astype(int) - 1
    last = np.ceil(corners.max(axis=0) / pixel + 0.5).astype(int) + 1
    origin = (first - 0.5) * pixel
    raster = Raster(
        origin=(float(origin[0]), float(origin[1])),
        pixel=(pixel_u, pixel_v),
        shape=(int(last[1] - first[1]), int(last[0] - first[0])),
    )
    return raster, (int(first[0]), int(first[1]))


def _shared(start: int, count: int, size: int) -> slice:
    """The part of an axis of `size` that a run of `count` from `start` shares with it."""
    return slice(min(max(start, 0), size), min(max(start + count, 0), size))


def _loops(plane: npt.NDArray[np.bool_]) -> list[list[_Corner]]:
    """Closed loops of pixel corners (row, column) around the marked pixels, marked side on the right."""
    padded = np.pad(plane, 1)
    follow: dict[_Corner, list[_Corner]] = {}
    across = padded[1:, 1:-1].astype(np.int8) - padded[:-1, 1:-1]  # +1: marked below the edge
    down = padded[1:-1, 1:].astype(np.int8) - padded[1:-1, :-1]  # +1: marked right of the edge
    for row, column in np.argwhere(across).tolist():
        start, stop = (row, column), (row, column + 1)
        if across[row, column] < 0:
            start, stop = stop, start
        follow.setdefault(start, []).append(stop)
    for row, column in np.argwhere(down).tolist():
        start, stop = (row + 1, column), (row, column)
        if down[row, column] < 0:
            start, stop = stop, start
        follow.setdefault(start, []).append(stop)
    loops = []
    while follow:
        first = next(iter(follow))
        loop, at = [first], _step(follow, first)
        while at != first:
            loop.append(at)
            at = _step(follow, at)
        loops.append(_turns(loop))
    return loops


def _step(follow: dict[_Corner, list[_Corner]], at: _Corner) -> _Corner:
    ahead = follow[at]
    step = ahead.pop()
    if not ahead:
        del follow[at]
    return step


def _turns(loop: list[_Corner]) -> list[_Corner]:
    """Only the corners where the loop turns."""
    ring = [loop[-1], *loop, loop[0]]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(ring)]
    return [corner for corner, (come, go) in zip(loop, pairwise(steps), strict=True) if come != go]
