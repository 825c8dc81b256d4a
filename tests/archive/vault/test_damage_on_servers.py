"""What may happen to sealed content under Object Lock, a delete marker or a younger version over it, is mended."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.model import Dossier
from archive.vault import ocfl
from storage.filesystem import FilesystemStore
from storage.s3 import S3Store
from tests.archive.house import SmallHouse
from tests.archive.stores import clock
from tests.archive.vault.damaged import found, pair, read_all, rounds_of
from tests.servers.seaweedfs import Seaweed

pytestmark = pytest.mark.server
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@pytest.fixture(scope="module")
def bucket(seaweedfs: Seaweed) -> str:
    return seaweedfs.fresh_bucket(lock=True)


def sealed(seaweedfs: Seaweed, bucket: str, folder: Path, *, twice: bool) -> tuple[SmallHouse, S3Store, Dossier]:
    """Return a dossier in a locked bucket, and with `twice` in a second store on disk."""
    store = S3Store(seaweedfs.client(), bucket, prefix=f"{folder.name}/")
    work = FilesystemStore(folder / "work", now=clock)
    second = FilesystemStore(folder / "second", now=clock)
    locked = pair(store, second, work, "vault") if twice else store
    house = SmallHouse(folder, locked=locked, until=UNTIL)
    _, dossier = house.sealed()
    house.journal.flush()
    return house, store, dossier


def marked(seaweedfs: Seaweed, bucket: str, key: str) -> None:
    seaweedfs.admin_client().delete_object(Bucket=bucket, Key=key)


def overlaid(seaweedfs: Seaweed, bucket: str, key: str) -> None:
    seaweedfs.admin_client().put_object(Bucket=bucket, Key=key, Body=b"younger")


@pytest.fixture(scope="module")
def alone(
    seaweedfs: Seaweed, bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallHouse, S3Store, Dossier, str]:
    """A dossier of which the locked versions are all that is left; each test leaves it whole."""
    folder = tmp_path_factory.mktemp("alone")
    house, store, dossier = sealed(seaweedfs, bucket, folder, twice=False)
    for stat in list(house.work.list("intake/")):
        house.work.delete(stat.key)
    return house, store, dossier, folder.name


@pytest.mark.parametrize("act", [marked, overlaid], ids=["delete marker", "younger version"])
@pytest.mark.parametrize("name", ["dcm", "dossier.json", "inventory.json"])
def test_sealed_content_when_something_lies_over_it_then_the_locked_version_is_brought_back(
    seaweedfs: Seaweed,
    bucket: str,
    alone: tuple[SmallHouse, S3Store, Dossier, str],
    act: Callable[[Seaweed, str, str], None],
    name: str,
) -> None:
    house, store, dossier, prefix = alone
    key = next(stat.key for stat in store.list(f"{ocfl.object_folder(dossier.id)}/v1/") if stat.key.endswith(name))
    before, locked = store.read_bytes(key), store.retention(store.stat(key).version)
    act(seaweedfs, bucket, f"{prefix}/{key}")

    assert key in {one for _, _, one in found(read_all(rounds_of(house, [], repair=False), here(house)))}
    assert found(read_all(rounds_of(house, []), here(house))) == []

    assert store.read_bytes(key) == before
    assert store.retention(store.stat(key).version) == locked == UNTIL


def test_sealed_files_when_the_bucket_lost_them_then_the_second_store_brings_them_back(
    seaweedfs: Seaweed, bucket: str, tmp_path: Path
) -> None:
    house, store, dossier = sealed(seaweedfs, bucket, tmp_path, twice=True)
    keys = [stat.key for stat in store.list(f"{ocfl.object_folder(dossier.id)}/")]
    for key in keys[:2]:
        for stat in list(store.list_versions(key)):  # all versions: nothing is left in the bucket itself
            seaweedfs.admin_client().delete_object(
                Bucket=bucket,
                Key=f"{tmp_path.name}/{stat.key}",
                VersionId=str(stat.version.version_id),
                BypassGovernanceRetention=True,
            )

    assert found(read_all(rounds_of(house, []), here(house))) == []
    assert [stat.key for stat in store.list(f"{ocfl.object_folder(dossier.id)}/")] == keys


def here(house: SmallHouse) -> frozenset[str]:
    """The parts of the archive in which this house has anything: a list of a bucket takes its time."""
    return frozenset(
        {f"vault/{ocfl.object_folder(stat.key.split('/')[1])[6:8]}" for stat in house.work.list("sealing/")}
        | {f"facts/{stat.key.split('/')[1]}" for stat in house.work.list("facts/")}
    )
