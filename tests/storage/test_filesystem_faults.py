"""What a failing disk and a crash make of the filesystem store: nothing wrong is called safe, nothing is half."""

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage import durable
from storage.errors import StoreFull, StoreUnavailable
from storage.filesystem import FilesystemStore
from storage.reading import read_back
from tests.conformance.object_stores import put, sha256

ONE, TWO = b"first bytes", b"other bytes"
NOW = timedelta(0)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def unfinished_files(store: FilesystemStore) -> list[Path]:
    return list((store.root / ".lastgate" / "unfinished").iterdir())


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
    monkeypatch.setattr(os, "writev", lambda descriptor, parts: os.write(descriptor, bytes(parts[0][:3])))

    put(store, "k", ONE)
    store.replace_if_match("doc", TWO, expected=None)

    assert (store.read_bytes("k"), store.read_bytes("doc")) == (ONE, TWO)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_put_when_disk_is_full_then_it_is_full_and_nothing_is_left(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def full(descriptor: int, parts: list[bytes]) -> int:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
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
for name in ("open", "writev", "fchmod", "utime", "fsync", "link", "rename", "replace", "mkdir", "unlink", "close"):
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
    before = sorted(store.root.rglob("*"))

    assert store.sweep_unfinished(older_than=NOW) == 0
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("at", [None, 7])
def test_write_all_when_each_write_is_short_then_all_parts_stand_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int | None
) -> None:
    monkeypatch.setattr(os, "writev", lambda number, parts: os.write(number, b"".join(parts)[:3]))
    monkeypatch.setattr(os, "pwritev", lambda number, parts, begin: os.pwrite(number, b"".join(parts)[:3], begin))
    with (tmp_path / "file").open("wb") as file:
        durable.write_all(file.fileno(), b"ab", bytearray(b"cdefg"), b"", memoryview(b"h"), at=at)

    assert (tmp_path / "file").read_bytes() == bytes(at or 0) + b"abcdefgh"
