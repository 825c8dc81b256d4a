"""`lastgate drain`: a node that is to be retired keeps nothing back, and says what it still has to keep."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive.errors import FactDamaged
from archive.facts.store import FactStore
from ingest.folders.import_folder import import_paths
from lastgate.draining import drain
from lastgate.reception import spool_of
from storage.filesystem import FilesystemStore
from tests.acceptance.houses import local
from tests.ingest.datasets import write_file
from tests.lastgate.program import environment, lastgate
from tests.lastgate.served import served


def _spooled(home: Path, *paths: Path) -> None:
    """Leave files in the spool of a worker that died."""
    with local(home) as house, spool_of(house, "worker-1") as spool:
        import_paths(list(paths), spool)


def _held(home: Path) -> list[str]:
    return [path.name for path in (home / "spool").glob("*/held/*")]


def test_drain_when_a_worker_left_something_then_it_is_filed_and_the_spool_is_empty(tmp_path: Path) -> None:
    home = tmp_path / "home"
    _spooled(home, write_file(tmp_path / "a.dcm"), write_file(tmp_path / "b.dcm", instance="1.2.5"))
    told = lastgate("drain", "--json", env=environment(home))
    assert told.code == 0
    assert (told.json["filed"], told.json["released"], told.json["waiting"]) == ({"stored": 2}, 2, 0)
    assert _held(home) == []
    assert len(list((home / "archive/intake").rglob("?" * 64))) == 2
    again = lastgate("drain", env=environment(home))
    assert again.code == 0
    assert "Nothing of what was received is left" in again.words


@pytest.mark.server
def test_drain_when_the_node_runs_then_it_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "home"):
        told = lastgate("drain", env=environment(tmp_path / "home"))
    assert told.code == 1
    assert "LG-RUN-002" in told.err


def test_drain_when_the_store_may_lose_seconds_then_it_says_until_when_the_spool_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    _spooled(home, write_file(tmp_path / "a.dcm"))
    with local(home) as house:
        forgetful = replace(house.stores.work.capabilities, durable_on_return=False)
    monkeypatch.setattr(FilesystemStore, "capabilities", forgetful)
    told = lastgate("drain", env=environment(home))
    assert told.code == 1
    assert "1 stay in the spool until" in told.words
    assert len(_held(home)) == 1
    with local(home) as house:
        drained = drain(house)
        assert drained.held_until is not None
        (receipt,) = (one for key in house.facts.patients() for one in house.facts.read(key).receipts)
        day = timedelta(days=1)
        assert day <= drained.held_until - receipt.received_at < day + timedelta(minutes=5)


def test_drain_when_something_cannot_be_filed_then_it_stays_and_the_rest_is_filed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    _spooled(home, write_file(tmp_path / "a.dcm", patient="BAD"), write_file(tmp_path / "b.dcm", instance="1.2.5"))
    write = FactStore.write_receipts

    def failing(store: FactStore, key: object, receipts: list[object]) -> str:
        if any(one.header.patient.identifier.value == "BAD" for one in receipts):  # type: ignore[attr-defined]
            raise FactDamaged("a fact can't be read")
        return write(store, key, receipts)  # type: ignore[arg-type]

    monkeypatch.setattr(FactStore, "write_receipts", failing)
    told = lastgate("drain", "--json", env=environment(home))
    assert told.code == 1
    assert (told.json["filed"], told.json["waiting"]) == ({"stored": 1}, 1)
    assert len(_held(home)) == 1
    monkeypatch.undo()
    assert lastgate("drain", "--json", env=environment(home)).json["filed"] == {"stored": 1}
