"""How deep each pixel of a plane lies within an outline, compiled: exact distances in two sweeps.

First along the columns, then along the rows as the lower envelope of parabolas (Felzenszwalb and Huttenlocher, Theory
Comput 8:415, 2012). Within a row only a run of pixels of one kind and its two neighbours are looked at: whatever lies
behind a neighbour of the other kind is further away than the neighbour.
"""

from math import sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Mask
from dose.shapes.pixels import Image

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]

_NOWHERE_MM = 1e6
"""Distance to an outline that is not there."""


@compiled
def signed_depth(mask: Mask, step_u: float, step_v: float) -> Image:
    """Return the distance of pixel centres to the outline of a mask, mm, positive inside; very small without any."""
    rows, columns = mask.shape
    aside = _to_other_in_columns(mask, step_v / step_u)
    depth = np.empty((rows, columns), np.float32)
    square, found = np.empty(columns + 2), np.empty(columns)
    vertex, bound = np.empty(columns + 2, np.int64), np.empty(columns + 2)
    half = (step_u + step_v) / 4
    for row in range(rows):
        start = 0
        while start < columns:
            kind, stop = mask[row, start], start + 1
            while stop < columns and mask[row, stop] == kind:
                stop += 1
            # pixels from start - 1 to stop, of which the first and last, if there are any, are of the other kind
            square[0], square[stop - start + 1] = (0.0 if start > 0 else np.inf), (0.0 if stop < columns else np.inf)
            for n in range(start, stop):
                square[n - start + 1] = aside[row, n] ** 2
            _nearest(square[: stop - start + 2], found, vertex, bound)
            for n in range(start, stop):
                off = min(sqrt(found[n - start]) * step_u, _NOWHERE_MM) - half
                depth[row, n] = off if kind else -off
            start = stop
    return depth


@compiled
def _to_other_in_columns(mask: Mask, step: float) -> _Floats:
    """Return distances along v to the nearest pixel of the other kind."""
    rows, columns = mask.shape
    away = np.full((rows, columns), np.inf)
    for row in range(1, rows):
        for column in range(columns):
            is_edge = mask[row, column] != mask[row - 1, column]
            away[row, column] = step if is_edge else away[row - 1, column] + step
    for row in range(rows - 2, -1, -1):
        for column in range(columns):
            is_edge = mask[row, column] != mask[row + 1, column]
            away[row, column] = min(away[row, column], step if is_edge else away[row + 1, column] + step)
    return away


@compiled
def _nearest(square: _Floats, found: _Floats, vertex: _Numbers, bound: _Floats) -> None:
    """Write the lower envelope of parabolas at pixels 1 to n - 2 of a run of n."""
    top = -1
    for n in range(len(square)):
        if square[n] == np.inf:
            continue
        height, cut = square[n] + n * n, -np.inf
        while top >= 0:
            m = vertex[top]
            cut = (height - square[m] - m * m) / (2 * (n - m))
            if cut > bound[top]:
                break
            top -= 1
        top += 1
        vertex[top], bound[top] = n, cut if top > 0 else -np.inf
    if top < 0:
        found[: len(square) - 2] = np.inf
        return
    last, top = top, 0
    for n in range(1, len(square) - 1):
        while top < last and bound[top + 1] < n:
            top += 1
        found[n - 1] = square[vertex[top]] + (n - vertex[top]) ** 2
