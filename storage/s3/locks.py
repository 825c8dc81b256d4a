"""Object Lock: keeping a version until a date, or until it is let go (legal hold).

A server's word is not taken: a lock is read back after it was set (SeaweedFS
ignores lock headers on copies), and a removal that was refused is judged by
reading the lock, because servers refuse with different codes (403, 400).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from storage.base import ObjectStore
from storage.errors import ObjectMissing, StoreUnfit
from storage.s3.calls import Bucket, Refused

if TYPE_CHECKING:
    from types_boto3_s3.literals import ObjectLockRetentionModeType
    from types_boto3_s3.type_defs import (
        GetObjectLegalHoldRequestTypeDef,
        GetObjectRetentionRequestTypeDef,
        PutObjectLegalHoldRequestTypeDef,
        PutObjectRetentionRequestTypeDef,
    )

_NOT_LOCKED = frozenset({"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest"})
_NOT_HELD = _NOT_LOCKED | {"NoSuchObjectLegalHold"}
_T = TypeVar("_T")


def locked_until(bucket: Bucket, key: str, version_id: str | None) -> tuple[datetime, str] | None:
    """Return end (aware UTC) and mode of a version's lock, None if it never had one.

    Raises
    ------
    ObjectMissing
        That version is not there.
    """
    request: GetObjectRetentionRequestTypeDef = {"Bucket": bucket.name, "Key": key}
    if version_id is not None:
        request["VersionId"] = version_id
    answer = _asked(bucket, key, "lock", lambda: bucket.client.get_object_retention(**request), says_none=_NOT_LOCKED)
    found = answer.get("Retention", {}) if answer else {}
    if "RetainUntilDate" not in found:
        return None
    return found["RetainUntilDate"].astimezone(UTC), found.get("Mode", "")


def lock(
    bucket: Bucket, key: str, version_id: str | None, until: datetime, mode: "ObjectLockRetentionModeType"
) -> None:
    """Lock a version until `until` (aware UTC, whole seconds), never shortening its lock, and read the lock back.

    Raises
    ------
    ObjectMissing
        That version is not there.
    StoreUnfit
        The server did not keep the lock, or the bucket has no Object Lock.
    """
    before = locked_until(bucket, key, version_id)
    if before is not None and before[0] >= until:
        return
    if before is not None and before[1] == "COMPLIANCE":
        mode = "COMPLIANCE"  # a mode is never weakened
    request: PutObjectRetentionRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": key,
        "Retention": {"Mode": mode, "RetainUntilDate": until},
    }
    if version_id is not None:
        request["VersionId"] = version_id
    try:
        bucket.call(f"locking {key}", lambda: bucket.client.put_object_retention(**request))
    except Refused as refused:
        if refused.is_missing:
            raise ObjectMissing(f"{key} is not in the bucket {bucket.name} (in that version)") from refused
        raise StoreUnfit(f"The bucket {bucket.name} takes no lock on {key}: {refused}") from refused
    after = locked_until(bucket, key, version_id)
    if after is None or after[0] < until:
        told = "none" if after is None else after[0].isoformat()
        raise StoreUnfit(f"{key} was to be locked until {until.isoformat()}, but its lock reads {told}")


def longest_of(store: ObjectStore, key: str) -> datetime | None:
    """Return until when the version of a key that is locked longest is, None if none is."""
    ends = [
        store.retention(one.version) for one in store.list_versions(key) if one.key == key and not one.is_delete_marker
    ]
    return max((end for end in ends if end is not None), default=None)


def is_held(bucket: Bucket, key: str, version_id: str | None) -> bool:
    """Return whether a version is under legal hold.

    Raises
    ------
    ObjectMissing
        That version is not there.
    """
    request: GetObjectLegalHoldRequestTypeDef = {"Bucket": bucket.name, "Key": key}
    if version_id is not None:
        request["VersionId"] = version_id
    answer = _asked(bucket, key, "hold", lambda: bucket.client.get_object_legal_hold(**request), says_none=_NOT_HELD)
    return answer is not None and answer.get("LegalHold", {}).get("Status") == "ON"


def hold(bucket: Bucket, key: str, version_id: str | None, *, is_on: bool) -> None:
    """Put a version under legal hold or let it go, and read that back.

    Raises
    ------
    ObjectMissing
        That version is not there.
    StoreUnfit
        The server did not keep what it was told.
    """
    if is_held(bucket, key, version_id) is is_on:
        return
    request: PutObjectLegalHoldRequestTypeDef = {
        "Bucket": bucket.name,
        "Key": key,
        "LegalHold": {"Status": "ON" if is_on else "OFF"},
    }
    if version_id is not None:
        request["VersionId"] = version_id
    try:
        bucket.call(f"holding {key}", lambda: bucket.client.put_object_legal_hold(**request))
    except Refused as refused:
        raise StoreUnfit(f"The bucket {bucket.name} takes no legal hold on {key}: {refused}") from refused
    if is_held(bucket, key, version_id) is not is_on:
        raise StoreUnfit(f"The legal hold of {key} in the bucket {bucket.name} is not what it was set to")


def _asked(bucket: Bucket, key: str, what: str, call: Callable[[], _T], *, says_none: frozenset[str]) -> _T | None:
    """Return what a server tells of a version; None where its refusal says that there is no lock or hold."""
    try:
        return bucket.call(f"reading the {what} of {key}", call)
    except Refused as refused:
        if refused.is_missing:
            raise ObjectMissing(f"{key} is not in the bucket {bucket.name} (in that version)") from refused
        if refused.reason in says_none:
            return None
        raise
