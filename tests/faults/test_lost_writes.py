"""What is called stored survives any loss of what was not synced: the model that runs where no power can be cut."""

import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.model import DossierState
from storage import durable
from storage.errors import ObjectMissing
from storage.filesystem import FilesystemStore
from tests.archive.house import FILE_MANAGER, SmallHouse, body_of
from tests.conformance.object_stores import put
from tests.factories import course
from tests.faults.lost_writes import Lossy

Tell = Callable[[str, object], None]
KEYS = ("a/one", "a/two", "b/c/three", "four")


@pytest.mark.parametrize("skipped", [None, "file", "folder"])
def test_model_when_a_sync_is_left_out_then_it_shows(tmp_path: Path, skipped: str | None) -> None:
    """Or a model that forgives everything would prove nothing."""
    lost = 0
    for seed in range(40):
        root, left = tmp_path / f"{seed}", tmp_path / f"{seed} left"
        root.mkdir()
        disk = Lossy(root)
        with disk.watching():
            path = root / "new"
            with path.open("wb") as stream:
                stream.write(b"bytes")
                stream.flush()
                if skipped != "file":
                    durable.sync_file(stream.fileno())
            if skipped != "folder":
                durable.sync_folder(root)
        disk.leave(left, Random(seed))
        disk.close()
        lost += not (left / "new").is_file() or (left / "new").read_bytes() != b"bytes"

    assert (lost == 0) is (skipped is None)


@settings(max_examples=60, deadline=None)
@given(
    writes=st.lists(
        st.tuples(st.sampled_from(["put", "replace", "delete", "copy"]), st.sampled_from(KEYS)), max_size=8
    ),
    ends_at=st.integers(0, 60),
    seed=st.integers(0, 2**32),
)
def test_store_when_the_power_goes_then_what_was_called_stored_is_there_and_nothing_is_half(
    writes: list[tuple[str, str]], ends_at: int, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, left = Path(folder) / "now", Path(folder) / "left"
        FilesystemStore(root)
        disk, told, tried = Lossy(root), dict[str, bytes | None](), dict[str, set[bytes | None]]()
        with disk.watching(ends_at=ends_at):
            _write(FilesystemStore(root), writes, told, tried)
        disk.leave(left, Random(seed))
        disk.close()

        store = FilesystemStore(left)
        for key in KEYS:
            try:
                found: bytes | None = store.read_bytes(key)
            except ObjectMissing:
                found = None
            assert found in {told.get(key), *tried.get(key, ())}, key


def _write(
    store: FilesystemStore,
    writes: list[tuple[str, str]],
    told: dict[str, bytes | None],
    tried: dict[str, set[bytes | None]],
) -> None:
    """Write, and note what was told to be done and what was only tried since."""
    for number, (how, key) in enumerate(writes):
        body = f"{how} {number}".encode() * 50
        before = told.get(key)
        after: bytes | None = body
        if how == "put" and before is None:
            tried[key] = {after}
            put(store, key, body)
        elif how == "replace":
            tried[key] = {after}
            expected = store.stat(key).version if before is not None else None
            store.replace_if_match(key, body, expected=expected)
        elif how == "delete" and before is not None:
            after = None
            tried[key] = {after}
            store.delete(key)
        elif how == "copy" and before is None and (source := next((one for one in KEYS if told.get(one)), None)):
            after = told[source]
            assert after is not None
            tried[key] = {after}
            store.copy_if_absent(source, key, sha256=hashlib.sha256(after).hexdigest())
        else:
            continue
        told[key] = after
        tried[key] = set()


def test_seal_when_the_power_goes_at_any_sync_then_sealing_again_gives_a_whole_dossier(
    tmp_path: Path, record_property: Tell
) -> None:
    root = tmp_path / "first"
    root.mkdir()
    disk = Lossy(root)
    with disk.watching():
        _house(root, tmp_path / "node").sealed(fractions=1)
    disk.close()
    chance, cuts = Random(5), 0
    for ends_at in range(0, disk.syncs, 7):
        now, left, node = (tmp_path / f"{ends_at} {name}" for name in ("now", "left", "node"))
        now.mkdir()
        lossy = Lossy(now)
        with lossy.watching(ends_at=ends_at):
            _house(now, node).sealed(fractions=1)
        lossy.leave(left, chance)
        lossy.close()
        _judge(_house(left, node))
        cuts += 1
    record_property("faults", {"power cuts of the model while it would seal": cuts})


def _house(root: Path, node: Path) -> SmallHouse:
    """Return a house whose stores lie on the disk in question, and the rest of the node beside it."""
    node.mkdir(exist_ok=True)
    return SmallHouse(node, work=FilesystemStore(root / "work"), locked=FilesystemStore(root / "locked"))


def _judge(house: SmallHouse) -> None:
    """Bring the dossier to its seal, from wherever the power cut left it."""
    house.desk.resume()
    house.desk.catch_up()
    if not list(house.facts.patients()):
        return  # it went before the first receipt: nothing was told to be safe
    (key,) = house.facts.patients()
    (dossier,) = house.desk.record(key).dossiers
    for header in course("plan", fractions=1):
        digest = hashlib.sha256(body_of(header)).hexdigest()
        size = len(body_of(header))
        stored = next(held for held in dossier.instances if held.uid == header.sop_instance_uid)
        house.work.put_if_absent(stored.receipt.key, io.BytesIO(body_of(header)), sha256=digest, size_bytes=size)
    if dossier.state is DossierState.READY:
        dossier = house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    if dossier.state is DossierState.SEALED:
        assert list(house.vault.check(dossier.id)) == []
    else:
        assert list(house.vault.dossiers()) == []
    house.journal.flush()
    house.journal.verify()
