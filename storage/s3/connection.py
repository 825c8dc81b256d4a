"""Reaching an S3 server, and making the buckets this program needs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import StoreUnfit
from storage.s3.calls import Bucket, Refused

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.literals import BucketLocationConstraintType

DEFAULT_REGION = "us-east-1"


def connect(
    endpoint_url: str | None,
    region: str,
    access_key: str,
    secret_key: str,
    *,
    ca_file: Path | None = None,
    proxies: Mapping[str, str] | None = None,
) -> "S3Client":
    """Return a client for one S3 server, to be shared by all stores and threads.

    Neither the environment nor the files in ``~/.aws`` are read: what is
    given here is all that counts. Nothing is sent yet.

    Parameters
    ----------
    endpoint_url
        Such as ``https://s3.hospital.example:9000``; None for Amazon's own.
    region
        The server's region; small servers take any.
    access_key, secret_key
        The program's account. It should not have the right to bypass Object Lock.
    ca_file
        Certificates that are trusted, PEM; None for those of the certifi package.
    proxies
        Proxy per scheme, ``{"https": "http://proxy:3128"}``; none by default.
    """
    import botocore.session
    from boto3.session import Session
    from botocore.config import Config
    from botocore.handlers import add_expect_header

    quiet = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
        "ca_bundle": (None, None, None, None),
        "ignore_configured_endpoint_urls": (None, None, True, None),
    }
    session = Session(botocore_session=botocore.session.Session(session_vars=quiet))
    client = session.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=str(ca_file) if ca_file else None,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 3, "mode": "standard"},
            request_checksum_calculation="when_supported",
            response_checksum_validation="when_supported",
            s3={"addressing_style": "path"},
            proxies=dict(proxies or {}),
            max_pool_connections=32,
        ),
    )
    # A server that dies between "100 Continue" and the blank line makes botocore 1.44 spin for ever; without
    # the Expect header nobody sends a "100 Continue".
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


def ensure_bucket(client: "S3Client", bucket: str, *, lock: bool) -> None:
    """Make a bucket unless it exists; with `lock` it has versions and Object Lock.

    Raises
    ------
    StoreUnfit
        The bucket exists without Object Lock: that can only be set when a bucket is made.
    StoreUnavailable
        The server can't be reached, or the account may not make buckets.
    """
    place = Bucket(client=client, name=bucket)
    try:
        place.call("looking for the bucket", lambda: client.head_bucket(Bucket=bucket))
    except Refused as missing:
        if missing.status != 404:
            raise
        place.call("making the bucket", lambda: _create(client, bucket, lock=lock))
    if lock and not locks_versions(place):
        raise StoreUnfit(f"The bucket {bucket} has no Object Lock; it can only be had when a bucket is made.")


def _create(client: "S3Client", bucket: str, *, lock: bool) -> None:
    region: BucketLocationConstraintType = client.meta.region_name  # type: ignore[assignment]
    if region == DEFAULT_REGION:
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
    else:
        client.create_bucket(
            Bucket=bucket, ObjectLockEnabledForBucket=lock, CreateBucketConfiguration={"LocationConstraint": region}
        )


def keeps_versions(bucket: Bucket) -> bool:
    """Ask the server whether this bucket keeps older versions."""
    answer = bucket.call("asking for versioning", lambda: bucket.client.get_bucket_versioning(Bucket=bucket.name))
    return answer.get("Status") == "Enabled"


def locks_versions(bucket: Bucket) -> bool:
    """Ask the server whether this bucket has Object Lock."""
    try:
        answer = bucket.call(
            "asking for Object Lock", lambda: bucket.client.get_object_lock_configuration(Bucket=bucket.name)
        )
    except Refused as refused:
        if refused.status == 403 or refused.reason == "NoSuchBucket":
            raise
        return False  # 404 ObjectLockConfigurationNotFoundError; some servers say 400
    return answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
