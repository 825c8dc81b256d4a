"""A small house whose node answers for what it holds, and a requestor that pynetdicom plays."""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from queue import Queue
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association

from archive.facts.receipts import PatientKey
from archive.vault.vault import Vault
from ingest.commitment.answering import Answering, Ports
from ingest.commitment.asking import Answers
from ingest.commitment.calling import Line
from ingest.commitment.copies import Copies, Pace
from ingest.commitment.evidence import Evidence
from ingest.commitment.requests import OwnRequests
from ingest.commitment.service import CommitmentService
from ingest.commitment.settings import CommitmentSettings
from ingest.commitment.spooled import spooled_instances
from ingest.commitment.stages import Stages
from ingest.commitment.telling import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, SameAssociation, Telling
from ingest.commitment.transactions import Transactions
from ingest.node import Node, NodeSettings
from ingest.peers import Destination
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests.ingest.conftest import House
from tests.ingest.datasets import CT_CLASS

NO_PATIENCE = CommitmentSettings(same_association=timedelta(0))


@dataclass
class Heard:
    """A report as the requestor heard it."""

    event: int
    transaction: str
    committed: set[str]
    failed: dict[str, int]


@dataclass
class Requestor:
    """A system that asks for commitment, and listens for reports on a port of its own."""

    aet: str = "SCANNER"
    port: int = 0
    answers: int = 0x0000
    heard: Queue[Heard] = field(default_factory=Queue)
    roles: list[Any] = field(default_factory=list)

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        told = event.event_information
        self.heard.put(
            Heard(
                event=event.event_type or 0,
                transaction=str(told.TransactionUID),
                committed={str(one.ReferencedSOPInstanceUID) for one in told.get("ReferencedSOPSequence", [])},
                failed={
                    str(one.ReferencedSOPInstanceUID): int(one.FailureReason)
                    for one in told.get("FailedSOPSequence", [])
                },
            )
        )
        self.roles.append(event.assoc.requestor.role_selection)
        return self.answers, None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take associations from the archive, as provider of Storage Commitment's other side."""
        entity = AE(ae_title=self.aet)
        entity.add_supported_context(STORAGE_COMMITMENT, scu_role=False, scp_role=True)
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.on_report)]
        )
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield
        finally:
            server.shutdown()

    @contextmanager
    def calling(self, port: int) -> Iterator[Association]:
        """Open an association with the archive."""
        entity = AE(ae_title=self.aet)
        entity.add_requested_context(STORAGE_COMMITMENT)
        association = entity.associate(
            "127.0.0.1", port, ae_title="LASTGATE", evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.on_report)]
        )
        assert association.is_established
        try:
            yield association
        finally:
            if association.is_established:
                association.release()


def information(transaction: str, uids: Sequence[str], sop_class: str = CT_CLASS) -> Dataset:
    """Return the Action Information of a request."""
    asked = Dataset()
    asked.TransactionUID = transaction
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    asked.ReferencedSOPSequence = items
    return asked


def ask(association: Association, transaction: str, *uids: str, sop_class: str = CT_CLASS, action: int = 1) -> int:
    """Ask for commitment and return the status."""
    status, _ = association.send_n_action(
        information(transaction, uids, sop_class), action, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
    )
    return int(status.Status)


class Archive:
    """A house with everything that answers requests for commitment."""

    def __init__(self, house: House, settings: CommitmentSettings = NO_PATIENCE) -> None:
        self.house = house
        self.settings = settings
        self.locked: ObjectStore = FilesystemStore(house.root / "locked")
        self.transactions = Transactions(house.store)
        self.destinations: dict[str, Destination] = {}
        self.index: dict[str, set[PatientKey]] = {}
        self.stop = threading.Event()

    @property
    def stages(self) -> Stages:
        return Stages(self.settings, record=self.house.events.append, clock=self.house.clock)

    @property
    def vault(self) -> Vault:
        return Vault(work=self.house.store, locked=self.locked)

    def answering(self, node: str = "n1", evidence: Evidence | None = None) -> Answering:
        """Return what works on requests, as after a start of the process."""
        ports = Ports(
            transactions=self.transactions,
            evidence=evidence or self.evidence(),
            stages=self.stages,
            telling=Telling(self.transactions, Line("LASTGATE"), self.destinations.get),
            spooled=lambda: spooled_instances(self.house.root / "spool"),
            record=self.house.events.append,
            clock=self.house.clock,
        )
        return Answering(node, ports, self.settings)

    def evidence(self, least_copies: int = 1) -> Evidence:
        pace = Pace(0, wait=self.stop.wait)
        copies = Copies(work=self.house.store, locked=self.locked, vault=self.vault, pace=pace)
        return Evidence(self.house.facts, copies, self.find_patients, least_copies=least_copies)

    def find_patients(self, uids: Collection[str]) -> set[PatientKey]:
        """Answer as an index does that knows what was filed."""
        keys = {key for key in self.house.facts.patients() for _ in self.house.facts.read_some(key, uids).receipts}
        return keys if not self.index else set().union(*(self.index.get(uid, set()) for uid in uids))

    def service(self) -> CommitmentService:
        waiting = SameAssociation(self.transactions, holder="w1", clock=self.house.clock, stages=self.stages)
        return CommitmentService(self.transactions, waiting, self.answers, node="n1", clock=self.house.clock)

    @property
    def answers(self) -> Answers:
        return Answers(requests=OwnRequests(self.house.store), record=self.house.events.append, clock=self.house.clock)

    @contextmanager
    def node(self) -> Iterator[int]:
        """Run the node and yield its port."""
        node = Node(NodeSettings(port=0), self.house.spool, [self.service()])
        try:
            yield node.start()
        finally:
            node.stop()

    def pass_time(self, span: timedelta) -> None:
        self.house.now += span

    def with_settings(self, **changes: Any) -> "Archive":
        self.settings = replace(self.settings, **changes)
        return self


@pytest.fixture
def archive(house: House) -> Archive:
    return Archive(house)


@pytest.fixture
def requestor() -> Requestor:
    return Requestor()
