"""Whatever the order and the batches in which a person's instances arrive, over whichever nodes, answers are equal."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.answers import dossier_answer, patient_answer
from archive.assembly.fold import fold
from archive.facts.linked import PatientFacts, joined
from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore
from archive.gate.gate import Gate
from archive.headers import InstanceHeader
from storage.filesystem import FilesystemStore
from tests.archive.assembly.linked import STRANGER, TWIN, members, rich
from tests.factories import key_of, receipt, uid

RICH = rich()
GATE = Gate()
PERMUTATIONS = 250
"""So many orders are tried of the pure fold, and so many through the store."""
STORED_PERMUTATIONS = 12


def answers(facts: PatientFacts) -> bytes:
    """Return what is told of everybody among the facts, byte for byte."""
    persons = [fold(facts.seen_from(lead), gate=GATE) for lead in sorted(set(facts.leads.values()))]
    told = [[patient_answer(one), *map(dossier_answer, one.dossiers)] for one in persons]
    return json.dumps(told, ensure_ascii=False).encode()


def arrivals(order: Iterable[tuple[PatientKey, InstanceHeader]]) -> list[tuple[PatientKey, Receipt]]:
    """Return the receipts of instances that arrive in this order, a second apart."""
    found = [(key, receipt(one)) for key, one in order]
    return [
        (key, replace(one, received_at=one.received_at + timedelta(seconds=at))) for at, (key, one) in enumerate(found)
    ]


def facts_of(received: Sequence[tuple[PatientKey, Receipt]], decisions: Sequence[object]) -> PatientFacts:
    by_key: dict[PatientKey, list[Receipt]] = {}
    for key, one in received:
        by_key.setdefault(key, []).append(one)
    found = members(by_key, decisions)  # type: ignore[arg-type]
    return joined(key_of(), found)


EXPECTED = answers(facts_of([*arrivals(RICH.headers), *RICH.fixed], RICH.decisions))


def test_rich_person_then_it_holds_what_could_depend_on_order() -> None:
    facts = facts_of([*arrivals(RICH.headers), *RICH.fixed], RICH.decisions)
    record = fold(facts, gate=GATE)

    assert {one.key for one in record.members} == {key_of(), key_of(TWIN)}
    by_plan = {uid_: one for one in record.dossiers for uid_ in one.plan_uids}
    assert by_plan[uid("b")] is not by_plan[uid("c")]
    assert by_plan[uid("on paper only")].opened
    assert by_plan[uid("boost")] is not by_plan[uid("a")]
    assert by_plan[uid("a")].state.value == "sealed"
    assert {one.origin for one in record.dossiers} == {"here", "elsewhere"}
    assert "transcription" in by_plan[uid("on paper only")].phases[0].records_source
    assert uid("misplaced") in {held.uid for held in record.unattached}
    assert uid("astray 0") in {held.uid for one in record.dossiers for held in (*one.instances, *one.late)}
    stranger = fold(facts.seen_from(key_of(STRANGER)), gate=GATE)
    assert [held.header.series_uid for held in stranger.unattached] == [uid("own")] * 3


@settings(max_examples=PERMUTATIONS, deadline=None)
@given(data=st.data())
def test_fold_when_instances_arrive_in_any_order_then_answers_are_byte_equal(data: st.DataObject) -> None:
    order = data.draw(st.permutations(RICH.headers))
    received = data.draw(st.permutations([*arrivals(order), *RICH.fixed]))

    assert answers(facts_of(received, data.draw(st.permutations(RICH.decisions)))) == EXPECTED


@settings(max_examples=STORED_PERMUTATIONS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_store_when_batches_come_over_several_nodes_then_answers_are_byte_equal(data: st.DataObject) -> None:
    received = [*arrivals(data.draw(st.permutations(RICH.headers))), *RICH.fixed]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(received) - 1), max_size=6)))
    with tempfile.TemporaryDirectory() as folder:
        store = FilesystemStore(Path(folder))
        nodes = [FactStore(store, node=name) for name in ("n1", "n2", "n3")]
        for start, end in zip([0, *cuts], [*cuts, len(received)], strict=True):
            _write(nodes[data.draw(st.integers(0, 2))], received[start:end])
        for key, one in RICH.decisions:
            nodes[0].write_decision(key, one)

        for key in (key_of(), key_of(TWIN), key_of(STRANGER)):
            assert answers(nodes[1].read(key)) == EXPECTED


def _write(node: FactStore, batch: Sequence[tuple[PatientKey, Receipt]]) -> None:
    for key in {key for key, _ in batch}:
        node.write_receipts(key, [one for whose, one in batch if whose == key])


@pytest.mark.parametrize("missing", range(len(RICH.decisions)))
def test_fold_when_any_decision_is_left_out_then_the_answers_differ(missing: int) -> None:
    fewer = [one for at, one in enumerate(RICH.decisions) if at != missing]

    told = answers(facts_of([*arrivals(RICH.headers), *RICH.fixed], fewer))

    first_word = missing == 0  # taken back by the second one
    assert (hashlib.sha256(told).digest() == hashlib.sha256(EXPECTED).digest()) is first_word
