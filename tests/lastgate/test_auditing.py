"""A whole house with two stores: from the settings to what `lastgate verify` prints and the work-list shows."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lastgate.auditing import audit_of, compare, damage, keep_mirrored, period_of, second_store
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.settings import FixitySettings, SecondStoreSettings, Settings, SettingsError, StoreSettings
from lastgate.storing import PAIRED, catching_up
from lastgate.wiring import House, open_house
from storage.filesystem import FilesystemStore
from tests.archive.stores import flip
from tests.lastgate.program import lastgate


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A home and a second store beside it."""

    home: Path
    second: Path

    @property
    def settings(self) -> Settings:
        """With both."""
        return Settings(home=self.home, store=self.stores(self.second), fixity=FixitySettings(most_mb_per_s=0))

    @staticmethod
    def stores(second: Path) -> StoreSettings:
        """Name a second store."""
        return StoreSettings(second=SecondStoreSettings(kind="filesystem", root=second))

    def env(self) -> dict[str, str]:
        """The same as variables."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
        return {
            **plain,
            "LASTGATE_HOME": str(self.home),
            "LASTGATE_STORE__SECOND__KIND": "filesystem",
            "LASTGATE_STORE__SECOND__ROOT": str(self.second),
        }

    def first_store(self) -> FilesystemStore:
        """The first store, behind the program's back."""
        return FilesystemStore(self.home / "archive")

    def second_store(self) -> FilesystemStore:
        """The second store, behind the program's back."""
        return FilesystemStore(self.second)


@pytest.fixture(scope="module")
def filed(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An archive in two stores; tests copy it."""
    folder = tmp_path_factory.mktemp("audited")
    site = Site(home=folder / "home", second=folder / "second")
    patient = next(one for one in sample_department.patients if one.patient_id == "SAMPLE-0003")
    with open_house(site.settings) as house:
        assert set(take_in(house, list(patient.paths)).counts) == {"stored"}
        house.journal.flush()
    return site


@pytest.fixture
def site(filed: Site, tmp_path: Path) -> Site:
    for name in ("home", "second"):
        shutil.copytree(getattr(filed, name), tmp_path / name)
    return Site(home=tmp_path / "home", second=tmp_path / "second")


@pytest.fixture
def house(site: Site) -> Iterator[House]:
    with open_house(site.settings) as opened:
        yield opened


def an_instance(store: FilesystemStore) -> str:
    return next(stat.key for stat in store.list("intake/dicom/"))


def keys_of(store: FilesystemStore) -> set[str]:
    return {stat.key for stat in store.list("") if not stat.key.startswith("behind/")}


def test_archive_with_a_second_store_then_both_hold_the_same(site: Site) -> None:
    first, second = site.first_store(), site.second_store()

    assert keys_of(first) == keys_of(second)
    assert all(first.read_bytes(key) == second.read_bytes(key) for key in keys_of(first))
    assert list(first.list(PAIRED))


def test_verify_when_a_copy_is_damaged_then_it_is_told_and_repair_mends_it(site: Site) -> None:
    store = site.second_store()
    key = an_instance(store)
    before = store.read_bytes(key)
    flip(store, key, at=9)

    told = lastgate("verify", "--json", env=site.env())
    assert told.code == 1
    (problem,) = told.json["problems"]
    assert key in problem
    assert "second store" in problem
    status = lastgate("verify", "--status", "--json", env=site.env()).json
    assert [(one["kind"], one["copy"], one["key"]) for one in status["damage"]] == [("changed", 2, key)]
    assert "damaged" not in {stat.key.split("/")[0] for stat in store.list("")}

    mended = lastgate("verify", "--repair", env=site.env())
    assert mended.code == 0, mended.out
    assert "1 copies mended" in mended.out
    assert store.read_bytes(key) == before
    shown = lastgate("verify", "--status", env=site.env()).out
    assert "No damage is known." in shown
    assert "Second store: reached, 0 keys behind." in shown


def test_worklist_when_damage_is_recorded_then_it_is_there_without_ages(house: House, site: Site) -> None:
    assert damage(house) == []
    flip(site.first_store(), an_instance(site.first_store()), at=9)
    told = lastgate("verify", env=site.env())
    assert told.code == 1

    (one,) = damage(house)
    assert (one["kind"], one["store"], one["copy"]) == ("changed", "work", 1)
    assert json.loads(json.dumps(one)) == one
    assert "repair" in str(one["advice"])


def test_second_store_when_away_then_filing_goes_on_and_it_catches_up(
    house: House, site: Site, sample_department: Department
) -> None:
    assert second_store(house) == {"reached": True, "behind": 0}  # paired from now on
    away = site.second.rename(site.second.with_name("unmounted"))
    site.second.mkdir()  # the bare mount point
    other = next(one for one in sample_department.patients if one.patient_id == "SAMPLE-0001")
    with open_house(site.settings) as fresh:
        report = take_in(fresh, list(other.paths)[:5])
        assert set(report.counts) == {"stored"}
        state = second_store(fresh)
    assert state is not None
    assert not state["reached"]
    assert state["behind"] > 5
    assert list(site.second.iterdir()) == []

    site.second.rmdir()
    away.rename(site.second)
    for one in catching_up(house.stores):
        one.notes()
    assert second_store(house) == {"reached": True, "behind": 0}
    assert keys_of(site.first_store()) == keys_of(site.second_store())


def test_second_store_when_named_for_an_old_archive_then_everything_is_copied(house: House, tmp_path: Path) -> None:
    settings = house.settings.model_copy(update={"store": Site.stores(tmp_path / "new")})
    with open_house(settings) as fresh:
        stop = OneRound()
        keep_mirrored(fresh, stop)
        assert second_store(fresh) == {"reached": True, "behind": 0}
    assert keys_of(FilesystemStore(tmp_path / "new")) == keys_of(FilesystemStore(house.home / "archive"))


class OneRound(threading.Event):
    """An event that is set by the first waiting."""

    def wait(self, timeout: float | None = None) -> bool:
        """Be set at once."""
        del timeout
        self.set()
        return True


def test_lists_when_the_first_lost_an_object_then_it_is_brought_back(house: House, site: Site) -> None:
    key = an_instance(site.first_store())
    body = site.first_store().read_bytes(key)
    (site.first_store().root / key).unlink()

    compare(house, OneRound())

    assert site.first_store().read_bytes(key) == body
    assert damage(house) == []


def test_audit_when_made_from_the_settings_then_it_has_their_period(house: House) -> None:
    assert audit_of(house) is not None
    for days, kind, expected in ((None, "filesystem", 30), (7, "filesystem", 7), (None, "s3", 90)):
        store = house.settings.store.model_copy(update={"kind": kind})
        fixity = house.settings.fixity.model_copy(update={"days": days})
        settings = house.settings.model_copy(update={"store": store, "fixity": fixity})
        assert period_of(House(settings)).days == expected


@pytest.mark.parametrize("root", [None, "archive", "archive/inside", "."])
def test_second_store_when_it_can_not_be_one_then_the_setting_is_refused(tmp_path: Path, root: str | None) -> None:
    second = SecondStoreSettings(kind="filesystem", root=tmp_path / root if root else None)
    with pytest.raises(SettingsError, match=r"store\.second\.root"):
        _ = House(Settings(home=tmp_path, store=StoreSettings(second=second))).stores
