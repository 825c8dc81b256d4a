"""Seals testify what the journals held when they were made."""

import json
from pathlib import Path

import pytest

from archive.signing.keys import KeyRing
from archive.vault import ocfl
from archive.vault.witnesses import seal_witnesses
from tests.archive.house import SmallHouse
from tests.archive.stores import overwrite


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def _audit(house: SmallHouse) -> list[str]:
    found = house.journal.audit(seal_witnesses(house.locked, KeyRing(house.work)))
    return [problem.message for problem in found.problems]


def test_audit_when_the_tail_a_seal_names_was_cut_off_then_the_seal_is_named(house: SmallHouse) -> None:
    _, dossier = house.sealed()
    assert _audit(house) == []

    for stat in list(house.locked.list("journal/")):
        (house.locked_files.root / stat.key).unlink()
    (house.work_files.root / "site/journal/n1.json").unlink()
    for name in ("outbox.db", "outbox.db-wal", "outbox.db-shm"):
        (house.folder / name).unlink(missing_ok=True)

    assert _audit(house) == [f"The journal of node 'n1' lacks what the seal of {dossier.id} v1 names of it"]


def test_witnesses_when_a_seal_is_forged_then_it_proves_nothing(house: SmallHouse) -> None:
    _, dossier = house.sealed()
    key = f"{ocfl.object_folder(dossier.id)}/v1/content/seal.json"
    seal = json.loads(house.locked.read_bytes(key))
    assert len(list(seal_witnesses(house.locked, KeyRing(house.work)))) == 1

    overwrite(house.locked_files, key, json.dumps({**seal, "journal_heads": {"n1": "0" * 64}}).encode())
    assert list(seal_witnesses(house.locked, KeyRing(house.work))) == []
    for body in (b"{", b"[]", b"{}"):
        overwrite(house.locked_files, key, body)
        assert list(seal_witnesses(house.locked, KeyRing(house.work))) == []
