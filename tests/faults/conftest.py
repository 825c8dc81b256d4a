"""Archives to strike, and the process that does what is struck."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastgate.sample import Department
from tests.faults.lives import States, build_states
from tests.faults.prepared import Prepared, prepared


@pytest.fixture(scope="session")
def prepared_process() -> Iterator[Prepared]:
    """The one process of the run that forks what is struck."""
    with prepared() as process:
        yield process


@pytest.fixture
def swift_path() -> Iterator[Path]:
    """A folder in memory where there is one: a kill takes nothing from the page cache, whatever the disk is."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="lastgate-", dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def states(
    prepared_process: Prepared, sample_department: Department, tmp_path_factory: pytest.TempPathFactory
) -> States:
    """One real course in the states of its life; copy them, never change them."""
    course = sample_department.patient("SAMPLE-0003").courses[0]
    return build_states(prepared_process, tmp_path_factory.mktemp("states"), course)
