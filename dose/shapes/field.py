"""A dose seen from a raster: its values at the pixel centres of any plane, with bounds where it is unknown."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.grids.grid import DoseGrid, Mask, Volume
from dose.shapes.raster import Raster
from dose.shapes.sections import Sections

Pixels = npt.NDArray[np.float32]
"""Doses, of any shape."""

_ON_HULL = 1e-6
"""Index tolerance: pixels never straddle the outermost voxel centres, so only rounding is to be forgiven."""

_NO_WEIGHT = 1e-6
"""An unknown voxel with less weight does not make a place unknown."""


class Field:
    """Dose seen from the pixels of a raster: the grid turned so that planes run along the axis of the sections."""

    def __init__(self, dose: DoseGrid, upper_gy: Volume | None, outside_gy: float, stack: Sections) -> None:
        u, v = stack.in_plane_axes
        turn = (2 - stack.axis, 2 - v, 2 - u)
        self.outside_gy = outside_gy
        spacing = dose.geometry.spacing_mm
        self.spacing = (spacing[u], spacing[v], spacing[stack.axis])
        self._lower = dose.dose_gy.transpose(turn)
        self._known = None if dose.known is None else dose.known.transpose(turn)
        self._upper = upper_gy
        if upper_gy is not None:
            self._upper = upper_gy.transpose(turn)
        elif self._known is not None:
            self._upper = np.where(self._known, self._lower, np.float32(outside_gy))
        self.count, self._rows, self._columns = self._lower.shape

    def lay(self, raster: Raster) -> None:
        """Prepare interpolation at the pixel centres of a raster."""
        self._v = _Lerp.at(raster.origin[1], raster.pixel[1], raster.shape[0], self.spacing[1], self._rows)
        self._u = _Lerp.at(raster.origin[0], raster.pixel[0], raster.shape[1], self.spacing[0], self._columns)
        self._inside: Mask = self._v.inside[:, None] & self._u.inside

    def plane(self, place_mm: float) -> tuple[Volume, Volume, Mask]:
        """Lower and upper dose and where they are known, at the pixel centres of a plane, ``[v, u]``."""
        at = place_mm / self.spacing[2]
        if not -_ON_HULL <= at <= self.count - 1 + _ON_HULL:
            nothing = np.zeros(self._inside.shape, dtype=np.float32)
            return nothing, nothing + np.float32(self.outside_gy), np.zeros_like(self._inside)
        low = int(np.clip(np.floor(at), 0, max(self.count - 2, 0)))
        layer = slice(low, min(low + 2, self.count))
        share = np.float32(np.clip(at - low, 0, 1))
        lower = np.where(self._inside, self._sample(self._lower[layer], share), np.float32(0))
        if self._upper is None:
            return lower, np.where(self._inside, lower, np.float32(self.outside_gy)), self._inside
        upper = np.where(self._inside, self._sample(self._upper[layer], share), np.float32(self.outside_gy))
        known = self._inside
        if self._known is not None:
            unknown: Volume = np.logical_not(self._known[layer]).astype(np.float32)
            known = known & (self._sample(unknown, share) < _NO_WEIGHT)
        return lower, upper, known

    def _sample(self, layer: Volume, share: np.float32) -> Volume:
        plane = layer[0] * (1 - share) + layer[-1] * share
        return self._u.along_columns(self._v.along_rows(plane))

    def spread(self, place_mm: float, thickness_mm: float, dose: Pixels) -> Pixels:
        """Width of the even distribution that stands for the doses within a cell, from the local gradient, ``[v, u]``.

        Along each axis a linear dose is spread evenly over its change across the cell; widths add in squares.
        """
        at = place_mm / self.spacing[2]
        low = int(np.clip(np.floor(at), 0, max(self.count - 2, 0)))
        layer = self._lower[low : min(low + 2, self.count)]
        along = self._v.along_rows(layer[-1] - layer[0])
        along = self._u.along_columns(along) * np.float32(thickness_mm / self.spacing[2])
        squares: Pixels = along * along
        for axis in (0, 1):
            if dose.shape[axis] > 1:
                step = np.gradient(dose, axis=axis)
                squares += step * step
        return np.sqrt(squares)

    def voxels(self, place_mm: float, inside: Pixels, raster: Raster) -> tuple[Pixels, Pixels] | None:
        """Lower and upper dose of the known voxels of a dose plane whose centres lie inside, ``[n]`` each.

        Parameters
        ----------
        place_mm
            Where a slab ends; None is returned where no dose plane lies there.
        inside
            Part of each pixel inside the slab, ``[v, u]``. A voxel centre is a common corner of four pixels.
        """
        plane = round(place_mm / self.spacing[2])
        if not 0 <= plane < self.count or abs(place_mm - plane * self.spacing[2]) > 1e-4:
            return None
        core = inside >= 0.5
        corner = core[1:, 1:] & core[1:, :-1] & core[:-1, 1:] & core[:-1, :-1]
        row_pixels, row_voxels = _corners(
            raster.origin[1], raster.pixel[1], raster.shape[0], self.spacing[1], self._rows
        )
        pixels, voxels = _corners(raster.origin[0], raster.pixel[0], raster.shape[1], self.spacing[0], self._columns)
        here = corner[np.ix_(row_pixels, pixels)]
        at = np.ix_(row_voxels, voxels)
        if self._known is not None:
            here = here & self._known[plane][at]
        lower = self._lower[plane][at][here]
        return lower, lower if self._upper is None else self._upper[plane][at][here]

    def points(self, at_mm: npt.NDArray[np.float64]) -> tuple[Volume, Volume, Mask]:
        """As `plane`, at points ``[n, 3]`` given as (u, v, along the axis) in the mm frame of the grid."""
        from scipy.ndimage import map_coordinates

        index = (at_mm / np.array(self.spacing))[:, ::-1]
        last = np.array(self._lower.shape) - 1
        known: Mask = np.all((index >= -_ON_HULL) & (index <= last + _ON_HULL), axis=1)

        def sample(volume: npt.NDArray[np.float32]) -> Volume:
            sampled: Volume = map_coordinates(volume, index.T, order=1, mode="nearest", prefilter=False)
            return sampled

        lower = np.where(known, sample(self._lower), np.float32(0))
        upper = np.where(known, lower if self._upper is None else sample(self._upper), np.float32(self.outside_gy))
        if self._known is not None:
            known = known & (sample(np.logical_not(self._known).astype(np.float32)) < _NO_WEIGHT)
        return lower, upper, known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Lerp:
    """Linear interpolation of dose voxels at pixel centres along one axis."""

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    share: npt.NDArray[np.float32]
    inside: Mask

    @classmethod
    def at(cls, origin: float, pixel: float, pixels: int, spacing: float, voxels: int) -> "_Lerp":
        place = (origin + (np.arange(pixels) + 0.5) * pixel) / spacing
        clipped = np.clip(place, 0, voxels - 1)
        low = np.clip(np.floor(clipped).astype(np.intp), 0, max(voxels - 2, 0))
        return cls(
            low=low,
            high=np.minimum(low + 1, voxels - 1),
            share=(clipped - low).astype(np.float32),
            inside=(place >= -_ON_HULL) & (place <= voxels - 1 + _ON_HULL),
        )

    def along_rows(self, plane: Volume) -> Volume:
        rows: Volume = plane[self.low] * (1 - self.share)[:, None] + plane[self.high] * self.share[:, None]
        return rows

    def along_columns(self, plane: Volume) -> Volume:
        columns: Volume = plane[:, self.low] * (1 - self.share) + plane[:, self.high] * self.share
        return columns


def _corners(
    origin: float, pixel: float, pixels: int, spacing: float, voxels: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Inner pixel corners that are voxel centres along an axis, and which voxels they are."""
    places = (origin + np.arange(1, pixels) * pixel) / spacing
    nearest = np.rint(places).astype(np.intp)
    on = np.flatnonzero((np.abs(places - nearest) < 1e-4) & (nearest >= 0) & (nearest < voxels))
    return on, nearest[on]
