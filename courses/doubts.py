"""Ensemble, search radius and overlap classes of a composite, for its answer: what they need is found here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from courses.composite import Composite
from courses.exposures import Gathered
from courses.overlap import (
    Irradiated,
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
from courses.uncertainty import Doubts, Quantity, figures_of, search_radius, vary
from courses.uncertainty_answers import search_rows, uncertainty_rows
from dose.biology.tissues import Tissue
from dose.errors import DoseError
from dose.grids.grid import DoseGrid
from dose.grids.sampling import sample
from dose.shapes.dvh import Dvh
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
    composite: Composite, organs: Sequence[tuple[Structure, Tissue, float | None]], *, rules: OverlapRules | None = None
) -> tuple[Overlap, ...]:
    """Return how every two courses of a composite meet.

    Parameters
    ----------
    organs
        Structure, tissue, and the cumulative limit of its D0.1cc in EQD2 with the alpha/beta of the tissue, where there
        is one.
    """
    used = rules or overlap_rules()
    gathered = composite.gathered
    volumes = irradiated(gathered, used)
    shares = [share for one in organs if (share := _organ_share(*one, gathered, volumes)) is not None]
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
            "rules": used.version,
        }
        for one in found
    ]
    courses = dict.fromkeys(one.later for one in found)
    classes = {course: told.value for course in courses if (told := class_of_course(course, found))}
    return {"overlap": rows, "overlap_class": classes}


def _organ_share(
    structure: Structure,
    tissue: Tissue,
    limit_gy: float | None,
    gathered: Gathered,
    volumes: Mapping[str, Irradiated],
) -> OrganShare | None:
    try:
        cells = cells_of(structure, gathered.geometry, count=_CELLS)
    except DoseError:
        return None
    samples = sample_parts(gathered, cells.geometry)

    def near_maximum(only: str) -> float:
        return _near_maximum(gathered, tissue, samples, cells, only)

    return OrganShare(
        name=structure.name,
        by_course_gy={key: near_maximum(key) for key in volumes},
        together_gy=near_maximum(""),
        limit_gy=limit_gy,
        irradiated_by=frozenset(key for key, one in volumes.items() if _meets(one, cells)),
    )


def _near_maximum(gathered: Gathered, tissue: Tissue, samples: Samples, cells: Cells, only: str) -> float:
    doses = cells.read(eqd2_sum(gathered, tissue, samples=samples, only=only).estimate_gy)
    figures = figures_of(doses, cells.cc)
    return figures.get(_NEAR_MAXIMUM, figures["max_gy"])


def _meets(volume: Irradiated, cells: Cells) -> bool:
    """Whether an irradiated volume reaches into a structure."""
    probable = DoseGrid(dose_gy=volume.probable.astype("float32"), geometry=volume.geometry)
    return bool((cells.read(sample(probable, cells.geometry).values) >= 0.5).any())
