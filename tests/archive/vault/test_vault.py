"""Sealed dossiers are OCFL objects that others can check, and no crash or flipped bit goes unseen."""

import hashlib
import json
import re
import shutil
import subprocess
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.errors import NotFound
from archive.model import Dossier, DossierState
from archive.signing.signing import canonical
from archive.vault import ocfl
from archive.vault.seal import place_of, sealing_plan
from storage.errors import ObjectMissing, Retained
from tests.archive.house import DOCTOR, FILE_MANAGER, SmallHouse, body_of
from tests.archive.stores import NOW, PowerCut, dying
from tests.factories import course, document, other, uid

ROOT = Path(__file__).parents[3]
VALIDATOR = ROOT / ".tools" / "ocfl" / "bin"
LATE = other("report", "plan dose")


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


@pytest.fixture(scope="session")
def validator() -> Path:
    """Folder with the commands of ocfl-py, an OCFL implementation that shares no line with ours."""
    subprocess.run([ROOT / "tests" / "servers" / "install-ocfl.sh"], check=True, timeout=300)
    return VALIDATOR


def object_path(house: SmallHouse, dossier: Dossier) -> Path:
    return house.locked_files.root / ocfl.object_folder(dossier.id)


def problems(house: SmallHouse, dossier: Dossier) -> list[str]:
    return list(house.vault.check(dossier.id))


ADVICE = re.compile(r"\[W(?!005|008)")
"""Warnings of the validator but two: our ids are no URIs, and accounts have no address."""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def assert_valid(validator: Path, *objects: Path) -> None:
    result = run(validator / "ocfl-validate.py", *objects)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not ADVICE.search(result.stdout), result.stdout
    assert result.stdout.count("is VALID") == len(objects)


def assert_valid_root(validator: Path, root: Path) -> None:
    result = run(validator / "ocfl-root.py", "validate", "--root", root / ocfl.ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def addendum(house: SmallHouse) -> Dossier:
    key, dossier = house.sealed()
    house.receive([LATE])
    return house.desk.seal(key, dossier.id, account=FILE_MANAGER)


def test_seal_then_an_independent_validator_finds_the_object_and_the_root_valid(
    house: SmallHouse, validator: Path
) -> None:
    _, dossier = house.sealed()

    assert dossier.state is DossierState.SEALED
    assert_valid(validator, object_path(house, dossier))
    assert_valid_root(validator, house.locked_files.root)
    assert problems(house, dossier) == []


def test_seal_then_every_file_is_there_byte_for_byte_with_what_tells_of_it(house: SmallHouse) -> None:
    _, dossier = house.sealed()
    content = object_path(house, dossier) / "v1" / "content"

    for header in course("plan", fractions=5):
        path = content / "dicom" / header.series_uid / f"{header.sop_instance_uid}.dcm"
        assert path.read_bytes() == body_of(header)
    told = json.loads((content / "dossier.json").read_text())
    assert next(iter(told)) == "format"
    assert (told["format"], told["id"], told["state"], told["version"]) == (
        "lastgate/dossier/1",
        dossier.id,
        "sealed",
        1,
    )
    assert {file["path"] for file in told["files"]} == {place_of(held) for held in dossier.instances}
    assert [one["what"]["act"] for one in told["decisions"]] == ["close", "release"]
    assert "OCFL" in (house.locked_files.root / ocfl.ROOT / "README.txt").read_text()


def test_seal_then_the_inventory_has_two_digests_of_every_file(house: SmallHouse) -> None:
    _, dossier = house.sealed()
    inventory = house.vault.inventory(dossier.id)
    assert inventory is not None

    for path, (sha512, sha256) in ocfl.content_paths(inventory).items():
        body = (object_path(house, dossier) / path).read_bytes()
        assert (hashlib.sha512(body).hexdigest(), hashlib.sha256(body).hexdigest()) == (sha512, sha256)


def test_addendum_then_it_is_version_two_and_version_one_is_unchanged(house: SmallHouse, validator: Path) -> None:
    key, before = house.sealed()
    folder = object_path(house, before)
    first = {path: path.read_bytes() for path in (folder / "v1").rglob("*") if path.is_file()}
    house.receive([LATE])
    assert [held.uid for held in house.desk.dossier(key, before.id).late] == [uid("report")]

    after = house.desk.seal(key, before.id, account=DOCTOR)

    assert (after.version, after.late, after.id) == (2, (), before.id)
    assert {path: path.read_bytes() for path in first} == first
    names = {path.name for path in (folder / "v2" / "content").rglob("*") if path.is_file()}
    assert names == {"dossier.json", "seal.json", f"{LATE.sop_instance_uid}.dcm"}
    inventory = house.vault.inventory(after.id)
    assert inventory is not None
    assert [one["message"] for one in inventory["versions"].values()] == ["Sealed", "Addendum of 1 object(s)"]
    assert_valid(validator, folder)
    assert problems(house, after) == []


def test_addendum_of_a_document_then_it_stands_under_its_digest(house: SmallHouse, validator: Path) -> None:
    key, dossier = house.sealed()
    letter = document("letter")
    house.receive([letter])

    after = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    digest = hashlib.sha256(body_of(letter)).hexdigest()
    stored = house.vault.content_key(after.id, f"documents/{digest}")
    assert b"".join(house.vault.read(stored)) == body_of(letter)
    assert_valid(validator, object_path(house, after))


def read_seal(house: SmallHouse, dossier: Dossier, version: str = "v1") -> dict[str, Any]:
    body: dict[str, Any] = json.loads((object_path(house, dossier) / version / "content" / "seal.json").read_text())
    return body


def test_seal_json_then_openssl_verifies_its_signature_without_us(house: SmallHouse, tmp_path: Path) -> None:
    _, dossier = house.sealed()
    seal = read_seal(house, dossier)
    told = (object_path(house, dossier) / "v1" / "content" / "dossier.json").read_bytes()
    assert seal["dossier_sha256"] == hashlib.sha256(told).hexdigest()
    assert (seal["account"], seal["role"], seal["made_at"]) == ("fay", "file-manager", NOW.isoformat())
    assert set(seal["journal_heads"]) == {"n1"}

    signed = {name: value for name, value in seal.items() if name not in {"signature", "public_key"}}
    body = json.dumps(signed, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    # SubjectPublicKeyInfo of Ed25519, RFC 8410 section 4
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100" + seal["public_key"]))
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "signature").write_bytes(bytes.fromhex(seal["signature"]))
    command = ("openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin", "-inkey", tmp_path / "key.der")
    files = ("-in", tmp_path / "body", "-sigfile", tmp_path / "signature")

    assert run(*command, *files).returncode == 0
    (tmp_path / "body").write_bytes(body.replace(b"fay", b"eve"))
    assert run(*command, *files).returncode != 0


class Cut:
    """A seal (or an addendum) that is cut off at some write, and then brought to its end."""

    def __init__(self, folder: Path, *, is_addendum: bool, key_of: Path | None = None) -> None:
        self.folder = folder
        if key_of:
            folder.mkdir()
            shutil.copy(key_of / "node.pem", folder)
        house = SmallHouse(folder)
        if is_addendum:
            self.key, self.dossier = house.sealed(fractions=1)
            house.receive([LATE])
        else:
            self.key, self.dossier = house.ready(fractions=1)

    def seal(self, *, at: int, after: bool) -> int:
        """Seal with a process that dies at write `at`; return how many writes there were."""
        counter: list[str] = []
        whole = SmallHouse(self.folder)
        work = dying(whole.work_files, at=at, after=after, counter=counter)
        locked = dying(whole.locked_files, at=at, after=after, counter=counter)
        house = SmallHouse(self.folder, work=work, locked=locked, until=NOW + timedelta(days=1))
        with suppress(PowerCut):
            house.desk.seal(self.key, self.dossier.id, account=FILE_MANAGER)
        return len(counter)


def tree(house: SmallHouse, dossier: Dossier) -> dict[str, bytes]:
    folder = object_path(house, dossier)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_addendum", [False, True], ids=["first version", "addendum"])
def test_seal_when_the_process_dies_at_any_write_then_sealing_again_gives_the_same_valid_object(
    tmp_path: Path, validator: Path, is_addendum: bool
) -> None:
    whole = Cut(tmp_path / "whole", is_addendum=is_addendum)
    writes = whole.seal(at=10**6, after=False)
    expected = tree(SmallHouse(whole.folder), whole.dossier)
    assert writes > (12 if is_addendum else 30)

    for at in range(writes):
        for after in (False, True):
            cut = Cut(tmp_path / f"{at}{after}", is_addendum=is_addendum, key_of=whole.folder)
            cut.seal(at=at, after=after)
            again = SmallHouse(cut.folder, until=NOW + timedelta(days=1))

            dossier = again.desk.dossier(cut.key, cut.dossier.id)
            if dossier.state is not DossierState.SEALED or dossier.late:
                dossier = again.desk.seal(cut.key, cut.dossier.id, account=FILE_MANAGER)

            assert (dossier.state, dossier.version, dossier.late) == (DossierState.SEALED, 1 + is_addendum, ())
            assert problems(again, dossier) == [], (at, after)
            assert tree(again, dossier) == expected
            again.desk.resume()
            assert list(again.vault.unfinished()) == []
            again.journal.flush()
            again.journal.verify()
    folders = [object_path(SmallHouse(path), whole.dossier) for path in sorted(tmp_path.iterdir())]
    assert_valid(validator, *folders)


@pytest.mark.parametrize("after", [False, True])
def test_seal_when_its_plan_was_settled_before_the_crash_then_the_bytes_are_those_of_the_plan(
    tmp_path: Path, after: bool
) -> None:
    """Whoever ends it, even another person: one put decides, all carry out the same."""
    first = Cut(tmp_path, is_addendum=False)
    counter = first.seal(at=2, after=after)  # writes of the journal's flush, then the plan, then the root of the vault
    house = SmallHouse(tmp_path)
    plans = list(house.vault.begun(first.dossier.id))
    while not plans:
        counter = first.seal(at=counter, after=after)
        plans = list(house.vault.begun(first.dossier.id))

    dossier = house.desk.seal(first.key, first.dossier.id, account=DOCTOR)

    folder = object_path(house, dossier)
    assert (folder / "inventory.json").read_text() == plans[0].inventory
    assert (folder / "v1/content/seal.json").read_text() == plans[0].seal_json
    assert read_seal(house, dossier)["account"] == "fay"
    assert house.facts.read(first.key).decisions[-1].account == "fay"


def test_resume_then_seals_that_were_cut_off_are_ended_and_recorded(tmp_path: Path) -> None:
    cut = Cut(tmp_path, is_addendum=False)
    cut.seal(at=15, after=False)
    house = SmallHouse(tmp_path)
    assert len(list(house.vault.unfinished())) == 1

    assert house.desk.resume() == 1
    assert house.desk.resume() == 0
    assert house.desk.dossier(cut.key, cut.dossier.id).state is DossierState.SEALED


def test_settle_when_somebody_was_quicker_then_the_loser_carries_out_the_winners_plan(house: SmallHouse) -> None:
    key, dossier = house.ready()
    house.journal.flush()
    facts = house.facts.read(key)

    def plan(name: str) -> Any:
        return sealing_plan(
            dossier,
            facts.decisions,
            None,
            account=name,
            role="doctor",
            made_at=NOW,
            heads=house.journal.heads(),
            key=house.key,
        )

    winner, loser = plan("first"), plan("second")

    assert house.vault.settle(winner) == winner
    assert house.vault.settle(loser) == winner
    house.desk.finish(key, house.vault.settle(loser), dossier)
    house.desk.finish(key, winner, dossier)

    assert read_seal(house, dossier)["account"] == "first"
    assert [one.account for one in house.facts.read(key).decisions][-1] == "first"
    assert sum(one.what.act == "seal" for one in house.facts.read(key).decisions) == 1
    assert problems(house, dossier) == []


def test_seal_when_another_decision_comes_in_between_then_the_seal_is_still_recorded(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, dossier = house.ready()
    write = house.facts.write_decision
    clashes: list[str] = []

    def write_late(patient: Any, decision: Any) -> str:
        if decision.what.act == "seal" and not clashes:
            clashes.append("clash")
            close = house.facts.read(key).decisions[0]
            write(
                patient, type(close)(number=decision.number, made_at=NOW, account="x", role="doctor", what=close.what)
            )
        return write(patient, decision)

    monkeypatch.setattr(house.facts, "write_decision", write_late)

    assert house.desk.seal(key, dossier.id, account=FILE_MANAGER).state is DossierState.SEALED
    assert clashes == ["clash"]


def test_dossiers_then_only_those_whose_seal_is_finished_are_told(tmp_path: Path) -> None:
    cut = Cut(tmp_path, is_addendum=False)
    cut.seal(at=20, after=False)
    house = SmallHouse(tmp_path)

    assert list(house.vault.dossiers()) == []
    assert house.vault.inventory(cut.dossier.id) is None
    house.desk.resume()
    assert list(house.vault.dossiers()) == [cut.dossier.id]


def test_content_key_when_there_is_no_such_file_then_it_is_not_found(house: SmallHouse) -> None:
    _, dossier = house.sealed()

    assert house.vault.content_key(dossier.id, "seal.json").endswith("/v1/content/seal.json")
    for name, path in ((dossier.id, "gone"), ("nobody", "seal.json")):
        with pytest.raises(NotFound):
            house.vault.content_key(name, path)


def test_seal_with_a_retention_then_every_file_of_the_version_is_locked_until_then(tmp_path: Path) -> None:
    until: datetime = NOW + timedelta(days=365)
    house = SmallHouse(tmp_path, until=until)
    _, dossier = house.sealed()
    folder = ocfl.object_folder(dossier.id)

    for stat in house.locked_files.list(f"{folder}/v1/"):
        assert house.locked_files.retention(stat.version) == until, stat.key
        with pytest.raises(Retained):
            house.locked_files.delete(stat.key)


def test_addendum_with_a_retention_then_the_root_can_still_move_on(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path, until=NOW + timedelta(days=365))

    dossier = addendum(house)

    assert dossier.version == 2
    assert problems(house, dossier) == []


def test_seal_when_a_source_is_gone_then_nothing_counts_as_sealed(house: SmallHouse) -> None:
    key, dossier = house.ready()
    house.work_files.delete(dossier.instances[0].receipt.key)

    with pytest.raises(ObjectMissing):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert house.vault.inventory(dossier.id) is None
    assert house.desk.dossier(key, dossier.id).state is DossierState.READY


def test_canonical_then_it_is_the_same_wherever_it_is_made() -> None:
    assert canonical({"b": 1, "a": "乳"}) == '{"a":"乳","b":1}'.encode()
