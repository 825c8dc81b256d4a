"""The inside of a structure in thin slabs: what part of each pixel is inside, between contours and beyond them.

Between two planes the outline is interpolated by signed distance (a point belongs to the plane it is deeper in) and
then moved in or out until its area is that of the slice model of `dose.shapes.sections`. Parts and holes that meet
nothing on the neighbouring plane end half way to it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dose.grids.grid import Mask
from dose.shapes.pixels import Image, blend, ending_parts, moving, outlined, signed_depth
from dose.shapes.raster import Polygon, Raster, Spans, coverage, scan
from dose.shapes.sections import Cap, Sections, area_between, best_power, cap

_RIM_MM = 1.0
"""Pixels this close to an outline tell how much it moves."""

_OVER = 0.65
"""Neighbouring sections that overlap by less of the smaller one lie beside each other."""

_SAME_AREA = 1e-3
"""Outlines whose area is this close to the wanted one are not moved."""

_EVEN: Image = np.empty((0, 0), dtype=np.float32)
"""An outline that moves equally readily everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolidSlab:
    """A thin slab of a structure.

    Parameters
    ----------
    place_mm
        Its middle, along the axis of the sections.
    thickness_mm
        Extent along that axis.
    inside
        Part of each pixel inside, float32 ``[v, u]``.
    """

    place_mm: float
    thickness_mm: float
    inside: Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tip:
    """Beyond an end plane: how far the structure still counts for extreme doses, with which pixels and outlines."""

    place_mm: float
    inside: Mask
    outlines: tuple[Polygon, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plane:
    """One contoured plane: inside part of pixels, those inside, depth below the outline in mm (negative outside)."""

    at_mm: float
    inside: Image
    mask: Mask
    depth: Image
    polygons: tuple[Polygon, ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Four planes around the stretch between `low` and `high`."""

    before: _Plane | None
    low: _Plane
    high: _Plane
    after: _Plane | None

    def readiness(self, raster: Raster) -> Image:
        """How much the outline moves from plane to plane here, relative to its mean over the rim; empty: nowhere.

        The flat end of a cylinder lying in the planes does not move while its flanks do.
        """
        low, high = self.low, self.high
        depths = ((self.before or low).depth, low.depth, high.depth, (self.after or high).depth)
        return moving(depths, (low.mask, high.mask), _RIM_MM, 0.1 * min(raster.pixel))


_Piece = tuple[Sequence[float], Sequence[tuple[Polygon, ...]], Sequence[Spans]]


def solid_slabs(
    stack: Sections, raster: Raster, *, breaks_mm: Sequence[float], step_mm: float, beyond_ends: bool = True
) -> Iterator[SolidSlab | Tip]:
    """Yield a structure slab by slab, pieces and planes rising, with the tips at the ends of each piece.

    Parameters
    ----------
    stack
        Sections in the frame of a grid.
    raster
        Pixels in the planes of the sections; holds all contours with a margin of two pixels.
    breaks_mm
        Places no slab may straddle (the planes of the dose grid).
    step_mm
        Greatest thickness of a slab.
    beyond_ends
        Whether the structure reaches beyond its end contours, as the slice model says.
    """
    breaks = np.asarray(breaks_mm, dtype=np.float64)
    for piece in stack.pieces():
        at, outlines = stack.at_mm[piece], stack.polygons[piece]
        spans = [scan(polygons, raster) for polygons in outlines]
        areas = [max(s.area(raster), 0.0) for s in spans]
        power = best_power(at, areas)

        def plane(n: int, piece: _Piece = (at, outlines, spans), raster: Raster = raster) -> _Plane | None:
            at, outlines, spans = piece
            return _plane(at[n], outlines[n], spans[n], raster) if 0 <= n < len(at) else None

        near = [None, plane(0), plane(1), plane(2)]  # the planes before, below, above and after a stretch
        assert near[1] is not None
        if beyond_ends:
            below = cap(areas[:3], _distance(at[:3]), stack.thickness_mm, power)
            yield from _cap_slabs(near[1], below, -1.0, raster, breaks, step_mm)
        is_smooth = _is_smooth(spans, raster)
        for n in range(len(at) - 1):
            area = partial(area_between, at, areas, n, power) if is_smooth else None
            yield from _between(_Stretch(*near), area, raster, breaks, step_mm)  # type: ignore[arg-type]
            near = [*near[1:], plane(n + 3)]
        if beyond_ends:
            above = cap(areas[::-1][:3], _distance(at[-3:]), stack.thickness_mm, power)
            assert near[1] is not None
            yield from _cap_slabs(near[1], above, 1.0, raster, breaks, step_mm)


def _distance(at_mm: Sequence[float]) -> float:
    return (at_mm[-1] - at_mm[0]) / max(len(at_mm) - 1, 1)


def _plane(at_mm: float, polygons: Sequence[Polygon], spans: Spans, raster: Raster) -> _Plane:
    inside = coverage(spans, raster)
    mask = inside >= min(0.5, float(inside.max()) / 2)
    if not inside.any():  # the tip of a cone: a point or a line, which encloses nothing and still says where it is
        mask = _trace(polygons, raster)
    return _Plane(at_mm=at_mm, inside=inside, mask=mask, depth=_depth(mask, raster), polygons=tuple(polygons))


def _trace(polygons: Sequence[Polygon], raster: Raster) -> Mask:
    """Pixels the outlines run through."""
    mask = np.zeros(raster.shape, dtype=np.bool_)
    for polygon in polygons:
        edges = np.roll(polygon, -1, axis=0) - polygon
        count = int(np.ceil(2 * np.abs(edges / raster.pixel).max())) + 1
        along = polygon[:, None] + edges[:, None] * np.linspace(0, 1, count)[:, None]
        column, row = ((along - raster.origin) / raster.pixel).reshape(-1, 2).astype(np.intp).T
        mask[row, column] = True
    return mask


def _depth(mask: Mask, raster: Raster) -> Image:
    """Signed distance of pixel centres to the outline, mm, positive inside."""
    return signed_depth(mask, *raster.pixel)


def _slices(low: float, high: float, breaks: npt.NDArray[np.float64], step_mm: float) -> list[tuple[float, float]]:
    """Middle and thickness of slabs that fill a stretch and straddle no break."""
    within = breaks[(breaks > low + 1e-6) & (breaks < high - 1e-6)]
    slices = []
    for start, stop in zip([low, *within], [*within, high], strict=True):
        count = max(1, int(np.ceil((stop - start) / step_mm - 1e-6)))
        thickness = (stop - start) / count
        slices += [(float(start + (n + 0.5) * thickness), float(thickness)) for n in range(count) if thickness > 0]
    return slices


def _cap_slabs(
    plane: _Plane, end: Cap, way: float, raster: Raster, breaks: npt.NDArray[np.float64], step_mm: float
) -> Iterator[SolidSlab | Tip]:
    low, high = sorted((plane.at_mm, plane.at_mm + way * end.length_mm))
    full = float(plane.inside.sum()) * raster.pixel_area
    for place, thickness in _slices(low, high, breaks, step_mm):
        area = end.area(abs(place - plane.at_mm))
        inside = plane.inside if abs(area - full) <= _SAME_AREA * full else _outline(plane.depth, area, raster)
        yield SolidSlab(place_mm=place, thickness_mm=thickness, inside=inside)
    reach = plane.at_mm + way * end.reach_mm
    pointed = end.length_mm < end.reach_mm or end.area(end.length_mm) < _SAME_AREA * full
    deepest = plane.depth >= plane.depth.max() if pointed else plane.mask
    yield Tip(place_mm=reach, inside=deepest, outlines=() if pointed else plane.polygons)


def _between(
    stretch: _Stretch,
    area: Callable[[float], float] | None,
    raster: Raster,
    breaks: npt.NDArray[np.float64],
    step_mm: float,
) -> Iterator[SolidSlab]:
    """Slabs between two neighbouring planes; without `area` they have the areas of the interpolated outlines."""
    low, high = stretch.low, stretch.high
    low_end, high_end = _ending(low.mask, high.mask), _ending(high.mask, low.mask)
    parted = low_end is not None or high_end is not None
    middle = (low.at_mm + high.at_mm) / 2
    if parted:  # what ends here ends half way; areas of the rest are not known separately
        breaks = np.sort(np.append(breaks, middle))
    low_depth, high_depth = _without(low, low_end, raster), _without(high, high_end, raster)
    wanted = None if parted else area
    readiness = stretch.readiness(raster) if wanted else _EVEN
    # a straight stretch keeps its exact cover of pixels, which depths only know to a part of one
    is_even = not parted and bool(np.abs(low.inside - high.inside).max() < _SAME_AREA)
    for place, thickness in _slices(low.at_mm, high.at_mm, breaks, step_mm):
        depth = blend(low_depth, high_depth, (place - low.at_mm) / (high.at_mm - low.at_mm))
        inside = low.inside if is_even else _outline(depth, wanted(place) if wanted else None, raster, readiness)
        if place < middle and low_end is not None:
            inside[low_end] = low.inside[low_end]
        if place > middle and high_end is not None:
            inside[high_end] = high.inside[high_end]
        yield SolidSlab(place_mm=place, thickness_mm=thickness, inside=inside)


def _is_smooth(spans: Sequence[Spans], raster: Raster) -> bool:
    """Whether the sections of a piece are slices of one smooth body, so that the trend of their areas says anything.

    They are not where most lie beside their neighbours rather than over them, as a scar drawn on the skin. Such
    structures are then shaped as planning systems shape them (0.33 cm3 for one to which Eclipse gives 0.34, where
    the trend of the areas gives 0.53; docs/dvh-accuracy.md).
    """
    masks = [coverage(one, raster) >= 0.5 for one in spans]
    beside = sum(_overlap(low, high) < _OVER for low, high in pairwise(masks))
    return 2 * beside <= len(masks) - 1


def _overlap(low: Mask, high: Mask) -> float:
    """Part of the smaller of two sections that lies over the other."""
    smaller = min(int(low.sum()), int(high.sum()))
    return int((low & high).sum()) / smaller if smaller else 1.0


def _ending(mask: Mask, other: Mask) -> Mask | None:
    """Pixels (with a rim) of parts and holes of a mask that meet none of the other; None without any."""
    count, ending = ending_parts(mask, other)
    return ending if count else None


def _without(plane: _Plane, ending: Mask | None, raster: Raster) -> Image:
    """Depth of a plane without the parts, and with the holes filled, that end here."""
    from scipy.ndimage import binary_erosion

    if ending is None:
        return plane.depth
    return _depth(np.where(binary_erosion(ending), ~plane.mask, plane.mask), raster)


def _outline(depth: Image, area_mm2: float | None, raster: Raster, readiness: Image = _EVEN) -> Image:
    """Inside part of pixels for an outline of the wanted area; None leaves the outline where it is."""
    wanted = np.nan if area_mm2 is None else area_mm2 / raster.pixel_area
    return outlined(depth, readiness, sum(raster.pixel) / 2, wanted)
