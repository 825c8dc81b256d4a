"""How figures of a structure move with what is uncertain: an ensemble of compositions, and two analytic bounds.

Each member of `courses.members` is composed anew, at the cells of the structure only (`dose.shapes.lattice`): a shift
moves the transform of a course, never its dose. A member's *deviation* is what a figure changes by; it is
added to the figure of the histogram, so that report and ensemble tell one nominal figure. *Joint* takes of every kind
of doubt the member that alone lowers (or raises) a figure most, all at once.

Precedent of the search radius: MSK RADAR, where looking 3 mm around raised the largest cord EQD2 of a case from 72 to
127 Gy, and restricted to the same structure to 65: so both are told, beside the sum of each course's maximum.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from courses.exposures import Gathered, GroupPart
from courses.members import GRID, NOMINAL, Member, Setting, Vector, is_deformable, members_of
from courses.summing import eqd2_sum, physical_sum, probable
from dose.biology.tissues import Tissue
from dose.grids.accumulate import Sum
from dose.grids.crop import cropped, lattice
from dose.grids.grid import DoseGrid, Geometry
from dose.grids.nearest_rigid import nearest_rigid
from dose.grids.neighbourhood import largest_within
from dose.grids.readings import Line, Readings
from dose.grids.sampling import sample
from dose.grids.transforms import Transform
from dose.shapes.lattice import Cells, cells_of
from dose.shapes.structures import Structure

Quantity = Literal["physical", "eqd2"]
QUANTITIES: tuple[Quantity, ...] = ("physical", "eqd2")

RADII_MM = (3.0, 5.0)
SEARCHED_CELLS = 8_000
SEARCHED_MM = 1.0
"""Cells for the search radius: coarser than for figures, as every one looks at all others within the radius."""

DOSES_CC = {"d0_03cc_gy": 0.03, "d0_1cc_gy": 0.1, "d1cc_gy": 1.0, "d2cc_gy": 2.0}
DOSES_PERCENT = {"d98_gy": 98.0, "d95_gy": 95.0, "d2_gy": 2.0}
VOLUMES_GY = (5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)

_BINS = 8192
_MOST_SHIFT_MM = 25.0
"""A measured error larger than this is no registration."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """How much a figure changes: at least (not above 0) and at most (not below 0), and by which ``source: member``."""

    down: float = 0.0
    up: float = 0.0
    down_by: str = ""
    up_by: str = ""

    def and_also(self, other: "Range") -> "Range":
        """Return the range that holds both."""
        low, high = (self if self.down <= other.down else other), (self if self.up >= other.up else other)
        return Range(down=low.down, up=high.up, down_by=low.down_by, up_by=high.up_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The deviations of all figures of a structure.

    Parameters
    ----------
    members
        How many compositions were made, the joint ones left out.
    by_source
        ``[quantity][figure][source]``.
    joint
        ``[quantity][figure]``; never narrower than any source.
    """

    members: int
    by_source: Mapping[Quantity, Mapping[str, Mapping[str, Range]]]
    joint: Mapping[Quantity, Mapping[str, Range]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The largest sum in a structure when each course may lie up to a radius elsewhere.

    Parameters
    ----------
    radius_mm
        0 is the sum as it lies.
    anywhere_gy
        Each course's largest dose within the radius, before adding.
    same_structure_gy
        The same, looked for within the structure only.
    """

    radius_mm: float
    anywhere_gy: float
    same_structure_gy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRadius:
    """See `Searched`; `sum_of_maxima_gy` adds each course's maximum in the structure wherever it lies."""

    found: tuple[Searched, ...]
    sum_of_maxima_gy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What is varied for one structure beside shifts and registrations.

    Parameters
    ----------
    tissue
        With the range its alpha/beta is varied in.
    forgotten
        By name of a recovery model: the part of the effect forgotten, by dossier id.
    measured_mm
        By dossier id: error measured of its registration.
    """

    tissue: Tissue
    forgotten: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    measured_mm: Mapping[str, float] = field(default_factory=dict)


def vary(structure: Structure, gathered: Gathered, doubts: Doubts, *, slice_mm: float | None = None) -> Ensemble:
    """Return how the figures of a structure move with what is uncertain.

    Raises
    ------
    DoseError
        The structure encloses no volume.
    """
    cells = cells_of(structure, gathered.geometry, slice_mm=slice_mm)
    measured = {course: length for course, length in doubts.measured_mm.items() if length <= _MOST_SHIFT_MM}
    members = members_of(gathered, alpha_beta_gy=doubts.tissue.range_gy, models=doubts.forgotten, measured_mm=measured)
    composer = _Composer(gathered, doubts, cells, reach_mm=max([5.0, *measured.values()]))
    found = {quantity: _ranges(composer, members, quantity) for quantity in QUANTITIES}
    return Ensemble(
        members=len(members) + 1,
        by_source={quantity: by_source for quantity, (by_source, _) in found.items()},
        joint={quantity: joint for quantity, (_, joint) in found.items()},
    )


def search_radius(
    structure: Structure, gathered: Gathered, tissue: Tissue | None, *, slice_mm: float | None = None
) -> SearchRadius:
    """Return the largest doses within radii of 3 and 5 mm; of EQD2 where a tissue is given, else of physical dose.

    Raises
    ------
    DoseError
        The structure encloses no volume.
    """
    cells = cells_of(
        structure, gathered.geometry, slice_mm=slice_mm, count=SEARCHED_CELLS, finest_mm=SEARCHED_MM,
        margin_mm=max(RADII_MM),
    )  # fmt: skip
    near = gathered.changed(lambda part: replace(part, grid=cropped(part.grid, cells.geometry, part.transform)))
    courses = list(dict.fromkeys(one.dossier_id for one in gathered.exposures))
    doses = [_sum(near, tissue, cells.geometry, course).estimate_gy for course in courses]
    inside, spacing = cells.inside, cells.geometry.spacing_mm

    def largest(radius_mm: float, *, is_restricted: bool) -> float:
        among = inside if is_restricted else None
        found = [cells.read(largest_within(dose, spacing, radius_mm, among=among)) for dose in doses]
        return float(np.sum(found, axis=0).max())

    return SearchRadius(
        found=tuple(
            Searched(
                radius_mm=radius,
                anywhere_gy=largest(radius, is_restricted=False),
                same_structure_gy=largest(radius, is_restricted=True),
            )
            for radius in (0.0, *RADII_MM)
        ),
        sum_of_maxima_gy=sum(float(cells.read(dose).max()) for dose in doses),
    )


def _sum(gathered: Gathered, tissue: Tissue | None, geometry: Geometry, course: str) -> Sum:
    if tissue is None:
        return physical_sum(gathered, geometry, only=course)
    return eqd2_sum(gathered, tissue, geometry=geometry, only=course)


class _Composer:
    """Composes one structure again and again; what was read of a part at a shift is kept."""

    def __init__(self, gathered: Gathered, doubts: Doubts, cells: Cells, *, reach_mm: float) -> None:
        self._gathered, self._doubts, self._cells = gathered, doubts, cells
        self._lattice = lattice(gathered.geometry)
        self._points_mm = cells.points_mm
        self._near = {id(part): _readings(part, cells.geometry, reach_mm) for part in gathered.parts}
        self._ways: dict[tuple[int, bool], Callable[[Vector], Line]] = {}
        self._read: dict[tuple[tuple[int, bool], Vector], Line] = {}
        self._known: dict[tuple[Setting, Quantity], Figures] = {}

    def figures(self, setting: Setting, quantity: Quantity) -> Figures:
        """Return the figures of the structure in one setting."""
        if quantity == "physical":
            setting = replace(setting, alpha_beta_gy=None, recovery="")
        if (setting, quantity) not in self._known:
            self._known[setting, quantity] = figures_of(self._compose(setting, quantity), self._cells.cc)
        return self._known[setting, quantity]

    def on_grid(self, quantity: Quantity) -> Figures:
        """Return the figures as they come from the grid of the sum: summed and converted there, then interpolated."""
        whole = self._gathered.geometry
        stand_in = DoseGrid(dose_gy=np.broadcast_to(np.float32(0), whole.shape), geometry=whole)
        coarse = cropped(stand_in, self._cells.geometry).geometry
        near = self._gathered.changed(lambda part: replace(part, grid=cropped(part.grid, coarse, part.transform)))
        if quantity == "physical":
            total = physical_sum(near, coarse)
        else:
            total = eqd2_sum(near, self._doubts.tissue, geometry=coarse)
        there = sample(DoseGrid(dose_gy=total.estimate_gy, geometry=coarse), self._cells.geometry)
        return figures_of(self._cells.read(there.fall_off), self._cells.cc)

    def _compose(self, setting: Setting, quantity: Quantity) -> Line:
        def read(part: GroupPart) -> Line:
            return self._doses(part, setting)

        if quantity == "physical":
            return probable(self._gathered, read)
        tissue = self._doubts.tissue
        if setting.alpha_beta_gy is not None:
            tissue = replace(tissue, alpha_beta_gy=setting.alpha_beta_gy)
        forgotten = self._doubts.forgotten[setting.recovery] if setting.recovery else None
        return probable(self._gathered, read, tissue, forgotten=forgotten)

    def _doses(self, part: GroupPart, setting: Setting) -> Line:
        is_rigid = part.dossier_id in setting.rigid and is_deformable(part)
        way, shift = (id(part), is_rigid), setting.shift_of(part.dossier_id)
        if way not in self._ways:
            transform = part.transform or Transform()
            if is_rigid:
                transform = nearest_rigid(transform, self._lattice) or transform
            self._ways[way] = self._near[id(part)].around(self._points_mm, transform)
        if (way, shift) not in self._read:
            self._read[way, shift] = self._ways[way](shift)
        return self._read[way, shift]


def _readings(part: GroupPart, around: Geometry, reach_mm: float) -> Readings:
    """Return a part as far as it can be read near a structure; its fall-off is still bounded by all of it."""
    return Readings(cropped(part.grid, around, part.transform, margin_mm=reach_mm), worst_gy=part.grid.max_gy)


def figures_of(doses_gy: Line, cc: npt.NDArray[np.float64]) -> Figures:
    """Return the figures of doses in cells: by `DOSES_CC`, `DOSES_PERCENT`, `VOLUMES_GY`, and max, mean and min.

    Doses are told by a histogram of 8192 bins and a line within each: to a hundredth of a gray in what is treated.
    """
    top, volume = float(doses_gy.max()), float(cc.sum())
    width = max(top, 1e-6) / _BINS
    bins = np.minimum((np.maximum(doses_gy, 0) / width).astype(np.intp), _BINS - 1)
    at_least = np.concatenate([np.cumsum(np.bincount(bins, cc, _BINS)[::-1])[::-1], [0.0]])
    edges = np.arange(_BINS + 1) * width
    rising, falling = at_least[::-1], edges[::-1]
    found = {"max_gy": top, "mean_gy": float((doses_gy * cc).sum() / volume), "min_gy": float(doses_gy.min())}

    def dose_of(wanted_cc: float) -> float:
        return float(np.interp(min(wanted_cc, volume), rising, falling))

    found |= {name: dose_of(wanted) for name, wanted in DOSES_CC.items() if wanted <= volume}
    found |= {name: dose_of(volume * percent / 100) for name, percent in DOSES_PERCENT.items()}
    found |= {volume_name(gy): float(np.interp(gy, edges, at_least)) if gy <= top else 0.0 for gy in VOLUMES_GY}
    return found


def volume_name(gy: float) -> str:
    """Return the name of a volume that receives a dose."""
    return f"v{gy:g}gy_cc"


def _ranges(
    composer: _Composer, members: Iterable[Member], quantity: Quantity
) -> tuple[dict[str, dict[str, Range]], dict[str, Range]]:
    base = composer.figures(NOMINAL, quantity)
    counting = [one for one in members if quantity == "eqd2" or not one.is_biological]
    tried = [(one, _less(composer.figures(one.setting, quantity), base)) for one in counting]
    grid = _less(base, composer.on_grid(quantity))
    by_source: dict[str, dict[str, Range]] = {}
    joint: dict[str, Range] = {}
    for name in base:
        ranges: dict[str, Range] = {}
        for one, change in tried:
            ranges[one.source] = ranges.get(one.source, Range()).and_also(_range(change[name], _who(one)))
        ranges[GRID] = _range(grid[name], f"{GRID}: finer grid")
        by_source[name] = ranges
        joint[name] = _joint(composer, quantity, name, tried, ranges)
    return by_source, joint


def _joint(
    composer: _Composer, quantity: Quantity, name: str, tried: list[tuple[Member, Figures]], ranges: dict[str, Range]
) -> Range:
    """Return how far a figure goes with all doubts at once; never less far than with any one alone."""
    base = composer.figures(NOMINAL, quantity)[name]
    grid = ranges[GRID]
    found = Range()
    for one in ranges.values():
        found = found.and_also(one)
    ends = []
    for sign in (-1.0, 1.0):
        setting = NOMINAL
        for member in _worst(tried, name, sign):
            setting = setting.with_also(member.setting)
        ends.append(composer.figures(setting, quantity)[name] - base)
    return replace(
        found, down=min(found.down, min(ends) + grid.down, *ends), up=max(found.up, max(ends) + grid.up, *ends)
    )


def _worst(tried: list[tuple[Member, Figures]], name: str, sign: float) -> list[Member]:
    """Return of all members that exclude each other the one that moves a figure most in one direction, if any does."""
    best: dict[tuple[str, str], tuple[float, Member]] = {}
    for member, change in tried:
        size = sign * change[name]
        if size > best.get(member.excludes, (0.0, member))[0]:
            best[member.excludes] = (size, member)
    return [member for _, member in best.values()]


def _less(figures: Figures, base: Figures) -> Figures:
    return {name: figures[name] - value for name, value in base.items()}


def _range(change: float, who: str) -> Range:
    return Range(down=change, down_by=who) if change < 0 else Range(up=change, up_by=who if change > 0 else "")


def _who(member: Member) -> str:
    """Return the source of a member, and after a colon what it changes."""
    words = f"{member.course[:8]} {member.words}" if member.course else member.words
    return f"{member.source}: {words}"
