"""A structure as a stack of plane sections, and how its area runs between and beyond them.

**Slice model.** Contours say where a structure is on its planes; what lies between and beyond has to be supposed:

- Between neighbouring planes the area follows the cubic through the areas of the four nearest planes (a sphere, cone
  or ellipsoid has a quadratic area, so it is met exactly), taken in the power of the area, 1 or 2, that predicts each
  plane best from its neighbours (the area of a lying cylinder is the root of a quadratic).
- A structure reaches half a slice beyond its end contours, as in the analytical tables of Nelms et al. (Med Phys
  42:4435, 2015) and in most planning systems. Where the area falls so that its trend ends within the next slice, the
  cap tapers along that trend instead of being a straight slab; the half slice then still counts for extreme doses.
- Planes further apart than `GAP_FACTOR` usual distances are ends of separate pieces, not interpolated.

`docs/dvh-accuracy.md` holds the figures this choice rests on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.errors import BadStructure, ContoursNotPlanar
from dose.grids.grid import Geometry, Points
from dose.shapes.raster import Polygon
from dose.shapes.structures import Structure

PLANAR_TOLERANCE_MM = 0.1
"""How far the points of a contour may lie from their plane; also how close two planes are one."""

GAP_FACTOR = 1.5
"""Planes further apart than this many usual distances enclose nothing between them."""

_POINTED = 0.05
"""A trend that turns at less than this fraction of the end area counts as ending there: cones end in a double root."""

_SWING = 0.25
"""Part of its larger neighbour that a section may be larger than both."""

_POWERS = (1.0, 2.0)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """What lies beyond an end plane.

    Parameters
    ----------
    length_mm
        How far the structure has volume beyond the plane.
    reach_mm
        How far it counts for extreme doses: half a slice at least.
    area
        Area at a distance from the end plane, mm2.
    """

    length_mm: float
    reach_mm: float
    area: Callable[[float], float]


def best_power(at_mm: Sequence[float], areas: Sequence[float]) -> float:
    """The power of the area whose cubic through the neighbours best predicts each plane that has two on either side."""
    if len(at_mm) < 5:
        return _POWERS[0]
    z, a = np.array(at_mm), np.array(areas)

    def misses(power: float) -> float:
        b = a**power
        total = 0.0
        for n in range(2, len(z) - 2):
            near = [n - 2, n - 1, n + 1, n + 2]
            predicted = max(_lagrange(z[near], b[near], z[n]), 0.0) ** (1 / power)
            total += abs(predicted - float(a[n]))
        return total

    return min(_POWERS, key=misses)


def area_between(at_mm: Sequence[float], areas: Sequence[float], n: int, power: float, place_mm: float) -> float:
    """Area at a place between planes n and n + 1 of a piece, mm2.

    Two parabolas, through the planes before and after, are blended (with even spacing: the cubic through all four).
    """
    z, b = np.array(at_mm), np.array(areas) ** power
    share = (place_mm - z[n]) / (z[n + 1] - z[n])
    first, last = max(n - 1, 0), min(n + 2, len(z) - 1)
    before = _lagrange(z[first : n + 2], b[first : n + 2], place_mm)
    after = _lagrange(z[n : last + 1], b[n : last + 1], place_mm)
    if first == n:
        before = after
    elif last == n + 1:
        after = before
    value = (1 - share) * before + share * after
    low, high = sorted((areas[n], areas[n + 1]))
    # contours drawn by hand jump, and a cubic through jumps swings; a sphere on three slices needs this much
    swing = 0.5 * (high - low) + _SWING * high
    return float(np.clip(max(value, 0.0) ** (1 / power), max(low - swing, 0.0), high + swing))


def cap(areas: Sequence[float], distance_mm: float, thickness_mm: float, power: float) -> Cap:
    """What lies beyond an end plane.

    Parameters
    ----------
    areas
        Areas of the end plane and of the planes behind it, end first, mm2; up to three count.
    distance_mm
        Distance of these planes from each other.
    thickness_mm
        Usual distance of planes: at the place one such distance beyond the end there was no contour.
    power
        Of the area, see `best_power`.
    """
    half = thickness_mm / 2
    slab = Cap(length_mm=half, reach_mm=half, area=lambda _: float(areas[0]))
    if len(areas) < 3 or not areas[0] < areas[1]:
        return slab
    b = np.array(areas[:3]) ** power
    # parabola through the three, of the distance v beyond the end (the planes lie at v = 0, -d, -2d)
    bend = (b[0] - 2 * b[1] + b[2]) / (2 * distance_mm**2)
    slope = (3 * b[0] - 4 * b[1] + b[2]) / (2 * distance_mm)
    end = _first_end(float(b[0]), float(slope), float(bend))
    if end is None or end > thickness_mm:
        return slab
    return Cap(
        length_mm=end,
        reach_mm=max(end, half),
        area=lambda v: max(float(b[0] + slope * v + bend * v * v), 0.0) ** (1 / power),
    )


def _first_end(start: float, slope: float, bend: float) -> float | None:
    """First v > 0 at which ``start + slope v + bend v2`` falls to nothing, or turns at nearly nothing."""
    if abs(bend) < 1e-12 * max(abs(slope), 1.0):
        return -start / slope if slope < 0 else None
    inner = slope * slope - 4 * bend * start
    turn = -slope / (2 * bend)
    if inner < 0:
        lowest = start - slope * slope / (4 * bend)
        return turn if turn > 0 and lowest < _POINTED * start else None
    roots = sorted(((-slope - inner**0.5) / (2 * bend), (-slope + inner**0.5) / (2 * bend)))
    return next((root for root in roots if root >= 0), None)


@compiled
def _lagrange(z: npt.NDArray[np.float64], b: npt.NDArray[np.float64], place: float) -> float:
    """Value at `place` of the polynomial through all points."""
    total = 0.0
    for n in range(len(z)):
        term = b[n]
        for m in range(len(z)):
            if m != n:
                term *= (place - z[m]) / (z[n] - z[m])
        total += term
    return total
