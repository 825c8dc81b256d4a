"""The loops of interpolation, compiled: add the dose of a source to sums on a target.

All of them read a source ``[z, y, x]`` at the hull point nearest to the place asked for. On the hull (to `SLACK_MM`)
that is the interpolated dose; off it, or where a voxel it is interpolated from is unknown, it only serves the estimate,
which falls off exponentially with the distance from the hull (see `dose.grids.fall_off`).

Each loop writes `sums` = (lower, estimate, upper, known) and returns how many places were known. Estimate and upper
bound are left out where they have no voxels.
"""

from math import exp, sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Affine, Mask, Points, Volume

SLACK_MM = 0.01
"""A place this little outside the outermost voxel centres counts as on them: positions are rounded decimal strings."""

NO_WEIGHT = 1e-6
"""Weights below this are rounding: a voxel with less does not make a place unknown."""

Positions = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Along one axis of the target: lower neighbour, share of the upper one, and distance from the hull in mm."""

Neighbours = tuple[int, float]
"""Lower neighbour and share of the upper one, at one position."""

Sums = tuple[Volume, Volume, Volume, Mask]
Line = npt.NDArray[np.float32]
Counted = tuple[float, float, float]
"""Weight; weighted maximum; length of the fall-off in mm."""


@compiled
def positions(first: float, step: float, count: int, source_count: int, spacing_mm: float) -> Positions:
    """Return the neighbours of evenly spaced fractional indices on one axis of a source."""
    low, part, off = np.empty(count, np.int64), np.empty(count, np.float64), np.empty(count, np.float64)
    for n in range(count):
        at = first + step * n
        inside = min(max(at, 0.0), source_count - 1.0)
        low[n] = min(int(inside), max(source_count - 2, 0))
        part[n] = inside - low[n]
        off[n] = abs(at - inside) * spacing_mm
    return low, part, off


@compiled
def _line(source: Volume, z: Neighbours, y: Neighbours, line: npt.NDArray[np.float64]) -> None:
    """Interpolate a whole row of a source; the last voxel stands twice, so that each has an upper neighbour."""
    low_z, w = z
    low_y, v = y
    high_z, high_y = min(low_z + 1, source.shape[0] - 1), min(low_y + 1, source.shape[1] - 1)
    a, b, c, d = (1 - w) * (1 - v), (1 - w) * v, w * (1 - v), w * v
    count = source.shape[2]
    for i in range(count):
        line[i] = (
            a * source[low_z, low_y, i]
            + b * source[low_z, high_y, i]
            + c * source[high_z, low_y, i]
            + d * source[high_z, high_y, i]
        )
    line[count] = line[count - 1]


@compiled
def _add_line(
    line: npt.NDArray[np.float64],
    gone: npt.NDArray[np.float64],
    x: Positions,
    within: bool,
    aside_mm2: float,
    counted: Counted,
    sums: tuple[Line, Line, Line, npt.NDArray[np.bool_]],
) -> int:
    """Add one row of the target from one interpolated row of the source; `gone` has no length without a mask."""
    low, part, off_mm = x
    weight, worst, length_mm = counted
    lower, estimate, upper, known = sums
    wide, bounded, masked = estimate.size > 0, upper.size > 0, gone.size > 0
    reached = 0
    for i in range(len(low)):
        at = low[i]
        value = weight * (line[at] + (line[at + 1] - line[at]) * part[i])
        is_known = within and off_mm[i] <= SLACK_MM
        if masked and is_known:
            is_known = gone[at] + (gone[at + 1] - gone[at]) * part[i] < NO_WEIGHT
        if is_known:
            reached += 1
            lower[i] += np.float32(value)
        else:
            known[i] = False
            value = min(value * exp(-sqrt(aside_mm2 + off_mm[i] * off_mm[i]) / length_mm), worst) if wide else 0.0
        if wide:
            estimate[i] += np.float32(value)
        if bounded:
            upper[i] += np.float32(value if is_known else worst)
    return reached


@compiled
def add_aligned(
    source: Volume,
    unknown: Volume,
    axes: tuple[Positions, Positions, Positions],
    counted: Counted,
    sums: Sums,
    planes: tuple[int, int, int],
) -> int:
    """Add a source whose axes run with the target's (z, y, x); planes are (from, to, that of the first of the sums)."""
    (z_low, z_part, z_off), (y_low, y_part, y_off), x = axes
    lower, estimate, upper, known = sums
    begin, end, base = planes
    wide, bounded, masked = estimate.size > 0, upper.size > 0, unknown.size > 0
    line = np.zeros(source.shape[2] + 1)
    gone = np.zeros(source.shape[2] + 1 if masked else 0)
    none = np.zeros(0, np.float32)
    reached = 0
    for k in range(begin, end):
        for j in range(len(y_low)):
            within = z_off[k] <= SLACK_MM and y_off[j] <= SLACK_MM
            if not within and not wide:
                known[k - base, j] = False
                continue
            _line(source, (z_low[k], z_part[k]), (y_low[j], y_part[j]), line)
            if masked:
                _line(unknown, (z_low[k], z_part[k]), (y_low[j], y_part[j]), gone)
            row = (
                lower[k - base, j],
                estimate[k - base, j] if wide else none,
                upper[k - base, j] if bounded else none,
                known[k - base, j],
            )
            reached += _add_line(line, gone, x, within, z_off[k] ** 2 + y_off[j] ** 2, counted, row)
    return reached


@compiled
def _read(source: Volume, x: float, y: float, z: float) -> float:
    """Interpolate at an index within the hull."""
    low_x, low_y, low_z = int(x), int(y), int(z)
    high_x = min(low_x + 1, source.shape[2] - 1)
    high_y = min(low_y + 1, source.shape[1] - 1)
    high_z = min(low_z + 1, source.shape[0] - 1)
    u, v, w = x - low_x, y - low_y, z - low_z
    near = (source[low_z, low_y, low_x] * (1 - u) + source[low_z, low_y, high_x] * u) * (1 - v) + (
        source[low_z, high_y, low_x] * (1 - u) + source[low_z, high_y, high_x] * u
    ) * v
    far = (source[high_z, low_y, low_x] * (1 - u) + source[high_z, low_y, high_x] * u) * (1 - v) + (
        source[high_z, high_y, low_x] * (1 - u) + source[high_z, high_y, high_x] * u
    ) * v
    return float(near * (1 - w) + far * w)


@compiled
def _nearest(source: Volume, spacing_mm: Line, x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """Return the index on the hull nearest to an index, and how far it is; exactly 0 mm within `SLACK_MM` an axis."""
    in_x = min(max(x, 0.0), source.shape[2] - 1.0)
    in_y = min(max(y, 0.0), source.shape[1] - 1.0)
    in_z = min(max(z, 0.0), source.shape[0] - 1.0)
    off_x, off_y, off_z = abs(x - in_x) * spacing_mm[0], abs(y - in_y) * spacing_mm[1], abs(z - in_z) * spacing_mm[2]
    if off_x <= SLACK_MM and off_y <= SLACK_MM and off_z <= SLACK_MM:
        return in_x, in_y, in_z, 0.0
    return in_x, in_y, in_z, sqrt(off_x * off_x + off_y * off_y + off_z * off_z)


@compiled
def add_oblique(
    source: Volume,
    unknown: Volume,
    index_map: Affine,
    spacing_mm: Line,
    counted: Counted,
    sums: Sums,
    planes: tuple[int, int, int],
) -> int:
    """Add a source through any affine map of target indices ``(i, j, k)`` to source indices."""
    weight, worst, length_mm = counted
    lower, estimate, upper, known = sums
    begin, end, base = planes
    masked, wide, bounded = unknown.size > 0, estimate.size > 0, upper.size > 0
    reached = 0
    m = index_map
    for k in range(begin, end):
        for j in range(lower.shape[1]):
            x0 = m[0, 1] * j + (m[0, 2] * k + m[0, 3])
            y0 = m[1, 1] * j + (m[1, 2] * k + m[1, 3])
            z0 = m[2, 1] * j + (m[2, 2] * k + m[2, 3])
            for i in range(lower.shape[2]):
                x, y, z, off_mm = _nearest(source, spacing_mm, x0 + m[0, 0] * i, y0 + m[1, 0] * i, z0 + m[2, 0] * i)
                is_known = off_mm == 0.0 and not (masked and _read(unknown, x, y, z) >= NO_WEIGHT)
                value = weight * _read(source, x, y, z) if is_known or wide else 0.0
                if is_known:
                    reached += 1
                    lower[k - base, j, i] += np.float32(value)
                else:
                    known[k - base, j, i] = False
                    value = min(value * exp(-off_mm / length_mm), worst)
                if wide:
                    estimate[k - base, j, i] += np.float32(value)
                if bounded:
                    upper[k - base, j, i] += np.float32(value if is_known else worst)
    return reached


@compiled
def add_at(
    source: Volume,
    unknown: Volume,
    places: tuple[Points, Mask],
    spacing_mm: Line,
    counted: Counted,
    sums: tuple[Line, Line, Line, Mask],
) -> int:
    """Add a source at given indices ``[n, 3]`` = (i, j, k); those marked as lost are unknown wherever they lie."""
    weight, worst, length_mm = counted
    lower, estimate, upper, known = sums
    index, lost = places
    masked, wide, bounded = unknown.size > 0, estimate.size > 0, upper.size > 0
    reached = 0
    for n in range(len(index)):
        x, y, z, off_mm = _nearest(source, spacing_mm, index[n, 0], index[n, 1], index[n, 2])
        is_known = not lost[n] and off_mm == 0.0 and not (masked and _read(unknown, x, y, z) >= NO_WEIGHT)
        value = weight * _read(source, x, y, z)
        if is_known:
            reached += 1
            lower[n] += np.float32(value)
        else:
            known[n] = False
            value = min(value * exp(-off_mm / length_mm), worst)
        if wide:
            estimate[n] += np.float32(value)
        if bounded:
            upper[n] += np.float32(value if is_known else worst)
    return reached


@compiled
def read_at(
    source: Volume, unknown: Volume, places: tuple[Points, Mask], spacing_mm: Line
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Return the values at given indices ``[n, 3]`` = (i, j, k), 0 where unknown, and where they are known."""
    index, lost = places
    values, known = np.zeros(len(index)), np.zeros(len(index), np.bool_)
    for n in range(len(index)):
        x, y, z, off_mm = _nearest(source, spacing_mm, index[n, 0], index[n, 1], index[n, 2])
        if lost[n] or off_mm > 0.0 or (unknown.size > 0 and _read(unknown, x, y, z) >= NO_WEIGHT):
            continue
        values[n], known[n] = _read(source, x, y, z), True
    return values, known
