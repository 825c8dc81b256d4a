"""Fixtures every room may use."""

import os
from pathlib import Path

import pytest

pytest_plugins = ("tests.servers.fixtures_elasticsearch", "tests.servers.fixtures_seaweedfs")

_REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real and TPS-exported data sets; skipped in one line where the project was cloned alone."""
    if not _REAL_DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail("The real data sets are missing: ../shared/data must lie beside the clone in CI.")
        pytest.skip("The real data sets (../shared/data beside the clone) are not on this machine.")
    return _REAL_DATA
