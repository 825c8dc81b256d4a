"""The bad-input list for queries, retrieval and commitment, against `lastgate serve` with all its processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.cases_services import SERVICE_CASES, Asking
from tests.hostile.crash import Lastgate, free_port, running
from tests.hostile.drops import echo, find
from tests.hostile.nodes import vitals_of
from tests.hostile.wire import store
from tests.ingest.datasets import dataset

pytestmark = pytest.mark.server

MOST_GROWTH = 100_000_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Return port and process of a node that lets strangers ask for anything."""
    folder, port = tmp_path_factory.mktemp("served") / "node", free_port()
    folder.mkdir()
    with running(Lastgate(), folder, port) as process:
        assert store(port, dataset()).word == "0000"
        yield port, process.pid


def memory(process_id: int) -> int:
    """Return what all processes of the node take."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text("ascii").split()
    return vitals_of(process_id).memory_bytes + sum(memory(int(child)) for child in children)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.what) for case in SERVICE_CASES])
def test_service_when_a_request_is_hostile_then_it_is_answered_and_the_node_serves_on(
    served: tuple[int, int], case: Asking
) -> None:
    port, process_id = served
    before = memory(process_id)

    said = case.play(port)

    assert said in case.expects
    assert memory(process_id) - before < MOST_GROWTH
    assert echo(port) == "0000"
    assert find(port, "P1") == "0000"
