"""The filer: brings what lies in the spools of a node into the archive.

One per node (`filer.lock`). For each arrival: read its header, put the bytes
into the object store, read them back, write the receipt, tell the index,
settle the row. Every step may be the last one before a crash: bytes without
a settled row are filed again, and a receipt is never written twice.
"""

import fcntl
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from archive.describe import describe_document
from archive.facts import FactStore, PatientKey, Receipt, patient_key
from archive.headers import InstanceHeader, PatientHeader
from archive.journal import Event
from ingest.arrival import Held, Outcome, Refusal
from ingest.errors import FilerBusy, Undescribable
from ingest.header import read_header
from ingest.judge import refused
from ingest.known import FindInstance, KnownInstances, Ruling
from ingest.limits import Limits
from ingest.quarantine import Quarantine, put_file
from ingest.spool import SpoolFolder
from ingest.spool_journal import SpoolJournal
from storage.base import ObjectStore
from storage.durable import make_folders
from storage.errors import DigestMismatch, KeyTaken, StorageError
from storage.reading import read_back

RECEIPT_LINES: Final = 1_000
RECEIPT_AGE: Final = timedelta(seconds=2)
_ASK_AGAIN_S: Final = 0.2
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the filer is handed by the wiring.

    Parameters
    ----------
    store, facts
        Where bytes and facts go.
    on_facts
        Told the key of a patient with new facts; folds and indexes.
    record
        Takes events for the journal.
    find_instance
        Asks the index for the patients of a SOP Instance UID; None without one.
    clock
        Aware UTC.
    """

    store: ObjectStore
    facts: FactStore
    on_facts: Callable[[PatientKey], None]
    record: Callable[[Event], None]
    clock: Callable[[], datetime]
    find_instance: FindInstance | None = None


@dataclass(slots=True, kw_only=True)
class _Bundle:
    """Receipts of one batch and patient that wait to be written together."""

    patient: PatientKey
    sender: str
    since: datetime
    receipts: list[Receipt] = field(default_factory=list)
    rows: list[tuple[SpoolFolder, int, Outcome]] = field(default_factory=list)


class Filer:
    """The one filer of a node.

    Parameters
    ----------
    root
        ``spool/``: the folder of the workers' folders.
    ports
        What it works with.
    grace
        How long the spool keeps its copy after filing: stores without
        durability on return lose their last seconds in a power cut.
    limits
        How much one data set may hold.
    """

    def __init__(self, root: Path, ports: Ports, *, grace: timedelta, limits: Limits | None = None) -> None:
        make_folders(root)
        self._root = root
        self._ports = ports
        self._grace = grace
        self._limits = limits or Limits()
        self._quarantine = Quarantine(ports.store)
        self._known = KnownInstances(ports.facts, ports.find_instance)
        self._bundles: dict[tuple[str, PatientKey], _Bundle] = {}
        self._untold: set[PatientKey] = set()
        self._counts: Counter[str] = Counter()
        self._token = uuid4().hex.encode()

    def drain(self) -> Counter[str]:
        """File everything that lies in the spools and return how many things became what.

        Raises
        ------
        FilerBusy
            Another process files.
        StorageError
            The store can't be written; what is not settled stays in the spool.
        """
        with self._on_duty():
            self._counts = Counter()
            try:
                for folder in self._folders():
                    self._drain_folder(folder)
                self._write_bundles()
            except BaseException:
                self._bundles.clear()  # nothing of them is settled: they are filed again
                self._known.forget()
                raise
            self._tell_again()
            return self._counts

    def release(self) -> int:
        """Let the spools go of what was filed longer than the grace time ago; returns how many files."""
        before = self._ports.clock() - self._grace
        released = 0
        with self._on_duty():
            for folder in self._folders():
                settled = folder.journal.settled(before=before)
                for _, path in settled:
                    path.unlink(missing_ok=True)
                folder.journal.forget([number for number, _ in settled])
                released += len(settled)
        return released

    def run(self, stop: threading.Event, *, pause_s: float = 0.5) -> None:
        """File until `stop` is set; a store that is down is asked again after a pause."""
        while not stop.is_set():
            try:
                self.drain()
                self.release()
            except (StorageError, FilerBusy) as error:
                _LOG.warning("filer.waits", code=error.code, error=str(error))
                stop.wait(10 * pause_s)
            stop.wait(pause_s)

    def settle(self, journal: SpoolJournal, numbers: Sequence[int], *, wait_s: float = 600.0) -> None:
        """File these arrivals, or wait until the process on duty has done so.

        Raises
        ------
        FilerBusy
            It had not after `wait_s` seconds.
        """
        ends = time.monotonic() + wait_s
        while True:
            try:
                self.drain()
                return
            except FilerBusy:
                if len(journal.outcomes(numbers)) == len(numbers):
                    return
                if time.monotonic() > ends:
                    raise
                time.sleep(_ASK_AGAIN_S)

    @contextmanager
    def _on_duty(self) -> Iterator[None]:
        descriptor = os.open(self._root / "filer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FilerBusy("Another process of this node files at the moment") from error
            if os.pread(descriptor, len(self._token), 0) != self._token:
                self._known.forget()  # another filer was on duty since, and knows what we don't
                os.pwrite(descriptor, self._token, 0)
            yield
        finally:
            os.close(descriptor)

    def _folders(self) -> list[SpoolFolder]:
        return [SpoolFolder(path) for path in sorted(self._root.iterdir()) if path.is_dir()]

    def _drain_folder(self, folder: SpoolFolder) -> None:
        with folder.owned() as is_dead:  # for a moment only: a restarted worker wants it back
            if is_dead:
                folder.recover(limits=self._limits, clock=self._ports.clock)
        after = 0
        while page := folder.journal.pending(after=after):
            for held in page:
                self._file(folder, held)
                after = held.number

    def _file(self, folder: SpoolFolder, held: Held) -> None:
        arrival = held.arrival
        if not held.path.exists():
            self._lose(folder, held, "Its file is gone from the spool")
        elif arrival.refusal is not None:
            self._isolate(folder, held, arrival.refusal)
        else:
            try:
                header = self._header(held)
            except Undescribable as error:
                refusal = refused(arrival, error).refusal
                assert refusal is not None
                self._isolate(folder, held, refusal)
                return
            self._store(folder, held, header)

    def _header(self, held: Held) -> InstanceHeader:
        arrival = held.arrival
        if arrival.patient is not None:
            return describe_document(patient=PatientHeader(identifier=arrival.patient), title=arrival.title)
        return read_header(held.path, arrival, limits=self._limits)

    def _store(self, folder: SpoolFolder, held: Held, header: InstanceHeader) -> None:
        arrival = held.arrival
        patient = patient_key(header.patient.identifier, header.study_uid)
        ruling = self._known.rule(arrival, patient)
        key = _place(arrival.kind, arrival.file_sha256, ruling)
        try:
            sha512 = self._put(held, key)
        except DigestMismatch as error:
            self._lose(folder, held, f"Its bytes in the spool are no longer what was received: {error}")
            return
        receipt = Receipt(
            received_at=arrival.received_at,
            node=self._ports.facts.node,
            source=arrival.source,
            disposition="conflict" if ruling.disposition == "conflict" else "stored",
            key=key,
            file_sha256=arrival.file_sha256,
            file_sha512=sha512,
            dataset_sha256=arrival.dataset_sha256,
            content_sha256=arrival.content_sha256,
            size_bytes=arrival.size_bytes,
            transfer_syntax_uid=arrival.transfer_syntax_uid,
            header=header,
            conflicts_with=ruling.conflicts_with,
        )
        if not ruling.receipted:
            self._known.add(patient, receipt)
        outcome = Outcome(disposition=ruling.disposition, reason=ruling.reason, key=key)
        self._bundle(folder, held, patient, None if ruling.receipted else receipt, outcome)

    def _put(self, held: Held, key: str) -> str:
        """Put the bytes, read them back and return their SHA-512; a rotten object under the key is repaired."""
        arrival, store = held.arrival, self._ports.store
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
            self._ports.record(Event(act="repair", account="", subject={"key": key}))
            return read_back(store, key, sha256=sha256, size_bytes=size_bytes)

    def _bundle(
        self, folder: SpoolFolder, held: Held, patient: PatientKey, receipt: Receipt | None, outcome: Outcome
    ) -> None:
        arrival, now = held.arrival, self._ports.clock()
        slot = (arrival.batch, patient)
        bundle = self._bundles.setdefault(slot, _Bundle(patient=patient, sender=arrival.source.name, since=now))
        if receipt is not None:
            bundle.receipts.append(receipt)
        bundle.rows.append((folder, held.number, outcome))
        for due in [s for s, b in self._bundles.items() if len(b.rows) >= RECEIPT_LINES or now - b.since > RECEIPT_AGE]:
            self._write(self._bundles.pop(due))

    def _write_bundles(self) -> None:
        for slot in list(self._bundles):
            self._write(self._bundles.pop(slot))

    def _write(self, bundle: _Bundle) -> None:
        name = self._ports.facts.write_receipts(bundle.patient, bundle.receipts) if bundle.receipts else ""
        self._tell(bundle.patient)
        dispositions = Counter(outcome.disposition for _, _, outcome in bundle.rows)
        subject: dict[str, object] = {"patient": bundle.patient, "receipts": name, "instances": dict(dispositions)}
        self._ports.record(Event(act="receive", account=bundle.sender, subject=subject))
        folders: dict[Path, SpoolFolder] = {folder.path: folder for folder, _, _ in bundle.rows}
        for folder in folders.values():
            rows = [(number, outcome) for owner, number, outcome in bundle.rows if owner.path == folder.path]
            folder.journal.settle(rows, at=self._ports.clock())
        self._counts.update(dispositions)

    def _tell(self, patient: PatientKey) -> None:
        """Tell the index; if it can't take it now, the facts are safe and it is told again."""
        try:
            self._ports.on_facts(patient)
        except Exception as error:  # noqa: BLE001 - whatever ails the index, receiving goes on
            self._untold.add(patient)
            _LOG.error("filer.index_behind", patient=patient, error=f"{type(error).__name__}: {error}")

    def _tell_again(self) -> None:
        waiting, self._untold = self._untold, set()
        for patient in sorted(waiting):
            self._tell(patient)
        if not self._untold:
            self._known.indexed()

    def _isolate(self, folder: SpoolFolder, held: Held, refusal: Refusal) -> None:
        note = self._quarantine.put(held.path, held.arrival, refusal)
        read_back(self._ports.store, note.key, sha256=note.sha256, size_bytes=note.size_bytes)
        subject = {"key": note.key, "reason": refusal.code}
        event = Event(act="receive", account=held.arrival.source.name, subject=subject, outcome="quarantined")
        reason = f"{refusal.message} ({refusal.code})"
        self._settle(folder, held, Outcome(disposition="quarantined", reason=reason, key=note.key), event)

    def _lose(self, folder: SpoolFolder, held: Held, reason: str) -> None:
        """Say loudly that something acknowledged is lost: a disk or a person took it from the spool."""
        uid = held.arrival.names.sop_instance_uid
        subject = {"sop_instance_uid": uid, "file_sha256": held.arrival.file_sha256, "reason": reason}
        _LOG.critical("filer.lost", **subject)
        event = Event(act="receive", account=held.arrival.source.name, subject=subject, outcome="lost")
        self._settle(folder, held, Outcome(disposition="lost", reason=reason), event)

    def _settle(self, folder: SpoolFolder, held: Held, outcome: Outcome, event: Event) -> None:
        self._ports.record(event)
        folder.journal.settle([(held.number, outcome)], at=self._ports.clock())
        self._counts[outcome.disposition] += 1


def _place(kind: str, sha256: str, ruling: Ruling) -> str:
    if ruling.disposition == "conflict":
        return f"conflict/{sha256[:2]}/{sha256}"
    return f"intake/{'documents' if kind == 'document' else 'dicom'}/{sha256[:2]}/{sha256}"
