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

    ``bends`` holds second derivatives of the cumulative volumes, mm3 per bin, ``[4, bins + 2]``; ``dose_mm3`` the dose
    integrals ``[4]``; ``extremes`` least and largest dose of lower, upper and estimate ``[3, 2]``; ``volume_mm3`` all
    and unknown ``[2]``.
    """

    bends: _Floats
    dose_mm3: _Floats
    extremes: _Floats
    volume_mm3: _Floats
    bin_gy: float


Sample = tuple[float, float, float, float, bool]
"""Lower and upper dose, estimate, change of the lower one from the plane below to the plane above, known."""


@compiled
def _at(volume: Volume, plane: int, row: int, column: int, v: float, u: float) -> float:
    """Interpolate on one plane of the grid."""
    below, right = min(row + 1, volume.shape[1] - 1), min(column + 1, volume.shape[2] - 1)
    upper = volume[plane, row, column] * (1 - u) + volume[plane, row, right] * u
    lower = volume[plane, below, column] * (1 - u) + volume[plane, below, right] * u
    return upper * (1 - v) + lower * v


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
def _sample(doses: Doses, at: tuple[int, int, int], share: tuple[float, float, float], off_mm: float) -> Sample:
    """Dose at a place: the voxels below it, shares of those above, and how far it lies outside the hull."""
    plane, row, column = at
    z, v, u = share
    above = min(plane + 1, doses.lower.shape[0] - 1)
    first = _at(doses.lower, plane, row, column, v, u)
    change = _at(doses.lower, above, row, column, v, u) - first
    lower = first + z * change
    upper, estimate, known = lower, lower, off_mm == 0.0
    if doses.upper.size:
        upper = _at(doses.upper, plane, row, column, v, u) * (1 - z) + _at(doses.upper, above, row, column, v, u) * z
    if known and doses.known.size:
        known = _is_known(doses.known, at, share)
    if doses.estimate.size:
        estimate = _at(doses.estimate, plane, row, column, v, u) * (1 - z)
        estimate += _at(doses.estimate, above, row, column, v, u) * z
    if off_mm > 0.0:
        estimate *= exp(-off_mm / FALL_OFF_MM)
        lower, upper = 0.0, doses.outside_gy
    return lower, upper, min(max(estimate, lower), upper), change, known


@compiled
def _deposit(bends: _Floats, middle: float, half: float, mm3: float) -> None:
    """Spread a volume evenly over doses (in bins).

    An even distribution from a to b is the difference of two ramps that begin at a and b, so two impulses per cell in
    the second derivative of the cumulative volume are enough; an impulse between bin edges is split linearly.
    """
    low, high = max(middle - half, 0.0), min(middle + half, len(bends) - 2.0)
    slope = mm3 / (high - low)
    edge = int(low)
    bends[edge] += slope * (1 - (low - edge))
    bends[edge + 1] += slope * (low - edge)
    edge = int(high)
    bends[edge] -= slope * (1 - (high - edge))
    bends[edge + 1] -= slope * (high - edge)


@compiled
def _reach(extremes: _Floats, lower: float, upper: float, estimate: float) -> None:
    extremes[0, 0], extremes[0, 1] = min(extremes[0, 0], lower), max(extremes[0, 1], lower)
    extremes[1, 0], extremes[1, 1] = min(extremes[1, 0], upper), max(extremes[1, 1], upper)
    extremes[2, 0], extremes[2, 1] = min(extremes[2, 0], estimate), max(extremes[2, 1], estimate)


@compiled
def _count(sample: Sample, width_gy: float, mm3: float, core: bool, totals: Totals) -> None:
    """Add one cell: its volume spread over the doses within it."""
    lower, upper, estimate, _, known = sample
    totals.volume_mm3[0] += mm3
    if not known:
        totals.volume_mm3[1] += mm3
        width_gy = 0.0
    if core or not known:
        _reach(totals.extremes, lower, upper, estimate)
    half = max(width_gy / totals.bin_gy, 1.0) / 2
    if lower == upper:
        totals.dose_mm3[SHARED] += lower * mm3
        _deposit(totals.bends[SHARED], lower / totals.bin_gy, half, mm3)
        return
    for curve, dose in ((LOWER, lower), (UPPER, upper), (ESTIMATE, estimate)):
        totals.dose_mm3[curve] += dose * mm3
        _deposit(totals.bends[curve], dose / totals.bin_gy, half, mm3)


@compiled
def _step(values: _Floats, off_mm: _Floats, row: int, column: int, axis: int) -> float:
    """Change of the dose from pixel to pixel along an axis; at the hull from within."""
    n = row if axis == 0 else column
    first = n - 1 if n > 0 and off_mm[n - 1] == 0.0 else n
    last = n + 1 if n + 1 < len(off_mm) and off_mm[n + 1] == 0.0 else n
    if first == last:
        return 0.0
    if axis == 0:
        return (values[last, column] - values[first, column]) / (last - first)
    return (values[row, last] - values[row, first]) / (last - first)


@compiled
def add_slab(
    inside: Image, size: tuple[float, float], n: Places, v: Places, u: Places, doses: Doses, totals: Totals
) -> None:
    """Add the cells of a slab.

    Parameters
    ----------
    inside
        Part of each pixel inside, ``[v, u]``.
    size
        Volume of a full cell, mm3, and its thickness in planes of the grid.
    n, v, u
        Its middle across the planes (one place), and the pixel centres along rows and columns.
    """
    rows, columns = inside.shape
    plane, z, off_n = n.low[0], n.share[0], n.off_mm[0]
    above = min(plane + 1, doses.lower.shape[0] - 1)
    values = np.empty((rows, columns))
    top, bottom, left, right = rows, -1, columns, -1
    for row in range(rows):
        for column in range(columns):
            if inside[row, column] > 0:
                top, bottom = min(top, row), row
                left, right = min(left, column), max(right, column)
    for row in range(max(top - 1, 0), min(bottom + 2, rows)):
        for column in range(max(left - 1, 0), min(right + 2, columns)):
            at = v.low[row], u.low[column], v.share[row], u.share[column]
            below = _at(doses.lower, plane, at[0], at[1], at[2], at[3])
            values[row, column] = below + z * (_at(doses.lower, above, at[0], at[1], at[2], at[3]) - below)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            part = inside[row, column]
            if part <= 0:
                continue
            off_mm = sqrt(off_n**2 + v.off_mm[row] ** 2 + u.off_mm[column] ** 2)
            sample = _sample(doses, (plane, v.low[row], u.low[column]), (z, v.share[row], u.share[column]), off_mm)
            width = 0.0
            if sample[4]:
                # along each axis a linear dose is spread evenly over its change across the cell; widths add in squares
                across, down = _step(values, u.off_mm, row, column, 1), _step(values, v.off_mm, row, column, 0)
                width = sqrt(across**2 + down**2 + (sample[3] * size[1]) ** 2)
            _count(sample, width, part * size[0], part >= 0.5, totals)


@compiled
def reach_pixels(here: Mask, n: Places, v: Places, u: Places, doses: Doses, extremes: _Floats) -> None:
    """Let the known dose at some pixels of a plane count for the extremes."""
    for row in range(here.shape[0]):
        for column in range(here.shape[1]):
            if here[row, column]:
                off_mm = sqrt(n.off_mm[0] ** 2 + v.off_mm[row] ** 2 + u.off_mm[column] ** 2)
                at, share = (n.low[0], v.low[row], u.low[column]), (n.share[0], v.share[row], u.share[column])
                lower, upper, estimate, _, known = _sample(doses, at, share, off_mm)
                if known:
                    _reach(extremes, lower, upper, estimate)


@compiled
def reach_points(n: Places, v: Places, u: Places, doses: Doses, extremes: _Floats) -> None:
    """Let the known dose at points count for the extremes."""
    for m in range(len(n.low)):
        off_mm = sqrt(n.off_mm[m] ** 2 + v.off_mm[m] ** 2 + u.off_mm[m] ** 2)
        at, share = (n.low[m], v.low[m], u.low[m]), (n.share[m], v.share[m], u.share[m])
        lower, upper, estimate, _, known = _sample(doses, at, share, off_mm)
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
