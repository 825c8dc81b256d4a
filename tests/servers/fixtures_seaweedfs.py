"""The fixture `seaweedfs`: one real S3 server for the whole test run, started by the first test that asks for it."""

from collections.abc import Iterator

import pytest

from tests.servers.seaweedfs import Seaweed, running


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A running SeaweedFS; tests make their own buckets with `Seaweed.fresh_bucket`.

    Its log lies in the base temporary folder of the run, which pytest keeps.
    """
    with running(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server
