"""The search of the gamma index, compiled."""

from math import floor, isnan, sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Mask, Volume

_Floats = npt.NDArray[np.float64]

_Whole = npt.NDArray[np.int64]
_Asked = tuple[float, float, float]
"""Reference dose and dose difference in Gy, distance in mm."""

_Triple = tuple[float, float, float]

_Linear = tuple[float, _Triple, float, float, float]
"""Dose at a place, its slope in Gy a voxel and how steep that is in Gy a mm, how far dose is below it and above it."""

Shells = tuple[_Floats, npt.NDArray[np.int64], _Floats]
"""Radii in mm, where the places of each shell end, and the places as steps ``(i, j, k)`` in voxels ``[n, 3]``."""

Limits = tuple[float, float, float, bool]
"""Dose difference as a part, distance in mm, largest gamma, whether to refine."""

_ON_HULL = 1e-4
"""A place so many voxels outside the outermost centres counts as on them."""

_NO_WEIGHT = 1e-6
"""Weights below this are rounding: a voxel with less does not make a place unknown."""

_STEPS = 6
"""Refinements at most; in a linear dose the first one is exact."""

_ENOUGH = 1e-9
"""What a refinement has to gain, as square of gamma, for another to follow."""

_SPARE_MM = 1e-6
"""Added to a reach, for its rounding."""


@compiled
def _is_known(dose: Volume, known: Mask, i: float, j: float, k: float) -> bool:
    """Whether a fractional index lies within the hull, and all voxels that count there are known."""
    planes, rows, columns = dose.shape
    if not (-_ON_HULL <= i <= columns - 1 + _ON_HULL and -_ON_HULL <= j <= rows - 1 + _ON_HULL):
        return False
    if not -_ON_HULL <= k <= planes - 1 + _ON_HULL:
        return False
    if known.size == 0:
        return True
    a, b, c = max(int(i + _NO_WEIGHT), 0), max(int(j + _NO_WEIGHT), 0), max(int(k + _NO_WEIGHT), 0)
    d = min(a + 1, columns - 1) if i - a > _NO_WEIGHT else a
    e = min(b + 1, rows - 1) if j - b > _NO_WEIGHT else b
    f = min(c + 1, planes - 1) if k - c > _NO_WEIGHT else c
    near = known[c, b, a] and known[c, b, d] and known[c, e, a] and known[c, e, d]
    return bool(near and known[f, b, a] and known[f, b, d] and known[f, e, a] and known[f, e, d])


@compiled
def _within(dose: Volume, i: float, j: float, k: float) -> float:
    """Interpolated dose at a fractional index that has eight known neighbours."""
    a, b, c = np.uint64(i), np.uint64(j), np.uint64(k)
    one = np.uint64(1)
    d, e, f = a + one, b + one, c + one
    x, y, z = i - a, j - b, k - c
    near_low = dose[c, b, a] + (dose[c, b, d] - dose[c, b, a]) * x
    near_high = dose[c, e, a] + (dose[c, e, d] - dose[c, e, a]) * x
    far_low = dose[f, b, a] + (dose[f, b, d] - dose[f, b, a]) * x
    far_high = dose[f, e, a] + (dose[f, e, d] - dose[f, e, a]) * x
    near, far = near_low + (near_high - near_low) * y, far_low + (far_high - far_low) * y
    return float(near + (far - near) * z)


@compiled
def _block(dose: Volume, known: Mask, at: _Floats, reach_mm: float, voxels_per_mm: _Floats, block: _Whole) -> bool:
    """Set the voxels, from and to (i, j, k), that interpolation within reach of a place uses; whether all are known."""
    for axis in range(3):
        reach = reach_mm * voxels_per_mm[axis]
        block[0, axis] = floor(at[axis] - reach)
        block[1, axis] = floor(at[axis] + reach) + 2
        if block[0, axis] < 0 or block[1, axis] > dose.shape[2 - axis]:
            return False
    if known.size:
        for k in range(block[0, 2], block[1, 2]):
            for j in range(block[0, 1], block[1, 1]):
                for i in range(block[0, 0], block[1, 0]):
                    if not known[k, j, i]:
                        return False
    return True


@compiled
def _slope(dose: Volume, block: _Whole) -> _Triple:
    """Return the slope, Gy a voxel along (i, j, k), of the linear dose that fits a block best."""
    i0, j0, k0 = np.uint64(block[0, 0]), np.uint64(block[0, 1]), np.uint64(block[0, 2])
    columns, rows, planes = block[1, 0] - block[0, 0], block[1, 1] - block[0, 1], block[1, 2] - block[0, 2]
    middle_i, middle_j, middle_k = 0.5 * (columns - 1), 0.5 * (rows - 1), 0.5 * (planes - 1)
    along_i, along_j, along_k = 0.0, 0.0, 0.0
    for k in range(planes):
        in_plane = 0.0
        for j in range(rows):
            in_row = 0.0
            for i in range(columns):
                value = dose[k0 + np.uint64(k), j0 + np.uint64(j), i0 + np.uint64(i)]
                in_row += value
                along_i += value * (i - middle_i)
            along_j += in_row * (j - middle_j)
            in_plane += in_row
        along_k += in_plane * (k - middle_k)
    # the mean square distance of n even places from their middle is (n^2 - 1) / 12
    share = 12.0 / (columns * rows * planes)
    return (
        along_i * share / (columns * columns - 1),
        along_j * share / (rows * rows - 1),
        along_k * share / (planes * planes - 1),
    )


@compiled
def _off(dose: Volume, at: _Floats, middle: float, slope: _Triple, block: _Whole) -> tuple[float, float]:
    """Return how far the voxels of a block are below and above a linear dose that is `middle` at a place.

    Interpolation keeps a linear dose as it is and takes a mean of what voxels are off it: no place of the block is
    further off than they are.
    """
    i0, j0, k0 = np.uint64(block[0, 0]), np.uint64(block[0, 1]), np.uint64(block[0, 2])
    columns, rows, planes = block[1, 0] - block[0, 0], block[1, 1] - block[0, 1], block[1, 2] - block[0, 2]
    first = (
        middle + slope[0] * (block[0, 0] - at[0]) + slope[1] * (block[0, 1] - at[1]) + slope[2] * (block[0, 2] - at[2])
    )
    below, above = 0.0, 0.0
    for k in range(planes):
        for j in range(rows):
            level = first + slope[1] * j + slope[2] * k
            for i in range(columns):
                off = dose[k0 + np.uint64(k), j0 + np.uint64(j), i0 + np.uint64(i)] - (level + slope[0] * i)
                below, above = min(below, off), max(above, off)
    return below, above


@compiled
def _cell(dose: Volume, i: float, j: float, k: float) -> tuple[float, _Triple]:
    """Interpolated dose at a fractional index within the hull, and its slope there in Gy a voxel."""
    planes, rows, columns = dose.shape
    a, b, c = min(max(int(i), 0), columns - 1), min(max(int(j), 0), rows - 1), min(max(int(k), 0), planes - 1)
    d, e, f = min(a + 1, columns - 1), min(b + 1, rows - 1), min(c + 1, planes - 1)
    x, y, z = i - a, j - b, k - c
    near_low, near_low_x = dose[c, b, a], dose[c, b, d] - dose[c, b, a]
    near_high, near_high_x = dose[c, e, a], dose[c, e, d] - dose[c, e, a]
    far_low, far_low_x = dose[f, b, a], dose[f, b, d] - dose[f, b, a]
    far_high, far_high_x = dose[f, e, a], dose[f, e, d] - dose[f, e, a]
    near_x, far_x = near_low_x + (near_high_x - near_low_x) * y, far_low_x + (far_high_x - far_low_x) * y
    near_low, near_high = near_low + near_low_x * x, near_high + near_high_x * x
    far_low, far_high = far_low + far_low_x * x, far_high + far_high_x * x
    near_y, far_y = near_high - near_low, far_high - far_low
    near, far = near_low + near_y * y, far_low + far_y * y
    along = near_x + (far_x - near_x) * z, near_y + (far_y - near_y) * z, far - near
    return near + (far - near) * z, along


@compiled
def _turned(step: _Triple, by: _Floats) -> _Triple:
    """Return a row of three times a 3 x 3 matrix."""
    return (
        step[0] * by[0, 0] + step[1] * by[1, 0] + step[2] * by[2, 0],
        step[0] * by[0, 1] + step[1] * by[1, 1] + step[2] * by[2, 1],
        step[0] * by[0, 2] + step[1] * by[1, 2] + step[2] * by[2, 2],
    )


@compiled
def _least(rest: float, slope: _Triple, asked: _Asked) -> _Triple:
    """Return where, in mm, gamma is least for a linear dose that is so much off at 0 and has a slope in Gy a mm.

    For D(r) = c + g r the sum of (r / distance)^2 and ((D - D0) / difference)^2 is least at
    r = -g (c - D0) distance^2 / (difference^2 + distance^2 g^2).
    """
    _, difference, distance_mm = asked
    x, y, z = slope
    pull = -rest * distance_mm**2 / (difference**2 + distance_mm**2 * (x * x + y * y + z * z))
    return x * pull, y * pull, z * pull


@compiled
def _refined(
    volumes: tuple[Volume, Mask],
    at: _Floats,
    place: _Triple,
    asked: _Asked,
    turns: tuple[_Floats, _Floats],
    best: float,
) -> float:
    """Square of gamma, not above `best`, near a place (offset in mm): the closed form for the linear dose around it.

    Followed until it brings nothing more; `turns` are mm to voxels and its transpose.
    """
    wanted, difference, distance_mm = asked
    dose, known = volumes
    for _ in range(_STEPS):
        x, y, z = place
        square = (x * x + y * y + z * z) / distance_mm**2
        if square >= best:
            break
        step = _turned(place, turns[0])
        i, j, k = at[0] + step[0], at[1] + step[1], at[2] + step[2]
        if not _is_known(dose, known, i, j, k):
            break
        value, along = _cell(dose, i, j, k)
        square += ((value - wanted) / difference) ** 2
        if square > best:
            break
        gained, best = best - square, square
        if gained < _ENOUGH:
            break
        slope = _turned(along, turns[1])
        rest = value - wanted - (slope[0] * x + slope[1] * y + slope[2] * z)
        place = _least(rest, slope, asked)
    return best


@compiled
def _everywhere(dose: Volume, known: Mask, at: _Floats, asked: _Asked, shells: Shells) -> tuple[float, int, float]:
    """Look at all places from the middle outward.

    Returns the least square of gamma, the number of its place, and how near dose is unknown, mm.
    """
    radii, ends, places = shells
    wanted, difference, distance_mm = asked
    best, spot, start, unknown_mm = np.inf, 0, 0, np.inf
    for shell in range(len(radii)):
        far = (radii[shell] / distance_mm) ** 2
        if far >= best:
            break
        for m in range(start, ends[shell]):
            i, j, k = at[0] + places[m, 0], at[1] + places[m, 1], at[2] + places[m, 2]
            if not _is_known(dose, known, i, j, k):
                unknown_mm = min(unknown_mm, radii[shell])
                continue
            value, _ = _cell(dose, i, j, k)
            square = far + ((value - wanted) / difference) ** 2
            if square < best:
                best, spot = square, m
        start = ends[shell]
    return best, spot, unknown_mm


@compiled
def _likeliest(rest: float, slope: _Triple, places: _Floats, first: int, stop: int) -> int:
    """Return which of some places a linear dose has nearest to what is wanted."""
    nearest, found = np.inf, first
    for m in range(first, stop):
        off = abs(rest + slope[0] * places[m, 0] + slope[1] * places[m, 1] + slope[2] * places[m, 2])
        if off < nearest:
            nearest, found = off, m
    return found


@compiled
def _where_it_can_be(dose: Volume, at: _Floats, asked: _Asked, linear: _Linear, shells: Shells) -> tuple[float, int]:
    """Return the least square of gamma, and the number of its place, reading only places that can have it.

    First of all the place where the linear dose has it: what is found there rules out most others.
    """
    radii, ends, places = shells
    wanted, difference, distance_mm = asked
    middle, slope, steep, below, above = linear
    rest, best, spot = middle - wanted, ((middle - wanted) / difference) ** 2, 0
    if len(radii) < 2 or best <= 0.0:
        return best, spot
    likely_mm = abs(rest) * steep * distance_mm**2 / (difference**2 + (distance_mm * steep) ** 2)
    shell = min(max(int(likely_mm / radii[1] + 0.5), 1), len(radii) - 1)
    m = _likeliest(rest, slope, places, ends[shell - 1], ends[shell])
    off = _within(dose, at[0] + places[m, 0], at[1] + places[m, 1], at[2] + places[m, 2]) - wanted
    square = (radii[shell] / distance_mm) ** 2 + (off / difference) ** 2
    if square < best:
        best, spot = square, m
    for shell in range(1, len(radii)):
        far = (radii[shell] / distance_mm) ** 2
        if far >= best:
            break
        wide = difference * sqrt(best - far)
        if rest - steep * radii[shell] + below >= wide or rest + steep * radii[shell] + above <= -wide:
            continue
        for m in range(ends[shell - 1], ends[shell]):
            about = rest + slope[0] * places[m, 0] + slope[1] * places[m, 1] + slope[2] * places[m, 2]
            if about + below >= wide or about + above <= -wide:
                continue
            off = abs(_within(dose, at[0] + places[m, 0], at[1] + places[m, 1], at[2] + places[m, 2]) - wanted)
            if off < wide:
                wide, best, spot = off, far + (off / difference) ** 2, m
    return best, spot


@compiled
def search(
    at: _Floats,
    wanted: _Floats,
    scale: _Floats,
    dose: Volume,
    known: Mask,
    shells: Shells,
    limits: Limits,
    turns: tuple[_Floats, _Floats, _Floats, _Floats],
) -> tuple[npt.NDArray[np.float32], int]:
    """Return gamma at places, NaN without any known dose in reach, and how many might pass by dose that is unknown.

    Parameters
    ----------
    at
        Places as fractional indices ``(i, j, k)`` of the dose, ``[n, 3]``; NaN: no partner.
    wanted, scale
        Reference dose there and the dose of 100 %, Gy.
    dose, known
        The dose searched; `known` is empty where all is known.
    turns
        3 x 3 each: mm to voxels (row n is the step in voxels for one mm along axis n), its transpose, its inverse; and
        how many voxels are at most passed along each index axis in one mm.
    """
    part, distance_mm, most, is_refined = limits
    to_index, to_slope, to_mm, voxels_per_mm = turns
    found = np.full(len(at), np.nan, np.float32)
    open_ones = 0
    block, places = np.empty((2, 3), np.int64), shells[2]
    for n in range(len(at)):
        i, j, k = at[n, 0], at[n, 1], at[n, 2]
        asked, unknown_mm = (wanted[n], part * scale[n], distance_mm), np.inf
        is_known = not isnan(i + j + k) and _is_known(dose, known, i, j, k)
        middle = _cell(dose, i, j, k)[0] if is_known else np.nan
        # no place is better that lies further off than the dose is here
        reach_mm = min(abs(middle - asked[0]) / asked[1] * distance_mm, shells[0][-1]) + _SPARE_MM
        if is_known and _block(dose, known, at[n], reach_mm, voxels_per_mm, block):
            slope = _slope(dose, block)
            slope_mm = _turned(slope, to_slope)
            steep = sqrt(slope_mm[0] ** 2 + slope_mm[1] ** 2 + slope_mm[2] ** 2)
            below, above = _off(dose, at[n], middle, slope, block)
            linear = middle, slope, steep, below, above
            best, spot = _where_it_can_be(dose, at[n], asked, linear, shells)
            if is_refined:
                place = _least(middle - asked[0], slope_mm, asked)
                best = _refined((dose, known), at[n], place, asked, (to_index, to_slope), best)
        else:
            best, spot, unknown_mm = _everywhere(dose, known, at[n], asked, shells)
        if best == np.inf:
            continue
        if is_refined:
            place = _turned((places[spot, 0], places[spot, 1], places[spot, 2]), to_mm)
            best = _refined((dose, known), at[n], place, asked, (to_index, to_slope), best)
        value = min(sqrt(best), most)
        found[n] = value
        open_ones += int(value > 1 and unknown_mm <= distance_mm)
    return found, open_ones
