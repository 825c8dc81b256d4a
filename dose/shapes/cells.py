"""The loops over the cells of a structure, compiled: dose at each cell, its histogram, mean and extremes.

`dose.shapes.field` prepares what they read, `dose.shapes.dvh` makes figures of what they add up.
"""

from math import exp, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.fall_off import FALL_OFF_MM
from dose.grids.grid import Mask, Volume
from dose.shapes.pixels import Image

_Floats = npt.NDArray[np.float64]

NO_WEIGHT = 1e-6
"""An unknown voxel with less weight does not make a place unknown."""

SHARED, LOWER, UPPER, ESTIMATE = range(4)
"""Rows of the totals: what all curves share, and what each has besides where the dose is unknown."""

VOLUME, UNKNOWN = 4, 5
"""Where in the sums, after the four dose integrals."""


class Doses(NamedTuple):
    """Dose on a grid ``[n, v, u]``; volumes that are not there are empty."""

    lower: Volume
    upper: Volume
    estimate: Volume
    known: Mask
    outside_gy: float


class Places(NamedTuple):
    """Places along one axis: lower voxel, share of the next one, distance from the hull in mm (0 within)."""

    low: npt.NDArray[np.int64]
    share: _Floats
    off_mm: _Floats


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


Sample = tuple[float, float, float, bool]
"""Lower and upper dose, estimate, known."""


@compiled
def _at(volume: Volume, plane: int, row: int, column: int, v: float, u: float) -> float:
    """Interpolate on one plane of the grid."""
    below, right = min(row + 1, volume.shape[1] - 1), min(column + 1, volume.shape[2] - 1)
    upper = volume[plane, row, column] * (1 - u) + volume[plane, row, right] * u
    lower = volume[plane, below, column] * (1 - u) + volume[plane, below, right] * u
    return float(upper * (1 - v) + lower * v)


@compiled
def _is_known(known: Mask, at: tuple[int, int, int], share: tuple[float, float, float]) -> bool:
    """Whether no voxel with weight is unknown."""
    weight = 0.0
    for n in range(8):
        k, j, i = n >> 2, (n >> 1) & 1, n & 1
        plane, row = min(at[0] + k, known.shape[0] - 1), min(at[1] + j, known.shape[1] - 1)
        if not known[plane, row, min(at[2] + i, known.shape[2] - 1)]:
            w = share[0] if k else 1 - share[0]
            w *= share[1] if j else 1 - share[1]
            weight += w * (share[2] if i else 1 - share[2])
    return weight < NO_WEIGHT


@compiled
def _sample(
    volumes: tuple[Volume, Volume, Volume],
    known_at: Mask,
    outside_gy: float,
    at: tuple[int, int, int],
    share: tuple[float, float, float],
    off_mm: float,
) -> Sample:
    """Dose at a place: the voxels below it, shares of those above, and how far it lies outside the hull."""
    lower_gy, upper_gy, estimate_gy = volumes
    plane, row, column = at
    z, v, u = share
    above = min(plane + 1, lower_gy.shape[0] - 1)
    lower = _at(lower_gy, plane, row, column, v, u) * (1 - z) + _at(lower_gy, above, row, column, v, u) * z
    upper, estimate, known = lower, lower, off_mm == 0.0
    if upper_gy.size:
        upper = _at(upper_gy, plane, row, column, v, u) * (1 - z) + _at(upper_gy, above, row, column, v, u) * z
    if known and known_at.size:
        known = _is_known(known_at, at, share)
    if estimate_gy.size:
        estimate = _at(estimate_gy, plane, row, column, v, u) * (1 - z)
        estimate += _at(estimate_gy, above, row, column, v, u) * z
    if off_mm > 0.0:
        estimate *= exp(-off_mm / FALL_OFF_MM)
        lower, upper = 0.0, outside_gy
    return lower, upper, min(max(estimate, lower), upper), known


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
def _reach(extremes: _Floats, lower: float, upper: float, estimate: float) -> None:
    extremes[0, 0], extremes[0, 1] = min(extremes[0, 0], lower), max(extremes[0, 1], lower)
    extremes[1, 0], extremes[1, 1] = min(extremes[1, 0], upper), max(extremes[1, 1], upper)
    extremes[2, 0], extremes[2, 1] = min(extremes[2, 0], estimate), max(extremes[2, 1], estimate)


Box = tuple[int, int, int, int]
"""First and last row, first and last column."""


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
def _plane(volume: Volume, plane: int, weights: tuple[float, float], v: Places, u: Places, box: Box) -> _Floats:
    """A plane and the next one, weighted, at the pixels of a box and one around it, ``[v, u]``; nothing elsewhere."""
    (v_low, v_share, _), (u_low, u_share, _) = v, u
    first, last = max(box[2] - 1, 0), min(box[3] + 1, len(u_low) - 1)
    left, right = u_low[first], min(u_low[last] + 1, volume.shape[2] - 1)
    above = min(plane + 1, volume.shape[0] - 1)
    values, line = np.empty((len(v_low), len(u_low))), np.empty(volume.shape[2] + 1)
    for row in range(max(box[0] - 1, 0), min(box[1] + 2, len(v_low))):
        j, y = v_low[row], v_share[row]
        below = min(j + 1, volume.shape[1] - 1)
        for i in range(left, right + 1):
            near = volume[plane, j, i] * (1 - y) + volume[plane, below, i] * y
            far = volume[above, j, i] * (1 - y) + volume[above, below, i] * y
            line[i] = near * weights[0] + far * weights[1]
        line[right + 1] = line[right]
        for column in range(first, last + 1):
            i, x = u_low[column], u_share[column]
            values[row, column] = line[i] * (1 - x) + line[i + 1] * x
    return values


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
def add_slab(  # noqa: C901 - one pass over the cells, each call within would cost
    inside: Image, size: tuple[float, float], n: Places, v: Places, u: Places, doses: Doses, totals: Totals
) -> None:
    """Add the cells of a slab: the volume of each, spread over the doses within it.

    Parameters
    ----------
    inside
        Part of each pixel inside, ``[v, u]``.
    size
        Volume of a full cell, mm3, and its thickness in planes of the grid.
    n, v, u
        Its middle across the planes (one place), and the pixel centres along rows and columns.
    """
    # what is in tuples is taken out once: within the loops every look would count references
    bends, sums, extremes, bin_gy = totals
    known_at, outside_gy, v_off, u_off = doses.known, doses.outside_gy, v.off_mm, u.off_mm
    plane, z, off_n = n.low[0], n.share[0], n.off_mm[0]
    box = _box(inside)
    if box[1] < 0:
        return
    lowers = _plane(doses.lower, plane, (1 - z, z), v, u, box)
    rises = _plane(doses.lower, plane, (-size[1], size[1]), v, u, box)
    has_upper, has_estimate, has_unknown = doses.upper.size > 0, doses.estimate.size > 0, known_at.size > 0
    uppers = _plane(doses.upper, plane, (1 - z, z), v, u, box) if has_upper else lowers
    estimates = _plane(doses.estimate, plane, (1 - z, z), v, u, box) if has_estimate else lowers
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
                at, share = (plane, v_low[row], u_low[column]), (z, v_share[row], u_share[column])
                known = _is_known(known_at, at, share)
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
                _reach(extremes, lower, upper, estimate)
            if lower == upper:
                sums[SHARED] += lower * mm3
                _deposit(bends, SHARED, lower / bin_gy, half, mm3)
                continue
            for curve in (LOWER, UPPER, ESTIMATE):
                dose = lower if curve == LOWER else upper if curve == UPPER else estimate
                sums[curve] += dose * mm3
                _deposit(bends, curve, dose / bin_gy, half, mm3)


@compiled
def reach_pixels(here: Mask, n: Places, v: Places, u: Places, doses: Doses, extremes: _Floats) -> None:
    """Let the known dose at some pixels of a plane count for the extremes."""
    for row in range(here.shape[0]):
        for column in range(here.shape[1]):
            if here[row, column]:
                off_mm = sqrt(n.off_mm[0] ** 2 + v.off_mm[row] ** 2 + u.off_mm[column] ** 2)
                at, share = (n.low[0], v.low[row], u.low[column]), (n.share[0], v.share[row], u.share[column])
                volumes = doses.lower, doses.upper, doses.estimate
                lower, upper, estimate, known = _sample(volumes, doses.known, doses.outside_gy, at, share, off_mm)
                if known:
                    _reach(extremes, lower, upper, estimate)


@compiled
def reach_points(n: Places, v: Places, u: Places, doses: Doses, extremes: _Floats) -> None:
    """Let the known dose at points count for the extremes."""
    for m in range(len(n.low)):
        off_mm = sqrt(n.off_mm[m] ** 2 + v.off_mm[m] ** 2 + u.off_mm[m] ** 2)
        at, share = (n.low[m], v.low[m], u.low[m]), (n.share[m], v.share[m], u.share[m])
        volumes = doses.lower, doses.upper, doses.estimate
        lower, upper, estimate, known = _sample(volumes, doses.known, doses.outside_gy, at, share, off_mm)
        if known:
            _reach(extremes, lower, upper, estimate)


Corners = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Inner pixel corners that are voxel centres along an axis, and which voxels they are."""


@compiled
def reach_voxels(inside: Image, plane: int, v: Corners, u: Corners, doses: Doses, extremes: _Floats) -> None:
    """Let the known voxels of a dose plane whose centres lie inside count for the extremes.

    A voxel centre is a common corner of four pixels.
    """
    for m in range(len(v[0])):
        row = v[0][m]
        for n in range(len(u[0])):
            column = u[0][n]
            if min(inside[row, column], inside[row + 1, column]) < 0.5:
                continue
            if min(inside[row, column + 1], inside[row + 1, column + 1]) < 0.5:
                continue
            j, i = v[1][m], u[1][n]
            if doses.known.size and not doses.known[plane, j, i]:
                continue
            lower = doses.lower[plane, j, i]
            upper = doses.upper[plane, j, i] if doses.upper.size else lower
            estimate = doses.estimate[plane, j, i] if doses.estimate.size else lower
            _reach(extremes, lower, upper, min(max(estimate, lower), upper))
