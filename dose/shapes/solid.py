"""The inside of a structure in thin slabs: what part of each pixel is inside, between contours and beyond them.

Between two planes the outline is interpolated by signed distance (a point belongs to the plane it is deeper in) and
then moved in or out until its area is that of the slice model of `dose.shapes.areas`. Parts and holes that meet
nothing on the neighbouring plane end half way to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dose.grids.grid import Mask, Volume
from dose.shapes.areas import Areas, Cap, circle_radius_mm
from dose.shapes.depth import signed_depth
from dose.shapes.outlines import is_same, moving, outlines
from dose.shapes.parts import ending_parts, overlap
from dose.shapes.pixels import Image
from dose.shapes.raster import Polygon, Raster, Spans, coverage, scan
from dose.shapes.sections import Sections

_RIM_MM = 1.0
"""Pixels this close to an outline tell how much it moves."""

_OVER = 0.65
"""Neighbouring sections that overlap by less of the smaller one lie beside each other."""

_SAME_AREA = 1e-3
"""Outlines whose area is this close to the wanted one are not moved."""

_EVEN: Image = np.empty((0, 0), dtype=np.float32)
"""An outline that moves equally readily everywhere."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolidSlabs:
    """Thin slabs of a structure, one upon another.

    Parameters
    ----------
    places_mm
        Their middles, along the axis of the sections, ``[n]``.
    thickness_mm
        Extent of each along that axis, ``[n]``.
    inside
        Part of each pixel inside, float32 ``[n, v, u]``.
    """

    places_mm: _Floats
    thickness_mm: _Floats
    inside: Volume


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slicing:
    """Where slabs are cut: at `breaks_mm`, and so that none is thicker than `step_mm`."""

    breaks_mm: _Floats
    step_mm: float

    def of(self, low: float, high: float, *, halved: bool = False) -> tuple[_Floats, _Floats]:
        """Middles and thicknesses of slabs that fill a stretch; `halved` cuts it in the middle too."""
        first, last = np.searchsorted(self.breaks_mm, (low + 1e-6, high - 1e-6))
        bounds = [low, *self.breaks_mm[first:last].tolist(), high]
        if halved:
            bounds = sorted([*bounds, (low + high) / 2])
        places, thicknesses = [], []
        for start, stop in pairwise(bounds):
            count = max(1, int(np.ceil((stop - start) / self.step_mm - 1e-6)))
            thickness = (stop - start) / count
            places += [start + (n + 0.5) * thickness for n in range(count) if thickness > 0]
            thicknesses += [thickness] * (count if thickness > 0 else 0)
        return np.array(places), np.array(thicknesses)


def solid_slabs(
    stack: Sections, raster: Raster, *, breaks_mm: Sequence[float], step_mm: float, beyond_ends: bool = True
) -> Iterator[SolidSlabs | Tip]:
    """Yield a structure stretch by stretch, pieces and planes rising, with the tips at the ends of each piece.

    Parameters
    ----------
    stack
        Sections in the frame of a grid.
    raster
        Pixels in the planes of the sections; holds all contours with a margin of two pixels.
    breaks_mm
        Places no slab may straddle (the planes of the dose grid), rising.
    step_mm
        Greatest thickness of a slab.
    beyond_ends
        Whether the structure reaches beyond its end contours, as the slice model says.
    """
    slicing = _Slicing(breaks_mm=np.asarray(breaks_mm, dtype=np.float64), step_mm=step_mm)
    for piece in stack.pieces():
        planes = _Planes(stack.at_mm[piece], stack.polygons[piece], raster)
        areas = planes.areas(stack.thickness_mm)
        near = [None, planes.at(0), planes.at(1), planes.at(2)]  # the planes before, below, above and after a stretch
        assert near[1] is not None
        if beyond_ends:
            yield from _cap_slabs(near[1], areas.below(), -1.0, raster, slicing)
        for n in range(planes.count - 1):
            known = areas if planes.is_smooth else None
            slabs = _between(_Stretch(*near), n, known, raster, slicing)  # type: ignore[arg-type]
            if len(slabs.places_mm):
                yield slabs
            near = [*near[1:], planes.at(n + 3)]
        if beyond_ends:
            assert near[1] is not None
            yield from _cap_slabs(near[1], areas.above(), 1.0, raster, slicing)


class _Planes:
    """The planes of a piece, each filled when it is asked for: a large structure holds too many to keep them all."""

    def __init__(self, at_mm: Sequence[float], outlines: Sequence[tuple[Polygon, ...]], raster: Raster) -> None:
        self._at_mm, self._outlines, self._raster = at_mm, outlines, raster
        self._spans = [scan(polygons, raster) for polygons in outlines]
        self.count = len(at_mm)
        self.is_smooth = _is_smooth(self._spans, raster)

    def at(self, n: int) -> _Plane | None:
        """The plane of a number, None beyond the ends."""
        if not 0 <= n < self.count:
            return None
        return _plane(self._at_mm[n], self._outlines[n], self._spans[n], self._raster)

    def areas(self, thickness_mm: float) -> Areas:
        """The model of the areas."""
        areas = [max(spans.area(self._raster), 0.0) for spans in self._spans]
        # only one plane or two leave it open whether they are of a ball
        radii = [self._radius_mm(n, areas[n]) for n in range(self.count)] if self.count < 3 and self.is_smooth else []
        return Areas.of(np.array(self._at_mm), np.array(areas), np.array(radii or [0.0]), thickness_mm)

    def _radius_mm(self, n: int, area_mm2: float) -> float:
        """Radius of the largest circle within a plane."""
        plane = self.at(n)
        assert plane is not None
        # depths end half a pixel before the outline, and no pixel centre need lie in the very middle
        widest = max(float(plane.depth.max()) + _width(self._raster), 0.0)
        return min(circle_radius_mm(area_mm2), widest)


def _plane(at_mm: float, polygons: Sequence[Polygon], spans: Spans, raster: Raster) -> _Plane:
    inside = coverage(spans, raster)
    most = float(inside.max())
    mask = inside >= min(0.5, most / 2)
    if most == 0:  # the tip of a cone: a point or a line, which encloses nothing and still says where it is
        mask = _trace(polygons, raster)
    return _Plane(
        at_mm=at_mm, inside=inside, mask=mask, depth=signed_depth(mask, *raster.pixel), polygons=tuple(polygons)
    )


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


def _cap_slabs(plane: _Plane, end: Cap, way: float, raster: Raster, slicing: _Slicing) -> Iterator[SolidSlabs | Tip]:
    low, high = sorted((plane.at_mm, plane.at_mm + way * end.length_mm))
    full = float(plane.inside.sum()) * raster.pixel_area
    places, thicknesses = slicing.of(low, high)
    if len(places):
        areas = end.area(np.abs(places - plane.at_mm))
        inside = _filled(plane, areas, np.abs(areas - full) <= _SAME_AREA * full, raster)
        yield SolidSlabs(places_mm=places, thickness_mm=thicknesses, inside=inside)
    reach = plane.at_mm + way * end.reach_mm
    last = float(end.area(np.array([end.length_mm]))[0])
    pointed = end.length_mm < end.reach_mm or last < _SAME_AREA * full
    deepest = plane.depth >= plane.depth.max() if pointed else plane.mask
    yield Tip(place_mm=reach, inside=deepest, outlines=() if pointed else plane.polygons)


def _filled(plane: _Plane, areas_mm2: _Floats, full: npt.NDArray[np.bool_], raster: Raster) -> Volume:
    """Sections like a plane, of given areas; those that are full keep its exact cover of pixels."""
    if full.all():
        return np.broadcast_to(plane.inside, (len(areas_mm2), *plane.inside.shape)).copy()
    inside = outlines(
        (plane.depth, plane.depth), np.zeros(len(areas_mm2)), areas_mm2 / raster.pixel_area, _EVEN, _width(raster)
    )
    inside[full] = plane.inside
    return inside


def _between(stretch: _Stretch, n: int, areas: Areas | None, raster: Raster, slicing: _Slicing) -> SolidSlabs:
    """Slabs between neighbouring planes n and n + 1; without `areas` they have those of the interpolated outlines."""
    low, high = stretch.low, stretch.high
    low_end, high_end = ending_parts(low.mask, high.mask), ending_parts(high.mask, low.mask)
    # what ends here ends half way; areas of the rest are not known separately
    parted = low_end.size > 0 or high_end.size > 0
    middle = (low.at_mm + high.at_mm) / 2
    places, thicknesses = slicing.of(low.at_mm, high.at_mm, halved=parted)
    wanted, readiness = np.full(len(places), np.nan), _EVEN
    if areas is not None and not parted:
        wanted, readiness = areas.between(n, places) / raster.pixel_area, stretch.readiness(raster)
    full = float(low.inside.sum())
    is_straight = bool(np.isnan(wanted).all() or (np.abs(wanted - full) <= _SAME_AREA * full).all())
    if is_straight and not parted and is_same(low.inside, high.inside, _SAME_AREA):
        # a straight stretch keeps its exact cover of pixels, which depths only know to a part of one
        inside = np.broadcast_to(low.inside, (len(places), *low.inside.shape)).copy()
    else:
        depths = _without(low, low_end, raster), _without(high, high_end, raster)
        shares = (places - low.at_mm) / (high.at_mm - low.at_mm)
        inside = outlines(depths, shares, wanted, readiness, _width(raster))
    if low_end.size:
        inside[places < middle] = np.where(low_end, low.inside, inside[places < middle])
    if high_end.size:
        inside[places > middle] = np.where(high_end, high.inside, inside[places > middle])
    return SolidSlabs(places_mm=places, thickness_mm=thicknesses, inside=inside)


def _is_smooth(spans: Sequence[Spans], raster: Raster) -> bool:
    """Whether the sections of a piece are slices of one smooth body, so that the trend of their areas says anything.

    They are not where most lie beside their neighbours rather than over them, as a scar drawn on the skin. Such
    structures are then shaped as planning systems shape them (0.33 cm3 for one to which Eclipse gives 0.34, where
    the trend of the areas gives 0.53; docs/dvh-accuracy.md).
    """
    masks = (coverage(one, raster) >= 0.5 for one in spans)
    beside = sum(overlap(low, high) < _OVER for low, high in pairwise(masks))
    return 2 * beside <= len(spans) - 1


def _without(plane: _Plane, ending: Mask, raster: Raster) -> Image:
    """Depth of a plane without the parts, and with the holes filled, that end here."""
    from scipy.ndimage import binary_erosion

    if not ending.size:
        return plane.depth
    return signed_depth(np.where(binary_erosion(ending), ~plane.mask, plane.mask), *raster.pixel)


def _width(raster: Raster) -> float:
    return sum(raster.pixel) / 2
