"""EQD2 with recovery, beside the figures without: a column for each rule that was asked for, and none unasked.

Only rules that forget have figures here. One that scales limits changes no dose given: it stands with the limits it is
for (`courses.remaining`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from courses.biology import forgotten_by_course, standard_name
from courses.exposures import Gathered
from courses.figures import doses_of
from courses.summing import eqd2_sum, sample_parts
from courses.surroundings import around
from dose.biology.recovery import RecoveryModel
from dose.biology.tissues import Tissue
from dose.errors import DoseError
from dose.shapes.dvh import dvhs_on
from dose.shapes.structures import Structure

Json = dict[str, Any]


def recovered_rows(
    structure: Structure,
    tissue: Tissue,
    gathered: Gathered,
    rules: Sequence[RecoveryModel],
    months: Mapping[str, float | None],
    *,
    slice_mm: float | None = None,
    is_open: bool = False,
) -> list[Json]:
    """Return ``structures[].recovered``: EQD2 with each rule that says anything of this structure.

    Parameters
    ----------
    months
        From the last fraction of each course in the sum to the new one, by dossier id; None where a date is missing.
    is_open
        Whether a dose is missing that nothing bounds.
    """
    name = standard_name(structure.name)
    fitting = [rule for rule in rules if rule.is_for(name, tissue.kind)]
    if not fitting:
        return []
    samples = sample_parts(gathered, around(structure, gathered.geometry))
    gone = [forgotten_by_course(rule, structure.name, tissue, months) for rule in fitting]
    sums = [eqd2_sum(gathered, tissue, forgotten=parts, samples=samples) for parts in gone]
    try:
        histograms = dvhs_on(structure, sums, slice_mm=slice_mm)
    except DoseError:
        return []
    return [
        {**_rule(rule), "forgotten": parts, "eqd2": doses_of(one, is_open=is_open)}
        for rule, parts, one in zip(fitting, gone, histograms, strict=True)
    ]


def course_rows(
    rules: Sequence[RecoveryModel], structures: Iterable[tuple[str, Tissue]], months: float | None
) -> list[Json]:
    """Return ``courses[].recovery``: what each rule takes as gone of one course.

    Parameters
    ----------
    structures
        Names as they are drawn, and their tissues.
    months
        From its last fraction to the new course; None where a date is missing: then nothing is gone.
    """
    drawn = [(name, standard_name(name), tissue) for name, tissue in structures]
    return [
        {
            **_rule(rule),
            "interval_months": None if months is None else round(months, 2),
            "forgotten": rule.usual(months),
            "structures": {
                name: rule.forgotten(months, known, tissue.kind)
                for name, known, tissue in drawn
                if rule.is_for(known, tissue.kind)
            },
        }
        for rule in rules
    ]


def _rule(rule: RecoveryModel) -> Json:
    return {"name": rule.name, "model": rule.title, "source": str(rule.source)}
