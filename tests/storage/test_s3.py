"""What only the S3 store promises: large objects, long lists, Object Lock, and finding out unfit servers."""

import hashlib
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from moto import mock_aws

from storage.base import ObjectStore, SweepsUnfinished, Version
from storage.errors import BadKey, DigestMismatch, KeyTaken, ObjectMissing, Retained, StoreUnavailable, StoreUnfit
from storage.reading import read_back
from storage.s3 import Limits, S3Store, connect, ensure_bucket, proof, writing
from storage.s3.calls import Bucket
from tests.conformance.object_stores import put, sha256
from tests.servers.seaweedfs import Seaweed

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ONE, TWO = b"first bytes", b"other bytes"
LARGE = hashlib.shake_256(b"large").digest(11 << 20)
SMALL_LIMITS = Limits(put_bytes=5 << 20, copy_bytes=5 << 20)  # S3's smallest part is 5 MiB
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@pytest.fixture
def moto_client() -> Iterator["S3Client"]:
    """A client of moto, with one bucket named ``bucket``."""
    with mock_aws():
        client = connect(None, "us-east-1", "any", "any")
        ensure_bucket(client, "bucket", lock=False)
        yield client


@pytest.fixture(scope="module")
def buckets(seaweedfs: Seaweed) -> dict[bool, str]:
    """One bucket without and one with Object Lock."""
    return {lock: seaweedfs.fresh_bucket(lock=lock) for lock in (False, True)}


@pytest.fixture
def locking(seaweedfs: Seaweed, buckets: dict[bool, str]) -> S3Store:
    """A store of the program's account in the bucket with Object Lock, empty."""
    return S3Store(seaweedfs.client(), buckets[True], prefix=f"{uuid4().hex}/")


@pytest.fixture(params=["moto", pytest.param("seaweedfs", marks=pytest.mark.server)])
def small(request: pytest.FixtureRequest) -> S3Store:
    """A store for which 11 MiB are many parts."""
    if request.param == "moto":
        return S3Store(request.getfixturevalue("moto_client"), "bucket", limits=SMALL_LIMITS)
    server: Seaweed = request.getfixturevalue("seaweedfs")
    bucket = request.getfixturevalue("buckets")[False]
    return S3Store(server.client(), bucket, prefix=f"{uuid4().hex}/", limits=SMALL_LIMITS)


def unfinished(store: S3Store) -> int:
    """Return how many uploads in parts lie there, by dropping them."""
    return store.sweep_unfinished(older_than=timedelta(hours=-1))


def test_store_when_asked_then_it_keeps_the_port(moto_client: "S3Client") -> None:
    port: ObjectStore = S3Store(moto_client, "bucket")

    assert isinstance(port, SweepsUnfinished)


@pytest.mark.parametrize("prefix", ["no-slash", "/a/", "a//", "../"])
def test_store_when_prefix_is_no_folder_then_the_store_is_refused(moto_client: "S3Client", prefix: str) -> None:
    with pytest.raises((ValueError, BadKey)):
        S3Store(moto_client, "bucket", prefix=prefix)


# --- large objects ---------------------------------------------------------------------------------------------------


def test_put_when_object_is_large_then_it_travels_in_parts_and_never_over_another(small: S3Store) -> None:
    version = put(small, "large", LARGE)

    assert read_back(small, "large", sha256=sha256(LARGE), size_bytes=len(LARGE), version=version)
    assert version.tag.endswith('-3"')  # the ETag of an object in three parts
    assert put(small, "large", LARGE) == version
    with pytest.raises(KeyTaken):
        put(small, "large", LARGE[::-1])
    with pytest.raises(DigestMismatch):
        small.put_if_absent("new", io.BytesIO(LARGE), sha256=sha256(ONE), size_bytes=len(LARGE))
    assert small.read_bytes("large") == LARGE
    assert unfinished(small) == 0


def test_put_when_key_is_taken_during_the_upload_then_the_parts_are_dropped(
    small: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(small, "large", ONE)
    look, looks = S3Store._standing, [0]

    def look_too_early(self: S3Store, key: str, digest: str, size_bytes: int) -> Version | None:
        looks[0] += 1
        return None if looks[0] == 1 else look(self, key, digest, size_bytes)

    monkeypatch.setattr(S3Store, "_standing", look_too_early)

    with pytest.raises(KeyTaken):
        put(small, "large", LARGE)
    assert small.read_bytes("large") == ONE
    assert unfinished(small) == 0


def test_copy_when_object_is_large_then_the_server_copies_parts(small: S3Store) -> None:
    put(small, "from", LARGE)

    version = small.copy_if_absent("from", "to", sha256=sha256(LARGE))

    assert read_back(small, "to", sha256=sha256(LARGE), size_bytes=len(LARGE), version=version)
    put(small, "taken", ONE)
    with pytest.raises(KeyTaken):
        small.copy_if_absent("from", "taken", sha256=sha256(LARGE))
    assert unfinished(small) == 0


def test_repair_when_object_is_large_then_it_travels_in_parts(small: S3Store) -> None:
    small.replace_if_match("large", ONE, expected=None)

    version = small.repair("large", io.BytesIO(LARGE), sha256=sha256(LARGE), size_bytes=len(LARGE))

    assert read_back(small, "large", sha256=sha256(LARGE), size_bytes=len(LARGE), version=version)


@pytest.mark.server
def test_sweep_when_an_upload_was_left_then_only_old_ones_of_this_store_go(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    ours, theirs = (f"{uuid4().hex}/" for _ in range(2))
    client = seaweedfs.client()
    for prefix in (ours, theirs):
        client.create_multipart_upload(Bucket=buckets[False], Key=f"{prefix}left")
    store, other = (S3Store(client, buckets[False], prefix=prefix) for prefix in (ours, theirs))

    assert store.sweep_unfinished(older_than=timedelta(days=1)) == 0
    assert unfinished(store) == 1
    assert unfinished(store) == 0
    assert unfinished(other) == 1


def test_part_size_when_object_is_huge_then_ten_thousand_parts_are_enough() -> None:
    for size in (1, writing.PART_BYTES, 5 << 40):
        part = writing.part_size(size)
        assert part >= writing.PART_BYTES
        assert -(-size // part) <= 10_000


# --- long lists ------------------------------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize("lock", [False, True])
def test_list_when_there_are_more_than_one_page_then_nothing_is_missing_or_twice(
    seaweedfs: Seaweed, buckets: dict[bool, str], lock: bool
) -> None:
    store = S3Store(seaweedfs.client(), buckets[lock], prefix=f"{uuid4().hex}/")
    keys = sorted(f"{folder}/{number:04d}" for folder in ("a", "a-b", "a/b", "b") for number in range(270))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put(store, key, key.encode()), keys))

    for prefix in ("", "a", "a/", "b/00"):
        expected = [key for key in keys if key.startswith(prefix)]
        assert sorted(stat.key for stat in store.list(prefix)) == expected
        assert sorted(stat.key for stat in store.list_versions(prefix)) == expected


# --- missing, or not reached -----------------------------------------------------------------------------------------


def test_stat_when_the_bucket_is_gone_then_nothing_is_called_missing(moto_client: "S3Client") -> None:
    store = S3Store(moto_client, "other")

    for use in (lambda: store.stat("k"), lambda: store.read_bytes("k"), lambda: list(store.list(""))):
        with pytest.raises(StoreUnavailable):
            use()


@pytest.mark.server
def test_every_call_when_secret_is_wrong_then_the_store_is_unavailable(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    store = S3Store(connect(seaweedfs.endpoint_url, "us-east-1", seaweedfs.access_key, "wrong"), buckets[False])

    for use in (lambda: put(store, "k", ONE), lambda: store.stat("k"), lambda: list(store.list(""))):
        with pytest.raises(StoreUnavailable):
            use()


@pytest.mark.server
def test_read_back_when_a_byte_flips_on_the_servers_disk_then_it_is_never_taken_for_whole(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    data = b"rot-test-" + hashlib.shake_256(b"rot").digest(5000)
    # This server reads a bad chunk again and again before it answers 500.
    impatient = Limits(deadline_s=3)
    store = S3Store(seaweedfs.client(), buckets[False], prefix=f"{uuid4().hex}/", limits=impatient)
    put(store, "k", data)
    flipped = 0
    for volume in (seaweedfs.folder / "data").rglob("*.dat"):
        content = volume.read_bytes()
        if (at := content.find(data)) >= 0:
            with volume.open("r+b") as file:
                file.seek(at + 2500)
                file.write(bytes([content[at + 2500] ^ 1]))
            flipped += 1
    assert flipped == 1

    with pytest.raises((DigestMismatch, StoreUnavailable)):
        read_back(store, "k", sha256=sha256(data), size_bytes=len(data))
    store.repair("k", io.BytesIO(data), sha256=sha256(data), size_bytes=len(data))
    assert read_back(store, "k", sha256=sha256(data), size_bytes=len(data))


# --- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_repair_when_a_stranger_laid_a_marker_and_other_bytes_over_sealed_ones_then_they_are_back_and_locked(
    seaweedfs: Seaweed, buckets: dict[bool, str], locking: S3Store
) -> None:
    sealed = put(locking, "sealed", ONE)
    locking.retain_until(sealed, SOON)
    prefix = locking._prefix
    stranger = seaweedfs.client()
    stranger.delete_object(Bucket=buckets[True], Key=f"{prefix}sealed")
    with pytest.raises(ObjectMissing):
        locking.stat("sealed")
    stranger.put_object(Bucket=buckets[True], Key=f"{prefix}sealed", Body=TWO, IfNoneMatch="*")

    assert locking.read_bytes("sealed", version=sealed) == ONE  # what the seal names is still there
    repaired = locking.repair("sealed", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE))

    assert locking.read_bytes("sealed") == ONE
    assert locking.retention(repaired) == SOON
    kinds = [stat.is_delete_marker for stat in locking.list_versions("sealed")]
    assert sorted(kinds) == [False, False, False, True]  # nothing was thrown away


@pytest.mark.server
def test_delete_when_the_lock_has_ended_then_the_version_goes(locking: S3Store) -> None:
    version = put(locking, "short", ONE)
    locking.retain_until(version, datetime.now(UTC) + timedelta(seconds=2))
    with pytest.raises(Retained):
        locking.delete("short", version=version)

    deadline = time.monotonic() + 30
    while locking.retention(version) is not None and time.monotonic() < deadline:
        time.sleep(0.2)  # the server's clock decides, and nobody can wind it
    locking.delete("short", version=version)

    assert list(locking.list_versions("short")) == []


@pytest.mark.server
def test_retain_when_mode_is_compliance_then_not_even_the_administrator_can_remove_it(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    prefix = f"{uuid4().hex}/"
    store = S3Store(seaweedfs.admin_client(), buckets[True], prefix=prefix, compliance=True)
    version = put(store, "sealed", ONE)
    store.retain_until(version, SOON)

    bucket = Bucket(client=seaweedfs.admin_client(), name=buckets[True])
    proof._try_bypass(bucket, version)

    assert store.read_bytes("sealed", version=version) == ONE
    weaker = S3Store(seaweedfs.admin_client(), buckets[True], prefix=prefix)
    weaker.retain_until(version, SOON + timedelta(hours=1))
    found = seaweedfs.admin_client().get_object_retention(
        Bucket=buckets[True], Key=f"{prefix}sealed", VersionId=version.version_id or ""
    )
    assert found["Retention"].get("Mode") == "COMPLIANCE"


@pytest.mark.server
def test_ensure_bucket_when_it_exists_without_lock_then_it_is_unfit(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    ensure_bucket(seaweedfs.client(), buckets[False], lock=False)
    ensure_bucket(seaweedfs.client(), buckets[True], lock=True)
    with pytest.raises(StoreUnfit, match="no Object Lock"):
        ensure_bucket(seaweedfs.client(), buckets[False], lock=True)
    with pytest.raises(StoreUnavailable):  # the program's account may not make buckets
        ensure_bucket(seaweedfs.client(), f"new-{uuid4().hex[:10]}", lock=False)


# --- self-test -------------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_self_test_when_account_may_bypass_locks_then_the_store_is_unfit(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    with pytest.raises(StoreUnfit, match=r"bypassing its retention\. Take the right s3:BypassGovernanceRetention"):
        S3Store(seaweedfs.admin_client(), buckets[True]).self_test()


@pytest.mark.server
def test_self_test_when_locks_are_for_good_then_an_account_that_may_bypass_is_fit(
    seaweedfs: Seaweed, buckets: dict[bool, str]
) -> None:
    S3Store(seaweedfs.admin_client(), buckets[True], compliance=True).self_test()


def test_self_test_of_moto_then_it_is_refused_for_taking_wrong_checksums(moto_client: "S3Client") -> None:
    """It is no judge of integrity: what it lets pass must not pass here."""
    moto_client.meta.events.register(
        "after-call.s3.HeadBucket",
        lambda parsed, **_: parsed["ResponseMetadata"]["HTTPHeaders"].update(date=_http_date()),
    )

    with pytest.raises(StoreUnfit):
        S3Store(moto_client, "bucket").self_test()
    with pytest.raises(StoreUnfit, match="wrong checksum"):
        proof.prove_checksum(
            S3Store(moto_client, "bucket"), Bucket(client=moto_client, name="bucket"), f"{proof.FOLDER}/checksum"
        )


@pytest.mark.server
def test_hold_then_the_version_stays_without_a_date_until_it_is_let_go(locking: S3Store) -> None:
    version = put(locking, "held", ONE)
    assert not locking.is_held(version)

    locking.hold(version, is_held=True)
    locking.hold(version, is_held=True)
    assert locking.is_held(version)
    with pytest.raises((Retained, StoreUnavailable)):
        locking.delete("held", version=version)
    locking.hold(version, is_held=False)

    assert not locking.is_held(version)
    locking.delete("held", version=version)
    assert list(locking.list_versions("held")) == []


@pytest.mark.server
def test_hold_when_the_bucket_has_no_lock_then_the_store_is_unfit(seaweedfs: Seaweed, buckets: dict[bool, str]) -> None:
    store = S3Store(seaweedfs.client(), buckets[False], prefix=f"{uuid4().hex}/")
    version = put(store, "free", ONE)

    assert not store.is_held(version)
    with pytest.raises((StoreUnfit, StoreUnavailable)):
        store.hold(version, is_held=True)


@pytest.mark.server
def test_self_test_when_it_ran_before_then_what_it_left_is_swept(locking: S3Store) -> None:
    put(locking, f"{proof.FOLDER}/old/object", ONE)
    locked = put(locking, f"{proof.FOLDER}/old/locked", ONE)
    locking.retain_until(locked, SOON)
    put(locking, "kept", ONE)

    proof.sweep(locking, before=datetime.now(UTC) - timedelta(minutes=10))
    assert len(list(locking.list(""))) == 3
    proof.sweep(locking, before=datetime.now(UTC) + timedelta(minutes=10))
    assert [stat.key for stat in locking.list("")] == ["kept", f"{proof.FOLDER}/old/locked"]


def test_self_test_when_clocks_differ_then_the_store_is_unfit(moto_client: "S3Client") -> None:
    store = S3Store(moto_client, "bucket", now=lambda: datetime.now(UTC) + timedelta(minutes=3))
    moto_client.meta.events.register(
        "after-call.s3.HeadBucket",
        lambda parsed, **_: parsed["ResponseMetadata"]["HTTPHeaders"].update(date=_http_date()),
    )

    with pytest.raises(StoreUnfit, match="clocks"):
        store.self_test()


def _http_date() -> str:
    return datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.server
@pytest.mark.parametrize(
    ("operation", "parameter", "promise"),
    [
        ("PutObject", "IfNoneMatch", "other bytes under a key that is taken are refused"),
        ("PutObject", "IfMatch", "older state is refused"),
        ("PutObject", "ChecksumSHA256", "wrong checksum"),
    ],
)
def test_self_test_when_server_overlooks_a_header_then_the_promise_is_named(
    seaweedfs: Seaweed,
    buckets: dict[bool, str],
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    parameter: str,
    promise: str,
) -> None:
    """A server that ignores a header is the same as one that never gets it."""
    client = seaweedfs.client()
    call = client._make_api_call  # type: ignore[attr-defined]

    def overlooking(name: str, params: dict[str, object]) -> object:
        return call(name, {key: value for key, value in params.items() if (name, key) != (operation, parameter)})

    monkeypatch.setattr(client, "_make_api_call", overlooking)

    with pytest.raises(StoreUnfit, match=promise):
        S3Store(client, buckets[False]).self_test()


@pytest.mark.server
def test_self_test_when_server_takes_locks_but_keeps_none_then_the_store_is_unfit(
    seaweedfs: Seaweed, buckets: dict[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = seaweedfs.client()
    monkeypatch.setattr(client, "put_object_retention", lambda **_: {})

    with pytest.raises(StoreUnfit, match="was to be locked until"):
        S3Store(client, buckets[True]).self_test()


@pytest.mark.server
def test_copy_when_server_obeys_conditions_on_copies_then_that_is_used_and_elsewhere_parts(
    seaweedfs: Seaweed, buckets: dict[bool, str], moto_client: "S3Client"
) -> None:
    assert writing.copies_conditionally(Bucket(client=moto_client, name="bucket")) is False
    for bucket in buckets.values():
        place = Bucket(client=seaweedfs.client(), name=bucket)
        before = [stat.key for stat in S3Store(place.client, bucket).list_versions("self-test/copy-")]
        assert writing.copies_conditionally(place) is True
        assert [stat.key for stat in S3Store(place.client, bucket).list_versions("self-test/copy-")] == before
