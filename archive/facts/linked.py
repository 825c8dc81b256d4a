"""The facts of a patient and of everybody ever linked to that patient, and who of them are one person.

Two patients are linked by the word that they are one (`StateIdentity`), also
once it was taken back, and by instances that were moved from one to the other.
Who is one person is told by the newest word about each pair, and by nothing
else: the order of arrival has no say.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from archive.facts.decisions import Act, Decision, Move, OpenDossier, StateDeath, StateIdentity
from archive.facts.receipts import PatientKey, Receipt

_OF_ONE_PERSON = (StateDeath, OpenDossier)
"""Acts that name no plan and no instance: they are about whoever they lie under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """All facts about one patient, in order of name.

    Parameters
    ----------
    key
        The patient that was asked for.
    receipts
        What arrived under the keys of all members.
    decisions
        All decisions about any member, each once, in order of number and then of key.
    members
        The facts under each key, in order of key, where more patients than one were ever linked; else empty.
    names
        The objects they were read from: the same names are the same facts.
    """

    key: PatientKey
    receipts: tuple[Receipt, ...]
    decisions: tuple[Decision, ...]
    members: tuple["PatientFacts", ...] = ()
    names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many facts there are: the version of everything folded from them."""
        if self.members:
            return sum(member.count for member in self.members)
        return len(self.receipts) + len(self.decisions)

    @property
    def next_number(self) -> int:
        """The number of the next decision: above all of everybody linked, so that the order of words is certain."""
        decided = chain(self.decisions, *(member.decisions for member in self.members))
        return max((decision.number for decision in decided), default=0) + 1

    @property
    def leads(self) -> Mapping[PatientKey, PatientKey]:
        """For each key the smallest of those that are the same person: the key that person goes by."""
        keys = [member.key for member in self.members] or [self.key]
        return leads_of(keys, (decision.what for decision in self.decisions))

    @property
    def lead(self) -> PatientKey:
        """The key this person goes by, and under which new decisions lie."""
        return self.leads[self.key]

    @property
    def person(self) -> tuple[PatientKey, ...]:
        """All keys that are this person, in order."""
        leads = self.leads
        return tuple(sorted(key for key, lead in leads.items() if lead == leads[self.key]))

    @property
    def decided_about_person(self) -> tuple[Decision, ...]:
        """The decisions that lie under this person's own keys, in order: those a sealed dossier tells of."""
        if not self.members:
            return self.decisions
        person = self.person
        told = {
            (one.number, one.signature) for member in self.members if member.key in person for one in member.decisions
        }
        return tuple(one for one in self.decisions if (one.number, one.signature) in told)

    def seen_from(self, key: PatientKey) -> "PatientFacts":
        """Return the same facts as they are told of another member."""
        return joined(key, self.members) if self.members else self


def joined(key: PatientKey, members: Sequence[PatientFacts]) -> PatientFacts:
    """Return the facts of linked patients as those of `key`."""
    if len(members) == 1 and members[0].key == key:
        return members[0]
    ordered = tuple(sorted(members, key=lambda member: member.key))
    whole = PatientFacts(
        key=key,
        receipts=tuple(chain.from_iterable(member.receipts for member in ordered)),
        decisions=tuple(_in_order(ordered)),
        members=ordered,
        names=tuple(chain.from_iterable(member.names for member in ordered)),
    )
    strangers = [member for member in ordered if member.key not in whole.person]
    return replace(whole, decisions=tuple(_without_acts_of(strangers, whole.decisions)))


def _in_order(members: Iterable[PatientFacts]) -> Iterator[Decision]:
    """Yield the decisions of all members by number and key; what lies under several keys once."""
    placed = [(decision, member.key) for member in members for decision in member.decisions]
    told: set[tuple[object, ...]] = set()
    for decision, _ in sorted(placed, key=lambda one: (one[0].number, one[1])):
        if not named_by(decision.what):
            yield decision
            continue
        name = (decision.number, decision.made_at, decision.account, decision.what)
        if name not in told:
            told.add(name)
            yield decision


def _without_acts_of(strangers: Iterable[PatientFacts], decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Leave out what names nothing that arrived and so can only be meant for the other person."""
    theirs = {id(one) for member in strangers for one in member.decisions if isinstance(one.what, _OF_ONE_PERSON)}
    return (one for one in decisions if id(one) not in theirs)


def named_by(act: Act) -> tuple[PatientKey, ...]:
    """Return the patients an act names; it lies under each of them."""
    match act:
        case StateIdentity(patients=patients):
            return patients
        case Move(to_patient=to, from_patient=from_) if to is not None:
            return (to,) if from_ is None else (from_, to)
        case _:
            return ()


def linked_by(act: Act) -> tuple[PatientKey, ...]:
    """Return the patients whose facts belong together by an act: a word that two are *not* one joins nothing."""
    return () if isinstance(act, StateIdentity) and not act.are_one else named_by(act)


def leads_of(keys: Iterable[PatientKey], acts: Iterable[Act]) -> dict[PatientKey, PatientKey]:
    """Return for each key the smallest one of the same person; `acts` come in order, and the newest word counts."""
    words: dict[frozenset[PatientKey], bool] = {}
    for act in acts:
        if isinstance(act, StateIdentity):
            words[frozenset(act.patients)] = act.are_one
    leads = {key: key for key in keys}
    pairs = [sorted(pair) for pair, are_one in words.items() if are_one and len(pair) > 1 and pair <= leads.keys()]
    for one, other in pairs:
        joined_lead = min(leads[one], leads[other])
        gone = {leads[one], leads[other]} - {joined_lead}
        leads = {key: joined_lead if lead in gone else lead for key, lead in leads.items()}
    return leads
