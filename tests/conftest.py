"""Fixtures every room may use."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

if TYPE_CHECKING:
    from lastgate.sample import Department

pytest_plugins = (
    "tests.faults.counting",
    "tests.servers.fixtures_elasticsearch",
    "tests.servers.fixtures_seaweedfs",
    "tests.sharing",
)

_REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def peers_that_close() -> Iterator[None]:
    """Let peers that are plain pynetdicom close their sockets.

    Where the other side is gone already its `shutdown` fails, and the `close` behind it is passed over: the garbage
    collector finds the socket in the middle of some other test, and fails that.
    """
    from pynetdicom.transport import AssociationSocket

    def close(self: AssociationSocket) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(2)
            self.socket.close()

    with mock.patch.object(AssociationSocket, "_shutdown_socket", close):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real and TPS-exported data sets; skipped in one line where the project was cloned alone."""
    if not _REAL_DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail("The real data sets are missing: ../shared/data must lie beside the clone in CI.")
        pytest.skip("The real data sets (../shared/data beside the clone) are not on this machine.")
    return _REAL_DATA


@pytest.fixture(scope="session")
def sample_department(tmp_path_factory: pytest.TempPathFactory) -> "Department":
    """The sample department in small; tests read it and never change it."""
    from lastgate.sample import write_department

    return write_department(tmp_path_factory.mktemp("sample"), scale="small")
