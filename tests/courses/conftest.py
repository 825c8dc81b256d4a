"""The sample department in an archive of the courses' tests."""

from pathlib import Path

import pytest

from lastgate.sample import Department
from tests.courses.archived import Archived, SampleRecord


@pytest.fixture
def archived(tmp_path: Path) -> Archived:
    """An empty archive of the test's own."""
    return Archived(tmp_path)


@pytest.fixture(scope="session")
def sample_archive(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """An archive all tests may add files to: what is folded is told by each test."""
    return Archived(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def lung(sample_archive: Archived, sample_department: Department) -> SampleRecord:
    """Two courses in one frame of reference."""
    return sample_archive.sample(sample_department.patient("SAMPLE-0001"))


@pytest.fixture(scope="session")
def breast(sample_archive: Archived, sample_department: Department) -> SampleRecord:
    """Two courses in two frames of reference, joined by a registration; the second with a boost."""
    return sample_archive.sample(sample_department.patient("SAMPLE-0002"))
