"""Gate rules about what a dossier holds: patient, plan, structures, images, dose, references."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from archive.assembly.person import contradictions
from archive.assembly.prescription import laterality_of, prescribed_targets
from archive.gate.imaging import label_of, needed
from archive.gate.raised import Raised, Rule, Surroundings, Term
from archive.headers import InstanceKind
from archive.model import Dossier, Held, Plan
from archive.uids import is_own


def patient_unknown(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A dossier must name its patient."""
    if not dossier.person.identifiers:
        yield Raised(code="PATIENT-UNKNOWN")


def patient_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Name, birth date and sex must agree among all objects."""
    patients = [held.header.patient for held in dossier.instances]
    for what, uids in contradictions(dossier.instances).items():
        values = {
            "name": {patient.name for patient in patients},
            "birth-date": {patient.birth_date for patient in patients},
            "sex": {patient.sex for patient in patients},
        }[what]
        shown = ", ".join(sorted(filter(None, values)))
        params = {"what": Term(what), "count": len(uids), "total": len(dossier.instances), "values": shown}
        yield Raised(code="PATIENT-DIFFERS", subject=what, params=params, instance_uids=uids)


def patient_incomplete(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Name, birth date and sex must be told by some object: they tell people apart, and paper bears them."""
    person = dossier.person
    for what, value in (("name", person.name), ("birth-date", person.birth_date), ("sex", person.sex)):
        if not value:
            yield Raised(code="PATIENT-INCOMPLETE", subject=what, params={"what": Term(what)})


def plan_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan that is referred to must be here."""
    for plan in dossier.plans:
        if plan.held is None:
            referring = tuple(held.uid for held in (*plan.doses, *plan.records))
            yield Raised(code="PLAN-MISSING", subject=plan.uid, params={"uid": plan.uid}, instance_uids=referring)


def plan_unapproved(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan must bear its approval (PS3.3 C.8.8.16)."""
    for plan in needed(dossier):
        if plan.held and plan.header.approval != "APPROVED":
            params = {"label": label_of(plan), "approval": plan.header.approval or Term("no-approval")}
            yield Raised(code="PLAN-UNAPPROVED", subject=plan.uid, params=params, instance_uids=(plan.uid,))


def target_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan must prescribe a dose to a target: to a site or volume, not only to a point."""
    for plan in needed(dossier):
        if plan.held and not prescribed_targets(plan.header):
            yield Raised(
                code="TARGET-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def intent_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan should say whether it was meant to cure, to relieve or to prevent (PS3.3 C.8.8.9)."""
    for plan in needed(dossier):
        if plan.held and not plan.header.intent:
            params = {"label": label_of(plan)}
            yield Raised(code="INTENT-MISSING", subject=plan.uid, params=params, instance_uids=(plan.uid,))


def side_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """The side that a plan's label and sites name must be the side of its targets."""
    opposite = {"left": "right", "right": "left"}
    plans = {plan.uid: plan for plan in dossier.plans}
    for phase in dossier.phases:
        header = plans[phase.plan_uids[-1]].header
        named = {laterality_of(*header.sites), *(laterality_of(label=text) for text in (header.label, header.name))}
        targets = {laterality_of(target.name) for target in phase.targets if target.name != header.label}
        for side in sorted(targets & set(opposite)):
            if opposite[side] in named and not named & {side, "both"}:
                label = label_of(plans[phase.plan_uids[-1]])
                params = {"label": label, "named": Term(opposite[side]), "treated": Term(side)}
                uids = phase.plan_uids[-1:]
                yield Raised(code="SIDE-DIFFERS", subject=f"{uids[0]}/{side}", params=params, instance_uids=uids)


def structures_missing(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A plan needs the structure set it was made on."""
    by_frame = any(held.kind is InstanceKind.STRUCTURES and held.uid in around.by_frame for held in dossier.instances)
    for plan in needed(dossier):
        if plan.held and not plan.structure_sets and not by_frame:
            yield Raised(
                code="STRUCTURES-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def images_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan needs the images it was made on."""
    images = [held for held in dossier.instances if held.kind is InstanceKind.IMAGE]
    for plan in needed(dossier):
        if plan.held and not any(_is_planning_image(held, plan) for held in images):
            yield Raised(
                code="IMAGES-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def _is_planning_image(image: Held, plan: Plan) -> bool:
    """Return whether a plan's structures refer to an image, or plan, dose and structures lie in its frame."""
    about = [held for held in (plan.held, *plan.doses, *plan.structure_sets) if held]
    if image.header.frame_uid and image.header.frame_uid in {held.header.frame_uid for held in about}:
        return True
    bodies = [held.header.structure_set for held in plan.structure_sets if held.header.structure_set]
    return any(image.uid in body.image_uids or image.header.series_uid in body.series_uids for body in bodies)


def images_incomplete(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A structure set needs all the images it refers to."""
    present = {held.uid for held in dossier.instances if held.kind is InstanceKind.IMAGE}
    for held in dossier.instances:
        structures = held.header.structure_set
        referenced = set(structures.image_uids) if structures else set()
        if structures and present & referenced and referenced - present:
            params = {
                "label": structures.label or held.uid,
                "referenced": len(referenced),
                "present": len(referenced & present),
            }
            yield Raised(code="IMAGES-INCOMPLETE", subject=held.uid, params=params, instance_uids=(held.uid,))


def slices_missing(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """The slices of a planning series must lie at even distances."""
    most_times = around.demands.number("SLICES-MISSING", "most_times")
    series: dict[str, list[Held]] = {}
    for held in dossier.instances:
        image = held.header.image
        if image and image.frames == 1 and len(image.position_mm) == 3 and len(image.orientation) == 6:
            series.setdefault(held.header.series_uid, []).append(held)
    for uid, slices in sorted(series.items()):
        steps = steps_mm(slices)
        if not steps:
            continue
        usual = float(np.median(steps))
        gaps = [step for step in steps if step > most_times * usual]
        if gaps:
            name = slices[0].header.series_description or uid
            params = {"series": name, "gaps": len(gaps), "spacing": f"{usual:.2f}", "widest": f"{max(gaps):.2f}"}
            yield Raised(
                code="SLICES-MISSING", subject=uid, params=params, instance_uids=tuple(held.uid for held in slices[:1])
            )


def steps_mm(slices: Sequence[Held]) -> list[float]:
    """Return the distances in mm along the normal between neighbouring slices (PS3.3 C.7.6.2.1.1)."""
    images = [held.header.image for held in slices if held.header.image]
    row, column = np.array(images[0].orientation[:3]), np.array(images[0].orientation[3:])
    normal = np.cross(row, column)
    along = sorted({round(float(np.dot(normal, image.position_mm)), 3) for image in images})
    return [after - before for before, after in pairwise(along)]


def dose_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan needs one dose grid that counts."""
    for plan in needed(dossier):
        if plan.chosen_dose_uids:
            continue
        types = sorted({held.header.dose.summation_type for held in plan.doses if held.header.dose} - {""})
        if plan.doses:
            shown = ", ".join(types) or Term("no-type")
            params = {"label": label_of(plan), "count": len(plan.doses), "types": shown}
            uids = tuple(held.uid for held in plan.doses)
            yield Raised(code="DOSE-CANDIDATES", subject=plan.uid, params=params, instance_uids=uids)
        elif plan.held:
            yield Raised(
                code="DOSE-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def dose_without_plan(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A dose grid should say of which plan it is, unless we made it ourselves."""
    doses = ((held.uid, held.header.dose) for held in dossier.instances if not is_own(held.uid))
    lone = tuple(uid for uid, grid in doses if grid and not grid.plan_uids)
    if lone:
        yield Raised(code="DOSE-WITHOUT-PLAN", params={"count": len(lone)}, instance_uids=lone)


def frame_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan's dose must lie in the frame of reference of its structures."""
    for plan in dossier.plans:
        frames = {held.header.frame_uid for held in plan.structure_sets if held.header.frame_uid}
        astray = tuple(
            held.uid for held in plan.doses if frames and held.header.frame_uid and held.header.frame_uid not in frames
        )
        if astray:
            yield Raised(code="FRAME-DIFFERS", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=astray)


def reference_broken(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """What only its frame of reference ties to a plan must be looked at."""
    astray = [held for held in dossier.instances if held.uid in around.by_frame]
    if astray:
        kinds = ", ".join(sorted({held.header.modality or held.kind.value for held in astray}))
        uids = tuple(held.uid for held in astray)
        yield Raised(code="REFERENCE-BROKEN", params={"count": len(astray), "kinds": kinds}, instance_uids=uids)


def conflict(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """One SOP Instance UID must have one content."""
    for held in dossier.instances:
        is_foreign = held.receipt.disposition == "conflict"
        if held.others or is_foreign:
            params = {
                "kind": held.header.modality or held.kind.value,
                "uid": held.uid,
                "count": len(held.others) + 1 + is_foreign,
            }
            yield Raised(code="CONFLICT", subject=held.uid, params=params, instance_uids=(held.uid,))


def values_unreadable(dossier: Dossier, _around: Surroundings) -> Iterator[Raised]:
    """Values that can't be read, and encodings that had to be guessed, are told."""
    unreadable: dict[str, list[str]] = {}
    guessed: dict[str, list[str]] = {}
    for held in dossier.instances:
        for flag in held.header.flags:
            what, _, detail = flag.partition(":")
            if what == "unreadable":
                unreadable.setdefault(held.uid, []).append(detail)
            elif what == "charset-guessed":
                guessed.setdefault(detail, []).append(held.uid)
    if unreadable:
        params = {"count": len(unreadable), "values": ", ".join(sorted(set(chain(*unreadable.values()))))}
        yield Raised(code="UNREADABLE-VALUES", params=params, instance_uids=tuple(unreadable))
    for encoding, uids in sorted(guessed.items()):
        params = {"count": len(uids), "encoding": encoding}
        yield Raised(code="CHARSET-GUESSED", subject=encoding, params=params, instance_uids=tuple(uids))


def late(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """What came after the seal waits."""
    if dossier.late:
        uids = tuple(held.uid for held in dossier.late)
        yield Raised(code="LATE", params={"count": len(uids)}, instance_uids=uids)


CONTENT_RULES: tuple[Rule, ...] = (
    patient_unknown,
    patient_differs,
    patient_incomplete,
    plan_missing,
    plan_unapproved,
    target_missing,
    intent_missing,
    side_differs,
    structures_missing,
    images_missing,
    images_incomplete,
    slices_missing,
    dose_missing,
    dose_without_plan,
    frame_differs,
    reference_broken,
    conflict,
    values_unreadable,
    late,
)
