"""Fixtures of the conformance suites: each object store in turn."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from moto import mock_aws

from storage.base import ObjectStore
from storage.s3 import connect, ensure_bucket
from tests.conformance.object_stores import Case, filesystem_case, mirrored_case, s3_case
from tests.servers.seaweedfs import Seaweed

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.fixture(scope="module")
def seaweedfs_buckets(seaweedfs: Seaweed) -> dict[bool, str]:
    """One bucket without and one with Object Lock for all tests of a module."""
    return {lock: seaweedfs.fresh_bucket(lock=lock) for lock in (False, True)}


@pytest.fixture(scope="module")
def seaweedfs_client(seaweedfs: Seaweed) -> "S3Client":
    """A client for all tests of a module: making one takes longer than most tests."""
    return seaweedfs.client()


@pytest.fixture(scope="module")
def moto_client() -> Iterator["S3Client"]:
    """A client of moto with the bucket ``bucket``."""
    with mock_aws():
        client = connect(None, "us-east-1", "any", "any")
        ensure_bucket(client, "bucket", lock=False)
        yield client


@pytest.fixture(
    params=[
        "filesystem",
        "s3-moto",
        "mirrored",
        pytest.param("mirrored-s3-seaweedfs-lock", marks=pytest.mark.server),
        pytest.param("s3-seaweedfs", marks=pytest.mark.server),
        pytest.param("s3-seaweedfs-lock", marks=pytest.mark.server),
    ]
)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Each store in turn, empty."""
    kind = str(request.param)
    if not kind.startswith("mirrored"):
        return _single(request, kind, tmp_path)
    first = _single(request, kind.removeprefix("mirrored").lstrip("-") or "filesystem", tmp_path / "first")
    return mirrored_case(first, _single(request, "filesystem", tmp_path / "second"), tmp_path, kind=kind)


def _single(request: pytest.FixtureRequest, kind: str, folder: Path) -> Case:
    prefix = f"{uuid4().hex}/"
    if kind == "filesystem":
        return filesystem_case(folder)
    if kind == "s3-moto":
        client = request.getfixturevalue("moto_client")
        return s3_case(client, "bucket", prefix, kind=kind, locks=False)
    lock = kind.endswith("lock")
    bucket = request.getfixturevalue("seaweedfs_buckets")[lock]
    client = request.getfixturevalue("seaweedfs_client")
    return s3_case(client, bucket, prefix, kind=kind, locks=lock)


@pytest.fixture
def store(case: Case) -> ObjectStore:
    """The store of each case."""
    return case.store
