"""The intake lets go of what lies in the vault, never of what somebody still needs."""

import shutil
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from archive.facts.decisions import Close
from archive.vault import ocfl
from archive.vault.places import Places
from archive.vault.tidying import Tidying, sweep_before
from tests.archive.desk.kept import KeptHouse
from tests.archive.house import DOCTOR, FILE_MANAGER, body_of
from tests.archive.stores import PowerCut, dying, flip
from tests.factories import course, document


@pytest.fixture
def house(tmp_path: Path) -> KeptHouse:
    return KeptHouse(tmp_path)


def test_tidy_then_the_intake_is_empty_and_every_instance_is_read_in_the_vault(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()

    (tidied,) = house.tidy()

    assert (tidied.dossier, tidied.version, tidied.objects) == (dossier.id, 1, len(dossier.instances))
    assert tidied.bytes == dossier.size_bytes
    assert house.tidied == [tidied]
    assert house.keys("intake/", locked=False) == []
    places = Places(work=house.work, vault=house.vault, facts=house.facts)
    receipts = house.facts.read(key).receipts
    assert [places.whole(receipt) for receipt in receipts] == [
        body_of(held) for held in (receipt.header for receipt in receipts)
    ]
    assert list(house.vault.check(dossier.id)) == []
    assert house.tidy() == []


def test_tidy_when_the_grace_time_runs_then_nothing_goes(house: KeptHouse) -> None:
    house.small.sealed()
    tidying = Tidying(
        work=house.work, locked=house.locked, vault=house.vault, dossiers=lambda _: (), record=house.tidied.append
    )

    assert list(tidying.sweep(before=sweep_before(datetime.now(UTC), days=1))) == []
    assert len(house.keys("intake/", locked=False)) == len(course("plan", fractions=5))


def test_tidy_when_the_seal_is_not_recorded_then_nothing_goes(house: KeptHouse) -> None:
    house.small.sealed()
    (recorded,) = [key for key in house.keys("sealing/", locked=False) if key.endswith(".recorded")]
    house.work_files.delete(recorded)

    assert house.tidy() == []


def test_tidy_when_an_open_dossier_holds_some_of_it_then_that_stays_until_it_is_sealed(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()
    second = course("boost", start=date(2026, 3, 2), fractions=5)  # years later, on the same images
    known = {held.uid for held in dossier.instances}
    house.small.receive([header for header in second if header.sop_instance_uid not in known])

    house.tidy()
    left = house.keys("intake/", locked=False)
    (boost,) = [one for one in house.desk.record(key).dossiers if one.id != dossier.id]
    assert sorted(left) == sorted(held.receipt.key for held in boost.instances)
    assert known & {held.uid for held in boost.instances}


def test_seal_when_the_intake_let_go_of_shared_images_then_they_come_from_the_vault(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()
    house.tidy()
    house.at = datetime(2026, 7, 1, tzinfo=UTC)
    second = course("boost", start=date(2026, 3, 2), fractions=5)
    known = {held.uid for held in dossier.instances}
    house.small.receive([header for header in second if header.sop_instance_uid not in known])
    (boost,) = [one for one in house.desk.record(key).dossiers if one.id != dossier.id]
    end = Close(plan_uids=(), outcome="completed", last_date="20260306")
    house.desk.close(key, boost.id, end, account=DOCTOR)
    house.small.released(key, house.desk.dossier(key, boost.id))

    sealed = house.desk.seal(key, boost.id, account=FILE_MANAGER)

    assert list(house.vault.check(sealed.id)) == []
    assert known & {held.uid for held in sealed.instances}


@pytest.mark.parametrize("damage", ["flip", "gone"])
def test_tidy_when_the_copy_in_the_vault_is_bad_then_the_intake_keeps_its_own(house: KeptHouse, damage: str) -> None:
    _, dossier = house.small.sealed()
    held = dossier.instances[0]
    folder = f"{ocfl.object_folder(dossier.id)}/v1/content/dicom/"
    (bad,) = [key for key in house.keys(folder) if key.endswith(f"/{held.uid}.dcm")]
    if damage == "flip":
        body = house.locked_files.read_bytes(bad)
        path = house.locked_files.root / bad
        path.unlink()  # a hard link: the intake's file must not be changed with it
        path.write_bytes(body)
        flip(house.locked_files, bad, at=3)
    else:
        (house.locked_files.root / bad).unlink()

    (tidied,) = house.tidy()

    assert tidied.objects == len(dossier.instances) - 1
    assert house.keys("intake/", locked=False) == [held.receipt.key]
    assert [key for key in house.keys("sealing/", locked=False) if key.endswith(".tidied")] == []


def test_tidy_then_papers_stay(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()
    house.small.receive([document("letter")])
    house.desk.seal(key, dossier.id, account=DOCTOR)

    house.tidy()

    assert [key.split("/")[1] for key in house.keys("intake/", locked=False)] == ["documents"]
    assert house.tidy() == []


def test_tidy_when_the_process_dies_at_any_write_then_the_next_sweep_ends_it(tmp_path: Path) -> None:
    first = KeptHouse(tmp_path / "first")
    first.small.sealed(fractions=1)
    del first
    at, cut = 0, True
    while cut:
        for after in (False, True):
            folder = tmp_path / f"{at}{after}"
            shutil.copytree(tmp_path / "first", folder)
            counter: list[str] = []
            house = KeptHouse(folder)
            with suppress(PowerCut):
                house.tidy(work=dying(house.work_files, at=at, after=after, counter=counter))
            cut = len(counter) > at

            house.tidy()

            assert house.keys("intake/", locked=False) == []
            assert [key.rsplit(".", 1)[1] for key in house.keys("sealing/", locked=False)] == [
                "json",
                "recorded",
                "tidied",
            ]
            (dossier,) = house.vault.dossiers()
            assert list(house.vault.check(dossier)) == []
        at += 1
    assert at > 5
