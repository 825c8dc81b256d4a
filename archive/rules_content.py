"""Gate rules about what a dossier holds: patient, plan, structures, images, dose, references."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from archive.headers import InstanceKind
from archive.model import DeliveryState, Dossier, Held, Plan
from archive.person import contradictions
from archive.raised import Raised, Rule, Surroundings

SLICE_TOLERANCE = 1.5
"""Slices further apart than this many times the usual distance leave a gap."""


def label_of(plan: Plan) -> str:
    """Return how people call a plan: its label, else its UID."""
    return plan.header.label or plan.uid


def _needed(dossier: Dossier) -> list[Plan]:
    """Return the plans that must be complete: all but those that were certainly not delivered."""
    return [plan for plan in dossier.plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]


def patient_unknown(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A dossier must name its patient."""
    if not dossier.person.identifiers:
        yield Raised(code="PATIENT-UNKNOWN")


def patient_differs(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Name, birth date and sex must agree among all objects."""
    for what, uids in contradictions(dossier.instances).items():
        values = {
            "name": {held.header.patient.name for held in dossier.instances},
            "birth date": {held.header.patient.birth_date for held in dossier.instances},
            "sex": {held.header.patient.sex for held in dossier.instances},
        }[what]
        shown = ", ".join(sorted(value for value in values if value))
        params = {"what": what, "count": len(uids), "total": len(dossier.instances), "values": shown}
        yield Raised(code="PATIENT-DIFFERS", subject=what, params=params, instance_uids=uids)


def plan_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan that is referred to must be here."""
    for plan in dossier.plans:
        if plan.held is None:
            referring = tuple(held.uid for held in (*plan.doses, *plan.records))
            yield Raised(code="PLAN-MISSING", subject=plan.uid, params={"uid": plan.uid}, instance_uids=referring)


def plan_unapproved(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan must bear its approval (PS3.3 C.8.8.16)."""
    for plan in _needed(dossier):
        if plan.held and plan.header.approval != "APPROVED":
            params = {"label": label_of(plan), "approval": plan.header.approval or "without an approval status"}
            yield Raised(code="PLAN-UNAPPROVED", subject=plan.uid, params=params, instance_uids=(plan.uid,))


def target_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan must prescribe a dose to a target."""
    for plan in _needed(dossier):
        prescribed = [one for one in plan.header.dose_references if one.type == "TARGET" and one.target_prescription_gy]
        if plan.held and not prescribed:
            yield Raised(
                code="TARGET-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def structures_missing(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A plan needs the structure set it was made on."""
    by_frame = any(held.kind is InstanceKind.STRUCTURES and held.uid in around.by_frame for held in dossier.instances)
    for plan in _needed(dossier):
        if plan.held and not plan.structure_sets and not by_frame:
            yield Raised(
                code="STRUCTURES-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def images_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan needs the images it was made on, and a structure set all the images it refers to."""
    images = [held for held in dossier.instances if held.kind is InstanceKind.IMAGE]
    present = {held.uid for held in images}
    for plan in _needed(dossier):
        if plan.held and not images:
            yield Raised(
                code="IMAGES-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )
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


def slices_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """The slices of a planning series must lie at even distances."""
    series: dict[str, list[Held]] = {}
    for held in dossier.instances:
        image = held.header.image
        if image and image.frames == 1 and len(image.position_mm) == 3 and len(image.orientation) == 6:
            series.setdefault(held.header.series_uid, []).append(held)
    for uid, slices in sorted(series.items()):
        steps = _steps_mm(slices)
        if not steps:
            continue
        usual = float(np.median(steps))
        gaps = [step for step in steps if step > SLICE_TOLERANCE * usual]
        if gaps:
            name = slices[0].header.series_description or uid
            params = {"series": name, "gaps": len(gaps), "spacing": f"{usual:.2f}", "widest": f"{max(gaps):.2f}"}
            yield Raised(
                code="SLICES-MISSING", subject=uid, params=params, instance_uids=tuple(held.uid for held in slices[:1])
            )


def _steps_mm(slices: Sequence[Held]) -> list[float]:
    """Return the distances along the normal between neighbouring slices (PS3.3 C.7.6.2.1.1)."""
    images = [held.header.image for held in slices if held.header.image]
    row, column = np.array(images[0].orientation[:3]), np.array(images[0].orientation[3:])
    normal = np.cross(row, column)
    along = sorted({round(float(np.dot(normal, image.position_mm)), 3) for image in images})
    return [after - before for before, after in pairwise(along)]


def dose_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A plan needs one dose grid that counts."""
    for plan in _needed(dossier):
        if plan.chosen_dose_uids:
            continue
        types = sorted({held.header.dose.summation_type or "no type" for held in plan.doses if held.header.dose})
        if plan.doses:
            params = {"label": label_of(plan), "count": len(plan.doses), "types": ", ".join(types)}
            uids = tuple(held.uid for held in plan.doses)
            yield Raised(code="DOSE-CANDIDATES", subject=plan.uid, params=params, instance_uids=uids)
        elif plan.held:
            yield Raised(
                code="DOSE-MISSING", subject=plan.uid, params={"label": label_of(plan)}, instance_uids=(plan.uid,)
            )


def dose_without_plan(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A dose grid should say of which plan it is."""
    lone = tuple(held.uid for held in dossier.instances if held.header.dose and not held.header.dose.plan_uids)
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
    unreadable: dict[str, str] = {}
    guessed: dict[str, list[str]] = {}
    for held in dossier.instances:
        for flag in held.header.flags:
            what, _, detail = flag.partition(":")
            if what == "unreadable":
                unreadable.setdefault(held.uid, detail)
            elif what == "charset-guessed":
                guessed.setdefault(detail, []).append(held.uid)
    if unreadable:
        params = {"count": len(unreadable), "values": ", ".join(sorted(set(unreadable.values())))}
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
    plan_missing,
    plan_unapproved,
    target_missing,
    structures_missing,
    images_missing,
    slices_missing,
    dose_missing,
    dose_without_plan,
    frame_differs,
    reference_broken,
    conflict,
    values_unreadable,
    late,
)
