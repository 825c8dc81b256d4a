"""A small house: a spool, a store, a filer and a clock that tests can turn."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore
from archive.journal.journal import Event
from ingest.filing.filer import Filer
from ingest.filing.ports import Ports
from ingest.filing.reader import HeaderReader
from ingest.folders.import_folder import ImportReport, import_paths
from ingest.spool.spool import Spool, SpoolLimits
from storage.filesystem import FilesystemStore


@dataclass
class House:
    """Everything a thing passes through on its way in, on a filesystem."""

    root: Path
    worker: str = "w1"
    small_bytes: int = SpoolLimits().small_bytes
    now: datetime = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    told: list[PatientKey] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    indexed: dict[str, PatientKey] = field(default_factory=dict)
    asked: list[Collection[str]] = field(default_factory=list)
    on_facts: Callable[[PatientKey], None] | None = None
    reader: HeaderReader | None = None

    def __post_init__(self) -> None:
        self.store = FilesystemStore(self.root / "store")
        self.facts = FactStore(self.store, node="n1")
        self.spool = self.new_spool(self.worker)
        self.filer = self.new_filer()

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def new_spool(self, worker: str) -> Spool:
        return Spool(
            self.root / "spool" / worker,
            clock=self.clock,
            limits=SpoolLimits(free_bytes=0, small_bytes=self.small_bytes),
        )

    def tell(self, *keys: PatientKey) -> None:
        for key in keys:
            (self.on_facts or self.told.append)(key)

    def new_filer(self) -> Filer:
        ports = Ports(
            store=self.store,
            facts=self.facts,
            on_facts=self.tell,
            record=lambda *events: self.events.extend(events),
            clock=self.clock,
            find_instances=self.find_instances,
        )
        return Filer(self.root / "spool", ports, grace=timedelta(minutes=10), reader=self.reader)

    def find_instances(self, uids: Collection[str]) -> set[PatientKey]:
        self.asked.append(uids)
        return {self.indexed[uid] for uid in uids if uid in self.indexed}

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


AS_FILES = pytest.mark.parametrize("house", [0], indirect=True, ids=["files"])
"""For tests of what lies in a file of its own, as long things do."""


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """A house of its own for each test."""
    made = House(tmp_path / "house", small_bytes=getattr(request, "param", SpoolLimits().small_bytes))
    yield made
    made.spool.close()
