"""The loops over the cells of a structure, compiled: dose at each cell, its histogram and mean.

`dose.shapes.field` prepares what they read, `dose.shapes.dvh` makes figures of what they add up.
"""

from math import exp, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.fall_off import FALL_OFF_MM
from dose.grids.grid import Volume
from dose.shapes.pixels import Image
from dose.shapes.places import Corners, Doses, Places, count_extremes, is_known, place_of, reach_voxels

_Floats = npt.NDArray[np.float64]

_ON_PLANE_MM = 1e-4
"""How close the end of a slab is on a plane of the dose."""

SHARED, LOWER, UPPER, ESTIMATE = range(4)
"""Rows of the totals: what all curves share, and what each has besides where the dose is unknown."""

VOLUME, UNKNOWN = 4, 5
"""Where in the sums, after the four dose integrals."""

Box = tuple[int, int, int, int]
"""First and last row, first and last column."""


class Totals(NamedTuple):
    """What is added up.

    ``bends`` holds second derivatives of the cumulative volumes, mm3 per bin, ``[4, bins + 2]``; ``sums`` the dose
    integrals, Gy mm3, the volume and the unknown volume, mm3, ``[6]``; ``extremes`` least and largest dose of lower,
    upper and estimate ``[3, 2]``.
    """

    bends: _Floats
    sums: _Floats
    extremes: _Floats
    bin_gy: float


@compiled
def _deposit(bends: _Floats, curve: int, middle: float, half: float, mm3: float) -> None:
    """Spread a volume evenly over doses (in bins).

    An even distribution from a to b is the difference of two ramps that begin at a and b, so two impulses per cell in
    the second derivative of the cumulative volume are enough; an impulse between bin edges is split linearly.
    """
    low, high = max(middle - half, 0.0), min(middle + half, bends.shape[1] - 2.0)
    slope = mm3 / (high - low)
    edge = int(low)
    bends[curve, edge] += slope * (1 - (low - edge))
    bends[curve, edge + 1] += slope * (low - edge)
    edge = int(high)
    bends[curve, edge] -= slope * (1 - (high - edge))
    bends[curve, edge + 1] -= slope * (high - edge)


@compiled
def _box(inside: Image) -> Box:
    """The pixels that hold all cells; the last row is -1 without any."""
    top, bottom, left, right = inside.shape[0], -1, inside.shape[1], -1
    for row in range(inside.shape[0]):
        for column in range(inside.shape[1]):
            if inside[row, column] > 0:
                top, bottom = min(top, row), row
                left, right = min(left, column), max(right, column)
    return top, bottom, left, right


@compiled
def _across(volume: Volume, at: tuple[int, float, float], v: Places, u: Places, box: Box) -> tuple[_Floats, _Floats]:
    """Dose between two planes, and its change across a slab, at the pixels of a box and one around it, ``[v, u]``.

    `at` is the lower plane, the share of the next one, and the thickness of the slab in planes.
    """
    (v_low, v_share, _), (u_low, u_share, _) = v, u
    plane, z, thickness = at
    first, last = max(box[2] - 1, 0), min(box[3] + 1, len(u_low) - 1)
    left, right = u_low[first], min(u_low[last] + 1, volume.shape[2] - 1)
    above = min(plane + 1, volume.shape[0] - 1)
    values, rises = np.empty((len(v_low), len(u_low))), np.empty((len(v_low), len(u_low)))
    line, steps = np.empty(volume.shape[2] + 1), np.empty(volume.shape[2] + 1)
    for row in range(max(box[0] - 1, 0), min(box[1] + 2, len(v_low))):
        j, y = v_low[row], v_share[row]
        below = min(j + 1, volume.shape[1] - 1)
        for i in range(left, right + 1):
            near = volume[plane, j, i] * (1 - y) + volume[plane, below, i] * y
            far = volume[above, j, i] * (1 - y) + volume[above, below, i] * y
            line[i], steps[i] = near + (far - near) * z, (far - near) * thickness
        line[right + 1], steps[right + 1] = line[right], steps[right]
        for column in range(first, last + 1):
            i, x = u_low[column], u_share[column]
            values[row, column] = line[i] + (line[i + 1] - line[i]) * x
            rises[row, column] = steps[i] + (steps[i + 1] - steps[i]) * x
    return values, rises


@compiled
def _step(values: _Floats, row: int, column: int, rows: tuple[int, int], columns: tuple[int, int]) -> float:
    """Change of the dose per pixel between two places on one line; 0 where they are the same."""
    apart = rows[1] - rows[0] + columns[1] - columns[0]
    if apart == 0:
        return 0.0
    change = values[row + rows[1], column + columns[1]] - values[row + rows[0], column + columns[0]]
    return float(change) / apart


@compiled
def _inward(inside: Image, row: int, column: int) -> tuple[float, float]:
    """Unit vector (u, v), in pixels, across the outline to the inside; 0 where there is none or at the rim."""
    if not (0 < row < inside.shape[0] - 1 and 0 < column < inside.shape[1] - 1):
        return 0.0, 0.0
    u = inside[row, column + 1] - inside[row, column - 1]
    v = inside[row + 1, column] - inside[row - 1, column]
    length = sqrt(u * u + v * v)
    return (u / length, v / length) if length > 0 else (0.0, 0.0)


@compiled
def _within(off_mm: _Floats) -> npt.NDArray[np.int64]:
    """How far the next places within the hull lie, ``[n, 2]``: -1 or 0, and 0 or 1. Changes are not taken across it."""
    near = np.zeros((len(off_mm), 2), np.int64)
    for n in range(len(off_mm)):
        near[n, 0] = -1 if n > 0 and off_mm[n - 1] == 0.0 else 0
        near[n, 1] = 1 if n + 1 < len(off_mm) and off_mm[n + 1] == 0.0 else 0
    return near


@compiled
def add_slabs(
    inside: Volume,
    slabs_mm: tuple[_Floats, _Floats],
    size_mm: tuple[float, float],
    axes: tuple[Places, Places],
    corners: tuple[Corners, Corners],
    doses: Doses,
    totals: Totals,
) -> None:
    """Add the cells of slabs, and for the extremes the voxels of dose planes they end on.

    Parameters
    ----------
    inside
        Part of each pixel inside, ``[n, v, u]``.
    slabs_mm
        Middles and thicknesses of the slabs.
    size_mm
        Area of a pixel, mm2, and distance of the planes of the dose.
    axes
        The pixel centres along rows and columns.
    corners
        The inner pixel corners along rows and columns that are voxel centres.
    """
    pixel_mm2, spacing_mm = size_mm
    count = doses.lower.shape[0]
    for n in range(len(inside)):
        place, thickness = slabs_mm[0][n], slabs_mm[1][n]
        size = pixel_mm2 * thickness, thickness / spacing_mm
        add_slab(inside[n], size, place_of(place, spacing_mm, count), axes, doses, totals)
        for side in (-0.5, 0.5):
            end = (place + side * thickness) / spacing_mm
            plane = round(end)
            if 0 <= plane < count and abs(end - plane) * spacing_mm <= _ON_PLANE_MM:
                reach_voxels(inside[n], plane, corners[0], corners[1], doses, totals.extremes)


@compiled
def add_slab(  # noqa: C901 - one pass over the cells, each call within would cost
    inside: Image,
    size: tuple[float, float],
    place: tuple[int, float, float],
    axes: tuple[Places, Places],
    doses: Doses,
    totals: Totals,
) -> None:
    """Add the cells of a slab: the volume of each, spread over the doses within it.

    `size` is the volume of a full cell, mm3, and its thickness in planes of the grid; `place` that of its middle.
    """
    # what is in tuples is taken out once: within the loops every look would count references
    bends, sums, extremes, bin_gy = totals
    v, u = axes
    known_at, outside_gy, v_off, u_off = doses.known, doses.outside_gy, v.off_mm, u.off_mm
    plane, z, off_n = place
    box = _box(inside)
    if box[1] < 0:
        return
    at = plane, z, size[1]
    lowers, rises = _across(doses.lower, at, v, u, box)
    has_upper, has_estimate, has_unknown = doses.upper.size > 0, doses.estimate.size > 0, known_at.size > 0
    uppers = _across(doses.upper, at, v, u, box)[0] if has_upper else lowers
    estimates = _across(doses.estimate, at, v, u, box)[0] if has_estimate else lowers
    v_near, u_near, v_low, u_low, v_share, u_share = _within(v_off), _within(u_off), v.low, u.low, v.share, u.share
    for row in range(box[0], box[1] + 1):
        for column in range(box[2], box[3] + 1):
            part = inside[row, column]
            if part <= 0:
                continue
            lower, upper, estimate = lowers[row, column], uppers[row, column], estimates[row, column]
            known = off_n == 0.0 and v_off[row] == 0.0 and u_off[column] == 0.0
            if not known:
                estimate *= exp(-sqrt(off_n**2 + v_off[row] ** 2 + u_off[column] ** 2) / FALL_OFF_MM)
                lower, upper = 0.0, outside_gy
            elif has_unknown:
                voxel, share = (plane, v_low[row], u_low[column]), (z, v_share[row], u_share[column])
                known = is_known(known_at, voxel, share)
            mm3, half = part * size[0], 0.5
            sums[VOLUME] += mm3
            if known:
                # along each axis a linear dose is spread evenly over its change across the cell; widths add in squares
                across = _step(lowers, row, column, (0, 0), (u_near[column, 0], u_near[column, 1]))
                down = _step(lowers, row, column, (v_near[row, 0], v_near[row, 1]), (0, 0))
                if part < 1:
                    in_u, in_v = _inward(inside, row, column)
                    # the part inside lies off the middle of the cell and is narrower than it
                    shift = (1 - part) / 2 * (in_u * across + in_v * down)
                    shift = min(max(shift, -lower), outside_gy - lower)
                    lower, upper, estimate = lower + shift, upper + shift, estimate + shift
                    across, down = across * (1 - (1 - part) * abs(in_u)), down * (1 - (1 - part) * abs(in_v))
                half = max(sqrt(across**2 + down**2 + rises[row, column] ** 2) / bin_gy, 1.0) / 2
            else:
                sums[UNKNOWN] += mm3
            estimate = min(max(estimate, lower), upper)
            if part >= 0.5 or not known:
                count_extremes(extremes, lower, upper, estimate)
            if lower == upper:
                sums[SHARED] += lower * mm3
                _deposit(bends, SHARED, lower / bin_gy, half, mm3)
                continue
            for curve in (LOWER, UPPER, ESTIMATE):
                dose = lower if curve == LOWER else upper if curve == UPPER else estimate
                sums[curve] += dose * mm3
                _deposit(bends, curve, dose / bin_gy, half, mm3)


@compiled
def volumes_above(bends: _Floats, volume_mm3: float) -> _Floats:
    """Return the volumes that receive at least each edge of the bins: lower, upper and estimate, ``[3, bins + 1]``."""
    bins = bends.shape[1] - 2
    volumes = np.empty((3, bins + 1))
    for curve in range(3):
        slope, below, least = 0.0, 0.0, volume_mm3
        volumes[curve, 0] = volume_mm3
        for n in range(bins):
            slope += bends[SHARED, n] + bends[curve + 1, n]
            below += slope
            # rounding of the sums must not let a cumulative curve rise, nor go below nothing
            least = min(least, max(volume_mm3 - below, 0.0))
            volumes[curve, n + 1] = least
        volumes[curve, bins] = 0.0
    for n in range(1, bins):  # nor must it let the bounds cross
        volumes[0, n] = min(volumes[0, n], volumes[1, n])
        volumes[2, n] = min(max(volumes[2, n], volumes[0, n]), volumes[1, n])
    return volumes
