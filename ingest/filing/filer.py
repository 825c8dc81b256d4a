"""The filer: brings what lies in the spools of a node into the archive.

One per node (`filer.lock`). For each arrival: read its header, put the bytes
into the object store, read them back, write the receipt, settle the row, tell
the index. Every step may be the last one before a crash: bytes without a
settled row are filed again, a receipt is never written twice, and a patient
with new facts stays on a list until the index knows them.

The steps overlap: while some arrivals are stored, the next are being read.
What concerns one arrival alone (values that can't be read, another object
under its key) never keeps back the others; a store that is away does.
"""

import fcntl
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from archive.headers import InstanceHeader, PatientHeader
from archive.journal.journal import Event
from archive.reading.describe import describe_document
from ingest.dataset.limits import Limits
from ingest.errors import FilerBusy, Undescribable
from ingest.filing.aside import Aside
from ingest.filing.bundles import Bundle, Bundles, Row, by_folder
from ingest.filing.known import KnownInstances
from ingest.filing.ports import Pace, Ports
from ingest.filing.putting import Putting
from ingest.filing.quarantine import Quarantine
from ingest.filing.reader import DirectReader, HeaderReader, Reading, readings
from ingest.filing.untold import Untold
from ingest.judge import refused
from ingest.spool.arrival import Held, Outcome, Refusal
from ingest.spool.bell import Bell, Ear
from ingest.spool.journal import SpoolJournal
from ingest.spool.spool import SpoolFolder
from ingest.spool.spools import Remaining, Spools
from storage.durable import make_folders
from storage.errors import DigestMismatch, StorageError, StoreFull, StoreUnavailable
from storage.reading import read_back

FILER_BELL: Final = "filer.bell"
SETTLED_BELL: Final = "settled.bell"
_ASK_AGAIN_S: Final = 0.2
_SEES_STOP_S: Final = 0.5
_WHOLE_STORE_REST_S: Final = 5.0
_LONGEST_DUTY_S: Final = 10.0
_RELEASE_EVERY_S: Final = 30.0
_LAST_TURN_S: Final = 10.0
_GOING: Final = 16
_LOG = structlog.get_logger(__name__)

_WAITS: Final = Outcome(disposition="stored")
_WHOLE_STORE: Final = (StoreUnavailable, StoreFull)


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
    pace
        How it gathers work while it runs.
    reader
        Reads data sets; without one this process does.
    own
        The spool folder of this process itself: what a person imports is read in this process in any case.
    """

    def __init__(
        self,
        root: Path,
        ports: Ports,
        *,
        grace: timedelta,
        limits: Limits | None = None,
        pace: Pace | None = None,
        reader: HeaderReader | None = None,
        own: Path | None = None,
    ) -> None:
        make_folders(root)
        limits = limits or Limits()
        self._root, self._ports, self._grace, self._own = root, ports, grace, own
        self._pace = pace or Pace()
        self._direct = DirectReader(limits)
        self._reader = reader or self._direct
        self._quarantine = Quarantine(ports.store)
        self._known = KnownInstances(ports.facts, ports.find_instances)
        self._spools = Spools(root, limits=limits, clock=ports.clock)
        self._putting = Putting(ports.store, record=ports.record, node=ports.facts.node, known=self._known)
        self._bundles = Bundles(ports.clock, quiet=timedelta(seconds=self._pace.quiet_s))
        self._untold = Untold(root / "untold.db", ports.on_facts)
        self._aside = Aside()
        self._counts: Counter[str] = Counter()
        self._token = uuid4().hex.encode()
        self._knows_too_much = False
        self._lock: int | None = None
        self._came_at = self._release_at = 0.0

    def drain(self) -> Counter[str]:
        """File everything that lies in the spools and return how many things became what.

        What can't be filed for a reason of its own is counted as ``waiting`` and stays in the spool.

        Raises
        ------
        FilerBusy
            Another process files.
        StorageError
            The store can't be written; what is not settled stays in the spool.
        """
        with self._on_duty(), self._pool() as pool, closing(self._reader):
            self._counts = Counter()
            self._file_waiting(pool, lambda: False, everything=True)
            self._write(self._bundles.take_all())
            self._untold.tell_all()
            self._tidy()
            return self._counts

    def release(self, *, at_once: bool = False) -> int:
        """Let the spools go of what was filed longer than the grace time ago; returns how many files.

        Parameters
        ----------
        at_once
            Not to wait for the grace time, where the store survives a power cut.
        """
        is_safe = at_once and self._ports.store.capabilities.durable_on_return
        before = self._ports.clock() - (timedelta(0) if is_safe else self._grace)
        with self._on_duty():
            return self._spools.release(before=before)

    def remaining(self) -> Remaining:
        """Say what the spools still hold; raises `FilerBusy` while another process files."""
        with self._on_duty():
            return self._spools.remaining(grace=self._grace)

    def run(self, stop: threading.Event) -> None:
        """File until `stop` is set, and then what has come by then; a store that is down is asked again."""
        with Bell(self._root / FILER_BELL).heard() as ear, self._pool() as pool, closing(self._reader):
            again_at = 0.0
            try:
                while not stop.is_set():
                    rest_s = max(again_at - time.monotonic(), 0.0)
                    if ear.wait(min(rest_s, _SEES_STOP_S)):
                        self._gather(ear, stop)
                    elif time.monotonic() < again_at:
                        continue
                    again_at = time.monotonic() + self._turn(pool, stop.is_set)
                ends = time.monotonic() + _LAST_TURN_S
                self._turn(pool, lambda: time.monotonic() > ends, is_last=True)
            finally:
                self._leave(unsettled=True)

    def _gather(self, ear: Ear, stop: threading.Event) -> None:
        """Wait for a lull in what comes."""
        ends = time.monotonic() + self._pace.longest_gather_s
        while ear.wait(self._pace.gather_s) and time.monotonic() < ends and not stop.is_set():
            pass

    def settle(self, journal: SpoolJournal, numbers: Sequence[int], *, wait_s: float = 600.0) -> None:
        """File these arrivals, or wait until the process on duty has done so; the index knows them then.

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
                    self._untold.help()
                    return
                if time.monotonic() > ends:
                    raise
                Bell(self._root / FILER_BELL).ring()
                time.sleep(_ASK_AGAIN_S)

    def _turn(self, pool: Executor, enough: Callable[[], bool], *, is_last: bool = False) -> float:
        """File what came, and return after how many seconds to look again if no bell rings."""
        try:
            self._come()
            self._file_waiting(pool, enough)
            is_long = time.monotonic() - self._came_at > _LONGEST_DUTY_S
            self._write(self._bundles.take_all() if is_last or is_long or enough() else self._bundles.take_due())
            if is_last:
                self._untold.tell_all()
            else:
                self._untold.tell_due()
            self._tidy()
            if self._bundles:
                return self._pace.quiet_s
            self._leave()
        except (StorageError, FilerBusy) as error:
            self._leave(unsettled=True)
            _LOG.warning("filer.waits", code=error.code, error=str(error))
            return _WHOLE_STORE_REST_S if isinstance(error, StorageError) else _ASK_AGAIN_S
        due_s = self._untold.next_due_s()
        return self._pace.look_s if due_s is None else min(self._pace.look_s, due_s)

    def _tidy(self) -> None:
        """Do what may be done while nothing waits to be written."""
        if self._bundles:
            return
        if self._knows_too_much:
            self._known.forget()
            self._knows_too_much = False
        if not self._untold:
            self._known.indexed()
        if time.monotonic() >= self._release_at:
            self._spools.release(before=self._ports.clock() - self._grace)
            self._spools.remove_left()
            self._untold.strike_told()
            self._release_at = time.monotonic() + _RELEASE_EVERY_S

    @contextmanager
    def _on_duty(self) -> Iterator[None]:
        self._come()
        try:
            yield
        except BaseException:
            self._leave(unsettled=True)
            raise
        self._leave()

    def _come(self) -> None:
        """Go on duty, unless on duty already."""
        if self._lock is not None:
            return
        descriptor = os.open(self._root / "filer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.pread(descriptor, len(self._token), 0) != self._token:
                self._known.forget()  # another filer was on duty since, and knows what we don't
                self._untold.load()
                os.pwrite(descriptor, self._token, 0)
        except BlockingIOError as error:
            os.close(descriptor)
            raise FilerBusy("Another process of this node files at the moment") from error
        except BaseException:
            os.close(descriptor)
            raise
        self._lock, self._came_at = descriptor, time.monotonic()

    def _leave(self, *, unsettled: bool = False) -> None:
        """Go off duty; what is not settled is filed again by whoever comes next."""
        if unsettled:
            self._putting.give_up()
            self._bundles.take_all()
            self._known.forget()
        self._spools.begin_anew()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._pace.writers, "filer-put")

    def _file_waiting(self, pool: Executor, enough: Callable[[], bool], *, everything: bool = False) -> None:
        for folder in self._spools.folders():
            reader = self._direct if folder.path == self._own else self._reader
            for page in self._spools.pages(folder):
                wanted = [one for one in page if everything or not self._aside.rests(folder.path, one.number)]
                self._known.expect([one.arrival for one in wanted])
                with closing(readings(reader, wanted)) as read:
                    for held, reading in read:
                        self._try_to_file(folder, held, reading, pool)
                        self._bundle(going=_GOING)
                        if enough():
                            break
                if enough():
                    break
        self._bundle(going=0)

    def _try_to_file(self, folder: SpoolFolder, held: Held, reading: Reading | None, pool: Executor) -> None:
        try:
            self._file(folder, held, reading, pool)
        except _WHOLE_STORE:
            raise
        except Exception as error:  # noqa: BLE001 - one that can't be filed must not keep the others back
            self._set_aside([Row(folder, held, _WAITS)], error)

    def _file(self, folder: SpoolFolder, held: Held, reading: Reading | None, pool: Executor) -> None:
        arrival = held.arrival
        if isinstance(reading, Undescribable):
            arrival = refused(arrival, reading)
        if not held.path.exists():
            self._lose(folder, held, "Its file is gone from the spool")
        elif arrival.refusal is not None:
            self._isolate(folder, held, arrival.refusal)
        elif isinstance(reading, OSError):
            raise reading
        elif isinstance(reading, InstanceHeader):
            self._putting.begin(folder, held, reading, pool)
        else:
            assert arrival.patient is not None
            header = describe_document(patient=PatientHeader(identifier=arrival.patient), title=arrival.title)
            self._putting.begin(folder, held, header, pool)

    def _bundle(self, *, going: int) -> None:
        for stored in self._putting.ended(going=going):
            row = Row(stored.folder, stored.held, stored.outcome)
            try:
                full = self._bundles.add(stored.patient, stored.finished(), row)
            except DigestMismatch as error:
                self._knows_too_much = True
                self._lose(row.folder, row.held, f"Its bytes in the spool are no longer what was received: {error}")
            except _WHOLE_STORE:
                raise
            except Exception as error:  # noqa: BLE001 - one that can't be stored must not keep the others back
                self._set_aside([row], error)
            else:
                self._write([full] if full else [])
        self._write(self._bundles.take_due())

    def _set_aside(self, rows: Sequence[Row], error: Exception) -> None:
        for row in rows:
            self._aside.put(row.folder.path, row.held.number, error)
        self._counts["waiting"] += len(rows)
        self._knows_too_much = True

    def _write(self, bundles: Sequence[Bundle]) -> None:
        """Write receipts, put patients on the list of the index, tell the journal, settle the rows: in this order."""
        facts: list[tuple[Bundle, str]] = []
        for bundle in bundles:
            try:
                receipts = bundle.receipts
                fact = self._ports.facts.write_receipts(bundle.patient, receipts) if receipts else ""
                facts.append((bundle, fact))
            except _WHOLE_STORE:
                raise
            except Exception as error:  # noqa: BLE001 - a patient whose facts clash must not keep the others back
                self._set_aside(bundle.rows, error)
        if facts:
            self._untold.add({bundle.patient for bundle, _ in facts})
            self._settle([row for bundle, _ in facts for row in bundle.rows], *(one.event(fact) for one, fact in facts))

    def _isolate(self, folder: SpoolFolder, held: Held, refusal: Refusal) -> None:
        note = self._quarantine.put(held.path, held.arrival, refusal)
        read_back(self._ports.store, note.key, sha256=note.sha256, size_bytes=note.size_bytes)
        subject = {"key": note.key, "reason": refusal.code}
        event = Event(act="receive", account=held.arrival.source.name, subject=subject, outcome="quarantined")
        reason = f"{refusal.message} ({refusal.code})"
        self._settle([Row(folder, held, Outcome(disposition="quarantined", reason=reason, key=note.key))], event)

    def _lose(self, folder: SpoolFolder, held: Held, reason: str) -> None:
        """Say loudly that something acknowledged is lost: a disk or a person took it from the spool."""
        uid = held.arrival.names.sop_instance_uid
        subject = {"sop_instance_uid": uid, "file_sha256": held.arrival.file_sha256, "reason": reason}
        _LOG.critical("filer.lost", **subject)
        event = Event(act="receive", account=held.arrival.source.name, subject=subject, outcome="lost")
        self._settle([Row(folder, held, Outcome(disposition="lost", reason=reason))], event)

    def _settle(self, rows: Sequence[Row], *events: Event) -> None:
        self._ports.record(*events)
        for folder, outcomes in by_folder(rows):
            folder.journal.settle(outcomes, at=self._ports.clock())
            Bell(folder.path / SETTLED_BELL).ring()
            for number, outcome in outcomes:
                self._aside.forget(folder.path, number)
                self._counts[outcome.disposition] += 1
