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
from dataclasses import dataclass, replace

from archive.headers import DoseHeader, FractionGroup
from archive.model import DeliveryState, Fraction, Held, Plan
from courses.notices import Notice, notice

NOT_DELIVERED = "not delivered"
_FRACTIONS_UNKNOWN = "the plan does not say for how many fractions its dose was planned"
_CODES = {_FRACTIONS_UNKNOWN: "LG-CMP-046"}
_SAME_SHARE = 1e-4
_MUCH_MORE = 0.05
"""Metersets are rounded: this part of a fraction above what was planned is none."""

_ALL_FRACTIONS = frozenset({"PLAN", "FRACTION", "BEAM", "BRACHY"})
_ONE_FRACTION = frozenset({"FRACTION_SESSION", "BEAM_SESSION", "BRACHY_SESSION", "CONTROL_POINT"})
_BEAMS = frozenset({"BEAM", "BEAM_SESSION", "CONTROL_POINT"})
"""Grids of single beams, weighted by the metersets of these beams and not of the whole fraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """One stored grid, what its doses are multiplied with, and what it gave in each fraction.

    Parameters
    ----------
    weight
        For the dose of all that was delivered.
    per_fraction
        For the dose of one whole fraction; None where the plan does not say how many there are.
    groups
        Numbers of the fraction groups it holds the dose of.
    planned
        Planned fractions of these groups together; 0 where the plan does not say.
    given
        Each delivered fraction with the share of it that this grid gave; empty where no records count.
    least, most
        Parts of `weight` that were given at least and at most, where several groups were not delivered alike.
    concentration
        Planned fractions of all its groups over those of the shortest.
    """

    held: Held
    weight: float
    per_fraction: float | None = None
    groups: tuple[int, ...] = ()
    planned: int = 0
    given: tuple[tuple[Fraction, float], ...] = ()
    least: float = 1.0
    most: float = 1.0
    concentration: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredDose:
    """The dose of one plan as delivered.

    Parameters
    ----------
    source
        ``stored`` (one grid) or ``summed`` (of BEAM or FRACTION grids).
    is_certain
        Whether records or a person say that the plan was delivered; if not, its planned dose is what may have been.
    is_planned
        Whether planned fractions count, not those of records.
    notes
        What a physicist must know about the weights.
    """

    plan: Plan
    source: str
    grids: tuple[Weighted, ...]
    is_certain: bool
    is_planned: bool = False
    notes: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSummed:
    """A plan whose dose can't be had, why, and the code of that reason where it has one."""

    plan: Plan
    reason: str
    code: str = ""


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
        weighted = _weighted(plan, held, by_records=by_records)
        if isinstance(weighted, str):
            return NotSummed(plan=plan, reason=weighted, code=_CODES.get(weighted, ""))
        grids.append(weighted)
    return DeliveredDose(
        plan=plan,
        source="stored" if len(grids) == 1 else "summed",
        grids=tuple(grids),
        is_planned=not by_records,
        is_certain=as_planned or plan.delivery_state is DeliveryState.DELIVERED,
        notes=() if as_planned else tuple(_notes(plan, grids, by_records=by_records)),
    )


def _type(held: Held) -> str:
    return held.header.dose.summation_type if held.header.dose else ""


def _weighted(plan: Plan, held: Held, *, by_records: bool) -> Weighted | str:
    """Return a grid with what it is multiplied with, or why that can't be told."""
    dose = held.header.dose or DoseHeader()
    if dose.summation_type not in _ALL_FRACTIONS | _ONE_FRACTION:
        return f"a dose grid of the kind {dose.summation_type or 'not said'} can't be weighted by fractions"
    groups = _groups(plan, dose)
    numbers = [group.fractions_planned or 0 for group in groups]
    planned = 0 if 0 in numbers else sum(numbers)
    if not planned:
        return (
            _FRACTIONS_UNKNOWN if by_records or dose.summation_type in _ONE_FRACTION else Weighted(held=held, weight=1)
        )
    known = Weighted(
        held=held,
        weight=1.0,
        per_fraction=1.0 if dose.summation_type in _ONE_FRACTION else 1 / planned,
        groups=tuple(group.number for group in groups),
        planned=planned,
        concentration=planned / min(numbers),
    )
    if not by_records:
        return replace(known, weight=float(planned) if dose.summation_type in _ONE_FRACTION else 1.0)
    fractions = _fractions(plan, groups)
    if isinstance(fractions, str):
        return fractions
    given = _given_of(groups, dose, fractions)
    return given if isinstance(given, str) else _by_records(known, groups, given)


def _by_records(known: Weighted, groups: Sequence[FractionGroup], given: Sequence[tuple[Fraction, float]]) -> Weighted:
    """Return a grid with what the records tell of it."""
    shares = sum(share for _, share in given)
    weight = shares if known.per_fraction == 1.0 else shares / known.planned
    parts = [
        sum(share for one, share in given if one.group_number == group.number) / (group.fractions_planned or 1)
        for group in groups
    ]
    alike = shares / known.planned
    is_told = len(groups) > 1 and alike > 0 and all(one.group_number is not None for one, _ in given)
    return replace(
        known,
        weight=weight,
        given=tuple(given),
        least=min(parts) / alike if is_told else 1.0,
        most=max(parts) / alike if is_told else 1.0,
    )


def _groups(plan: Plan, dose: DoseHeader) -> list[FractionGroup]:
    """Return the fraction groups a grid holds the dose of: all of a PLAN grid, whatever else it refers to."""
    number = None if dose.summation_type == "PLAN" else dose.fraction_group_number
    groups = [group for group in plan.header.fraction_groups if number in (None, group.number)]
    if number is None and dose.summation_type in _BEAMS and dose.beam_numbers:
        beams = set(dose.beam_numbers)
        groups = [one for one in groups if beams & {beam.beam_number for beam in one.beams}] or groups
    return groups


def _fractions(plan: Plan, groups: Sequence[FractionGroup]) -> list[Fraction] | str:
    """Return the fractions that were given of these groups, or why that can't be told."""
    if len(groups) == len(plan.header.fraction_groups):
        return list(plan.fractions)
    if any(fraction.group_number is None for fraction in plan.fractions):
        return "its treatment records do not say of which fraction group they are"
    numbers = {group.number for group in groups}
    return [fraction for fraction in plan.fractions if fraction.group_number in numbers]


def _given_of(
    groups: Sequence[FractionGroup], dose: DoseHeader, fractions: Iterable[Fraction]
) -> list[tuple[Fraction, float]] | str:
    """Return which share of itself a grid gave in each fraction: of single beams by their own metersets."""
    if dose.summation_type not in _BEAMS or not dose.beam_numbers:
        return [(fraction, fraction.share) for fraction in fractions]
    per_fraction = {
        group.number: sum(beam.meterset or 0.0 for beam in group.beams if beam.beam_number in dose.beam_numbers)
        for group in groups
    }
    planned = sum(group.fractions_planned or 0 for group in groups)
    usual = sum(per_fraction[group.number] * (group.fractions_planned or 0) for group in groups) / planned
    if usual <= 0:
        return "the plan names no meterset for the beams of its dose grids"
    given = []
    for fraction in fractions:
        told = dict(fraction.delivered_metersets)
        delivered = sum(told.get(number, 0.0) for number in set(dose.beam_numbers))
        if not told:  # a record without any meterset that ended normally is a whole fraction
            group = fraction.group_number if fraction.group_number in per_fraction else groups[0].number
            delivered = fraction.share * per_fraction[group]
        given.append((fraction, delivered / usual))
    return given


def _notes(plan: Plan, grids: Sequence[Weighted], *, by_records: bool) -> Iterable[Notice]:
    label = plan.header.label or plan.uid
    if not by_records and plan.records:
        yield notice("no-dose-recorded", label=label)
    if not by_records and plan.delivery_state is DeliveryState.DELIVERED:
        yield notice("stated-delivered", label=label)
    if not by_records and plan.delivery_state is DeliveryState.UNKNOWN:
        yield notice("plan-delivery-unknown", label=label)
    holds_all_beams = any(_type(one.held) not in _BEAMS for one in grids)
    if holds_all_beams and any(not math.isclose(fraction.share, 1.0, abs_tol=1e-4) for fraction in plan.fractions):
        yield notice("partial-fraction", label=label)
    if by_records and any(one.most > one.least + _SAME_SHARE for one in grids):
        yield notice("groups-unequal", label=label)
    if plan.fractions_planned and plan.fraction_equivalents > plan.fractions_planned + _MUCH_MORE:
        given = f"{plan.fraction_equivalents:.4g}"
        yield notice("more-than-planned", label=label, given=given, planned=plan.fractions_planned)
