"""What was prescribed and by what means: modality, technique, phases and targets of plans."""

import re
from collections.abc import Iterable, Sequence

from archive.delivery import most_per_day
from archive.headers import BeamHeader, DoseReference, FractionGroup, PlanHeader
from archive.model import DoseType, Phase, Plan, Target

_RADIATION = {"PHOTON": "photon", "ELECTRON": "electron", "PROTON": "proton", "NEUTRON": "neutron"}
_ION_NAMES = {"H": "proton", "C": "carbon", "He": "helium", "O": "oxygen"}
_PARTICLES = frozenset({"proton", "carbon", "helium", "oxygen", "ion"})
HIGH_DOSE_PER_FRACTION_GY = 5.0
"""From here on a fraction is judged by the rules of stereotactic treatment until a person confirms otherwise."""

_LEFT = re.compile(r"(?:^|[_\s^-])(?:L|LT|LEFT)(?:$|[_\s^-])|左", re.IGNORECASE)
_RIGHT = re.compile(r"(?:^|[_\s^-])(?:R|RT|RIGHT)(?:$|[_\s^-])|右", re.IGNORECASE)


def modality_of(plan: PlanHeader) -> str:
    """Return ``photon``, ``electron``, ``proton``, ``carbon``, ``brachy``, ..., empty if the plan does not say."""
    if plan.brachy_treatment:
        return "brachy"
    for beam in _treating(plan):
        if beam.radiation == "ION":
            return _ION_NAMES.get(beam.ion_name, "ion")
        if beam.radiation in _RADIATION:
            return _RADIATION[beam.radiation]
    return ""


def machine_of(plan: PlanHeader) -> str:
    """Return the machine of the first treating beam."""
    return next((beam.machine for beam in _treating(plan) if beam.machine), "")


def technique_of(plan: PlanHeader) -> str:
    """Infer the technique from the beams, as first-generation plans hold none; empty if it can't be told.

    STATIC with one leaf shape is 3D; STATIC with several is segmented; DYNAMIC
    where only jaws move is a dynamic wedge; DYNAMIC with leaves at a fixed
    gantry is IMRT; a moving gantry with moving leaves is VMAT, without a
    conformal arc. At 5 Gy a fraction and above the word SBRT is added.
    """
    modality = modality_of(plan)
    if modality in _PARTICLES:
        modulated = any(beam.scan_mode.startswith("MODULATED") for beam in _treating(plan))
        return "PBS" if modulated else "scattered" if plan.beams else ""
    if modality == "electron":
        return "electron field"
    if modality == "brachy":
        return plan.brachy_treatment
    names = [name for beam in _treating(plan) if (name := _technique_of_beam(beam))]
    best = next((name for name in _BY_COMPLEXITY if name in names), "")
    return f"SBRT {best}" if best and _is_high_dose(plan) else best


_BY_COMPLEXITY = ("VMAT", "IMRT", "segmented", "conformal arc", "dynamic wedge", "3D")


def _technique_of_beam(beam: BeamHeader) -> str:
    if beam.gantry_moves:
        return "VMAT" if beam.leaves_move else "conformal arc"
    if beam.beam_type == "DYNAMIC":
        return "IMRT" if beam.leaves_move else "dynamic wedge" if beam.jaws_move else "3D"
    if beam.beam_type == "STATIC":
        return "segmented" if beam.leaves_move else "3D"
    return ""


def _is_high_dose(plan: PlanHeader) -> bool:
    return any(
        (per := _per_fraction(target, group)) is not None and per >= HIGH_DOSE_PER_FRACTION_GY
        for group in plan.fraction_groups
        for target in _targets(plan, group)
    )


def _treating(plan: PlanHeader) -> Iterable[BeamHeader]:
    return (beam for beam in plan.beams if beam.delivery_type in {"TREATMENT", "CONTINUATION", ""})


def fractions_planned(plan: PlanHeader) -> int | None:
    """Return the planned fractions of all groups together, None if any group does not say."""
    numbers = [group.fractions_planned for group in plan.fraction_groups]
    if not numbers or any(number is None for number in numbers):
        return None
    return sum(number for number in numbers if number is not None)


def phases_of(plans: Sequence[Plan]) -> tuple[Phase, ...]:
    """Return the phases of a course: one per fraction group, revisions of a plan sharing it.

    Planned fractions of a phase count once, by its newest revision; delivered
    ones add over its revisions.
    """
    phases: list[Phase] = []
    for chain in _revisions(plans):
        newest = chain[-1]
        groups: Sequence[FractionGroup | None] = newest.header.fraction_groups or (None,)
        phases += [_phase(chain, group, is_only=len(groups) == 1) for group in groups]
    return tuple(phases)


def _revisions(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Return chains of plans that replace one another, oldest first, chains in order of their first plan."""
    by_uid = {plan.uid: plan for plan in plans}
    successors = {old: plan.uid for plan in plans for old in plan.header.replaces if old in by_uid and old != plan.uid}
    replaced_by_none = [plan for plan in plans if not any(old in by_uid for old in plan.header.replaces)]
    chains = []
    for start in replaced_by_none:
        chain, seen = [start], {start.uid}
        while (following := successors.get(chain[-1].uid)) and following not in seen:
            chain.append(by_uid[following])
            seen.add(following)
        chains.append(chain)
    placed = {plan.uid for chain in chains for plan in chain}
    return chains + [[plan] for plan in plans if plan.uid not in placed]


def _phase(chain: Sequence[Plan], group: FractionGroup | None, *, is_only: bool) -> Phase:
    newest = chain[-1]
    fractions = [
        fraction
        for plan in chain
        for fraction in plan.fractions
        if is_only or group is None or fraction.group_number == group.number
    ]
    equivalents = sum(fraction.share for fraction in fractions)
    targets = (
        ()
        if group is None
        else tuple(_target(newest, group, reference, equivalents) for reference in _targets(newest.header, group))
    )
    return Phase(
        plan_uids=tuple(plan.uid for plan in chain),
        group_number=group.number if group else None,
        targets=targets,
        fractions_planned=group.fractions_planned if group else None,
        fractions_delivered=len(fractions),
        fraction_equivalents=round(equivalents, 6),
        fractions_per_day=most_per_day(fractions),
        records_source="treatment records" if fractions else "none",
    )


def _targets(plan: PlanHeader, group: FractionGroup) -> list[DoseReference]:
    """Return the targets a fraction group treats: those it links, all where it links none and is the only group."""
    targets = [reference for reference in plan.dose_references if reference.type == "TARGET"]
    linked = [target for target in targets if target.number in group.dose_reference_numbers]
    if linked or len(plan.fraction_groups) > 1:
        return linked
    return targets


def _per_fraction(target: DoseReference, group: FractionGroup) -> float | None:
    if target.target_prescription_gy is None or not group.fractions_planned:
        return None
    return target.target_prescription_gy / group.fractions_planned


def _target(plan: Plan, group: FractionGroup, reference: DoseReference, equivalents: float) -> Target:
    name = _target_name(plan, reference)
    per_fraction = _per_fraction(reference, group)
    return Target(
        name=name,
        laterality=laterality_of(name, *plan.header.sites, plan.header.label),
        prescribed_gy=reference.target_prescription_gy,
        delivered_gy=None if per_fraction is None or not plan.records else round(per_fraction * equivalents, 4),
        dose_per_fraction_gy=None if per_fraction is None else round(per_fraction, 6),
        dose_type=_dose_type(plan),
    )


def _target_name(plan: Plan, reference: DoseReference) -> str:
    for held in plan.structure_sets:
        rois = held.header.structure_set.rois if held.header.structure_set else ()
        for roi in rois:
            if reference.roi_number is not None and roi.number == reference.roi_number:
                return roi.name
    return reference.description or plan.header.label or plan.uid


def laterality_of(*texts: str) -> str:
    """Return ``left``, ``right``, ``both`` or an empty string, by TG-263 suffixes and plain words.

    The first text that tells decides.
    """
    for text in texts:
        left, right = bool(_LEFT.search(text)), bool(_RIGHT.search(text))
        if left or right:
            return "both" if left and right else "left" if left else "right"
    return ""


def _dose_type(plan: Plan) -> DoseType:
    """Take only EFFECTIVE at its word for particles: many planning systems write 1.1-weighted dose as PHYSICAL."""
    if plan.modality not in _PARTICLES:
        return DoseType.PHYSICAL if plan.modality else DoseType.UNCONFIRMED
    types = {held.header.dose.type for held in plan.doses if held.header.dose}
    return DoseType.RBE_WEIGHTED if types == {"EFFECTIVE"} else DoseType.UNCONFIRMED
