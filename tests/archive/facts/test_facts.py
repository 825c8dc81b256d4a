"""Facts are written once and read for ever."""

import hashlib
import io
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import FactClash, FactDamaged, FormatTooNew
from archive.facts.decisions import DECISION, Act, ChooseDose, Close, EnterSummary, Sealed, SetDeliveryState, Waive
from archive.facts.receipts import RECEIPT, patient_key
from archive.facts.store import FactStore
from archive.headers import Identifier
from storage.filesystem import FilesystemStore
from tests.factories import course, decision, document, key_of, plan, receipt, uid

KEY = key_of()


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path)


def put(store: FilesystemStore, key: str, body: bytes) -> None:
    store.put_if_absent(key, io.BytesIO(body), sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body))


ACTS: list[Act] = [
    Waive(code="C", subject="s", plan_uids=("1",), message="原因 {x}", reason="r"),
    Close(plan_uids=("1",), outcome="died", last_date="20240101", reason="r"),
    SetDeliveryState(plan_uid="1", delivered=False, reason="r"),
    ChooseDose(plan_uid="1", dose_uid="2", reason="r"),
    EnterSummary(plan_uids=("1",), entries={"a": {"b": [1, 2.5, None, "三"]}}),
    Sealed(dossier="d", version=2, plan_uids=("1",), file_sha256s=("a",), dossier_sha256="b", version_ids={"p": "v"}),
]


def test_receipts_then_they_are_read_back_as_they_were(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")
    receipts = [receipt(header) for header in [*course(), document("letter")]]

    name = facts.write_receipts(KEY, receipts)

    assert name == f"facts/{KEY[:2]}/{KEY}/r-n1-00000000.jsonl"
    assert facts.read(KEY).receipts == tuple(receipts)
    assert facts.read(KEY).count == len(receipts)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.act)
def test_decision_then_it_is_read_back_as_it_was(store: FilesystemStore, act: Act) -> None:
    facts = FactStore(store, node="n1")

    name = facts.write_decision(KEY, decision(7, act))

    assert name.endswith("/d-00000007.json")
    assert facts.read(KEY).decisions == (decision(7, act),)


def test_facts_then_every_stored_document_begins_with_its_format(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")
    facts.write_receipts(KEY, [receipt(plan()), receipt(document("letter"))])
    facts.write_decision(KEY, decision(1, ACTS[0]))

    for stat in store.list("facts/"):
        for line in store.read_bytes(stat.key).splitlines():
            first = next(iter(json.loads(line).items()))
            assert first in {("format", "lastgate/receipt/1"), ("format", "lastgate/decision/1")}


def test_receipts_then_numbers_go_up_and_nothing_is_overwritten(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")

    names = [facts.write_receipts(KEY, [receipt(plan(), minutes=at)]) for at in range(3)]

    assert [name[-14:] for name in names] == ["00000000.jsonl", "00000001.jsonl", "00000002.jsonl"]
    assert len(facts.read(KEY).receipts) == 3


def test_receipts_when_there_are_none_then_nothing_is_written(store: FilesystemStore) -> None:
    with pytest.raises(ValueError, match="nothing to write"):
        FactStore(store, node="n1").write_receipts(KEY, [])


@pytest.mark.parametrize("other", ["n2", "n1-b", "n", "n1-00000000"])
def test_receipts_of_two_nodes_then_each_counts_for_itself(store: FilesystemStore, other: str) -> None:
    one, two = FactStore(store, node="n1"), FactStore(store, node=other)

    for at in range(2):
        one.write_receipts(KEY, [receipt(plan(), minutes=at)])
        two.write_receipts(KEY, [receipt(plan(), minutes=at, node=other)])

    names = sorted(stat.key.rsplit("/", 1)[-1] for stat in store.list("facts/"))
    assert names == sorted(f"r-{node}-0000000{at}.jsonl" for node in ("n1", other) for at in range(2))
    assert len(one.read(KEY).receipts) == 4
    assert one.node == "n1"


def test_receipts_from_many_threads_of_one_node_then_none_is_lost(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")
    writers = [threading.Thread(target=facts.write_receipts, args=(KEY, [receipt(plan(f"p{at}"))])) for at in range(16)]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert {one.header.sop_instance_uid for one in facts.read(KEY).receipts} == {uid(f"p{at}") for at in range(16)}


def test_decision_when_somebody_took_the_number_then_the_second_must_look_again(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")
    facts.write_decision(KEY, decision(1, ACTS[0]))

    with pytest.raises(FactClash) as caught:
        facts.write_decision(KEY, decision(1, ACTS[1]))

    assert caught.value.code == "LG-ARC-001"
    assert "Look at the dossier again" in caught.value.advice
    assert facts.read(KEY).decisions == (decision(1, ACTS[0]),)


def test_decision_when_written_again_after_a_lost_answer_then_it_is_the_same_fact(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")

    assert facts.write_decision(KEY, decision(1, ACTS[0])) == facts.write_decision(KEY, decision(1, ACTS[0]))
    assert facts.read(KEY).count == 1


@pytest.mark.parametrize("name", ["r-n1-00000000.jsonl", "d-00000001.json"])
def test_read_when_a_newer_version_wrote_then_it_says_update(store: FilesystemStore, name: str) -> None:
    put(store, f"facts/{KEY[:2]}/{KEY}/{name}", b'{"format": "lastgate/receipt/2", "new": true}\n')

    with pytest.raises(FormatTooNew) as caught:
        FactStore(store, node="n1").read(KEY)

    assert name in str(caught.value)
    assert "Update Lastgate" in caught.value.advice


@pytest.mark.parametrize("body", [b'{"format": "lastgate/rec', b"\xff\xfe", b"[]", b"{}", b'{"format": "other/1"}'])
@pytest.mark.parametrize("name", ["r-n1-00000000.jsonl", "d-00000001.json"])
def test_read_when_a_fact_is_damaged_then_it_does_not_say_update(
    store: FilesystemStore, name: str, body: bytes
) -> None:
    put(store, f"facts/{KEY[:2]}/{KEY}/{name}", body)

    with pytest.raises(FactDamaged, match=name):
        FactStore(store, node="n1").read(KEY)


def test_read_of_an_unknown_patient_then_there_is_nothing(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1").read(KEY)

    assert (facts.key, facts.count) == (KEY, 0)


def test_patients_then_each_is_told_once_in_order(store: FilesystemStore) -> None:
    facts = FactStore(store, node="n1")
    keys = [patient_key(Identifier(value=str(number)), "") for number in range(5)]
    for key in keys:
        facts.write_receipts(key, [receipt(plan())])
        facts.write_decision(key, decision(1, ACTS[0]))

    assert list(facts.patients()) == sorted(keys)


def test_patient_key_then_issuers_are_apart_and_an_empty_id_goes_by_its_study() -> None:
    mine = Identifier(value="1", issuer="A")

    assert patient_key(mine, "s1") == patient_key(replace(mine, kind="TEXT"), "s2")
    assert patient_key(mine, "") != patient_key(Identifier(value="1", issuer="B"), "")
    assert patient_key(mine, "") != patient_key(Identifier(value="A\x001"), "")
    assert patient_key(Identifier(value=""), "s1") != patient_key(Identifier(value=""), "s2")
    assert patient_key(Identifier(value=""), "s1") == patient_key(Identifier(value="", issuer="A"), "s1")


@given(text=st.text(), number=st.floats(allow_nan=False, allow_infinity=False))
def test_facts_of_any_text_and_number_then_they_survive_json(text: str, number: float) -> None:
    act = EnterSummary(plan_uids=(text,), entries={text: [number, text]})
    before = decision(1, act)
    header = replace(plan(), study_description=text)

    assert DECISION.validate_json(DECISION.dump_json(before)) == before
    assert RECEIPT.validate_json(RECEIPT.dump_json(receipt(header))) == receipt(header)
