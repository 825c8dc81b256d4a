"""Polygons on the pixels of one plane, compiled: where scan lines cross them, what part of each pixel they cover.

What it means is told where it is called (`dose.shapes.raster`).
"""

from math import ceil, floor

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled

Image = npt.NDArray[np.float32]
"""``[v, u]``."""

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]
Crossings = tuple[_Numbers, _Floats, _Floats]
"""Scan line, place along it in pixels, and sign: +1 entering, -1 leaving."""


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
def outer_areas(corners: _Floats, ends: _Numbers) -> _Floats:
    """Return the area within each polygon, whatever way round and whatever lies in it, ``[n]``."""
    areas = np.zeros(len(ends))
    begin = 0
    for k in range(len(ends)):
        for n in range(begin, ends[k]):
            m = n + 1 if n + 1 < ends[k] else begin
            areas[k] += corners[n, 0] * corners[m, 1] - corners[m, 0] * corners[n, 1]
        areas[k] = abs(areas[k]) / 2
        begin = ends[k]
    return areas
