"""The object store is gone, busy, slow or cuts connections: a proxy before a real SeaweedFS lets it be so."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from archive.model import DossierState
from lastgate.reception import filer_of, node_of, spool_of
from lastgate.settings import NodeSettings, Settings, StoreSettings
from lastgate.wiring import House, open_house
from storage.errors import StorageError, StoreUnavailable
from storage.s3 import Limits, S3Store, connect
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.conformance.object_stores import put
from tests.factories import other
from tests.faults.deeds import WORKER
from tests.faults.wholeness import Promised, wrongs
from tests.hostile.crash import UID_ROOT
from tests.hostile.wire import store
from tests.ingest.datasets import dataset, element
from tests.servers.fault_proxy import Fault, FaultProxy
from tests.servers.seaweedfs import Seaweed

pytestmark = pytest.mark.server

Tell = Callable[[str, object], None]
FAULTS: Final = (Fault.GONE, Fault.BUSY, Fault.CUT_REQUEST, Fault.CUT_ANSWER, Fault.LOST_ANSWER, Fault.HALF_CONTINUE)
INSTANCES: Final = 4


@pytest.fixture
def proxy(seaweedfs: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The proxy; botocore's seconds between two tries are left out."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with FaultProxy(seaweedfs.endpoint_url).running() as running:
        yield running


@pytest.fixture
def house(seaweedfs: Seaweed, proxy: FaultProxy, tmp_path: Path) -> Iterator[House]:
    """A node whose objects lie in SeaweedFS behind the proxy, in buckets of its own."""
    keys = {"access": seaweedfs.access_key, "secret": seaweedfs.secret_key}
    for name, word in keys.items():
        (tmp_path / name).write_text(word)
        (tmp_path / name).chmod(0o400)
    part = StoreSettings(
        kind="s3",
        endpoint_url=proxy.url,
        bucket=seaweedfs.fresh_bucket(),
        vault_bucket=seaweedfs.fresh_bucket(lock=True),
        access_key_file=tmp_path / "access",
        secret_key_file=tmp_path / "secret",
    )
    with open_house(Settings(home=tmp_path / "home", node=NodeSettings(port=0), store=part)) as opened:
        yield opened
        proxy.mend()


def bodies(serial: str) -> dict[str, bytes]:
    """Return data sets of which every other one is longer than what the spool's journal takes."""
    tails = [element(0x7FE0_0010, b"OW", bytes([number]) * 100_000 * (number % 2)) for number in range(INSTANCES)]
    uids = [f"{UID_ROOT}.{serial}.{number}" for number in range(INSTANCES)]
    return {
        uid: dataset(instance=uid, study=f"{UID_ROOT}.{serial}", series=f"{UID_ROOT}.{serial}.9", tail=tail)
        for uid, tail in zip(uids, tails, strict=True)
    }


def test_receive_when_the_store_fails_then_receiving_goes_on_and_filing_catches_up(
    house: House, proxy: FaultProxy, record_property: Tell
) -> None:
    """One node through all faults, one after the other: what each leaves is filed when it has passed."""
    promised: dict[str, str] = {}
    filer = filer_of(house, own=house.home / "spool" / WORKER)
    with spool_of(house, WORKER) as spool, node_of(house, spool) as node:
        port = node.start()
        for number, fault in enumerate(FAULTS, 1):
            sent = bodies(str(number))
            proxy.fail(fault, after=number % 3)
            words = [store(port, body, instance=uid).word for uid, body in sent.items()]
            with pytest.raises(StorageError):
                filer.drain()
            assert proxy.failed
            proxy.mend()
            filer.drain()
            assert words == ["0000"] * INSTANCES, fault
            assert spool.pending() == []
            promised |= {uid: hashlib.sha256(body).hexdigest() for uid, body in sent.items()}

    assert list(wrongs(house, Promised(instances=promised))) == []
    record_property("faults", {"instances received while the object store failed": len(promised)})


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_seal_when_the_store_fails_in_the_middle_then_it_ends_cleanly_and_can_be_repeated(
    seaweedfs: Seaweed, proxy: FaultProxy, tmp_path: Path, share: float, record_property: Tell
) -> None:
    """One dossier and its addenda, each cut off by another fault: none may be half, and none may hinder the next."""
    client = connect(proxy.url, seaweedfs.region, seaweedfs.access_key, seaweedfs.secret_key)
    work, locked = S3Store(client, seaweedfs.fresh_bucket()), S3Store(client, seaweedfs.fresh_bucket(lock=True))
    house = SmallHouse(tmp_path, work=work, locked=locked)
    key, dossier = house.sealed(fractions=1)
    proxy.fail(Fault.NONE)
    house.receive([other("report", "plan dose")])
    dossier = house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    requests = proxy.requests

    for fault in FAULTS:
        house.receive([other(f"report {fault.value}", "plan dose")])
        version = dossier.version
        proxy.fail(fault, after=int(share * requests))
        with pytest.raises(StorageError):
            house.desk.seal(key, dossier.id, account=FILE_MANAGER)
        proxy.mend()
        dossier = house.desk.dossier(key, dossier.id)
        if dossier.version == version:
            dossier = house.desk.seal(key, dossier.id, account=FILE_MANAGER)
        assert (dossier.state, dossier.version, dossier.late) == (DossierState.SEALED, version + 1, ()), fault

    house.desk.resume()
    house.desk.catch_up()
    assert list(house.vault.check(dossier.id)) == []
    house.journal.flush()
    house.journal.verify()
    assert sum(event["act"] == "seal" for event in house.journal.events()) == dossier.version
    record_property("faults", {"seals cut off by a failing object store": len(FAULTS)})


def test_put_when_the_server_is_slow_then_it_is_waited_for(seaweedfs: Seaweed, proxy: FaultProxy) -> None:
    client = connect(proxy.url, seaweedfs.region, seaweedfs.access_key, seaweedfs.secret_key)
    slow = S3Store(client, seaweedfs.fresh_bucket())

    proxy.fail(Fault.SLOW)
    put(slow, "k", b"bytes")

    assert slow.read_bytes("k") == b"bytes"
    assert proxy.failed


def test_read_when_the_answer_drips_then_the_whole_call_has_a_deadline(seaweedfs: Seaweed, proxy: FaultProxy) -> None:
    client = connect(proxy.url, seaweedfs.region, seaweedfs.access_key, seaweedfs.secret_key)
    dripping = S3Store(client, seaweedfs.fresh_bucket(), limits=Limits(deadline_s=0.5))
    put(dripping, "k", b"bytes")

    proxy.fail(Fault.DRIPS)
    with pytest.raises(StoreUnavailable, match="no answer within"):
        dripping.read_bytes("k")
