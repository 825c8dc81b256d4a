"""A dose read at single places, for whoever asks the same places again and again."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dose.grids.fall_off import FALL_OFF_MM, filled
from dose.grids.grid import DoseGrid, Mask, Points
from dose.grids.sampling import largest, partners
from dose.grids.transforms import Transform

Line = npt.NDArray[np.float32]
"""One value for each place, ``[n]``."""

Vector = tuple[float, float, float]


class Readings:
    """A dose read at single places again and again, with an estimate where it is unknown (`Sampled.fall_off`).

    Parameters
    ----------
    grid
        Dose in its own frame of reference.
    worst_gy
        What the estimate never exceeds; None: the largest dose of `grid`.
    """

    def __init__(self, grid: DoseGrid, *, worst_gy: float | None = None) -> None:
        self._geometry = grid.geometry
        self._values = np.ascontiguousarray(filled(grid.dose_gy, grid.geometry, grid.known), dtype=np.float32)
        nothing = np.zeros((0, 0, 0), dtype=np.float32)
        self._unknown = nothing if grid.known is None else np.ascontiguousarray((~grid.known).astype(np.float32))
        self._worst = largest(grid.dose_gy, grid.known) if worst_gy is None else worst_gy

    def at(self, points_mm: Points, transform: Transform | None = None) -> Line:
        """Return the doses at places ``[n, 3]`` in LPS mm, float32 ``[n]`` in Gy.

        Parameters
        ----------
        transform
            From the frame of the places to that of the dose; None where both are one frame.
        """
        return self.around(points_mm, transform)((0.0, 0.0, 0.0))

    def around(self, points_mm: Points, transform: Transform | None = None) -> Callable[[Vector], Line]:
        """Return what reads the doses when they are shifted by so many mm, before the map.

        Where the map is a matrix a shift moves all places alike, and they are worked out once.
        """
        mapping = transform or Transform()
        if mapping.matrix is None:
            return lambda shift_mm: self._read(*partners(points_mm - np.array(shift_mm), mapping, self._geometry))
        index, lost = partners(points_mm, mapping, self._geometry)
        per_mm = (self._geometry.inverse @ mapping.matrix)[:3, :3]
        return lambda shift_mm: self._read(index - per_mm @ np.array(shift_mm), lost)

    def _read(self, index: Points, lost: Mask) -> Line:
        from dose.grids.trilinear import add_at

        counted = (1.0, self._worst, FALL_OFF_MM)
        lower, estimate = (np.zeros(len(index), dtype=np.float32) for _ in range(2))
        sums = (lower, estimate, np.zeros(0, dtype=np.float32), np.ones(len(index), dtype=np.bool_))
        add_at(self._values, self._unknown, (index, lost), np.array(self._geometry.spacing_mm), counted, sums)
        estimate += lower
        return estimate
