"""What is committed to and what is not, when, and what survives."""

import shutil
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from archive.facts.store import FactStore
from ingest.commitment.errors import DuplicateTransaction
from ingest.commitment.evidence import Evidence
from ingest.commitment.references import Failure, Reference
from ingest.commitment.transactions import Asked, Transaction
from storage.errors import StoreUnavailable
from tests.ingest.commitment.conftest import Archive
from tests.ingest.datasets import CT_CLASS, write_file

CONFLICT, UNKNOWN, CLASS = 0x0110, 0x0112, 0x0119


def ask(archive: Archive, *uids: str, transaction: str = "1.9", node: str = "n1", sop_class: str = CT_CLASS) -> Asked:
    asked = Asked(
        transaction_uid=transaction,
        requestor="SCANNER",
        called="LASTGATE",
        address="127.0.0.1",
        node=node,
        received_at=archive.house.clock(),
        count=len(uids),
    )
    archive.transactions.record(asked, [Reference(sop_class, uid) for uid in uids])
    return asked


def only(archive: Archive) -> Transaction:
    (transaction,) = archive.transactions.open()
    return transaction


def decided(archive: Archive, evidence: Evidence | None = None) -> dict[str, int]:
    """Work once and return what was not committed to, by UID."""
    archive.answering(evidence=evidence).round(archive.stop)
    assert only(archive).state.stage == "decided"
    return {one.sop_instance_uid: one.reason for one in archive.transactions.failures(only(archive)) or ()}


def test_answering_when_copies_are_whole_then_all_is_committed_and_the_journal_says_from_where(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1")
    assert decided(archive) == {}
    event = archive.house.events[-1]
    assert (event.act, event.account, event.outcome) == ("commit", "SCANNER", "done")
    assert event.subject["copies"] == {"intake": 1}


def test_answering_when_a_copy_rotted_then_that_instance_fails(archive: Archive, tmp_path: Path) -> None:
    archive.house.take(*(write_file(tmp_path / f"{n}.dcm", instance=f"1.2.3.{n}") for n in (1, 2)))
    receipt = next(one for one in archive.house.receipts() if one.header.sop_instance_uid == "1.2.3.2")
    rot(archive, receipt.key)
    ask(archive, "1.2.3.1", "1.2.3.2")
    assert decided(archive) == {"1.2.3.2": CONFLICT}
    assert archive.house.events[-1].subject["damaged"] == [receipt.key]


def rot(archive: Archive, key: str) -> None:
    path = archive.house.root / "store" / key
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)


def test_answering_when_a_copy_is_gone_then_that_instance_fails(archive: Archive, tmp_path: Path) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    (archive.house.root / "store" / archive.house.receipts()[0].key).unlink()
    ask(archive, "1.2.3.1")
    assert decided(archive) == {"1.2.3.1": CONFLICT}


def test_answering_when_there_is_a_conflict_then_it_fails_whichever_came_first(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(
        write_file(tmp_path / "a.dcm", instance="1.2.3.1"),
        write_file(tmp_path / "b.dcm", instance="1.2.3.1", description="other content"),
    )
    ask(archive, "1.2.3.1")
    assert decided(archive) == {"1.2.3.1": CONFLICT}


def test_answering_when_the_same_came_twice_then_it_is_committed(archive: Archive, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.dcm", instance="1.2.3.1")
    archive.house.take(path)
    archive.house.take(path)
    ask(archive, "1.2.3.1")
    assert decided(archive) == {}


def test_answering_when_the_class_is_another_then_it_fails(archive: Archive, tmp_path: Path) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1", sop_class="1.2.840.10008.5.1.4.1.1.4")
    assert decided(archive) == {"1.2.3.1": CLASS}


def test_answering_when_nobody_knows_it_then_it_is_waited_for_before_it_fails(archive: Archive) -> None:
    ask(archive, "1.2.3.1")
    answering = archive.answering()
    answering.round(archive.stop)
    assert only(archive).state.stage == "waiting"
    archive.pass_time(timedelta(minutes=11))
    answering.round(archive.stop)
    assert archive.transactions.failures(only(archive)) == (Failure(CT_CLASS, "1.2.3.1", UNKNOWN),)


def test_answering_when_it_is_in_the_spool_then_it_is_waited_for_and_then_committed(
    archive: Archive, tmp_path: Path
) -> None:
    from ingest.folders.import_folder import import_paths

    import_paths([write_file(tmp_path / "a.dcm", instance="1.2.3.1")], archive.house.spool)
    ask(archive, "1.2.3.1")
    answering = archive.answering()
    archive.pass_time(timedelta(hours=5))
    answering.round(archive.stop)
    assert only(archive).state.stage == "waiting"
    archive.house.filer.drain()
    archive.pass_time(timedelta(minutes=2))
    answering.round(archive.stop)
    assert only(archive).state.stage == "decided"
    assert archive.transactions.failures(only(archive)) == ()


def test_answering_when_it_is_in_the_spool_for_a_day_then_it_fails(archive: Archive, tmp_path: Path) -> None:
    from ingest.folders.import_folder import import_paths

    import_paths([write_file(tmp_path / "a.dcm", instance="1.2.3.1")], archive.house.spool)
    ask(archive, "1.2.3.1", "1.2.3.2")
    archive.pass_time(timedelta(hours=25))
    assert decided(archive) == {"1.2.3.1": CONFLICT, "1.2.3.2": UNKNOWN}


def test_answering_when_the_index_lags_then_the_facts_of_everybody_are_asked_before_it_fails(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    archive.index["1.2.3.9"] = set()  # an index that knows nobody
    ask(archive, "1.2.3.1", "1.2.3.2")
    archive.pass_time(timedelta(minutes=11))
    assert decided(archive) == {"1.2.3.2": UNKNOWN}


def test_answering_when_the_index_points_to_the_wrong_patient_then_the_facts_win(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(
        write_file(tmp_path / "a.dcm", instance="1.2.3.1", patient="P1"),
        write_file(tmp_path / "b.dcm", instance="1.2.3.2", patient="P2"),
    )
    keys = {
        one.header.sop_instance_uid: key
        for key in archive.house.facts.patients()
        for one in archive.house.facts.read(key).receipts
    }
    archive.index["1.2.3.1"] = {keys["1.2.3.2"]}
    ask(archive, "1.2.3.1")
    archive.pass_time(timedelta(minutes=11))
    assert decided(archive) == {}


def test_answering_when_the_store_is_away_then_it_is_tried_again(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1")
    answering = archive.answering()
    with monkeypatch.context() as away:

        def unavailable(self: FactStore, key: object, uids: Collection[str]) -> None:
            raise StoreUnavailable("the store is away")

        away.setattr(FactStore, "read_some", unavailable)
        archive.index["1.2.3.1"] = set(archive.house.facts.patients())
        archive.pass_time(timedelta(minutes=11))
        answering.round(archive.stop)
    assert only(archive).state.stage == "waiting"
    assert "the store is away" in only(archive).state.reason
    archive.pass_time(timedelta(minutes=2))
    answering.round(archive.stop)
    assert archive.transactions.failures(only(archive)) == ()


def test_answering_when_two_copies_are_demanded_and_there_is_one_then_it_fails(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1")
    assert decided(archive, archive.evidence(least_copies=2)) == {"1.2.3.1": CONFLICT}


def test_answering_when_the_transaction_is_in_use_then_a_second_is_refused(archive: Archive, tmp_path: Path) -> None:
    ask(archive, "1.2.3.1")
    with pytest.raises(DuplicateTransaction):
        ask(archive, "1.2.3.1")


def test_answering_when_the_requestor_is_unknown_then_the_reason_is_kept_and_it_is_given_up_after_days(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1")
    answering = archive.answering()
    for _ in range(4):
        answering.round(archive.stop)
        archive.pass_time(timedelta(hours=1, seconds=1))
    state = only(archive).state
    assert (state.stage, state.tries) == ("decided", 3)
    assert "No rule says where SCANNER takes associations" in state.reason
    archive.pass_time(timedelta(days=8))
    answering.round(archive.stop)
    (closed,) = archive.transactions.closed()
    assert closed.state.stage == "given-up"
    assert archive.house.events[-1].outcome == "given-up"
    assert list(archive.transactions.open()) == []
    with pytest.raises(DuplicateTransaction):
        ask(archive, "1.2.3.1")
    archive.pass_time(timedelta(days=31))
    answering._forget()
    assert list(archive.transactions.closed()) == []


def test_answering_when_a_crash_comes_between_result_and_state_then_the_result_stands(
    archive: Archive, tmp_path: Path
) -> None:
    ask(archive, "1.2.3.1")
    archive.transactions.put_failures(only(archive), [Failure(CT_CLASS, "1.2.3.1", UNKNOWN)])
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    assert decided(archive) == {"1.2.3.1": UNKNOWN}


def test_answering_when_another_process_has_it_then_it_is_left_alone_until_the_claim_ends(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1")
    assert archive.transactions.claim(only(archive), "other", archive.house.clock())
    assert archive.answering().round(archive.stop) == 0
    archive.pass_time(timedelta(minutes=11))
    assert decided(archive) == {}


def test_answering_when_it_is_another_nodes_then_it_is_taken_over_after_an_hour(
    archive: Archive, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    ask(archive, "1.2.3.1", node="n2")
    assert archive.answering().round(archive.stop) == 0
    archive.pass_time(timedelta(hours=1, minutes=1))
    assert decided(archive) == {}


def test_transactions_when_a_crash_leaves_part_of_a_closed_one_then_it_does_not_come_back(archive: Archive) -> None:
    ask(archive, "1.2.3.1")
    found = only(archive)
    (archive.house.root / "copy").mkdir()
    folder = archive.house.root / "store" / "site" / "commitment" / "in" / found.id
    saved = archive.transactions.save(found, archive.stages._closed(found, "told", ""))
    assert saved is not None
    assert not folder.exists() or not list(folder.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(archive.house.root / "store" / f"site/commitment/closed/{found.id}.json", folder / "state.json")
    assert list(archive.transactions.open()) == []
    assert not (folder / "state.json").exists()
