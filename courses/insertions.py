"""High dose rate insertions that nothing joins to the image: what they add to an organ at worst, by the D2cc of each.

Each insertion lies on images of its own. Without an accepted registration nobody knows whether its hot spot is that of
the other doses; it is customary to add D2cc in EQD2 as if it were (GEC-ESTRO, Poetter et al., Radiother Oncol 78:67,
2006), and the sum is told as the estimate. It is no strict bound, since a hot part of 1 cm3 each in two places makes
2 cm3 of neither: at most it is the sum of ``D(2/k)cc`` of all k parts, at least the largest D2cc of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from courses.biology import standard_name
from courses.composite import Composite
from courses.delivered import NotSummed, delivered_dose
from courses.drawn import drawn_in
from courses.effects import Effects
from courses.exposures import Gathered
from courses.figures import figure
from courses.gathering import Gathering
from courses.kinds import stated_kinds
from courses.reading import Reader
from courses.registration import Mapping
from courses.shares import PlanShare
from courses.summing import eqd2_sum, physical_sum, sample_parts
from courses.surroundings import around
from dose.biology.brachytherapy import why_not_fractions
from dose.biology.tissues import Tissue
from dose.errors import DoseError
from dose.grids.union import extended
from dose.shapes.dvh import Dvh, Figure, dvhs_on
from dose.shapes.structures import Structure

Json = dict[str, Any]

_HOT_CC = 2.0
_NO_WAY = "LG-REG-"
"""What codes of doses begin with that nothing joins to the image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Insertion:
    """The dose of one plan on its own images, and what is drawn there."""

    share: PlanShare
    gathered: Gathered
    structures: tuple[Structure, ...]


def unjoined_insertions(composite: Composite, reader: Reader) -> tuple[Insertion, ...]:
    """Return the high dose rate plans whose dose is missing in the sum for want of a registration alone."""
    found = (_insertion(share, composite, reader) for share in composite.shares if _is_unjoined(share))
    return tuple(one for one in found if one is not None)


def _is_unjoined(share: PlanShare) -> bool:
    is_brachy = share.plan.modality == "brachy" and not why_not_fractions(share.plan.header.brachy_treatment)
    return is_brachy and share.leaves_a_gap and share.code.startswith(_NO_WAY)


def _insertion(share: PlanShare, composite: Composite, reader: Reader) -> Insertion | None:
    dose = delivered_dose(share.plan, as_planned=share.as_planned)
    if isinstance(dose, NotSummed):
        return None
    frames = {one.held.header.frame_uid for one in dose.grids}
    if len(frames) != 1:
        return None
    gathering = Gathering(
        dose_type="PHYSICAL",
        join=lambda _frame, _dossier: Mapping(kind="identity", is_approved=True),
        reader=reader,
        stated=stated_kinds(composite.record),
        as_planned=share.as_planned,
    )
    gathering.take(share.dossier, dose)
    parts, frame = gathering.counting(), frames.pop()
    if not parts:
        return None
    grids = [(part.grid.geometry, part.transform) for part in parts]
    gathered = Gathered(
        record=composite.record,
        onto=share.dossier,
        geometry=extended(min((one for one, _ in grids), key=lambda one: one.voxel_cc), grids),
        frame_uid=frame,
        exposures=gathering.exposures(),
        shares=tuple(gathering.shares),
        dose_type="PHYSICAL",
    )
    return Insertion(share=share, gathered=gathered, structures=drawn_in(share.dossier, frame, reader).structures)


def insertion_rows(
    organs: Sequence[tuple[Structure, Tissue, Effects | None]],
    insertions: Sequence[Insertion],
    shares: Sequence[PlanShare],
) -> list[Json]:
    """Return ``brachytherapy``: for each organ the sum and every insertion apart, and both together at worst.

    Parameters
    ----------
    organs
        Of the image, with what the doses in the sum mean for them.
    shares
        All plans of the composite: whatever else is missing in it leaves nothing bounded.
    """
    if not insertions:
        return []
    apart = {one.share.plan.uid for one in insertions}
    has_other_gap = any(one.leaves_an_effect_gap for one in shares if one.plan.uid not in apart)
    return [_row(*organ, insertions, has_other_gap=has_other_gap) for organ in organs]


def _row(
    structure: Structure,
    tissue: Tissue,
    effects: Effects | None,
    insertions: Sequence[Insertion],
    *,
    has_other_gap: bool,
) -> Json:
    drawn = [_doses(structure, tissue, one) for one in insertions]
    summed = None if effects is None else effects.eqd2
    parts = [summed, *(found and found[1] for found in drawn)]
    return {
        "structure": structure.name,
        "alpha_beta_gy": tissue.alpha_beta_gy,
        "sum_d2cc_eqd2_gy": None if summed is None else figure(summed.d_cc(_HOT_CC)),
        "insertions": [
            {
                "dossier": one.share.dossier.id,
                "plan": one.share.plan.uid,
                "label": one.share.plan.header.label,
                "fractions": sum(exposure.fractions for exposure in one.gathered.exposures),
                "d2cc_gy": None if found is None else figure(found[0].d_cc(_HOT_CC)),
                "d2cc_eqd2_gy": None if found is None else figure(found[1].d_cc(_HOT_CC)),
            }
            for one, found in zip(insertions, drawn, strict=True)
        ],
        "together_d2cc_eqd2_gy": worst_d2cc([part for part in parts if part], is_open=has_other_gap or None in parts),
    }


def _doses(structure: Structure, tissue: Tissue, insertion: Insertion) -> tuple[Dvh, Dvh] | None:
    """Return dose and EQD2 in the structure of that name on the images of an insertion; None where none is drawn."""
    wanted = standard_name(structure.name)
    twin = next((one for one in insertion.structures if standard_name(one.name) == wanted), None)
    if twin is None:
        return None
    samples = sample_parts(insertion.gathered, around(twin, insertion.gathered.geometry))
    sums = [physical_sum(insertion.gathered, samples=samples), eqd2_sum(insertion.gathered, tissue, samples=samples)]
    try:
        physical, effect = dvhs_on(twin, sums)
    except DoseError:
        return None
    return physical, effect


def worst_d2cc(parts: Sequence[Dvh], *, is_open: bool = False) -> Json:
    """Return D2cc of parts that nothing joins: the customary sum as estimate, between what it is at least and at most.

    Whoever is in the hottest 2 cm3 of a sum is in the hottest ``2/k`` cm3 of one of its k parts, or below all of their
    doses: ``D2(A + B) <= D1(A) + D1(B)``.

    Parameters
    ----------
    is_open
        Whether a part is missing: then only the lower bound is told.
    """
    told = [part.d_cc(_HOT_CC) for part in parts]
    lo = max((one.lo for one in told), default=0.0)
    if is_open or not parts:
        return {"value": None, "lo": round(lo, 4), "hi": None, "estimate": None}
    estimate = sum(_probable(one) for one in told)
    hi = max(estimate, sum(part.d_cc(_HOT_CC / len(parts)).hi for part in parts))
    return figure(Figure(value=None, lo=lo, hi=hi, estimate=estimate))


def _probable(one: Figure) -> float:
    """Return the best estimate of a figure; the upper bound where there is none."""
    told = one.value if one.value is not None else one.estimate
    return one.hi if told is None else told
