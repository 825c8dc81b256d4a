"""The start-up self-test of an S3 server: does it do what this program relies on?

The outcome of the whole test is `StoreUnfit` with the promise that does not
hold. Many servers accept headers they do not obey; only trying tells.
"""

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from storage import self_test
from storage.base import ObjectStore, Version
from storage.errors import DigestMismatch, ObjectMissing, Retained, StoreUnavailable
from storage.s3 import writing
from storage.s3.calls import Bucket, Refused

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import PutObjectRequestTypeDef

FOLDER = "self-test"
LOCK_FOR = timedelta(seconds=60)
_LEFT_AFTER = timedelta(minutes=10)
_LARGEST_SKEW = timedelta(seconds=60)


def prove_server(store: ObjectStore, bucket: Bucket, *, now: Callable[[], datetime]) -> None:
    """Prove the promises of a bucket with small objects below ``self-test/``.

    In a bucket with Object Lock one of them stays locked for 60 s; the next
    self-test removes what earlier ones left.

    Parameters
    ----------
    store
        A store at the root of `bucket`.
    bucket
        The bucket, for requests the port would never make.
    now
        Our clock, compared with the server's.

    Raises
    ------
    StoreUnfit
        A promise does not hold; the message names it.
    StoreUnavailable
        The server could not be reached.
    """
    prove_clock(bucket, now=now)
    sweep(store, before=now() - _LEFT_AFTER)
    folder = f"{FOLDER}/{uuid4().hex}"
    self_test.prove_port(store, folder)
    prove_checksum(store, bucket, f"{folder}/checksum")
    if store.capabilities.locks_versions:
        prove_lock(store, bucket, folder, until=now() + LOCK_FOR)


def prove_clock(bucket: Bucket, *, now: Callable[[], datetime]) -> None:
    """Prove that both clocks differ by at most 60 s: retention is set by ours and kept by the server's."""
    answer = bucket.call("looking for the bucket", lambda: bucket.client.head_bucket(Bucket=bucket.name))
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is not None:
        skew = abs(parsedate_to_datetime(told) - now())
        self_test.demand(
            skew <= _LARGEST_SKEW, f"the clocks of store and program agree within 60 s (they differ by {skew})"
        )


def sweep(store: ObjectStore, *, before: datetime) -> None:
    """Remove what earlier self-tests left because it was locked then."""
    for stat in list(store.list_versions(f"{FOLDER}/")):
        if stat.modified < before:
            with suppress(Retained):
                store.delete(stat.key, version=stat.version)


def prove_checksum(store: ObjectStore, bucket: Bucket, key: str) -> None:
    """Prove that the server itself refuses bytes with a wrong SHA-256."""
    request: PutObjectRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": key,
        "Body": self_test.OTHER,
        "ChecksumSHA256": writing.base64_digest(self_test.digest(self_test.FIRST)),
    }
    accepted = True
    try:
        writing.put_whole(bucket, request, size_bytes=0)
    except (DigestMismatch, Refused):
        accepted = False
    try:
        stored = store.stat(key).version
    except ObjectMissing:
        stored = None
    if stored is not None:
        store.delete(key, version=stored)
    self_test.demand(not accepted and stored is None, "bytes with a wrong checksum (SHA-256) are refused by the server")


def prove_lock(store: ObjectStore, bucket: Bucket, folder: str, *, until: datetime) -> None:
    """Prove that a *copied* object can be locked and that neither a delete nor a bypass by our account removes it."""
    self_test.demand(store.capabilities.keeps_versions, "a bucket with Object Lock keeps versions")
    key, source = f"{folder}/locked-for-60-seconds", f"{folder}/source"
    digest, size = self_test.digest(self_test.FIRST), len(self_test.FIRST)
    with self_test.step("a copied object can be locked"):
        original = store.put_if_absent(source, io.BytesIO(self_test.FIRST), sha256=digest, size_bytes=size)
        copy = store.copy_if_absent(source, key, sha256=digest)
        store.retain_until(copy, until)
        store.delete(source, version=original)
    refused = False
    try:
        store.delete(key, version=copy)
    except Retained:
        refused = True
    self_test.demand(refused, "a locked copy can't be deleted")
    _try_bypass(bucket, copy)
    kept = False
    with suppress(ObjectMissing):
        kept = store.read_bytes(key, version=copy) == self_test.FIRST
    self_test.demand(
        kept,
        "this program's account can't remove a locked copy by bypassing its retention. Take the right"
        " s3:BypassGovernanceRetention from it at the server (on SeaweedFS: no Admin action), or lock for good with"
        ' store.lock_mode = "compliance"',
    )


def _try_bypass(bucket: Bucket, locked: Version) -> None:
    with suppress(StoreUnavailable):  # being refused is what is wanted; whether it was is seen by reading
        bucket.call(
            "bypassing a lock",
            lambda: bucket.client.delete_object(
                Bucket=bucket.name,
                Key=locked.key,
                VersionId=locked.version_id or "",
                BypassGovernanceRetention=True,
            ),
        )
