"""Finds the instances that belong to each course: by reference, and where references are broken by frame.

Three rounds, none of which depends on the order of arrival or of UIDs: what
the plans refer to and what refers to them; registrations that touch a frame of
reference of the course; then whatever else refers to what is already there, or
lies in a frame of the course, until nothing more is found. Where a person said
that an instance belongs, it belongs there and nowhere else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from archive.assembly.catalogue import Catalogue
from archive.assembly.courses import Interval
from archive.assembly.grouping import Course
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
    found
        Its instances by UID, in the order they were found.
    by_frame
        UIDs of instances that ought to be referred to, but that only their frame of reference ties to the course.
    """

    course: Course
    found: Mapping[str, Held]
    by_frame: frozenset[str] = frozenset()

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans of the course."""
        return self.course.plans

    @property
    def instances(self) -> tuple[Held, ...]:
        """Its instances."""
        return tuple(self.found.values())

    @property
    def interval(self) -> Interval:
        """First and last day of the course."""
        return self.course.interval

    def with_more(self, more: Iterable[Held], *, by_frame: bool = False) -> "Draft":
        """Return the draft with those instances that it did not have; a reference outweighs a frame."""
        found = {held.uid: held for held in more}
        if not found:
            return self
        new = {uid: held for uid, held in found.items() if uid not in self.found}
        marked = self.by_frame.union(new) if by_frame else self.by_frame.difference(found)
        return replace(self, found={**self.found, **new} if new else self.found, by_frame=marked)

    def without(self, uids: Iterable[str]) -> "Draft":
        """Return the draft without those instances."""
        gone = set(uids)
        return replace(self, found={uid: held for uid, held in self.found.items() if uid not in gone})


def attach(courses: Iterable[Course], catalogue: Catalogue, homes: Mapping[str, str]) -> list[Draft]:
    """Return each course with its instances; an instance may belong to several, or to none.

    Parameters
    ----------
    homes
        Where persons said that instances belong, by UID: the UID that names a course, or empty for none. Plans are
        not among them: courses are made of them.
    """
    free = Catalogue.of(held for uid, held in catalogue.by_uid.items() if uid not in homes) if homes else catalogue
    drafts = [_attach_to_plans(course, free, homes) for course in courses]
    own_frames = [_frames(draft) for draft in drafts]
    registrations = free.of_kind(InstanceKind.REGISTRATION)
    touching = [[held for held in registrations if frames & _registered(held)] for frames in own_frames]
    drafts = [draft.with_more(held) for draft, held in zip(drafts, touching, strict=True)]
    joined = [frames.union(*map(_registered, held)) for frames, held in zip(own_frames, touching, strict=True)]
    drafts = [_with_settled(draft, catalogue, homes) for draft in drafts]
    return _attach_rest(drafts, free, _Places(own=_places(own_frames), joined=_places(joined)))


def _attach_to_plans(course: Course, catalogue: Catalogue, homes: Mapping[str, str]) -> Draft:
    """Gather what the plans of a course refer to and what refers to them."""
    draft = Draft(course=course, found={})
    for plan in course.plans:
        draft = draft.with_more((plan.held,) if plan.held else ())
        named = (*plan.doses, *plan.records, *plan.structure_sets)
        draft = draft.with_more(held for held in named if held.uid not in homes)
        frame = _frame(plan)
        structures = plan.structure_sets
        if not structures and (plan.held or plan.doses):
            candidates = catalogue.in_frame(frame, InstanceKind.STRUCTURES)
            structures = tuple(held for held in candidates if not is_own(held.uid))
            draft = draft.with_more(structures, by_frame=True)
        draft = _attach_images(draft, frame, structures, catalogue)
    return draft


def _with_settled(draft: Draft, catalogue: Catalogue, homes: Mapping[str, str]) -> Draft:
    named = draft.course.uids
    return draft.with_more(catalogue.by_uid[uid] for uid in sorted(homes) if homes[uid] in named)


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
    """The courses each frame of reference lies in: as their own, or joined to them by a registration as well."""

    own: Mapping[str, frozenset[int]]
    joined: Mapping[str, frozenset[int]]


_NOWHERE: frozenset[int] = frozenset()


def _places(names: Sequence[Iterable[str]]) -> dict[str, frozenset[int]]:
    """Return at which places of a list each name stands."""
    found: dict[str, frozenset[int]] = {}
    for place, told in enumerate(names):
        for name in told:
            found[name] = found.get(name, _NOWHERE) | {place}
    return found


def _attach_rest(drafts: list[Draft], catalogue: Catalogue, places: _Places) -> list[Draft]:
    """Attach what no plan refers to, round by round: what is found in one round may be referred to in the next."""
    known = _places([draft.found for draft in drafts])
    waiting = [held for uid, held in catalogue.by_uid.items() if uid not in known]
    while waiting:
        homes = [(held, _homes(held, drafts, known, places)) for held in waiting]
        found: list[list[Held]] = [[] for _ in drafts]
        for held, places_of_it in homes:
            for place in places_of_it:
                found[place].append(held)
        drafts = [_with_found(draft, mine) for draft, mine in zip(drafts, found, strict=True)]
        known.update((held.uid, at) for held, at in homes if at)
        left = [held for held, at in homes if not at]
        if len(left) == len(waiting):
            return drafts
        waiting = left
    return drafts


def _with_found(draft: Draft, mine: Sequence[Held]) -> Draft:
    # A dose that names its plan is there already; one of our own making need not name any.
    lone = {held.uid for held in mine if held.kind is InstanceKind.DOSE and not is_own(held.uid)}
    draft = draft.with_more(held for held in mine if held.uid not in lone)
    return draft.with_more((held for held in mine if held.uid in lone), by_frame=True)


def _homes(held: Held, drafts: Sequence[Draft], known: Mapping[str, frozenset[int]], places: _Places) -> frozenset[int]:
    """Return the places of the drafts an instance belongs to."""
    header = held.header
    if header.references:
        referring = _NOWHERE.union(*(known.get(uid, _NOWHERE) for uid in header.references))
        if referring:
            return referring
    if header.kind is InstanceKind.DOCUMENT:
        return _homes_of_document(held, drafts)
    if header.kind is InstanceKind.REGISTRATION:
        return _NOWHERE
    frames = places.joined if header.kind is InstanceKind.IMAGE else places.own
    return frames.get(header.frame_uid, _NOWHERE)


def _homes_of_document(held: Held, drafts: Sequence[Draft]) -> frozenset[int]:
    """A document goes to the only course, else to the one whose days it bears, six weeks around included."""
    if len(drafts) == 1:
        return frozenset((0,))
    day = parse_date(held.header.study_date)
    if day is None:
        return _NOWHERE
    near = [at for at, draft in enumerate(drafts) if draft.interval.contains(day, margin=_AROUND_A_COURSE)]
    return frozenset(near) if len(near) == 1 else _NOWHERE
