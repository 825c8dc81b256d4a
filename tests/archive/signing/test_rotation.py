"""A node gets a new key: what it signed before stays signed, what the old key signs afterwards does not count."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from archive.errors import KeyInUse, NotFound, Refused
from archive.signing.keys import KeyRing
from archive.signing.rotation import end_former, rotate
from archive.signing.signing import SigningKey, succeed
from storage.filesystem import FilesystemStore
from tests.archive.stores import NOW, PowerCut, dying, overwrite

HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def later() -> datetime:
    return NOW + HOUR


def old_key(path: Path, store: FilesystemStore) -> str:
    """Make a node's first key known and return its public half; nobody holds it then."""
    key = SigningKey.load_or_create(path)
    KeyRing(store).publish(key, node="n1", at=NOW)
    return key.public_key


def test_rotate_then_the_node_signs_with_a_new_key_and_the_old_one_has_ended(
    tmp_path: Path, store: FilesystemStore
) -> None:
    path = tmp_path / "n1.pem"
    old = old_key(path, store)

    new, ended = rotate(path, KeyRing(store), node="n1", account="adam", clock=later)

    ring = KeyRing(store)
    assert SigningKey.load_or_create(path).public_key == new.public_key != old
    assert [one.public_key for one in ended] == [old]
    assert [path.name for path in tmp_path.glob("*.pem")] == ["n1.pem"]
    assert path.stat().st_mode & 0o777 == 0o400
    assert ring.problem(old, at=NOW) is None
    assert ring.problem(old, at=NOW + HOUR - timedelta(seconds=1)) is None
    assert "after its end" in str(ring.problem(old, at=NOW + HOUR))
    assert ring.problem(new.public_key, at=NOW + HOUR) is None
    assert "before it was made known" in str(ring.problem(new.public_key, at=NOW))


def test_rotate_when_a_process_still_signs_then_nothing_is_changed(tmp_path: Path, store: FilesystemStore) -> None:
    path = tmp_path / "n1.pem"
    old = old_key(path, store)
    program = (
        "import sys; from pathlib import Path; from archive.signing.signing import SigningKey\n"
        "key = SigningKey.load_or_create(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"

        with pytest.raises(KeyInUse):
            rotate(path, KeyRing(store), node="n1", account="adam", clock=later)
        assert other.stdin is not None
        other.stdin.close()
        other.wait()

    assert SigningKey.load_or_create(path).public_key == old
    assert [one.is_current for one in KeyRing(store).all()] == [True]


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("after", [False, True])
def test_rotate_when_the_process_dies_at_any_write_then_rotating_again_leaves_one_key_in_use(
    tmp_path: Path, store: FilesystemStore, at: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n1.pem"
    old = old_key(path, store)
    writes: list[str] = []
    if at == 2:

        def succeed_and_die(path: Path) -> None:
            if after:
                succeed(path)
            raise PowerCut

        monkeypatch.setattr("archive.signing.rotation.succeed", succeed_and_die)
    ring = KeyRing(dying(store, at=at, after=after, counter=writes))
    with pytest.raises(PowerCut):
        rotate(path, ring, node="n1", account="adam", clock=later)
    monkeypatch.undo()

    rotate(path, KeyRing(store), node="n1", account="adam", clock=later)

    ring = KeyRing(store)
    key = SigningKey.load_or_create(path).public_key
    assert [one.public_key for one in ring.all() if one.is_current] == [key]
    assert ring.problem(old, at=NOW) is None
    assert ring.problem(old, at=NOW + HOUR) is not None


def test_end_former_then_keys_of_other_nodes_and_the_own_one_go_on(tmp_path: Path, store: FilesystemStore) -> None:
    ring = KeyRing(store)
    mine, theirs = (SigningKey.load_or_create(tmp_path / f"{name}.pem") for name in ("a", "b"))
    ring.publish(mine, node="n1", at=NOW)
    ring.publish(theirs, node="n2", at=NOW)

    assert end_former(mine, ring, node="n1", account="adam", at=NOW) == ()
    assert all(one.is_current for one in ring.all())


def revoked(tmp_path: Path, store: FilesystemStore, *, since: datetime) -> tuple[str, KeyRing]:
    path = tmp_path / "n1.pem"
    old = old_key(path, store)
    new, (ended,) = rotate(path, KeyRing(store), node="n1", account="adam", clock=lambda: NOW + 10 * HOUR)
    ring = KeyRing(store)
    ring.revoke(ended.id, since=since, reason="the disk was stolen", by=new, account="adam", made_at=NOW + 20 * HOUR)
    return old, ring


def test_revoke_then_what_was_signed_from_that_moment_on_does_not_count(tmp_path: Path, store: FilesystemStore) -> None:
    old, ring = revoked(tmp_path, store, since=NOW + HOUR)

    assert ring.problem(old, at=NOW + HOUR - timedelta(seconds=1)) is None
    assert "is revoked from 2024-07-01T13:00:00+00:00 on" in str(ring.problem(old, at=NOW + HOUR))


def test_revoke_when_it_can_not_be_then_it_is_refused(tmp_path: Path, store: FilesystemStore) -> None:
    _, ring = revoked(tmp_path, store, since=NOW)
    (gone,) = (one for one in ring.all() if not one.is_current)
    key = SigningKey.load_or_create(tmp_path / "n1.pem")

    for name, reason, error in (
        (gone.id, "again", Refused),
        ("0" * 16, "unknown", NotFound),
        (key.id, "in use", Refused),
    ):
        with pytest.raises(error):
            ring.revoke(name, since=NOW, reason=reason, by=key, account="adam", made_at=NOW)


def test_revoke_without_a_reason_then_it_is_refused(tmp_path: Path, store: FilesystemStore) -> None:
    old_key(tmp_path / "n1.pem", store)
    ring = KeyRing(store)
    new, (ended,) = rotate(tmp_path / "n1.pem", ring, node="n1", account="adam", clock=later)

    with pytest.raises(Refused):
        ring.revoke(ended.id, since=NOW, reason=" ", by=new, account="adam", made_at=NOW)


@pytest.mark.parametrize("what", ["end", "revoked"])
@pytest.mark.parametrize("body", [b"{", b"{}", b"[]", b'{"key": "x", "signature": "00", "public_key": "00"}'])
def test_problem_when_the_record_of_a_key_is_damaged_then_nothing_it_signed_counts(
    tmp_path: Path, store: FilesystemStore, what: str, body: bytes
) -> None:
    old, ring = revoked(tmp_path, store, since=NOW + HOUR)
    (gone,) = (one for one in ring.all() if not one.is_current)

    overwrite(store, f"site/keys/{gone.id}.{what}.json", body)

    assert "can't be read" in str(KeyRing(store).problem(old, at=NOW))


def test_problem_when_somebody_forged_a_revocation_then_it_is_no_nodes_word(
    tmp_path: Path, store: FilesystemStore
) -> None:
    old, ring = revoked(tmp_path, store, since=NOW + HOUR)
    (gone,) = (one for one in ring.all() if not one.is_current)
    stranger = SigningKey.load_or_create(tmp_path / "stranger.pem")
    key = f"site/keys/{gone.id}.revoked.json"
    told = {**json.loads(store.read_bytes(key)), "revoked_at": (NOW + 9 * HOUR).isoformat()}
    told = {word: value for word, value in told.items() if word not in {"signature", "public_key"}}

    overwrite(
        store, key, json.dumps({**told, "signature": stranger.sign(told), "public_key": stranger.public_key}).encode()
    )

    assert "can't be read" in str(KeyRing(store).problem(old, at=NOW))
