"""Facts of linked patients are found by following links through the store, each object read once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from archive.facts.decisions import Act, Decision, Move, StateDeath, StateIdentity, Waive
from archive.facts.linked import joined, leads_of, linked_by, named_by
from archive.facts.receipts import PatientKey
from archive.facts.store import FactStore
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests.archive.stores import PowerCut, dying
from tests.factories import course, decision, image, receipt

A, B, C, D = (PatientKey(letter * 64) for letter in "abcd")


def one(first: PatientKey, second: PatientKey) -> StateIdentity:
    return StateIdentity(patients=(first, second), are_one=True, reason="x")


def two(first: PatientKey, second: PatientKey) -> StateIdentity:
    return StateIdentity(patients=(first, second), are_one=False, reason="x")


class CountingStore:
    """A store that counts what is read of it."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.reads: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in {"read", "read_bytes"}:
            return found

        def read(key: str, *args: Any, **values: Any) -> Any:
            self.reads[key] += 1
            return found(key, *args, **values)

        return read


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path)


def node(store: object, name: str = "n1", **values: int) -> FactStore:
    return FactStore(cast(ObjectStore, store), node=name, **values)


def names(store: FilesystemStore, key: PatientKey) -> list[str]:
    return [stat.key.rsplit("/", 1)[-1] for stat in store.list(f"facts/{key[:2]}/{key}/")]


@pytest.mark.parametrize(
    ("acts", "persons"),
    [
        ([], ["a", "b", "c", "d"]),
        ([one(A, B)], ["ab", "c", "d"]),
        ([one(B, C), one(A, B)], ["abc", "d"]),
        ([one(A, D), one(B, C), one(D, C)], ["abcd"]),
        ([one(A, B), two(A, B)], ["a", "b", "c", "d"]),
        ([two(A, B), one(B, A)], ["ab", "c", "d"]),
        ([one(A, B), one(B, C), two(B, A)], ["a", "bc", "d"]),
        ([one(A, A)], ["a", "b", "c", "d"]),
        ([one(A, PatientKey("e" * 64))], ["a", "b", "c", "d"]),
    ],
)
def test_leads_of_then_the_newest_word_on_each_pair_joins_and_parts(acts: list[Act], persons: list[str]) -> None:
    leads = leads_of([D, C, B, A], acts)

    groups: dict[PatientKey, str] = {}
    for key in sorted(leads):
        groups[leads[key]] = groups.get(leads[key], "") + key[0]
    assert sorted(groups.values()) == persons
    assert all(lead[0] == group[0] for lead, group in groups.items())


def test_named_by_and_linked_by_then_a_refusal_joins_nothing_and_a_move_does() -> None:
    move = Move(file_sha256s=("x",), to_plan_uid="", reason="x", to_patient=B, from_patient=A)

    assert named_by(two(A, B)) == (A, B)
    assert linked_by(two(A, B)) == ()
    assert named_by(move) == linked_by(move) == (A, B)
    assert named_by(Move(file_sha256s=("x",), to_plan_uid="", reason="x")) == ()


def test_read_when_patients_were_linked_then_all_facts_come_from_any_of_them(store: FilesystemStore) -> None:
    facts = node(store)
    for key, name in ((A, "a"), (B, "b"), (C, "c"), (D, "d")):
        facts.write_receipts(key, [receipt(image(name))])
    facts.write_decision(A, decision(1, one(A, B)))
    facts.write_decision(B, decision(2, one(C, B)))
    facts.write_decision(A, decision(3, two(A, B)))

    for key in (A, B, C):
        found = facts.read(key)
        assert [member.key for member in found.members] == [A, B, C]
        assert len(found.receipts) == 3
        assert [each.number for each in found.decisions] == [1, 2, 3]
        assert (found.count, found.next_number) == (3 + 6, 4)
        assert facts.linked(key) == (A, B, C)
        assert facts.decisions(key) == found.decisions
        assert len(facts.read_some(key, {receipt(image("c")).header.sop_instance_uid}).receipts) == 1
    assert facts.read(B).person == (B, C)
    assert facts.read(D).members == ()
    assert len(facts.read_alone(A).receipts) == 1


def test_read_when_a_proposal_was_refused_then_the_other_ones_facts_are_not_read(store: FilesystemStore) -> None:
    facts = node(store)
    facts.write_receipts(A, [receipt(image("a"))])
    facts.write_receipts(B, [receipt(image("b"))])
    facts.write_decision(A, decision(1, two(A, B)))

    assert facts.read(A).members == ()
    assert facts.read(B).decisions == facts.read(A).decisions == (decision(1, two(A, B)),)


@pytest.mark.parametrize("act", [one(A, B), two(A, B)])
def test_read_when_a_crash_left_one_side_then_it_writes_the_other(store: FilesystemStore, act: StateIdentity) -> None:
    with pytest.raises(PowerCut):
        FactStore(dying(store, at=1, after=False), node="n1").write_decision(B, decision(4, act))
    assert (names(store, B), names(store, A)) == (["d-00000004.json"], [])

    facts = node(store)
    before = facts.read(B)
    after = facts.read(A)

    (mirrored,) = names(store, A)
    assert mirrored.startswith("d-00000004-")
    assert before.decisions == after.decisions == (decision(4, act),)
    assert node(store).read(B).count == before.count
    assert names(store, B) == ["d-00000004.json"]


def test_write_decision_when_the_other_patient_has_that_number_then_both_stand_and_the_key_orders(
    store: FilesystemStore,
) -> None:
    facts = node(store)
    waive = Waive(code="X", subject="", plan_uids=("1",), message="", reason="x")
    facts.write_decision(B, decision(1, waive))
    facts.write_decision(A, decision(1, one(A, B)))

    assert [each.what.act for each in facts.read(B).decisions] == ["identity", "waive"]
    assert facts.read(A).decisions == facts.read(B).decisions


def test_joined_when_persons_are_parted_then_what_names_nothing_stays_with_whom_it_is_about() -> None:
    def under(key: PatientKey, *decisions: Decision) -> Any:
        from archive.facts.linked import PatientFacts

        return PatientFacts(key=key, receipts=(), decisions=decisions)

    words = (decision(1, one(A, B)), decision(3, two(A, B)))
    death = decision(2, StateDeath(date="20240101", reason="x"))
    parts = [under(A, words[0], death, words[1]), under(B, *words)]

    assert death in joined(A, parts).decisions
    assert death not in joined(B, parts).decisions
    assert joined(B, parts).decided_about_person == words


def test_read_when_batches_are_filed_one_after_the_other_then_each_object_is_read_once(store: FilesystemStore) -> None:
    counting = CountingStore(store)
    facts = node(counting)
    for at, header in enumerate(course(fractions=10)):
        facts.write_receipts(A, [receipt(header)])
        if at % 4 == 0:
            facts.write_decision(A, decision(at + 1, StateDeath(date="20240101", reason="x")))
        facts.read(A)
        facts.decisions(A)

    assert len(counting.reads) == len(names(store, A))
    assert set(counting.reads.values()) == {1}


def test_read_when_more_was_read_than_is_remembered_then_the_longest_unread_goes(store: FilesystemStore) -> None:
    counting = CountingStore(store)
    name = node(store).write_receipts(A, [receipt(image("a"))])
    size = len(store.read_bytes(name))
    for letter, key in (("b", B), ("c", C)):
        node(store).write_receipts(key, [receipt(image(letter))])
    facts = node(counting, remembered_bytes=2 * size)

    def read(*keys: PatientKey) -> Iterator[int]:
        for key in keys:
            before = counting.reads.total()
            facts.read(key)
            yield counting.reads.total() - before

    assert list(read(A, B, A, C, A, B)) == [1, 1, 0, 1, 0, 1]
