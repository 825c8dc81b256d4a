"""The bad-input list at the level of the wire, against a node in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostile.cases import Case
from tests.hostile.cases_wire import POSTURES, WIRE_CASES
from tests.hostile.nodes import LiveNode, live_node

pytestmark = pytest.mark.server

MOST_GROWTH = 100_000_000


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], LiveNode]]:
    """Return the node of a posture, started when it is first asked for."""
    running: dict[str, LiveNode] = {}
    with ExitStack() as stack:

        def node_of(posture: str) -> LiveNode:
            if posture not in running:
                root: Path = tmp_path_factory.mktemp(posture)
                running[posture] = stack.enter_context(live_node(root, POSTURES[posture]))
            return running[posture]

        yield node_of


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in WIRE_CASES])
def test_node_when_a_peer_is_hostile_then_it_answers_as_it_should_and_lives(
    nodes: Callable[[str], LiveNode], case: Case
) -> None:
    node = nodes(case.posture)
    before = node.forget_peak()

    said = case.play(node)

    assert said in case.expects
    assert node.peak() - before < MOST_GROWTH
    assert node.is_alive() or case.posture == "strict"
