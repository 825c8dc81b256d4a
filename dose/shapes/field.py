"""A dose seen from a raster: its values at the pixel centres of any plane, with bounds where it is unknown."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.grids.grid import DoseGrid, Volume
from dose.shapes.cells import Totals, add_slabs
from dose.shapes.places import Corners, Doses, Places, places_of, reach_pixels, reach_points
from dose.shapes.raster import Raster
from dose.shapes.sections import Sections
from dose.shapes.solid import SolidSlabs, Tip

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounded:
    """A dose with what it may be where it is unknown.

    Parameters
    ----------
    dose
        The dose, or the lower bound of a composite, with the mask of what is known.
    upper_gy
        Upper bound on the same grid; None: where `dose` is unknown it may reach `outside_gy`.
    estimate_gy
        Between the two, on the same grid; None: none is asked for.
    outside_gy
        What the dose may reach outside the grid.
    ceiling_gy
        The largest of all these doses.
    """

    dose: DoseGrid
    upper_gy: Volume | None
    estimate_gy: Volume | None
    outside_gy: float
    ceiling_gy: float

    def along(self, axis: int) -> Doses:
        """The volumes turned so that planes run along an index axis, ``[n, v, u]``."""
        others = [2 - n for n in range(3) if n != axis]
        turn = (2 - axis, *reversed(others))
        nothing = np.empty((0, 0, 0), dtype=np.float32)
        upper, known = self.upper_gy, self.dose.known
        if upper is None and known is not None:
            upper = np.where(known, self.dose.dose_gy, np.float32(self.outside_gy))
        lower, upper, estimate = (
            # compiled loops are made for one layout of arrays, and turned or read-only ones are others
            nothing if volume is None else np.require(volume.transpose(turn), np.float32, ("C", "W"))
            for volume in (self.dose.dose_gy, upper, self.estimate_gy)
        )
        mask = np.empty((0, 0, 0), np.bool_) if known is None else np.require(known.transpose(turn), None, ("C", "W"))
        return Doses(lower, upper, estimate, mask, float(self.outside_gy))


class Field:
    """Dose seen from the pixels of a raster: the grid turned so that planes run along the axis of the sections."""

    def __init__(self, doses: Doses, spacing_mm: tuple[float, float, float], stack: Sections) -> None:
        u, v = stack.in_plane_axes
        self.spacing = (spacing_mm[u], spacing_mm[v], spacing_mm[stack.axis])
        self._doses = doses
        self.count, self._rows, self._columns = doses.lower.shape

    def lay(self, raster: Raster) -> None:
        """Prepare interpolation at the pixel centres of a raster."""
        rows, columns = raster.shape
        self._pixel_mm2 = raster.pixel_area
        self._v = self._places(raster.origin[1] + np.arange(0.5, rows) * raster.pixel[1], 1)
        self._u = self._places(raster.origin[0] + np.arange(0.5, columns) * raster.pixel[0], 0)
        self._v_corners = _corners(raster.origin[1], raster.pixel[1], rows, self.spacing[1], self._rows)
        self._u_corners = _corners(raster.origin[0], raster.pixel[0], columns, self.spacing[0], self._columns)

    def _places(self, at_mm: _Floats, axis: int) -> Places:
        return places_of(at_mm, self.spacing[axis], (self._columns, self._rows, self.count)[axis])

    def add(self, slabs: SolidSlabs, totals: Totals) -> None:
        """Count the cells of slabs, and for the extremes the voxels of dose planes they end on."""
        places = slabs.places_mm, slabs.thickness_mm
        size = self._pixel_mm2, self.spacing[2]
        axes, corners = (self._v, self._u), (self._v_corners, self._u_corners)
        add_slabs(slabs.inside, places, size, axes, corners, self._doses, totals)

    def touch(self, tip: Tip, totals: Totals) -> None:
        """Let the tip beyond an end plane count for the extremes."""
        n = self._places(np.array([tip.place_mm]), 2)
        reach_pixels(tip.inside, n, self._v, self._u, self._doses, totals.extremes)
        if tip.outlines:
            self._touch(np.concatenate(tip.outlines), tip.place_mm, totals)

    def touch_outline(self, stack: Sections, totals: Totals) -> None:
        """Let the contours themselves count for the extremes: that is where a gradient has them."""
        counts = [sum(len(polygon) for polygon in plane) for plane in stack.polygons]
        self._touch(stack.corners, np.repeat(stack.at_mm, counts), totals)

    def _touch(self, corners: _Floats, at_mm: float | _Floats, totals: Totals) -> None:
        n = self._places(np.array(np.broadcast_to(at_mm, len(corners))), 2)
        v, u = (self._places(np.ascontiguousarray(corners[:, axis]), axis) for axis in (1, 0))
        reach_points(n, v, u, self._doses, totals.extremes)


def _corners(origin: float, pixel: float, pixels: int, spacing: float, voxels: int) -> Corners:
    places = (origin + np.arange(1, pixels) * pixel) / spacing
    nearest = np.rint(places).astype(np.int64)
    on = np.flatnonzero((np.abs(places - nearest) < 1e-4) & (nearest >= 0) & (nearest < voxels))
    return on, nearest[on]
