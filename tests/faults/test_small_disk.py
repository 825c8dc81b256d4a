"""A disk that is full during filing and sealing: a clear error, nothing half, and it goes on once there is room."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from archive.model import DossierState
from storage.errors import StoreFull
from storage.filesystem import FilesystemStore
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.faults.disks import small_disk
from tests.hostile.nodes import can_mount
from tests.ingest.conftest import House
from tests.ingest.datasets import element, write_file

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not can_mount(), reason="only root can give the archive a small disk of its own"),
]
DISK_BYTES: Final = 4 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_BYTES):
        yield tmp_path / "disk"


def fill(disk: Path, *, but: int) -> Path:
    """Fill a disk up to some bytes; return the file to remove."""
    import os

    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as stream:
        stream.write(bytes(max(free.f_bavail * free.f_frsize - but, 0)))
    return ballast


def test_file_when_the_disk_is_full_then_nothing_is_settled_and_it_is_filed_once_there_is_room(
    disk: Path, tmp_path: Path
) -> None:
    """The spool lies elsewhere: a store that is full must not take it along."""
    house = House(tmp_path / "house")
    house.store = FilesystemStore(disk / "store")
    house.facts._store = house.store
    house.filer = house.new_filer()
    for number in range(6):
        path = tmp_path / "in" / f"{number}.dcm"
        write_file(path, instance=f"1.2.{number}")
        path.write_bytes(path.read_bytes() + element(0x7FE0_0010, b"OW", bytes([number]) * 300_000))
    ballast = fill(disk, but=700_000)

    with pytest.raises(StoreFull) as caught:
        house.take(tmp_path / "in")
    unfinished = list((disk / "store/.lastgate/unfinished").iterdir())
    waiting = len(house.spool.pending())
    ballast.unlink()
    house.filer.drain()

    assert "No space left" in str(caught.value)
    assert "Free space" in caught.value.hint
    assert unfinished == []
    assert waiting == 6
    assert house.spool.pending() == []
    assert {receipt.header.sop_instance_uid for receipt in house.receipts()} == {f"1.2.{n}" for n in range(6)}
    assert len(house.objects("intake/")) == 6
    house.spool.close()


@pytest.mark.parametrize("room", [0, 40_000, 80_000, 120_000])
def test_seal_when_the_disk_is_full_then_nothing_counts_as_sealed_and_it_is_sealed_once_there_is_room(
    disk: Path, tmp_path: Path, room: int
) -> None:
    locked = FilesystemStore(disk / "vault")
    house = SmallHouse(tmp_path / "house", locked=locked)
    key, dossier = house.ready()
    house.journal.flush()
    ballast = fill(disk, but=room)

    with pytest.raises(StoreFull, match="No space left"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert house.desk.dossier(key, dossier.id).state is DossierState.READY
    assert list(house.vault.dossiers()) == []
    assert list((disk / "vault/.lastgate/unfinished").iterdir()) == []

    ballast.unlink()
    sealed = house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert sealed.state is DossierState.SEALED
    assert list(house.vault.check(dossier.id)) == []
