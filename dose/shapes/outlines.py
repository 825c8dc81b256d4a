"""Outlines between two planes, compiled: depths blended, and outlines moved until they enclose an area.

What they mean is told where they are called (`dose.shapes.solid`).
"""

from math import isnan

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Mask, Volume
from dose.shapes.pixels import Image

_Floats = npt.NDArray[np.float64]

_SAME_AREA = 1e-3
_NEWTON_STEPS = 20
_LEVELS = 512
"""Steps of depth among which the first guess is sought."""

_REACH = 2.0
"""Newton's method begins where the outline is if it has to move by about so many pixels at most."""


@compiled
def moving(
    depths: tuple[Image, Image, Image, Image], masks: tuple[Mask, Mask], rim_mm: float, least_mm: float
) -> Image:
    """Return how much the outline moves over four planes, relative to its mean at the rim; empty where it does not.

    Parameters
    ----------
    depths
        Of the planes before, below, above and after a stretch.
    masks
        Of the planes below and above.
    rim_mm
        Pixels this close to the outline below, and those one plane has and the other not, are the rim.
    least_mm
        A mean below this is no movement.
    """
    before, low, high, after = depths
    rows, columns = low.shape
    step = np.empty((rows, columns), np.float32)
    total, count = 0.0, 0
    for row in range(rows):
        for column in range(columns):
            here, there = low[row, column], high[row, column]
            most = max(abs(here - before[row, column]), abs(there - here), abs(after[row, column] - there))
            step[row, column] = most
            if masks[0][row, column] != masks[1][row, column] or abs(here) < rim_mm:
                total += most
                count += 1
    if count == 0 or total / count < least_mm:
        return np.empty((0, 0), np.float32)
    usual = total / count
    for row in range(rows):
        for column in range(columns):
            step[row, column] = min(max(step[row, column] / usual, 0.05), 4.0)
    return step


@compiled
def is_same(low: Image, high: Image, tolerance: float) -> bool:
    """Whether two planes cover the same pixels to the same part."""
    for row in range(low.shape[0]):
        for column in range(low.shape[1]):
            if abs(low[row, column] - high[row, column]) >= tolerance:
                return False
    return True


@compiled
def outlines(planes: tuple[Image, Image], shares: _Floats, wanted: _Floats, readiness: Image, width: float) -> Volume:
    """Return the inside part of pixels of several sections between two planes, ``[n, v, u]``.

    Parameters
    ----------
    planes
        Signed distance to the outlines of the two planes, mm.
    shares
        How far each section lies from the first to the second plane, 0 to 1, ``[n]``.
    wanted
        Area of each in pixels, ``[n]``; NaN leaves an outline where it is.
    readiness
        How readily the outline moves at each pixel; empty: the same everywhere.
    width
        Of a pixel, mm.
    """
    low, high = planes
    rows, columns = low.shape
    sections, depth = np.empty((len(shares), rows, columns), np.float32), np.empty((rows, columns), np.float32)
    for n in range(len(shares)):
        share = np.float32(shares[n])
        for row in range(rows):
            for column in range(columns):
                depth[row, column] = low[row, column] + share * (high[row, column] - low[row, column])
        _enclose(depth, readiness, width, wanted[n], sections[n])
    return sections


@compiled
def _enclose(depth: Image, readiness: Image, width: float, wanted: float, inside: Image) -> None:
    """Fill the outline that encloses the wanted number of pixels (Newton's method, damped)."""
    filled, give = _fill(depth, readiness, 0.0, width, inside)
    if isnan(wanted) or abs(wanted - filled) <= _SAME_AREA * wanted:
        return
    if wanted <= 0:
        inside[:] = 0
        return
    out_mm, damping, before = 0.0, 1.0, 0.0
    if readiness.size == 0 and abs(wanted - filled) > _REACH * give:
        out_mm = -_level(depth, wanted)
        filled, give = _fill(depth, readiness, out_mm, width, inside)
    for _ in range(_NEWTON_STEPS):
        missing = wanted - filled
        if abs(missing) <= 0.1 * _SAME_AREA * wanted:
            break
        if missing * before < 0:
            damping /= 2
        # two pixels at most: where the rim is short Newton would overshoot
        step = min(abs(missing) / max(give, 1e-3), 2.0) * damping
        out_mm += (step if missing > 0 else -step) * width
        before = missing
        filled, give = _fill(depth, readiness, out_mm, width, inside)


@compiled
def _level(depth: Image, wanted: float) -> float:
    """Return the depth that about so many pixels exceed."""
    low, high = depth.min(), depth.max()
    count, scale = np.zeros(_LEVELS + 1, np.int64), _LEVELS / max(high - low, 1e-6)
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            count[int((depth[row, column] - low) * scale)] += 1
    level = _LEVELS
    while level > 0 and wanted > count[level]:
        wanted -= count[level]
        level -= 1
    return float(low + (level + 0.5) / scale)


@compiled
def _fill(depth: Image, readiness: Image, out_mm: float, width: float, inside: Image) -> tuple[float, float]:
    """Fill the outline moved outward; return the pixels filled and those gained when it moves out by one more."""
    even, per_pixel = readiness.size == 0, np.float32(1 / width)
    out, half, one, none = np.float32(out_mm), np.float32(0.5), np.float32(1), np.float32(0)
    filled, give = np.float64(0), np.float64(0)
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            ready = one if even else np.float32(readiness[row, column])
            moved = (depth[row, column] + out * ready) * per_pixel
            part = min(max(moved + half, none), one)
            inside[row, column] = part
            filled += part
            if -one < moved < one:
                give += ready
    return float(filled), float(give / 2)
