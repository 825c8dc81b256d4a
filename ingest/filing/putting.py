"""Storing arrivals: what each of them is beside what is known, and its bytes in the store, proven."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace

from archive.facts.receipts import PatientKey, Receipt, patient_key
from archive.headers import InstanceHeader
from archive.journal.journal import Event
from ingest.filing.known import KnownInstances, Ruling
from ingest.filing.quarantine import put_file
from ingest.spool.arrival import Arrival, Held, Outcome
from ingest.spool.spool import SpoolFolder
from storage.base import ObjectStore
from storage.errors import DigestMismatch, KeyTaken
from storage.reading import read_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An arrival whose bytes are being stored.

    Parameters
    ----------
    receipt
        Lacks the SHA-512 until the bytes were read back; None if it was written before a crash.
    sha512
        Of the bytes as they were read back; raises what became of them otherwise.
    """

    folder: SpoolFolder
    held: Held
    patient: PatientKey
    receipt: Receipt | None
    outcome: Outcome
    sha512: "Future[str]"

    def finished(self) -> Receipt | None:
        """Wait for the bytes and return the receipt to write.

        Raises
        ------
        DigestMismatch
            The spool's copy is no longer what was received.
        StorageError
            The store did not take them.
        """
        sha512 = self.sha512.result()
        return self.receipt and replace(self.receipt, file_sha512=sha512)


class Putting:
    """Stores several arrivals at once and gives them back in order.

    Parameters
    ----------
    store, record
        See `ingest.filing.filer.Ports`.
    node
        In whose name receipts are written.
    known
        What came before.
    """

    def __init__(
        self, store: ObjectStore, *, record: Callable[[Event], None], node: str, known: KnownInstances
    ) -> None:
        self._store = store
        self._record = record
        self._node = node
        self._known = known
        self._going: deque[Stored] = deque()

    def begin(self, folder: SpoolFolder, held: Held, header: InstanceHeader, pool: Executor) -> None:
        """Say what an arrival is, and begin to store its bytes."""
        arrival = held.arrival
        patient = patient_key(header.patient.identifier, header.study_uid)
        ruling = self._known.rule(arrival, patient)
        key = _place(arrival, ruling)
        receipt = None
        if not ruling.receipted:
            receipt = self._receipt(arrival, header, ruling, key)
            self._known.add(patient, receipt)
        self._going.append(
            Stored(
                folder=folder,
                held=held,
                patient=patient,
                receipt=receipt,
                outcome=Outcome(disposition=ruling.disposition, reason=ruling.reason, key=key),
                sha512=pool.submit(self._put, held, key),
            )
        )

    def ended(self, *, going: int) -> Iterator[Stored]:
        """Yield those that are stored, in order of arrival, until at most `going` are on their way."""
        while self._going and (len(self._going) > going or self._going[0].sha512.done()):
            yield self._going.popleft()

    def give_up(self) -> None:
        """Wait for what is on its way and forget it: it will be filed again."""
        wait([one.sha512 for one in self._going])
        self._going.clear()

    def _put(self, held: Held, key: str) -> str:
        """Put the bytes, read them back and return their SHA-512; a rotten object under the key is repaired."""
        arrival, store = held.arrival, self._store
        sha256, size_bytes = arrival.file_sha256, arrival.size_bytes
        try:
            put_file(store, held.path, key, sha256=sha256, size_bytes=size_bytes)
            return read_back(store, key, sha256=sha256, size_bytes=size_bytes)
        except (KeyTaken, DigestMismatch):
            with held.path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                    raise DigestMismatch("the SHA-256 of the spool's copy has changed") from None
                stream.seek(0)
                store.repair(key, stream, sha256=sha256, size_bytes=size_bytes)
            self._record(Event(act="repair", account="", subject={"key": key}))
            return read_back(store, key, sha256=sha256, size_bytes=size_bytes)

    def _receipt(self, arrival: Arrival, header: InstanceHeader, ruling: Ruling, key: str) -> Receipt:
        return Receipt(
            received_at=arrival.received_at,
            node=self._node,
            source=arrival.source,
            disposition="conflict" if ruling.disposition == "conflict" else "stored",
            key=key,
            file_sha256=arrival.file_sha256,
            file_sha512="",
            dataset_sha256=arrival.dataset_sha256,
            content_sha256=arrival.content_sha256,
            size_bytes=arrival.size_bytes,
            transfer_syntax_uid=arrival.transfer_syntax_uid,
            header=header,
            conflicts_with=ruling.conflicts_with,
        )


def _place(arrival: Arrival, ruling: Ruling) -> str:
    sha256 = arrival.file_sha256
    if ruling.disposition == "conflict":
        return f"conflict/{sha256[:2]}/{sha256}"
    return f"intake/{'documents' if arrival.kind == 'document' else 'dicom'}/{sha256[:2]}/{sha256}"
