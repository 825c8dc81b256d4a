"""What the check finds: a flipped bit, a file gone or foreign, and whatever was signed anew by another."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.model import Dossier
from archive.signing.signing import SigningKey
from archive.vault import ocfl
from tests.archive.house import SmallHouse
from tests.archive.stores import flip, overwrite, signing_key
from tests.archive.vault.test_vault import addendum, object_path, problems


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def content(name: str, version: str = "v1") -> Callable[[Path], Path]:
    return lambda folder: next((folder / version / "content").rglob(name))


def at(name: str) -> Callable[[Path], Path]:
    return lambda folder: folder / name


PLACES: dict[str, Callable[[Path], Path]] = {
    "a DICOM file": content("*.dcm"),
    "a DICOM file of the addendum": content("*.dcm", "v2"),
    "dossier.json of v1": content("dossier.json"),
    "dossier.json of v2": content("dossier.json", "v2"),
    "seal.json of v1": content("seal.json"),
    "seal.json of v2": content("seal.json", "v2"),
    "root inventory": at("inventory.json"),
    "root sidecar": at("inventory.json.sha512"),
    "inventory of v1": at("v1/inventory.json"),
    "inventory of v2": at("v2/inventory.json"),
    "sidecar of v1": at("v1/inventory.json.sha512"),
    "declaration": at("0=ocfl_object_1.1"),
}


@pytest.fixture(scope="module")
def sealed_twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallHouse, Dossier]:
    house = SmallHouse(tmp_path_factory.mktemp("house"))
    return house, addendum(house)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("bit", [0, 7, 1001, 99_999])
def test_check_when_a_bit_is_flipped_anywhere_then_it_is_found(
    sealed_twice: tuple[SmallHouse, Dossier], where: str, bit: int
) -> None:
    house, dossier = sealed_twice
    path = PLACES[where](object_path(house, dossier))
    key = str(path.relative_to(house.locked_files.root))
    before = path.read_bytes()

    flip(house.locked_files, key, at=bit)
    found = problems(house, dossier)
    overwrite(house.locked_files, key, before)

    assert found
    assert all(dossier.id in problem for problem in found)
    assert problems(house, dossier) == []


@pytest.mark.parametrize("where", PLACES)
def test_check_when_a_file_is_gone_then_it_is_found(sealed_twice: tuple[SmallHouse, Dossier], where: str) -> None:
    house, dossier = sealed_twice
    path = PLACES[where](object_path(house, dossier))
    before = path.read_bytes()

    path.unlink()
    found = problems(house, dossier)
    path.write_bytes(before)

    assert found
    assert problems(house, dossier) == []


@pytest.mark.parametrize("name", ["v1/content/dicom/extra.dcm", "extra", "v3/content/dossier.json", "v1/notes.txt"])
def test_check_when_a_foreign_file_lies_in_the_object_then_it_is_found(
    sealed_twice: tuple[SmallHouse, Dossier], name: str
) -> None:
    house, dossier = sealed_twice
    path = object_path(house, dossier) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")

    found = problems(house, dossier)
    path.unlink()

    assert found == [f"{dossier.id}: {name}: a file that no inventory names"]


def rewritten(house: SmallHouse, dossier: Dossier, changes: dict[str, str], *places: str) -> list[str]:
    """Replace texts in inventories, with sidecars that fit them, and return what the check says."""
    base = ocfl.object_folder(dossier.id)
    for place in places:
        text = house.locked_files.read_bytes(f"{base}/{place}inventory.json").decode()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        overwrite(house.locked_files, f"{base}/{place}inventory.json", text.encode())
        overwrite(house.locked_files, f"{base}/{place}inventory.json.sha512", ocfl.sidecar(text.encode()))
    return problems(house, dossier)


def digests(old: bytes, new: bytes) -> dict[str, str]:
    return {hashlib.new(name, old).hexdigest(): hashlib.new(name, new).hexdigest() for name in ("sha512", "sha256")}


def forged(
    house: SmallHouse,
    dossier: Dossier,
    change: dict[str, Any],
    key: SigningKey,
    told: Callable[[bytes], bytes] = lambda body: body,
) -> list[str]:
    """Put a dossier.json and a seal of one's own making in place, inventories that fit them, and check."""
    base = f"{ocfl.object_folder(dossier.id)}/v1/content"
    old_told = house.locked_files.read_bytes(f"{base}/dossier.json")
    old_seal = house.locked_files.read_bytes(f"{base}/seal.json")
    new_told = told(old_told)
    body = {name: value for name, value in json.loads(old_seal).items() if name not in {"signature", "public_key"}}
    body = {**body, "dossier_sha256": hashlib.sha256(new_told).hexdigest(), **change}
    new_seal = json.dumps({**body, "signature": key.sign(body), "public_key": key.public_key}).encode()
    overwrite(house.locked_files, f"{base}/dossier.json", new_told)
    overwrite(house.locked_files, f"{base}/seal.json", new_seal)
    return rewritten(house, dossier, {**digests(old_told, new_told), **digests(old_seal, new_seal)}, "", "v1/")


def test_check_when_a_long_digest_is_wrong_though_the_short_one_is_right_then_it_is_found(house: SmallHouse) -> None:
    _, dossier = house.sealed()
    digest = dossier.instances[0].receipt.file_sha512

    found = rewritten(house, dossier, {digest: "0" * 128}, "", "v1/")

    assert len(found) == 1
    assert "its SHA-512 is not the one in the inventory" in found[0]


def test_check_when_the_first_inventory_was_rewritten_then_the_later_one_tells_otherwise(house: SmallHouse) -> None:
    dossier = addendum(house)

    found = rewritten(house, dossier, {'"name": "fay"': '"name": "eve"'}, "v1/")

    assert found == [f"{dossier.id}: v1/inventory.json does not tell what the root inventory tells of v1"]


def test_check_when_a_file_was_taken_out_of_the_list_and_all_signed_anew_then_it_is_found(house: SmallHouse) -> None:
    _, dossier = house.sealed()

    def shortened(told: bytes) -> bytes:
        body = json.loads(told)
        return json.dumps({**body, "files": body["files"][1:]}).encode()

    assert forged(house, dossier, {}, house.key, shortened) == [
        f"{dossier.id}: the dossier.json of v1 names other files than the inventory"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"dossier_sha256": "0" * 64}, "made over another dossier.json"),
        ({"dossier": "other"}, "is that of other"),
        ({"version": 7}, "v7"),
        ({"format": "lastgate/seal/2"}, "does not know"),
    ],
)
def test_check_when_the_seal_itself_tells_something_else_then_it_is_found(
    house: SmallHouse, change: dict[str, Any], said: str
) -> None:
    _, dossier = house.sealed()

    found = forged(house, dossier, change, house.key)

    assert (said in " ".join(found)) if said else found == []


def test_check_when_a_stranger_made_object_and_seal_anew_then_the_key_gives_it_away(house: SmallHouse) -> None:
    _, dossier = house.sealed()

    found = forged(house, dossier, {}, signing_key(house.folder, "stranger"))

    assert found == [f"{dossier.id}: the seal of v1 is signed by a key that is no node's"]


def test_check_of_what_was_never_sealed_then_it_says_so(house: SmallHouse) -> None:
    assert list(house.vault.check("nobody")) == [
        f"nobody: there is no sealed dossier at {ocfl.object_folder('nobody')}"
    ]
