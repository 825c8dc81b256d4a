"""Associations opened and dropped at every point: nothing stays. `benchmarks/soak_node.py` does it for long."""

from collections.abc import Iterator

import pytest

from tests.hostile.drops import DROPS, drop
from tests.hostile.nodes import LiveNode, Posture, live_node
from tests.hostile.plays import wait_until

pytestmark = pytest.mark.server

TIMES = 15


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    """One node with the deadlines of every day: what stays, stays for long."""
    with live_node(tmp_path_factory.mktemp("dropped"), Posture(settings={"associations": 100})) as running:
        assert running.is_alive()
        yield running


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("at", [pytest.param(at, id=at.__name__.strip("_").replace("_", " ")) for at in DROPS])
def test_node_when_connections_drop_then_no_file_no_thread_and_no_half_object_stays(
    node: LiveNode, at: object, reset: bool
) -> None:
    before = node.vitals()

    for _ in range(TIMES):
        drop(node.port, at, reset=reset)  # type: ignore[arg-type]

    assert wait_until(lambda: node.vitals().threads <= before.threads, within_s=8), node.vitals()
    assert wait_until(lambda: node.vitals().files <= before.files, within_s=2), node.vitals()
    assert wait_until(lambda: node.unfinished() == [], within_s=2)
    assert node.is_alive()
