"""The object-store port: keys and bytes.

A key is a path of segments ``[A-Za-z0-9._=+-]`` joined by ``/`` (see
`check_key`). An object never changes under its key, but for the few small
documents that are replaced with `ObjectStore.replace_if_match`.
`tests/conformance/test_object_store.py` runs on every store.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from storage.errors import BadKey

MAX_KEY_BYTES = 900
MAX_SEGMENT_BYTES = 128
_SEGMENT = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*")
_PREFIX_END = re.compile(r"([A-Za-z0-9_=+-][A-Za-z0-9._=+-]*)?")


def check_key(key: str) -> str:
    """Return `key` if it may name an object, else raise `BadKey`.

    Segments are ``[A-Za-z0-9._=+-]``, do not begin with a dot, are at most
    128 bytes long and never empty; the whole key is at most 900 bytes, so it
    fits a file system path and S3's limit of 1,024 with a bucket prefix.

    No key may be the folder of another (``a`` and ``a/b``): a filesystem and
    some S3 servers can't hold both. A store that notices raises `BadKey` too.
    """
    if len(key) > MAX_KEY_BYTES or not key:
        raise BadKey(f"The key is empty or longer than {MAX_KEY_BYTES} bytes: {key[:80]!r}")
    for segment in key.split("/"):
        if len(segment) > MAX_SEGMENT_BYTES or not _SEGMENT.fullmatch(segment):
            raise BadKey(f"The segment {segment[:80]!r} can't stand in the key {key[:80]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys may begin with it (it may be empty or end inside a segment), else raise `BadKey`."""
    folder, _, end = prefix.rpartition("/")
    if folder:
        check_key(folder)
    if not _PREFIX_END.fullmatch(end) or prefix.startswith("/"):
        raise BadKey(f"No key begins with {prefix[:80]!r}")
    return prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Names one state of one object.

    A value to hand back to the store it came from. `version_id` may be
    recorded for good; `tag` may not: a restored backup has other tags.

    Parameters
    ----------
    key
        The object's key.
    tag
        Changes whenever the bytes under the key change: time, size and inode
        of the file on a filesystem, the ETag on S3. Opaque to callers.
    version_id
        The store's own id of this version; None where the store keeps none.
    """

    key: str
    tag: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """What a listing tells of one object: enough to name it, never a proof that it is whole."""

    version: Version
    size_bytes: int
    modified: datetime
    is_delete_marker: bool = False

    @property
    def key(self) -> str:
        """The object's key."""
        return self.version.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a store can promise; callers ask here instead of guessing.

    Parameters
    ----------
    name
        Shown to operators, such as ``filesystem`` or ``s3``.
    durable_on_return
        Written bytes survive a power cut as soon as a put returns.
    locks_versions
        Retention is enforced by the store itself (S3 Object Lock), not only by this program.
    keeps_versions
        Older versions of a key can be listed and read.
    links_from
        A folder on the disk whose files can be hard-linked into this store
        (see `LinksFiles`), None if bytes must be copied.
    """

    name: str
    durable_on_return: bool
    locks_versions: bool
    keeps_versions: bool
    links_from: str | None = None


class ObjectStore(Protocol):
    """Keys and bytes; knows nothing of DICOM. All methods may raise `StoreUnavailable`."""

    @property
    def capabilities(self) -> Capabilities:
        """What this store can promise."""
        ...

    def put_if_absent(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """Store the bytes of `source` under `key` unless something stands there.

        Idempotent: the same bytes under the same key make no second copy, and
        their version is returned. It returns only when the bytes survive a
        power cut, as far as this store can promise (`capabilities`).

        Raises
        ------
        KeyTaken
            Other bytes stand under this key.
        DigestMismatch
            `source` does not have this digest or length; nothing was stored.
        StoreFull
            There is no room.
        """
        ...

    def replace_if_match(self, key: str, data: bytes, *, expected: Version | None) -> Version:
        """Replace a small document if it still is `expected` (None: if it is absent).

        Raises
        ------
        Replaced
            Somebody else was quicker; nothing was written.
        Retained
            The state to be replaced is locked and this store keeps no older
            versions, so that replacing would destroy it.
        """
        ...

    def read(
        self, key: str, *, start: int = 0, stop: int | None = None, version: Version | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes ``[start, stop)`` of an object in pieces, 0-based; what lies beyond the end is left out.

        Nothing happens before the first piece is asked for. Bytes are given
        as the store has them: who needs proof calls `storage.reading.read_back`.

        Raises
        ------
        ObjectMissing
            The key, or the asked version of it, is not there.
        DigestMismatch
            The store itself noticed that the bytes are not those it was given.
        """
        ...

    def read_bytes(self, key: str, *, version: Version | None = None) -> bytes:
        """Return a whole object; for documents that fit in memory. Raises `ObjectMissing`."""
        ...

    def stat(self, key: str) -> ObjectStat:
        """Return size, time and version of the newest state of an object; raises `ObjectMissing`."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield the newest state of all objects whose key begins with `prefix`, in order of key.

        The order is that of the keys' bytes, with one exception: some S3
        servers (SeaweedFS) give what lies in the folder ``a/`` before its
        sibling ``a-b``, although ``-`` sorts before ``/``. The objects of one
        folder are always in order.
        """
        ...

    def copy_if_absent(self, source_key: str, key: str, *, sha256: str, source: "ObjectStore | None" = None) -> Version:
        """Copy an object inside the store (or from `source`) without its bytes passing through the caller.

        On a filesystem the copy is a hard link where that is possible, on S3
        the server copies; between unlike stores the bytes are streamed. The
        same content already standing under `key` counts as done.

        Raises
        ------
        ObjectMissing
            Nothing stands under `source_key`.
        KeyTaken
            Other bytes stand under `key`.
        DigestMismatch
            The source, or the copy when it was read back, does not have this digest.
        """
        ...

    def delete(self, key: str, *, version: Version | None = None) -> None:
        """Remove an object (or one version of it); an absent key or version is no error.

        Without `version`, a store that keeps versions lays a delete marker
        over the object; its bytes go when the version is named.

        Raises
        ------
        Retained
            The version, or without one the newest state, is locked.
        """
        ...

    def retain_until(self, version: Version, until: datetime) -> None:
        """Lock one version until `until` (aware UTC, rounded up to seconds), never shortening a lock; read it back.

        Raises
        ------
        ObjectMissing
            That version is not in the store.
        StoreUnfit
            The store did not keep the lock it was given.
        """
        ...

    def retention(self, version: Version) -> datetime | None:
        """Return until when this version is locked, None if it is not."""
        ...

    def list_versions(self, prefix: str) -> Iterator[ObjectStat]:
        """Yield all states of all objects below `prefix`, delete markers too, per key newest first."""
        ...

    def repair(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """Put verified bytes over a copy that was proven bad or is gone, keeping its lock; a good copy is left alone.

        Where versions are kept the bad one stays as an older version.

        Raises
        ------
        DigestMismatch
            `source` does not have this digest or length; nothing was stored.
        Retained
            The lock was made for bytes with another digest (filesystem).
        """
        ...

    def self_test(self) -> None:
        """Prove on the running store what this program relies on; raises `StoreUnfit` naming what failed."""
        ...


@runtime_checkable
class LinksFiles(Protocol):
    """A store that takes over a finished file without copying its bytes (`Capabilities.links_from`)."""

    def link_if_absent(self, path: Path, key: str, *, sha256: str, size_bytes: int) -> Version:
        """Do what `ObjectStore.put_if_absent` does with the bytes of the file `path`, by a hard link where possible.

        The file is read and its digest compared first, and it becomes
        read-only; nobody may write to it any more. Linked, file and object
        are **one** copy on the disk. From another disk the bytes are copied.
        Raises what `ObjectStore.put_if_absent` raises.
        """
        ...


@runtime_checkable
class Replicated(Protocol):
    """A store that keeps each object in several: whoever proves bytes by digest looks at each of them."""

    @property
    def replicas(self) -> "tuple[ObjectStore, ...]":
        """The stores that can be reached now; the first decides."""
        ...

    def is_behind(self, key: str) -> bool:
        """Return whether it is noted that the other stores have not got the newest state of a key yet."""
        ...


@runtime_checkable
class SweepsUnfinished(Protocol):
    """A store in which a crash leaves unfinished writes behind. They are never listed, but take room."""

    def sweep_unfinished(self, *, older_than: timedelta) -> int:
        """Remove unfinished writes begun longer than `older_than` ago, never anything else; return how many."""
        ...


@runtime_checkable
class HoldsVersions(Protocol):
    """A store that can forbid the deletion of a version without a date: legal hold, beside retention."""

    def hold(self, version: Version, *, is_held: bool) -> None:
        """Hold one version, or let it go, and read that back; done twice is done once.

        Raises
        ------
        ObjectMissing
            That version is not in the store.
        StoreUnfit
            The store did not keep what it was told.
        """
        ...

    def is_held(self, version: Version) -> bool:
        """Return whether a version is held; raises `ObjectMissing`."""
        ...
