"""Fixtures of the front door's tests."""

import pytest

from lastgate.sample import Department, write_department


@pytest.fixture(scope="session")
def sample_department(tmp_path_factory: pytest.TempPathFactory) -> Department:
    """The sample department in small; tests read it and never change it."""
    return write_department(tmp_path_factory.mktemp("sample"), scale="small")
