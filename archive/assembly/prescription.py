"""What was prescribed and by what means: modality, technique, phases and targets of plans."""

import re
from collections.abc import Callable, Iterable, Sequence

from archive.assembly.delivery import TREATING, usual_per_day
from archive.headers import BeamHeader, DoseReference, FractionGroup, PlanHeader
from archive.model import DeliveryState, DoseType, Fraction, Phase, Plan, Target

_RADIATION = {"PHOTON": "photon", "ELECTRON": "electron", "PROTON": "proton", "NEUTRON": "neutron"}
_ION_NAMES = {"H": "proton", "C": "carbon", "He": "helium", "O": "oxygen"}
_PARTICLES = frozenset({"proton", "carbon", "helium", "oxygen", "ion"})
HIGH_DOSE_PER_FRACTION_GY = 5.0
"""From here on a fraction is judged by the rules of stereotactic treatment until a person confirms otherwise."""

_VOLUMES = frozenset({"SITE", "VOLUME"})
"""Structure types of a dose reference that is a target; COORDINATES and POINT only say where a dose is looked at."""

# TG-263 suffixes and plain words; L and R of the spine are no sides. RT in a plan's label mostly means radiotherapy, so
# only names of targets and sites are searched for the short forms LT and RT.
_SIDE = r"(?<![A-Za-z0-9])(?:{})(?![A-Za-z0-9])(?![-_ ]?spine)"
_LEFT = re.compile(_SIDE.format("L|LEFT") + "|左", re.IGNORECASE)
_RIGHT = re.compile(_SIDE.format("R|RIGHT") + "|右", re.IGNORECASE)
_SHORT_LEFT = re.compile(_SIDE.format("LT"), re.IGNORECASE)
_SHORT_RIGHT = re.compile(_SIDE.format("RT"), re.IGNORECASE)


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
    return (highest_fraction_gy(plan) or 0.0) >= HIGH_DOSE_PER_FRACTION_GY


def highest_fraction_gy(plan: PlanHeader) -> float | None:
    """Return the largest prescribed dose of one fraction over all targets, Gy; None where the plan tells none."""
    doses = (_per_fraction(plan, target, group) for group in plan.fraction_groups for target in _targets(plan, group))
    return max((dose for dose in doses if dose is not None), default=None)


def _treating(plan: PlanHeader) -> Iterable[BeamHeader]:
    return (beam for beam in plan.beams if beam.delivery_type in TREATING)


def fractions_planned(plan: PlanHeader) -> int | None:
    """Return the planned fractions of all groups together, None if any group does not say."""
    numbers = [group.fractions_planned for group in plan.fraction_groups]
    if not numbers or any(number is None for number in numbers):
        return None
    return sum(number for number in numbers if number is not None)


def phases_of(plans: Sequence[Plan]) -> tuple[Phase, ...]:
    """Return the phases of a course: one per fraction group, revisions of a plan sharing it.

    Planned fractions of a phase count once, delivered ones add over its
    revisions. A plan that was certainly not delivered makes no phase.
    """
    phases: list[Phase] = []
    for revisions in _revisions(plans):
        chain = [plan for plan in revisions if plan.delivery_state is not DeliveryState.NOT_DELIVERED]
        if chain:
            groups: Sequence[FractionGroup | None] = chain[-1].header.fraction_groups or (None,)
            phases += [_phase(chain, group) for group in groups]
    return tuple(phases)


def _revisions(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Return chains of plans that replace one another, oldest first, chains in order of their first plan."""
    by_uid = {plan.uid: plan for plan in plans}
    replaced = {plan.uid: [old for old in plan.header.replaces if is_replaced(by_uid.get(old), plan)] for plan in plans}
    successors = {old: uid for uid, olds in replaced.items() for old in olds}
    chains = []
    for start in (plan for plan in plans if not replaced[plan.uid]):
        chain, seen = [start], {start.uid}
        while (following := successors.get(chain[-1].uid)) and following not in seen:
            chain.append(by_uid[following])
            seen.add(following)
        chains.append(chain)
    placed = {plan.uid for chain in chains for plan in chain}
    return chains + [[plan] for plan in plans if plan.uid not in placed]


def is_replaced(old: Plan | None, new: Plan) -> bool:
    """Return whether `new` took the place of `old`, which it names as its predecessor.

    A predecessor that was given to its end was not replaced: what was derived
    from it is the next phase.
    """
    if old is None or old.uid == new.uid or old.uid not in new.header.replaces:
        return False
    return old.fractions_planned is None or len(old.fractions) < old.fractions_planned


def _phase(chain: Sequence[Plan], group: FractionGroup | None) -> Phase:
    fractions = [fraction for plan in chain for fraction in _fractions_in(plan, group)]
    return Phase(
        plan_uids=tuple(plan.uid for plan in chain),
        group_number=group.number if group else None,
        targets=_targets_of_phase(chain, group) if group else (),
        fractions_planned=_planned_in(chain, group) if group else None,
        fractions_delivered=len(fractions),
        fraction_equivalents=round(sum(fraction.share for fraction in fractions), 6),
        fractions_per_day=usual_per_day(fractions),
        records_source=_source_of(fractions),
    )


def _source_of(fractions: Sequence[Fraction]) -> str:
    """Return what tells the fractions; those that name no treatment record were copied from the treatment sheet."""
    sources = {"treatment records" if fraction.record_uids else "transcription" for fraction in fractions}
    return ", ".join(sorted(sources, reverse=True)) or "none"


def _fractions_in(plan: Plan, group: FractionGroup | None) -> list[Fraction]:
    if group is None or len(plan.header.fraction_groups) < 2:
        return list(plan.fractions)
    return [fraction for fraction in plan.fractions if fraction.group_number == group.number]


def _same_group(plan: Plan, group: FractionGroup) -> FractionGroup | None:
    """Return the group of an earlier revision: the one of that number, or the only one."""
    groups = plan.header.fraction_groups
    return next((one for one in groups if one.number == group.number), groups[0] if len(groups) == 1 else None)


def _tells_the_rest(chain: Sequence[Plan], group: FractionGroup) -> bool:
    """Return whether the newest revision plans only what its predecessors left to do, not the whole phase anew."""
    first = _same_group(chain[0], group)
    given = sum(len(_fractions_in(plan, group)) for plan in chain[:-1])
    if first is None or first.fractions_planned is None or group.fractions_planned is None:
        return False
    return given > 0 and group.fractions_planned + given == first.fractions_planned


def _planned_in(chain: Sequence[Plan], group: FractionGroup) -> int | None:
    first = _same_group(chain[0], group)
    return first.fractions_planned if first and _tells_the_rest(chain, group) else group.fractions_planned


def _targets(plan: PlanHeader, group: FractionGroup) -> list[DoseReference]:
    """Return the targets a fraction group treats: those it links, all where it links none and is the only group.

    Points beside a target with a dose are no targets of their own.
    """
    targets = [reference for reference in plan.dose_references if reference.type == "TARGET"]
    linked = [target for target in targets if target.number in group.dose_reference_numbers]
    found = linked if linked or len(plan.fraction_groups) > 1 else targets
    volumes = [target for target in found if target.structure_type in _VOLUMES]
    return volumes if any(target.target_prescription_gy for target in volumes) else found


def prescribed_targets(plan: PlanHeader) -> list[DoseReference]:
    """Return the sites and volumes that are prescribed a dose; a point becomes a target only by a person's word."""
    return [
        reference
        for reference in plan.dose_references
        if reference.type == "TARGET" and reference.structure_type in _VOLUMES and reference.target_prescription_gy
    ]


def _per_fraction(plan: PlanHeader, target: DoseReference, group: FractionGroup) -> float | None:
    """Return the dose of one fraction, Gy; a target that several groups link shares its dose among all of them."""
    linking = [one for one in plan.fraction_groups if target.number in one.dose_reference_numbers] or [group]
    planned = [one.fractions_planned for one in linking]
    if target.target_prescription_gy is None or not all(planned):
        return None
    return target.target_prescription_gy / sum(number for number in planned if number)


def _targets_of_phase(chain: Sequence[Plan], group: FractionGroup) -> tuple[Target, ...]:
    return tuple(_target(chain, group, reference) for reference in _targets(chain[-1].header, group))


def _target(chain: Sequence[Plan], group: FractionGroup, reference: DoseReference) -> Target:
    newest = chain[-1]
    name = _target_name(newest, reference)
    per_fraction = _per_fraction(newest.header, reference, group)
    return Target(
        name=name or newest.header.label or newest.uid,
        laterality=laterality_of(name, *newest.header.sites, label=newest.header.label),
        prescribed_gy=_prescribed_gy(chain, group, reference),
        delivered_gy=_delivered_gy(chain, group, reference) if any(plan.records for plan in chain) else None,
        dose_per_fraction_gy=None if per_fraction is None else round(per_fraction, 6),
        dose_type=_dose_type(newest),
    )


def _prescribed_gy(chain: Sequence[Plan], group: FractionGroup, reference: DoseReference) -> float | None:
    prescribed = reference.target_prescription_gy
    if prescribed is None or not _tells_the_rest(chain, group):
        return prescribed
    before = _given_gy(chain[:-1], chain[-1], group, reference, count=lambda fractions: float(len(fractions)))
    return None if before is None else round(prescribed + before, 4)


def _delivered_gy(chain: Sequence[Plan], group: FractionGroup, reference: DoseReference) -> float | None:
    if reference.structure_type not in _VOLUMES:
        return None
    return _given_gy(chain, chain[-1], group, reference, count=lambda fractions: sum(one.share for one in fractions))


def _given_gy(
    chain: Sequence[Plan],
    newest: Plan,
    group: FractionGroup,
    reference: DoseReference,
    *,
    count: Callable[[Sequence[Fraction]], float],
) -> float | None:
    """Add up what each revision gave to one target; None where an earlier revision does not tell its dose."""
    total = 0.0
    for plan in chain:
        fractions = _fractions_in(plan, group)
        own = _same_group(plan, group)
        same = _same_target(plan, own, newest, reference) if own else None
        per_fraction = _per_fraction(plan.header, same, own) if own and same else None
        if fractions and per_fraction is None:
            return None
        total += (per_fraction or 0.0) * count(fractions)
    return round(total, 4)


def _same_target(plan: Plan, group: FractionGroup, newest: Plan, reference: DoseReference) -> DoseReference | None:
    """Return the target of an earlier revision that bears the same name, or is the only one of each."""
    if plan.uid == newest.uid:
        return reference
    targets, name = _targets(plan.header, group), _target_name(newest, reference)
    if len(targets) == 1 and len(prescribed_targets(newest.header)) == 1:
        return targets[0]
    return next((target for target in targets if _target_name(plan, target) == name), None)


def _target_name(plan: Plan, reference: DoseReference) -> str:
    """Return the name of the target's volume, else its description; empty if it has neither."""
    for held in plan.structure_sets:
        rois = held.header.structure_set.rois if held.header.structure_set else ()
        for roi in rois:
            if reference.roi_number is not None and roi.number == reference.roi_number and roi.name:
                return roi.name
    return reference.description


def laterality_of(*texts: str, label: str = "") -> str:
    """Return ``left``, ``right``, ``both`` or an empty string, by TG-263 suffixes and plain words.

    The first text that tells decides, the plan's label last.
    """
    for text in texts:
        left = bool(_LEFT.search(text) or _SHORT_LEFT.search(text))
        right = bool(_RIGHT.search(text) or _SHORT_RIGHT.search(text))
        if left or right:
            return _side(left=left, right=right)
    return _side(left=bool(_LEFT.search(label)), right=bool(_RIGHT.search(label)))


def _side(*, left: bool, right: bool) -> str:
    if left and right:
        return "both"
    return "left" if left else "right" if right else ""


def _dose_type(plan: Plan) -> DoseType:
    """Take only EFFECTIVE at its word for particles: many planning systems write 1.1-weighted dose as PHYSICAL."""
    if plan.modality not in _PARTICLES:
        return DoseType.PHYSICAL if plan.modality else DoseType.UNCONFIRMED
    types = {held.header.dose.type for held in plan.doses if held.header.dose}
    return DoseType.RBE_WEIGHTED if types == {"EFFECTIVE"} else DoseType.UNCONFIRMED
