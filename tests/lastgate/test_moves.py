"""Every move of a dossier's state is in the journal once, whoever caused it, and none is invented."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.facts.receipts import PatientKey
from archive.journal.journal import Journal
from lastgate.moves import Moves
from lastgate.settings import Settings
from lastgate.wiring import House, open_house
from search.documents import dossier_document
from search.refresh import PatientFold, Refresher
from search.sqlite import SqliteEngine
from storage.filesystem import FilesystemStore
from tests.archive.house import body_of
from tests.archive.stores import clock, signing_key
from tests.factories import course, key_of, receipt

KEY = "ab" * 32


class Bench:
    """An index and a journal on disk, and what tells one the moves of the other."""

    def __init__(self, folder: Path) -> None:
        store = FilesystemStore(folder / "store")
        self.index = SqliteEngine(folder / "index.sqlite")
        self.journal = Journal(
            locked=store, site=store, node="n1", outbox=folder / "outbox.db", key=signing_key(folder), clock=clock
        )
        self.moves = Moves(self.index, self.journal, folder / "spool" / "moves.lock")

    def write(self, *folds: PatientFold) -> None:
        """Write folds as a house does."""
        with self.moves.told(folds, account="mei"):
            Refresher(self.index).write(*folds)

    def told(self) -> list[dict[str, Any]]:
        """Return the moves in the journal."""
        self.journal.flush()
        return [event["subject"] for event in self.journal.events() if event["act"] == "state"]

    def ways(self) -> list[tuple[str | None, str]]:
        """Return from where to where the dossier moved."""
        return [(one["from"], one["to"]) for one in self.told()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.index.close()
    made.journal.close()


def _fold(state: str, facts: int, *codes: str, late: int = 0, dossier: str = "d1") -> PatientFold:
    findings = [{"code": code, "blocks": code != "LATE"} for code in codes]
    body = {"id": dossier, "state": state, "late": late, "findings": findings}
    document = dossier_document(body, patient_key=KEY, version=facts)
    return PatientFold(patient_key=KEY, version=facts, documents=(document,))


def test_moves_when_a_dossier_goes_its_way_then_each_is_told_once_with_the_reasons(bench: Bench) -> None:
    bench.write(_fold("open", 1, "DOSE-MISSING", "NOT-CLOSED"))
    bench.write(_fold("open", 2, "NOT-CLOSED"))
    bench.write(_fold("ready", 3))
    bench.write(_fold("open", 4, "CONFLICT"))
    bench.write(_fold("ready", 5))
    bench.write(_fold("sealed", 6))
    bench.write(_fold("sealed", 7, "LATE", late=2))
    bench.write(_fold("sealed", 8))

    assert bench.told() == [
        {"dossier": "d1", "from": None, "to": "open", "why": ["DOSE-MISSING", "NOT-CLOSED"], "facts": 0},
        {"dossier": "d1", "from": "open", "to": "ready", "why": ["NOT-CLOSED"], "facts": 2},
        {"dossier": "d1", "from": "ready", "to": "open", "why": ["CONFLICT"], "facts": 3},
        {"dossier": "d1", "from": "open", "to": "ready", "why": ["CONFLICT"], "facts": 4},
        {"dossier": "d1", "from": "ready", "to": "sealed", "why": [], "facts": 5},
        {"dossier": "d1", "from": "sealed", "to": "late", "why": ["LATE"], "facts": 6},
        {"dossier": "d1", "from": "late", "to": "sealed", "why": ["LATE"], "facts": 7},
    ]


def test_moves_when_the_process_dies_before_the_index_is_written_then_told_once(bench: Bench) -> None:
    bench.write(_fold("open", 1))
    for facts in (2, 2, 3):  # it dies twice; by the third time another fact has come
        with pytest.raises(KeyboardInterrupt), bench.moves.told([_fold("ready", facts)], account="mei"):
            raise KeyboardInterrupt

    bench.write(_fold("ready", 3))

    assert bench.ways() == [(None, "open"), ("open", "ready")]


def test_moves_when_it_dies_and_the_journal_was_chained_meanwhile_then_told_once(bench: Bench) -> None:
    bench.write(_fold("open", 1))
    with pytest.raises(KeyboardInterrupt), bench.moves.told([_fold("ready", 2)], account="mei"):
        raise KeyboardInterrupt
    bench.journal.flush()

    bench.write(_fold("ready", 2))

    assert bench.ways() == [(None, "open"), ("open", "ready")]


def test_moves_when_a_fold_comes_late_then_the_past_is_not_told_again(bench: Bench) -> None:
    bench.write(_fold("open", 1))
    bench.write(_fold("ready", 3))

    bench.write(_fold("open", 2))

    assert bench.ways() == [(None, "open"), ("open", "ready")]


def test_moves_when_the_index_is_rebuilt_then_nothing_is_told(bench: Bench) -> None:
    bench.write(_fold("open", 1))
    Refresher(bench.index).rebuild([_fold("ready", 2)])

    bench.write(_fold("ready", 3))

    assert bench.ways() == [(None, "open")]


def test_moves_when_the_index_is_lost_then_no_past_is_invented(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.write(_fold("open", 1))
    first.index.close()
    for path in tmp_path.glob("index.sqlite*"):
        path.unlink()
    second = Bench(tmp_path)
    second.write(_fold("sealed", 5))
    assert second.ways() == [(None, "open"), (None, "sealed")]
    second.index.close()


def _write(folder: Path, facts: int) -> None:
    bench = Bench(folder)
    bench.write(_fold("ready" if facts % 2 else "open", facts))
    bench.index.close()
    bench.journal.close()


def test_moves_when_processes_fold_at_once_then_the_journal_ends_where_the_index_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(_fold("open", 0))
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_write, args=(tmp_path, facts)) for facts in (1, 2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    ways = bench.ways()
    assert [came for _, came in ways[:-1]] == [went for went, _ in ways[1:]]
    hit = bench.index.fetch([_fold("open", 0).documents[0].id])
    assert [one.body["state"] for one in hit.values()] == [ways[-1][1]] == ["ready"]
    bench.index.close()


def _states(house: House) -> list[tuple[str, str | None, str]]:
    house.journal.flush()
    events = (event for event in house.journal.events() if event["act"] == "state")
    return [(one["account"], one["subject"]["from"], one["subject"]["to"]) for one in events]


def _filed(house: House, name: str) -> PatientKey:
    receipts = [receipt(header, body=body_of(header)) for header in course(name, fractions=5)]
    house.facts.write_receipts(key_of(), receipts)
    house.on_facts(key_of())
    return key_of()


def test_house_when_facts_come_and_the_index_is_rebuilt_then_only_the_facts_move_anything(tmp_path: Path) -> None:
    with open_house(Settings(home=tmp_path)) as house:
        key = _filed(house, "plan")
        house.on_facts(key)
        assert _states(house) == [("node1", None, "open")]

        house.rebuild()
        house.on_facts(key)

        assert _states(house) == [("node1", None, "open")]
