"""A small house: a spool, a store, a filer and a clock that tests can turn."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.facts import FactStore, PatientKey, Receipt
from archive.journal import Event
from ingest.filer import Filer, Ports
from ingest.import_folder import ImportReport, import_paths
from ingest.spool import Spool, SpoolLimits
from storage.filesystem import FilesystemStore


@dataclass
class House:
    """Everything a thing passes through on its way in, on a filesystem."""

    root: Path
    worker: str = "w1"
    now: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    told: list[PatientKey] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    find_instance: Callable[[str], Collection[PatientKey]] | None = None
    on_facts: Callable[[PatientKey], None] | None = None

    def __post_init__(self) -> None:
        self.store = FilesystemStore(self.root / "store")
        self.facts = FactStore(self.store, node="n1")
        self.spool = self.new_spool(self.worker)
        self.filer = self.new_filer()

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def new_spool(self, worker: str) -> Spool:
        return Spool(self.root / "spool" / worker, clock=self.clock, limits=SpoolLimits(free_bytes=0))

    def new_filer(self) -> Filer:
        ports = Ports(
            store=self.store,
            facts=self.facts,
            on_facts=lambda key: (self.on_facts or self.told.append)(key),
            record=self.events.append,
            clock=self.clock,
            find_instance=lambda uid: self.find_instance(uid) if self.find_instance else (),
        )
        return Filer(self.root / "spool", ports, grace=timedelta(minutes=10))

    def take(self, *paths: Path, **options: object) -> ImportReport:
        """Import and file."""
        settle = lambda numbers: self.filer.settle(self.spool.folder.journal, numbers)  # noqa: E731
        return import_paths(paths, self.spool, settle=settle, **options)  # type: ignore[arg-type]

    def receipts(self) -> list[Receipt]:
        """Return all receipts of all patients."""
        return [receipt for key in self.facts.patients() for receipt in self.facts.read(key).receipts]

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return all objects below a prefix."""
        return {stat.key: self.store.read_bytes(stat.key) for stat in self.store.list(prefix)}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house of its own for each test."""
    made = House(tmp_path / "house")
    yield made
    made.spool.close()
