"""Gamma index of two doses in three dimensions (Low et al., Med Phys 25:656, 1998).

For every voxel of the reference the other dose is searched on shells around it, a tenth of the distance criterion apart
(Wendling et al., Med Phys 34:1647, 2007), interpolated trilinearly. Of their places only those are read that can have
the least gamma: interpolation keeps within what the voxels around are off a linear dose, which rules out most. The best
place found is then refined in closed form for the linear dose around it, as Ju et al. (Med Phys 35:879, 2008) do for
simplices; so steep gradients are met between the sampled places too.

No reference voxel is skipped in silence: each has a value, lies below the cut-off, or is counted as unknown.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from dose.comparing.searching import Shells, search
from dose.compiled import spread
from dose.errors import BadCriteria
from dose.grids.grid import DoseGrid, Points, Volume
from dose.grids.transforms import Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What counts as equal.

    Parameters
    ----------
    dose_percent, distance_mm
        Dose difference and distance to agreement.
    is_local
        Percent of the reference dose at each voxel; else of `normal_gy`.
    normal_gy
        Dose of 100 %; None: the largest known reference dose.
    cutoff_percent
        Reference voxels below this part of `normal_gy` are left out.
    max_gamma
        The search ends here; larger values are given as this one.
    steps
        Shells per distance criterion.
    is_refined
        Whether places between the sampled ones are searched; programs that only sample find the same without it.
    """

    dose_percent: float = 3.0
    distance_mm: float = 3.0
    is_local: bool = False
    normal_gy: float | None = None
    cutoff_percent: float = 10.0
    max_gamma: float = 2.0
    steps: int = 10
    is_refined: bool = True

    def __post_init__(self) -> None:
        above_zero = (self.dose_percent, self.distance_mm, self.max_gamma, float(self.steps))
        if not all(isfinite(one) and one > 0 for one in above_zero) or not 0 <= self.cutoff_percent < 100:
            raise BadCriteria(f"A gamma comparison can't be made with {self}.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gamma:
    """Gamma at the voxels of the reference.

    Parameters
    ----------
    values
        ``[z, y, x]``; NaN where there is none. Where `undecided` it is an upper bound.
    below_cutoff
        Reference voxels below the cut-off.
    unknown
        Reference voxels above it without a value: their own dose is unknown, or no known dose is within reach.
    undecided
        Voxels that fail while some dose within the distance criterion is unknown, so that they might pass.
    """

    values: Volume
    below_cutoff: int
    unknown: int
    undecided: int

    @property
    def evaluated(self) -> int:
        """Voxels with a value."""
        return int(np.isfinite(self.values).sum())

    @property
    def passed(self) -> int:
        """Voxels with a gamma of at most one."""
        return int((self.values <= 1).sum())

    @property
    def pass_percent(self) -> float | None:
        """Part of the voxels that pass; None where unknown dose could change it, or nothing was compared."""
        lo, hi = self.pass_percent_bounds
        return lo if lo == hi and self.evaluated else None

    @property
    def pass_percent_bounds(self) -> tuple[float, float]:
        """Bounds: all voxels that are unknown or undecided fail, or all of them pass."""
        count = self.evaluated + self.unknown
        if not count:
            return 0.0, 100.0
        return 100 * self.passed / count, 100 * (self.passed + self.unknown + self.undecided) / count


def gamma(reference: DoseGrid, evaluated: DoseGrid, criteria: Criteria, *, transform: Transform | None = None) -> Gamma:
    """Compare a dose with a reference.

    Parameters
    ----------
    reference
        Each of its voxels gets a value.
    evaluated
        Searched around each; on a grid of its own, in any orientation.
    transform
        From the frame of the reference (fixed) to that of the other dose (moving); None: they share one. Distances are
        measured in the latter.

    Raises
    ------
    BadCriteria
        The reference has no dose to normalise to.
    """
    normal = reference.max_gy if criteria.normal_gy is None else criteria.normal_gy
    if not (isfinite(normal) and normal > 0):
        raise BadCriteria(f"{normal} Gy can't be 100 % of a gamma comparison.")
    cutoff = criteria.cutoff_percent / 100 * normal
    known = np.ones(reference.dose_gy.shape, np.bool_) if reference.known is None else reference.known
    asked = np.flatnonzero(
        known & (reference.dose_gy >= cutoff) & (reference.dose_gy > 0 if criteria.is_local else True)
    )
    values = np.full(reference.dose_gy.size, np.nan, dtype=np.float32)
    undecided = _search_all(reference, evaluated, criteria, transform, (asked, values, normal))
    unknown = int((~known).sum()) + int(np.isnan(values[asked]).sum())
    return Gamma(
        values=values.reshape(reference.dose_gy.shape),
        below_cutoff=reference.dose_gy.size - len(asked) - int((~known).sum()),
        unknown=unknown,
        undecided=undecided,
    )


def _search_all(
    reference: DoseGrid,
    evaluated: DoseGrid,
    criteria: Criteria,
    transform: Transform | None,
    wanted: tuple[npt.NDArray[np.intp], Volume, float],
) -> int:
    """Fill in the values of all voxels asked for, on all processors; return how many are undecided."""
    asked, values, normal = wanted
    geometry = evaluated.geometry
    shells = _shells(criteria, geometry.inverse[:3, :3])
    dose = np.require(evaluated.dose_gy, np.float32, ("C", "W"))
    nothing = np.empty((0, 0, 0), np.bool_)
    known = nothing if evaluated.known is None else np.require(evaluated.known, np.bool_, ("C", "W"))
    flat = reference.dose_gy.ravel()
    _, rows, columns = reference.geometry.shape
    to_index = np.ascontiguousarray(geometry.inverse[:3, :3].T)
    passed = np.sqrt(np.square(to_index).sum(axis=0))
    turns = to_index, to_index.T.copy(), np.ascontiguousarray(geometry.affine[:3, :3].T), passed
    limits = (criteria.dose_percent / 100, criteria.distance_mm, criteria.max_gamma, criteria.is_refined)

    def work(start: int, stop: int) -> int:
        part = asked[start:stop]
        plane, rest = np.divmod(part, rows * columns)
        row, column = np.divmod(rest, columns)
        points: Points = reference.geometry.to_points(np.column_stack([column, row, plane]))
        at = geometry.to_index(points if transform is None else transform.to_moving(points))
        doses = flat[part].astype(np.float64)
        scale = doses if criteria.is_local else np.full(len(part), normal)
        found, open_ones = search(np.ascontiguousarray(at), doses, scale, dose, known, shells, limits, turns)
        values[part] = found
        return open_ones

    return spread(work, len(asked), at_most=50_000)


def _shells(criteria: Criteria, to_index: npt.NDArray[np.float64]) -> Shells:
    """Shells from the middle outward: their radii, where each ends, and the steps to their places in voxels."""
    step = criteria.distance_mm / criteria.steps
    count = int(np.floor(criteria.max_gamma * criteria.steps + 1e-9))
    radii = step * np.arange(count + 1)
    places = [sphere_places(float(radius), step) for radius in radii]
    ends = np.cumsum([len(one) for one in places], dtype=np.int64)
    return radii.astype(np.float64), ends, np.ascontiguousarray(np.concatenate(places) @ to_index.T)


def sphere_places(radius: float, step: float) -> Points:
    """Places on a sphere no further than `step` apart along its circles of latitude and from one to the next."""
    rings = int(np.ceil(np.pi * radius / step)) + 1
    places = []
    for polar in np.linspace(0, np.pi, rings):
        around = int(np.ceil(2 * np.pi * radius * np.sin(polar) / step)) + 1
        angle = np.arange(around) * 2 * np.pi / around
        flat = radius * np.sin(polar)
        height = np.full(around, radius * np.cos(polar))
        places.append(np.column_stack([flat * np.cos(angle), flat * np.sin(angle), height]))
    return np.concatenate(places)
