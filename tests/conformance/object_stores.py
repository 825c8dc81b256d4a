"""The stores the conformance suite runs on, and what the tests may do behind their backs."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.base import ObjectStore, Version
from storage.filesystem import FilesystemStore
from storage.mirrored import Behind, MirroredStore, Second
from storage.s3 import S3Store

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One store under test.

    Parameters
    ----------
    kind
        Name of the parameter that made this case.
    store
        Empty at the beginning of each test.
    sibling
        Another empty store of the same kind, between which the store copies by itself.
    overwrite
        Puts other bytes under a key without the store's knowledge, as rot or a stranger would.
    locks
        Retention can be had, from the store or from this program.
    """

    kind: str
    store: ObjectStore
    sibling: ObjectStore
    overwrite: Callable[[str, bytes], None]
    locks: bool

    def put(self, key: str, data: bytes) -> Version:
        """Put `data` with its right digest."""
        return put(self.store, key, data)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data`, hex."""
    return hashlib.sha256(data).hexdigest()


def put(store: ObjectStore, key: str, data: bytes) -> Version:
    """Put `data` into `store` with its right digest."""
    return store.put_if_absent(key, io.BytesIO(data), sha256=sha256(data), size_bytes=len(data))


def filesystem_case(folder: Path) -> Case:
    """Return a case on the disk below `folder`."""

    def overwrite(key: str, data: bytes) -> None:
        path = folder / "store" / key
        path.chmod(0o640)
        path.write_bytes(data)  # in place: the inode stays, as under rot

    store, sibling = FilesystemStore(folder / "store"), FilesystemStore(folder / "sibling")
    return Case(kind="filesystem", store=store, sibling=sibling, overwrite=overwrite, locks=True)


def s3_case(client: "S3Client", bucket: str, prefix: str, *, kind: str, locks: bool) -> Case:
    """Return a case below `prefix` of a bucket."""

    def overwrite(key: str, data: bytes) -> None:
        client.put_object(Bucket=bucket, Key=f"{prefix}store/{key}", Body=data)

    store = S3Store(client, bucket, prefix=f"{prefix}store/")
    sibling = S3Store(client, bucket, prefix=f"{prefix}sibling/")
    return Case(kind=kind, store=store, sibling=sibling, overwrite=overwrite, locks=locks)


def mirrored(first: ObjectStore, second: ObjectStore, notes: ObjectStore) -> MirroredStore:
    """Return two stores as one, with its notes in a third."""
    return MirroredStore(first, Second(lambda: second, pause_s=0.0), behind=Behind(notes, "behind/pair/"))


def mirrored_case(first: Case, second: Case, folder: Path, *, kind: str) -> Case:
    """Return a case over two others; what happens behind its back happens to the first store."""
    notes = FilesystemStore(folder / "notes")
    return Case(
        kind=kind,
        store=mirrored(first.store, second.store, notes),
        sibling=mirrored(first.sibling, second.sibling, notes),
        overwrite=first.overwrite,
        locks=first.locks,
    )
