"""Who is one person: two patients are joined, taken apart or told to be two, each by a signed word that can be undone.

The program proposes (`archive.assembly.likeness`), people decide: a file
manager or a doctor. Nothing is moved or rewritten; the facts of both are
folded together from then on, and apart again once the word is taken back.
"""

from dataclasses import dataclass

from archive.desk.accounts import Account
from archive.desk.desk import Desk
from archive.errors import Refused
from archive.facts.decisions import StateIdentity
from archive.facts.linked import PatientFacts, joined, leads_of
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import PatientRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDesk:
    """Where people settle who is who."""

    desk: Desk

    def link(self, one: PatientKey, other: PatientKey, *, reason: str, account: Account) -> PatientRecord:
        """State that two patients are one person, and return that person.

        Raises
        ------
        Refused
            They are one already, a person said that two of them are not, there is no reason, or this role may not.
        FactClash
            Somebody else settled something about one of them since.
        """
        facts = self._both(one, other, reason)
        if facts.leads[one] == facts.leads[other]:
            raise Refused("They are one person already", hint="Run `lastgate people` to see who is who.")
        apart = _told_apart(facts, one, other)
        if apart is not None:
            raise Refused(
                f"A person said that {apart[0][:12]} and {apart[1][:12]}, who would become one, are two",
                hint=f"If that was wrong, link these two first: lastgate link {apart[0][:12]} {apart[1][:12]}",
            )
        self._settle(facts, one, other, are_one=True, reason=reason, account=account)
        return self.desk.record(one)

    def unlink(self, one: PatientKey, other: PatientKey, *, reason: str, account: Account) -> PatientRecord:
        """State that two patients are two persons, and return the first: a proposal is refused, or a link undone.

        Raises
        ------
        Refused
            That is told already, others hold them together, there is no reason, or this role may not.
        FactClash
            Somebody else settled something about one of them since.
        """
        facts = self._both(one, other, reason)
        words = _words(facts)
        pair = frozenset((one, other))
        if facts.leads[one] != facts.leads[other]:
            if words.get(pair) is False:
                raise Refused("They are told to be two persons already", hint="There is nothing to do.")
        elif not words.get(pair, False):
            held = " and ".join(sorted(key[:12] for key in _linked_to(one, words)))
            raise Refused(
                f"No word joins these two: {one[:12]} is joined to {held}", hint="Take that link apart instead."
            )
        else:
            _refuse_unless_parted(facts, one, other)
        self._settle(facts, one, other, are_one=False, reason=reason, account=account)
        return self.desk.record(one)

    def _both(self, one: PatientKey, other: PatientKey, reason: str) -> PatientFacts:
        """Return the facts of both and of everybody ever linked to either, as those of the first."""
        if one == other:
            raise Refused("That is one and the same patient", hint="Name two: lastgate people --proposals")
        if not reason.strip():
            raise Refused("A word about who is who needs a reason", hint="Say why: --reason TEXT")
        found = [self.desk.facts.read(key) for key in (one, other)]
        members = {part.key: part for facts in found for part in (facts.members or (facts,))}
        return joined(one, tuple(members.values()))

    def _settle(
        self, facts: PatientFacts, one: PatientKey, other: PatientKey, *, are_one: bool, reason: str, account: Account
    ) -> None:
        patients = (min(one, other), max(one, other))
        act = StateIdentity(patients=patients, are_one=are_one, reason=reason.strip())
        event = Event(act="link" if are_one else "unlink", account=account.name, subject={"patients": list(patients)})
        self.desk.settle(one, act, account=account, event=event, seen=facts)


def _words(facts: PatientFacts) -> dict[frozenset[PatientKey], bool]:
    """Return the newest word about each pair."""
    acts = (one.what for one in facts.decisions)
    return {frozenset(act.patients): act.are_one for act in acts if isinstance(act, StateIdentity)}


def _linked_to(key: PatientKey, words: dict[frozenset[PatientKey], bool]) -> set[PatientKey]:
    return {other for pair, are_one in words.items() if are_one and key in pair for other in pair - {key}}


def _told_apart(facts: PatientFacts, one: PatientKey, other: PatientKey) -> tuple[PatientKey, PatientKey] | None:
    """Return two who would become one although they are told to be two, other than those that are named."""
    leads = facts.leads
    for pair in sorted(sorted(pair) for pair, are_one in _words(facts).items() if not are_one and len(pair) > 1):
        touched = {leads.get(key, key) for key in pair}
        if touched == {leads[one], leads[other]} and set(pair) != {one, other}:
            return (pair[0], pair[1])
    return None


def _refuse_unless_parted(facts: PatientFacts, one: PatientKey, other: PatientKey) -> None:
    """Raise if the two would still be one person by way of others."""
    acts = [decision.what for decision in facts.decisions]
    apart = StateIdentity(patients=(one, other), are_one=False, reason="")
    leads = leads_of(facts.leads, [*acts, apart])
    if leads[one] == leads[other]:
        between = " and ".join(sorted(key[:12] for key in _linked_to(one, _words(facts)) - {other}))
        raise Refused(
            f"They would still be one person by way of {between}", hint="Take that link apart first: lastgate unlink"
        )
