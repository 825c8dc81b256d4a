"""The delivered dose of a plan: which stored grids count, each with the weight of what was delivered of it.

What a grid holds decides its weight (PS3.3 C.8.8.3): PLAN, FRACTION (one whole
fraction group), BEAM and BRACHY grids hold all planned fractions, the
``*_SESSION`` types and CONTROL_POINT hold one. A grid of several plans, or of
what a record says, can't be weighted by the fractions of one plan. Delivered
parts come from treatment records; planned values are only a fallback, and
marked.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archive.headers import DoseHeader, FractionGroup
from archive.model import DeliveryState, Fraction, Held, Plan

NOT_DELIVERED = "not delivered"

_ALL_FRACTIONS = frozenset({"PLAN", "FRACTION", "BEAM", "BRACHY"})
_ONE_FRACTION = frozenset({"FRACTION_SESSION", "BEAM_SESSION", "BRACHY_SESSION", "CONTROL_POINT"})
_BEAMS = frozenset({"BEAM", "BEAM_SESSION", "CONTROL_POINT"})
"""Grids of single beams, weighted by the metersets of these beams and not of the whole fraction."""


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
        ``stored`` (one grid) or ``summed`` (of BEAM or FRACTION grids).
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
        Take a plan as if it had been delivered as planned, unless it certainly was not: for looking at a plan, never at
        a patient.
    """
    if plan.delivery_state is DeliveryState.NOT_DELIVERED:
        return NotSummed(plan=plan, reason=NOT_DELIVERED)
    chosen = [held for held in plan.doses if held.uid in plan.chosen_dose_uids]
    if not chosen:
        reason = "several dose grids, and nobody chose" if plan.doses else "no dose grid"
        return NotSummed(plan=plan, reason=reason)
    by_records = bool(plan.fractions) and not as_planned
    grids = []
    for held in chosen:
        weight = _weight(plan, held.header.dose or DoseHeader(), by_records=by_records)
        if isinstance(weight, str):
            return NotSummed(plan=plan, reason=weight)
        grids.append(Weighted(held=held, weight=weight))
    return DeliveredDose(
        plan=plan,
        source="stored" if len(grids) == 1 else "summed",
        grids=tuple(grids),
        is_certain=as_planned or plan.delivery_state is DeliveryState.DELIVERED,
        notes=() if as_planned else tuple(_notes(plan, grids, by_records=by_records)),
    )


def _type(held: Held) -> str:
    return held.header.dose.summation_type if held.header.dose else ""


def _weight(plan: Plan, dose: DoseHeader, *, by_records: bool) -> float | str:
    """Return what the grid is multiplied with, or why that can't be told."""
    if dose.summation_type not in _ALL_FRACTIONS | _ONE_FRACTION:
        return f"a dose grid of the kind {dose.summation_type or 'not said'} can't be weighted by fractions"
    groups = _groups(plan, dose)
    numbers = [group.fractions_planned for group in groups]
    planned = None if None in numbers else sum(number for number in numbers if number)
    if not by_records and dose.summation_type in _ALL_FRACTIONS:
        return 1.0
    if not planned:
        return "the plan does not say for how many fractions its dose was planned"
    if not by_records:
        return float(planned)
    fractions = _fractions(plan, groups)
    if isinstance(fractions, str):
        return fractions
    if dose.summation_type in _BEAMS and dose.beam_numbers:
        return _beam_weight(groups, dose, fractions)
    given = sum(fraction.share for fraction in fractions)
    return given if dose.summation_type in _ONE_FRACTION else given / planned


def _groups(plan: Plan, dose: DoseHeader) -> list[FractionGroup]:
    """Return the fraction groups a grid holds the dose of: all of a PLAN grid, whatever else it refers to."""
    number = None if dose.summation_type == "PLAN" else dose.fraction_group_number
    return [group for group in plan.header.fraction_groups if number in (None, group.number)]


def _fractions(plan: Plan, groups: Sequence[FractionGroup]) -> list[Fraction] | str:
    """Return the fractions that were given of these groups, or why that can't be told."""
    if len(groups) == len(plan.header.fraction_groups):
        return list(plan.fractions)
    if any(fraction.group_number is None for fraction in plan.fractions):
        return "its treatment records do not say of which fraction group they are"
    numbers = {group.number for group in groups}
    return [fraction for fraction in plan.fractions if fraction.group_number in numbers]


def _beam_weight(groups: Sequence[FractionGroup], dose: DoseHeader, fractions: Iterable[Fraction]) -> float | str:
    """Return delivered over planned meterset of the beams a grid holds: of all fractions, or of one."""
    per_fraction = {
        group.number: sum(beam.meterset or 0.0 for beam in group.beams if beam.beam_number in dose.beam_numbers)
        for group in groups
    }
    planned = sum(per_fraction[group.number] * (group.fractions_planned or 0) for group in groups)
    if dose.summation_type in _ONE_FRACTION:
        planned /= sum(group.fractions_planned or 0 for group in groups)
    if planned <= 0:
        return "the plan names no meterset for the beams of its dose grids"
    delivered = 0.0
    for fraction in fractions:
        if fraction.delivered_metersets:
            told = dict(fraction.delivered_metersets)
            delivered += sum(told.get(number, 0.0) for number in set(dose.beam_numbers))
        else:  # a record without any meterset that ended normally is a whole fraction
            group = fraction.group_number if fraction.group_number in per_fraction else groups[0].number
            delivered += fraction.share * per_fraction[group]
    return delivered / planned


def _notes(plan: Plan, grids: Iterable[Weighted], *, by_records: bool) -> Iterable[str]:
    label = plan.header.label or plan.uid
    if not by_records and plan.delivery_state is DeliveryState.DELIVERED:
        yield f"Plan {label}: delivered as a person stated; planned fractions are taken, no records say how many."
    if not by_records and plan.delivery_state is DeliveryState.UNKNOWN:
        yield f"Plan {label}: whether it was delivered is unknown; its planned dose is in the upper bounds only."
    holds_all_beams = any(_type(one.held) not in _BEAMS for one in grids)
    if holds_all_beams and any(not math.isclose(fraction.share, 1.0, abs_tol=1e-4) for fraction in plan.fractions):
        yield f"Plan {label}: a fraction was cut short or exceeded; its dose is scaled by meterset, all beams alike."
    if by_records and any(_type(one.held) == "PLAN" for one in grids) and len(_given(plan)) > 1:
        yield f"Plan {label}: its fraction groups were not delivered alike; its dose is scaled as if they were."


def _given(plan: Plan) -> set[float]:
    """Return which parts of their planned fractions the groups of a plan were given."""
    parts = set()
    for group in plan.header.fraction_groups:
        given = sum(one.share for one in plan.fractions if one.group_number == group.number)
        parts.add(round(given / (group.fractions_planned or 1), 4))
    return parts
