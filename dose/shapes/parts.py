"""Parts and holes of one plane, and whether they go on in the next, compiled.

Parts hang together over the edges of their pixels, and two planes' parts meet where they touch over an edge. Rows are
taken as runs of pixels of one kind: there are few of them.
"""

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled
from dose.grids.grid import Mask

_Numbers = npt.NDArray[np.int64]
_Runs = tuple[_Numbers, _Numbers, _Numbers]
"""First run of each row ``[rows + 1]``; first column of each run and the one after its last."""


@compiled
def overlap(low: Mask, high: Mask) -> float:
    """Return the part of the smaller of two sections that lies over the other; 1 where one is empty."""
    first, second, both = 0, 0, 0
    for row in range(low.shape[0]):
        for column in range(low.shape[1]):
            a, b = low[row, column], high[row, column]
            first, second, both = first + a, second + b, both + (a & b)
    smaller = min(first, second)
    return both / smaller if smaller else 1.0


@compiled
def ending_parts(mask: Mask, other: Mask) -> Mask:
    """Return the pixels, with a rim, of parts and holes of a mask that meet none of the other; empty without any."""
    runs = _runs(mask)
    first, start, stop = runs
    parent = _joined(mask, runs)
    meets = np.zeros(len(parent), np.bool_)
    for row in range(mask.shape[0]):
        for n in range(first[row], first[row + 1]):
            root = _root(parent, n)
            if not meets[root]:
                meets[root] = _run_meets(other, row, (start[n], stop[n]), mask[row, start[n]])
    ends = False
    for n in range(len(parent)):
        ends = ends or not meets[_root(parent, n)]
    if not ends:
        return np.zeros((0, 0), np.bool_)
    return _with_rim(mask, runs, parent, meets)


@compiled
def _with_rim(mask: Mask, runs: _Runs, parent: _Numbers, meets: Mask) -> Mask:
    """Mark the runs whose part meets nothing, and the pixels over an edge from them."""
    first, start, stop = runs
    rim = np.zeros(mask.shape, np.bool_)
    for row in range(mask.shape[0]):
        for n in range(first[row], first[row + 1]):
            if not meets[_root(parent, n)]:
                rim[row, max(start[n] - 1, 0) : stop[n] + 1] = True
                if row > 0:
                    rim[row - 1, start[n] : stop[n]] = True
                if row + 1 < mask.shape[0]:
                    rim[row + 1, start[n] : stop[n]] = True
    return rim


@compiled
def _runs(mask: Mask) -> _Runs:
    rows, columns = mask.shape
    first, count = np.zeros(rows + 1, np.int64), 0
    for row in range(rows):
        count += 1
        for column in range(1, columns):
            count += mask[row, column] != mask[row, column - 1]
        first[row + 1] = count
    start, stop = np.zeros(count, np.int64), np.full(count, columns, np.int64)
    for row in range(rows):
        n = first[row]
        for column in range(1, columns):
            if mask[row, column] != mask[row, column - 1]:
                stop[n], start[n + 1] = column, column
                n += 1
    return first, start, stop


@compiled
def _joined(mask: Mask, runs: _Runs) -> _Numbers:
    """Return the parent of each run; runs of one part have one root."""
    first, start, stop = runs
    parent = np.arange(len(start))
    for row in range(1, mask.shape[0]):
        above, n = first[row - 1], first[row]
        while above < first[row] and n < first[row + 1]:
            if mask[row - 1, start[above]] == mask[row, start[n]] and start[above] < stop[n] and start[n] < stop[above]:
                parent[_root(parent, above)] = _root(parent, n)
            if stop[above] <= stop[n]:
                above += 1
            else:
                n += 1
    return parent


@compiled
def _root(parent: _Numbers, n: int) -> int:
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@compiled
def _run_meets(other: Mask, row: int, run: tuple[int, int], kind: bool) -> bool:
    """Whether a run, or a pixel over an edge from it, is of a kind."""
    start, stop = run
    for column in range(max(start - 1, 0), min(stop + 1, other.shape[1])):
        if other[row, column] == kind:
            return True
    for beside in (row - 1, row + 1):
        if 0 <= beside < other.shape[0]:
            for column in range(start, stop):
                if other[beside, column] == kind:
                    return True
    return False
