"""Getting bytes and lists out of a bucket."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from storage.base import ObjectStat, Version
from storage.errors import StoreUnavailable
from storage.s3.calls import Bucket, Refused

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import (
        DeleteMarkerEntryTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectOutputTypeDef,
        HeadObjectRequestTypeDef,
        ListObjectsV2OutputTypeDef,
        ListObjectVersionsOutputTypeDef,
        ObjectVersionTypeDef,
    )

Page = TypeVar("Page", "ListObjectsV2OutputTypeDef", "ListObjectVersionsOutputTypeDef")

PIECE_BYTES = 1 << 20


def version_of(key: str, etag: str, version_id: str | None) -> Version:
    """Return the version a server's answer names.

    The id "null" means that the bucket keeps none. SeaweedFS leaves out the
    quotes of the ETag in its answer to a copy, and only there.
    """
    named = None if version_id in {None, "", "null"} else version_id
    return Version(key=key, tag='"{}"'.format(etag.strip('"')), version_id=named)


def head(bucket: Bucket, key: str, version_id: str | None = None) -> "HeadObjectOutputTypeDef":
    """Ask for the state of an object.

    Raises
    ------
    Refused
        `Refused.is_missing`, if the object is not there. The answer to a HEAD
        has no body and can't say whether it is the bucket that is gone, so
        the bucket is then looked for too.
    """
    request: HeadObjectRequestTypeDef = {"Bucket": bucket.name, "Key": key}
    if version_id is not None:
        request["VersionId"] = version_id
    try:
        return bucket.call(f"looking at {key}", lambda: bucket.client.head_object(**request))
    except Refused as refused:
        if not refused.is_missing:
            raise
        try:
            bucket.call("looking for the bucket", lambda: bucket.client.head_bucket(Bucket=bucket.name))
        except Refused as gone:
            raise StoreUnavailable(f"The bucket {bucket.name} is not there") from gone
        raise


def pieces(bucket: Bucket, request: "GetObjectRequestTypeDef") -> Iterator[bytes]:
    """Yield the bytes one GetObject brings; each piece has the whole deadline.

    Raises
    ------
    Refused
        Before the first piece: the object is not there, or the range is beyond its end (416).
    DigestMismatch
        At the end: the bytes do not have the checksum the server gave with them.
    """
    doing, body = f"reading {request['Key']}", Body()
    try:
        bucket.call(doing, lambda: body.ask(lambda: bucket.client.get_object(**request)["Body"]))
        # The read that finds the end compares length and checksum.
        while piece := bucket.call(doing, lambda: body.read(PIECE_BYTES)):
            yield piece
    finally:
        body.leave()


class Readable(Protocol):
    """What an answer brings its bytes in."""

    def read(self, amt: int) -> bytes:
        """Return so many bytes, none at the end."""

    def close(self) -> None:
        """Close the connection."""


class Body:
    """The bytes of one answer; the last to use them closes their connection.

    A call that was given up goes on in its own thread. Closing under it would wait for it, and nobody closing would
    leave the connection open until the memory is tidied.
    """

    def __init__(self) -> None:
        self._stream: Readable | None = None
        self._in_use = threading.Lock()
        self._left = False

    def ask(self, answer: Callable[[], Readable]) -> None:
        """Wait for the answer."""
        with self._in_use:
            self._stream = answer()
        self._close_if_left()

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes of the answer, none at its end."""
        try:
            with self._in_use:
                assert self._stream is not None, "asked first"
                return self._stream.read(size_bytes)
        finally:
            self._close_if_left()

    def leave(self) -> None:
        """Close the connection: now, or when the call that still uses it ends."""
        self._left = True
        if self._in_use.acquire(blocking=False):
            self._in_use.release()
            self._close_if_left()

    def _close_if_left(self) -> None:
        # Looked at after the lock is free: whoever leaves then either finds it free, or is seen here.
        if self._left and self._stream is not None:
            self._stream.close()


def objects(bucket: Bucket, above: str, prefix: str) -> Iterator[ObjectStat]:
    """Yield the objects whose key, without `above`, begins with `prefix`, in order of key."""
    paginator = bucket.client.get_paginator("list_objects_v2")
    for page in _pages(bucket, prefix, iter(paginator.paginate(Bucket=bucket.name, Prefix=above + prefix))):
        for entry in page.get("Contents", []):
            yield ObjectStat(
                version=version_of(entry["Key"].removeprefix(above), entry["ETag"], None),
                size_bytes=entry["Size"],
                modified=entry["LastModified"].astimezone(UTC),
            )


def versions(bucket: Bucket, above: str, prefix: str) -> Iterator[tuple[ObjectStat, bool]]:
    """Yield all states below `prefix`, delete markers too, and whether each is the newest of its key.

    In order of key, per key newest first. S3 gives versions and delete markers
    of a page as two lists; between them the time of change (in seconds) decides.
    """
    paginator = bucket.client.get_paginator("list_object_versions")
    for page in _pages(bucket, prefix, iter(paginator.paginate(Bucket=bucket.name, Prefix=above + prefix))):
        found = [_stat(entry, above, marker=False) for entry in page.get("Versions", [])]
        found += [_stat(entry, above, marker=True) for entry in page.get("DeleteMarkers", [])]
        yield from sorted(found, key=_by_key_newest_first)


def _pages(bucket: Bucket, prefix: str, pages: Iterator[Page]) -> Iterator[Page]:
    """Yield the pages of a list, each fetched with the whole deadline.

    A page that does not say whether it is the last is no list at all: botocore
    reads the login page of a proxy as an empty one, and an archive would look empty.
    """
    while (page := bucket.call(f"listing {prefix!r}", lambda: next(pages, None))) is not None:
        if "IsTruncated" not in page:
            raise StoreUnavailable(f"What the server sent is no list of the bucket {bucket.name}")
        yield page


def _stat(
    entry: "ObjectVersionTypeDef | DeleteMarkerEntryTypeDef", above: str, *, marker: bool
) -> tuple[ObjectStat, bool]:
    stat = ObjectStat(
        version=version_of(entry["Key"].removeprefix(above), str(entry.get("ETag", "")), entry.get("VersionId")),
        size_bytes=int(str(entry.get("Size", 0))),
        modified=entry["LastModified"].astimezone(UTC),
        is_delete_marker=marker,
    )
    return stat, entry["IsLatest"]


def _by_key_newest_first(found: tuple[ObjectStat, bool]) -> tuple[str, bool, float]:
    stat, newest = found
    return stat.key, not newest, -datetime.timestamp(stat.modified)
