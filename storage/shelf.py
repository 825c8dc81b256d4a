"""The folder of a filesystem store: how files get their lasting names there, and who may do so."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from storage import durable, tree
from storage.base import Version, check_key
from storage.disk_errors import translated
from storage.errors import BadKey, DigestMismatch, KeyTaken, ObjectMissing, StoreUnavailable
from storage.reading import mismatch

T = TypeVar("T")

_ATTEMPTS = 100
_KNOWN_FOLDERS = 50_000
_MARK = b'{"format": "lastgate/filesystem-store/1"}\n'


def compare(name: str, found: tuple[str, int], *, sha256: str, size_bytes: int) -> None:
    """Raise `DigestMismatch` if `found` (SHA-256 hex, length) is not what was announced for `name`."""
    if found != (sha256, size_bytes):
        raise DigestMismatch(mismatch(name, found=found, sha256=sha256, size_bytes=size_bytes))


class Shelf:
    """The objects below `root` and the store's own files in `hidden`, both on one filesystem.

    Raises
    ------
    StoreUnavailable
        The folder can't be used, or bears no mark of an earlier start though it `must_exist`.
    """

    def __init__(self, root: Path, *, hidden: Path, must_exist: bool) -> None:
        self.root = root
        self.unfinished = hidden / "unfinished"
        self._locks = hidden / "locks"
        self._sync_failure: str | None = None
        self._known_folders: set[Path] = set()
        with translated(f"opening the store {root}"):
            self._open(hidden / "store.json", must_exist=must_exist)

    def _open(self, mark: Path, *, must_exist: bool) -> None:
        if must_exist and not mark.is_file():
            raise StoreUnavailable(f"{self.root} holds no object store: is its disk mounted?")
        for folder in (self.root, self.unfinished, self._locks):
            durable.make_folders(folder)
        if not mark.is_file():
            durable.replace_file(mark, _MARK, temporary=self.unfinished)

    def path(self, key: str) -> Path:
        """Return where the bytes of `key` lie; raises `BadKey`."""
        return self.root / check_key(key)

    def version(self, key: str) -> Version:
        """Return the version that stands under `key`; raises `ObjectMissing`."""
        found = tree.stat_file(self.path(key))
        if found is None:
            raise ObjectMissing(f"{key} is not in {self.root}")
        return Version(key=key, tag=tree.tag_of(found))

    @contextmanager
    def writing(self, doing: str) -> Iterator[None]:
        """Translate errors of the disk; after a failed fsync the store takes no more writes until it is opened anew."""
        if self._sync_failure is not None:
            raise StoreUnavailable(f"{self.root} takes no more writes: {self._sync_failure}. See to the disk first.")
        try:
            with translated(doing):
                yield
        except StoreUnavailable as error:
            if isinstance(error.__cause__, durable.SyncFailed):
                self._sync_failure = f"an fsync failed when {doing}"
            raise

    @contextmanager
    def lock_file(self, key: str) -> Iterator[int]:
        """Open the file whose flock guards `key` (and, by chance, some other keys)."""
        name = hashlib.sha256(key.encode()).hexdigest()[:2]
        descriptor = os.open(self._locks / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Keep all others, threads and processes, from replacing, deleting or locking `key`."""
        with self.lock_file(key) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def standing(self, key: str, *, sha256: str, size_bytes: int) -> Version | None:
        """Return the version under `key` if it has these bytes, None if nothing is there; raises `KeyTaken`.

        File and folder are fsynced once more: whoever wrote them may have
        been killed before doing so, and our caller will call them safe.
        """
        path = self.path(key)
        with tree.opened(path) as descriptor:
            if descriptor is None:
                if path.is_dir():
                    raise BadKey(f"{key} can't be stored: it is the folder of other keys")
                return None
            found = os.fstat(descriptor)
            if found.st_size != size_bytes or durable.digest_of(descriptor) != (sha256, size_bytes):
                raise KeyTaken(f"Other bytes stand under {key} in {self.root}; nothing was written")
            durable.sync_file(descriptor)
        try:
            self._sync_folders(path.parent)
            durable.sync_folder(path.parent)
        except FileNotFoundError:  # it was deleted, and the last of its folder, while we looked
            return None
        return Version(key=key, tag=tree.tag_of(found))

    def publish(self, name: Path, key: str, *, sha256: str, size_bytes: int) -> Version:
        """Give the finished file `name` its lasting name, unless something stands there; durable on return."""
        for _ in range(_ATTEMPTS):
            version = self.link(name, key) or self.standing(key, sha256=sha256, size_bytes=size_bytes)
            if version is not None:
                return version
        raise StoreUnavailable(f"{key} comes and goes while it is being stored")

    def link(self, name: Path, key: str) -> Version | None:
        """Hard-link `name` under `key`, durable on return; None if something stands there."""
        path = self.path(key)
        version = Version(key=key, tag=tree.tag_of(name.stat()))

        def act() -> Version | None:
            try:
                os.link(name, path, follow_symlinks=False)
            except FileExistsError:
                if path.is_dir():
                    raise BadKey(f"{key} can't be stored: it is the folder of other keys") from None
                return None
            try:
                durable.sync_folder(path.parent)
            except durable.SyncFailed:
                path.unlink(missing_ok=True)  # or a second try would find it standing and call it safe
                raise
            return version

        return self._in_folder(path.parent, act)

    def rename(self, name: Path, key: str) -> Version:
        """Put the finished file `name` over what stands under `key`, durable on return."""
        path = self.path(key)
        version = Version(key=key, tag=tree.tag_of(name.stat()))

        def act() -> Version:
            name.replace(path)
            durable.sync_folder(path.parent)
            return version

        return self._in_folder(path.parent, act)

    def remove(self, key: str) -> None:
        """Remove the file under `key`, durable on return, and the folders that become empty (OCFL 1.1 allows none)."""
        path = self.path(key)
        path.unlink()
        for folder in path.parents:
            with suppress(FileNotFoundError):  # another has just removed the empty folder
                durable.sync_folder(folder)
                break
        tree.remove_empty_folders(path.parent, below=self.root)

    def _in_folder(self, folder: Path, act: Callable[[], T]) -> T:
        """Make `folder` durable and act in it; again, if somebody removed the empty folder under our hands."""
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):
                self._make_room(folder)
                return act()
        raise StoreUnavailable(f"{folder} comes and goes while something is stored there")

    def _make_room(self, folder: Path) -> None:
        if not folder.is_dir():
            self._known_folders.difference_update((folder, *folder.parents))
            durable.make_folders(folder)
        self._sync_folders(folder)

    def _sync_folders(self, folder: Path) -> None:
        """Make the name of `folder` durable, once per process: whoever made it may not have come to its fsync.

        ext4 and XFS write their journals in order, so that there the fsync of
        an entry covers the making of its folder; this is for all others.
        """
        if len(self._known_folders) > _KNOWN_FOLDERS:
            self._known_folders.clear()
        while folder != self.root and folder not in self._known_folders:
            durable.sync_folder(folder.parent)
            self._known_folders.add(folder)
            folder = folder.parent

    def sweep_unfinished(self, *, older_than: timedelta) -> int:
        """Remove unfinished files last touched longer than `older_than` ago; return how many."""
        swept = 0
        oldest = time.time() - older_than.total_seconds()
        with translated(f"sweeping {self.unfinished}"):
            for path in self.unfinished.glob(".tmp-*"):
                found = tree.stat_file(path)
                if found is not None and found.st_ctime <= oldest:
                    path.unlink(missing_ok=True)
                    swept += 1
        return swept
