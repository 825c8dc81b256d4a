"""What is known of a SOP Instance UID already, and what that makes of an arrival."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore
from ingest.spool.arrival import Arrival

FindInstances = Callable[[Collection[str]], Collection[PatientKey]]
"""Returns the keys of the patients under whom the index knows any of these SOP Instance UIDs."""

_REMEMBERED_PATIENTS: Final = 64
_ASKED_AT_ONCE: Final = 32  # whom the index names of so many is remembered together with their own patients


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One earlier arrival, as far as comparing needs it."""

    patient: PatientKey
    dataset_sha256: str
    content_sha256: str | None
    disposition: Literal["stored", "conflict"]
    arrival: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What an arrival is, beside what is known.

    Parameters
    ----------
    disposition
        See `Outcome.disposition`.
    reason
        In plain words.
    conflicts_with
        See `Receipt.conflicts_with`.
    receipted
        Its receipt was written before a crash; it must not be written again.
    """

    disposition: Literal["stored", "duplicate", "variant", "conflict"]
    reason: str = ""
    conflicts_with: tuple[PatientKey, ...] = ()
    receipted: bool = False


class KnownInstances:
    """Remembers the receipts of the patients met last, and asks facts and index for the rest."""

    def __init__(self, facts: FactStore, find_instances: FindInstances | None) -> None:
        self._facts = facts
        self._find = find_instances
        self._expected: dict[str, Sequence[str]] = {}
        self._answered: tuple[Sequence[str], Collection[PatientKey]] = ((), ())
        self._patients: OrderedDict[PatientKey, dict[str, list[Seen]]] = OrderedDict()
        self._not_indexed: dict[str, set[PatientKey]] = {}
        self._linked: dict[PatientKey, tuple[PatientKey, ...]] = {}

    def expect(self, arrivals: Sequence[Arrival]) -> None:
        """Say what will be ruled on next, so that the index is asked about many instances at once."""
        uids = list(map(_uid, arrivals))
        starts = range(0, len(uids), _ASKED_AT_ONCE)
        parts = (uids[start : start + _ASKED_AT_ONCE] for start in starts)
        self._expected = {uid: part for part in parts for uid in part}
        self._answered = ((), ())
        self._linked.clear()  # somebody may have linked patients since

    def rule(self, arrival: Arrival, patient: PatientKey) -> Ruling:
        """Say what `arrival` is for `patient`.

        The same data set again is a duplicate, the same content in another
        native encoding a variant. Anything else under a known SOP Instance UID
        is a conflict, wherever the UID is known: nothing is overwritten, ever.
        """
        seen = list(self._seen(_uid(arrival), patient))
        identity = _identity(arrival)
        for one in seen:
            if one.arrival == identity and one.patient == patient:
                return Ruling(disposition=one.disposition, reason="Filed before a restart already", receipted=True)
        own = [one for one in seen if one.patient == patient]
        conflicts_with = tuple(sorted({one.patient for one in seen}))
        for one in own:
            if one.dataset_sha256 == arrival.dataset_sha256:
                return _again(one, "duplicate", "The same data set came before", conflicts_with)
        for one in own:
            if one.content_sha256 is not None and one.content_sha256 == arrival.content_sha256:
                return _again(one, "variant", "The same content came before, encoded otherwise", conflicts_with)
        if not seen:
            return Ruling(disposition="stored")
        reason = _why_conflict(arrival, own=own, seen=seen)
        return Ruling(disposition="conflict", reason=reason, conflicts_with=conflicts_with)

    def add(self, patient: PatientKey, receipt: Receipt) -> None:
        """Remember a receipt before it is written: the next arrival may be its twin."""
        uid, seen = _of_receipt(patient, receipt)
        self._instances(patient).setdefault(uid, []).append(seen)
        self._not_indexed.setdefault(uid, set()).add(patient)

    def indexed(self) -> None:
        """Note that the index knows all receipts by now."""
        self._not_indexed.clear()
        self._answered = ((), ())

    def forget(self) -> None:
        """Forget everything remembered, so that facts are read again (after a failed write)."""
        self._patients.clear()
        self._not_indexed.clear()
        self._linked.clear()
        self._answered = ((), ())

    def _seen(self, uid: str, patient: PatientKey) -> Iterable[Seen]:
        named = {patient, *self._indexed_under(uid), *self._not_indexed.get(uid, ())}
        for key in sorted({member for one in named for member in self._linked_to(one)}):
            yield from self._instances(key).get(uid, ())

    def _linked_to(self, patient: PatientKey) -> tuple[PatientKey, ...]:
        """Return all keys linked to a patient: the index names a joined person by one of them."""
        if patient not in self._linked:
            self._linked[patient] = self._facts.linked(patient)
        return self._linked[patient]

    def _indexed_under(self, uid: str) -> Collection[PatientKey]:
        """Return all patients under whom the index knows an instance, and perhaps some under whom it does not."""
        if self._find is None:
            return ()
        part = self._expected.get(uid, (uid,))
        if self._answered[0] is not part:
            self._answered = (part, self._find(part))
        return self._answered[1]

    def _instances(self, patient: PatientKey) -> dict[str, list[Seen]]:
        if patient in self._patients:
            self._patients.move_to_end(patient)
            return self._patients[patient]
        instances: dict[str, list[Seen]] = {}
        for receipt in self._facts.read_alone(patient).receipts:
            uid, seen = _of_receipt(patient, receipt)
            instances.setdefault(uid, []).append(seen)
        self._patients[patient] = instances
        while len(self._patients) > _REMEMBERED_PATIENTS:
            self._patients.popitem(last=False)
        return instances


def _uid(arrival: Arrival) -> str:
    return arrival.names.sop_instance_uid if arrival.kind == "dicom" else arrival.file_sha256


def _why_conflict(arrival: Arrival, *, own: list[Seen], seen: list[Seen]) -> str:
    if any(one.dataset_sha256 == arrival.dataset_sha256 for one in seen):
        return "The same data set is known of another patient: was it given another issuer of the patient identifier?"
    whose = "this patient" if own else "another patient"
    return f"Other content with the same SOP Instance UID is known of {whose}"


def _again(
    before: Seen,
    disposition: Literal["duplicate", "variant"],
    reason: str,
    conflicts_with: tuple[PatientKey, ...],
) -> Ruling:
    if before.disposition == "stored":
        return Ruling(disposition=disposition, reason=reason)
    reason = f"{reason}, in conflict with other content"
    return Ruling(disposition="conflict", reason=reason, conflicts_with=conflicts_with)


def _identity(arrival: Arrival) -> tuple[str, str, str]:
    return arrival.file_sha256, arrival.received_at.isoformat(), arrival.source.name


def _of_receipt(patient: PatientKey, receipt: Receipt) -> tuple[str, Seen]:
    return receipt.header.sop_instance_uid or receipt.file_sha256, Seen(
        patient=patient,
        dataset_sha256=receipt.dataset_sha256,
        content_sha256=receipt.content_sha256,
        disposition=receipt.disposition,
        arrival=(receipt.file_sha256, receipt.received_at.isoformat(), receipt.source.name),
    )
