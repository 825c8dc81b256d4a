"""Copying a treatment sheet: one person copies its fractions, another compares and signs; only then do they count."""

from dataclasses import dataclass

from archive.dates import parse_date
from archive.desk.accounts import Account
from archive.desk.countersigning import countersign_of, named_decision, refuse_countersigning
from archive.desk.desk import Desk
from archive.errors import NotFound, Refused
from archive.facts.decisions import Decision, SheetFraction, Transcribe
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import Dossier, DossierState

COPYING_ROLES = frozenset({"file-manager", "physicist", "doctor"})
_MOST = 1.5
"""More of one fraction is a slip of the pen, or an accident that is to be told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribingDesk:
    """Where treatment sheets are copied and compared."""

    desk: Desk

    def transcribe(self, key: PatientKey, name: str, act: Transcribe, *, account: Account) -> Decision:
        """Copy the fractions of a plan from its treatment sheet, and return the decision a second person is to sign.

        Parameters
        ----------
        act
            Its plan is one of the dossier's, or the UID of a course that was opened without a plan.

        Raises
        ------
        NotFound
            The dossier has no such plan.
        Refused
            A fraction can't be, the sheet's place or the reason is missing, or the dossier is sealed.
        """
        facts, dossier = self.desk.looked_up(key, name)
        if act.plan_uid not in dossier.plan_uids:
            raise NotFound(f"The dossier has no plan {act.plan_uid!r}", hint="Run `lastgate show DOSSIER` to see them.")
        if not act.reason.strip() or not act.source.strip():
            raise Refused(
                "A copy needs a reason and the place of its sheet",
                hint="Say why, and where the sheet is kept: --reason TEXT --source TEXT",
            )
        _refuse_settled(dossier)
        _refuse_fractions(act.fractions, today=f"{self.desk.clock():%Y%m%d}")
        subject = {"dossier": dossier.id, "plan": act.plan_uid, "fractions": len(act.fractions)}
        event = Event(act="transcribe", account=account.name, subject=subject)
        return self.desk.settle(key, act, account=account, event=event, seen=facts)

    def countersign(self, key: PatientKey, name: str, number: int, *, account: Account) -> Dossier:
        """Sign as the second person that a copy agrees with its sheet, and return the dossier as it reads now.

        Raises
        ------
        NotFound
            There is no copy of that number in this dossier.
        Refused
            It is the person who copied, or this role may not, or two have signed already.
        """
        facts, dossier = self.desk.looked_up(key, name)
        copies = [
            one
            for one in facts.decisions
            if isinstance(one.what, Transcribe) and one.what.plan_uid in dossier.plan_uids
        ]
        copy = named_decision(number, Transcribe, copies)
        refuse_countersigning(copy, facts.decisions, account, roles=COPYING_ROLES)
        _refuse_settled(dossier)
        event = Event(act="countersign", account=account.name, subject={"dossier": dossier.id, "decision": number})
        self.desk.settle(key, countersign_of(copy), account=account, event=event, seen=facts)
        return self.desk.dossier(key, dossier.id)


def _refuse_settled(dossier: Dossier) -> None:
    """A sealed dossier takes a copy only together with what came late, as one addendum."""
    if dossier.state is DossierState.DISPOSED or (dossier.state is DossierState.SEALED and not dossier.awaits_addendum):
        raise Refused(
            "The dossier is sealed",
            hint="Import the scanned sheet first: it waits for an addendum, and the copy with it.",
        )


def _refuse_fractions(fractions: tuple[SheetFraction, ...], *, today: str) -> None:
    if not fractions:
        raise Refused("The copy has no fractions", hint="Write one line for each fraction of the sheet.")
    numbers = [one.number for one in fractions]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise Refused(f"Fraction {twice[0]} is written twice", hint="Each fraction of the sheet is one line.")
    for one in fractions:
        if one.number < 1:
            raise Refused(f"There is no fraction {one.number}", hint="Fractions are counted from 1.")
        if parse_date(one.date) is None or one.date > today:
            raise Refused(f"Fraction {one.number} was not given on {one.date!r}", hint="Look at its day on the sheet.")
        if not 0 < one.share <= _MOST:
            raise Refused(
                f"Fraction {one.number} can't be {one.share} of a whole one",
                hint="A whole fraction is 1, half of it 0.5.",
            )
