"""Disposal where the store keeps versions: nothing may be left behind a delete marker, and its own holds count."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from archive.errors import Refused
from archive.vault import ocfl
from archive.vault.locking import is_held
from storage.errors import StoreUnavailable
from storage.s3 import S3Store
from tests.archive.desk.kept import ENDED, FIRST, SECOND, KeptHouse
from tests.archive.house import DOCTOR, FILE_MANAGER
from tests.factories import other
from tests.servers.seaweedfs import Seaweed

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def buckets(seaweedfs: Seaweed) -> tuple[str, str]:
    return seaweedfs.fresh_bucket(), seaweedfs.fresh_bucket(lock=True)


@pytest.fixture
def house(tmp_path: Path, seaweedfs: Seaweed, buckets: tuple[str, str]) -> KeptHouse:
    prefix = f"{uuid4().hex}/"
    work, locked = (S3Store(seaweedfs.client(), bucket, prefix=prefix) for bucket in buckets)
    return KeptHouse(tmp_path, work=work, locked=locked, locks=False)


def test_dispose_on_s3_then_no_version_of_any_file_is_left_once_the_hold_is_lifted(house: KeptHouse) -> None:
    key, dossier = house.small.sealed(fractions=1)
    folder = f"{ocfl.object_folder(dossier.id)}/"
    assert house.keeping.hold(key, dossier.id, held=True, reason="court", account=DOCTOR) is True
    house.small.receive([other("report", "plan dose")])
    dossier = house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    states = list(house.locked.list_versions(folder))
    assert len(states) > len(list(house.locked.list(folder)))  # the root inventory moved on
    with pytest.raises((StoreUnavailable, Refused)):  # the server itself refuses, whoever asks
        house.locked.delete(states[0].key, version=states[0].version)
    house.at = ENDED
    with pytest.raises(Refused, match="on hold"):
        house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)

    house.keeping.hold(key, dossier.id, held=False, reason="settled", account=FIRST)
    assert not is_held(house.locked, dossier.id)
    house.dispose(key, dossier)

    assert list(house.locked.list_versions(folder)) == []
    assert list(house.work.list_versions("intake/")) == []
    assert list(house.work.list_versions("sealing/")) == []
    assert len(list(house.vault.disposals.certificates())) == 1


def test_dispose_on_s3_when_the_server_still_locks_a_version_then_it_is_refused(house: KeptHouse) -> None:
    key, dossier = house.small.sealed(fractions=1)
    house.at = ENDED
    house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)
    oldest = list(house.locked.list_versions(f"{ocfl.object_folder(dossier.id)}/v1/"))[-1]
    house.locked.retain_until(oldest.version, datetime.now(UTC) + timedelta(minutes=10))

    with pytest.raises(Refused, match="The store keeps the dossier locked"):
        house.keeping.confirm_disposal(key, dossier.id, account=SECOND)
    assert house.vault.inventory(dossier.id) is not None


def test_tidy_on_s3_then_the_intake_is_empty_and_the_dossier_whole(house: KeptHouse) -> None:
    _, dossier = house.small.sealed(fractions=1)

    (tidied,) = house.tidy()

    assert tidied.objects == len(dossier.instances)
    assert list(house.work.list("intake/")) == []
    assert list(house.vault.check(dossier.id)) == []
