"""Getting bytes into a bucket, never over what stands there.

Which request is atomic was measured with 8 writers at once (SeaweedFS 4.48):
PutObject and CopyObject with ``If-None-Match: *`` had one winner in 40 of 40
races, CompleteMultipartUpload with the same header up to four winners in 15 of
40. versitygw, MinIO and moto on the other hand ignore the header on CopyObject.
So single requests are used as long as S3 allows, and for copies it is asked
once which way the server keeps (`copies_conditionally`).
"""

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from storage.errors import DigestMismatch, StoreUnavailable
from storage.reading import mismatch
from storage.s3.calls import Bucket, Refused

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        CopyObjectRequestTypeDef,
        CopySourceTypeDef,
        CreateMultipartUploadRequestTypeDef,
        DeleteObjectRequestTypeDef,
        PutObjectRequestTypeDef,
    )

PART_BYTES = 64 << 20
_MOST_PARTS = 10_000
_HELD_IN_MEMORY_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20


def base64_digest(sha256: str) -> str:
    """Return a SHA-256 given in hex as S3 writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def part_size(size_bytes: int, *, least: int = PART_BYTES) -> int:
    """Return the part length with which an object of `size_bytes` fits into S3's 10,000 parts."""
    return max(least, -(-size_bytes // _MOST_PARTS))


@contextmanager
def verified(name: str, source: BinaryIO, *, sha256: str, size_bytes: int) -> Iterator[BinaryIO]:
    """Give the bytes of `source` as a file that can be rewound, after their digest and length were compared.

    A source that can't be rewound to its beginning is held in memory, above 32 MiB on disk.

    Raises
    ------
    DigestMismatch
        `source` does not have this digest or length; nothing was sent.
    """
    with tempfile.SpooledTemporaryFile(max_size=_HELD_IN_MEMORY_BYTES) as held:
        rewinds = source.seekable() and source.tell() == 0  # botocore rewinds to 0 when it sends again
        digest, size = hashlib.sha256(), 0
        while size <= size_bytes and (piece := source.read(min(_PIECE_BYTES, size_bytes + 1 - size))):
            digest.update(piece)
            size += len(piece)
            if not rewinds:
                held.write(piece)
        found = (digest.hexdigest(), size)
        if found != (sha256, size_bytes):
            raise DigestMismatch(mismatch(name, found=found, sha256=sha256, size_bytes=size_bytes))
        body = source if rewinds else held
        body.seek(0)
        yield body  # type: ignore[misc]  # a SpooledTemporaryFile is a BinaryIO in all but name


def put_whole(bucket: Bucket, request: "PutObjectRequestTypeDef", *, size_bytes: int) -> tuple[str, str | None]:
    """Send one PutObject; return ETag and version id."""
    answer = bucket.call(
        f"putting {request['Key']}", lambda: bucket.client.put_object(**request), size_bytes=size_bytes
    )
    return answer["ETag"], answer.get("VersionId")


def put_in_parts(
    bucket: Bucket, key: str, body: BinaryIO, *, size_bytes: int, if_absent: bool
) -> tuple[str, str | None]:
    """Send a verified file in parts; return ETag and version id.

    Raises
    ------
    Refused
        412: something stands under `key`.
    """
    name, client = bucket.name, bucket.client
    part_bytes = part_size(size_bytes, least=min(PART_BYTES, bucket.limits.put_bytes))
    with _multipart(bucket, key, checksums=True) as upload:
        parts: list[CompletedPartTypeDef] = []
        while piece := body.read(part_bytes):
            number, checksum = len(parts) + 1, base64_digest(hashlib.sha256(piece).hexdigest())

            def send(number: int = number, piece: bytes = piece, checksum: str = checksum) -> str:
                return client.upload_part(
                    Bucket=name, Key=key, UploadId=upload, PartNumber=number, Body=piece, ChecksumSHA256=checksum
                )["ETag"]

            etag = bucket.call(f"putting part {number} of {key}", send, size_bytes=len(piece))
            parts.append({"PartNumber": number, "ETag": etag, "ChecksumSHA256": checksum})
        return _complete(bucket, key, upload, parts, size_bytes=size_bytes, if_absent=if_absent)


def copy_whole(
    bucket: Bucket, source: "CopySourceTypeDef", key: str, *, etag: str, size_bytes: int
) -> tuple[str, str | None]:
    """Copy on the server with one conditional CopyObject; return ETag and version id of the copy.

    Raises
    ------
    Refused
        412: something stands under `key`, or the source is no longer `etag`.
    """
    request: CopyObjectRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": key,
        "CopySource": source,
        "CopySourceIfMatch": etag,
        "IfNoneMatch": "*",
    }
    answer = bucket.call(f"copying to {key}", lambda: bucket.client.copy_object(**request), size_bytes=size_bytes)
    return answer["CopyObjectResult"]["ETag"], answer.get("VersionId")


def copy_in_parts(
    bucket: Bucket,
    source: "CopySourceTypeDef",
    key: str,
    *,
    etag: str,
    size_bytes: int,
) -> tuple[str, str | None]:
    """Copy on the server in parts, whose completion is conditional; return ETag and version id of the copy.

    Raises
    ------
    Refused
        412: something stands under `key`, or the source is no longer `etag`.
    """
    name, client = bucket.name, bucket.client
    step = part_size(size_bytes, least=bucket.limits.copy_bytes)
    with _multipart(bucket, key, checksums=False) as upload:
        parts: list[CompletedPartTypeDef] = []
        for start in range(0, size_bytes, step):
            number, extent = len(parts) + 1, f"bytes={start}-{min(start + step, size_bytes) - 1}"

            def copy(number: int = number, extent: str = extent) -> str:
                return client.upload_part_copy(
                    Bucket=name,
                    Key=key,
                    UploadId=upload,
                    PartNumber=number,
                    CopySource=source,
                    CopySourceIfMatch=etag,
                    CopySourceRange=extent,
                )["CopyPartResult"]["ETag"]

            parts.append(
                {"PartNumber": number, "ETag": bucket.call(f"copying part {number} of {key}", copy, size_bytes=step)}
            )
        return _complete(bucket, key, upload, parts, size_bytes=size_bytes, if_absent=True)


@contextmanager
def _multipart(bucket: Bucket, key: str, *, checksums: bool) -> Iterator[str]:
    """Begin an upload in parts and give its id; whatever goes wrong inside, the parts are dropped.

    With `checksums` each part must have its SHA-256; parts copied on the server have none.
    """
    request: CreateMultipartUploadRequestTypeDef = {"Bucket": bucket.name, "Key": key}
    if checksums:
        request["ChecksumAlgorithm"] = "SHA256"
    answer = bucket.call(f"beginning {key}", lambda: bucket.client.create_multipart_upload(**request))
    upload = answer["UploadId"]
    try:
        yield upload
    except BaseException:
        with suppress(StoreUnavailable):  # the first error counts; what stays is swept
            _abort(bucket, key, upload)
        raise


def _complete(
    bucket: Bucket, key: str, upload: str, parts: "list[CompletedPartTypeDef]", *, size_bytes: int, if_absent: bool
) -> tuple[str, str | None]:
    request: CompleteMultipartUploadRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": key,
        "UploadId": upload,
        "MultipartUpload": {"Parts": parts},
    }
    if if_absent:
        request["IfNoneMatch"] = "*"
    answer = bucket.call(
        f"completing {key}", lambda: bucket.client.complete_multipart_upload(**request), size_bytes=size_bytes
    )
    return answer["ETag"], answer.get("VersionId")


def drop_unfinished(bucket: Bucket, prefix: str, *, before: datetime) -> int:
    """Drop uploads in parts below `prefix` that were begun before `before` (aware); return how many."""
    name, client = bucket.name, bucket.client
    pages = iter(client.get_paginator("list_multipart_uploads").paginate(Bucket=name, Prefix=prefix))
    dropped = 0
    while (page := bucket.call("listing uploads", lambda: next(pages, None))) is not None:
        for upload in page.get("Uploads", []):
            if upload["Initiated"] < before:
                _abort(bucket, upload["Key"], upload["UploadId"])
                dropped += 1
    return dropped


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    bucket.call(
        f"dropping {key}",
        lambda: bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload),
    )


def copies_conditionally(bucket: Bucket) -> bool:
    """Try on two small objects below ``self-test/`` whether CopyObject obeys ``If-None-Match``; remove them again."""
    source, target = (f"self-test/copy-{uuid4().hex}/{end}" for end in ("source", "target"))
    written: list[tuple[str, str | None]] = []

    def put(key: str) -> str:
        request: PutObjectRequestTypeDef = {"Bucket": bucket.name, "Key": key, "Body": key.encode()}
        etag, version_id = put_whole(bucket, request, size_bytes=0)
        written.append((key, version_id))
        return etag

    try:
        etag = put(source)
        put(target)
        _, version_id = copy_whole(bucket, {"Bucket": bucket.name, "Key": source}, target, etag=etag, size_bytes=0)
        written.append((target, version_id))
    except Refused as refused:
        if refused.status not in {409, 412}:
            raise
        return True
    finally:
        for key, version_id in written:
            _drop(bucket, key, version_id)
    return False


def _drop(bucket: Bucket, key: str, version_id: str | None) -> None:
    request: DeleteObjectRequestTypeDef = {"Bucket": bucket.name, "Key": key}
    if version_id is not None:
        request["VersionId"] = version_id
    with suppress(StoreUnavailable):  # a bucket with a default lock keeps it; the self-test sweeps it later
        bucket.call(f"removing {key}", lambda: bucket.client.delete_object(**request))
