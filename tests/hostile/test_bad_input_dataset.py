"""The bad-input list at the level of the data set, against a node in a process of its own."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.hostile.cases_dataset import DATASET_CASES, Body
from tests.hostile.drops import echo
from tests.hostile.nodes import LiveNode, live_node
from tests.hostile.wire import store

pytestmark = pytest.mark.server

MOST_GROWTH = 100_000_000
NAMES = ("passwd", "1.2.", "P1", "Test", "script", "evil", "HOSTILE")
"""What stands in the data sets and may stand in no path."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    """One node for the whole list."""
    with live_node(tmp_path_factory.mktemp("bad") / "house") as running:
        yield running


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in DATASET_CASES])
def test_store_when_a_data_set_is_bad_then_the_answer_is_right_and_what_is_kept_is_what_came(
    node: LiveNode, case: Body
) -> None:
    last = max((held.number for held in node.held()), default=0)
    before = node.forget_peak()

    heard = store(node.port, case.body, instance=case.instance, sop_class=case.sop_class, syntax=case.syntax)

    assert (heard.word, heard.comment[: len(case.code)]) == (case.status, case.code), heard
    assert node.peak() - before < MOST_GROWTH
    assert echo(node.port) == "0000"
    (held,) = node.journal.pending(after=last)
    assert held.path.read_bytes().endswith(case.body)
    assert (held.arrival.kind == "dicom") == (case.status == "0000")
    assert held.arrival.refusal is None or held.arrival.refusal.code.startswith(case.code)


def test_node_when_the_whole_list_has_come_then_all_is_filed_or_in_quarantine_and_no_path_tells_a_name(
    node: LiveNode,
) -> None:
    taken = {hashlib.sha256(case.body).hexdigest() for case in DATASET_CASES if case.status == "0000"}

    assert node.is_alive()
    became = node.file()

    assert set(became) <= {"stored", "duplicate", "quarantined", "conflict"}
    assert node.held() == []
    kept = {digest for digests in node.stored().values() for digest in digests}
    unreadable = {note.sha256 for note in node.quarantined() if note.reason == "LG-ING-502"}
    assert len(taken - kept) == len(unreadable)
    assert all(note.reason and note.message and note.hint for note in node.quarantined())
    assert [path for path in node.paths() if any(name in path for name in NAMES)] == []
    assert node.unfinished() == []
