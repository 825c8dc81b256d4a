"""Whoever reads an instance gets what was received, from wherever a good copy lies."""

from pathlib import Path

import pytest

from archive.facts.receipts import PatientKey, Receipt
from archive.vault import places as module
from archive.vault.places import Places
from storage.errors import DigestMismatch, ObjectMissing
from tests.archive.house import FILE_MANAGER, SmallHouse, body_of
from tests.archive.stores import flip, overwrite
from tests.factories import other


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def places_of(house: SmallHouse) -> Places:
    return Places(work=house.work, vault=house.vault, facts=house.facts)


def first_receipt(house: SmallHouse, key: PatientKey) -> Receipt:
    return house.facts.read(key).receipts[0]


def remove(house: SmallHouse, receipt: Receipt) -> None:
    house.work.delete(receipt.key)


def test_whole_when_it_lies_in_the_intake_then_its_bytes_are_given(house: SmallHouse) -> None:
    receipt = first_receipt(house, house.receive([other("report", "plan")]))
    assert places_of(house).whole(receipt) == body_of(receipt.header)


def test_whole_when_the_intake_let_it_go_after_sealing_then_it_is_read_in_the_vault(house: SmallHouse) -> None:
    key, _ = house.sealed()
    places = places_of(house)
    for receipt in house.facts.read(key).receipts:
        remove(house, receipt)
        assert places.whole(receipt) == body_of(receipt.header)


def test_whole_when_it_is_sealed_after_somebody_asked_then_the_vault_is_looked_at_again(house: SmallHouse) -> None:
    key, dossier = house.ready()
    places, receipt = places_of(house), first_receipt(house, key)
    body = house.work.read_bytes(receipt.key)
    flip(house.work_files, receipt.key, at=3)
    with pytest.raises(DigestMismatch):
        places.whole(receipt)
    overwrite(house.work_files, receipt.key, body)
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    remove(house, receipt)
    assert places.whole(receipt) == body


def test_whole_when_the_copy_in_the_intake_is_rotten_then_the_sealed_one_stands_in(house: SmallHouse) -> None:
    key, _ = house.sealed()
    receipt = first_receipt(house, key)
    remove(house, receipt)  # on one disk both are one file
    path = house.work_files.root / receipt.key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rot")
    assert places_of(house).whole(receipt) == body_of(receipt.header)


def test_whole_when_no_copy_is_right_then_rot_is_said_rather_than_absence(house: SmallHouse) -> None:
    receipt = first_receipt(house, house.receive([other("report", "plan")]))
    flip(house.work_files, receipt.key, at=0)
    with pytest.raises(DigestMismatch, match="digest of its receipt"):
        places_of(house).whole(receipt)
    remove(house, receipt)
    with pytest.raises(ObjectMissing):
        places_of(house).whole(receipt)


def test_pieces_when_it_is_long_then_it_is_proven_first_and_never_held_whole(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 10)
    receipt = first_receipt(house, house.receive([other("report", "plan")]))
    assert b"".join(places_of(house).pieces(receipt)) == body_of(receipt.header)
    flip(house.work_files, receipt.key, at=5)
    with pytest.raises(DigestMismatch):
        places_of(house).pieces(receipt)


def test_pieces_when_it_rots_between_proof_and_reading_then_the_last_piece_is_never_given(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 10)
    receipt = first_receipt(house, house.receive([other("report", "plan")]))
    pieces = places_of(house).pieces(receipt)
    flip(house.work_files, receipt.key, at=5)
    given: list[bytes] = []
    with pytest.raises(DigestMismatch):
        given.extend(pieces)
    assert given == []
