"""How long dossiers are kept and when they go: hold, lengthening, a stated death, and disposal by two persons.

A dossier goes only when its retention has ended, no hold stands and no store
still locks it; one retention officer asks for it and another confirms. From
then on the facts bear a tombstone, and whatever of it is left is destroyed,
however often that is interrupted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from archive.dates import parse_date
from archive.desk.accounts import RETENTION_OFFICER, Account
from archive.desk.countersigning import countersign_of, countersignatures, refuse_countersigning
from archive.desk.desk import Desk
from archive.desk.leaving import arrivals_of, gone_files, gone_sources
from archive.errors import NotFound, Refused
from archive.facts.decisions import Decision, Dispose, KeepUntil, Sealed, SetHold, StateDeath, Tombstone
from archive.facts.linked import PatientFacts
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import Dossier, DossierState, PatientRecord
from archive.signing.acts import signed_sha256
from archive.vault.disposal import Certificate, signed_certificate
from archive.vault.retention import Retention, Rule, hold_of, retention_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Until when a sealed dossier is kept, and who forbids that it goes even then (None if nobody does)."""

    dossier: Dossier
    retention: Retention
    hold: Decision | None

    def is_due(self, at: datetime) -> bool:
        """Return whether it may be disposed of at that moment (aware UTC)."""
        return self.hold is None and self.retention.lock_until <= at


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where people settle how long dossiers are kept.

    Parameters
    ----------
    rules
        The terms in force.
    lock_certificates
        Until when the certificate of a disposal is locked; None where nothing is.
    """

    desk: Desk
    rules: tuple[Rule, ...]
    lock_certificates: Callable[[], datetime | None]

    def kept(self, key: PatientKey, name: str) -> Kept:
        """Return until when a sealed dossier is kept.

        Raises
        ------
        Refused
            It is not sealed, so that no term runs.
        """
        facts, dossier = self.desk.looked_up(key, name)
        return self._kept(facts, dossier)

    def all_kept(self, record: PatientRecord) -> Iterator[Kept]:
        """Yield what `kept` returns for each sealed dossier of a patient."""
        facts = self.desk.facts.read(record.key)
        for dossier in record.dossiers:
            if dossier.state is DossierState.SEALED:
                yield self._kept(facts, dossier)

    def hold(self, key: PatientKey, name: str, *, held: bool, reason: str, account: Account) -> bool:
        """Forbid that a dossier is disposed of, or lift that; return whether the store itself keeps the hold.

        Raises
        ------
        Refused
            No reason is given, nothing is to be lifted, or this role may not.
        StoreUnfit
            The store did not take the hold; this program keeps it all the same.
        """
        facts, dossier = self.desk.looked_up(key, name)
        _refuse_without(reason, "A hold")
        if not held and account.role != RETENTION_OFFICER:
            raise Refused(
                f"{account.name!r} is {account.role} and may not lift a hold", hint="Ask a retention officer."
            )
        if not held and hold_of(dossier, facts.decisions) is None:
            raise Refused("No hold stands on the dossier", hint="There is nothing to lift.")
        act = SetHold(plan_uids=dossier.plan_uids, held=held, reason=reason.strip())
        subject = {"dossier": dossier.id, "reason": act.reason}
        event = Event(act="hold" if held else "lift-hold", account=account.name, subject=subject)
        self.desk.settle(key, act, account=account, event=event, seen=facts)
        return self.desk.vault.hold(dossier.id, is_held=held) if dossier.state is DossierState.SEALED else False

    def keep_until(self, key: PatientKey, name: str, *, until: date, reason: str, account: Account) -> Kept:
        """Lengthen how long a dossier is kept; the locks are lengthened first, so that no crash leaves them behind.

        Raises
        ------
        Refused
            It is kept so long already, no reason is given, or the dossier is not sealed.
        """
        facts, dossier = self.desk.looked_up(key, name)
        _refuse_without(reason, "Lengthening")
        now = self._kept(facts, dossier)
        if until <= now.retention.until:
            raise Refused(f"The dossier is kept until {now.retention.until} already", hint="Nobody can shorten it.")
        act = KeepUntil(plan_uids=dossier.plan_uids, until=until.isoformat(), reason=reason.strip())
        self._lengthen(facts, dossier, act, account)
        event = Event(act="keep", account=account.name, subject={"dossier": dossier.id, "until": act.until})
        self.desk.settle(key, act, account=account, event=event, seen=facts)
        return self.kept(key, dossier.id)

    def state_death(self, key: PatientKey, *, day: date, reason: str, account: Account) -> tuple[Kept, ...]:
        """State on which day a patient died, and return how long the sealed dossiers are kept now.

        Raises
        ------
        Refused
            The day lies in the future or before the birth, or no reason is given.
        """
        facts = self.desk.facts.read(key)
        record = self.desk.record(key)
        _refuse_without(reason, "The statement")
        birth = parse_date(record.person.birth_date)
        if day > self.desk.clock().date() or (birth and day < birth):
            raise Refused(f"Nobody can have died on {day}", hint="Look at the date again.")
        act = StateDeath(date=f"{day:%Y%m%d}", reason=reason.strip())
        for kept in self.all_kept(record):
            self._lengthen(facts, kept.dossier, act, account)
        event = Event(act="state-death", account=account.name, subject={"patient": key, "date": day.isoformat()})
        self.desk.settle(key, act, account=account, event=event, seen=facts)
        return tuple(self.all_kept(self.desk.record(key)))

    def ask_disposal(self, key: PatientKey, name: str, *, reason: str, account: Account) -> Decision:
        """Ask that a dossier whose retention has ended is destroyed; nothing is, until a second person confirms.

        Raises
        ------
        Refused
            It is still kept, on hold, or not as it was sealed; no reason is given; or this role may not.
        """
        facts, dossier = self.desk.looked_up(key, name)
        _refuse_without(reason, "A disposal")
        self._refuse_unless_due(facts, dossier)
        if _asked(dossier, facts) is not None:
            raise Refused(
                "Somebody has asked for it already", hint="A second one confirms: lastgate dispose DOSSIER --confirm"
            )
        act = Dispose(dossier=dossier.id, version=dossier.version, plan_uids=dossier.plan_uids, reason=reason.strip())
        event = Event(act="ask-disposal", account=account.name, subject=_named(dossier))
        return self.desk.settle(key, act, account=account, event=event, seen=facts)

    def confirm_disposal(self, key: PatientKey, name: str, *, account: Account) -> Certificate:
        """Confirm what another asked for, destroy the dossier, and return the certificate.

        Everything that was looked at on asking is looked at again.

        Raises
        ------
        NotFound
            Nobody asked for it, or something was sealed since.
        Refused
            It is the same person, this role may not, or the dossier may not go (any more).
        """
        facts, dossier = self.desk.looked_up(key, name)
        asked = _asked(dossier, facts)
        if asked is None:
            raise NotFound("Nobody asked to dispose of it", hint="First: lastgate dispose DOSSIER --reason TEXT")
        if not countersignatures(asked, facts.decisions):  # else a crash came after it was confirmed
            refuse_countersigning(asked, facts.decisions, account, roles={RETENTION_OFFICER})
            self._refuse_unless_due(facts, dossier)
            event = Event(act="confirm-disposal", account=account.name, subject=_named(dossier))
            self.desk.settle(key, countersign_of(asked), account=account, event=event, seen=facts)
        else:
            self._refuse_unless_due(facts, dossier)
        return self._dispose(key, asked)

    def resume(self) -> int:
        """Bring disposals to their end that a crash interrupted, and return how many there were."""
        begun = list(self.desk.vault.disposals.unfinished())
        for certificate in begun:
            self._carry_out(certificate)
        return len(begun)

    def _kept(self, facts: PatientFacts, dossier: Dossier) -> Kept:
        if dossier.state is not DossierState.SEALED:
            raise Refused("The dossier is not sealed: no term runs yet", hint="Seal it first: lastgate seal DOSSIER")
        found = retention_of(dossier, facts.decisions, self.rules, sealed_on=_sealed_on(facts, dossier))
        return Kept(dossier=dossier, retention=found, hold=hold_of(dossier, facts.decisions))

    def _lengthen(self, facts: PatientFacts, dossier: Dossier, act: KeepUntil | StateDeath, account: Account) -> None:
        """Lock a sealed dossier for as long as it will have to be kept once `act` is a fact."""
        stated = Decision(
            number=facts.next_number, made_at=self.desk.clock(), account=account.name, role=account.role, what=act
        )
        until = self.desk.retain(dossier, (*facts.decisions, stated), _sealed_on(facts, dossier))
        if until is not None:
            self.desk.vault.keep_until(dossier.id, until)

    def _refuse_unless_due(self, facts: PatientFacts, dossier: Dossier) -> None:
        kept = self._kept(facts, dossier)
        if dossier.awaits_addendum:
            raise Refused("Something came since it was sealed", hint="Seal or move it first: nothing goes unseen.")
        if kept.hold is not None:
            raise Refused(f"{kept.hold.account!r} put the dossier on hold", hint="Its reason: lastgate show DOSSIER")
        if kept.retention.lock_until > self.desk.clock():
            raise Refused(
                f"The dossier is kept until {kept.retention.until} ({kept.retention.terms[0].code})",
                hint="See which are due: lastgate dispose --due",
            )
        self.desk.vault.disposals.refuse_if_kept(dossier.id)

    def _dispose(self, key: PatientKey, asked: Decision) -> Certificate:
        facts, dossier = self.desk.looked_up(key, _disposes(asked).dossier)
        certificate = signed_certificate(self._certificate(facts, dossier, asked), self.desk.key)
        settled = self.desk.vault.disposals.settle(certificate, retain_until=self.lock_certificates())
        self._carry_out(settled)
        return settled

    def _certificate(self, facts: PatientFacts, dossier: Dossier, asked: Decision) -> Certificate:
        others = self._others(facts, dossier)
        files = gone_files(self.desk.vault, dossier)
        return Certificate(
            dossier=dossier.id,
            version=dossier.version,
            patient_key=dossier.patient_key,
            request=asked.number,
            request_sha256=signed_sha256(asked),
            requested_by=asked.account,
            confirmed_by=countersignatures(asked, facts.decisions)[0].account,
            reason=_disposes(asked).reason,
            kept_until=self._kept(facts, dossier).retention.until,
            made_at=self.desk.clock(),
            node=self.desk.facts.node,
            plan_uids=dossier.plan_uids,
            dossier_sha256s=tuple(one.sha256 for one in files if one.path.endswith("/content/dossier.json")),
            files=files,
            sources=gone_sources(facts, dossier, others, self.desk.facts),
        )

    def _others(self, facts: PatientFacts, dossier: Dossier) -> tuple[Dossier, ...]:
        """Return all dossiers that still stand of everybody ever linked to the patient, but for this one."""
        keys = [member.key for member in facts.members] or [facts.key]
        records: Iterable[PatientRecord] = (self.desk.record(one) for one in keys)
        return tuple(
            other
            for record in records
            for other in record.dossiers
            if other.id != dossier.id and other.state is not DossierState.DISPOSED
        )

    def _carry_out(self, certificate: Certificate) -> None:
        key = certificate.patient_key
        files = {one.sha256: one.arrivals for one in certificate.sources if not one.is_paper}
        act = Tombstone(
            dossier=certificate.dossier,
            version=certificate.version,
            plan_uids=certificate.plan_uids,
            file_sha256s=tuple(files),
            arrivals=tuple(files.values()),
            dossier_sha256s=certificate.dossier_sha256s,
            request=certificate.request,
        )
        subject = {
            "dossier": certificate.dossier,
            "version": certificate.version,
            "files": len(certificate.files),
            "requested_by": certificate.requested_by,
            "confirmed_by": certificate.confirmed_by,
        }
        self.desk.note(
            key,
            act,
            account=certificate.confirmed_by,
            role=RETENTION_OFFICER,
            event=Event(act="dispose", account=certificate.confirmed_by, subject=subject),
            is_noted=lambda facts: any(
                isinstance(one.what, Tombstone) and (one.what.dossier, one.what.request) == (act.dossier, act.request)
                for one in facts.decisions
            ),
        )
        arrived = arrivals_of(self.desk.facts.read(key))
        self.desk.vault.disposals.carry_out(certificate, arrivals=lambda digest: arrived.get(digest, 0))


def _sealed_on(facts: PatientFacts, dossier: Dossier) -> date:
    """Return the day of the newest seal of a sealed dossier."""
    seals = (one for one in facts.decisions if isinstance(one.what, Sealed) and one.what.dossier == dossier.id)
    return max(one.made_at.date() for one in seals)


def _asked(dossier: Dossier, facts: PatientFacts) -> Decision | None:
    """Return who asked to dispose of this version and was not answered yet, None if nobody did."""
    done = {one.what.request for one in facts.decisions if isinstance(one.what, Tombstone)}
    wanted: Sequence[Decision] = [
        one
        for one in facts.decisions
        if isinstance(one.what, Dispose)
        and (one.what.dossier, one.what.version) == (dossier.id, dossier.version)
        and one.number not in done
    ]
    return wanted[-1] if wanted else None


def _disposes(decision: Decision) -> Dispose:
    assert isinstance(decision.what, Dispose)
    return decision.what


def _named(dossier: Dossier) -> dict[str, object]:
    return {"dossier": dossier.id, "version": dossier.version}


def _refuse_without(reason: str, what: str) -> None:
    if not reason.strip():
        raise Refused(f"{what} needs a reason", hint="Say why: --reason TEXT")
