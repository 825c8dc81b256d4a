"""What belongs to a person: what came under the person's keys, less what was moved away, and what was moved here.

A person may be several patient keys that were joined, and instances may have
come under a wrong key. A seal holds what it held, whoever it belongs to by now:
such instances stand in the sealed dossier and nowhere else of that person.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from archive.facts.decisions import Decision, Move, Sealed
from archive.facts.linked import PatientFacts, leads_of
from archive.facts.receipts import PatientKey, Receipt

Content = tuple[str, str]
"""SOP Instance UID (the digest of a document) and content: the same for an instance that came in another encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What is folded of one person.

    Parameters
    ----------
    seals
        The seals of this person's dossiers.
    borrowed
        File digests that only a seal holds here: they belong to another person by now.
    adopted
        File digests of what came under another person and was moved here: its header names that other person.
    homes
        Where persons said that instances belong: UID of a plan, or empty for no course.
    """

    receipts: tuple[Receipt, ...]
    seals: tuple[Sealed, ...]
    borrowed: frozenset[str] = frozenset()
    adopted: frozenset[str] = frozenset()
    homes: Mapping[Content, str] = field(default_factory=dict)


def content_of(receipt: Receipt) -> Content:
    """Return which content of which instance a receipt tells of."""
    uid = receipt.header.sop_instance_uid or receipt.file_sha256
    return uid, receipt.content_sha256 or receipt.dataset_sha256


def belongings_of(facts: PatientFacts) -> Belongings:
    """Return what belongs to the person of `facts.key`."""
    decisions = sorted(facts.decisions, key=lambda one: one.number)
    moves = [one.what for one in decisions if isinstance(one.what, Move)]
    if not facts.members and not moves:
        seals = tuple(one.what for one in decisions if isinstance(one.what, Sealed))
        return Belongings(receipts=facts.receipts, seals=seals)
    ownership = _Ownership(facts, decisions)
    lead = ownership.leads[facts.key]
    seals = tuple(ownership.seals_of(lead))
    sealed = frozenset(digest for seal in seals for digest in seal.file_sha256s)
    owned = [(receipt, key) for receipt, key in ownership.arrivals if ownership.owner(receipt, key) == lead]
    own = [receipt for receipt, _ in owned]
    held = {receipt.file_sha256 for receipt in own}
    lent = [receipt for receipt, _ in ownership.arrivals if receipt.file_sha256 in sealed - held]
    return Belongings(
        receipts=(*own, *lent),
        seals=seals,
        borrowed=frozenset(receipt.file_sha256 for receipt in lent),
        adopted=frozenset(receipt.file_sha256 for receipt, key in owned if ownership.leads[key] != lead),
        homes=ownership.homes,
    )


class _Ownership:
    """Who has what, by the newest word about each instance, and who had it when something was sealed."""

    def __init__(self, facts: PatientFacts, decisions: Iterable[Decision]) -> None:
        members = facts.members or (facts,)
        self.arrivals = [(receipt, member.key) for member in members for receipt in member.receipts]
        self._contents: dict[str, set[Content]] = {}
        self._came: dict[str, PatientKey] = {}
        for receipt, key in self.arrivals:
            self._contents.setdefault(receipt.file_sha256, set()).add(content_of(receipt))
            self._came[receipt.file_sha256] = min(key, self._came.get(receipt.file_sha256, key))
        self._under = {id(one): member.key for member in members for one in member.decisions}
        self._moved: dict[Content, PatientKey] = {}
        self.homes: dict[Content, str] = {}
        self._holders: dict[str, tuple[PatientKey, list[Sealed]]] = {}
        keys = {member.key for member in members}
        self.leads = leads_of(keys, (one.what for one in decisions))
        for one in decisions:
            self._hear(one, keys)

    def owner(self, receipt: Receipt, key: PatientKey) -> PatientKey:
        """Return to whom an arrival under a key belongs now."""
        return self.leads[self._moved.get(content_of(receipt), key)]

    def seals_of(self, lead: PatientKey) -> Iterator[Sealed]:
        """Yield the seals of the dossiers of one person."""
        for holder, seals in self._holders.values():
            if self.leads[holder] == lead:
                yield from seals

    def _hear(self, decision: Decision, keys: set[PatientKey]) -> None:
        match decision.what:
            case Move(file_sha256s=digests, to_plan_uid=home, to_patient=to):
                for content in {content for digest in digests for content in self._contents.get(digest, ())}:
                    if to in keys:
                        self._moved[content] = to
                    self.homes[content] = home
                    if to is not None and not home:  # of another patient: there its references tell, as on arrival
                        del self.homes[content]
            case Sealed(dossier=name) as seal:
                holder, seals = self._holders.get(name, (self._holder(seal, decision), []))
                self._holders[name] = (holder, [*seals, seal])
            case _:
                pass

    def _holder(self, seal: Sealed, decision: Decision) -> PatientKey:
        """Return whose dossier was sealed: whose most of its instances were at that moment, tie by key.

        The first version decides; a dossier that was sealed without any instance is of whom it was decided about.
        """
        had = Counter(key for digest in seal.file_sha256s for key in self._had(digest))
        usual = min(had, key=lambda key: (-had[key], key), default=None)
        return self._under.get(id(decision), min(self.leads)) if usual is None else usual

    def _had(self, digest: str) -> Iterator[PatientKey]:
        for content in self._contents.get(digest, ()):
            yield self._moved.get(content, self._came[digest])
