"""The inside of a structure in thin slabs: what part of each pixel is inside, between contours and beyond them.

Between two planes the outline is interpolated by signed distance (a point belongs to the plane it is deeper in) and
then moved in or out until its area is that of the slice model of `dose.sections`. Parts and holes that meet nothing on
the neighbouring plane end half way to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.grid import Mask
from dose.raster import Image, Raster, Spans, coverage, scan
from dose.sections import Cap, Sections, area_between, best_power, cap

_NOWHERE_MM = -1e6
"""Depth on a plane where nothing is inside."""

_SAME_AREA = 1e-3
"""Outlines whose area is this close to the wanted one are not moved."""


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
    """Beyond an end plane: how far the structure still counts for extreme doses, and with which pixels."""

    place_mm: float
    inside: Mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plane:
    """One contoured plane: inside part of pixels, those inside, depth below the outline in mm (negative outside)."""

    at_mm: float
    inside: Image
    mask: Mask
    depth: Image


def solid_slabs(
    stack: Sections, raster: Raster, *, breaks_mm: Sequence[float], step_mm: float
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
    """
    breaks = np.asarray(breaks_mm, dtype=np.float64)
    for piece in stack.pieces():
        scanned = [
            (at, scan(polygons, raster)) for at, polygons in zip(stack.at_mm[piece], stack.polygons[piece], strict=True)
        ]
        scanned = [(at, spans) for at, spans in scanned if spans.area(raster) > 0]  # a point or a line encloses nothing
        if not scanned:
            continue
        at, spans = [s[0] for s in scanned], [s[1] for s in scanned]
        areas = [s.area(raster) for s in spans]
        power = best_power(at, areas)
        plane = _plane(at[0], spans[0], raster)
        below = cap(areas[:3], _distance(at[:3]), stack.thickness_mm, power)
        yield from _cap_slabs(plane, below, -1.0, raster, breaks, step_mm)
        for n in range(len(at) - 1):
            following = _plane(at[n + 1], spans[n + 1], raster)
            yield from _between(plane, following, (at, areas, n, power), raster, breaks, step_mm)
            plane = following
        above = cap(areas[::-1][:3], _distance(at[-3:]), stack.thickness_mm, power)
        yield from _cap_slabs(plane, above, 1.0, raster, breaks, step_mm)


def _distance(at_mm: Sequence[float]) -> float:
    return (at_mm[-1] - at_mm[0]) / max(len(at_mm) - 1, 1)


def _plane(at_mm: float, spans: Spans, raster: Raster) -> _Plane:
    inside = coverage(spans, raster)
    mask = inside >= min(0.5, float(inside.max()))  # the tip of a cone covers no pixel by half
    return _Plane(at_mm=at_mm, inside=inside, mask=mask, depth=_depth(mask, raster))


def _depth(mask: Mask, raster: Raster) -> Image:
    """Signed distance of pixel centres to the outline, mm, positive inside."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, _NOWHERE_MM, dtype=np.float32)
    sampling = (raster.pixel[1], raster.pixel[0])
    half = sum(sampling) / 4
    depth: npt.NDArray[np.float64] = distance_transform_edt(mask, sampling)
    outside: npt.NDArray[np.float64] = distance_transform_edt(~mask, sampling)
    signed: Image = np.where(mask, depth - half, half - outside).astype(np.float32)
    return signed


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
    if end.length_mm < end.reach_mm or end.area(end.length_mm) < _SAME_AREA * full:
        yield Tip(place_mm=reach, inside=plane.depth >= plane.depth.max())
    else:
        yield Tip(place_mm=reach, inside=plane.mask)


def _between(
    low: _Plane,
    high: _Plane,
    trend: tuple[Sequence[float], Sequence[float], int, float],
    raster: Raster,
    breaks: npt.NDArray[np.float64],
    step_mm: float,
) -> Iterator[SolidSlab]:
    """Slabs between two neighbouring planes."""
    at, areas, n, power = trend
    low_end, high_end = _ending(low.mask, high.mask), _ending(high.mask, low.mask)
    parted = low_end is not None or high_end is not None
    middle = (low.at_mm + high.at_mm) / 2
    if parted:  # what ends here ends half way; areas of the rest are not known separately
        breaks = np.sort(np.append(breaks, middle))
    low_depth, high_depth = _without(low, low_end, raster), _without(high, high_end, raster)
    for place, thickness in _slices(low.at_mm, high.at_mm, breaks, step_mm):
        share = np.float32((place - low.at_mm) / (high.at_mm - low.at_mm))
        depth = low_depth + share * (high_depth - low_depth)
        inside = _outline(depth, None if parted else area_between(at, areas, n, place, power), raster)
        if place < middle and low_end is not None:
            inside[low_end] = low.inside[low_end]
        if place > middle and high_end is not None:
            inside[high_end] = high.inside[high_end]
        yield SolidSlab(place_mm=place, thickness_mm=thickness, inside=inside)


def _ending(mask: Mask, other: Mask) -> Mask | None:
    """Pixels (with a rim) of parts and holes of a mask that meet none of the other; None without any."""
    from scipy.ndimage import binary_dilation, label

    ending = np.zeros(mask.shape, dtype=np.bool_)
    for here, there in ((mask, other), (~mask, ~other)):
        parts, count = label(here)
        meeting = np.zeros(count + 1, dtype=np.bool_)
        meeting[np.unique(parts[there])] = True
        meeting[0] = True
        if not meeting.all():
            ending |= ~meeting[parts]
    return binary_dilation(ending) if ending.any() else None


def _without(plane: _Plane, ending: Mask | None, raster: Raster) -> Image:
    """Depth of a plane without the parts, and with the holes filled, that end here."""
    from scipy.ndimage import binary_erosion

    if ending is None:
        return plane.depth
    return _depth(np.where(binary_erosion(ending), ~plane.mask, plane.mask), raster)


def _outline(depth: Image, area_mm2: float | None, raster: Raster) -> Image:
    """Inside part of pixels where the depth exceeds the level that encloses the wanted area (0 without one)."""
    width = np.float32(sum(raster.pixel) / 2)
    inside: Image = np.clip(depth / width + np.float32(0.5), 0, 1)
    if area_mm2 is None:
        return inside
    wanted = area_mm2 / raster.pixel_area
    if wanted <= 0:
        return np.zeros_like(depth)
    have = float(inside.sum(dtype=np.float64))
    if abs(have - wanted) <= _SAME_AREA * wanted:
        return inside
    level = _level(depth, wanted)
    for _ in range(3):
        inside = np.clip((depth - level) / width + np.float32(0.5), 0, 1)
        missing = wanted - float(inside.sum(dtype=np.float64))
        rim = float(np.count_nonzero((inside > 0) & (inside < 1)))
        if abs(missing) <= 0.1 * _SAME_AREA * wanted or rim == 0:
            break
        level -= np.float32(missing / rim) * width
    return inside


def _level(depth: Image, pixels: float) -> np.float32:
    """Depth that about this many pixels exceed."""
    count = min(max(round(pixels), 1), depth.size)
    return np.float32(np.partition(depth, depth.size - count, axis=None)[depth.size - count])
