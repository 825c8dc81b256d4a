"""The fixture `elasticsearch_url`: one server for the whole test session."""

import os
from collections.abc import Iterator

import pytest

from tests.servers import elasticsearch


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """URL of a running Elasticsearch without security; tests take index names of their own."""
    if not elasticsearch.ARCHIVE.is_file():
        missing = "Elasticsearch is not installed for tests: run tests/servers/install-elasticsearch.sh."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with elasticsearch.running() as url:
        yield url
