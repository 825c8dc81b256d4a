"""An object store on a local filesystem.

One store lies on one filesystem. Beside the objects stands one hidden folder::

    <root>/<key>                    the bytes, mode 0440
    <root>/.lastgate/store.json     mark: this folder is a store (a disk that is not mounted has none)
    <root>/.lastgate/unfinished/    files being written; what a crash left is swept
    <root>/.lastgate/retention/     until when each key is locked
    <root>/.lastgate/locks/         256 files for flock, chosen by the key

Unfinished files lie there and not beside their targets, so that a crash never
leaves a foreign file inside a sealed OCFL object and a sweep need not walk the
whole store. flock and hard links must work, which `FilesystemStore.self_test` proves.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from storage import durable, self_test, tree
from storage.base import Capabilities, ObjectStat, ObjectStore, Version, check_key
from storage.disk_errors import CAN_NOT_LINK, translated
from storage.errors import ObjectMissing, Replaced, Retained, StoreUnavailable
from storage.reading import Digests, copy_through
from storage.retention import Record, RetentionRecords, utc_now, whole_seconds
from storage.shelf import Shelf, compare

LEAST_FREE_BYTES = 1 << 20
"""A full disk is not begun with: whoever sends learns so at once, not from a node that stands still."""


class FilesystemStore:
    """Objects as plain files below one folder, each durable before its put returns.

    A version's tag is made of time stamp, size and inode of the file: a
    listing then needs no byte of the objects, and every replacement has a tag
    of its own, even one that brings back earlier bytes. No older versions are kept.

    Parameters
    ----------
    root
        Folder of the objects; made if it is missing.
    hidden
        Folder for the store's own files, on the same filesystem; by default ``root/.lastgate``.
    must_exist
        Refuse a folder that bears no mark of an earlier start: an archive's
        empty mount point is not an empty archive.
    now
        The clock that decides whether a retention has ended.

    Raises
    ------
    StoreUnavailable
        The folder can't be used, or bears no mark though it `must_exist`.
    """

    def __init__(
        self,
        root: Path,
        *,
        hidden: Path | None = None,
        must_exist: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.root = root.absolute()
        hidden = (hidden or self.root / ".lastgate").absolute()
        self._shelf = Shelf(self.root, hidden=hidden, must_exist=must_exist)
        self._records = RetentionRecords(hidden / "retention", temporary=self._shelf.unfinished)
        self._now = now

    @property
    def capabilities(self) -> Capabilities:
        """Durable on return; locks are kept by this program only."""
        return Capabilities(
            name="filesystem",
            durable_on_return=True,
            locks_versions=False,
            keeps_versions=False,
            links_from=str(self.root),
        )

    def put_if_absent(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """See `ObjectStore.put_if_absent`."""
        shelf = self._shelf
        with shelf.writing(f"storing {key}"):
            standing = shelf.standing(key, sha256=sha256, size_bytes=size_bytes)
            if standing is not None:
                return standing
            with durable.unfinished(shelf.unfinished) as (name, descriptor):
                found = durable.copy_in(source, descriptor, at_most=size_bytes)
                compare(key, found, sha256=sha256, size_bytes=size_bytes)
                durable.finish(descriptor)
                durable.forget_pages(descriptor)  # so that reading back reads the disk
                return shelf.publish(name, key, sha256=sha256, size_bytes=size_bytes)

    def link_if_absent(self, path: Path, key: str, *, sha256: str, size_bytes: int) -> Version:
        """See `storage.base.LinksFiles`."""
        shelf = self._shelf
        with shelf.writing(f"linking {path} as {key}"):
            standing = shelf.standing(key, sha256=sha256, size_bytes=size_bytes)
            if standing is not None:
                return standing
            with tree.opened(path) as descriptor:
                if descriptor is None:
                    raise ObjectMissing(f"There is no file {path} to link as {key}")
                compare(str(path), durable.digest_of(descriptor), sha256=sha256, size_bytes=size_bytes)
                try:
                    os.fchmod(descriptor, durable.FILE_MODE)
                    durable.sync_file(descriptor)
                    return shelf.publish(path, key, sha256=sha256, size_bytes=size_bytes)
                except OSError as error:
                    if error.errno not in CAN_NOT_LINK or isinstance(error, durable.SyncFailed):
                        raise
                with os.fdopen(os.dup(descriptor), "rb") as source:
                    return self.put_if_absent(key, source, sha256=sha256, size_bytes=size_bytes)

    def replace_if_match(self, key: str, data: bytes, *, expected: Version | None) -> Version:
        """See `ObjectStore.replace_if_match`; a locked object raises `Retained`."""
        shelf = self._shelf
        with shelf.writing(f"replacing {key}"), shelf.locked(key):
            found = tree.stat_file(shelf.path(key))
            if (found and tree.tag_of(found)) != (expected and expected.tag):
                raise Replaced(f"{key} is no longer what it was when it was read")
            if found is not None:
                self._refuse_if_retained(key)
            with durable.unfinished(shelf.unfinished) as (name, descriptor):
                durable.write_all(descriptor, data)
                durable.finish(descriptor, after_ns=found.st_mtime_ns if found else 0)
                if found is not None:
                    return shelf.rename(name, key)
                version = shelf.link(name, key)
                if version is None:
                    raise Replaced(f"{key} was written by somebody else meanwhile")
                return version

    def read(
        self, key: str, *, start: int = 0, stop: int | None = None, version: Version | None = None
    ) -> Iterator[bytes]:
        """See `ObjectStore.read`."""
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("a range begins and ends at or after byte 0")
        with translated(f"reading {key}"), tree.opened(self._shelf.path(key)) as descriptor:
            if descriptor is None:
                raise ObjectMissing(f"{key} is not in {self.root}")
            found = os.fstat(descriptor)
            if version is not None and version.tag != tree.tag_of(found):
                raise ObjectMissing(f"{key} is no longer the version that was asked for")
            end = found.st_size if stop is None else min(stop, found.st_size)
            while start < end:
                piece = os.pread(descriptor, min(durable.PIECE_BYTES, end - start), start)
                if not piece:
                    raise StoreUnavailable(f"{key} became shorter while it was read")
                start += len(piece)
                yield piece

    def digests(self, key: str, *, long: bool = False) -> Digests:
        """See `storage.reading.digests`."""
        with translated(f"reading {key}"), tree.opened(self._shelf.path(key)) as descriptor:
            if descriptor is None:
                raise ObjectMissing(f"{key} is not in {self.root}")
            sha256, size_bytes, sha512 = durable.digests_of(descriptor, long=long)
            return Digests(sha256=sha256, size_bytes=size_bytes, sha512=sha512)

    def read_bytes(self, key: str, *, version: Version | None = None) -> bytes:
        """See `ObjectStore.read_bytes`."""
        return b"".join(self.read(key, version=version))

    def stat(self, key: str) -> ObjectStat:
        """See `ObjectStore.stat`."""
        with translated(f"looking at {key}"):
            found = tree.stat_file(self._shelf.path(key))
        if found is None:
            raise ObjectMissing(f"{key} is not in {self.root}")
        return tree.stat_of(key, found)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """See `ObjectStore.list`."""
        with translated(f"listing {prefix!r}"):
            yield from tree.walk(self.root, prefix)

    def list_versions(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield what `list` yields: this store keeps one version of each key."""
        return self.list(prefix)

    def copy_if_absent(self, source_key: str, key: str, *, sha256: str, source: ObjectStore | None = None) -> Version:
        """See `ObjectStore.copy_if_absent`; from another store on the same disk it is a link too."""
        if source is None or isinstance(source, FilesystemStore):
            origin = source or self
            size = origin.stat(source_key).size_bytes
            return self.link_if_absent(origin.root / source_key, key, sha256=sha256, size_bytes=size)
        return copy_through(source, source_key, self, key, sha256=sha256)

    def delete(self, key: str, *, version: Version | None = None) -> None:
        """See `ObjectStore.delete`; folders that become empty go too (OCFL 1.1 allows none)."""
        with self._shelf.writing(f"deleting {key}"), self._shelf.locked(key):
            found = tree.stat_file(self._shelf.path(key))
            if found is None or (version is not None and version.tag != tree.tag_of(found)):
                return
            self._refuse_if_retained(key)
            self._shelf.remove(key)
            self._records.forget(key)

    def retain_until(self, version: Version, until: datetime) -> None:
        """See `ObjectStore.retain_until`; the digest of the locked bytes is recorded with the lock."""
        until, key = whole_seconds(until), check_key(version.key)
        with self._shelf.writing(f"locking {key}"):
            sha256, size = self._digest(version)
            with self._shelf.locked(key):
                if self._shelf.version(key).tag != version.tag:
                    raise ObjectMissing(f"{key} is no longer the version to be locked")
                record = self._records.of(key)
                if record is None or record.until <= self._now():
                    self._records.keep(key, Record(until=until, sha256=sha256, size_bytes=size))
                elif record.until < until:  # the digest stays that of the first lock: rot must not become truth
                    self._records.keep(key, Record(until=until, sha256=record.sha256, size_bytes=record.size_bytes))

    def retention(self, version: Version) -> datetime | None:
        """See `ObjectStore.retention`; a lock that has ended is None."""
        with translated(f"reading the lock of {version.key}"):
            record = self._records.of(version.key)
        return record.until if record and record.until > self._now() else None

    def repair(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """See `ObjectStore.repair`."""
        shelf = self._shelf
        with shelf.writing(f"repairing {key}"), shelf.locked(key):
            record = self._records.of(key)
            if record and record.until > self._now() and record.sha256 != sha256:
                raise Retained(f"{key} is locked with the SHA-256 {record.sha256}; other bytes do not repair it")
            if self._is_good(key, sha256=sha256, size_bytes=size_bytes):
                return shelf.version(key)
            with durable.unfinished(shelf.unfinished) as (name, descriptor):
                found = durable.copy_in(source, descriptor, at_most=size_bytes)
                compare(key, found, sha256=sha256, size_bytes=size_bytes)
                standing = tree.stat_file(shelf.path(key))
                durable.finish(descriptor, after_ns=standing.st_mtime_ns if standing else 0)
                return shelf.rename(name, key)

    def sweep_unfinished(self, *, older_than: timedelta) -> int:
        """See `storage.base.SweepsUnfinished`."""
        return self._shelf.sweep_unfinished(older_than=older_than)

    def self_test(self) -> None:
        """See `ObjectStore.self_test`; proves room, hard links, fsync and flock on this disk."""
        free = os.statvfs(self.root)
        self_test.demand(
            free.f_bavail * free.f_frsize >= LEAST_FREE_BYTES and (free.f_favail > 0 or free.f_files == 0),
            f"the disk of {self.root} has at least {LEAST_FREE_BYTES >> 20} MiB and a name for a new file free",
        )
        folder = f"self-test/{uuid4().hex}"
        self_test.prove_port(self, folder)
        with translated("proving flock"), self._shelf.locked(folder), self._shelf.lock_file(folder) as second:
            exclusive = False
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                exclusive = True
            self_test.demand(exclusive, "a file that is locked (flock) can't be locked again")

    def _refuse_if_retained(self, key: str) -> None:
        record = self._records.of(key)
        if record is not None and record.until > self._now():
            raise Retained(f"{key} is locked until {record.until.isoformat()}")

    def _digest(self, version: Version) -> tuple[str, int]:
        with tree.opened(self._shelf.path(version.key)) as descriptor:
            if descriptor is None or tree.tag_of(os.fstat(descriptor)) != version.tag:
                raise ObjectMissing(f"{version.key} is not in {self.root} in that version")
            return durable.digest_of(descriptor)

    def _is_good(self, key: str, *, sha256: str, size_bytes: int) -> bool:
        try:
            with tree.opened(self._shelf.path(key)) as descriptor:
                return descriptor is not None and durable.digest_of(descriptor) == (sha256, size_bytes)
        except OSError:  # a sector that can't be read is a bad copy as well
            return False
