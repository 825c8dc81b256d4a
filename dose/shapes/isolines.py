"""Lines of equal value on a plane of numbers: marching squares."""

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Line = npt.NDArray[np.float64]

_Edge = tuple[int, int, int]
"""Row and column of the corner an edge starts from, and whether it runs along the row (0) or the column (1)."""

_EDGES = ((0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1))
"""Edges of a cell clockwise (rows run down): top, right, bottom, left, from the cell's first corner."""


def isolines(values: Plane, level: float) -> list[Line]:
    """Closed lines around what is at least `level`, ``[n, 2]`` as (row, column) of the centres.

    The first place of a line is not repeated at its end. Along an edge between two centres values are taken as linear;
    beyond the rim they count as lower than any. Where two corners of a cell lie inside and face each other, they are
    kept apart.
    """
    padded = np.pad(values.astype(np.float64), 1, constant_values=min(float(values.min()), 2 * level - 1.0))
    follow = _follow(padded >= level)
    lines = []
    while follow:
        start = at = next(iter(follow))
        loop = []
        while True:
            loop.append(at)
            at = follow.pop(at)
            if at == start:
                break
        lines.append(_places(np.array(loop), padded, level) - 1.0)
    return lines


def _follow(inside: npt.NDArray[np.bool_]) -> dict[_Edge, _Edge]:
    """Return for each edge the line crosses the edge it crosses next."""
    corners = (inside[:-1, :-1], inside[:-1, 1:], inside[1:, 1:], inside[1:, :-1])  # clockwise
    case = sum(corner.astype(np.uint8) << np.uint8(n) for n, corner in enumerate(corners))
    follow: dict[_Edge, _Edge] = {}
    for number in range(1, 15):
        steps = _steps(number)
        for row, column in np.argwhere(case == number).tolist():
            for come, go in steps:
                a, b = _EDGES[come], _EDGES[go]
                follow[row + a[0], column + a[1], a[2]] = (row + b[0], column + b[1], b[2])
    return follow


def _steps(number: int) -> list[tuple[int, int]]:
    """Return from which edge to which the line runs in a cell: in where the way around enters, out where it leaves."""
    bits = [bool(number >> n & 1) for n in range(4)]
    enters = [n for n in range(4) if not bits[n] and bits[(n + 1) % 4]]
    leaves = [n for n in range(4) if bits[n] and not bits[(n + 1) % 4]]
    return [(n, min(leaves, key=lambda leave: (leave - n) % 4)) for n in enters]


def _places(edges: npt.NDArray[np.int64], values: npt.NDArray[np.float64], level: float) -> Line:
    row, column, is_down = edges.T
    start = values[row, column]
    stop = values[row + is_down, column + (1 - is_down)]
    part = (level - start) / (stop - start)
    return np.column_stack([row + part * is_down, column + part * (1 - is_down)])
