"""Doses at places of a grid, compiled: interpolated, with bounds where they are unknown, and the extremes of them."""

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

_ON_HULL = 1e-6
"""Index tolerance: pixels never straddle the outermost voxel centres, so only rounding is to be forgiven."""


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


Sample = tuple[float, float, float, bool]
"""Lower and upper dose, estimate, known."""

Corners = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Inner pixel corners that are voxel centres along an axis, and which voxels they are."""


@compiled
def place_of(at_mm: float, spacing_mm: float, count: int) -> tuple[int, float, float]:
    """Lower voxel, share of the next one and distance from the hull in mm, of a place along an axis."""
    index = at_mm / spacing_mm
    within = min(max(index, 0.0), count - 1.0)
    low = min(int(within), max(count - 2, 0))
    off = abs(index - within)
    return low, within - low, 0.0 if off <= _ON_HULL else off * spacing_mm


@compiled
def places_of(at_mm: _Floats, spacing_mm: float, count: int) -> Places:
    """`place_of` for many places."""
    low, share, off_mm = np.empty(len(at_mm), np.int64), np.empty(len(at_mm)), np.empty(len(at_mm))
    for n in range(len(at_mm)):
        low[n], share[n], off_mm[n] = place_of(at_mm[n], spacing_mm, count)
    return Places(low, share, off_mm)


@compiled
def _at(volume: Volume, plane: int, row: int, column: int, v: float, u: float) -> float:
    """Interpolate on one plane of the grid."""
    below, right = min(row + 1, volume.shape[1] - 1), min(column + 1, volume.shape[2] - 1)
    upper = volume[plane, row, column] * (1 - u) + volume[plane, row, right] * u
    lower = volume[plane, below, column] * (1 - u) + volume[plane, below, right] * u
    return float(upper * (1 - v) + lower * v)


@compiled
def is_known(known: Mask, at: tuple[int, int, int], share: tuple[float, float, float]) -> bool:
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
        known = is_known(known_at, at, share)
    if estimate_gy.size:
        estimate = _at(estimate_gy, plane, row, column, v, u) * (1 - z)
        estimate += _at(estimate_gy, above, row, column, v, u) * z
    if off_mm > 0.0:
        estimate *= exp(-off_mm / FALL_OFF_MM)
        lower, upper = 0.0, outside_gy
    return lower, upper, min(max(estimate, lower), upper), known


@compiled
def count_extremes(extremes: _Floats, lower: float, upper: float, estimate: float) -> None:
    extremes[0, 0], extremes[0, 1] = min(extremes[0, 0], lower), max(extremes[0, 1], lower)
    extremes[1, 0], extremes[1, 1] = min(extremes[1, 0], upper), max(extremes[1, 1], upper)
    extremes[2, 0], extremes[2, 1] = min(extremes[2, 0], estimate), max(extremes[2, 1], estimate)


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
                    count_extremes(extremes, lower, upper, estimate)


@compiled
def reach_points(n: Places, v: Places, u: Places, doses: Doses, extremes: _Floats) -> None:
    """Let the known dose at points count for the extremes."""
    for m in range(len(n.low)):
        off_mm = sqrt(n.off_mm[m] ** 2 + v.off_mm[m] ** 2 + u.off_mm[m] ** 2)
        at, share = (n.low[m], v.low[m], u.low[m]), (n.share[m], v.share[m], u.share[m])
        volumes = doses.lower, doses.upper, doses.estimate
        lower, upper, estimate, known = _sample(volumes, doses.known, doses.outside_gy, at, share, off_mm)
        if known:
            count_extremes(extremes, lower, upper, estimate)


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
            count_extremes(extremes, lower, upper, min(max(estimate, lower), upper))
