"""Gate rules about contours and slices: targets, the body, numbers, names after TG-263, thickness of slices."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from archive.assembly.prescription import prescribed_targets
from archive.gate.content import steps_mm
from archive.gate.imaging import label_of, needed, planned_on
from archive.gate.names import suggestion, target_name
from archive.gate.raised import Raised, Rule, Surroundings
from archive.headers import InstanceKind, Roi
from archive.model import Dossier, Held

_TARGET_TYPES = frozenset({"GTV", "CTV", "PTV", "ITV"})
_BODY_NAMES = ("external", "body", "skin", "patient", "外轮廓", "体表")
_MOST_NAMES_SHOWN = 8


def _sets(dossier: Dossier) -> list[Held]:
    return [held for held in dossier.instances if held.kind is InstanceKind.STRUCTURES]


def _rois(held: Held) -> tuple[Roi, ...]:
    return held.header.structure_set.rois if held.header.structure_set else ()


def _label(held: Held) -> str:
    return (held.header.structure_set.label if held.header.structure_set else "") or held.uid


def is_target(roi: Roi) -> bool:
    """Return whether a region is a target, by its type or else by how its name begins (PS3.3 C.8.8.8; TG-263)."""
    return roi.interpreted_type in _TARGET_TYPES or target_name(roi.name)


def target_volume_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A structure set of a plan must hold a contoured target."""
    for plan in needed(dossier):
        rois = [roi for held in plan.structure_sets for roi in _rois(held)]
        if plan.structure_sets and not any(is_target(roi) and roi.contours for roi in rois):
            uids = tuple(held.uid for held in plan.structure_sets)
            params = {"label": label_of(plan)}
            yield Raised(code="TARGET-VOLUME-MISSING", subject=plan.uid, params=params, instance_uids=uids)


def target_not_contoured(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """What a dose is prescribed to must be contoured in the structure set of the plan."""
    for plan in needed(dossier):
        numbers = {roi.number for held in plan.structure_sets for roi in _rois(held) if roi.contours}
        missing = [
            target
            for target in prescribed_targets(plan.header)
            if plan.structure_sets and target.roi_number is not None and target.roi_number not in numbers
        ]
        if missing:
            named = ", ".join(target.description or f"ROI {target.roi_number}" for target in missing)
            params = {"label": label_of(plan), "targets": named}
            uids = (plan.uid, *(held.uid for held in plan.structure_sets))
            yield Raised(code="TARGET-NOT-CONTOURED", subject=plan.uid, params=params, instance_uids=uids)


def external_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A dose is calculated inside the outline of the body: it must be among the contours."""
    for plan in needed(dossier):
        rois = [roi for held in plan.structure_sets for roi in _rois(held)]
        if rois and not any(_is_body(roi) for roi in rois):
            uids = tuple(held.uid for held in plan.structure_sets)
            params = {"label": label_of(plan)}
            yield Raised(code="EXTERNAL-MISSING", subject=plan.uid, params=params, instance_uids=uids)


def _is_body(roi: Roi) -> bool:
    return roi.interpreted_type == "EXTERNAL" or roi.name.casefold().startswith(_BODY_NAMES)


def roi_numbers(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Numbers and names of regions are unique in a structure set, or nobody knows which one is meant."""
    for held in _sets(dossier):
        rois = _rois(held)
        numbers = Counter(str(roi.number) for roi in rois)
        names = Counter(roi.name.casefold() for roi in rois if roi.name and roi.contours)
        twice = sorted(one for one, times in (numbers + names).items() if times > 1)
        if twice:
            params = {"label": _label(held), "twice": ", ".join(twice[:_MOST_NAMES_SHOWN]), "count": len(twice)}
            yield Raised(code="ROI-NUMBERS", subject=held.uid, params=params, instance_uids=(held.uid,))


def names_tg263(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Structures should bear the names of TG-263, so that dose statistics can be compared over decades."""
    for held in _sets(dossier):
        named = {roi.name: suggestion(roi.name) for roi in _rois(held) if roi.contours and roi.name}
        wrong = {name: better for name, better in sorted(named.items()) if better != name}
        if wrong:
            told = [f"{name} → {better}" if better else name for name, better in wrong.items()]
            some = ", ".join(told[:_MOST_NAMES_SHOWN])
            params = {
                "label": _label(held),
                "count": len(wrong),
                "names": some if len(told) <= _MOST_NAMES_SHOWN else f"{some}, ...",
            }
            yield Raised(code="NAMES-TG263", subject=held.uid, params=params, instance_uids=(held.uid,))


def slices_coarse(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """Slices of the planning images must be thin enough for what is treated."""
    for plan in needed(dossier):
        most = around.demands.number("SLICES-COARSE", "most_mm", plan.uid)
        series: dict[str, list[Held]] = {}
        for held in planned_on(dossier, plan.structure_sets):
            image = held.header.image
            if image and len(image.position_mm) == 3 and len(image.orientation) == 6:
                series.setdefault(held.header.series_uid, []).append(held)
        for uid, slices in sorted(series.items()):
            steps = steps_mm(slices)
            usual = float(np.median(steps)) if steps else 0.0
            if usual > most:
                name = slices[0].header.series_description or uid
                params = {"label": label_of(plan), "series": name, "spacing": f"{usual:.2f}", "most": f"{most:g}"}
                subject = f"{plan.uid}/{uid}"
                yield Raised(code="SLICES-COARSE", subject=subject, params=params, instance_uids=(slices[0].uid,))


VOLUME_RULES: tuple[Rule, ...] = (
    target_volume_missing,
    target_not_contoured,
    external_missing,
    roi_numbers,
    names_tg263,
    slices_coarse,
)
