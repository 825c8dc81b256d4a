"""Elasticsearch is gone, red or rejects writes: receiving and filing go on, and the index catches up."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from archive.facts.decisions import Close
from lastgate.reception import end_begun, filer_of, node_of, spool_of
from lastgate.sample import Department
from lastgate.settings import IndexSettings, NodeSettings, Settings
from lastgate.wiring import House, open_house
from search.errors import SearchError
from tests.faults.deeds import WORKER, account, file_all, take, the_dossier
from tests.faults.wholeness import Promised, answers, wrongs
from tests.hostile.crash import UID_ROOT
from tests.hostile.wire import store
from tests.ingest.datasets import dataset
from tests.servers.fault_proxy import Fault, FaultProxy

pytestmark = pytest.mark.server


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(elasticsearch_url).running() as running:
        yield running


@pytest.fixture
def house(proxy: FaultProxy, tmp_path: Path) -> Iterator[House]:
    """A node whose index is an Elasticsearch behind the proxy."""
    part = IndexSettings(kind="elasticsearch", url=proxy.url, name=f"t{uuid4().hex}")
    with open_house(Settings(home=tmp_path / "home", node=NodeSettings(port=0), index=part)) as opened:
        yield opened
        proxy.mend()


@pytest.mark.parametrize(
    ("fault", "methods"),
    [(Fault.GONE, ()), (Fault.BUSY, ()), (Fault.REJECTS, ("POST", "PUT"))],
    ids=["gone", "red", "rejects writes"],
)
def test_receive_when_the_index_fails_then_receiving_goes_on_and_the_index_catches_up(
    house: House, proxy: FaultProxy, fault: Fault, methods: tuple[str, ...]
) -> None:
    """What comes meanwhile is safe in the spool: only the index knows whether another patient has that instance."""
    before = dataset(instance=f"{UID_ROOT}.1", study=f"{UID_ROOT}.8", series=f"{UID_ROOT}.9")
    after = dataset(instance=f"{UID_ROOT}.2", study=f"{UID_ROOT}.8", series=f"{UID_ROOT}.9")
    filer = filer_of(house, own=house.home / "spool" / WORKER)
    with spool_of(house, WORKER) as spool, node_of(house, spool) as node:
        port = node.start()
        first = store(port, before, instance=f"{UID_ROOT}.1").word
        filer.drain()
        proxy.fail(fault, methods=methods)
        second = store(port, after, instance=f"{UID_ROOT}.2").word
        filer.drain()
        assert proxy.failed
        proxy.mend()
        filer.drain()
        assert spool.pending() == []

    (key,) = house.facts.patients()
    assert (first, second) == ("0000", "0000")
    assert list(wrongs(house, Promised())) == []
    assert len({receipt.header.sop_instance_uid for receipt in house.facts.read(key).receipts}) == 2


def test_close_when_the_index_is_gone_then_the_act_stands_and_the_index_catches_up(
    house: House, proxy: FaultProxy, sample_department: Department
) -> None:
    course = sample_department.patient("SAMPLE-0003").courses[0]
    take(house, sorted(course.folder.rglob("*.dcm")))
    file_all(house)
    dossier = the_dossier(house)
    end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)

    proxy.fail(Fault.GONE)
    with pytest.raises(SearchError):
        house.desk.close(dossier.patient_key, dossier.id, end, account=account("doctor"))
    proxy.mend()
    end_begun(house)

    found = answers(house)
    house.rebuild()
    assert found == answers(house)
    assert the_dossier(house).close is not None
    house.journal.flush()
    assert [event["act"] for event in house.journal.events()].count("close") == 1
