"""One live node for all tests that come as clients; each brings patients of its own."""

from collections.abc import Iterator

import pytest

from tests.acceptance.serving import Served, serving

PEERS = ("JUDGE", "MOVESCU", "ORTHANC", "DCM4CHE")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running `lastgate serve`."""
    with serving(tmp_path_factory.mktemp("serve"), PEERS) as running:
        yield running
