"""What the filer is handed by the wiring."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from archive.facts.store import FactStore
from archive.journal.journal import Event
from ingest.filing.known import FindInstances
from ingest.filing.untold import TellIndex
from storage.base import ObjectStore


class RecordEvents(Protocol):
    """Takes events for the journal."""

    def __call__(self, *events: Event) -> None:
        """Return when they survive a power cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the filer is handed by the wiring.

    Parameters
    ----------
    store, facts
        Where bytes and facts go.
    on_facts
        Told the keys of patients with new facts; folds and indexes.
    record
        Takes events for the journal.
    find_instances
        Asks the index for the patients of any of some SOP Instance UIDs; None without one.
    clock
        Aware UTC.
    """

    store: ObjectStore
    facts: FactStore
    on_facts: TellIndex
    record: RecordEvents
    clock: Callable[[], datetime]
    find_instances: FindInstances | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the filer gathers work.

    Parameters
    ----------
    gather_s
        It begins when the bell was silent for so long: what comes close together is filed together, and filing
        does not take the disk from those whose senders wait.
    longest_gather_s
        It begins after so long at the latest, however busy the bell is.
    quiet_s
        A bundle of receipts that nothing came to for so long is written.
    look_s
        How often it looks without a bell.
    writers
        How many objects are stored at once.
    """

    gather_s: float = 0.15
    longest_gather_s: float = 2.0
    quiet_s: float = 0.3
    look_s: float = 2.0
    writers: int = 4
