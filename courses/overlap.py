"""The class of a re-irradiation after the ESTRO/EORTC consensus, found from the dose grids themselves.

| class | when |
| --- | --- |
| ``type_1`` | The irradiated volumes of two courses overlap |
| ``type_2`` | They do not, but the cumulative dose of an organ both concern comes near one of its limits |
| ``repeat_organ`` | Neither, but both courses irradiated the same organ |
| ``repeat`` | None of these |
| ``unknown`` | Grids do not reach far enough to tell; bounds and the likely class are given |

(Andratschke et al., Lancet Oncol 23:e469, 2022.) The consensus leaves open what an irradiated volume is; `overlap.toml`
says what is taken here.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from archive.assembly.delivery import parse_date
from courses.exposures import Gathered
from courses.summing import physical_sum
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry, Mask, Volume

_MOST_VOXELS = 6_000_000
"""Finer grids are thinned out: classes depend on cubic centimetres."""


Bound = Literal["lo", "estimate", "hi"]
"""Which of the three figures of whatever is known between bounds."""


class OverlapClass(StrEnum):
    """See the table of the module."""

    TYPE_1 = "type_1"
    TYPE_2 = "type_2"
    REPEAT_ORGAN = "repeat_organ"
    REPEAT = "repeat"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRules:
    """The values of `overlap.toml`."""

    version: str
    source: str
    isodose_percent: float
    largest_in_cc: float
    smallest_overlap_cc: float
    organ_eqd2_gy: float
    concern_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Treated:
    """When a course was treated: DA of its first and last fraction, empty where nobody knows."""

    dossier_id: str
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How much of one limit all courses together have used up, in the metric and quantity of that limit.

    Parameters
    ----------
    limit, metric, quantity
        Name of its row, and what it is told in.
    lo, estimate, hi
        Part of the limit, 1 where it is reached; of a critical volume the least volume over the one spared. `hi` is
        infinite where nothing bounds it.
    """

    limit: str
    metric: str
    quantity: str
    lo: float
    estimate: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganShare:
    """What courses give to one organ.

    Parameters
    ----------
    by_course_gy
        EQD2 of its hottest 0.1 cm3, by dossier id.
    uses
        Each active limit of the chosen set that is for the organ, in its own terms.
    irradiated_by
        Dossiers whose irradiated volume meets it.
    """

    name: str
    by_course_gy: Mapping[str, float]
    uses: tuple[LimitUse, ...]
    irradiated_by: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How two courses meet.

    Parameters
    ----------
    earlier, later
        Dossier ids.
    interval_days
        From the last fraction of the earlier to the first of the later; None where a date is missing.
    likely
        The class by the best estimate, where the class itself is unknown; else the class.
    lo_cc, estimate_cc, hi_cc
        Volume irradiated by both: certainly, probably, at most within the grid.
    isodose_gy
        What counted as irradiated, by dossier id.
    organs
        Those that make the class, or that both courses concern.
    uses
        Limits of organs that both courses concern, by name of the organ.
    """

    earlier: str
    later: str
    interval_days: int | None
    found: OverlapClass
    likely: OverlapClass
    lo_cc: float
    estimate_cc: float
    hi_cc: float
    isodose_gy: Mapping[str, float]
    organs: tuple[str, ...]
    uses: tuple[tuple[str, LimitUse], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Irradiated:
    """What one course irradiated: certainly, probably, at most.

    Parameters
    ----------
    isodose_gy
        The dose from which on a place counts.
    """

    geometry: Geometry
    isodose_gy: float
    certain: Mask
    probable: Mask
    possible: Mask


@cache
def overlap_rules(own: Path | None = None) -> OverlapRules:
    """Return the rules of the department, or those that come with the program."""
    path = own or Path(__file__).with_name("overlap.toml")
    return OverlapRules(**tomllib.loads(path.read_text(encoding="utf-8")))


def irradiated(gathered: Gathered, rules: OverlapRules) -> dict[str, Irradiated]:
    """Return the irradiated volume of each course, by dossier id, on one grid."""
    geometry = thinned(gathered.geometry)
    found = {}
    for dossier_id in dict.fromkeys(one.dossier_id for one in gathered.exposures):
        total = physical_sum(gathered, geometry, only=dossier_id)
        level = rules.isodose_percent / 100 * _largest(total, rules.largest_in_cc)
        if level > 0:
            found[dossier_id] = Irradiated(
                geometry=geometry,
                isodose_gy=level,
                certain=total.lower_gy >= level,
                probable=total.estimate_gy >= level,
                possible=total.upper_gy >= level,
            )
    return found


def overlaps(
    courses: Sequence[Treated],
    volumes: Mapping[str, Irradiated],
    organs: Sequence[OrganShare],
    rules: OverlapRules,
    *,
    missing: frozenset[str] = frozenset(),
) -> tuple[Overlap, ...]:
    """Return how every two courses meet, in the order of treatment.

    Parameters
    ----------
    missing
        Courses of which a dose is missing altogether: what they irradiated can't be told.
    """
    ordered = sorted(courses, key=lambda one: (one.first or one.last, one.dossier_id))
    return tuple(
        _pair(earlier, later, volumes, organs, rules, is_open=bool(missing & {earlier.dossier_id, later.dossier_id}))
        for n, later in enumerate(ordered)
        for earlier in ordered[:n]
        if {earlier.dossier_id, later.dossier_id} <= volumes.keys() | missing
    )


def class_of_course(dossier_id: str, found: Sequence[Overlap]) -> OverlapClass | None:
    """Return the class of a course against all before it, the gravest; None for a first course.

    Unknown goes before anything but a certain overlap: what can't be told may be one.
    """
    classes = [one.found for one in found if one.later == dossier_id]
    order = [
        OverlapClass.TYPE_1,
        OverlapClass.UNKNOWN,
        OverlapClass.TYPE_2,
        OverlapClass.REPEAT_ORGAN,
        OverlapClass.REPEAT,
    ]
    return min(classes, key=order.index, default=None)


def _pair(
    earlier: Treated,
    later: Treated,
    volumes: Mapping[str, Irradiated],
    organs: Sequence[OrganShare],
    rules: OverlapRules,
    *,
    is_open: bool,
) -> Overlap:
    one, other = volumes.get(earlier.dossier_id), volumes.get(later.dossier_id)
    lo = estimate = hi = 0.0
    if one and other:
        cc = one.geometry.voxel_cc
        lo = float(np.count_nonzero(one.certain & other.certain)) * cc
        estimate = float(np.count_nonzero(one.probable & other.probable)) * cc
        hi = float(np.count_nonzero(one.possible & other.possible)) * cc
    pair = frozenset({earlier.dossier_id, later.dossier_id})
    likely, names = _class(estimate, pair, organs, rules, "estimate")
    least, most = _class(lo, pair, organs, rules, "lo")[0], _class(hi, pair, organs, rules, "hi")[0]
    is_certain = least is OverlapClass.TYPE_1 or (least is most and not is_open)
    return Overlap(
        earlier=earlier.dossier_id,
        later=later.dossier_id,
        interval_days=_days(parse_date(earlier.last), parse_date(later.first)),
        found=likely if is_certain else OverlapClass.UNKNOWN,
        likely=likely,
        lo_cc=lo,
        estimate_cc=estimate,
        hi_cc=hi,
        isodose_gy={key: volumes[key].isodose_gy for key in sorted(pair & volumes.keys())},
        organs=names,
        uses=tuple((one.name, use) for one in _both(pair, organs, rules) for use in one.uses),
    )


def _both(pair: frozenset[str], organs: Sequence[OrganShare], rules: OverlapRules) -> list[OrganShare]:
    """Return the organs that both courses concern."""
    return [one for one in organs if all(one.by_course_gy.get(key, 0.0) >= rules.organ_eqd2_gy for key in pair)]


def _class(
    overlap_cc: float, pair: frozenset[str], organs: Sequence[OrganShare], rules: OverlapRules, bound: Bound
) -> tuple[OverlapClass, tuple[str, ...]]:
    """Return the class for an overlap of known size and doses at one of their bounds, and the organs it speaks of."""
    both = _both(pair, organs, rules)
    if overlap_cc >= rules.smallest_overlap_cc:
        return OverlapClass.TYPE_1, tuple(one.name for one in both if pair <= one.irradiated_by)
    share = rules.concern_percent / 100
    concern = [one.name for one in both if any(getattr(use, bound) >= share for use in one.uses)]
    if concern:
        return OverlapClass.TYPE_2, tuple(concern)
    same = [one.name for one in organs if pair <= one.irradiated_by]
    return (OverlapClass.REPEAT_ORGAN, tuple(same)) if same else (OverlapClass.REPEAT, ())


def _days(last: date | None, first: date | None) -> int | None:
    return (first - last).days if last and first else None


def _largest(total: Sum, cc: float) -> float:
    """Return the smallest dose of the hottest voxels that make so many cm3, of what is known."""
    doses: Volume = total.lower_gy.reshape(-1)
    count = min(max(round(cc / total.geometry.voxel_cc), 1), doses.size)
    return float(np.partition(doses, doses.size - count)[doses.size - count])


def thinned(geometry: Geometry) -> Geometry:
    """Return every second voxel of a grid along each axis, as often as it has too many."""
    while int(np.prod(geometry.shape)) > _MOST_VOXELS:
        nz, ny, nx = geometry.shape
        affine = geometry.affine.copy()
        affine[:3, :3] *= 2
        geometry = Geometry(shape=((nz + 1) // 2, (ny + 1) // 2, (nx + 1) // 2), affine=affine)
    return geometry
