"""What speaks for an instance: its receipts, and its copies read back now (DESIGN section 3, promise 1).

The index only says where to look; what a patient's facts say decides. What the
index does not know is looked for in the facts of everybody before it is called
unknown.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from archive.assembly.catalogue import distinct
from archive.facts.disposed import living
from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore, PatientFacts
from ingest.commitment.copies import Copies, Copy
from ingest.commitment.references import Failure, Reference

FindPatients = Callable[[Collection[str]], Collection[PatientKey]]
"""Returns under which patients the index knows any of these SOP Instance UIDs."""

BATCH: Final = 500
"""So many instances are looked up and read back together; between two batches the work can stop."""


class Reason(IntEnum):
    """Failure Reason (0008,1197) of Storage Commitment (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a round found out.

    Parameters
    ----------
    committed
        How many instances are held and were read back whole.
    copies
        How many copies were read back whole, by place.
    failures
        What is not committed to.
    damaged
        Keys of copies that are not what was received.
    unknown
        Instances nobody knows (yet).
    """

    committed: int = 0
    copies: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unknown: list[Reference] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Take what another round found, but for what it did not know: that is looked for again."""
        self.committed += other.committed
        self.failures += other.failures
        self.damaged += other.damaged
        for place, count in other.copies.items():
            self.copies[place] = self.copies.get(place, 0) + count


class Evidence:
    """Finds out which instances the archive can answer for.

    Parameters
    ----------
    find_patients
        Asks the index.
    least_copies
        So many copies that stand for themselves must be whole.
    """

    def __init__(self, facts: FactStore, copies: Copies, find_patients: FindPatients, *, least_copies: int = 1) -> None:
        self._facts = facts
        self._copies = copies
        self._find_patients = find_patients
        self._least_copies = least_copies

    def of(self, references: Collection[Reference]) -> Findings:
        """Look up a batch of instances by the index and read their copies back; raises `StorageError`."""
        return self._under(self._find_patients({one.sop_instance_uid for one in references}), references)

    def of_everybody(self, references: Collection[Reference]) -> Findings:
        """Look the same up in the facts of all patients, past the index: long work."""
        uids = frozenset(one.sop_instance_uid for one in references)
        keys = [key for key in self._facts.patients() if self._facts.read_some(key, uids).receipts]
        return self._under(keys, references)

    def _under(self, keys: Iterable[PatientKey], references: Collection[Reference]) -> Findings:
        self._copies.forget()
        uids = frozenset(one.sop_instance_uid for one in references)
        known: dict[str, list[tuple[Receipt, PatientFacts]]] = {}
        for key in sorted(keys):
            facts = living(self._facts.read_some(key, uids))  # what was disposed of is no longer known
            for receipt in facts.receipts:
                known.setdefault(receipt.header.sop_instance_uid, []).append((receipt, facts))
        found = Findings()
        for reference in references:
            receipts = known.get(reference.sop_instance_uid)
            if receipts is None:
                found.unknown.append(reference)
            else:
                self._judge(reference, receipts, found)
        return found

    def _judge(self, reference: Reference, known: list[tuple[Receipt, PatientFacts]], found: Findings) -> None:
        reason = _against(reference, [receipt for receipt, _ in known])
        if reason is None and not self._is_read_back(known, found):
            reason = Reason.PROCESSING_FAILURE
        if reason is None:
            found.committed += 1
        else:
            found.failures.append(Failure(*reference, reason))

    def _is_read_back(self, known: list[tuple[Receipt, PatientFacts]], found: Findings) -> bool:
        """Read all copies of all bytes there are of an instance: variants were acknowledged one by one."""
        copies = {copy for receipt, facts in known for copy in self._copies.of(receipt, facts)}
        whole = [copy for copy in sorted(copies, key=_place) if self._copies.is_whole(copy)]
        for copy in whole:
            found.copies[copy.place] = found.copies.get(copy.place, 0) + 1
        found.damaged += sorted(copy.key for copy in copies.difference(whole))
        by_bytes: dict[str, list[Copy]] = {}
        for copy in whole:
            by_bytes.setdefault(copy.sha256, []).append(copy)
        least = min((self._copies.count(one) for one in by_bytes.values()), default=0)
        return len(whole) == len(copies) and least >= self._least_copies


def _against(reference: Reference, receipts: list[Receipt]) -> Reason | None:
    """Return what the receipts alone say against an instance."""
    contents = distinct(receipts, sealed=frozenset())
    is_conflict = any(receipt.disposition == "conflict" or receipt.conflicts_with for receipt in receipts)
    if is_conflict or any(held.others for held in contents):
        return Reason.PROCESSING_FAILURE  # a Conflict: nobody can say which of the contents the requestor means
    if any(receipt.header.sop_class_uid != reference.sop_class_uid for receipt in receipts):
        return Reason.CLASS_CONFLICT
    return None


def _place(copy: Copy) -> tuple[str, str]:
    return copy.place, copy.key


def batches(references: Collection[Reference]) -> Iterator[list[Reference]]:
    """Yield references in batches of `BATCH`."""
    waiting: list[Reference] = []
    for one in references:
        waiting.append(one)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
