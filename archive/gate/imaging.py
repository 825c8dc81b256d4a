"""What several rules ask about the images of a plan and where they lie."""

from collections.abc import Iterable

from archive.headers import InstanceKind
from archive.model import DeliveryState, Dossier, Held, Plan


def label_of(plan: Plan) -> str:
    """Return how people call a plan: its label, else its UID."""
    return plan.header.label or plan.uid


def needed(dossier: Dossier) -> list[Plan]:
    """Return the plans that must be complete: all but those that were certainly not delivered."""
    return [plan for plan in dossier.plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]


def delivered(dossier: Dossier) -> list[Plan]:
    """Return the plans that were certainly delivered."""
    return [plan for plan in dossier.plans if plan.delivery_state is DeliveryState.DELIVERED]


def images_by_series(dossier: Dossier) -> dict[str, list[Held]]:
    """Return the images of a dossier by Series Instance UID, in order of UID."""
    series: dict[str, list[Held]] = {}
    for held in dossier.instances:
        if held.kind is InstanceKind.IMAGE:
            series.setdefault(held.header.series_uid, []).append(held)
    return dict(sorted(series.items()))


def planned_on(dossier: Dossier, structure_sets: Iterable[Held]) -> list[Held]:
    """Return the images that these structure sets refer to, by series or one by one."""
    bodies = [held.header.structure_set for held in structure_sets if held.header.structure_set]
    uids = {uid for body in bodies for uid in body.image_uids}
    series = {uid for body in bodies for uid in body.series_uids} - {""}
    return [
        held
        for held in dossier.instances
        if held.kind is InstanceKind.IMAGE and (held.uid in uids or held.header.series_uid in series)
    ]


def frames_of(held: Held) -> frozenset[str]:
    """Return the frames of reference an instance lies in; a structure set may name several."""
    structures = held.header.structure_set
    return frozenset({held.header.frame_uid, *(structures.frame_uids if structures else ())}) - {""}


def shared_text(held: Held, keyword: str) -> str:
    """Return an attribute kept by keyword, as text; empty where it has none."""
    found = held.header.shared.get(keyword, "") or held.header.own.get(keyword, "")
    return found if isinstance(found, str) else ""
