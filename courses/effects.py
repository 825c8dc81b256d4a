"""EQD2 and BED of one structure, of all courses together and of each: a question about one tissue, never a map.

Everything is read once on a small grid around the structure, whose voxels are those of the sum, and converted there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from courses.composite import Composite
from courses.figures import Json, curve_of, doses_of, figures_of
from courses.summing import eqd2_sum, largest_fraction_gy, physical_sum, sample_parts
from dose.biology.effect import LARGE_FRACTION_GY
from dose.biology.tissues import Tissue, Tissues, standard_tissues
from dose.errors import DoseError
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry
from dose.shapes.dvh import Dvh, dvh
from dose.shapes.structures import Structure

_AROUND = 2
"""Voxels of the sum kept around a structure: its histogram interpolates between them."""

_SLICE_MM = 5.0
"""Half of the thickest slice: so far a structure may reach beyond its end contours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effects:
    """What the doses of all courses mean for one structure.

    Parameters
    ----------
    eqd2_lql
        None where no fraction is larger than 6 Gy, and where the tissue has no transition dose.
    by_course
        Histograms of dose and EQD2 by dossier; of EQD2 None where that course is not in it.
    """

    tissue: Tissue
    is_assumed: bool
    largest_fraction_gy: float
    eqd2: Dvh
    eqd2_lql: Dvh | None
    by_course: Mapping[str, tuple[Dvh, Dvh | None]]


def tissue_of(structure: str, own: Mapping[str, float], tissues: Tissues | None = None) -> Tissue:
    """Return the tissue of a structure: alpha/beta as asked for, else that of the table."""
    found = (tissues or standard_tissues()).of(structure)
    asked = own.get(structure)
    if asked is None:
        return found
    return replace(found, alpha_beta_gy=asked, source=None, lo_gy=asked, hi_gy=asked)


def effects_on(
    structure: Structure, composite: Composite, own: Mapping[str, float], *, slice_mm: float | None
) -> Effects | None:
    """Return what the doses mean for a structure; None where no dose can be converted, or it has no histogram."""
    gathered = composite.gathered
    if all(part.not_addable for part in gathered.parts):
        return None
    geometry = around(structure, composite.total.geometry)
    samples = sample_parts(gathered, geometry)
    tissue = tissue_of(structure.name, own)
    largest = largest_fraction_gy(gathered, samples)
    courses = {part.dossier_id for part in gathered.parts}
    convertible = {part.dossier_id for part in gathered.parts if not part.not_addable}

    def histogram(total: Sum) -> Dvh:
        return histogram_of(structure, total, slice_mm=slice_mm)

    try:
        return Effects(
            tissue=tissue,
            is_assumed=structure.name not in own and not standard_tissues().has(structure.name),
            largest_fraction_gy=largest,
            eqd2=histogram(eqd2_sum(gathered, tissue, samples=samples)),
            eqd2_lql=histogram(eqd2_sum(gathered, tissue, samples=samples, lql=True))
            if largest > LARGE_FRACTION_GY and tissue.transition_gy
            else None,
            by_course={
                one: (
                    histogram(physical_sum(gathered, samples=samples, only=one)),
                    histogram(eqd2_sum(gathered, tissue, samples=samples, only=one)) if one in convertible else None,
                )
                for one in sorted(courses)
            },
        )
    except DoseError:
        return None


def histogram_of(structure: Structure, total: Sum, *, slice_mm: float | None) -> Dvh:
    """Return the histogram of a structure on a sum, with bounds and estimate."""
    return dvh(
        structure,
        total.grid,
        upper_gy=total.upper_gy,
        estimate_gy=total.estimate_gy,
        outside_gy=total.outside_gy,
        slice_mm=slice_mm,
    )


def around(structure: Structure, geometry: Geometry) -> Geometry:
    """Return the voxels of a grid that lie around a structure, two more each way; at least one voxel of the grid."""
    points = np.concatenate(structure.closed)
    index = geometry.to_index(points)
    count = np.array(geometry.shape[::-1])
    spare = _AROUND + np.ceil(_SLICE_MM / np.array(geometry.spacing_mm)).astype(int)
    first = np.clip(np.floor(index.min(axis=0)).astype(int) - spare, 0, count - 1)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int) + spare, first, count - 1)
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_points(first[np.newaxis])[0]
    columns, rows, planes = (int(n) for n in last - first + 1)
    return Geometry(shape=(planes, rows, columns), affine=affine)


def effect_rows(found: Effects | None, composite: Composite) -> Json:
    """Return the keys of a structure that tell of effect; null where nothing can be converted."""
    if found is None:
        return {"alpha_beta_gy": None, "tissue": None, "eqd2": None, "bed": None, "eqd2_lql": None, "by_course": []}
    is_open, tissue = composite.has_effect_gap, found.tissue
    to_bed = 1 + 2 / tissue.alpha_beta_gy
    eqd2 = _closed(found.eqd2, is_open=is_open)
    return {
        "alpha_beta_gy": tissue.alpha_beta_gy,
        "tissue": {
            "name": tissue.name,
            "alpha_beta_gy": tissue.alpha_beta_gy,
            "transition_gy": tissue.transition_gy,
            "source": tissue.source.citation if tissue.source else "as asked for",
            "is_assumed": found.is_assumed,
        },
        "eqd2": figures_of(eqd2, is_open=is_open),
        "bed": doses_of(eqd2, is_open=is_open, times=to_bed),
        "eqd2_lql": None if found.eqd2_lql is None else figures_of(found.eqd2_lql, is_open=is_open),
        "by_course": [_course_row(one.id, found, composite) for one in composite.dossiers],
    }


def _closed(one: Dvh, *, is_open: bool) -> Dvh:
    """While a dose is missing that nothing bounds, all of a structure counts as unknown."""
    return replace(one, unknown_cc=one.volume_cc) if is_open else one


def _course_row(dossier_id: str, found: Effects, composite: Composite) -> Json:
    shares = [share for share in composite.shares if share.dossier.id == dossier_id]
    reasons = sorted({share.reason_not_converted for share in shares if share.leaves_an_effect_gap})
    not_addable = "; ".join(reasons) or None
    told = found.by_course.get(dossier_id)
    if told is None:
        empty = {"physical": None, "eqd2": None, "curve": None}
        return {"dossier": dossier_id, **empty, "not_addable": not_addable}
    physical, eqd2 = told
    is_open = any(share.leaves_a_gap for share in shares)
    is_effect_open = any(share.leaves_an_effect_gap for share in shares)
    return {
        "dossier": dossier_id,
        "physical": doses_of(physical, is_open=is_open),
        "eqd2": None if eqd2 is None else doses_of(eqd2, is_open=is_effect_open),
        "curve": curve_of(physical, is_open=is_open),
        "not_addable": not_addable,
    }
