"""What file managers correct: where instances belong, what is one course, where a course was given.

Each correction is a signed word, and the newest counts. What is sealed stays
as it is: what a word would change there becomes a finding, or waits for an
addendum. No word is taken that the fold would not follow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from archive.assembly.belonging import belongings_of
from archive.dates import parse_date
from archive.desk.accounts import Account
from archive.desk.desk import Desk
from archive.desk.objects import named_objects, plans_named_by, with_followers
from archive.errors import Ambiguous, NotFound, Refused
from archive.facts.decisions import Act, Decision, Merge, Move, OpenDossier, SetOrigin, Split
from archive.facts.linked import PatientFacts, joined
from archive.facts.receipts import PatientKey
from archive.headers import InstanceKind
from archive.journal.journal import Event
from archive.model import Dossier, DossierState, Held, PatientRecord
from archive.uids import own_uid

BY_REFERENCES: Final = "by-references"
"""Instead of a dossier: a word said before is taken back, and references tell the course again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionsDesk:
    """Where people correct what was assembled."""

    desk: Desk

    def move(
        self, key: PatientKey, names: Sequence[str], to: str | None, *, reason: str, account: Account
    ) -> tuple[Held, ...]:
        """Move instances to another course of their patient, and return them.

        Parameters
        ----------
        names
            SOP Instance UIDs, series UIDs or digests.
        to
            Id of a dossier or its beginning, `BY_REFERENCES`, or None for no course at all.

        Raises
        ------
        NotFound, Ambiguous
            A name fits nothing, or several dossiers.
        Refused
            A plan or what counts for a plan would be torn from its course, or there is no reason.
        """
        facts, record = self._looked_at(key, reason)
        meant = named_objects(record, names)
        if to is None or to == BY_REFERENCES:
            meant, home = with_followers(record, meant), ""
        else:
            course = _pick(record, to)
            _refuse_torn(meant, course)
            home = course.plan_uids[0]
        back = facts.lead if to == BY_REFERENCES else None
        act = Move(
            file_sha256s=_digests(facts, meant),
            to_plan_uid=home,
            to_patient=back,
            from_patient=back,
            reason=reason.strip(),
        )
        self._settle(key, act, facts, account, {"objects": len(meant), "to": home or to or "no course"})
        return tuple(meant)

    def move_to_patient(
        self, key: PatientKey, names: Sequence[str], to: PatientKey, *, reason: str, account: Account
    ) -> tuple[Held, ...]:
        """Move instances that came under a wrong patient to the right one, and return them.

        A plan takes the doses and treatment records along that name no other; there references tell the course.

        Raises
        ------
        NotFound
            A name fits nothing.
        Refused
            They belong to that person already, or there is no reason.
        """
        own, record = self._looked_at(key, reason)
        other = self.desk.facts.read(to)
        members = {one.key: one for facts in (own, other) for one in (facts.members or (facts,))}
        facts = joined(key, tuple(members.values()))
        if facts.leads[key] == facts.leads[to]:
            raise Refused("They belong to this person already", hint="To another course: lastgate move --to DOSSIER")
        meant = with_followers(record, named_objects(record, names))
        act = Move(
            file_sha256s=_digests(own, meant),
            to_plan_uid="",
            to_patient=facts.leads[to],
            from_patient=facts.lead,
            reason=reason.strip(),
        )
        self._settle(key, act, facts, account, {"objects": len(meant), "from": facts.lead, "to": facts.leads[to]})
        return tuple(meant)

    def merge(self, key: PatientKey, names: Sequence[str], *, reason: str, account: Account) -> Dossier:
        """State that the courses of these dossiers are one, and return it.

        Raises
        ------
        Refused
            There are not two, one of them is sealed, or there is no reason.
        """
        facts, record = self._looked_at(key, reason)
        dossiers = {one.id: one for one in (_pick(record, name) for name in names)}
        if len(dossiers) < 2:
            raise Refused("These names mean one dossier", hint="Name two or more: lastgate merge DOSSIER DOSSIER")
        for dossier in dossiers.values():
            _refuse_sealed(dossier, "can't be joined to another")
        uids = tuple(uid for dossier in dossiers.values() for uid in dossier.plan_uids)
        self._settle(key, Merge(plan_uids=uids, reason=reason.strip()), facts, account, {"dossiers": [*dossiers]})
        return self._with(key, uids[0])

    def split(self, key: PatientKey, name: str, plan_uids: Sequence[str], *, reason: str, account: Account) -> Dossier:
        """State that plans of a dossier are a course of their own, and return it.

        Raises
        ------
        NotFound
            The dossier has no such plan.
        Refused
            It is sealed, no plan would stay behind, or there is no reason.
        """
        facts, record = self._looked_at(key, reason)
        dossier = _pick(record, name)
        _refuse_sealed(dossier, "can't be parted")
        strange = [uid for uid in plan_uids if uid not in dossier.plan_uids]
        if strange:
            raise NotFound(f"The dossier has no plan {strange[0]!r}", hint="Run `lastgate show DOSSIER` to see them.")
        if not set(plan_uids) or set(dossier.plan_uids) <= set(plan_uids):
            raise Refused("A part must go and a part must stay", hint="Name some of the plans of the dossier, not all.")
        act = Split(plan_uids=tuple(dict.fromkeys(plan_uids)), reason=reason.strip())
        self._settle(key, act, facts, account, {"dossier": dossier.id, "plans": len(act.plan_uids)})
        return self._with(key, act.plan_uids[0])

    def open_dossier(self, key: PatientKey, act: OpenDossier, *, account: Account) -> Dossier:
        """Open a dossier for a course of which there is no plan, and return it; `act` needs no course UID.

        Raises
        ------
        Refused
            It has no label or reason, or its days are none or in the wrong order.
        """
        facts, _ = self._looked_at(key, act.reason)
        if not act.label.strip():
            raise Refused("The course has no label", hint="Say what was treated: --label TEXT")
        _refuse_days(act.first_date, act.last_date)
        whole = replace(act, course_uid=own_uid("course", facts.lead, str(facts.next_number)))
        self._settle(key, whole, facts, account, {"course": whole.course_uid, "origin": act.origin})
        return self._with(key, whole.course_uid)

    def set_origin(self, key: PatientKey, name: str, act: SetOrigin, *, account: Account) -> Dossier:
        """State where a course was given; `act` needs no plan UIDs, they are those of the dossier.

        Raises
        ------
        Refused
            It is sealed, nobody is named who gave it elsewhere, or there is no reason.
        """
        facts, record = self._looked_at(key, act.reason)
        dossier = _pick(record, name)
        _refuse_sealed(dossier, "keeps the origin it was sealed with")
        if act.origin == "elsewhere" and not act.institution.strip():
            raise Refused("Nobody is named who gave it", hint="Name the hospital: --institution TEXT")
        whole = replace(act, plan_uids=dossier.plan_uids)
        self._settle(key, whole, facts, account, {"dossier": dossier.id, "origin": act.origin})
        return self._with(key, dossier.plan_uids[0])

    def _looked_at(self, key: PatientKey, reason: str) -> tuple[PatientFacts, PatientRecord]:
        if not reason.strip():
            raise Refused("A correction needs a reason", hint="Say why: --reason TEXT")
        facts = self.desk.facts.read(key)
        return facts, self.desk.fold(facts)

    def _settle(
        self, key: PatientKey, act: Act, facts: PatientFacts, account: Account, subject: dict[str, object]
    ) -> Decision:
        event = Event(act=act.act, account=account.name, subject=subject)
        return self.desk.settle(key, act, account=account, event=event, seen=facts)

    def _with(self, key: PatientKey, uid: str) -> Dossier:
        """Return the dossier that a UID names now."""
        return next(one for one in self.desk.record(key).dossiers if uid in one.plan_uids)


def _pick(record: PatientRecord, name: str) -> Dossier:
    fitting = [one for one in record.dossiers if name and any(n.startswith(name) for n in (one.id, *one.aliases))]
    if not fitting:
        raise NotFound(f"This patient has no dossier {name!r}")
    if len(fitting) > 1:
        raise Ambiguous(f"{name!r} fits {len(fitting)} dossiers")
    return fitting[0]


def _digests(facts: PatientFacts, meant: Iterable[Held]) -> tuple[str, ...]:
    """Return the digests of every arrival of these instances, whatever their encoding or content."""
    uids = {held.uid for held in meant}
    receipts = belongings_of(facts).receipts
    named = (one.file_sha256 for one in receipts if (one.header.sop_instance_uid or one.file_sha256) in uids)
    return tuple(sorted(set(named)))


def _refuse_torn(meant: Iterable[Held], course: Dossier) -> None:
    """Refuse to part a plan from its course, or what counts for a plan from that plan."""
    for held in meant:
        if held.kind is InstanceKind.PLAN and held.uid not in course.plan_uids:
            raise Refused(
                "A plan makes its course and can't be moved into another",
                hint="Join or part the courses: lastgate merge, lastgate split.",
            )
        named = set(plans_named_by(held))
        if named and named.isdisjoint(course.plan_uids):
            raise Refused(
                f"{held.header.modality or held.kind.value} {held.uid} counts for plan {min(named)}, of another course",
                hint="Where it is wrong there, move it to no course (--to-no-course) or to its own patient.",
            )


def _refuse_sealed(dossier: Dossier, why: str) -> None:
    if dossier.state in (DossierState.SEALED, DossierState.DISPOSED):
        raise Refused(
            f"The dossier {dossier.id[:10]} is sealed and {why}",
            hint="What is sealed stays as it is. Write to the doctor what is wrong with it, or add a document to it.",
        )


def _refuse_days(first: str, last: str) -> None:
    days = [parse_date(text) for text in (first, last) if text]
    if None in days:
        raise Refused("That is no day", hint="Write it as 2015-03-31.")
    if first and last and first > last:
        raise Refused("The course ends before it begins", hint="Check --from and --to.")
