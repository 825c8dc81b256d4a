"""Lines of equal value on a plane of numbers: marching squares."""

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled

Plane = npt.NDArray[np.float32]
Line = npt.NDArray[np.float64]

Edges = npt.NDArray[np.int64]

_EDGES = ((0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1))
"""Edges of a cell clockwise (rows run down): top, right, bottom, left; row and column from the cell's first corner,
and whether the edge runs along the column."""


def isolines(values: Plane, level: float) -> list[Line]:
    """Closed lines around what is at least `level`, ``[n, 2]`` as (row, column) of the centres.

    The first place of a line is not repeated at its end. Along an edge between two centres values are taken as linear;
    beyond the rim they count as lower than any. Where two corners of a cell lie inside and face each other, they are
    kept apart.
    """
    padded = np.pad(values.astype(np.float64), 1, constant_values=min(float(values.min()), 2 * level - 1.0))
    edges, ends = _loops(_follow(padded >= level))
    row, column, is_down = np.unravel_index(edges, (*padded.shape, 2))
    places = _places(row, column, is_down, padded, level) - 1.0
    return [one.copy() for one in np.split(places, ends[:-1])] if len(ends) else []


def _follow(inside: npt.NDArray[np.bool_]) -> Edges:
    """Return for each edge the line crosses the edge it crosses next, -1 for others, ``[rows * columns * 2]``.

    An edge is told by the row and column of the corner it starts from, and whether it runs along the row (0) or the
    column (1).
    """
    corners = (inside[:-1, :-1], inside[:-1, 1:], inside[1:, 1:], inside[1:, :-1])  # clockwise
    case = np.zeros(corners[0].shape, dtype=np.uint8)
    for n, corner in enumerate(corners):
        case |= corner.astype(np.uint8) << np.uint8(n)
    shape = (*inside.shape, 2)
    follow = np.full(inside.size * 2, -1, dtype=np.int64)
    for number in range(1, 15):
        row, column = np.nonzero(case == number)
        for come, go in _steps(number):
            start, stop = (
                np.ravel_multi_index((row + down, column + across, np.full(row.shape, way)), shape)
                for down, across, way in (_EDGES[come], _EDGES[go])
            )
            follow[start] = stop
    return follow


@compiled
def _loops(follow: Edges) -> tuple[Edges, Edges]:
    """Return the edges of all closed lines, one line after the other, and where each ends."""
    most = np.count_nonzero(follow >= 0)
    edges, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    count, lines = 0, 0
    for first in range(len(follow)):
        at = first
        while follow[at] >= 0:
            edges[count] = at
            count += 1
            following = follow[at]
            follow[at] = -1
            at = following
        if at == first and count > 0 and (lines == 0 or ends[lines - 1] < count):
            ends[lines] = count
            lines += 1
    return edges, ends[:lines]


def _steps(number: int) -> list[tuple[int, int]]:
    """Return from which edge to which the line runs in a cell: in where the way around enters, out where it leaves."""
    bits = [bool(number >> n & 1) for n in range(4)]
    enters = [n for n in range(4) if not bits[n] and bits[(n + 1) % 4]]
    leaves = [n for n in range(4) if bits[n] and not bits[(n + 1) % 4]]
    return [(n, min(leaves, key=lambda leave: (leave - n) % 4)) for n in enters]


def _places(row: Edges, column: Edges, is_down: Edges, values: npt.NDArray[np.float64], level: float) -> Line:
    start = values[row, column]
    stop = values[row + is_down, column + (1 - is_down)]
    part = (level - start) / (stop - start)
    return np.column_stack([row + part * is_down, column + part * (1 - is_down)])
