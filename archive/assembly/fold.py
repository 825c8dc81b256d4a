"""Folds the facts of a patient into dossiers.

`fold` is a pure function of the facts: it asks no index and no clock, and any
order of arrival gives the same dossiers. Instances join a course through
their references (record to plan, dose to plan, plan to structure set to
images, registration to frames of reference), never by folder or study alone.
Where references are broken the frame of reference stands in, and a finding
says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from archive.assembly.attachment import Draft, attach
from archive.assembly.catalogue import Catalogue, distinct
from archive.assembly.courses import CourseRules, anchor, dossier_id, group, interval_of
from archive.assembly.delivery import interruptions_of, sessions_of
from archive.assembly.person import person_of
from archive.assembly.plans import plans_of
from archive.assembly.prescription import phases_of
from archive.assembly.release import released_of
from archive.facts.decisions import Close, EnterSummary, Sealed
from archive.facts.store import PatientFacts
from archive.figures import figures_of
from archive.gate.gate import Gate
from archive.gate.raised import Surroundings
from archive.model import DeliveryState, Dossier, DossierState, Held, PatientRecord, Person, Plan


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
    drafts = [_with_sealed(draft, seals, instances) for draft in attach(_courses(plans, seals, rules), catalogue)]
    person = person_of(instances)
    intervals = [draft.interval for draft in drafts]
    dossiers = []
    for place, draft in enumerate(drafts):
        around = Surroundings(
            by_frame=draft.by_frame,
            neighbours=(*intervals[:place], *intervals[place + 1 :]),
            decisions=facts.decisions,
            rules=rules,
        )
        dossiers.append(_dossier(draft, person, facts, _seal_of(draft.plans, seals), gate, around))
    attached = {held.uid for draft in drafts for held in draft.instances}
    unattached = tuple(held for held in instances if held.uid not in attached)
    return PatientRecord(
        key=facts.key,
        person=person,
        version=facts.count,
        dossiers=tuple(dossiers),
        unattached=unattached,
        findings=gate.of_patient(person, unattached),
    )


def _courses(plans: Sequence[Plan], seals: Sequence[Sealed], rules: CourseRules) -> list[tuple[Plan, ...]]:
    """Group plans into courses; what a seal holds together stays together, and nothing joins it."""
    by_uid = {plan.uid: plan for plan in plans}
    newest = {seal.dossier: seal for seal in sorted(seals, key=lambda seal: seal.version)}
    frozen = [
        course for seal in newest.values() if (course := tuple(by_uid[uid] for uid in seal.plan_uids if uid in by_uid))
    ]
    taken = {plan.uid for course in frozen for plan in course}
    free = group([plan for plan in plans if plan.uid not in taken], rules)
    return sorted((*frozen, *free), key=lambda course: (str(interval_of(course).first), anchor(course)))


def _seal_of(plans: Iterable[Plan], seals: Iterable[Sealed]) -> Sealed | None:
    """Return the newest seal that holds these plans together, None if they were never sealed."""
    uids = {plan.uid for plan in plans}
    own = [seal for seal in seals if seal.plan_uids and uids.issuperset(seal.plan_uids)]
    return max(own, key=lambda seal: seal.version, default=None)


def _with_sealed(draft: Draft, seals: Iterable[Sealed], instances: Iterable[Held]) -> Draft:
    """Add what a seal holds: membership is frozen, even where today's references tell otherwise."""
    seal = _seal_of(draft.plans, seals)
    frozen = frozenset(seal.file_sha256s) if seal else frozenset()
    return draft.with_more(held for held in instances if held.receipt.file_sha256 in frozen)


def _dossier(
    draft: Draft, person: Person, facts: PatientFacts, seal: Sealed | None, gate: Gate, around: Surroundings
) -> Dossier:
    uids = {plan.uid for plan in draft.plans}
    frozen = frozenset(seal.file_sha256s) if seal else frozenset()
    identity = seal.dossier if seal else dossier_id(anchor(draft.plans))
    ordered = tuple(sorted(draft.instances, key=lambda held: held.uid))
    late = tuple(held for held in ordered if seal and held.receipt.file_sha256 not in frozen)
    given = [plan for plan in draft.plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]
    sessions = sessions_of(fraction for plan in given for fraction in plan.fractions)
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
        released=released_of(facts.decisions, uids, seal),
    )
    dossier = replace(dossier, figures=figures_of(dossier, (one.first for one in around.neighbours if one.first)))
    findings = gate.of_dossier(dossier, around)
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
