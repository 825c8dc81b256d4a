"""Bundles of receipts: what one association brought of one patient becomes one fact."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from archive.facts.receipts import PatientKey, Receipt
from archive.journal.journal import Event
from ingest.spool.arrival import Held, Outcome
from ingest.spool.spool import SpoolFolder

RECEIPT_LINES: Final = 1_000
RECEIPT_AGE: Final = timedelta(seconds=2)
_LOOK: Final = timedelta(seconds=0.2)


class Row(NamedTuple):
    """An arrival, in whose folder it lies, and what became of it."""

    folder: SpoolFolder
    held: Held
    outcome: Outcome


@dataclass(slots=True, kw_only=True)
class Bundle:
    """Receipts of one association and patient that wait to be written together."""

    patient: PatientKey
    sender: str
    since: datetime
    grown: datetime
    receipts: list[Receipt] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def event(self, fact: str) -> Event:
        """Return what the journal tells of it; `fact` is the key of the receipts, empty if there were none to write."""
        dispositions = Counter(row.outcome.disposition for row in self.rows)
        subject: dict[str, object] = {"patient": self.patient, "receipts": fact, "instances": dict(dispositions)}
        return Event(act="receive", account=self.sender, subject=subject)


class Bundles:
    """The bundles that are not written yet.

    Parameters
    ----------
    clock
        Aware UTC.
    quiet
        A bundle nothing came to for so long is complete.
    """

    def __init__(self, clock: Callable[[], datetime], *, quiet: timedelta) -> None:
        self._clock = clock
        self._quiet = quiet
        self._open: dict[tuple[str, PatientKey], Bundle] = {}
        self._looked: datetime | None = None

    def __bool__(self) -> bool:
        """Return whether any is open."""
        return bool(self._open)

    def add(self, patient: PatientKey, receipt: Receipt | None, row: Row) -> Bundle | None:
        """Put an arrival into its bundle, without a receipt if that was written before; return the bundle if full.

        A full bundle is taken out.
        """
        arrival, now = row.held.arrival, self._clock()
        slot = (arrival.batch, patient)
        bundle = self._open.get(slot)
        if bundle is None:
            bundle = Bundle(patient=patient, sender=arrival.source.name, since=now, grown=now)
            self._open[slot] = bundle
        bundle.grown = now
        if receipt is not None:
            bundle.receipts.append(receipt)
        bundle.rows.append(row)
        return self._open.pop(slot) if len(bundle.rows) >= RECEIPT_LINES else None

    def take_due(self) -> list[Bundle]:
        """Take out those that are old or complete; it looks a few times a second, however often it is called."""
        now = self._clock()
        if self._looked is not None and now - self._looked < min(_LOOK, self._quiet):
            return []
        self._looked = now
        due = [slot for slot, bundle in self._open.items() if self._is_due(bundle, now)]
        return [self._open.pop(slot) for slot in due]

    def take_all(self) -> list[Bundle]:
        """Take out all."""
        taken = list(self._open.values())
        self._open.clear()
        return taken

    def _is_due(self, bundle: Bundle, now: datetime) -> bool:
        return now - bundle.since > RECEIPT_AGE or now - bundle.grown >= self._quiet


def by_folder(rows: Sequence[Row]) -> Iterator[tuple[SpoolFolder, list[tuple[int, Outcome]]]]:
    """Yield each folder of these rows with its numbers and outcomes."""
    folders: dict[Path, SpoolFolder] = {row.folder.path: row.folder for row in rows}
    for path, folder in folders.items():
        yield folder, [(row.held.number, row.outcome) for row in rows if row.folder.path == path]
