"""The desk: where people settle things about dossiers, each act signed, stored as a fact and journalled.

An act is answered after its fact is stored; the index is refreshed through
the port `on_facts`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from archive.assembly.courses import CourseRules
from archive.assembly.disposed import fold_standing
from archive.dates import parse_date
from archive.desk.accounts import RETENTION_OFFICER, Account
from archive.desk.naming import pick, pick_finding, refuse_role
from archive.errors import FactClash, NotFound, Refused, SealBroken
from archive.facts.decisions import (
    Act,
    ChooseDose,
    Close,
    Countersign,
    Decision,
    Dispose,
    KeepUntil,
    Release,
    Sealed,
    SetDeliveryState,
    SetHold,
    StateIdentity,
    Waive,
)
from archive.facts.disposed import standing_seals
from archive.facts.dose_decisions import ApproveComposite, JudgeRegistration, Register, StateDoseKind
from archive.facts.linked import named_by
from archive.facts.receipts import PatientKey
from archive.facts.store import FactStore, PatientFacts
from archive.gate.gate import Gate
from archive.journal.journal import Event, Journal
from archive.model import Dossier, DossierState, Finding, PatientRecord, Severity
from archive.signing.acts import signed_body
from archive.signing.signing import SigningKey
from archive.vault.retention import hold_of
from archive.vault.seal import sealing_plan, with_stamp
from archive.vault.vault import SealingPlan, Vault

_NEVER_STORED = timedelta(days=1)
"""A fact that is not there so long after its act was begun never will be: no call to a store takes that long."""

_CLINICAL = frozenset({"file-manager", "physicist", "doctor"})
# An administrator keeps the machine and has no say about patients : which dose grid counts is physics.
_MAY_SETTLE: dict[type[Act], frozenset[str]] = {
    ChooseDose: frozenset({"physicist"}),
    Register: frozenset({"physicist"}),
    JudgeRegistration: frozenset({"physicist"}),
    StateDoseKind: frozenset({"physicist"}),
    ApproveComposite: frozenset({"physicist"}),
    Release: frozenset({"physicist", "doctor"}),
    SetHold: _CLINICAL | {RETENTION_OFFICER},
    KeepUntil: _CLINICAL | {RETENTION_OFFICER},
    Dispose: frozenset({RETENTION_OFFICER}),
    Countersign: _CLINICAL | {RETENTION_OFFICER},
    StateIdentity: frozenset({"file-manager", "doctor"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where people settle things.

    Parameters
    ----------
    on_facts
        Called with the patient's key after every new fact.
    clock
        Returns the time as aware UTC.
    retain
        Until when a dossier is kept at least, by the decisions about its patient and the day of its seal; None where
        nothing is locked.
    """

    facts: FactStore
    gate: Gate
    vault: Vault
    journal: Journal
    key: SigningKey
    clock: Callable[[], datetime]
    on_facts: Callable[[PatientKey], None]
    retain: Callable[[Dossier, Sequence[Decision], date], datetime | None]
    rules: CourseRules = field(default_factory=CourseRules)

    def record(self, key: PatientKey) -> PatientRecord:
        """Fold the facts of a patient as they are now."""
        return self.fold(self.facts.read(key))

    def persons(self, key: PatientKey) -> tuple[PatientRecord, ...]:
        """Fold everybody ever linked to a patient, each person once: a new fact of one counts in the version of all."""
        facts = self.facts.read(key)
        return tuple(self.fold(facts.seen_from(lead)) for lead in sorted(set(facts.leads.values())))

    def dossier(self, key: PatientKey, name: str) -> Dossier:
        """Return a patient's dossier by its id, an alias or the beginning of one.

        Raises
        ------
        NotFound, Ambiguous
            No dossier, or several, begin so.
        """
        return pick(self.record(key), name)

    def looked_up(self, key: PatientKey, name: str) -> tuple[PatientFacts, Dossier]:
        """Return a patient's dossier with the facts it was folded from; raises what `dossier` does."""
        facts = self.facts.read(key)
        return facts, pick(self.fold(facts), name)

    def waive(self, key: PatientKey, name: str, finding_id: str, *, reason: str, account: Account) -> Finding:
        """Sign that a finding may stand, and return it as it reads now.

        Raises
        ------
        Refused
            The reason is empty, or this role may not waive this finding.
        FactClash
            Somebody else settled something while this person was looking.
        """
        facts, dossier = self.looked_up(key, name)
        finding = pick_finding(dossier, finding_id)
        _refuse_waiver(finding, reason, account)
        act = Waive(
            code=finding.code,
            subject=finding.subject,
            plan_uids=dossier.plan_uids,
            message=finding.message,
            reason=reason.strip(),
            figures_sha256=finding.figures_sha256,
        )
        event = Event(act="sign", account=account.name, subject=_named(dossier, finding))
        self.settle(key, act, account=account, event=event, seen=facts)
        return pick_finding(self.dossier(key, dossier.id), finding.id)

    def close(self, key: PatientKey, name: str, act: Close, *, account: Account) -> Dossier:
        """State that a course has ended; `act` needs no plan UIDs, they are those of the dossier.

        Raises
        ------
        Refused
            The dossier is sealed, the date is none, or it did not end as planned and no reason is given.
        """
        facts, dossier = self.looked_up(key, name)
        if dossier.state is DossierState.SEALED:
            raise Refused("The dossier is sealed", hint="It was closed before it was sealed.")
        if parse_date(act.last_date) is None:
            raise Refused(f"{act.last_date!r} is no day", hint="Write it as DA, such as 20260331.")
        if act.outcome != "completed" and not act.reason.strip():
            raise Refused(f"The course ended as {act.outcome!r} without a reason", hint="Say why: --reason TEXT")
        whole = replace(act, plan_uids=dossier.plan_uids)
        event = Event(act="close", account=account.name, subject={"dossier": dossier.id, "outcome": act.outcome})
        self.settle(key, whole, account=account, event=event, seen=facts)
        return self.dossier(key, dossier.id)

    def state_delivery(self, key: PatientKey, name: str, act: SetDeliveryState, *, account: Account) -> Dossier:
        """State whether a plan without treatment records was delivered.

        Raises
        ------
        Refused
            The reason is empty, the dossier is sealed, or records of the plan say that it was delivered.
        """
        facts, dossier = self.looked_up(key, name)
        plan = next((plan for plan in dossier.plans if plan.uid == act.plan_uid), None)
        if plan is None:
            raise NotFound("The dossier has no such plan")
        if not act.reason.strip():
            raise Refused("A statement needs a reason", hint="Say why: --reason TEXT")
        if dossier.state is DossierState.SEALED:
            raise Refused("The dossier is sealed", hint="What was delivered was settled before it was sealed.")
        if plan.fractions and not act.delivered:
            raise Refused(
                f"{len(plan.fractions)} recorded fraction(s) say that the plan was delivered",
                hint="If the records are wrong, have them corrected at the machine; a statement does not undo them.",
            )
        subject = {"dossier": dossier.id, "plan": act.plan_uid, "delivered": act.delivered}
        event = Event(act="deliver", account=account.name, subject=subject)
        self.settle(key, act, account=account, event=event, seen=facts)
        return self.dossier(key, dossier.id)

    def seal(self, key: PatientKey, name: str, *, account: Account) -> Dossier:
        """Seal a ready dossier, or add what came late to a sealed one as its next version.

        A seal that was begun and interrupted, by whomever, is brought to its end first.

        Raises
        ------
        Refused
            Something still holds it at the gate, or a dossier of its id was sealed of another patient.
        SealBroken
            The vault holds another version than the facts tell.
        """
        refuse_role(account, _CLINICAL, "seal")
        with suppress(SealBroken):  # another process may have got to the vault, and not to the facts yet
            return self._seal(key, name, account)
        return self._seal(key, name, account)

    def _seal(self, key: PatientKey, name: str, account: Account) -> Dossier:
        if self._finish_begun(key, self.dossier(key, name)):
            dossier = self.dossier(key, name)
            if not dossier.awaits_addendum:
                return dossier
        self.journal.flush()
        facts, dossier = self.looked_up(key, name)
        self._refuse_while_destroyed(dossier)
        plan = sealing_plan(
            dossier,
            facts.decided_about_person,
            self.vault.inventory(dossier.id),
            account=account.name,
            role=account.role,
            made_at=self.clock(),
            heads=self.journal.heads(),
            key=self.key,
        )
        stamp = self.vault.stamp(plan)
        settled = self.vault.settle(with_stamp(plan, stamp) if stamp else plan)
        _refuse_strangers(settled, facts)
        self.finish(key, settled, dossier)
        return self.dossier(key, dossier.id)

    def resume(self) -> int:
        """Bring seals to their end that a crash interrupted, and return how many there were."""
        begun = list(self.vault.unfinished())
        for plan in begun:
            self.finish(plan.patient_key, plan, self.dossier(plan.patient_key, plan.dossier))
        return len(begun)

    def catch_up(self) -> int:
        """Journal and index the acts of this node after whose fact it was interrupted; return how many there were.

        An act that is under way in another process may be met: what is done twice is done once.
        """
        count = 0
        for owed in self.journal.owed():
            key = PatientKey(owed.patient)
            numbered = [one for one in self.facts.decisions(key) if one.number == owed.decision]
            # Of linked patients several decisions may bear one number; its signature tells which is meant.
            stored = next((one for one in numbered if one.signature == owed.signature), next(iter(numbered), None))
            if stored is None and self.clock() - owed.at < _NEVER_STORED:
                continue
            if stored is not None and stored.signature == owed.signature:
                self._follow_up((key, *named_by(stored.what)), owed.id)
                count += 1
            else:  # its process died before the fact, or somebody else got the number
                self.journal.strike(owed.id)
        return count

    def finish(self, key: PatientKey, plan: SealingPlan, dossier: Dossier) -> None:
        """Carry out the plan of a seal and record it, whoever began it; what is done already is left alone."""
        facts = self.facts.read(key)
        if not _is_recorded(plan, facts):
            until = self.retain(dossier, facts.decisions, plan.made_at.date())
            sealed_in = tuple(dict.fromkeys(seal.dossier for seal in standing_seals(facts.decisions)))
            version_ids = self.vault.carry_out(plan, retain_until=until, sealed_in=sealed_in)
            if hold_of(dossier, facts.decisions):
                self.vault.hold(plan.dossier, is_held=True)
            self._record(key, plan, version_ids)
        self.vault.note_recorded(plan)

    def _record(self, key: PatientKey, plan: SealingPlan, version_ids: Mapping[str, str]) -> None:
        act = Sealed(
            dossier=plan.dossier,
            version=plan.version,
            plan_uids=plan.plan_uids,
            file_sha256s=plan.file_sha256s,
            dossier_sha256=hashlib.sha256(plan.dossier_json.encode()).hexdigest(),
            version_ids=dict(version_ids),
            paper_sha256s=plan.paper_sha256s,
            rules=plan.rules,
        )
        subject: dict[str, object] = {"dossier": plan.dossier, "version": plan.version}
        if plan.timestamp_problem:
            subject["no_timestamp"] = plan.timestamp_problem
        event = Event(act="seal", account=plan.account, subject=subject)
        self.note(
            key,
            act,
            account=plan.account,
            role=plan.role,
            event=event,
            is_noted=lambda facts: _is_recorded(plan, facts),
        )

    def settle(
        self, key: PatientKey, act: Act, *, account: Account, event: Event, seen: PatientFacts | None = None
    ) -> Decision:
        """Store what a person settled as a signed fact, journal it and refresh the index.

        Parameters
        ----------
        seen
            The facts this person looked at; as they are now if None.

        Raises
        ------
        Refused
            This role may not settle that.
        FactClash
            Somebody else settled something about this patient since.
        """
        refuse_role(account, _MAY_SETTLE.get(type(act), _CLINICAL), act.act)
        facts = self.facts.read(key) if seen is None else seen
        return self._store(key, act, facts, name=account.name, role=account.role, event=event)

    def note(
        self,
        key: PatientKey,
        act: Act,
        *,
        account: str,
        role: str,
        event: Event,
        is_noted: Callable[[PatientFacts], bool],
    ) -> None:
        """Store an act that follows from what was settled already; whoever else settles something has no say in it.

        Parameters
        ----------
        is_noted
            Whether the facts tell of it: then nothing is done.
        """
        while not is_noted(facts := self.facts.read(key)):
            with suppress(FactClash):
                self._store(key, act, facts, name=account, role=role, event=event)

    def _refuse_while_destroyed(self, dossier: Dossier) -> None:
        if next(self.vault.disposals.unfinished(dossier.id), None) is not None:
            raise Refused(
                "A dossier of this id was disposed of, and not everything of it is gone yet",
                hint="Run `lastgate tidy` first, which ends that.",
            )

    def fold(self, facts: PatientFacts) -> PatientRecord:
        """Fold facts by the rules in force."""
        return fold_standing(facts, gate=self.gate, rules=self.rules)

    def _finish_begun(self, key: PatientKey, dossier: Dossier) -> bool:
        facts = self.facts.read(key)
        names = (dossier.id, *dossier.aliases)
        begun = [plan for name in names for plan in self.vault.begun(name) if not _is_recorded(plan, facts)]
        for plan in begun:
            _refuse_strangers(plan, facts)
        for plan in begun:
            self.finish(key, plan, dossier)
        return bool(begun)

    def _store(self, key: PatientKey, act: Act, facts: PatientFacts, *, name: str, role: str, event: Event) -> Decision:
        unsigned = Decision(number=facts.next_number, made_at=self.clock(), account=name, role=role, what=act)
        decision = replace(unsigned, signature=self.key.sign(signed_body(unsigned)), public_key=self.key.public_key)
        lead = facts.seen_from(key).lead
        owed = self.journal.owe(event, patient=lead, decision=decision.number, signature=decision.signature)
        try:
            self.facts.write_decision(lead, decision)
        except FactClash:
            self.journal.strike(owed)
            raise
        self._follow_up((lead, *named_by(act)), owed)
        return decision

    def _follow_up(self, keys: Sequence[PatientKey], owed: int) -> None:
        """Journal an act whose fact is stored, and tell the index; a crash before the end leaves its note standing."""
        self.journal.pay(owed)
        for key in dict.fromkeys(keys):
            self.on_facts(key)
        self.journal.strike(owed)


def _refuse_strangers(plan: SealingPlan, facts: PatientFacts) -> None:
    """Refuse to take the seal of another patient's dossier for one's own: its files are not those of this patient."""
    if plan.patient_key not in facts.leads:
        raise Refused(
            f"A dossier of the id {plan.dossier} was sealed of another patient: its plan came under two patient IDs",
            hint="Find out whose it is: `lastgate link` if they are one person, `lastgate move` if it came wrongly.",
        )


def _is_recorded(plan: SealingPlan, facts: PatientFacts) -> bool:
    seals = standing_seals(facts.decisions)
    return any(one.dossier == plan.dossier and one.version == plan.version for one in seals)


def _refuse_waiver(finding: Finding, reason: str, account: Account) -> None:
    if not reason.strip():
        raise Refused("A waiver needs a reason", hint="Say why: --reason TEXT")
    if not finding.waivable_by:
        raise Refused(f"{finding.code} can't be waived", hint=finding.fix)
    if account.role not in finding.waivable_by:
        allowed = (
            " and a ".join(finding.waivable_by)
            if finding.severity is Severity.URGENT
            else " or a ".join(finding.waivable_by)
        )
        raise Refused(f"A {account.role} may not sign {finding.code}", hint=f"Ask a {allowed}.")


def _named(dossier: Dossier, finding: Finding) -> dict[str, object]:
    return {"dossier": dossier.id, "finding": finding.id}
