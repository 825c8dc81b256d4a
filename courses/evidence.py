"""Computes dose evidence: what the gate needs to know of the planned dose of each plan (`archive.evidence`)."""

from dataclasses import replace
from typing import Final

from archive.assembly.prescription import prescribed_targets
from archive.evidence import Bounds, DoseEvidence, TargetDose, inputs_of
from archive.model import Dossier, PatientRecord, Plan
from courses.answers import structures_of
from courses.composite import Composite, compose
from courses.errors import CoursesError
from courses.reading import Reader, slice_distance_mm
from dose.errors import DoseError
from dose.shapes.dvh import Dvh, Figure, dvh
from dose.shapes.structures import Structure

TARGET_KINDS: Final = frozenset({"PTV", "CTV", "GTV", "TREATED_VOLUME"})
_DIGITS: Final = 4


def dose_evidence(record: PatientRecord, dossier: Dossier, plan: Plan, reader: Reader) -> DoseEvidence:
    """Return what can be told of the dose of a plan as it was planned, all its fractions together.

    What stands in the way is told in `DoseEvidence.problem`, never raised: evidence that can't be had is evidence too.

    Raises
    ------
    StorageError
        The objects can't be read now; there is nothing to keep.
    """
    known = DoseEvidence(plan_uid=plan.uid, inputs=inputs_of(plan))
    alone = replace(dossier, plans=(plan,))
    try:
        composite = compose(record, reader, only=alone, as_planned=True)
        targets, left_out = _targets(composite, plan, reader)
    except (CoursesError, DoseError) as error:
        return replace(known, problem=str(error))
    return replace(
        known,
        dose_type=composite.dose_type,
        max_gy=round(float(composite.total.lower_gy.max()), _DIGITS),
        targets=targets,
        left_out=left_out,
    )


def _targets(composite: Composite, plan: Plan, reader: Reader) -> tuple[tuple[TargetDose, ...], tuple[str, ...]]:
    """Return the doses of the targets of a plan, and in words which have none."""
    drawn, slice_mm = structures_of(composite, reader), slice_distance_mm(composite.image)
    total = composite.total
    prescribed = {reference.roi_number for reference in prescribed_targets(plan.header)} - {None}
    found: list[TargetDose] = []
    left_out = [*drawn.left_out]
    for structure in drawn.structures:
        if structure.interpreted_type.upper() not in TARGET_KINDS and structure.number not in prescribed:
            continue
        try:
            one = dvh(structure, total.grid, upper_gy=total.upper_gy, outside_gy=total.outside_gy, slice_mm=slice_mm)
        except DoseError as error:
            left_out.append(f"Structure {structure.name} has no histogram: {error}")
            continue
        found.append(_target(structure, one))
    return tuple(found), tuple(left_out)


def _target(structure: Structure, one: Dvh) -> TargetDose:
    return TargetDose(
        number=structure.number,
        name=structure.name,
        kind=structure.interpreted_type.upper(),
        volume_cc=round(one.volume_cc, _DIGITS),
        unknown_cc=round(one.unknown_cc, _DIGITS),
        mean_gy=_bounds(one.mean_gy),
        d98_gy=_bounds(one.d_percent(98)),
        d95_gy=_bounds(one.d_percent(95)),
        d50_gy=_bounds(one.d_percent(50)),
        d2_gy=_bounds(one.d_percent(2)),
    )


def _bounds(figure: Figure) -> Bounds:
    return Bounds(lo=round(figure.lo, _DIGITS), hi=round(figure.hi, _DIGITS))
