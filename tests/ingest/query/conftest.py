"""A node that answers queries about the corpus."""

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from pynetdicom import evt
from pynetdicom.association import Association

from ingest.node import Node, NodeSettings
from ingest.query import Asked, FindService, FindSettings
from ingest.service import Context, Handler
from ingest.spool.spool import Spool
from search.refresh import Refresher
from search.sqlite import SqliteEngine
from tests.ingest.query.corpus import corpus, folds

MOST_ANSWERS = 12


@dataclass
class Queried:
    """A running node and what its trail was told."""

    port: int
    trail: "queue.Queue[Asked]" = field(default_factory=queue.Queue)
    open: list[Association] = field(default_factory=list)

    def associations(self) -> list[Association]:
        """Return the associations the node has let in."""
        return list(self.open)

    def told(self) -> Asked:
        """Return what the trail was told of the query that ended last; it comes after the answer."""
        told = self.trail.get(timeout=10)
        assert self.trail.empty()
        return told


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteEngine]:
    """An index of the corpus."""
    engine = SqliteEngine(tmp_path_factory.mktemp("queried") / "index.sqlite")
    refresher = Refresher(engine)
    for fold in folds(corpus()):
        refresher.write(fold)
    yield engine
    engine.close()


class _Watch:
    """Notes the associations."""

    def __init__(self, found: list[Association]) -> None:
        self._found = found

    def contexts(self) -> tuple[Context, ...]:
        return ()

    def handlers(self) -> tuple[Handler, ...]:
        return ((evt.EVT_ESTABLISHED, lambda event: self._found.append(event.assoc)),)


@pytest.fixture(scope="package")
def _node(engine: SqliteEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queried]:
    spool = Spool(tmp_path_factory.mktemp("asked") / "spool", clock=lambda: datetime.now(UTC))
    queried = Queried(port=0)
    settings = FindSettings(ae_title="LASTGATE", most_answers=MOST_ANSWERS)
    service = FindService(engine, settings, on_query=queried.trail.put)
    node = Node(NodeSettings(ae_title="LASTGATE", bind="127.0.0.1", port=0), spool, [service, _Watch(queried.open)])
    try:
        queried.port = node.start()
        yield queried
    finally:
        node.stop()
        spool.close()


@pytest.fixture
def queried(_node: Queried) -> Iterator[Queried]:
    """A node that answers from it, at most twelve answers a query."""
    yield _node
    while not _node.trail.empty():
        _node.trail.get()
