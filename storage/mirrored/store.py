"""An object store that keeps everything twice.

The first store decides: who puts first, what a document is replaced with,
what is listed. When it is away nothing is stored. The second gets a copy of
everything by digest; when it is away, writing goes on and what it lacks is
noted in the first (`storage.mirrored.behind`), to be caught up with
(`storage.mirrored.catching_up`).

The copy in the second is never a hard link to the first: two names of one
file rot together.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from storage.base import Capabilities, LinksFiles, ObjectStat, ObjectStore, SweepsUnfinished, Version
from storage.errors import ObjectMissing, Retained, StorageError
from storage.mirrored.aligning import align, lock_alike
from storage.mirrored.behind import Behind
from storage.mirrored.second import Second
from storage.reading import copy_through


class MirroredStore:
    """Two stores behind one port; see the head of this module.

    Versions are those of the first store. Reading a key that is gone from the
    first, and that nobody deleted, gives the second's copy. Whoever proves
    bytes by digest looks at `replicas` one by one.

    Parameters
    ----------
    first
        Decides.
    second
        Gets the copies; may be away.
    behind
        Notes what the second lacks; kept in a first store.
    """

    def __init__(self, first: ObjectStore, second: Second, *, behind: Behind) -> None:
        self.first = first
        self.second = second
        self.behind = behind

    @property
    def replicas(self) -> tuple[ObjectStore, ...]:
        """The stores that can be reached now, the first one first."""
        second = self.second.peek()
        return (self.first,) if second is None else (self.first, second)

    def is_behind(self, key: str) -> bool:
        """Return whether it is noted that the second store has not got the newest state of a key yet."""
        return self.behind.holds(key)

    @property
    def capabilities(self) -> Capabilities:
        """What the first can do; locks are enforced only where both stores enforce them."""
        first, second = self.first.capabilities, self._ask(lambda store: store.capabilities)
        return Capabilities(
            name=f"{first.name} and {second.name if second else 'a second store that is away'}",
            durable_on_return=first.durable_on_return,
            locks_versions=first.locks_versions and (second is None or second.locks_versions),
            keeps_versions=first.keeps_versions,
            links_from=first.links_from,
        )

    def put_if_absent(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """See `ObjectStore.put_if_absent`."""
        begins = source.tell() if source.seekable() else None
        version = self.first.put_if_absent(key, source, sha256=sha256, size_bytes=size_bytes)

        def put(second: ObjectStore) -> None:
            if begins is None or source.closed:
                copy_through(self.first, key, second, key, sha256=sha256)
                return
            source.seek(begins)
            second.put_if_absent(key, source, sha256=sha256, size_bytes=size_bytes)

        self._also(key, put, sha256=sha256)
        return version

    def link_if_absent(self, path: Path, key: str, *, sha256: str, size_bytes: int) -> Version:
        """See `storage.base.LinksFiles`; where the first store can't link, its bytes are copied as well."""
        if isinstance(self.first, LinksFiles):
            version = self.first.link_if_absent(path, key, sha256=sha256, size_bytes=size_bytes)
        else:
            with path.open("rb") as source:
                version = self.first.put_if_absent(key, source, sha256=sha256, size_bytes=size_bytes)

        def put(second: ObjectStore) -> None:
            try:
                source = path.open("rb")
            except OSError as error:
                raise ObjectMissing(f"There is no file {path} to store as {key}: {error}") from error
            with source:
                second.put_if_absent(key, source, sha256=sha256, size_bytes=size_bytes)

        self._also(key, put, sha256=sha256)
        return version

    def replace_if_match(self, key: str, data: bytes, *, expected: Version | None) -> Version:
        """See `ObjectStore.replace_if_match`."""
        version = self.first.replace_if_match(key, data, expected=expected)
        self._also(key, lambda second: align(self.first, second, key))
        return version

    def read(
        self, key: str, *, start: int = 0, stop: int | None = None, version: Version | None = None
    ) -> Iterator[bytes]:
        """See `ObjectStore.read`."""
        try:
            yield from self.first.read(key, start=start, stop=stop, version=version)
        except ObjectMissing:  # comes before the first piece
            second = None if version is not None else self._survivor(key)
            if second is None:
                raise
            yield from second.read(key, start=start, stop=stop)

    def read_bytes(self, key: str, *, version: Version | None = None) -> bytes:
        """See `ObjectStore.read_bytes`."""
        return b"".join(self.read(key, version=version))

    def stat(self, key: str) -> ObjectStat:
        """See `ObjectStore.stat`; a version of the second store replaces nothing."""
        try:
            return self.first.stat(key)
        except ObjectMissing:
            second = self._survivor(key)
            if second is None:
                raise
            return second.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """See `ObjectStore.list`; what the first holds."""
        return self.first.list(prefix)

    def list_versions(self, prefix: str) -> Iterator[ObjectStat]:
        """See `ObjectStore.list_versions`; what the first holds."""
        return self.first.list_versions(prefix)

    def copy_if_absent(self, source_key: str, key: str, *, sha256: str, source: ObjectStore | None = None) -> Version:
        """See `ObjectStore.copy_if_absent`; each store copies inside itself where it has the source."""
        origin = self if source is None else source
        first, second_origin = origin, None
        if isinstance(origin, MirroredStore):
            first, second_origin = origin.first, origin.second.peek()
        version = self.first.copy_if_absent(source_key, key, sha256=sha256, source=first)

        def copy(second: ObjectStore) -> None:
            if second_origin is not None:
                try:
                    second.copy_if_absent(source_key, key, sha256=sha256, source=second_origin)
                except ObjectMissing:
                    pass
                else:
                    return
            copy_through(self.first, key, second, key, sha256=sha256)

        self._also(key, copy, sha256=sha256)
        return version

    def delete(self, key: str, *, version: Version | None = None) -> None:
        """See `ObjectStore.delete`.

        It is noted first: else a copy that the second kept, because a crash came between, would pass for one that
        the first has lost, and would be brought back.
        """
        if version is None:
            self._refuse_if_retained(key)
        self.behind.note(key)
        try:
            self.first.delete(key, version=version)
        finally:
            if self._also(key, lambda second: align(self.first, second, key)):
                self.behind.forget(key)

    def retain_until(self, version: Version, until: datetime) -> None:
        """See `ObjectStore.retain_until`."""
        self.first.retain_until(version, until)
        self._also(version.key, lambda second: lock_alike(self.first, second, self.first.stat(version.key)))

    def retention(self, version: Version) -> datetime | None:
        """See `ObjectStore.retention`; what the first says."""
        return self.first.retention(version)

    def repair(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """See `ObjectStore.repair`; both copies are looked at."""
        version = self.first.repair(key, source, sha256=sha256, size_bytes=size_bytes)
        self._also(key, lambda second: align(self.first, second, key, sha256=sha256), sha256=sha256)
        return version

    def sweep_unfinished(self, *, older_than: timedelta) -> int:
        """See `storage.base.SweepsUnfinished`."""
        return sum(
            store.sweep_unfinished(older_than=older_than)
            for store in self.replicas
            if isinstance(store, SweepsUnfinished)
        )

    def self_test(self) -> None:
        """See `ObjectStore.self_test`; a second store that is away does not stop the archive, an unfit one does."""
        self.first.self_test()
        second = self.second.peek()
        if second is not None:
            second.self_test()

    def _also(self, key: str, act: Callable[[ObjectStore], object], *, sha256: str | None = None) -> bool:
        """Do it in the second store too and return whether it was done; what goes wrong is noted for later."""
        try:
            self.second.call(act)
        except StorageError:
            self.behind.note(key, sha256=sha256)
            return False
        return True

    def _survivor(self, key: str) -> ObjectStore | None:
        """Return the second store if it holds a key that the first has lost."""
        second = self.second.peek()
        if second is None:
            return None
        try:
            second.stat(key)
        except StorageError:
            return None
        return None if self.behind.holds(key) else second

    def _ask(self, act: Callable[[ObjectStore], Capabilities]) -> Capabilities | None:
        try:
            return self.second.call(act)
        except StorageError:
            return None

    def _refuse_if_retained(self, key: str) -> None:
        try:
            newest = self.first.stat(key).version
        except ObjectMissing:
            return
        if self.first.retention(newest) is not None:
            raise Retained(f"{key} is locked")
