"""What only the filesystem store promises: links, modes, the order of fsyncs, and what a crash leaves."""

import errno
import io
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.base import LinksFiles, ObjectStore, SweepsUnfinished
from storage.errors import BadKey, DigestMismatch, KeyTaken, ObjectMissing, Retained, StoreUnavailable, StoreUnfit
from storage.filesystem import FilesystemStore
from tests.conformance.object_stores import put, sha256

ONE, TWO = b"first bytes", b"other bytes"
START = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
NOW = timedelta(0)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def spool_file(folder: Path, data: bytes = ONE) -> Path:
    path = folder / "spool-file"
    path.write_bytes(data)
    return path


def unfinished_files(store: FilesystemStore) -> list[Path]:
    return list((store.root / ".lastgate" / "unfinished").iterdir())


def all_files(store: FilesystemStore) -> set[str]:
    return {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}


def test_store_when_asked_then_it_keeps_the_port_and_its_extensions(store: FilesystemStore) -> None:
    port: ObjectStore = store

    assert isinstance(port, LinksFiles)
    assert isinstance(port, SweepsUnfinished)


# --- files and folders -----------------------------------------------------------------------------------------------


def test_put_when_done_then_the_file_is_plain_read_only_and_nothing_else_is_there(store: FilesystemStore) -> None:
    before = all_files(store)

    put(store, "intake/ab/object", ONE)

    path = store.root / "intake" / "ab" / "object"
    assert path.read_bytes() == ONE
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    assert all_files(store) - before == {"intake/ab/object"}


def test_list_when_hidden_and_strange_files_lie_there_then_only_objects_are_listed(
    store: FilesystemStore, tmp_path: Path
) -> None:
    put(store, "a/1", ONE)
    (store.root / "a" / ".tmp-left").write_bytes(ONE)
    (store.root / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (store.root / "a" / "linked-folder").symlink_to(tmp_path)
    os.mkfifo(store.root / "a" / "pipe")

    assert [found.key for found in store.list("")] == ["a/1"]
    for key in ("a/link", "a/pipe", "a"):
        with pytest.raises((ObjectMissing, StoreUnavailable)):
            store.read_bytes(key)


def test_put_when_one_key_is_the_folder_of_another_then_it_is_a_bad_key(store: FilesystemStore) -> None:
    put(store, "a", ONE)
    put(store, "folder/x", ONE)

    for key in ("a/b", "a/b/c", "folder"):
        with pytest.raises(BadKey):
            put(store, key, ONE)
        with pytest.raises(BadKey):
            store.replace_if_match(key, ONE, expected=None)
    assert unfinished_files(store) == []


def test_delete_when_a_folder_becomes_empty_then_it_goes(store: FilesystemStore) -> None:
    put(store, "vault/a/v1/content/x", ONE)
    put(store, "vault/b/x", ONE)

    store.delete("vault/a/v1/content/x")

    assert sorted(path.name for path in store.root.iterdir()) == [".lastgate", "vault"]
    assert [path.name for path in (store.root / "vault").iterdir()] == ["b"]


def test_delete_when_another_puts_into_the_same_folder_then_neither_fails(store: FilesystemStore) -> None:
    errors: list[Exception] = []

    def come_and_go(name: str) -> None:
        try:
            for _ in range(150):
                put(store, f"deep/folder/{name}", ONE)
                store.delete(f"deep/folder/{name}")
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=come_and_go, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_open_when_store_must_exist_but_its_disk_is_not_there_then_it_is_refused(tmp_path: Path) -> None:
    FilesystemStore(tmp_path / "used")
    (tmp_path / "mount-point").mkdir()

    FilesystemStore(tmp_path / "used", must_exist=True)
    for name in ("mount-point", "absent"):
        with pytest.raises(StoreUnavailable, match="mounted"):
            FilesystemStore(tmp_path / name, must_exist=True)
    assert list((tmp_path / "mount-point").iterdir()) == []


def test_open_when_hidden_folder_lies_elsewhere_then_the_root_holds_objects_only(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "vault", hidden=tmp_path / "hidden")
    version = put(store, "0=ocfl_1.1", ONE)
    store.retain_until(version, datetime.now(UTC) + timedelta(days=1))

    assert [path.name for path in store.root.iterdir()] == ["0=ocfl_1.1"]


def test_open_when_folder_is_a_file_then_it_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises((StoreUnavailable, BadKey)):
        FilesystemStore(tmp_path / "file")


# --- links -----------------------------------------------------------------------------------------------------------


def test_link_when_file_is_on_the_same_disk_then_it_is_one_copy_and_read_only(
    store: FilesystemStore, tmp_path: Path
) -> None:
    path = spool_file(tmp_path)

    version = store.link_if_absent(path, "intake/1", sha256=sha256(ONE), size_bytes=len(ONE))

    assert path.samefile(store.root / "intake" / "1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    assert store.stat("intake/1").version == version
    path.unlink()
    assert store.read_bytes("intake/1") == ONE


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_link_when_disk_can_not_link_then_bytes_are_copied(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    path = spool_file(tmp_path)
    link = os.link

    def refuse(source: Path, target: Path, **options: bool) -> None:
        if source == path:
            raise OSError(reason, os.strerror(reason))
        link(source, target, **options)

    monkeypatch.setattr(os, "link", refuse)
    store.link_if_absent(path, "intake/1", sha256=sha256(ONE), size_bytes=len(ONE))

    assert store.read_bytes("intake/1") == ONE
    assert not path.samefile(store.root / "intake" / "1")


def test_link_when_file_is_not_what_was_announced_then_nothing_is_linked(
    store: FilesystemStore, tmp_path: Path
) -> None:
    path = spool_file(tmp_path, b"first bytez")

    with pytest.raises(DigestMismatch):
        store.link_if_absent(path, "intake/1", sha256=sha256(ONE), size_bytes=len(ONE))
    assert list(store.list("")) == []


def test_link_when_key_is_taken_or_done_or_file_is_gone_then_it_says_so(store: FilesystemStore, tmp_path: Path) -> None:
    path = spool_file(tmp_path)
    put(store, "taken", TWO)
    done = put(store, "done", ONE)

    with pytest.raises(KeyTaken):
        store.link_if_absent(path, "taken", sha256=sha256(ONE), size_bytes=len(ONE))
    assert store.link_if_absent(path, "done", sha256=sha256(ONE), size_bytes=len(ONE)) == done
    assert not path.samefile(store.root / "done")
    with pytest.raises(ObjectMissing):
        store.link_if_absent(tmp_path / "gone", "new", sha256=sha256(ONE), size_bytes=len(ONE))


def test_copy_when_inside_the_store_then_it_is_a_link_and_repair_parts_them(store: FilesystemStore) -> None:
    put(store, "intake/1", ONE)
    store.copy_if_absent("intake/1", "vault/1", sha256=sha256(ONE))
    first, second = store.root / "intake" / "1", store.root / "vault" / "1"
    assert first.samefile(second)
    first.chmod(0o640)
    first.write_bytes(b"rotten byte")  # rot of one inode is rot of both names

    store.repair("vault/1", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE))

    assert store.read_bytes("vault/1") == ONE
    assert store.read_bytes("intake/1") == b"rotten byte"


# --- versions and retention ------------------------------------------------------------------------------------------


def test_replace_when_bytes_return_to_an_earlier_state_then_each_state_has_its_own_tag(store: FilesystemStore) -> None:
    version, tags = None, set()
    for number in range(40):  # far quicker than the kernel's clock tick, so that inodes are used again
        version = store.replace_if_match("doc", (ONE, TWO)[number % 2], expected=version)
        tags.add(version.tag)

    assert len(tags) == 40


def test_retention_when_it_has_ended_then_the_object_can_go(tmp_path: Path) -> None:
    clock = [START]
    store = FilesystemStore(tmp_path / "store", now=lambda: clock[0])
    version = put(store, "sealed", ONE)
    store.retain_until(version, START + timedelta(days=1))

    with pytest.raises(Retained, match="2030-05-07"):
        store.delete("sealed")
    assert FilesystemStore(tmp_path / "store", now=lambda: clock[0]).retention(version) == START + timedelta(days=1)
    clock[0] += timedelta(days=1, seconds=1)
    assert store.retention(version) is None
    store.delete("sealed")
    assert list(store.list("")) == []
    assert list((store.root / ".lastgate" / "retention").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": "lastgate/retention/99"}', b"\xff", b"[1]"])
def test_retention_when_its_record_is_damaged_then_the_object_counts_as_locked(
    store: FilesystemStore, damage: bytes
) -> None:
    version = put(store, "sealed", ONE)
    store.retain_until(version, datetime.now(UTC) + timedelta(days=1))
    record = store.root / ".lastgate" / "retention" / "sealed"
    record.chmod(0o640)
    record.write_bytes(damage)
    uses: list[Callable[[], object]] = [
        lambda: store.delete("sealed"),
        lambda: store.retention(version),
        lambda: store.replace_if_match("sealed", TWO, expected=version),
    ]

    for use in uses:
        with pytest.raises(StoreUnavailable, match="counts as locked"):
            use()
    assert store.read_bytes("sealed") == ONE


def test_repair_when_locked_object_would_get_other_bytes_then_it_is_refused(store: FilesystemStore) -> None:
    version = put(store, "sealed", ONE)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    store.retain_until(version, until)
    path = store.root / "sealed"
    path.chmod(0o640)
    path.write_bytes(b"rotten byte")
    store.retain_until(store.stat("sealed").version, until + timedelta(days=1))  # rot does not become what is locked

    with pytest.raises(Retained, match=sha256(ONE)):
        store.repair("sealed", io.BytesIO(b"rotten byte"), sha256=sha256(b"rotten byte"), size_bytes=11)
    repaired = store.repair("sealed", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE))
    assert store.read_bytes("sealed") == ONE
    assert store.retention(repaired) == until + timedelta(days=1)


def test_self_test_when_the_disk_is_all_but_full_then_the_store_is_unfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemStore(tmp_path)
    store.self_test()
    monkeypatch.setattr("storage.filesystem.LEAST_FREE_BYTES", 1 << 60)

    with pytest.raises(StoreUnfit, match="free"):
        store.self_test()
