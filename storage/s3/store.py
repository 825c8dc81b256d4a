"""An object store in one S3 bucket."""

import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from storage.base import Capabilities, ObjectStat, ObjectStore, Version, check_key, check_prefix
from storage.errors import (
    BadKey,
    DigestMismatch,
    KeyTaken,
    ObjectMissing,
    Replaced,
    Retained,
    StoreUnavailable,
    StoreUnfit,
)
from storage.reading import copy_through, read_back
from storage.retention import utc_now, whole_seconds
from storage.s3 import connection, locks, proof, reading, writing
from storage.s3.calls import DEFAULT_LIMITS, Bucket, Limits, Refused
from storage.s3.reading import version_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.literals import ObjectLockRetentionModeType
    from types_boto3_s3.type_defs import (
        CopySourceTypeDef,
        DeleteObjectRequestTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectOutputTypeDef,
        PutObjectRequestTypeDef,
    )

_ATTEMPTS = 5
_MARK = "lastgate-write"


class S3Store:
    """Objects in one bucket, each sent with its SHA-256 and never over another.

    A version's tag is the ETag; where the bucket keeps versions `Version.version_id`
    names one for good. Every error of the server or the client is a
    `StorageError`; 5xx and broken connections are `StoreUnavailable`, never "missing".

    What is promised with several writers at once: a put up to 5 GiB has one
    winner, on every server that passes `self_test`. Larger puts, copies above
    1 GiB, and copies on a server that ignores ``If-None-Match`` on CopyObject
    are completed conditionally after a look, but some servers do not decide
    that in one step: with other bytes under the same key at the same moment
    the last one may win there. Each copy is read back, so the one that is
    told of success saw its own bytes.

    Parameters
    ----------
    client
        From `storage.s3.connect`.
    bucket, prefix
        Where the objects lie; `prefix` ends with ``/`` or is empty.
    durable
        The operator's word that the server keeps acknowledged objects through
        a power cut. By default no server is believed to.
    compliance
        Lock in COMPLIANCE mode, which nobody can undo, instead of GOVERNANCE.
    limits
        How long a call may take, and what travels in one request.
    now
        The clock that decides whether a retention has ended.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        prefix: str = "",
        durable: bool = False,
        compliance: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"the prefix {prefix!r} does not end with /")
        self._prefix = check_prefix(prefix)
        self._bucket = Bucket(client=client, name=bucket, limits=limits)
        self._durable = durable
        self._mode: ObjectLockRetentionModeType = "COMPLIANCE" if compliance else "GOVERNANCE"
        self._limits = limits
        self._now = now

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the bucket can do; asked once from the server. May raise `StoreUnavailable`."""
        return Capabilities(
            name="s3",
            durable_on_return=self._durable,
            locks_versions=connection.locks_versions(self._bucket),
            keeps_versions=connection.keeps_versions(self._bucket),
        )

    @cached_property
    def _copies_conditionally(self) -> bool:
        return writing.copies_conditionally(self._bucket)

    def put_if_absent(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """See `ObjectStore.put_if_absent`."""
        full = self._full(key)
        with writing.verified(key, source, sha256=sha256, size_bytes=size_bytes) as body:
            for _ in range(_ATTEMPTS):
                if size_bytes > self._limits.put_bytes and (there := self._standing(key, sha256, size_bytes)):
                    return there  # gigabytes are not sent to be refused
                try:
                    return self._send(key, full, body, sha256=sha256, size_bytes=size_bytes)
                except Refused as refused:
                    if refused.status not in {409, 412}:  # 409: another conditional write is under way
                        raise
                if there := self._standing(key, sha256, size_bytes):
                    return there
        self._refuse_folder(key)
        raise StoreUnavailable(f"{key} comes and goes while it is being stored")

    def _send(
        self, key: str, full: str, body: BinaryIO, *, sha256: str, size_bytes: int, if_absent: bool = True
    ) -> Version:
        body.seek(0)
        if size_bytes <= self._limits.put_bytes:
            request = self._put_request(full, body, sha256)
            if if_absent:
                request["IfNoneMatch"] = "*"
            return version_of(key, *writing.put_whole(self._bucket, request, size_bytes=size_bytes))
        version = version_of(
            key, *writing.put_in_parts(self._bucket, full, body, size_bytes=size_bytes, if_absent=if_absent)
        )
        read_back(self, key, sha256=sha256, size_bytes=size_bytes, version=version)
        return version

    def _put_request(self, full: str, body: BinaryIO | bytes, sha256: str) -> "PutObjectRequestTypeDef":
        return {
            "Bucket": self._bucket.name,
            "Key": full,
            "Body": body,
            "ChecksumSHA256": writing.base64_digest(sha256),
            "ContentType": "application/octet-stream",
        }

    def replace_if_match(self, key: str, data: bytes, *, expected: Version | None) -> Version:
        """See `ObjectStore.replace_if_match`.

        Each write carries a mark of its own: if the answer to a first try was
        lost and the second try is refused, the mark tells whose write stands.
        """
        full, mark = self._full(key), uuid4().hex
        request = self._put_request(full, data, hashlib.sha256(data).hexdigest())
        request["Metadata"] = {_MARK: mark}
        if expected is None:
            request["IfNoneMatch"] = "*"
        else:
            request["IfMatch"] = expected.tag
        try:
            return version_of(key, *writing.put_whole(self._bucket, request, size_bytes=len(data)))
        except Refused as refused:
            if refused.status not in {409, 412} and not refused.is_missing:
                raise
            if refused.repeated:
                found = self._head(key)
                if found.get("Metadata", {}).get(_MARK) == mark:
                    return version_of(key, found["ETag"], found.get("VersionId"))
            if expected is None:
                self._refuse_folder(key)
            raise Replaced(f"{key} is no longer what it was when it was read") from refused

    def read(
        self, key: str, *, start: int = 0, stop: int | None = None, version: Version | None = None
    ) -> Iterator[bytes]:
        """See `ObjectStore.read`; the server's checksum, where it has one, is compared at the end of a whole object."""
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("a range begins and ends at or after byte 0")
        if stop is not None and stop <= start:
            self._pinned(version) if version else self._head(key)
            return
        request: GetObjectRequestTypeDef = {"Bucket": self._bucket.name, "Key": self._full(key)}
        if version is not None and version.version_id is not None:
            request["VersionId"] = version.version_id
        elif version is not None:
            request["IfMatch"] = version.tag
        if start or stop is not None:
            request["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            yield from reading.pieces(self._bucket, request)
        except Refused as refused:
            if refused.status == 416:  # begins at or after the end, and so does every range of an empty object
                return
            if refused.is_missing or refused.status == 412:
                raise ObjectMissing(f"{key} is not in the bucket {self._bucket.name} (in that version)") from refused
            raise

    def read_bytes(self, key: str, *, version: Version | None = None) -> bytes:
        """See `ObjectStore.read_bytes`."""
        return b"".join(self.read(key, version=version))

    def stat(self, key: str) -> ObjectStat:
        """See `ObjectStore.stat`."""
        found = self._head(key)
        return ObjectStat(
            version=version_of(key, found["ETag"], found.get("VersionId")),
            size_bytes=found["ContentLength"],
            modified=found["LastModified"].astimezone(UTC),
        )

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """See `ObjectStore.list`."""
        if not self.capabilities.keeps_versions:
            yield from reading.objects(self._bucket, self._prefix, check_prefix(prefix))
            return
        for stat, is_newest in reading.versions(self._bucket, self._prefix, check_prefix(prefix)):
            if is_newest and not stat.is_delete_marker:
                yield stat

    def list_versions(self, prefix: str) -> Iterator[ObjectStat]:
        """See `ObjectStore.list_versions`."""
        for stat, _ in reading.versions(self._bucket, self._prefix, check_prefix(prefix)):
            yield stat

    def copy_if_absent(self, source_key: str, key: str, *, sha256: str, source: ObjectStore | None = None) -> Version:
        """See `ObjectStore.copy_if_absent`; the server copies between buckets it holds itself.

        A copy that turns out bad stays where it is, for `repair`: taking it
        away again could take away what another writer put there meanwhile.
        """
        origin = self if source is None else source
        if not isinstance(origin, S3Store) or not self._shares_server(origin):
            return copy_through(origin, source_key, self, key, sha256=sha256)
        for _ in range(_ATTEMPTS):
            stat = origin.stat(source_key)
            if not self._decides_at_once(stat) and (there := self._standing(key, sha256, stat.size_bytes)):
                return there
            try:
                version = self._copy(origin, stat, key, sha256)
                read_back(self, key, sha256=sha256, size_bytes=stat.size_bytes, version=version)
            except (Refused, ObjectMissing) as error:
                if isinstance(error, Refused) and error.status not in {404, 409, 412}:
                    raise
            else:
                return version
            if there := self._standing(key, sha256, stat.size_bytes):
                return there
        self._refuse_folder(key)
        raise StoreUnavailable(f"{source_key} or {key} keeps changing while it is copied")

    def _decides_at_once(self, source: ObjectStat) -> bool:
        """Whether this server copies so large an object in one conditional request."""
        return source.size_bytes <= self._limits.copy_bytes and self._copies_conditionally

    def _copy(self, origin: "S3Store", stat: ObjectStat, key: str, sha256: str) -> Version:
        size, etag = stat.size_bytes, stat.version.tag
        place: CopySourceTypeDef = {"Bucket": origin._bucket.name, "Key": origin._full(stat.key)}
        if stat.version.version_id is not None:
            place["VersionId"] = stat.version.version_id
        target = self._full(key)
        if self._decides_at_once(stat):
            return version_of(key, *writing.copy_whole(self._bucket, place, target, etag=etag, size_bytes=size))
        if size == 0:  # nothing to copy in parts
            return self.put_if_absent(key, io.BytesIO(), sha256=sha256, size_bytes=0)
        return version_of(key, *writing.copy_in_parts(self._bucket, place, target, etag=etag, size_bytes=size))

    def delete(self, key: str, *, version: Version | None = None) -> None:
        """See `ObjectStore.delete`.

        S3 itself would lay a delete marker over a locked object; here that is refused too.
        """
        try:
            newest = self.stat(key).version if version is None or version.version_id is None else None
        except ObjectMissing:
            return
        if newest is not None and version is not None and newest.tag != version.tag:
            return
        if newest is not None and self.retention(newest) is not None:
            raise Retained(f"{key} is locked in the bucket {self._bucket.name}")
        request: DeleteObjectRequestTypeDef = {"Bucket": self._bucket.name, "Key": self._full(key)}
        if version is not None and version.version_id is not None:
            request["VersionId"] = version.version_id
        elif version is not None:
            request["IfMatch"] = version.tag
        try:
            self._bucket.call(f"deleting {key}", lambda: self._bucket.client.delete_object(**request))
        except StoreUnavailable as error:  # servers refuse with 403, 400 or worse: the lock itself is asked
            if version is None or not self._still_locked(version):
                raise
            raise Retained(f"This version of {key} is locked in the bucket {self._bucket.name}") from error

    def _still_locked(self, version: Version) -> bool:
        try:
            return self.retention(version) is not None
        except ObjectMissing:
            return False

    def retain_until(self, version: Version, until: datetime) -> None:
        """See `ObjectStore.retain_until`; `StoreUnfit` where the bucket has no Object Lock."""
        until = whole_seconds(until)
        version_id = self._pinned(version)
        if not self.capabilities.locks_versions:
            raise StoreUnfit(f"The bucket {self._bucket.name} has no Object Lock, so {version.key} can't be locked")
        locks.lock(self._bucket, self._full(version.key), version_id, until, self._mode)

    def retention(self, version: Version) -> datetime | None:
        """See `ObjectStore.retention`; a lock that has ended is None."""
        if not self.capabilities.locks_versions:
            return None
        found = locks.locked_until(self._bucket, self._full(version.key), self._pinned(version))
        return found[0] if found is not None and found[0] > self._now() else None

    def hold(self, version: Version, *, is_held: bool) -> None:
        """See `storage.base.HoldsVersions`; `StoreUnfit` where the bucket has no Object Lock."""
        locks.hold(self._bucket, self._full(version.key), self._pinned(version), is_on=is_held)

    def is_held(self, version: Version) -> bool:
        """See `storage.base.HoldsVersions`."""
        return locks.is_held(self._bucket, self._full(version.key), self._pinned(version))

    def repair(self, key: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Version:
        """See `ObjectStore.repair`; the new version is locked as long as any older one of the key."""
        full = self._full(key)
        with writing.verified(key, source, sha256=sha256, size_bytes=size_bytes) as body:
            if good := self._good(key, sha256, size_bytes):
                return good
            until = locks.longest_of(self, key) if self.capabilities.locks_versions else None
            version = self._send(key, full, body, sha256=sha256, size_bytes=size_bytes, if_absent=False)
        if until is not None:
            self.retain_until(version, until)
        read_back(self, key, sha256=sha256, size_bytes=size_bytes, version=version)
        return version

    def sweep_unfinished(self, *, older_than: timedelta) -> int:
        """See `storage.base.SweepsUnfinished`: drops uploads in parts that were never completed."""
        return writing.drop_unfinished(self._bucket, self._prefix, before=self._now() - older_than)

    def self_test(self) -> None:
        """See `ObjectStore.self_test`; writes below ``self-test/`` at the root of the bucket."""
        at_root = S3Store(
            self._bucket.client,
            self._bucket.name,
            compliance=self._mode == "COMPLIANCE",
            limits=self._limits,
            now=self._now,
        )
        proof.prove_server(at_root, self._bucket, now=self._now)

    def _full(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _shares_server(self, other: "S3Store") -> bool:
        return self._bucket.client.meta.endpoint_url == other._bucket.client.meta.endpoint_url

    def _head(self, key: str) -> "HeadObjectOutputTypeDef":
        try:
            return reading.head(self._bucket, self._full(key))
        except Refused as refused:
            if refused.is_missing:
                raise ObjectMissing(f"{key} is not in the bucket {self._bucket.name}") from refused
            raise

    def _standing(self, key: str, sha256: str, size_bytes: int) -> Version | None:
        """Return the version under `key` if it has these bytes, None if nothing is there; raises `KeyTaken`."""
        try:
            found = self.stat(key)
            if found.size_bytes == size_bytes:
                read_back(self, key, sha256=sha256, size_bytes=size_bytes, version=found.version)
                return found.version
        except ObjectMissing:
            return None
        except DigestMismatch as mismatch:
            raise KeyTaken(f"Other bytes stand under {key} in the bucket {self._bucket.name}") from mismatch
        raise KeyTaken(f"Other bytes stand under {key} in the bucket {self._bucket.name}; nothing was written")

    def _refuse_folder(self, key: str) -> None:
        """Raise `BadKey` if keys lie below `key`: some servers then say 412 to a put and 404 to a HEAD."""
        if next(reading.objects(self._bucket, self._prefix, f"{key}/"), None) is not None:
            raise BadKey(f"{key} can't be stored: it is the folder of other keys")

    def _good(self, key: str, sha256: str, size_bytes: int) -> Version | None:
        """Return the version under `key` if its bytes are good; what can't be read is not."""
        try:
            return self._standing(key, sha256, size_bytes)
        except (KeyTaken, StoreUnavailable):  # some servers answer 500 for rotten bytes; a put does no harm then
            return None

    def _pinned(self, version: Version) -> str | None:
        """Return the id of a version; one without an id must be the newest state of its key."""
        if version.version_id is not None:
            return version.version_id
        newest = self.stat(version.key).version
        if newest.tag != version.tag:
            raise ObjectMissing(f"{version.key} is no longer that version in the bucket {self._bucket.name}")
        return newest.version_id
