"""The delivered dose of a plan: which stored grids count, each with the weight of what was delivered of it.

What a grid holds decides its weight (PS3.3 C.8.8.3): PLAN, FRACTION (one whole
fraction group) and BEAM grids hold all planned fractions, the ``*_SESSION``
types and CONTROL_POINT hold one. Delivered parts come from treatment records;
planned values are only a fallback, and marked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from archive.headers import DoseHeader
from archive.model import DeliveryState, Fraction, Held, Plan

_ONE_FRACTION = frozenset({"PLAN_SESSION", "BEAM_SESSION", "BRACHY_SESSION", "FRACTION_SESSION", "CONTROL_POINT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """One stored grid and what its doses are multiplied with."""

    held: Held
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredDose:
    """The dose of one plan as delivered.

    Parameters
    ----------
    source
        ``stored`` (one PLAN grid) or ``summed`` (of BEAM or FRACTION grids).
    is_certain
        Whether records or a person say that the plan was delivered; if not, its planned dose is what may have been.
    notes
        What a physicist must know about the weights, in words.
    """

    plan: Plan
    source: str
    grids: tuple[Weighted, ...]
    is_certain: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSummed:
    """A plan whose dose can't be had, and why."""

    plan: Plan
    reason: str


def delivered_dose(plan: Plan, *, as_planned: bool = False) -> DeliveredDose | NotSummed:
    """Return the grids of a plan with their delivered weights, or why there are none.

    A plan that was certainly not delivered has none. One whose delivery is
    unknown gets its planned weights and `DeliveredDose.is_certain` false.

    Parameters
    ----------
    as_planned
        Take every plan as if it had been delivered as planned: for looking at a plan, never at a patient.
    """
    if plan.delivery_state is DeliveryState.NOT_DELIVERED:
        return NotSummed(plan=plan, reason="not delivered")
    chosen = [held for held in plan.doses if held.uid in plan.chosen_dose_uids]
    if not chosen:
        reason = "several dose grids, and nobody chose" if plan.doses else "no dose grid"
        return NotSummed(plan=plan, reason=reason)
    by_records = bool(plan.fractions) and not as_planned
    weights = [_weight(plan, held.header.dose or DoseHeader(), by_records=by_records) for held in chosen]
    missing = next((weight for weight in weights if isinstance(weight, str)), None)
    if missing is not None:
        return NotSummed(plan=plan, reason=missing)
    return DeliveredDose(
        plan=plan,
        source="stored" if len(chosen) == 1 and _type(chosen[0]) == "PLAN" else "summed",
        grids=tuple(
            Weighted(held=held, weight=weight)
            for held, weight in zip(chosen, weights, strict=True)
            if isinstance(weight, float)
        ),
        is_certain=as_planned or plan.delivery_state is DeliveryState.DELIVERED,
        notes=() if as_planned else tuple(_notes(plan, by_records=by_records)),
    )


def _type(held: Held) -> str:
    return held.header.dose.summation_type if held.header.dose else ""


def _weight(plan: Plan, dose: DoseHeader, *, by_records: bool) -> float | str:
    """Return what the grid is multiplied with, or why that can't be told."""
    if not by_records:
        return 1.0 if dose.summation_type not in _ONE_FRACTION else float(plan.fractions_planned or 1)
    fractions = [one for one in plan.fractions if dose.fraction_group_number in (None, one.group_number)]
    if dose.summation_type in _ONE_FRACTION:
        return _equivalents(fractions)
    if dose.summation_type == "BEAM":
        return _beam_weight(plan, dose, fractions)
    planned = _planned_fractions(plan, dose)
    if not planned:
        return "the plan does not say for how many fractions its dose was planned"
    return _equivalents(fractions) / planned


def _equivalents(fractions: Iterable[Fraction]) -> float:
    return sum(fraction.share for fraction in fractions)


def _planned_fractions(plan: Plan, dose: DoseHeader) -> int | None:
    groups = [group for group in plan.header.fraction_groups if dose.fraction_group_number in (None, group.number)]
    if dose.summation_type == "FRACTION" and len(groups) == 1:
        return groups[0].fractions_planned
    return plan.fractions_planned


def _beam_weight(plan: Plan, dose: DoseHeader, fractions: list[Fraction]) -> float | str:
    """Return delivered over planned meterset of the beams a BEAM grid holds."""
    delivered = planned = 0.0
    for group in plan.header.fraction_groups:
        if dose.fraction_group_number not in (None, group.number):
            continue
        for beam in group.beams:
            if beam.beam_number in dose.beam_numbers and beam.meterset and group.fractions_planned:
                planned += beam.meterset * group.fractions_planned
    for fraction in fractions:
        delivered += sum(meterset for number, meterset in fraction.delivered_metersets if number in dose.beam_numbers)
    if planned <= 0:
        return "the plan names no meterset for the beams of its dose grids"
    return delivered / planned


def _notes(plan: Plan, *, by_records: bool) -> Iterable[str]:
    label = plan.header.label or plan.uid
    if not by_records and plan.delivery_state is DeliveryState.DELIVERED:
        yield f"Plan {label}: delivered as a person stated; planned fractions are taken, no records say how many."
    if not by_records and plan.delivery_state is DeliveryState.UNKNOWN:
        yield f"Plan {label}: whether it was delivered is unknown; its planned dose is in the upper bounds only."
    if any(fraction.share < 1 for fraction in plan.fractions):
        yield f"Plan {label}: a fraction was cut short; its dose is scaled by meterset, all beams alike in a PLAN grid."
    groups = {group.fractions_planned for group in plan.header.fraction_groups}
    if len(plan.header.fraction_groups) > 1 and len(groups) > 1:
        yield f"Plan {label}: several fraction groups of unequal length; its dose is scaled as if they ran alike."
