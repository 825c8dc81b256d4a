"""Each kind of damage, in either store: found, named, told to the journal, and mended from the other copy."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archive.model import Dossier
from archive.vault import ocfl
from archive.vault.disposal import Certificate, Disposals
from storage.documents import put_document
from storage.filesystem import FilesystemStore
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.archive.stores import NOW, flip, overwrite, signing_key
from tests.archive.vault.damaged import Twofold, found, inhabited, read_all, rounds_of, twofold
from tests.archive.vault.test_vault_check import forged
from tests.factories import other

Where = Callable[[FilesystemStore, str], list[str]]
How = Callable[[FilesystemStore, list[str]], None]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Twofold, Dossier]:
    """A dossier with an addendum, in two stores, read back once; each test leaves it whole."""
    made = twofold(tmp_path_factory.mktemp("twofold"))
    key, dossier = made.house.sealed()
    made.house.receive([other("report", "plan dose")])
    dossier = made.house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    made.house.journal.flush()
    assert made.read() == []
    made.stations.update(inhabited(made.rounds()))
    return made, dossier


@pytest.fixture
def whole(sealed: tuple[Twofold, Dossier]) -> Iterator[tuple[Twofold, Dossier]]:
    """The same, and afterwards not a byte of either store is another."""
    made, _ = sealed
    before = contents(made)
    made.events.clear()
    yield sealed
    assert contents(made) == before
    assert list(made.book().all()) == []


def contents(made: Twofold) -> dict[tuple[Path, str], str]:
    """Return the digests of everything but what was set aside."""
    return {
        (store.root, stat.key): store.digests(stat.key).sha256
        for store in (*made.work, *made.locked)
        for stat in store.list("")
        if not stat.key.startswith("damaged/")
    }


def sealed_file(path: str) -> Where:
    return lambda _, folder: [f"{folder}/{path}"]


def content(version: str = "v1", count: int = 1) -> Where:
    def where(store: FilesystemStore, folder: str) -> list[str]:
        keys = [stat.key for stat in store.list(f"{folder}/{version}/content/dicom/")]
        return keys[:count]

    return where


def below(prefix: str, ending: str = "") -> Where:
    def where(store: FilesystemStore, _: str) -> list[str]:
        return [stat.key for stat in store.list(prefix) if stat.key.endswith(ending)][:1]

    return where


def flipped(at: int = 7) -> How:
    def how(store: FilesystemStore, keys: list[str]) -> None:
        for key in keys:
            flip(store, key, at=at)

    return how


def truncated(store: FilesystemStore, keys: list[str]) -> None:
    for key in keys:
        overwrite(store, key, store.read_bytes(key)[:-3])


def missing(store: FilesystemStore, keys: list[str]) -> None:
    for key in keys:
        (store.root / key).unlink()


def emptied(store: FilesystemStore, keys: list[str]) -> None:
    for key in keys:
        overwrite(store, key, b"")


def swapped(store: FilesystemStore, keys: list[str]) -> None:
    one, two = (store.read_bytes(key) for key in keys)
    overwrite(store, keys[0], two)
    overwrite(store, keys[1], one)


SEALED: dict[str, tuple[Where, How]] = {
    "flipped bit in content": (content(), flipped()),
    "flipped bit in content of the addendum": (content("v2"), flipped()),
    "flipped bit in the root inventory": (sealed_file("inventory.json"), flipped(1001)),
    "flipped bit in the root sidecar": (sealed_file("inventory.json.sha512"), flipped()),
    "flipped bit in an inventory": (sealed_file("v1/inventory.json"), flipped(1001)),
    "flipped bit in a sidecar": (sealed_file("v2/inventory.json.sha512"), flipped()),
    "flipped bit in seal.json": (sealed_file("v1/content/seal.json"), flipped(99)),
    "flipped bit in dossier.json": (sealed_file("v2/content/dossier.json"), flipped(99)),
    "flipped bit in the declaration": (sealed_file("0=ocfl_object_1.1"), flipped()),
    "truncated content": (content(), truncated),
    "truncated root inventory": (sealed_file("inventory.json"), truncated),
    "emptied content": (content(), emptied),
    "missing content": (content(), missing),
    "missing declaration": (sealed_file("0=ocfl_object_1.1"), missing),
    "missing root inventory": (sealed_file("inventory.json"), missing),
    "version folder without inventory": (sealed_file("v2/inventory.json"), missing),
    "missing seal.json": (sealed_file("v1/content/seal.json"), missing),
    "swapped files": (content(count=2), swapped),
}
OTHERS: dict[str, tuple[str, Where, How]] = {
    "flipped bit in the intake": ("work", below("intake/dicom/"), flipped()),
    "missing in the intake": ("work", below("intake/dicom/"), missing),
    "flipped bit in the text of a receipt": ("work", below("facts/", ".jsonl"), flipped(120)),
    "torn receipt": ("work", below("facts/", ".jsonl"), truncated),
    "missing receipts": ("work", below("facts/", ".jsonl"), missing),
    "flipped bit in a decision": ("work", below("facts/", ".json"), flipped(120)),
    "missing decision": ("work", below("facts/", ".json"), missing),
    "flipped bit in the plan of a seal": ("work", below("sealing/", ".json"), flipped(1)),
    "flipped bit in a released paper": ("work", below("papers/"), flipped()),
    "missing public key": ("work", below("site/keys/"), missing),
    "flipped bit in the journal": ("locked", below("journal/"), flipped(300)),
    "truncated journal": ("locked", below("journal/"), truncated),
    "missing journal segment": ("locked", below("journal/"), missing),
}


@pytest.mark.parametrize("copy", [1, 2])
@pytest.mark.parametrize("case", SEALED)
def test_sealed_dossier_when_a_copy_is_damaged_then_it_is_named_and_mended(
    whole: tuple[Twofold, Dossier], case: str, copy: int
) -> None:
    made, dossier = whole
    store, (where, how) = made.locked[copy - 1], SEALED[case]
    keys = where(store, ocfl.object_folder(dossier.id))
    how(store, keys)

    assert made.read() == []

    assert_told(made, copy, keys)


@pytest.mark.parametrize("copy", [1, 2])
@pytest.mark.parametrize("case", OTHERS)
def test_other_objects_when_a_copy_is_damaged_then_it_is_named_and_mended(
    whole: tuple[Twofold, Dossier], case: str, copy: int
) -> None:
    made, _ = whole
    part, where, how = OTHERS[case]
    store = (made.work if part == "work" else made.locked)[copy - 1]
    keys = where(store, "")
    assert keys
    how(store, keys)

    assert made.read() == []

    assert_told(made, copy, keys)


def assert_told(made: Twofold, copy: int, keys: list[str]) -> None:
    """Whatever was damaged was told of in that store, and mended under its very key."""
    told = [event.subject for event in made.events if (event.act, event.outcome) == ("damage", "found")]
    assert {subject["copy"] for subject in told} == {copy}
    mended = {event.subject["key"] for event in made.events if (event.act, event.outcome) == ("repair", "done")}
    assert set(keys) <= mended


def test_bad_bytes_when_a_copy_was_mended_then_they_are_kept(whole: tuple[Twofold, Dossier]) -> None:
    made, dossier = whole
    (key,) = content()(made.locked[0], ocfl.object_folder(dossier.id))
    flip(made.locked[0], key, at=3)
    bad = made.locked[0].read_bytes(key)

    made.read()

    digest = hashlib.sha256(bad).hexdigest()
    assert made.work[0].read_bytes(f"damaged/{digest[:2]}/{digest}") == bad


@pytest.mark.parametrize("copy", [1, 2])
@pytest.mark.parametrize("path", ["extra", "v1/content/dicom/extra.dcm"])
def test_extra_file_in_a_sealed_dossier_then_it_is_moved_away_and_kept(
    whole: tuple[Twofold, Dossier], copy: int, path: str
) -> None:
    made, dossier = whole
    place = made.locked[copy - 1].root / ocfl.object_folder(dossier.id) / path
    place.write_bytes(b"stranger")

    assert made.read() == []

    assert not place.exists()
    digest = hashlib.sha256(b"stranger").hexdigest()
    assert made.work[0].read_bytes(f"damaged/{digest[:2]}/{digest}") == b"stranger"


def test_forged_seal_when_the_other_copy_is_genuine_then_it_is_put_back(whole: tuple[Twofold, Dossier]) -> None:
    made, dossier = whole
    forged_v1(made.house, dossier)

    assert made.read() == []

    told = [event.subject.get("problem") for event in made.events if event.act == "damage"]
    assert any("by a key that is no node's" in str(problem) for problem in told)


def forged_v1(house: SmallHouse, dossier: Dossier) -> None:
    """Make dossier.json, seal and inventories of version 1 anew, as a stranger with a key of his own would."""
    found_wrong = forged(house, dossier, {}, signing_key(house.folder, "stranger"))
    assert found_wrong


def test_whole_dossier_when_gone_from_a_store_then_it_is_back(whole: tuple[Twofold, Dossier]) -> None:
    made, dossier = whole
    for stat in list(made.locked[0].list(f"{ocfl.object_folder(dossier.id)}/")):
        (made.locked[0].root / stat.key).unlink()

    assert made.read(most=1000) == []


def test_newest_version_when_a_store_fell_back_to_the_one_before_then_it_is_named_and_mended(
    whole: tuple[Twofold, Dossier],
) -> None:
    made, dossier = whole
    store, folder = made.locked[0], ocfl.object_folder(dossier.id)
    for name in ("inventory.json", "inventory.json.sha512"):
        overwrite(store, f"{folder}/{name}", store.read_bytes(f"{folder}/v1/{name}"))
    for stat in list(store.list(f"{folder}/v2/")):
        (store.root / stat.key).unlink()

    assert made.read(repair=False)
    assert made.read() == []


def test_dossier_when_it_is_being_destroyed_then_nothing_of_it_is_brought_back(tmp_path: Path) -> None:
    made = twofold(tmp_path)
    _, dossier = made.house.sealed()
    made.house.journal.flush()
    folder = f"{ocfl.object_folder(dossier.id)}/"
    disposals = Disposals(work=made.house.work, locked=made.house.locked)
    disposals.settle(certificate(dossier), retain_until=None)
    left = [stat.key for stat in made.locked[0].list(folder)][::2]
    for key in [stat.key for stat in made.locked[0].list(folder) if stat.key not in left]:
        (made.locked[0].root / key).unlink()  # a crash left all in the second store, and half of it in the first

    assert made.read() == []
    assert [stat.key for stat in made.locked[0].list(folder)] == left
    disposals.carry_out(certificate(dossier), arrivals=lambda _: 0)
    put_document(made.locked[1], f"{folder}inventory.json", b"left behind")
    made.read()

    assert list(made.locked[0].list(folder)) == []


def certificate(dossier: Dossier) -> Certificate:
    """Return what decides that a dossier is destroyed."""
    return Certificate(
        dossier=dossier.id,
        version=1,
        patient_key=dossier.patient_key,
        request=1,
        request_sha256="",
        requested_by="fay",
        confirmed_by="dora",
        reason="its time is over",
        kept_until=NOW.date(),
        made_at=NOW,
        node="n1",
        plan_uids=(),
        dossier_sha256s=(),
        files=(),
        sources=(),
    )


# --- without a good copy ----------------------------------------------------------------------------------------------


def alone(folder: Path) -> tuple[SmallHouse, Dossier]:
    """Return a house with one store and a sealed dossier in it."""
    house = SmallHouse(folder)
    _, dossier = house.sealed()
    house.journal.flush()
    return house, dossier


def test_damage_without_a_second_store_then_it_stays_with_what_to_do(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    house.ready()
    house.journal.flush()
    (key,) = below("papers/")(house.work_files, "")
    flip(house.work_files, key, at=5)

    for _ in range(2):  # found again it is the same record
        assert found(read_all(rounds_of(house, []))) == [("changed", 1, key)]

    (record,) = [json.loads(house.work_files.read_bytes(stat.key)) for stat in house.work_files.list("site/damage/")]
    assert record["format"] == "lastgate/damage/1"
    assert (record["key"], record["store"], record["copy"]) == (key, "work", 1)
    assert "backup" in record["advice"]


def test_record_of_damage_when_somebody_put_the_object_right_then_it_is_gone(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    house.ready()
    house.journal.flush()
    (key,) = below("papers/")(house.work_files, "")
    before = house.work_files.read_bytes(key)
    overwrite(house.work_files, key, b"rot")
    read_all(rounds_of(house, []))
    overwrite(house.work_files, key, before)

    assert found(read_all(rounds_of(house, []))) == []
    assert list(house.work_files.list("site/damage/")) == []


def test_sealed_content_when_rotten_without_a_second_store_then_the_intake_still_has_it(tmp_path: Path) -> None:
    house, dossier = alone(tmp_path)
    (key,) = content()(house.locked_files, ocfl.object_folder(dossier.id))
    before = house.locked_files.read_bytes(key)
    (house.locked_files.root / key).unlink()
    (house.locked_files.root / key).write_bytes(b"rot")  # a file of its own: intake and vault may share one

    assert found(read_all(rounds_of(house, []))) == []
    assert house.locked_files.read_bytes(key) == before


def test_inventories_when_gone_without_a_second_store_then_the_plan_of_the_seal_has_them(tmp_path: Path) -> None:
    house, dossier = alone(tmp_path)
    folder = ocfl.object_folder(dossier.id)
    names = ("inventory.json", "inventory.json.sha512", "v1/content/seal.json", "v1/content/dossier.json")
    before = {name: house.locked_files.read_bytes(f"{folder}/{name}") for name in names}
    for name in names:
        (house.locked_files.root / folder / name).unlink()

    assert found(read_all(rounds_of(house, []))) == []
    assert {name: house.locked_files.read_bytes(f"{folder}/{name}") for name in names} == before


def test_instance_when_neither_received_nor_sealed_bytes_are_left_then_it_is_named_by_its_receipt(
    tmp_path: Path,
) -> None:
    house = SmallHouse(tmp_path)
    house.ready()
    house.journal.flush()
    (key,) = below("intake/dicom/")(house.work_files, "")
    (house.work_files.root / key).unlink()

    assert ("missing", 1, key) in found(read_all(rounds_of(house, [])))


def test_both_copies_when_rotten_then_nothing_is_put_anywhere(tmp_path: Path) -> None:
    made = twofold(tmp_path)
    made.house.ready()
    made.house.journal.flush()  # makes the node's key known
    (key,) = below("papers/")(made.work[0], "")
    for store in made.work:
        overwrite(store, key, b"rot")

    assert made.read() == [("changed", 1, key), ("changed", 2, key)]
    assert [store.read_bytes(key) for store in made.work] == [b"rot", b"rot"]


# --- too much at once -------------------------------------------------------------------------------------------------


def test_repairer_when_more_is_damaged_than_it_may_mend_then_it_stops_and_calls_a_person(tmp_path: Path) -> None:
    made = twofold(tmp_path)
    made.house.ready()
    made.house.journal.flush()  # makes the node's key known
    keys = [stat.key for stat in made.work[0].list("intake/dicom/")][:4]
    for key in keys:
        flip(made.work[0], key, at=1)

    left = made.read(most=2)

    assert [(kind, copy) for kind, copy, _ in left] == [("changed", 1)] * 2
    (stop,) = [one for one in made.book().all() if one.kind == "stopped"]
    assert "2 copies were damaged in one run" in stop.problem
    assert [event.outcome for event in made.events if event.act == "repair"] == ["done", "done", "stopped"]
