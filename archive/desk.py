"""The desk: where people settle things about dossiers, each act signed, stored as a fact and journalled.

An act is answered after its fact is stored; the index is refreshed through
the port `on_facts`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from archive.accounts import Account
from archive.assembly import fold
from archive.courses import CourseRules
from archive.errors import Ambiguous, NotFound, Refused
from archive.facts import DECISION, Act, Close, Decision, FactStore, PatientFacts, PatientKey, Sealed, Waive
from archive.gate import Gate
from archive.journal import Event, Journal
from archive.model import Dossier, DossierState, Finding, PatientRecord, Severity
from archive.seal import sealing_plan
from archive.signing import SigningKey
from archive.vault import SealingPlan, Vault


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
        Until when a sealed version is kept at least, by the dossier; None where nothing is locked.
    """

    facts: FactStore
    gate: Gate
    vault: Vault
    journal: Journal
    key: SigningKey
    clock: Callable[[], datetime]
    on_facts: Callable[[PatientKey], None]
    retain: Callable[[Dossier], datetime | None]
    rules: CourseRules = field(default_factory=CourseRules)

    def record(self, key: PatientKey) -> PatientRecord:
        """Fold the facts of a patient as they are now."""
        return fold(self.facts.read(key), gate=self.gate, rules=self.rules)

    def dossier(self, key: PatientKey, name: str) -> Dossier:
        """Return a patient's dossier by its id, an alias or the beginning of one.

        Raises
        ------
        NotFound, Ambiguous
            No dossier, or several, begin so.
        """
        return _pick(self.record(key), name)

    def waive(self, key: PatientKey, name: str, finding_id: str, *, reason: str, account: Account) -> Finding:
        """Sign that a finding may stand, and return it as it reads now.

        Raises
        ------
        Refused
            The reason is empty, or this role may not waive this finding.
        """
        dossier = self.dossier(key, name)
        finding = next((one for one in dossier.findings if finding_id in (one.id, one.code)), None)
        if finding is None:
            raise NotFound(f"The dossier has no finding {finding_id!r}")
        if finding_id == finding.code and sum(one.code == finding_id for one in dossier.findings) > 1:
            raise Ambiguous(f"There are several findings {finding_id}", hint="Name it with its ending, as gate shows.")
        _refuse_waiver(finding, reason, account)
        act = Waive(
            code=finding.code,
            subject=finding.subject,
            plan_uids=dossier.plan_uids,
            message=finding.message,
            reason=reason.strip(),
        )
        self.settle(
            key, act, account=account, event=Event(act="sign", account=account.name, subject=_named(dossier, finding))
        )
        after = self.dossier(key, dossier.id)
        return next(one for one in after.findings if one.id == finding.id)

    def close(self, key: PatientKey, name: str, act: Close, *, account: Account) -> Dossier:
        """State that a course has ended; `act` needs no plan UIDs, they are those of the dossier."""
        dossier = self.dossier(key, name)
        if dossier.state is DossierState.SEALED:
            raise Refused("The dossier is sealed", hint="It was closed before it was sealed.")
        if act.outcome != "completed" and not act.reason.strip():
            raise Refused(f"The course ended as {act.outcome!r} without a reason", hint="Say why: --reason TEXT")
        whole = replace(act, plan_uids=dossier.plan_uids)
        subject = {"dossier": dossier.id, "outcome": act.outcome}
        self.settle(key, whole, account=account, event=Event(act="close", account=account.name, subject=subject))
        return self.dossier(key, dossier.id)

    def seal(self, key: PatientKey, name: str, *, account: Account) -> Dossier:
        """Seal a ready dossier, or add what came late to a sealed one as its next version.

        Raises
        ------
        Refused
            Something still holds it at the gate.
        """
        dossier = self.dossier(key, name)
        self.journal.flush()
        facts = self.facts.read(key)
        plan = sealing_plan(
            dossier,
            facts.decisions,
            self.vault.inventory(dossier.id),
            account=account.name,
            role=account.role,
            made_at=self.clock(),
            heads=self.journal.heads(),
            key=self.key,
        )
        self.finish(key, self.vault.settle(plan), dossier)
        return self.dossier(key, dossier.id)

    def finish(self, key: PatientKey, plan: SealingPlan, dossier: Dossier) -> None:
        """Carry out the plan of a seal and record it, whoever began it."""
        version_ids = self.vault.carry_out(plan, retain_until=self.retain(dossier))
        recorded = [one.what for one in self.facts.read(key).decisions if isinstance(one.what, Sealed)]
        if any(one.dossier == plan.dossier and one.version == plan.version for one in recorded):
            return
        act = Sealed(
            dossier=plan.dossier,
            version=plan.version,
            plan_uids=plan.plan_uids,
            file_sha256s=plan.file_sha256s,
            dossier_sha256=hashlib.sha256(plan.dossier_json.encode()).hexdigest(),
            version_ids=version_ids,
        )
        subject = {"dossier": plan.dossier, "version": plan.version}
        event = Event(act="seal", account=plan.account, subject=subject)
        self._store(key, act, name=plan.account, role=plan.role, event=event)

    def settle(self, key: PatientKey, act: Act, *, account: Account, event: Event) -> Decision:
        """Store what a person settled as a signed fact, journal it and refresh the index.

        Raises
        ------
        FactClash
            Somebody else settled something about this patient in between.
        """
        return self._store(key, act, name=account.name, role=account.role, event=event)

    def _store(self, key: PatientKey, act: Act, *, name: str, role: str, event: Event) -> Decision:
        facts = self.facts.read(key)
        unsigned = Decision(number=_next(facts), made_at=self.clock(), account=name, role=role, what=act)
        body = signed_body(unsigned)
        decision = replace(unsigned, signature=self.key.sign(body), public_key=self.key.public_key)
        self.facts.write_decision(key, decision)
        self.journal.append(event)
        self.on_facts(key)
        return decision


def signed_body(decision: Decision) -> dict[str, object]:
    """Return what the signature of a decision covers: everything but the signature and its key."""
    body: dict[str, object] = DECISION.dump_python(decision, mode="json")
    return {name: value for name, value in body.items() if name not in {"signature", "public_key"}}


def _next(facts: PatientFacts) -> int:
    return max((decision.number for decision in facts.decisions), default=0) + 1


def _pick(record: PatientRecord, name: str) -> Dossier:
    fitting = [one for one in record.dossiers if any(known.startswith(name) for known in (one.id, *one.aliases))]
    if not fitting:
        raise NotFound(f"There is no dossier {name!r}")
    if len(fitting) > 1:
        raise Ambiguous(f"{name!r} fits {len(fitting)} dossiers")
    return fitting[0]


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
