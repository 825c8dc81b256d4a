"""Finds the instances that belong to each course: by reference, and where references are broken by frame.

Three rounds, none of which depends on the order of arrival or of UIDs: what
the plans refer to and what refers to them; registrations that touch a frame of
reference of the course; then whatever else refers to what is already there, or
lies in a frame of the course, until nothing more is found.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from archive.assembly.catalogue import Catalogue
from archive.assembly.courses import Interval, interval_of
from archive.dates import parse_date
from archive.headers import InstanceKind
from archive.model import Held, Plan
from archive.uids import is_own

_AROUND_A_COURSE = timedelta(days=42)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A course on its way to a dossier.

    Parameters
    ----------
    by_frame
        UIDs of instances that ought to be referred to, but that only their frame of reference ties to the course.
    """

    plans: tuple[Plan, ...]
    instances: tuple[Held, ...] = ()
    by_frame: frozenset[str] = frozenset()

    @property
    def uids(self) -> frozenset[str]:
        """UIDs of its instances."""
        return frozenset(held.uid for held in self.instances)

    @property
    def interval(self) -> Interval:
        """First and last day of the course."""
        return interval_of(self.plans)

    def with_more(self, more: Iterable[Held], *, by_frame: bool = False) -> "Draft":
        """Return the draft with those instances that it did not have; a reference outweighs a frame."""
        known, found = self.uids, {held.uid: held for held in more}
        new = {uid: held for uid, held in found.items() if uid not in known}
        marked = self.by_frame.union(new) if by_frame else self.by_frame.difference(found)
        return replace(self, instances=(*self.instances, *new.values()), by_frame=marked)


def attach(courses: Iterable[tuple[Plan, ...]], catalogue: Catalogue) -> list[Draft]:
    """Return each course with its instances; an instance may belong to several, or to none."""
    drafts = [_attach_to_plans(course, catalogue) for course in courses]
    own_frames = [_frames(draft) for draft in drafts]
    registrations = catalogue.of_kind(InstanceKind.REGISTRATION)
    touching = [[held for held in registrations if frames & _registered(held)] for frames in own_frames]
    drafts = [draft.with_more(held) for draft, held in zip(drafts, touching, strict=True)]
    joined = [frames.union(*map(_registered, held)) for frames, held in zip(own_frames, touching, strict=True)]
    return _attach_rest(drafts, catalogue, _Places(own_frames=own_frames, joined_frames=joined))


def _attach_to_plans(course: tuple[Plan, ...], catalogue: Catalogue) -> Draft:
    """Gather what the plans of a course refer to and what refers to them."""
    draft = Draft(plans=course)
    for plan in course:
        draft = draft.with_more((plan.held,) if plan.held else ())
        draft = draft.with_more((*plan.doses, *plan.records, *plan.structure_sets))
        frame = _frame(plan)
        structures = plan.structure_sets
        if not structures and (plan.held or plan.doses):
            candidates = catalogue.in_frame(frame, InstanceKind.STRUCTURES)
            structures = tuple(held for held in candidates if not is_own(held.uid))
            draft = draft.with_more(structures, by_frame=True)
        draft = _attach_images(draft, frame, structures, catalogue)
    return draft


def _frame(plan: Plan) -> str:
    frames = [held.header.frame_uid for held in (plan.held, *plan.doses, *plan.structure_sets) if held]
    return next(filter(None, frames), "")


def _attach_images(draft: Draft, frame: str, structure_sets: Iterable[Held], catalogue: Catalogue) -> Draft:
    found: list[Held] = []
    for held in structure_sets:
        structures = held.header.structure_set
        if structures:
            found += catalogue.in_series(structures.series_uids, InstanceKind.IMAGE)
            found += catalogue.present(structures.image_uids, InstanceKind.IMAGE)
    draft = draft.with_more(found)
    if found or any(held.kind is InstanceKind.IMAGE and held.header.frame_uid == frame for held in draft.instances):
        return draft
    return draft.with_more(catalogue.in_frame(frame, InstanceKind.IMAGE), by_frame=True)


def _frames(draft: Draft) -> frozenset[str]:
    return frozenset(held.header.frame_uid for held in draft.instances) - {""}


def _registered(held: Held) -> frozenset[str]:
    return frozenset(held.header.registration.frame_uids if held.header.registration else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Frames of reference of each course: its own, and those a registration joins to them."""

    own_frames: Sequence[frozenset[str]]
    joined_frames: Sequence[frozenset[str]]


def _attach_rest(drafts: list[Draft], catalogue: Catalogue, places: _Places) -> list[Draft]:
    """Attach what no plan refers to, round by round: what is found in one round may be referred to in the next."""
    attached = frozenset[str]().union(*(draft.uids for draft in drafts))
    waiting = [held for held in catalogue.by_uid.values() if held.uid not in attached]
    while waiting:
        known = [draft.uids for draft in drafts]
        homes = {held.uid: _homes(held, drafts, known, places) for held in waiting}
        for index, draft in enumerate(drafts):
            mine = [held for held in waiting if index in homes[held.uid]]
            # A dose that names its plan is there already; one of our own making need not name any.
            lone = {held.uid for held in mine if held.kind is InstanceKind.DOSE and not is_own(held.uid)}
            draft = draft.with_more(held for held in mine if held.uid not in lone)
            drafts[index] = draft.with_more((held for held in mine if held.uid in lone), by_frame=True)
        left = [held for held in waiting if not homes[held.uid]]
        if len(left) == len(waiting):
            return drafts
        waiting = left
    return drafts


def _homes(held: Held, drafts: Sequence[Draft], known: Sequence[frozenset[str]], places: _Places) -> list[int]:
    """Return the places of the drafts an instance belongs to."""
    referring = [at for at, uids in enumerate(known) if not uids.isdisjoint(held.header.references)]
    if referring:
        return referring
    if held.kind is InstanceKind.DOCUMENT:
        return _homes_of_document(held, drafts)
    if held.kind is InstanceKind.REGISTRATION:
        return []
    frames = places.joined_frames if held.kind is InstanceKind.IMAGE else places.own_frames
    return [at for at, known_frames in enumerate(frames) if held.header.frame_uid in known_frames]


def _homes_of_document(held: Held, drafts: Sequence[Draft]) -> list[int]:
    """A document goes to the only course, else to the one whose days it bears, six weeks around included."""
    if len(drafts) == 1:
        return [0]
    day = parse_date(held.header.study_date)
    if day is None:
        return []
    near = [at for at, draft in enumerate(drafts) if draft.interval.contains(day, margin=_AROUND_A_COURSE)]
    return near if len(near) == 1 else []
