"""The loops of interpolation, compiled: add the dose of a source to sums on a target.

All of them read a source ``[z, y, x]`` at the hull point nearest to the place asked for. On the hull (to `SLACK_MM`)
that is the interpolated dose; off it, or where a voxel it is interpolated from is unknown, it only serves the estimate,
which falls off exponentially with the distance from the hull (see `dose.grids.fall_off`).

Each loop writes `sums` = (lower, estimate, upper, known) and returns how many places were known. Estimate and upper
bound get from it only what is added where a source is unknown: `complete` adds the rest, the lower bound, when all
sources are in. So they cost nothing where all is known. They are left out where they have no voxels.
"""

from math import exp, sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled, compiled_fused
from dose.grids.grid import Affine, Mask, Points, Volume

SLACK_MM = 0.01
"""A place this little outside the outermost voxel centres counts as on them: positions are rounded decimal strings."""

NO_WEIGHT = 1e-6
"""Weights below this are rounding: a voxel with less does not make a place unknown."""

_AT_ONCE = 64
"""Places of a row that are worked out before they are read."""

Line = npt.NDArray[np.float32]
Positions = tuple[npt.NDArray[np.uint32], Line, npt.NDArray[np.float64]]
"""Along one axis of the target: lower neighbour, share of the upper one, and distance from the hull in mm."""

Neighbours = tuple[int, float]
"""Lower neighbour and share of the upper one, at one position."""

Sums = tuple[Volume, Volume, Volume, Mask]
Row = tuple[Line, Line, Line, npt.NDArray[np.bool_]]
Place = tuple[float, float, float]
"""Index (i, j, k), with fractions, or a step of one."""

Counted = tuple[float, float, float]
"""Weight; weighted maximum; length of the fall-off in mm."""


@compiled
def positions(first: float, step: float, count: int, source_count: int, spacing_mm: float) -> Positions:
    """Return the neighbours of evenly spaced fractional indices on one axis of a source."""
    low, share, off = np.empty(count, np.uint32), np.empty(count, np.float32), np.empty(count, np.float64)
    for n in range(count):
        at = first + step * n
        inside = min(max(at, 0.0), source_count - 1.0)
        below = min(int(inside), max(source_count - 2, 0))
        low[n], share[n] = below, inside - below
        off[n] = abs(at - inside) * spacing_mm
    return low, share, off


@compiled_fused
def _line(source: Volume, z: Neighbours, y: Neighbours, line: Line) -> None:
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


@compiled_fused
def _add_within(line: Line, x: Positions, part: tuple[int, int], weight: np.float32, lower: Line) -> None:
    """Add a part of a row of the target, all of which is known."""
    low, share, _ = x
    for i in range(part[0], part[1]):
        at = low[i]
        lower[i] += weight * (line[at] + (line[at + np.uint32(1)] - line[at]) * share[i])


@compiled
def _add_line(
    lines: tuple[Line, Line],
    x: Positions,
    part: tuple[int, int],
    off: tuple[bool, float],
    counted: Counted,
    row: Row,
) -> int:
    """Add a part of a row of the target, voxel by voxel, from interpolated rows of the source and of what it lacks.

    `off` says whether the row lies between the outer rows and planes, and how far beside them it is in mm squared.
    """
    line, gone = lines
    low, share, off_mm = x
    within, aside_mm2 = off
    weight, worst, length_mm = counted
    lower, estimate, upper, known = row
    wide, bounded, masked = estimate.size > 0, upper.size > 0, gone.size > 0
    reached = 0
    for i in range(part[0], part[1]):
        at = low[i]
        value = weight * (line[at] * (1 - share[i]) + line[at + 1] * share[i])
        is_known = within and off_mm[i] <= SLACK_MM
        if masked and is_known:
            is_known = gone[at] * (1 - share[i]) + gone[at + 1] * share[i] < NO_WEIGHT
        if is_known:
            reached += 1
            lower[i] += np.float32(value)
        else:
            known[i] = False
            if wide:
                fallen = value * exp(-sqrt(aside_mm2 + off_mm[i] * off_mm[i]) / length_mm)
                estimate[i] += np.float32(min(fallen, worst))
            if bounded:
                upper[i] += np.float32(worst)
    return reached


@compiled
def _row(sums: Sums, plane: int, j: int) -> Row:
    """Return one row of each of the sums, empty where there is none."""
    lower, estimate, upper, known = sums
    none = lower[plane, j, :0]
    return (
        lower[plane, j],
        estimate[plane, j] if estimate.size > 0 else none,
        upper[plane, j] if upper.size > 0 else none,
        known[plane, j],
    )


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
    (z_low, z_share, z_off), (y_low, y_share, y_off), x = axes
    count = len(x[0])
    begin, end, base = planes
    weight, wide, masked = np.float32(counted[0]), sums[1].size > 0, unknown.size > 0
    line = np.zeros(source.shape[2] + 1, np.float32)
    gone = np.zeros(source.shape[2] + 1 if masked else 0, np.float32)
    inside = np.flatnonzero(x[2] <= SLACK_MM)
    reached = 0
    for k in range(begin, end):
        for j in range(len(y_low)):
            row = _row(sums, k - base, j)
            within = z_off[k] <= SLACK_MM and y_off[j] <= SLACK_MM
            if not within and not wide:
                row[3][:] = False
                continue
            _line(source, (z_low[k], z_share[k]), (y_low[j], y_share[j]), line)
            if masked:
                _line(unknown, (z_low[k], z_share[k]), (y_low[j], y_share[j]), gone)
            first, stop = 0, 0
            if within and not masked and len(inside) > 0:
                first, stop = inside[0], inside[-1] + 1
                _add_within(line, x, (first, stop), weight, row[0])
                reached += stop - first
            off = within, z_off[k] ** 2 + y_off[j] ** 2
            reached += _add_line((line, gone), x, (0, first), off, counted, row)
            reached += _add_line((line, gone), x, (stop, count), off, counted, row)
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
def _nearest(
    source: Volume, spacing_mm: npt.NDArray[np.float64], x: float, y: float, z: float
) -> tuple[float, float, float, float]:
    """Return the index on the hull nearest to an index, and how far it is; exactly 0 mm within `SLACK_MM` an axis."""
    in_x = min(max(x, 0.0), source.shape[2] - 1.0)
    in_y = min(max(y, 0.0), source.shape[1] - 1.0)
    in_z = min(max(z, 0.0), source.shape[0] - 1.0)
    off_x, off_y, off_z = abs(x - in_x) * spacing_mm[0], abs(y - in_y) * spacing_mm[1], abs(z - in_z) * spacing_mm[2]
    if off_x <= SLACK_MM and off_y <= SLACK_MM and off_z <= SLACK_MM:
        return in_x, in_y, in_z, 0.0
    return in_x, in_y, in_z, sqrt(off_x * off_x + off_y * off_y + off_z * off_z)


@compiled
def _between(start: Place, step: Place, source: Volume, count: int) -> tuple[int, int]:
    """Return from where to where the places of a row have all eight neighbours in the source."""
    first, last = 0, count - 1
    for axis in range(3):
        most = source.shape[2 - axis] - 1
        if step[axis] != 0.0:
            ends = -start[axis] / step[axis], (most - start[axis]) / step[axis]
            first = max(first, int(min(max(min(ends[0], ends[1]), 0.0), count + 0.0)))
            last = min(last, int(max(min(max(ends[0], ends[1]), count - 1.0), -1.0)))
    while first <= last and not _has_neighbours(start, step, source, first):
        first += 1
    while last >= first and not _has_neighbours(start, step, source, last):
        last -= 1
    return first, max(first, last + 1)


@compiled
def _has_neighbours(start: Place, step: Place, source: Volume, n: int) -> bool:
    x, y, z = start[0] + step[0] * n, start[1] + step[1] * n, start[2] + step[2] * n
    return bool(
        0.0 <= x < source.shape[2] - 1.0 and 0.0 <= y < source.shape[1] - 1.0 and 0.0 <= z < source.shape[0] - 1.0
    )


@compiled_fused
def _add_inner(
    source: Volume,
    line: tuple[Place, Place, tuple[int, int]],
    weight: np.float32,
    scratch: tuple[npt.NDArray[np.uint32], Line, Line, Line],
    lower: Line,
) -> None:
    """Add a part of a row all of whose places have eight neighbours.

    Where its places lie is worked out for some of them at a time, before any is read: the processor does the first
    for eight at once, and the second it can't.
    """
    start, step, part = line
    flat, (at, share_x, share_y, share_z) = source.reshape(-1), scratch
    in_row, in_plane = np.int32(source.shape[2]), np.int32(source.shape[1] * source.shape[2])
    one, row, plane = np.uint64(1), np.uint64(in_row), np.uint64(in_plane)
    for begin in range(part[0], part[1], _AT_ONCE):
        count = min(_AT_ONCE, part[1] - begin)
        for n in range(count):
            i = begin + n
            x, y, z = start[0] + step[0] * i, start[1] + step[1] * i, start[2] + step[2] * i
            low_x, low_y, low_z = np.int32(x), np.int32(y), np.int32(z)
            share_x[n], share_y[n], share_z[n] = x - low_x, y - low_y, z - low_z
            at[n] = np.uint32(np.int32(np.int32(low_z * in_plane) + np.int32(low_y * in_row)) + low_x)
        for n in range(count):
            u, v, w = share_x[n], share_y[n], share_z[n]
            a = np.uint64(at[n])
            b, c = a + row, a + plane
            d = c + row
            near_low = flat[a] + (flat[a + one] - flat[a]) * u
            near_high = flat[b] + (flat[b + one] - flat[b]) * u
            far_low = flat[c] + (flat[c + one] - flat[c]) * u
            far_high = flat[d] + (flat[d + one] - flat[d]) * u
            near, far = near_low + (near_high - near_low) * v, far_low + (far_high - far_low) * v
            lower[begin + n] += weight * (near + (far - near) * w)


@compiled
def _add_places(
    volumes: tuple[Volume, Volume],
    line: tuple[Place, Place, tuple[int, int]],
    spacing_mm: npt.NDArray[np.float64],
    counted: Counted,
    row: Row,
) -> int:
    """Add a part of a row of the target, voxel by voxel, at places a step apart."""
    source, unknown = volumes
    start, step, part = line
    weight, worst, length_mm = counted
    lower, estimate, upper, known = row
    masked, wide, bounded = unknown.size > 0, estimate.size > 0, upper.size > 0
    reached = 0
    for i in range(part[0], part[1]):
        x, y, z, off_mm = _nearest(
            source, spacing_mm, start[0] + step[0] * i, start[1] + step[1] * i, start[2] + step[2] * i
        )
        is_known = off_mm == 0.0 and not (masked and _read(unknown, x, y, z) >= NO_WEIGHT)
        value = weight * _read(source, x, y, z) if is_known or wide else 0.0
        if is_known:
            reached += 1
            lower[i] += np.float32(value)
        else:
            known[i] = False
            if wide:
                estimate[i] += np.float32(min(value * exp(-off_mm / length_mm), worst))
            if bounded:
                upper[i] += np.float32(worst)
    return reached


@compiled
def add_oblique(
    volumes: tuple[Volume, Volume],
    index_map: Affine,
    spacing_mm: npt.NDArray[np.float64],
    counted: Counted,
    sums: Sums,
    planes: tuple[int, int, int],
) -> int:
    """Add a source, and what it lacks, through any affine map of target indices ``(i, j, k)`` to source indices."""
    source, unknown = volumes
    begin, end, base = planes
    _, rows, columns = sums[0].shape
    m, weight = index_map, np.float32(counted[0])
    places = np.zeros((3, _AT_ONCE), np.float32)
    scratch = np.zeros(_AT_ONCE, np.uint32), places[0], places[1], places[2]
    step = m[0, 0], m[1, 0], m[2, 0]
    reached = 0
    for k in range(begin, end):
        for j in range(rows):
            start = (
                m[0, 1] * j + (m[0, 2] * k + m[0, 3]),
                m[1, 1] * j + (m[1, 2] * k + m[1, 3]),
                m[2, 1] * j + (m[2, 2] * k + m[2, 3]),
            )
            row = _row(sums, k - base, j)
            first, stop = 0, 0
            if unknown.size == 0:
                first, stop = _between(start, step, source, columns)
                _add_inner(source, (start, step, (first, stop)), weight, scratch, row[0])
                reached += stop - first
            reached += _add_places(volumes, (start, step, (0, first)), spacing_mm, counted, row)
            reached += _add_places(volumes, (start, step, (stop, columns)), spacing_mm, counted, row)
    return reached


@compiled
def add_at(
    source: Volume,
    unknown: Volume,
    places: tuple[Points, Mask],
    spacing_mm: npt.NDArray[np.float64],
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
            if wide:
                estimate[n] += np.float32(min(value * exp(-off_mm / length_mm), worst))
            if bounded:
                upper[n] += np.float32(worst)
    return reached


@compiled
def complete(sums: Sums, planes: tuple[int, int]) -> None:
    """Add the lower bound to the estimate and to the upper bound on some planes, when all sources have been added."""
    lower, estimate, upper, _ = sums
    for k in range(planes[0], planes[1]):
        for j in range(lower.shape[1]):
            if estimate.size > 0:
                for i in range(lower.shape[2]):
                    estimate[k, j, i] += lower[k, j, i]
            if upper.size > 0:
                for i in range(lower.shape[2]):
                    upper[k, j, i] += lower[k, j, i]


@compiled
def read_at(
    source: Volume, unknown: Volume, places: tuple[Points, Mask], spacing_mm: npt.NDArray[np.float64]
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
