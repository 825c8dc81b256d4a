"""Folds the facts of a patient into dossiers.

`fold` is a pure function of the facts: it asks no index and no clock, and any
order of arrival gives the same dossiers. Instances join a course through
their references (record to plan, dose to plan, plan to structure set to
images, registration to frames of reference), never by folder or study alone.
Where references are broken the frame of reference stands in, and a finding
says so. What persons decided about identity and courses outweighs references,
and what was sealed outweighs both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from archive.assembly.attachment import Draft, attach
from archive.assembly.belonging import Belongings, belongings_of, content_of
from archive.assembly.catalogue import Catalogue, distinct
from archive.assembly.courses import CourseRules, dossier_id
from archive.assembly.delivery import interruptions_of, sessions_of
from archive.assembly.grouping import Course, courses_of
from archive.assembly.person import members_of, person_of, told_apart
from archive.assembly.plans import Plans
from archive.assembly.prescription import phases_of
from archive.assembly.release import released_of
from archive.assembly.transcription import sheet_fractions
from archive.facts.decisions import Close, EnterSummary, Sealed, SetOrigin
from archive.facts.dose_decisions import ABOUT_DOSE
from archive.facts.linked import PatientFacts
from archive.facts.receipts import PatientKey
from archive.figures import figures_of
from archive.gate.gate import Gate
from archive.gate.raised import Surroundings
from archive.headers import InstanceKind
from archive.model import DeliveryState, Dossier, DossierState, Held, PatientRecord, Person


def fold(facts: PatientFacts, *, gate: Gate, rules: CourseRules | None = None) -> PatientRecord:
    """Return everything the facts of one person say.

    Parameters
    ----------
    facts
        All receipts and decisions of a patient and everybody ever linked to it, in any order.
    gate
        The rules that raise findings.
    rules
        Settings of the grouping into courses.
    """
    rules = rules or CourseRules()
    own = belongings_of(facts)
    instances = distinct(own.receipts, sealed=frozenset(digest for seal in own.seals for digest in seal.file_sha256s))
    drafts = _drafts(facts, own, instances, rules)
    mine = tuple(held for held in instances if held.receipt.file_sha256 not in own.borrowed)
    person = person_of(held for held in mine if held.receipt.file_sha256 not in own.adopted)
    about = _About(facts=facts, own=own, person=person, lead=facts.lead, foreign=_foreign_ids(facts, own))
    intervals = [draft.interval for draft in drafts]
    dossiers = []
    for place, draft in enumerate(drafts):
        around = Surroundings(
            by_frame=draft.by_frame,
            neighbours=(*intervals[:place], *intervals[place + 1 :]),
            decisions=facts.decisions,
            rules=rules,
        )
        dossiers.append(_dossier(draft, about, gate, around))
    attached = frozenset[str]().union(*(draft.found for draft in drafts))
    unattached = tuple(held for held in mine if held.uid not in attached)
    return PatientRecord(
        key=about.lead,
        person=person,
        version=facts.count,
        dossiers=tuple(dossiers),
        unattached=unattached,
        findings=gate.of_patient(person, unattached),
        members=members_of(facts, person),
        told_apart=told_apart(facts),
        about_dose=tuple(one for one in facts.decisions if isinstance(one.what, ABOUT_DOSE)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What all dossiers of a person share.

    Parameters
    ----------
    foreign
        Ids of dossiers that were sealed of others this person was ever linked to.
    """

    facts: PatientFacts
    own: Belongings
    person: Person
    lead: PatientKey
    foreign: frozenset[str]

    @property
    def is_joined(self) -> bool:
        """Whether several patients are this person."""
        return len(self.facts.person) > 1


def _drafts(facts: PatientFacts, own: Belongings, instances: Sequence[Held], rules: CourseRules) -> list[Draft]:
    """Return the courses with their instances, what seals hold included."""
    homes = _homes_of(own, instances)
    catalogue = Catalogue.of(instances)
    plans = Plans(catalogue, facts.decisions, homes)
    acts = [one.what for one in sorted(facts.decisions, key=lambda one: one.number)]
    courses = courses_of(plans.all(), acts, own.seals, rules)
    if homes:
        courses = tuple(
            replace(course, plans=tuple(plans.within(plan, course.uids) for plan in course.plans)) for course in courses
        )
    attached = attach(courses, catalogue, {uid: home for uid, home in homes.items() if uid not in _plans_in(courses)})
    by_digest = {held.receipt.file_sha256: held for held in instances}
    return [_with_sealed(draft, by_digest, own.borrowed) for draft in attached]


def _homes_of(own: Belongings, instances: Iterable[Held]) -> dict[str, str]:
    """Return where persons said that instances belong, by UID.

    A plan can be taken out of all courses, but is put into another one by joining and parting courses alone.
    """
    if not own.homes:
        return {}
    told = ((held, own.homes.get(content_of(held.receipt))) for held in instances)
    return {held.uid: home for held, home in told if home is not None and not (home and held.kind is InstanceKind.PLAN)}


def _plans_in(courses: Iterable[Course]) -> frozenset[str]:
    return frozenset(plan.uid for course in courses for plan in course.plans)


def _with_sealed(draft: Draft, by_digest: Mapping[str, Held], borrowed: frozenset[str]) -> Draft:
    """Add what a seal holds: membership is frozen, even where today's references tell otherwise."""
    seal = draft.course.seal
    frozen = frozenset(seal.file_sha256s) if seal else frozenset()
    strange = [by_digest[digest].uid for digest in borrowed - frozen if digest in by_digest]
    draft = draft.without(strange) if strange else draft
    return draft.with_more(by_digest[digest] for digest in seal.file_sha256s if digest in by_digest) if seal else draft


def _foreign_ids(facts: PatientFacts, own: Belongings) -> frozenset[str]:
    """Return the ids of dossiers that were sealed of others: no two in the vault may bear one id."""
    sealed = {one.what.dossier for one in facts.decisions if isinstance(one.what, Sealed)}
    return frozenset(sealed - {seal.dossier for seal in own.seals})


def _dossier(draft: Draft, about: _About, gate: Gate, around: Surroundings) -> Dossier:
    facts, seal, uids = about.facts, draft.course.seal, set(draft.course.uids)
    frozen = frozenset(seal.file_sha256s) if seal else frozenset()
    identity = seal.dossier if seal else _id_of(draft.course, about)
    ordered = tuple(sorted(draft.instances, key=lambda held: held.uid))
    late = tuple(held for held in ordered if seal and held.receipt.file_sha256 not in frozen)
    told = _newest(facts, SetOrigin, uids)
    dossier = Dossier(
        id=identity,
        aliases=tuple(sorted({dossier_id(uid) for uid in uids} - {identity} - about.foreign)),
        patient_key=about.lead,
        person=_person(ordered, about),
        state=DossierState.OPEN,
        origin=told.origin if told else next((one.origin for one in draft.course.opened), "here"),
        version=seal.version if seal else 0,
        plans=draft.plans,
        phases=phases_of(draft.plans),
        sessions=(),
        interruptions=(),
        instances=tuple(held for held in ordered if not seal or held.receipt.file_sha256 in frozen),
        late=late,
        findings=(),
        close=_newest(facts, Close, uids),
        summary_entries=entered.entries if (entered := _newest(facts, EnterSummary, uids)) else {},
        released=released_of(facts.decisions, uids, seal),
        institution=told.institution if told else "",
        opened=draft.course.opened,
        astray=_astray(draft, about.own) if seal else (),
        rules=gate.mark_for(seal.rules if seal else 0),
    )
    dossier = _with_sessions(dossier, facts)
    dossier = replace(dossier, figures=figures_of(dossier, (one.first for one in around.neighbours if one.first)))
    findings = gate.of_dossier(dossier, around)
    return _with_state(replace(dossier, findings=findings), is_sealed=seal is not None)


def _person(instances: Iterable[Held], about: _About) -> Person:
    """Return the patient as the instances of a dossier tell, with every other ID of a joined person behind.

    What came under a wrong patient names somebody else, and has no say.
    """
    telling = [held for held in instances if held.receipt.file_sha256 not in about.own.adopted]
    if not telling:
        return about.person
    told = person_of(telling)
    if not about.is_joined:
        return told
    more = (one for one in about.person.identifiers if one not in told.identifiers)
    return replace(told, identifiers=(*told.identifiers, *more))


def _id_of(course: Course, about: _About) -> str:
    """Return the id of a course that is not sealed; another where a dossier of somebody else was sealed under it."""
    identity = dossier_id(course.anchor)
    return identity if identity not in about.foreign else dossier_id(f"{course.anchor}\0{about.lead}")


def _with_sessions(dossier: Dossier, facts: PatientFacts) -> Dossier:
    given = [plan for plan in dossier.plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]
    told = [fraction for plan in given for fraction in plan.fractions]
    told += sheet_fractions((one.course_uid for one in dossier.opened), facts.decisions)
    sessions = sessions_of(told)
    return replace(dossier, sessions=sessions, interruptions=interruptions_of(sessions))


def _astray(draft: Draft, own: Belongings) -> tuple[str, ...]:
    """Return what the seal holds although a person said since that it belongs elsewhere."""
    course = draft.course.uids
    sealed = frozenset(draft.course.seal.file_sha256s) if draft.course.seal else frozenset()
    held = [one for one in draft.instances if one.receipt.file_sha256 in sealed]
    homes = ((one, own.homes.get(content_of(one.receipt))) for one in held) if own.homes else ()
    moved = {one.uid for one, home in homes if home is not None and home not in course}
    return tuple(sorted(moved | {one.uid for one in held if one.receipt.file_sha256 in own.borrowed}))


def _with_state(dossier: Dossier, *, is_sealed: bool) -> Dossier:
    if is_sealed:
        return replace(dossier, state=DossierState.SEALED)
    if dossier.close and not dossier.is_blocked():
        return replace(dossier, state=DossierState.READY)
    return dossier


_Settles = TypeVar("_Settles", Close, EnterSummary, SetOrigin)


def _newest(facts: PatientFacts, act: type[_Settles], plan_uids: set[str]) -> _Settles | None:
    """Return the newest decision of that kind which names one of these plans."""
    acts = [decision.what for decision in sorted(facts.decisions, key=lambda one: one.number)]
    fitting = [one for one in acts if isinstance(one, act) and plan_uids.intersection(one.plan_uids)]
    return fitting[-1] if fitting else None
