"""The loops over the pixels of one plane, compiled: outlines filled, their depth, and outlines moved to an area.

What they mean is told where they are called (`dose.shapes.raster`, `dose.shapes.solid`).
"""

from math import ceil, floor, isnan, sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Mask

Image = npt.NDArray[np.float32]
"""``[v, u]``."""

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]
Crossings = tuple[_Numbers, _Floats, _Floats]
"""Scan line, place along it in pixels, and sign: +1 entering, -1 leaving."""

_NOWHERE_MM = 1e6
_SAME_AREA = 1e-3
_NEWTON_STEPS = 20


@compiled
def crossings(corners: _Floats, ends: _Numbers, lines: int) -> Crossings:
    """Cross closed polygons with scan lines, even-odd rule.

    Parameters
    ----------
    corners
        ``[n, 2]``: pixels along u, scan lines along v. Scan line n lies at n + 1/2.
    ends
        Where in `corners` each polygon ends.
    lines
        Number of scan lines; what lies beyond is left out.
    """
    count = np.zeros(lines + 1, np.int64)
    for pass_number in range(2):
        if pass_number == 1:
            starts = np.cumsum(count) - count
            total = int(count.sum())
            line, at, filled = np.empty(total, np.int64), np.empty(total), np.zeros(lines, np.int64)
        begin = 0
        for end in ends:
            for n in range(begin, end):
                m = n + 1 if n + 1 < end else begin
                low, high = min(corners[n, 1], corners[m, 1]), max(corners[n, 1], corners[m, 1])
                # an edge takes the lines of [low, high), so that each corner counts once
                first, last = max(ceil(low - 0.5), 0), min(ceil(high - 0.5), lines)
                if pass_number == 0:
                    for here in range(first, last):
                        count[here] += 1
                    continue
                for here in range(first, last):
                    share = (here + 0.5 - corners[n, 1]) / (corners[m, 1] - corners[n, 1])
                    place = corners[n, 0] + share * (corners[m, 0] - corners[n, 0])
                    slot = starts[here] + filled[here]
                    while slot > starts[here] and at[slot - 1] > place:
                        at[slot] = at[slot - 1]
                        slot -= 1
                    at[slot] = place
                    line[starts[here] + filled[here]] = here
                    filled[here] += 1
            begin = end
    # every line has an even number of crossings, so entering and leaving alternate over all lines
    sign = np.ones(total)
    sign[1::2] = -1.0
    return line, at, sign


@compiled
def cover(crossed: Crossings, rows: int, columns: int, lines_per_row: int) -> Image:
    """Return the covered fraction of each pixel, float32 ``[v, u]`` from 0 to 1."""
    line, at, sign = crossed
    steps = np.zeros((rows, columns + 1))
    for n in range(len(line)):
        row, column = line[n] // lines_per_row, min(max(floor(at[n]), 0), columns - 1)
        # a crossing changes the cover of its own pixel by what lies beyond it, and of all further ones by one
        part = at[n] - column
        steps[row, column] += sign[n] * (1 - part)
        steps[row, column + 1] += sign[n] * part
    covered = np.empty((rows, columns), np.float32)
    for row in range(rows):
        total = 0.0
        for column in range(columns):
            total += steps[row, column]
            covered[row, column] = min(max(total / lines_per_row, 0.0), 1.0)
    return covered


@compiled
def _nearest_in_columns(mask: Mask, wanted: bool, step: float) -> _Floats:
    """Return squared distances along v to the nearest pixel of the wanted kind."""
    rows, columns = mask.shape
    square = np.full((rows, columns), np.inf)
    for column in range(columns):
        last = -1
        for row in range(rows):
            if mask[row, column] == wanted:
                last = row
            if last >= 0:
                square[row, column] = ((row - last) * step) ** 2
        last = -1
        for row in range(rows - 1, -1, -1):
            if mask[row, column] == wanted:
                last = row
            if last >= 0:
                square[row, column] = min(square[row, column], ((last - row) * step) ** 2)
    return square


@compiled
def _nearest_in_row(square: _Floats, step: float, found: _Floats, vertex: _Numbers, bound: _Floats) -> None:
    """Lower envelope of the parabolas over one row (Felzenszwalb and Huttenlocher, Theory Comput 8:415, 2012)."""
    top = -1
    for n in range(len(square)):
        if square[n] == np.inf:
            continue
        height = square[n] / step**2 + n * n
        cut = -np.inf
        while top >= 0:
            m = vertex[top]
            cut = (height - square[m] / step**2 - m * m) / (2 * (n - m))
            if cut > bound[top]:
                break
            top -= 1
        top += 1
        vertex[top], bound[top] = n, cut if top > 0 else -np.inf
    if top < 0:
        found[:] = _NOWHERE_MM**2
        return
    last, top = top, 0
    for n in range(len(square)):
        while top < last and bound[top + 1] < n:
            top += 1
        found[n] = square[vertex[top]] + ((n - vertex[top]) * step) ** 2


@compiled
def signed_depth(mask: Mask, step_u: float, step_v: float) -> Image:
    """Return the distance of pixel centres to the outline of a mask, mm, positive inside; very small without any."""
    rows, columns = mask.shape
    to_outside, to_inside = _nearest_in_columns(mask, False, step_v), _nearest_in_columns(mask, True, step_v)
    depth = np.empty((rows, columns), np.float32)
    outside, inside = np.empty(columns), np.empty(columns)
    vertex, bound = np.empty(columns, np.int64), np.empty(columns)
    half = (step_u + step_v) / 4
    for row in range(rows):
        _nearest_in_row(to_inside[row], step_u, inside, vertex, bound)
        if mask[row].any():
            _nearest_in_row(to_outside[row], step_u, outside, vertex, bound)
        for column in range(columns):
            if mask[row, column]:
                depth[row, column] = sqrt(outside[column]) - half
            else:
                depth[row, column] = half - sqrt(inside[column])
    return depth


@compiled
def _root(parent: _Numbers, n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@compiled
def _touches(mask: Mask, row: int, column: int, kind: bool) -> bool:
    """Whether a pixel or one of its four neighbours is of a kind."""
    rows, columns = mask.shape
    return bool(
        mask[row, column] == kind
        or (row > 0 and mask[row - 1, column] == kind)
        or (row + 1 < rows and mask[row + 1, column] == kind)
        or (column > 0 and mask[row, column - 1] == kind)
        or (column + 1 < columns and mask[row, column + 1] == kind)
    )


@compiled
def ending_parts(mask: Mask, other: Mask) -> tuple[int, Mask]:  # noqa: C901 - one loop after the other, each call costs
    """Return the pixels of parts and holes of a mask that meet none of the other, with a rim, and how many parts end.

    Parts hang together over the edges of their pixels, and they meet where they touch over an edge.
    """
    rows, columns = mask.shape
    parent = np.arange(rows * columns)
    for row in range(rows):
        for column in range(columns):
            n = row * columns + column
            if column > 0 and mask[row, column] == mask[row, column - 1]:
                parent[n] = _root(parent, n - 1)
            if row > 0 and mask[row, column] == mask[row - 1, column]:
                parent[_root(parent, n - columns)] = _root(parent, n)
    meets = np.zeros(rows * columns, np.bool_)
    for row in range(rows):
        for column in range(columns):
            if _touches(other, row, column, mask[row, column]):
                meets[_root(parent, row * columns + column)] = True
    ending, rim, count = np.zeros((rows, columns), np.bool_), np.zeros((rows, columns), np.bool_), 0
    for row in range(rows):
        for column in range(columns):
            n = row * columns + column
            root = _root(parent, n)
            ending[row, column] = not meets[root]
            count += int(root == n and not meets[root])
    if count:
        for row in range(rows):
            for column in range(columns):
                rim[row, column] = _touches(ending, row, column, True)
    return count, rim


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
def blend(low: Image, high: Image, share: float) -> Image:
    """Return a depth between two planes."""
    mixed = np.empty_like(low)
    for row in range(low.shape[0]):
        for column in range(low.shape[1]):
            mixed[row, column] = low[row, column] + share * (high[row, column] - low[row, column])
    return mixed


@compiled
def _fill(depth: Image, readiness: Image, out_mm: float, width: float, inside: Image) -> tuple[float, float]:
    """Fill the outline moved outward; return the pixels filled and those gained when it moves out by one more."""
    even = readiness.size == 0
    filled, give = 0.0, 0.0
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            ready = 1.0 if even else readiness[row, column]
            moved = (depth[row, column] + out_mm * ready) / width
            part = min(max(moved + 0.5, 0.0), 1.0)
            inside[row, column] = part
            filled += part
            if -1.0 < moved < 1.0:
                give += ready
    return filled, give / 2


@compiled
def outlined(depth: Image, readiness: Image, width: float, wanted: float) -> Image:
    """Return the inside part of pixels for an outline of the wanted area (Newton's method, damped).

    Parameters
    ----------
    depth
        Signed distance to the outline as interpolated, mm.
    readiness
        How readily the outline moves at each pixel; empty: the same everywhere.
    width
        Of a pixel, mm.
    wanted
        Area in pixels; NaN leaves the outline where it is.
    """
    inside = np.empty_like(depth)
    filled, give = _fill(depth, readiness, 0.0, width, inside)
    if isnan(wanted) or abs(wanted - filled) <= _SAME_AREA * wanted:
        return inside
    if wanted <= 0:
        inside[:] = 0
        return inside
    out_mm, damping, before = 0.0, 1.0, 0.0
    if readiness.size == 0:
        count = min(max(round(wanted), 1), depth.size)
        out_mm = -np.partition(depth.ravel(), depth.size - count)[depth.size - count]
    for _ in range(_NEWTON_STEPS):
        filled, give = _fill(depth, readiness, out_mm, width, inside)
        missing = wanted - filled
        if abs(missing) <= 0.1 * _SAME_AREA * wanted:
            break
        if missing * before < 0:
            damping /= 2
        # two pixels at most: where the rim is short Newton would overshoot
        step = min(abs(missing) / max(give, 1e-3), 2.0) * damping
        out_mm += (step if missing > 0 else -step) * width
        before = missing
    return inside
