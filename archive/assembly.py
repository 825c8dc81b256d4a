"""Folds the facts of a patient into dossiers.

`fold` is a pure function of the facts: it asks no index and no clock, and any
order of arrival gives the same dossiers. Instances join a course through
their references (record to plan, dose to plan, plan to structure set to
images, registration to frames of reference), never by folder or study alone.
Where references are broken the frame of reference stands in, and a finding
says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from archive.catalogue import Catalogue, distinct
from archive.courses import CourseRules, Interval, anchor, dossier_id, group, interval_of
from archive.delivery import interruptions_of, parse_date, sessions_of
from archive.facts import Close, EnterSummary, PatientFacts, Sealed
from archive.gate import Gate
from archive.headers import InstanceKind
from archive.model import Dossier, DossierState, Held, PatientRecord, Person, Plan
from archive.person import person_of
from archive.plans import plans_of
from archive.prescription import phases_of
from archive.raised import Surroundings


def fold(facts: PatientFacts, *, gate: Gate, rules: CourseRules | None = None) -> PatientRecord:
    """Return everything the facts of one patient say.

    Parameters
    ----------
    facts
        All receipts and decisions under the patient's key, in any order.
    gate
        The rules that raise findings.
    rules
        Settings of the grouping into courses.
    """
    rules = rules or CourseRules()
    seals = [decision.what for decision in facts.decisions if isinstance(decision.what, Sealed)]
    sealed_files = frozenset(digest for seal in seals for digest in seal.file_sha256s)
    instances = distinct(facts.receipts, sealed=sealed_files)
    catalogue = Catalogue.of(instances)
    plans = plans_of(catalogue, facts.decisions)
    drafts = [_attach(course, catalogue) for course in _courses(plans, seals, rules)]
    drafts = _attach_rest(drafts, instances)
    person = person_of(instances)
    dossiers = tuple(_dossier(draft, person, facts, seals, gate, drafts) for draft in drafts)
    attached = {held.uid for draft in drafts for held in draft.instances}
    unattached = tuple(held for held in instances if held.uid not in attached)
    return PatientRecord(
        key=facts.key,
        person=person,
        version=facts.count,
        dossiers=dossiers,
        unattached=unattached,
        findings=gate.of_patient(person, unattached),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A course on its way to a dossier."""

    plans: tuple[Plan, ...]
    instances: tuple[Held, ...]
    by_frame: frozenset[str]

    @property
    def uids(self) -> frozenset[str]:
        return frozenset(held.uid for held in self.instances)

    @property
    def frames(self) -> frozenset[str]:
        frames = {held.header.frame_uid for held in self.instances}
        return frozenset(frames - {""})

    @property
    def interval(self) -> Interval:
        return interval_of(self.plans)

    def with_more(self, more: Iterable[Held], *, by_frame: bool = False) -> "_Draft":
        new = {held.uid: held for held in more if held.uid not in self.uids}
        marked = self.by_frame.union(new) if by_frame else self.by_frame
        return replace(self, instances=(*self.instances, *new.values()), by_frame=marked)


def _courses(plans: Sequence[Plan], seals: Sequence[Sealed], rules: CourseRules) -> list[tuple[Plan, ...]]:
    """Group plans into courses; what a seal holds together stays together, and nothing joins it."""
    by_uid = {plan.uid: plan for plan in plans}
    newest = {seal.dossier: seal for seal in sorted(seals, key=lambda seal: seal.version)}
    frozen = [tuple(by_uid[uid] for uid in seal.plan_uids if uid in by_uid) for seal in newest.values()]
    taken = {plan.uid for course in frozen for plan in course}
    free = group([plan for plan in plans if plan.uid not in taken], rules)
    return sorted((*frozen, *free), key=lambda course: (str(interval_of(course).first), anchor(course)))


def _attach(course: tuple[Plan, ...], catalogue: Catalogue) -> _Draft:
    """Gather what the plans of a course refer to and what refers to them."""
    draft = _Draft(plans=course, instances=(), by_frame=frozenset())
    for plan in course:
        draft = draft.with_more((plan.held,) if plan.held else ())
        draft = draft.with_more((*plan.doses, *plan.records, *plan.structure_sets))
        frame = _frame(plan)
        if not plan.structure_sets and (plan.held or plan.doses):
            draft = draft.with_more(catalogue.in_frame(frame, InstanceKind.STRUCTURES), by_frame=True)
        draft = _attach_images(draft, frame, catalogue)
    return draft


def _frame(plan: Plan) -> str:
    frames = [held.header.frame_uid for held in (plan.held, *plan.doses, *plan.structure_sets) if held]
    return next(filter(None, frames), "")


def _attach_images(draft: _Draft, frame: str, catalogue: Catalogue) -> _Draft:
    found: list[Held] = []
    for held in draft.instances:
        structures = held.header.structure_set
        if structures:
            found += catalogue.in_series(structures.series_uids, InstanceKind.IMAGE)
            found += catalogue.present(structures.image_uids, InstanceKind.IMAGE)
    if found:
        return draft.with_more(found)
    if any(held.kind is InstanceKind.IMAGE and held.header.frame_uid == frame for held in draft.instances):
        return draft
    return draft.with_more(catalogue.in_frame(frame, InstanceKind.IMAGE), by_frame=True)


def _attach_rest(drafts: list[_Draft], instances: tuple[Held, ...]) -> list[_Draft]:
    """Attach what no plan refers to: registrations by frame, documents by date, others by reference or frame."""
    for held in instances:
        if any(held.uid in draft.uids for draft in drafts):
            continue
        chosen, by_frame = _home(held, drafts)
        drafts = [draft.with_more((held,), by_frame=by_frame) if draft in chosen else draft for draft in drafts]
    return drafts


def _home(held: Held, drafts: list[_Draft]) -> tuple[list[_Draft], bool]:
    """Return the drafts an instance belongs to, and whether only its frame of reference says so."""
    registration = held.header.registration
    if registration:
        return [draft for draft in drafts if draft.frames.intersection(registration.frame_uids)], False
    if held.header.references:
        referring = [draft for draft in drafts if draft.uids.intersection(held.header.references)]
        if referring:
            return referring, False
    if held.kind is InstanceKind.DOCUMENT:
        return _home_of_document(held, drafts), False
    return [draft for draft in drafts if held.header.frame_uid in draft.frames], True


def _home_of_document(held: Held, drafts: list[_Draft]) -> list[_Draft]:
    """A document goes to the only course, else to the one whose days it bears, six weeks around included."""
    if len(drafts) == 1:
        return drafts
    day = parse_date(held.header.study_date)
    if day is None:
        return []
    near = [draft for draft in drafts if draft.interval.contains(day, margin=timedelta(days=42))]
    return near if len(near) == 1 else []


def _dossier(
    draft: _Draft,
    person: Person,
    facts: PatientFacts,
    seals: Sequence[Sealed],
    gate: Gate,
    drafts: Sequence[_Draft],
) -> Dossier:
    uids = {plan.uid for plan in draft.plans}
    own = sorted((seal for seal in seals if uids.issuperset(seal.plan_uids)), key=lambda seal: seal.version)
    seal = own[-1] if own else None
    frozen = frozenset(seal.file_sha256s) if seal else frozenset()
    identity = seal.dossier if seal else dossier_id(anchor(draft.plans))
    ordered = tuple(sorted(draft.instances, key=lambda held: held.uid))
    late = tuple(held for held in ordered if seal and held.receipt.file_sha256 not in frozen)
    sessions = sessions_of(fraction for plan in draft.plans for fraction in plan.fractions)
    dossier = Dossier(
        id=identity,
        aliases=tuple(sorted({dossier_id(uid) for uid in uids} - {identity})),
        patient_key=facts.key,
        person=person_of(ordered) if ordered else person,
        state=DossierState.OPEN,
        origin="here",
        version=seal.version if seal else 0,
        plans=draft.plans,
        phases=phases_of(draft.plans),
        sessions=sessions,
        interruptions=interruptions_of(sessions),
        instances=tuple(held for held in ordered if held not in late),
        late=late,
        findings=(),
        close=_newest(facts, Close, uids),
        summary_entries=entered.entries if (entered := _newest(facts, EnterSummary, uids)) else {},
    )
    surroundings = Surroundings(
        by_frame=draft.by_frame,
        neighbours=tuple(other.interval for other in drafts if other is not draft),
        decisions=facts.decisions,
    )
    findings = gate.of_dossier(dossier, surroundings)
    return _with_state(replace(dossier, findings=findings), is_sealed=seal is not None)


def _with_state(dossier: Dossier, *, is_sealed: bool) -> Dossier:
    if is_sealed:
        return replace(dossier, state=DossierState.SEALED)
    if dossier.close and not dossier.is_blocked():
        return replace(dossier, state=DossierState.READY)
    return dossier


_Settles = TypeVar("_Settles", Close, EnterSummary)


def _newest(facts: PatientFacts, act: type[_Settles], plan_uids: set[str]) -> _Settles | None:
    """Return the newest decision of that kind which names one of these plans."""
    acts = [decision.what for decision in sorted(facts.decisions, key=lambda one: one.number)]
    fitting = [one for one in acts if isinstance(one, act) and plan_uids.intersection(one.plan_uids)]
    return fitting[-1] if fitting else None
