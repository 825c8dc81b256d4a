"""The search of the gamma index, compiled."""

from math import floor, isnan, sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Mask, Volume

_Floats = npt.NDArray[np.float64]

Shells = tuple[_Floats, npt.NDArray[np.int64], _Floats]
"""Radii in mm, where the places of each shell end, and the places as steps ``(i, j, k)`` in voxels ``[n, 3]``."""

Limits = tuple[float, float, float, bool]
"""Dose difference as a part, distance in mm, largest gamma, whether to refine."""

_ON_HULL = 1e-4
_STEPS = 6
"""Refinements at most; in a linear dose the first one is exact."""


@compiled
def _dose(dose: Volume, known: Mask, i: float, j: float, k: float) -> float:
    """Interpolated dose at a fractional index; NaN where it is unknown."""
    planes, rows, columns = dose.shape
    if not (-_ON_HULL <= i <= columns - 1 + _ON_HULL and -_ON_HULL <= j <= rows - 1 + _ON_HULL):
        return np.nan
    if not -_ON_HULL <= k <= planes - 1 + _ON_HULL:
        return np.nan
    a, b, c = min(max(int(i), 0), columns - 1), min(max(int(j), 0), rows - 1), min(max(int(k), 0), planes - 1)
    d, e, f = min(a + 1, columns - 1), min(b + 1, rows - 1), min(c + 1, planes - 1)
    x, y, z = min(max(i - a, 0.0), 1.0), min(max(j - b, 0.0), 1.0), min(max(k - c, 0.0), 1.0)
    if known.size:
        near = known[c, b, a] and (x == 0 or known[c, b, d]) and (y == 0 or known[c, e, a])
        near = near and (x == 0 or y == 0 or known[c, e, d])
        far = known[f, b, a] and (x == 0 or known[f, b, d]) and (y == 0 or known[f, e, a])
        far = far and (x == 0 or y == 0 or known[f, e, d])
        if not near or (z > 0 and not far):
            return np.nan
    low = (dose[c, b, a] * (1 - x) + dose[c, b, d] * x) * (1 - y) + (dose[c, e, a] * (1 - x) + dose[c, e, d] * x) * y
    high = (dose[f, b, a] * (1 - x) + dose[f, b, d] * x) * (1 - y) + (dose[f, e, a] * (1 - x) + dose[f, e, d] * x) * y
    return float(low * (1 - z) + high * z)


@compiled
def _range(dose: Volume, at: _Floats, reach: _Floats) -> tuple[float, float]:
    """Least and largest voxel that any interpolation within reach of a place can use."""
    first, last = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        size = dose.shape[2 - axis]
        first[axis] = min(max(floor(at[axis] - reach[axis]), 0), size - 1)
        last[axis] = min(max(floor(at[axis] + reach[axis]) + 1, 0), size - 1)
    least, largest = np.inf, -np.inf
    for k in range(first[2], last[2] + 1):
        for j in range(first[1], last[1] + 1):
            for i in range(first[0], last[0] + 1):
                least, largest = min(least, dose[k, j, i]), max(largest, dose[k, j, i])
    return least, largest


@compiled
def _refined(
    dose: Volume, known: Mask, at: _Floats, place: _Floats, asked: tuple[float, float, float], to_index: _Floats
) -> float:
    """Square of gamma near a place (offset in mm), following the closed form for the linear dose around it.

    For D(r) = c + g r the sum of (r / distance)^2 and ((D - D0) / difference)^2 is least at
    r = -g (c - D0) distance^2 / (difference^2 + distance^2 g^2).
    """
    wanted, difference, distance_mm = asked
    best: float = np.inf
    here, index, slope = place.copy(), np.empty(3), np.empty(3)
    probe_mm = 0.01 * distance_mm
    for _ in range(_STEPS):
        for n in range(3):
            index[n] = at[n] + here[0] * to_index[0, n] + here[1] * to_index[1, n] + here[2] * to_index[2, n]
        middle = _dose(dose, known, index[0], index[1], index[2])
        if isnan(middle):
            break
        off = here[0] ** 2 + here[1] ** 2 + here[2] ** 2
        square = off / distance_mm**2 + ((middle - wanted) / difference) ** 2
        if square >= best - 1e-9:
            break
        best = square
        steep, along = 0.0, 0.0
        for axis in range(3):
            step = to_index[axis] * probe_mm
            ahead = _dose(dose, known, index[0] + step[0], index[1] + step[1], index[2] + step[2])
            behind = _dose(dose, known, index[0] - step[0], index[1] - step[1], index[2] - step[2])
            if isnan(ahead) or isnan(behind):
                return best
            slope[axis] = (ahead - behind) / (2 * probe_mm)
            steep += slope[axis] ** 2
            along += slope[axis] * here[axis]
        rest = middle - along - wanted
        pull = rest * distance_mm**2 / (difference**2 + distance_mm**2 * steep)
        for axis in range(3):
            here[axis] = -slope[axis] * pull
    return best


@compiled
def search(  # noqa: C901 - the hottest loop of all, kept in one piece
    at: _Floats,
    wanted: _Floats,
    scale: _Floats,
    dose: Volume,
    known: Mask,
    shells: Shells,
    limits: Limits,
    to_index: _Floats,
) -> tuple[npt.NDArray[np.float32], int]:
    """Return gamma at places, NaN without any known dose in reach, and how many fail while nearer dose is unknown.

    Parameters
    ----------
    at
        Places as fractional indices ``(i, j, k)`` of the dose, ``[n, 3]``; NaN: no partner.
    wanted, scale
        Reference dose there and the dose of 100 %, Gy.
    dose, known
        The dose searched; `known` is empty where all is known.
    to_index
        3 x 3: row n is the step in voxels for one mm along axis n.
    """
    radii, ends, places = shells
    part, distance_mm, most, is_refined = limits
    found = np.full(len(at), np.nan, np.float32)
    open_ones = 0
    reach, best_place, to_mm = np.empty(3), np.zeros(3), np.linalg.inv(to_index)
    for axis in range(3):
        reach[axis] = radii[-1] * sqrt(to_index[0, axis] ** 2 + to_index[1, axis] ** 2 + to_index[2, axis] ** 2)
    for n in range(len(at)):
        i, j, k = at[n]
        if isnan(i + j + k):
            continue
        difference = part * scale[n]
        least, largest = _range(dose, at[n], reach)
        # no place in reach comes nearer in dose than this
        floor_square = (max(least - wanted[n], wanted[n] - largest, 0.0) / difference) ** 2
        best, start, unknown_mm = np.inf, 0, np.inf
        best_place[:] = 0.0
        for shell in range(len(radii)):
            far = (radii[shell] / distance_mm) ** 2
            if far + floor_square >= best:
                break
            for m in range(start, ends[shell]):
                value = _dose(dose, known, i + places[m, 0], j + places[m, 1], k + places[m, 2])
                if isnan(value):
                    unknown_mm = min(unknown_mm, radii[shell])
                    continue
                square = far + ((value - wanted[n]) / difference) ** 2
                if square < best:
                    best = square
                    best_place[:] = places[m]
            start = ends[shell]
        if best == np.inf:
            continue
        if is_refined:
            offset = best_place @ to_mm
            best = min(best, _refined(dose, known, at[n], offset, (wanted[n], difference, distance_mm), to_index))
        value = min(sqrt(best), most)
        found[n] = value
        open_ones += int(value > 1 and unknown_mm < value * distance_mm)
    return found, open_ones
