"""EQD2 and BED of one structure, of all courses together and of each: a question about one tissue, never a map.

Everything is read once on a small grid around the structure, whose voxels are those of the sum, and converted there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from courses.biology import is_asked, standard_name, tissue_of
from courses.composite import Composite
from courses.figures import Json, curve_of, doses_of, figures_of
from courses.summing import eqd2_sum, largest_fraction_gy, physical_sum, sample_parts
from courses.surroundings import around
from dose.biology.effect import LARGE_FRACTION_GY
from dose.biology.repair import HalfTime
from dose.biology.tissues import Tissue, Tissues
from dose.errors import DoseError
from dose.shapes.dvh import Dvh, dvhs_on
from dose.shapes.structures import Structure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effects:
    """What the doses of all courses mean for one structure.

    Parameters
    ----------
    eqd2_lql
        None where no fraction is larger than 6 Gy, and where the tissue has no transition dose.
    eqd2_unrepaired, half_time
        With incomplete repair between close sessions; None where there are none.
    by_course
        Histograms of dose and EQD2 by dossier; of EQD2 None where that course is not in it.
    """

    tissue: Tissue
    is_assumed: bool
    largest_fraction_gy: float
    eqd2: Dvh
    eqd2_lql: Dvh | None
    eqd2_unrepaired: Dvh | None
    half_time: HalfTime | None
    by_course: Mapping[str, tuple[Dvh, Dvh | None]]


def effects_on(
    structure: Structure,
    composite: Composite,
    tissues: Tissues,
    *,
    asked: Mapping[str, float] | None = None,
    slice_mm: float | None = None,
) -> Effects | None:
    """Return what the doses mean for a structure; None where no dose can be converted, or it has no histogram.

    Parameters
    ----------
    tissues
        The department's table.
    asked
        Alpha/beta by name of the structure, Gy, as asked for in this question; it goes before the table.
    slice_mm
        Distance of the image slices, for structures drawn on a single one.
    """
    gathered = composite.gathered
    if all(part.not_addable for part in gathered.parts):
        return None
    samples = sample_parts(gathered, around(structure, composite.total.geometry))
    tissue = tissue_of(structure.name, tissues, asked)
    largest = largest_fraction_gy(gathered, samples)
    convertible = {part.dossier_id for part in gathered.parts if not part.not_addable}
    sums = {("eqd2", ""): eqd2_sum(gathered, tissue, samples=samples)}
    if largest > LARGE_FRACTION_GY and tissue.transition_gy:
        sums["lql", ""] = eqd2_sum(gathered, tissue, samples=samples, lql=True)
    half_time = tissues.half_times.of(standard_name(structure.name)) if gathered.has_close_sessions else None
    if half_time is not None:
        sums["unrepaired", ""] = eqd2_sum(gathered, tissue, samples=samples, repair_half_time_h=half_time.hours)
    courses = sorted({part.dossier_id for part in gathered.parts})
    for one in courses:
        sums["physical", one] = physical_sum(gathered, samples=samples, only=one)
        if one in convertible:
            sums["eqd2", one] = eqd2_sum(gathered, tissue, samples=samples, only=one)
    try:
        made = dict(zip(sums, dvhs_on(structure, list(sums.values()), slice_mm=slice_mm), strict=True))
    except DoseError:
        return None
    return Effects(
        tissue=tissue,
        is_assumed=not (is_asked(structure.name, asked) or tissues.has(standard_name(structure.name))),
        largest_fraction_gy=largest,
        eqd2=made["eqd2", ""],
        eqd2_lql=made.get(("lql", "")),
        eqd2_unrepaired=made.get(("unrepaired", "")),
        half_time=half_time,
        by_course={one: (made["physical", one], made.get(("eqd2", one))) for one in courses},
    )


def effect_rows(found: Effects | None, composite: Composite) -> Json:
    """Return the keys of a structure that tell of effect; null where nothing can be converted."""
    if found is None:
        nothing = dict.fromkeys(
            ("alpha_beta_gy", "tissue", "eqd2", "bed", "eqd2_lql", "eqd2_incomplete_repair", "repair")
        )
        return {**nothing, "by_course": []}
    is_open, tissue = composite.has_effect_gap, found.tissue
    unrepaired, half_time = found.eqd2_unrepaired, found.half_time
    to_bed = 1 + 2 / tissue.alpha_beta_gy
    eqd2 = _closed(found.eqd2, is_open=is_open)
    return {
        "alpha_beta_gy": tissue.alpha_beta_gy,
        "tissue": {
            "name": tissue.name,
            "alpha_beta_gy": tissue.alpha_beta_gy,
            "transition_gy": tissue.transition_gy,
            "source": tissue.source.citation if tissue.source else None,
            "is_assumed": found.is_assumed,
        },
        "eqd2": figures_of(eqd2, is_open=is_open),
        "bed": doses_of(eqd2, is_open=is_open, times=to_bed),
        "eqd2_lql": None if found.eqd2_lql is None else figures_of(found.eqd2_lql, is_open=is_open),
        "eqd2_incomplete_repair": unrepaired and figures_of(_closed(unrepaired, is_open=is_open), is_open=is_open),
        "repair": half_time and {"half_time_h": half_time.hours, "source": str(half_time.source)},
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
