"""Dose-volume histograms of structures, with bounds where dose is unknown.

The structure is filled with small cells (`dose.shapes.solid`), each within one cell of the dose grid; dose is
interpolated trilinearly at the middle of every cell. A cell at the rim counts by the part of it that lies inside. Where
the dose is unknown, the volume enters twice: with the lower and with the upper estimate. A figure both agree on has a
value; any other is given as bounds only (DESIGN section 3, promise 7).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.errors import BadDose, BadStructure
from dose.grids.grid import DoseGrid, Volume
from dose.shapes.field import Field, Pixels
from dose.shapes.raster import Raster
from dose.shapes.sections import Sections, sections
from dose.shapes.solid import SolidSlab, Tip, solid_slabs
from dose.shapes.structures import Structure

CELLS = 100_000
"""About how many cells fill a structure; dose voxels are never larger than a cell, small structures get finer ones."""

FINEST = 32
"""A voxel of the dose grid is divided into at most this many cells along each axis."""

BINS = 16_384
"""Bins of the histogram up to the largest dose: 5 mGy for 80 Gy, and within a bin figures are interpolated."""

SAME_FIGURE = 1e-6
"""Bounds closer than this part of the largest dose (or of the volume) are one figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A dose or volume figure with bounds.

    Parameters
    ----------
    value
        None where the unknown dose could change it.
    lo, hi
        Bounds; equal to `value` where everything is known.
    estimate
        With an estimate where the dose is unknown, between the bounds; None where none was given.
    """

    value: float | None
    lo: float
    hi: float
    estimate: float | None = None

    def times(self, factor: float) -> "Figure":
        """Return the figure in another unit."""
        value, estimate = (None if one is None else one * factor for one in (self.value, self.estimate))
        return Figure(value=value, lo=self.lo * factor, hi=self.hi * factor, estimate=estimate)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dvh:
    """Dose-volume histogram of one structure.

    Parameters
    ----------
    volume_cc
        Volume of the structure, whether its dose is known or not.
    unknown_cc
        The part of it where the dose is not known.
    min_gy, mean_gy, max_gy
        Extremes count the outline itself and every dose voxel inside, mean is over the volume.
    dose_gy
        Lower edges of the bins and the last upper edge, ``[n + 1]``.
    lo_cc, hi_cc
        Volume that receives at least that dose, with the lower and with the upper estimate where unknown, ``[n + 1]``.
    """

    name: str
    volume_cc: float
    unknown_cc: float
    min_gy: Figure
    mean_gy: Figure
    max_gy: Figure
    dose_gy: npt.NDArray[np.float64]
    lo_cc: npt.NDArray[np.float64]
    hi_cc: npt.NDArray[np.float64]

    def d_cc(self, volume_cc: float) -> Figure:
        """Smallest dose of the hottest `volume_cc` (D0.03cc, D2cc).

        In a structure smaller than that the figure has no value; its bounds are the extreme doses.
        """
        if volume_cc > self.volume_cc:
            return Figure(value=None, lo=self.min_gy.lo, hi=self.max_gy.hi)
        lo = self._dose_at(self.lo_cc, volume_cc, self.min_gy.lo, self.max_gy.lo)
        return self._dose_figure(lo, self._dose_at(self.hi_cc, volume_cc, self.min_gy.hi, self.max_gy.hi))

    def d_percent(self, percent: float) -> Figure:
        """Smallest dose of the hottest `percent` of the volume (D95, D2)."""
        return self.d_cc(self.volume_cc * min(percent, 100.0) / 100.0)

    def v_gy(self, dose_gy: float) -> Figure:
        """Volume in cm3 that receives at least `dose_gy` (V20); an even dose of exactly that counts."""
        lo = self._volume_at(self.lo_cc, dose_gy, self.min_gy.lo, self.max_gy.lo)
        hi = self._volume_at(self.hi_cc, dose_gy, self.min_gy.hi, self.max_gy.hi)
        return _figure(lo, hi, SAME_FIGURE * self.volume_cc)

    def cv_gy(self, dose_gy: float) -> Figure:
        """Volume in cm3 that receives less than `dose_gy` (critical volume, CV16 of the lungs)."""
        above = self.v_gy(dose_gy)
        return _figure(self.volume_cc - above.hi, self.volume_cc - above.lo, SAME_FIGURE * self.volume_cc)

    def _volume_at(self, curve_cc: npt.NDArray[np.float64], dose_gy: float, low: float, high: float) -> float:
        rounding = SAME_FIGURE * float(self.dose_gy[-1])
        if dose_gy <= low + rounding:  # in an even dose the curve is a step, which its bins can't show
            return self.volume_cc
        return float(np.interp(dose_gy, self.dose_gy, curve_cc)) if dose_gy <= high + rounding else 0.0

    def _dose_at(self, curve_cc: npt.NDArray[np.float64], volume_cc: float, low: float, high: float) -> float:
        # the curve falls, interp wants a rising one; of a level stretch its upper end is the dose that volume receives
        rising, doses = curve_cc[::-1], self.dose_gy[::-1]
        at = int(np.searchsorted(rising, volume_cc * (1 - 1e-12), side="left"))
        if at == 0:
            return high
        step = rising[at] - rising[at - 1]
        share = (volume_cc - rising[at - 1]) / step
        return float(np.clip(doses[at - 1] + share * (doses[at] - doses[at - 1]), low, high))

    def _dose_figure(self, lo: float, hi: float) -> Figure:
        return _figure(lo, hi, SAME_FIGURE * float(self.dose_gy[-1]))


def _figure(lo: float, hi: float, tolerance: float) -> Figure:
    if hi - lo <= tolerance:
        return Figure(value=(lo + hi) / 2, lo=lo, hi=hi)
    return Figure(value=None, lo=lo, hi=hi)


def dvh(
    structure: Structure,
    dose: DoseGrid,
    *,
    upper_gy: Volume | None = None,
    outside_gy: float | None = None,
    slice_mm: float | None = None,
    beyond_ends: bool = True,
) -> Dvh:
    """Dose-volume histogram of a structure.

    Parameters
    ----------
    structure
        In the frame of reference of the dose.
    dose
        Dose, or the lower bound of a composite, with the mask of what is known.
    upper_gy
        Upper bound on the same grid; None: where `dose` is unknown it may reach `outside_gy`.
    outside_gy
        What the dose may reach outside the grid; None: the largest dose (or upper bound) on it.
    slice_mm
        Distance of the image slices, for structures drawn on a single slice.
    beyond_ends
        False ends structures at their end contours, as Eclipse does: only to compare with its figures.

    Raises
    ------
    BadStructure, ContoursNotPlanar
        The structure has no volume, or its planes are not those of an axis of the grid.
    BadDose
        Doses below zero (a difference) have no histogram of this kind.
    """
    if float(dose.dose_gy.min()) < 0:
        raise BadDose("The dose is below zero somewhere: a difference of doses has no dose-volume histogram.")
    ceiling = max(dose.max_gy, float(upper_gy.max()) if upper_gy is not None else 0.0, outside_gy or 0.0)
    stack = sections(structure, dose.geometry, slice_mm=slice_mm)
    field = Field(dose, upper_gy, outside_gy if outside_gy is not None else ceiling, stack)
    raster, step_mm = _cells(stack, field.spacing)
    field.lay(raster)
    tally = _Tally(ceiling)
    breaks = [n * field.spacing[2] for n in range(field.count)]
    for part in solid_slabs(stack, raster, breaks_mm=breaks, step_mm=step_mm, beyond_ends=beyond_ends):
        if isinstance(part, SolidSlab):
            tally.add(part, field, raster)
        else:
            tally.touch(part, field)
    tally.touch_outline(stack, field)
    return tally.result(structure.name)


def _cells(stack: Sections, spacing: tuple[float, float, float]) -> tuple[Raster, float]:
    """Raster whose pixels divide the voxels of the dose grid evenly, and the greatest slab thickness, mm."""
    corners = np.concatenate([polygon for plane in stack.polygons for polygon in plane])
    low, high = corners.min(axis=0), corners.max(axis=0)
    filled = sum(_outer_area(polygon) for plane in stack.polygons for polygon in plane) * stack.thickness_mm
    wanted = max((filled / CELLS) ** (1 / 3), 1e-3)
    parts = [min(2 ** max(0, int(np.ceil(np.log2(s / wanted)))), FINEST) for s in spacing[:2]]
    pixel = spacing[0] / parts[0], spacing[1] / parts[1]
    first = [int(np.floor(low[n] / pixel[n])) - 2 for n in range(2)]
    last = [int(np.ceil(high[n] / pixel[n])) + 2 for n in range(2)]
    raster = Raster(
        origin=(first[0] * pixel[0], first[1] * pixel[1]),
        pixel=pixel,
        shape=(last[1] - first[1], last[0] - first[0]),
    )
    return raster, max(wanted, min(stack.thickness_mm, spacing[2]) / FINEST)


def _outer_area(polygon: npt.NDArray[np.float64]) -> float:
    u, v = polygon.T
    return abs(float(u @ np.roll(v, -1) - v @ np.roll(u, -1))) / 2


class _Tally:
    """Sums up cells: histograms with the lower and upper estimate, mean and extremes."""

    def __init__(self, ceiling_gy: float) -> None:
        self._bin = max(ceiling_gy, 1e-6) / BINS
        self._volume_mm3 = 0.0
        self._bends = np.zeros((2, BINS + 2))
        self._dose_mm3 = np.zeros(2)
        self._unknown_mm3 = 0.0
        self._min = np.full(2, np.inf)
        self._max = np.full(2, -np.inf)

    def add(self, slab: SolidSlab, field: Field, raster: Raster) -> None:
        """Count the cells of a slab."""
        rows, columns = np.nonzero(slab.inside)
        if not len(rows):
            return
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        lower, upper, known = field.plane(slab.place_mm)
        spread = field.spread(slab.place_mm, slab.thickness_mm, lower)[box]
        lower, upper, known = lower[box], upper[box], known[box]
        part = slab.inside[box]
        cells = part > 0
        mm3 = part[cells].astype(np.float64) * raster.pixel_area * slab.thickness_mm
        for n, dose in enumerate((lower[cells], upper[cells])):
            self._deposit(n, dose, np.where(known[cells], spread[cells], np.float32(0)), mm3)
            self._dose_mm3[n] += float(dose.astype(np.float64) @ mm3)
        self._volume_mm3 += float(mm3.sum())
        unknown = ~known[cells]
        self._unknown_mm3 += float(mm3[unknown].sum())
        self._reach(lower[cells][unknown], upper[cells][unknown])
        core = (part >= 0.5) & known
        self._reach(lower[core], upper[core])
        for end in (-0.5, 0.5):
            voxels = field.voxels(slab.place_mm + end * slab.thickness_mm, slab.inside, raster)
            if voxels is not None:
                self._reach(*voxels)

    def _deposit(self, n: int, dose: Pixels, spread: Pixels, mm3: npt.NDArray[np.float64]) -> None:
        """Spread the volume of each cell evenly over its doses.

        An even distribution from a to b is the difference of two ramps that begin at a and b, so two impulses per cell
        in the second derivative of the cumulative volume are enough; an impulse between bin edges is split linearly.
        """
        half = np.maximum(spread / self._bin, 1.0) / 2
        middle = dose.astype(np.float64) / self._bin
        low, high = np.maximum(middle - half, 0.0), np.minimum(middle + half, BINS)
        slope = mm3 / (high - low)
        for at, bend in ((low, slope), (high, -slope)):
            edge = at.astype(np.intp)
            part = at - edge
            self._bends[n] += np.bincount(edge, bend * (1 - part), BINS + 2)
            self._bends[n] += np.bincount(edge + 1, bend * part, BINS + 2)

    def touch(self, tip: Tip, field: Field) -> None:
        """Let the tip beyond an end plane count for the extremes."""
        lower, upper, known = field.plane(tip.place_mm)
        here = tip.inside & known
        self._reach(lower[here], upper[here])

    def touch_outline(self, stack: Sections, field: Field) -> None:
        """Let the contours themselves count for the extremes: that is where a gradient has them."""
        corners = [
            np.column_stack([polygon, np.full(len(polygon), at)])
            for at, plane in zip(stack.at_mm, stack.polygons, strict=True)
            for polygon in plane
        ]
        lower, upper, known = field.points(np.concatenate(corners))
        self._reach(lower[known], upper[known])

    def _reach(self, lower: Pixels, upper: Pixels) -> None:
        if lower.size:
            self._min = np.minimum(self._min, [float(lower.min()), float(upper.min())])
            self._max = np.maximum(self._max, [float(lower.max()), float(upper.max())])

    def result(self, name: str) -> Dvh:
        """The histogram and its figures."""
        volume_mm3 = self._volume_mm3
        if volume_mm3 <= 0:
            raise BadStructure(f"The contours of structure {name!r} enclose no volume.")
        tolerance = SAME_FIGURE * self._bin * BINS
        mean = self._dose_mm3 / volume_mm3
        slope = np.cumsum(self._bends, axis=1)
        below = np.cumsum(slope[:, :BINS], axis=1)
        curve = np.clip(volume_mm3 - np.concatenate([np.zeros((2, 1)), below], axis=1), 0, volume_mm3) / 1000.0
        curve = np.minimum.accumulate(curve, axis=1)
        return Dvh(
            name=name,
            volume_cc=volume_mm3 / 1000.0,
            unknown_cc=self._unknown_mm3 / 1000.0,
            min_gy=_figure(float(self._min[0]), float(self._min[1]), tolerance),
            mean_gy=_figure(float(mean[0]), float(mean[1]), tolerance),
            max_gy=_figure(float(self._max[0]), float(self._max[1]), tolerance),
            dose_gy=np.arange(BINS + 1, dtype=np.float64) * self._bin,
            lo_cc=curve[0],
            hi_cc=curve[1],
        )
