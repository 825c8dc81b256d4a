"""Ensemble, search radius and overlap classes of a composite, for its answer: what they need is found here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from courses.candidate import Organ
from courses.composite import Composite
from courses.exposures import Gathered
from courses.overlap import (
    Irradiated,
    LimitUse,
    OrganShare,
    Overlap,
    OverlapRules,
    Treated,
    class_of_course,
    irradiated,
    overlap_rules,
    overlaps,
)
from courses.shares import PlanShare
from courses.summing import Samples, eqd2_sum, sample_parts
from courses.surroundings import around
from courses.uncertainty import Doubts, Quantity, figures_of, search_radius, vary
from courses.uncertainty_answers import search_rows, uncertainty_rows
from dose.biology.limits import Limit
from dose.biology.tissues import Tissue
from dose.errors import DoseError
from dose.grids.grid import DoseGrid
from dose.grids.sampling import sample
from dose.shapes.dvh import Dvh, Figure, dvhs_on
from dose.shapes.lattice import Cells, cells_of
from dose.shapes.structures import Structure

Json = dict[str, Any]

_CELLS = 5_000
_NEAR_MAXIMUM = "d0_1cc_gy"


def doubt_rows(
    structure: Structure,
    gathered: Gathered,
    doubts: Doubts,
    histograms: Mapping[Quantity, Dvh],
    *,
    slice_mm: float | None = None,
    is_open: bool = False,
) -> Json:
    """Return ``ensemble``, ``search_radius`` and ``sum_of_maxima_gy`` of a structure; null where it has no volume."""
    try:
        ensemble = uncertainty_rows(vary(structure, gathered, doubts, slice_mm=slice_mm), histograms, is_open=is_open)
        physical = search_radius(structure, gathered, None, slice_mm=slice_mm)
        effect = search_radius(structure, gathered, doubts.tissue, slice_mm=slice_mm) if "eqd2" in histograms else None
    except DoseError:
        return {"ensemble": None, "search_radius": None, "sum_of_maxima_gy": None}
    searched = search_rows(physical, effect)
    return {
        "ensemble": ensemble,
        "search_radius": searched,
        "sum_of_maxima_gy": {
            quantity: told["sum_of_maxima_gy"] if told else None for quantity, told in searched.items()
        },
    }


def measured_errors_mm(shares: Iterable[PlanShare]) -> dict[str, float]:
    """Return by dossier id the mean error measured of its registrations on landmarks, the largest of its plans."""
    found: dict[str, float] = {}
    for share in shares:
        quality = share.mapping.quality if share.mapping else None
        if quality is not None and quality.tre_mean_mm is not None:
            found[share.dossier.id] = max(found.get(share.dossier.id, 0.0), quality.tre_mean_mm)
    return found


def found_overlaps(
    composite: Composite, organs: Sequence[Organ], *, rules: OverlapRules | None = None
) -> tuple[Overlap, ...]:
    """Return how every two courses of a composite meet.

    Parameters
    ----------
    organs
        With the limits of the chosen set that are for them: each active one is looked at in its own terms.
    """
    used = rules or overlap_rules()
    gathered = composite.gathered
    volumes = irradiated(gathered, used)
    is_open = composite.has_effect_gap
    shares = [share for one in organs if (share := organ_share(one, gathered, volumes, is_open=is_open)) is not None]
    courses = [
        Treated(dossier_id=one.id, first=one.first_fraction or "", last=one.last_fraction or "")
        for one in composite.dossiers
    ]
    missing = frozenset(share.dossier.id for share in composite.shares if share.leaves_a_gap)
    return overlaps(courses, volumes, shares, used, missing=missing)


def overlap_rows(found: Sequence[Overlap], rules: OverlapRules | None = None) -> Json:
    """Return the top-level ``overlap``, and by dossier id what stands in ``courses[].overlap_class``."""
    used = rules or overlap_rules()
    rows = [
        {
            "earlier": one.earlier,
            "later": one.later,
            "interval_days": one.interval_days,
            "class": one.found.value,
            "likely": one.likely.value,
            "overlap_cc": {"lo": round(one.lo_cc, 2), "estimate": round(one.estimate_cc, 2), "hi": round(one.hi_cc, 2)},
            "isodose_percent": used.isodose_percent,
            "isodose_gy": {key: round(value, 3) for key, value in one.isodose_gy.items()},
            "organs": list(one.organs),
            "limits": [_use_row(organ, use) for organ, use in one.uses],
            "concern_percent": used.concern_percent,
            "rules": used.version,
        }
        for one in found
    ]
    courses = dict.fromkeys(one.later for one in found)
    classes = {course: told.value for course in courses if (told := class_of_course(course, found))}
    return {"overlap": rows, "overlap_class": classes}


def organ_share(
    organ: Organ, gathered: Gathered, volumes: Mapping[str, Irradiated], *, is_open: bool = False
) -> OrganShare | None:
    """Return what the courses give to an organ and how much of each active limit they use; None where it has no volume.

    Parameters
    ----------
    is_open
        Whether a dose is missing that nothing bounds.
    """
    try:
        cells = cells_of(organ.structure, gathered.geometry, count=_CELLS)
        uses = _limit_uses(organ, gathered, is_open=is_open)
    except DoseError:
        return None
    samples = sample_parts(gathered, cells.geometry)
    return OrganShare(
        name=organ.structure.name,
        by_course_gy={key: _near_maximum(gathered, organ.tissue, samples, cells, key) for key in volumes},
        uses=uses,
        irradiated_by=frozenset(key for key, one in volumes.items() if _meets(one, cells)),
    )


def _limit_uses(organ: Organ, gathered: Gathered, *, is_open: bool) -> tuple[LimitUse, ...]:
    active = [limit for limit in organ.limits if limit.is_active]
    if not active:
        return ()
    samples = sample_parts(gathered, around(organ.structure, gathered.geometry))
    sums = [eqd2_sum(gathered, limit.tissue, samples=samples) for limit in active]
    made = dvhs_on(organ.structure, sums, slice_mm=organ.slice_mm)
    return tuple(_use(limit, limit.metric.of(one), is_open=is_open) for limit, one in zip(active, made, strict=True))


def _use(limit: Limit, figure: Figure, *, is_open: bool) -> LimitUse:
    estimate = figure.value if figure.value is not None else figure.estimate
    told = (figure.lo, figure.hi if estimate is None else estimate, figure.hi)
    if limit.at_most is not None:
        parts = [value * limit.per_eqd2 / limit.at_most for value in told]
    else:
        least = limit.at_least or 0.0
        parts = [least / value if value > 0 else math.inf for value in reversed(told)]
    return LimitUse(
        limit=limit.name,
        metric=str(limit.metric),
        quantity=limit.quantity,
        lo=parts[0],
        estimate=parts[1],
        hi=math.inf if is_open else parts[2],
    )


def _use_row(organ: str, use: LimitUse) -> Json:
    parts = {name: getattr(use, name) for name in ("lo", "estimate", "hi")}
    return {
        "structure": organ,
        "limit": use.limit,
        "metric": use.metric,
        "quantity": use.quantity,
        "used": {name: round(part, 4) if math.isfinite(part) else None for name, part in parts.items()},
    }


def _near_maximum(gathered: Gathered, tissue: Tissue, samples: Samples, cells: Cells, only: str) -> float:
    doses = cells.read(eqd2_sum(gathered, tissue, samples=samples, only=only).estimate_gy)
    figures = figures_of(doses, cells.cc)
    return figures.get(_NEAR_MAXIMUM, figures["max_gy"])


def _meets(volume: Irradiated, cells: Cells) -> bool:
    """Whether an irradiated volume reaches into a structure."""
    probable = DoseGrid(dose_gy=volume.probable.astype("float32"), geometry=volume.geometry)
    return bool((cells.read(sample(probable, cells.geometry).values) >= 0.5).any())
