"""What of the facts still stands once dossiers were disposed of.

Facts are never removed: receipts of what was destroyed stay, and so do the
seals that held it. A tombstone counts how often each file had arrived by then;
what arrives later is a new arrival and lives again, without its seal.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from archive.facts.decisions import Decision, Sealed, Tombstone
from archive.facts.linked import PatientFacts
from archive.facts.receipts import Receipt


def tombstones(decisions: Iterable[Decision]) -> tuple[tuple[int, Tombstone], ...]:
    """Return the tombstones with the numbers of their decisions, in order of number."""
    found = [(one.number, one.what) for one in decisions if isinstance(one.what, Tombstone)]
    return tuple(sorted(found, key=lambda pair: pair[0]))


def standing_seals(decisions: Iterable[Decision]) -> tuple[Sealed, ...]:
    """Return the seals whose dossier was not disposed of since, in order of number."""
    known = sorted(decisions, key=lambda one: one.number)
    ended = _ended(known)
    return tuple(
        one.what for one in known if isinstance(one.what, Sealed) and one.number > ended.get(one.what.dossier, -1)
    )


def gone_arrivals(decisions: Iterable[Decision]) -> dict[str, int]:
    """Return by digest how many arrivals of a file went with the dossiers that were disposed of."""
    gone: dict[str, int] = {}
    for _, tombstone in tombstones(decisions):
        for digest, count in zip(tombstone.file_sha256s, tombstone.arrivals, strict=True):
            gone[digest] = max(count, gone.get(digest, 0))
    return gone


def living_receipts(receipts: Iterable[Receipt], decisions: Iterable[Decision]) -> tuple[Receipt, ...]:
    """Return the receipts of files that are here: those that went are left out, later arrivals of them are not."""
    known, gone = tuple(receipts), gone_arrivals(decisions)
    if not gone:
        return known
    seen: Counter[str] = Counter()
    living = set()
    for place in sorted(range(len(known)), key=lambda at: (known[at].received_at, known[at].node, at)):
        digest = known[place].file_sha256
        seen[digest] += 1
        if seen[digest] > gone.get(digest, 0):
            living.add(place)
    return tuple(receipt for place, receipt in enumerate(known) if place in living)


def living(facts: PatientFacts) -> PatientFacts:
    """Return the facts without what was disposed of: its receipts, its seals, and what was settled about it alone.

    A course that arrives anew is judged anew: papers that were released for it are gone as well.
    """
    found = tombstones(facts.decisions)
    if not found:
        return facts

    def of_one(one: PatientFacts) -> PatientFacts:
        receipts = living_receipts(one.receipts, facts.decisions)
        decisions = tuple(decision for decision in one.decisions if not _went(decision, found))
        return replace(one, receipts=receipts, decisions=decisions)

    return replace(of_one(facts), members=tuple(map(of_one, facts.members)))


def _went(decision: Decision, found: Sequence[tuple[int, Tombstone]]) -> bool:
    """Return whether a decision was about a dossier alone that was disposed of since."""
    act = decision.what
    if isinstance(act, Tombstone):
        return False
    uids = getattr(act, "plan_uids", ()) or tuple(filter(None, (getattr(act, "plan_uid", ""),)))
    return any(
        decision.number < number
        and (
            act.dossier == tombstone.dossier
            if isinstance(act, Sealed)
            else bool(uids) and set(uids) <= set(tombstone.plan_uids)
        )
        for number, tombstone in found
    )


def before(facts: PatientFacts, number: int) -> PatientFacts:
    """Return the facts as they were when the decision with this number was made, later receipts included."""

    def of_one(one: PatientFacts) -> PatientFacts:
        return replace(one, decisions=tuple(other for other in one.decisions if other.number < number))

    return replace(of_one(facts), members=tuple(map(of_one, facts.members)))


def _ended(decisions: Iterable[Decision]) -> dict[str, int]:
    """Return the number of the last tombstone of each dossier."""
    return {tombstone.dossier: number for number, tombstone in tombstones(decisions)}
