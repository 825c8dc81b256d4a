"""Dose-volume histograms of structures, with bounds where dose is unknown.

The structure is filled with small cells (`dose.shapes.solid`), each within one cell of the dose grid; dose is
interpolated trilinearly at the middle of every cell. A cell at the rim counts by the part of it that lies inside. Where
the dose is unknown, the volume enters twice: with the lower and with the upper estimate. A figure both agree on has a
value; any other is given as bounds only (DESIGN section 3, promise 7).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from dose.compiled import processors
from dose.errors import BadDose, BadStructure, DoseError
from dose.grids.accumulate import Sum
from dose.grids.grid import DoseGrid, Volume
from dose.shapes.cells import LOWER, SHARED, UNKNOWN, VOLUME, Totals, volumes_above
from dose.shapes.field import Bounded, Field
from dose.shapes.places import Doses
from dose.shapes.raster import Raster
from dose.shapes.sections import Sections, sections
from dose.shapes.solid import SolidSlabs, solid_slabs
from dose.shapes.structures import Structure

CELLS = 50_000
"""At least about so many cells fill a structure, unless dose voxels are larger than such a cell."""

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
        Volume that receives at least that dose, with the lower and with the upper bound where unknown, ``[n + 1]``.
    estimate_cc
        The same with an estimate where unknown; None where none was given.
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
    estimate_cc: npt.NDArray[np.float64] | None = None

    def d_cc(self, volume_cc: float) -> Figure:
        """Smallest dose of the hottest `volume_cc` (D0.03cc, D2cc).

        In a structure smaller than that the figure has no value; its bounds are the extreme doses.
        """
        if volume_cc > self.volume_cc:
            return Figure(value=None, lo=self.min_gy.lo, hi=self.max_gy.hi)
        lo = self._dose_at(self.lo_cc, volume_cc, self.min_gy.lo, self.max_gy.lo)
        hi = self._dose_at(self.hi_cc, volume_cc, self.min_gy.hi, self.max_gy.hi)
        estimate = None
        if self.estimate_cc is not None:
            estimate = self._dose_at(self.estimate_cc, volume_cc, *self._estimated_reach)
        return _figure(lo, hi, SAME_FIGURE * float(self.dose_gy[-1]), estimate)

    def d_percent(self, percent: float) -> Figure:
        """Smallest dose of the hottest `percent` of the volume (D95, D2)."""
        return self.d_cc(self.volume_cc * min(percent, 100.0) / 100.0)

    def v_gy(self, dose_gy: float) -> Figure:
        """Volume in cm3 that receives at least `dose_gy` (V20); an even dose of exactly that counts."""
        lo = self._volume_at(self.lo_cc, dose_gy, self.min_gy.lo, self.max_gy.lo)
        hi = self._volume_at(self.hi_cc, dose_gy, self.min_gy.hi, self.max_gy.hi)
        estimate = None
        if self.estimate_cc is not None:
            estimate = self._volume_at(self.estimate_cc, dose_gy, *self._estimated_reach)
        return _figure(lo, hi, SAME_FIGURE * self.volume_cc, estimate)

    def cv_gy(self, dose_gy: float) -> Figure:
        """Volume in cm3 that receives less than `dose_gy` (critical volume, CV16 of the lungs)."""
        above, all_cc = self.v_gy(dose_gy), self.volume_cc
        estimate = None if above.estimate is None else all_cc - above.estimate
        return _figure(all_cc - above.hi, all_cc - above.lo, SAME_FIGURE * all_cc, estimate)

    @property
    def _estimated_reach(self) -> tuple[float, float]:
        """Least and largest dose as estimated."""
        least, largest = self.min_gy.estimate, self.max_gy.estimate
        return (self.min_gy.lo if least is None else least), (self.max_gy.hi if largest is None else largest)

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


def _figure(lo: float, hi: float, tolerance: float, estimate: float | None = None) -> Figure:
    # the three are summed apart: rounding may put the estimate a little off bounds that meet
    between = None if estimate is None else min(max(estimate, min(lo, hi)), max(lo, hi))
    if hi - lo <= tolerance:
        return Figure(value=(lo + hi) / 2, lo=lo, hi=hi, estimate=between)
    return Figure(value=None, lo=lo, hi=hi, estimate=between)


def dvh(
    structure: Structure,
    dose: DoseGrid,
    *,
    upper_gy: Volume | None = None,
    estimate_gy: Volume | None = None,
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
    estimate_gy
        Estimate on the same grid, for a third curve; beyond the grid it falls off (`dose.grids.fall_off`).
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
    bounded = _bounded(dose, upper_gy, estimate_gy, outside_gy)
    return _Histograms([bounded], slice_mm, beyond_ends).made(structure)[0]


def dvhs_on(structure: Structure, sums: Sequence[Sum], *, slice_mm: float | None = None) -> list[Dvh]:
    """Histograms of one structure on several sums that lie on one grid: its inside is worked out once.

    Raises
    ------
    ValueError
        The sums lie on different grids.
    BadStructure, ContoursNotPlanar, BadDose
        As `dvh`.
    """
    if any(not one.geometry.matches(sums[0].geometry) for one in sums[1:]):
        raise ValueError("Histograms are made together only of sums on one grid.")
    bounded = [_bounded(one.grid, one.upper_gy, one.estimate_gy, one.outside_gy) for one in sums]
    return _Histograms(bounded, slice_mm, True).made(structure) if bounded else []


def dvhs(
    structures: Sequence[Structure],
    dose: DoseGrid,
    *,
    upper_gy: Volume | None = None,
    estimate_gy: Volume | None = None,
    outside_gy: float | None = None,
    slice_mm: float | None = None,
) -> list[Dvh | DoseError]:
    """Histograms of many structures on one dose, on all processors; why a structure has none in its place.

    Parameters are those of `dvh`, and so are the errors: returned, not raised, so that one structure does not cost the
    others their histograms.
    """
    try:
        histograms = _Histograms([_bounded(dose, upper_gy, estimate_gy, outside_gy)], slice_mm, True)
    except BadDose as error:
        return [error] * len(structures)

    def of(structure: Structure) -> Dvh | DoseError:
        try:
            return histograms.made(structure)[0]
        except DoseError as error:
            return error

    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(of, structures))


def _bounded(dose: DoseGrid, upper_gy: Volume | None, estimate_gy: Volume | None, outside_gy: float | None) -> Bounded:
    if float(dose.dose_gy.min()) < 0:
        raise BadDose("The dose is below zero somewhere: a difference of doses has no dose-volume histogram.")
    ceiling = max(dose.max_gy, float(upper_gy.max()) if upper_gy is not None else 0.0, outside_gy or 0.0)
    outside = ceiling if outside_gy is None else outside_gy
    return Bounded(dose=dose, upper_gy=upper_gy, estimate_gy=estimate_gy, outside_gy=outside, ceiling_gy=ceiling)


class _Histograms:
    """Histograms on doses of one grid; they are turned once for each axis contours are perpendicular to."""

    def __init__(self, bounded: Sequence[Bounded], slice_mm: float | None, beyond_ends: bool) -> None:
        self._bounded, self._slice_mm, self._beyond_ends = bounded, slice_mm, beyond_ends
        self._turned: dict[int, list[Doses]] = {}
        self._turning = Lock()

    def made(self, structure: Structure) -> list[Dvh]:
        """The histograms of a structure, one for each dose; raises what `dvh` raises."""
        geometry = self._bounded[0].dose.geometry
        stack = sections(structure, geometry, slice_mm=self._slice_mm)
        fields = [Field(doses, geometry.spacing_mm, stack) for doses in self._along(stack.axis)]
        raster, step_mm = _cells(stack, fields[0].spacing)
        for field in fields:
            field.lay(raster)
        totals = [_nothing_yet(one.ceiling_gy) for one in self._bounded]
        breaks = [n * fields[0].spacing[2] for n in range(fields[0].count)]
        for part in solid_slabs(stack, raster, breaks_mm=breaks, step_mm=step_mm, beyond_ends=self._beyond_ends):
            for field, total in zip(fields, totals, strict=True):
                if isinstance(part, SolidSlabs):
                    field.add(part, total)
                else:
                    field.touch(part, total)
        for field, total in zip(fields, totals, strict=True):
            field.touch_outline(stack, total)
        return [
            _result(structure.name, total, has_estimate=one.estimate_gy is not None)
            for one, total in zip(self._bounded, totals, strict=True)
        ]

    def _along(self, axis: int) -> list[Doses]:
        with self._turning:
            if axis not in self._turned:
                self._turned[axis] = [one.along(axis) for one in self._bounded]
            return self._turned[axis]


def _cells(stack: Sections, spacing: tuple[float, float, float]) -> tuple[Raster, float]:
    """Raster whose pixels divide the voxels of the dose grid evenly, and the greatest slab thickness, mm."""
    corners = stack.corners
    low, high = corners.min(axis=0), corners.max(axis=0)
    wanted = max((stack.rough_mm3 / CELLS) ** (1 / 3), 1e-3)
    parts = [min(max(1, int(np.ceil(s / wanted))), FINEST) for s in spacing[:2]]
    pixel = spacing[0] / parts[0], spacing[1] / parts[1]
    first = [int(np.floor(low[n] / pixel[n])) - 2 for n in range(2)]
    last = [int(np.ceil(high[n] / pixel[n])) + 2 for n in range(2)]
    raster = Raster(
        origin=(first[0] * pixel[0], first[1] * pixel[1]),
        pixel=pixel,
        shape=(last[1] - first[1], last[0] - first[0]),
    )
    return raster, max(wanted, min(stack.thickness_mm, spacing[2]) / FINEST)


def _nothing_yet(ceiling_gy: float) -> Totals:
    extremes = np.tile([np.inf, -np.inf], (3, 1))
    return Totals(np.zeros((4, BINS + 2)), np.zeros(6), extremes, max(ceiling_gy, 1e-6) / BINS)


def _result(name: str, totals: Totals, *, has_estimate: bool) -> Dvh:
    """The histogram and its figures."""
    volume_mm3, unknown_mm3 = (float(totals.sums[n]) for n in (VOLUME, UNKNOWN))
    if volume_mm3 <= 0:
        raise BadStructure(f"The contours of structure {name!r} enclose no volume.")
    tolerance = SAME_FIGURE * totals.bin_gy * BINS
    mean = (totals.sums[SHARED] + totals.sums[LOWER:VOLUME]) / volume_mm3
    curve = volumes_above(totals.bends, volume_mm3) / 1000.0

    def figure(three: npt.NDArray[np.float64]) -> Figure:
        lo, hi, estimate = (float(one) for one in three)
        return _figure(lo, hi, tolerance, estimate if has_estimate else None)

    return Dvh(
        name=name,
        volume_cc=volume_mm3 / 1000.0,
        unknown_cc=unknown_mm3 / 1000.0,
        min_gy=figure(totals.extremes[:, 0]),
        mean_gy=figure(mean),
        max_gy=figure(totals.extremes[:, 1]),
        dose_gy=np.arange(BINS + 1, dtype=np.float64) * totals.bin_gy,
        lo_cc=curve[0],
        hi_cc=curve[1],
        estimate_cc=curve[2] if has_estimate else None,
    )
