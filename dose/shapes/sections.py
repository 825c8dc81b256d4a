"""A structure as a stack of plane sections in the frame of a dose grid.

Contours say where a structure is on its planes. Planes further apart than `GAP_FACTOR` usual distances are ends of
separate pieces, not interpolated; what is supposed between and beyond the others is told in `dose.shapes.areas`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dose.errors import BadStructure, ContoursNotPlanar
from dose.grids.grid import Geometry, Points
from dose.shapes.pixels import outer_areas
from dose.shapes.raster import Polygon
from dose.shapes.structures import Structure

PLANAR_TOLERANCE_MM = 0.1
"""How far the points of a contour may lie from their plane; also how close two planes are one."""

GAP_FACTOR = 1.5
"""Planes further apart than this many usual distances enclose nothing between them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sections:
    """Sections of a structure in the mm frame of a grid: index times spacing, axes of the grid.

    Parameters
    ----------
    axis
        Index axis (0 column, 1 row, 2 plane of the grid) the sections are perpendicular to.
    at_mm
        Position of each plane along that axis, rising.
    polygons
        Closed contours of each plane, ``[n, 2]`` along the two other index axes in rising order.
    thickness_mm
        Usual distance of the planes; what is missing beyond the ends is half of it.
    """

    axis: int
    at_mm: tuple[float, ...]
    polygons: tuple[tuple[Polygon, ...], ...]
    thickness_mm: float

    @property
    def corners(self) -> npt.NDArray[np.float64]:
        """Corners of all polygons, plane after plane, ``[n, 2]``."""
        return np.concatenate([polygon for plane in self.polygons for polygon in plane])

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """Where in `corners` each polygon ends."""
        return np.cumsum([len(polygon) for plane in self.polygons for polygon in plane], dtype=np.int64)

    @property
    def rough_mm3(self) -> float:
        """The volume as if no polygon were a hole and every plane a slab."""
        return float(outer_areas(self.corners, self.ends).sum()) * self.thickness_mm

    @property
    def in_plane_axes(self) -> tuple[int, int]:
        """Index axes of the polygons' u and v."""
        first, second = (n for n in range(3) if n != self.axis)
        return first, second

    def pieces(self) -> list[slice]:
        """Runs of planes without a gap between them."""
        gaps = np.flatnonzero(np.diff(self.at_mm) > GAP_FACTOR * self.thickness_mm)
        bounds = [0, *(int(g) + 1 for g in gaps), len(self.at_mm)]
        return [slice(a, b) for a, b in pairwise(bounds)]


def sections(structure: Structure, geometry: Geometry, *, slice_mm: float | None = None) -> Sections:
    """Bring the contours of a structure into the frame of a grid and sort them into planes.

    Parameters
    ----------
    structure
        Points in the frame of reference of `geometry`.
    geometry
        The dose grid, in whatever orientation.
    slice_mm
        Distance of the image slices, needed where the structure has a single plane; otherwise its own usual distance
        counts. None falls back on the plane distance of the grid.

    Raises
    ------
    BadStructure
        No contour encloses an area.
    ContoursNotPlanar
        Contours do not lie in planes perpendicular to one axis of the grid.
    """
    if not structure.has_volume:
        raise BadStructure(f"Structure {structure.name!r} has no closed contour.")
    spacing = np.array(geometry.spacing_mm)
    closed = structure.closed
    points = geometry.to_index(np.concatenate(closed)) * spacing
    ends = np.cumsum([len(one) for one in closed])
    starts = ends - [len(one) for one in closed]
    axis = _common_axis(points, starts, structure.name)
    places = np.add.reduceat(points[:, axis], starts) / (ends - starts)
    others = [n for n in range(3) if n != axis]
    at: list[float] = []
    polygons: list[list[Polygon]] = []
    for n in np.argsort(places, kind="stable"):
        if not at or places[n] - at[-1] > PLANAR_TOLERANCE_MM:
            at.append(float(places[n]))
            polygons.append([])
        polygons[-1].append(points[starts[n] : ends[n], others])
    return Sections(
        axis=axis,
        at_mm=tuple(at),
        polygons=tuple(tuple(p) for p in polygons),
        thickness_mm=_usual_distance(at, slice_mm or float(spacing[axis])),
    )


def _common_axis(points: Points, starts: npt.NDArray[np.int64], name: str) -> int:
    """The axis all contours are perpendicular to; planes of the grid win where several fit."""
    reach = (np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts)).max(axis=0)
    for axis in (2, 1, 0):
        if reach[axis] <= PLANAR_TOLERANCE_MM:
            return axis
    raise ContoursNotPlanar(
        f"The contours of structure {name!r} do not lie in planes of the dose grid: along its axes they span up to "
        f"{reach[0]:.1f}, {reach[1]:.1f} and {reach[2]:.1f} mm."
    )


def _usual_distance(at_mm: Sequence[float], single_mm: float) -> float:
    """Most frequent distance of neighbouring planes, the smallest of equally frequent ones."""
    if len(at_mm) < 2:
        return single_mm
    distances = np.diff(at_mm)
    values, counts = np.unique(np.round(distances, 1), return_counts=True)
    usual = values[counts.argmax()]
    return float(distances[np.abs(distances - usual) < 0.1].mean())
