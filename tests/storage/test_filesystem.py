"""What only the filesystem store promises: links, modes, the order of fsyncs, and what a crash leaves."""

import errno
import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import durable
from storage.base import LinksFiles, ObjectStore, SweepsUnfinished
from storage.errors import BadKey, DigestMismatch, KeyTaken, ObjectMissing, Retained, StoreFull, StoreUnavailable
from storage.filesystem import FilesystemStore
from storage.reading import read_back
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


# --- durability and faults of the disk -------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced and named, in order: `fsync file`, `fsync folder NAME`, `link`, `rename`."""
    seen: list[str] = []
    fsync, link, replace = os.fsync, os.link, Path.replace

    def seen_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        seen.append(f"fsync folder {path.name}" if path.is_dir() else "fsync file")
        fsync(descriptor)

    def seen_link(source: Path, target: Path, **options: bool) -> None:
        seen.append("link")
        link(source, target, **options)

    def seen_replace(self: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    monkeypatch.setattr(Path, "replace", seen_replace)
    return seen


def test_put_when_done_then_file_is_synced_before_it_is_named_and_folders_after(
    store: FilesystemStore, calls: list[str]
) -> None:
    put(store, "new/deep/object", ONE)

    named = calls.index("link")
    assert "fsync file" in calls[:named]
    assert "fsync folder store" in calls[:named]  # new folders are durable before anything lies in them
    assert "fsync folder new" in calls[:named]
    assert calls[named + 1 :] == ["fsync folder deep"]


def test_put_when_bytes_stand_there_already_then_they_are_synced_before_success(
    store: FilesystemStore, calls: list[str]
) -> None:
    put(store, "new/object", ONE)
    calls.clear()

    put(FilesystemStore(store.root), "new/object", ONE)  # its writer may have been killed before the fsync

    assert "fsync file" in calls
    assert "fsync folder new" in calls
    assert "fsync folder store" in calls
    assert "link" not in calls


def test_replace_and_repair_when_done_then_file_is_synced_before_and_folder_after_the_rename(
    store: FilesystemStore, calls: list[str]
) -> None:
    version = put(store, "site/doc", ONE)
    changes: list[Callable[[], object]] = [
        lambda: store.replace_if_match("site/doc", TWO, expected=version),
        lambda: store.repair("site/doc", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE)),
    ]

    for change in changes:
        calls.clear()
        change()
        assert calls == ["fsync file", "rename", "fsync folder site"]


def test_put_when_writes_are_short_then_all_bytes_are_stored(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:3])))

    put(store, "k", ONE)
    store.replace_if_match("doc", TWO, expected=None)

    assert (store.read_bytes("k"), store.read_bytes("doc")) == (ONE, TWO)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_put_when_disk_is_full_then_it_is_full_and_nothing_is_left(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreFull):
            put(store, "k", ONE)
    assert list(store.list("")) == []
    assert unfinished_files(store) == []
    put(store, "k", ONE)


def test_put_when_a_file_may_not_grow_so_large_then_it_is_full(tmp_path: Path) -> None:
    """The kernel's own refusal in the middle of a write, after a part was written (RLIMIT_FSIZE)."""
    script = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
put(store, "large", bytes(4_000_000))
"""
    assert run_in_store(tmp_path, script).stderr.splitlines()[-1].startswith("storage.errors.StoreFull")
    store = FilesystemStore(tmp_path / "store")
    assert list(store.list("")) == []
    assert unfinished_files(store) == []


@pytest.mark.parametrize("failing", range(5))
def test_put_when_an_fsync_fails_then_it_is_not_called_safe_and_no_more_is_written(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    fsync, count = os.fsync, [0]

    def fail_once(descriptor: int) -> None:
        count[0] += 1
        if count[0] == failing + 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(StoreUnavailable) as caught:
        put(store, "a/b/c", ONE)

    assert isinstance(caught.value.__cause__, durable.SyncFailed)
    assert list(store.list("")) == []  # a second try must not find it standing and call it safe
    with pytest.raises(StoreUnavailable, match="takes no more writes"):
        put(store, "other", ONE)
    put(FilesystemStore(store.root), "a/b/c", ONE)  # opened anew, after somebody looked at the disk


@pytest.mark.parametrize("reason", [errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE])
def test_read_and_put_when_the_disk_fails_then_the_store_is_unavailable_and_never_empty(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    put(store, "k", ONE)

    def fail(*_: object, **__: object) -> int:
        raise OSError(reason, os.strerror(reason))

    uses: list[Callable[[], object]] = [
        lambda: store.read_bytes("k"),
        lambda: put(store, "new", ONE),
        lambda: list(store.list("")),
    ]
    monkeypatch.setattr(os, "open", fail)
    monkeypatch.setattr(os, "scandir", fail)
    for use in uses:
        with pytest.raises(StoreUnavailable) as caught:
            use()
        assert isinstance(caught.value.__cause__, OSError)


# --- crashes ---------------------------------------------------------------------------------------------------------

PREAMBLE = """
import io, os, signal, sys
from pathlib import Path
from storage.filesystem import FilesystemStore
from tests.conformance.object_stores import put, sha256
store = FilesystemStore(Path(sys.argv[1]))
"""
DIE_AT_STEP = """
left = int(sys.argv[2])
def dying(call):
    def step(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return step
for name in ("open", "write", "fchmod", "utime", "fsync", "link", "rename", "replace", "mkdir", "unlink", "close"):
    setattr(os, name, dying(getattr(os, name)))
"""


def run_in_store(folder: Path, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + script, str(folder / "store"), *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def steps_until_alive(folder: Path, script: str) -> Iterator[int]:
    """Run `script` in a new process that is killed before its first, second, ... step, until it comes through."""
    for step in range(200):
        done = run_in_store(folder, DIE_AT_STEP + script, str(step))
        if done.returncode == 0:
            return
        assert done.returncode == -9, done.stderr
        yield step
    pytest.fail("the script never came through")


def test_put_when_killed_at_any_step_then_the_object_is_whole_or_absent(tmp_path: Path) -> None:
    seen = set()
    for step in steps_until_alive(tmp_path, "put(store, f'a{left}/b/c', b'first bytes')"):
        store = FilesystemStore(tmp_path / "store")
        found = [stat.key for stat in store.list("")]
        seen.add(len(found))
        for key in found:
            read_back(store, key, sha256=sha256(ONE), size_bytes=len(ONE))
        put(store, f"a{step}/b/c", ONE)
        store.delete(f"a{step}/b/c")
        store.sweep_unfinished(older_than=NOW)
        assert unfinished_files(store) == []
    assert seen == {0, 1}  # killed before and after it got its name


def test_replace_when_killed_at_any_step_then_the_document_is_old_or_new(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store")
    store.replace_if_match("doc", ONE, expected=None)
    seen = set()
    for _ in steps_until_alive(
        tmp_path, "store.replace_if_match('doc', b'other bytes', expected=store.stat('doc').version)"
    ):
        seen.add(store.read_bytes("doc"))
        store.replace_if_match("doc", ONE, expected=store.stat("doc").version)
        store.sweep_unfinished(older_than=NOW)
    assert seen == {ONE, TWO}


def test_put_when_killed_while_bytes_arrive_then_nothing_is_visible_and_the_rest_is_swept(tmp_path: Path) -> None:
    script = """
class Dying(io.BytesIO):
    def read(self, size=-1):
        piece = super().read(1000)
        if self.tell() > 50_000:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece
store.put_if_absent("k", Dying(bytes(100_000)), sha256=sha256(bytes(100_000)), size_bytes=100_000)
"""
    store = FilesystemStore(tmp_path / "store")
    put(store, "kept", ONE)

    assert run_in_store(tmp_path, script).returncode == -9

    assert [stat.key for stat in store.list("")] == ["kept"]
    assert len(unfinished_files(store)) == 1
    assert store.sweep_unfinished(older_than=timedelta(hours=1)) == 0  # it might still be in work
    assert store.sweep_unfinished(older_than=NOW) == 1
    assert unfinished_files(store) == []
    assert store.read_bytes("kept") == ONE


def test_sweep_when_other_files_lie_there_then_only_unfinished_ones_go(store: FilesystemStore) -> None:
    put(store, "a/1", ONE)
    strange = store.root / ".lastgate" / "unfinished" / "note-of-an-operator"
    strange.write_text("do not touch")
    beside = store.root / "a" / ".tmp-of-somebody-else"
    beside.write_text("do not touch")
    before = all_files(store)

    assert store.sweep_unfinished(older_than=NOW) == 0
    assert all_files(store) == before
