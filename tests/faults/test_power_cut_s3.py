"""The power of an S3 server goes: what it acknowledged is lost, and comes back from the node's spool."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from lastgate.reception import take_in
from lastgate.settings import NodeSettings, Settings, StoreSettings
from lastgate.wiring import House, open_house
from storage.errors import StorageError
from tests.faults.deeds import file_all, take
from tests.faults.disks import Disk, why_no_power_cut
from tests.faults.lives import digests
from tests.faults.wholeness import Promised, wrongs
from tests.ingest.datasets import element, write_file
from tests.servers.seaweedfs import Seaweed, running

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_power_cut()), reason=why_no_power_cut()),
]

_DISK_BYTES = 3 << 30
INSTANCES = 12


def settings(home: Path, server: Seaweed) -> Settings:
    """Return the settings of a node that keeps its objects in this server."""
    keys = {"access": server.access_key, "secret": server.secret_key}
    for name, word in keys.items():
        path = home.parent / f"{name}-{server.pid}"
        path.write_text(word)
        path.chmod(0o400)
    part = StoreSettings(
        kind="s3",
        endpoint_url=server.endpoint_url,
        bucket="work",
        vault_bucket="vault",
        access_key_file=home.parent / f"access-{server.pid}",
        secret_key_file=home.parent / f"secret-{server.pid}",
    )
    return Settings(home=home, node=NodeSettings(port=0), store=part)


def make_buckets(server: Seaweed) -> None:
    """Make what a site makes once, with rights the program does not have."""
    from storage.s3 import ensure_bucket

    ensure_bucket(server.admin_client(), "work", lock=False)
    ensure_bucket(server.admin_client(), "vault", lock=True)


def test_filed_instances_when_the_power_of_the_server_goes_then_the_spool_brings_them_back(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    disk = Disk(tmp_path, size_bytes=_DISK_BYTES)
    paths = [tmp_path / "in" / f"{number}.dcm" for number in range(INSTANCES)]
    for number, path in enumerate(paths):
        write_file(path, instance=f"1.2.{number}")
        path.write_bytes(path.read_bytes() + element(0x7FE0_0010, b"OW", bytes([number]) * 100_000))
    home, folder = tmp_path / "home", disk.mounted / "weed"

    with disk.fresh(), ExitStack() as stack:
        folder.mkdir()
        server = stack.enter_context(running(folder))
        make_buckets(server)
        disk.settle()
        house = House(settings(home, server))  # not closed as a whole: its journal has nowhere to go any more
        take(house, paths)
        file_all(house)
        assert len(_stored(house)) == INSTANCES
        os.killpg(server.pid, signal.SIGKILL)
        disk.cut()
        house.journal.close()
        house.index.close()
        disk.power_up()

        with running(folder) as again:
            make_buckets(again)
            with open_house(settings(home, again)) as house:
                before = _stored(house)
                take_in(house, sorted(home.glob("spool/*/held/*")))
                lost = [one for one in wrongs(house, Promised(instances=digests(paths))) if one.startswith("lost:")]

    assert lost == []
    record_property("faults", {"power cut of SeaweedFS": 1, "objects SeaweedFS lost in it": INSTANCES - len(before)})


def _stored(house: House) -> list[str]:
    """Return the objects of the intake that can be read."""
    found = []
    try:
        for stat in house.stores.work.list("intake/"):
            house.stores.work.read_bytes(stat.key)
            found.append(stat.key)
    except StorageError:  # it lists what it can't give
        pass
    return found
