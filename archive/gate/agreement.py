"""Gate rules about what must agree: frames, positions, structure sets, series, prescription, energy, numbers."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations

from archive.assembly.delivery import TREATING
from archive.assembly.prescription import is_replaced
from archive.assembly.told import told_prescriptions
from archive.gate.imaging import delivered, frames_of, images_by_series, label_of, needed, planned_on, shared_text
from archive.gate.raised import Raised, Rule, Surroundings, Term
from archive.headers import BeamHeader, InstanceKind
from archive.model import Dossier, Held, Plan

_PARTICLES = frozenset({"proton", "carbon", "helium", "oxygen", "ion"})


def plan_frame_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan must lie in the frame of reference of its structures (PS3.3 C.7.4.1)."""
    for plan in dossier.plans:
        frames = frozenset(chain.from_iterable(map(frames_of, plan.structure_sets)))
        if plan.held and plan.held.header.frame_uid and frames and plan.held.header.frame_uid not in frames:
            params = {"label": label_of(plan)}
            uids = (plan.uid, *(held.uid for held in plan.structure_sets))
            yield Raised(code="PLAN-FRAME-DIFFERS", subject=plan.uid, params=params, instance_uids=uids)


def images_frame_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Contours lie in the frame of reference of the images they were drawn on."""
    for held in dossier.instances:
        frames = frames_of(held)
        if held.kind is not InstanceKind.STRUCTURES or not frames:
            continue
        astray = tuple(
            image.uid
            for image in planned_on(dossier, (held,))
            if image.header.frame_uid and image.header.frame_uid not in frames
        )
        if astray:
            params = {"label": _name_of(held), "count": len(astray)}
            yield Raised(code="IMAGES-FRAME-DIFFERS", subject=held.uid, params=params, instance_uids=astray)


def _name_of(held: Held) -> str:
    structures = held.header.structure_set
    return (structures.label if structures else "") or held.uid


def position_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A patient is planned as imaged: supine is not prone, head first not feet first (PS3.3 C.7.3.1.1.2)."""
    for plan in needed(dossier):
        planned = set(plan.header.patient_positions)
        images = planned_on(dossier, plan.structure_sets) if planned else ()
        imaged = {shared_text(held, "PatientPosition"): held.uid for held in images}
        imaged.pop("", None)
        if imaged and not planned & imaged.keys():
            params = {
                "label": label_of(plan),
                "planned": ", ".join(sorted(planned)),
                "imaged": ", ".join(sorted(imaged)),
            }
            uids = (plan.uid, *imaged.values())
            yield Raised(code="POSITION-DIFFERS", subject=plan.uid, params=params, instance_uids=uids)


def structures_differ(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A dose must be calculated on the structure set its plan was made on."""
    for plan in dossier.plans:
        own = set(plan.header.structure_set_uids)
        astray = tuple(
            held.uid
            for held in plan.doses
            if (grid := held.header.dose) and own and grid.structure_set_uids and not own & {*grid.structure_set_uids}
        )
        if astray:
            params = {"label": label_of(plan), "count": len(astray)}
            yield Raised(code="STRUCTURES-DIFFER", subject=plan.uid, params=params, instance_uids=astray)


def series_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A series belongs to one study, is of one modality and lies in one frame of reference (PS3.3 A.1.4)."""
    for uid, images in images_by_series(dossier).items():
        told = {
            "study": {held.header.study_uid for held in images},
            "modality": {held.header.modality for held in images},
            "frame-of-reference": {held.header.frame_uid for held in images},
        }
        for what, values in told.items():
            if len(values) > 1:
                name = next((held.header.series_description for held in images if held.header.series_description), uid)
                params = {"series": name, "what": Term(what), "count": len(values)}
                uids = tuple(held.uid for held in images)
                yield Raised(code="SERIES-DIFFERS", subject=f"{uid}/{what}", params=params, instance_uids=uids)


def prescription_differs(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """What a plan says of its prescription in words must be what it says in numbers: fractions times dose."""
    for plan in needed(dossier):
        told = told_prescriptions(plan.header)
        doses = [
            reference.target_prescription_gy
            for reference in plan.header.dose_references
            if reference.type == "TARGET" and reference.target_prescription_gy
        ]
        if not told or not doses or plan.fractions_planned is None:
            continue
        tolerance = around.demands.number("PRESCRIPTION-DIFFERS", "most_percent", plan.uid) / 100
        fits = any(
            fractions == plan.fractions_planned and any(abs(total - gy) <= tolerance * gy for gy in doses)
            for total, fractions in told
        )
        if not fits:
            params = {
                "label": label_of(plan),
                "told": ", ".join(f"{total:g} Gy / {fractions}" for total, fractions in told),
                "numbers": ", ".join(f"{gy:g} Gy / {plan.fractions_planned}" for gy in sorted(set(doses))),
            }
            yield Raised(code="PRESCRIPTION-DIFFERS", subject=plan.uid, params=params, instance_uids=(plan.uid,))


def energy_differs(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A beam must be delivered with the energy it was planned with."""
    for plan in dossier.plans:
        planned = {beam.number: beam for beam in plan.header.beams if beam.energies}
        tolerance = around.demands.number("ENERGY-DIFFERS", "most_percent", plan.uid) / 100
        astray: dict[tuple[int, float], list[str]] = {}
        for held in plan.records:
            for beam in held.header.record.beams if held.header.record else ():
                known = planned.get(beam.beam_number)
                if known and beam.energy is not None and not _is_among(beam.energy, known, tolerance):
                    astray.setdefault((beam.beam_number, beam.energy), []).append(held.uid)
        for (number, energy), uids in sorted(astray.items()):
            params = {
                "label": label_of(plan),
                "beam": planned[number].name or number,
                "planned": ", ".join(f"{one:g}" for one in planned[number].energies[:1]),
                "recorded": f"{energy:g}",
                "count": len(uids),
            }
            subject = f"{plan.uid}/{number}/{energy:g}"
            yield Raised(code="ENERGY-DIFFERS", subject=subject, params=params, instance_uids=tuple(uids))


def _is_among(energy: float, beam: BeamHeader, tolerance: float) -> bool:
    return any(abs(energy - one) <= tolerance * one for one in beam.energies)


def rbe_unconfirmed(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """The dose of particles must say that it is weighted; many systems write 1.1-weighted dose as PHYSICAL."""
    for plan in needed(dossier):
        chosen = [held for held in plan.doses if held.uid in plan.chosen_dose_uids]
        types = {held.header.dose.type or "?" for held in chosen if held.header.dose}
        if plan.modality in _PARTICLES and types and types != {"EFFECTIVE"}:
            params = {"label": label_of(plan), "types": ", ".join(sorted(types))}
            uids = tuple(held.uid for held in chosen)
            yield Raised(code="RBE-UNCONFIRMED", subject=plan.uid, params=params, instance_uids=uids)


def isocentres_several(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Beams about several isocentres mean a shift of the couch within the session: somebody should know."""
    for plan in needed(dossier):
        beams = [beam for beam in plan.header.beams if beam.delivery_type in TREATING and beam.isocentre_mm]
        places = {tuple(round(value, 1) for value in beam.isocentre_mm) for beam in beams}
        if len(places) > 1:
            params = {"label": label_of(plan), "count": len(places)}
            yield Raised(code="ISOCENTRES-SEVERAL", subject=plan.uid, params=params, instance_uids=(plan.uid,))


def beam_numbers(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Beam numbers are unique within a plan: records, metersets and doses refer by them (PS3.3 C.8.8.14)."""
    for plan in dossier.plans:
        twice = [number for number, times in Counter(beam.number for beam in plan.header.beams).items() if times > 1]
        if twice:
            params = {"label": label_of(plan), "numbers": ", ".join(map(str, sorted(twice)))}
            yield Raised(code="BEAM-NUMBERS", subject=plan.uid, params=params, instance_uids=(plan.uid,))


def labels_equal(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Two plans of one course that were delivered side by side should not bear the same label."""
    for one, other in combinations(delivered(dossier), 2):
        if one.header.label and one.header.label == other.header.label and not _are_revisions(one, other):
            params = {"label": one.header.label}
            subject = f"{one.uid}/{other.uid}"
            yield Raised(code="LABELS-EQUAL", subject=subject, params=params, instance_uids=(one.uid, other.uid))


def _are_revisions(one: Plan, other: Plan) -> bool:
    return is_replaced(one, other) or is_replaced(other, one)


AGREEMENT_RULES: tuple[Rule, ...] = (
    plan_frame_differs,
    images_frame_differs,
    position_differs,
    structures_differ,
    series_differs,
    prescription_differs,
    energy_differs,
    rbe_unconfirmed,
    isocentres_several,
    beam_numbers,
    labels_equal,
)
