"""The refresher leaves exactly the newest fold, whoever writes when."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.base import Engine
from search.documents import Document, dossier_document, patient_document, patient_id
from search.errors import BadDocument
from search.kinds import Kind
from search.query import Query
from search.refresh import PatientFold, Refresher
from search.sqlite import SqliteEngine

WAIT_S = 60


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SqliteEngine]:
    """An empty embedded index."""
    engine = SqliteEngine(tmp_path / "index.db")
    yield engine
    engine.close()


def fold(version: int, dossiers: str, key: str = "p1") -> PatientFold:
    """Return a fold with one dossier for each letter."""
    documents: list[Document] = []
    if dossiers:
        documents.append(patient_document({"patient": {"name": f"v{version}"}}, patient_key=key, version=version))
    documents += [dossier_document({"id": letter}, patient_key=key, version=version) for letter in dossiers]
    return PatientFold(patient_key=key, version=version, documents=tuple(documents))


def alive(engine: Engine, key: str = "p1") -> dict[str, int]:
    """Return ids and versions of the living documents of a patient."""
    return {one.id: one.version for one in engine.documents_of(key) if not one.is_tombstone}


def ids(written: PatientFold) -> dict[str, int]:
    """Return ids and versions of a fold's documents."""
    return {document.id: document.version for document in written.documents}


def test_write_of_a_new_fold_buries_what_it_no_longer_has(engine: SqliteEngine) -> None:
    refresher = Refresher(engine)
    refresher.write(fold(3, "ab"))
    refresher.write(fold(4, "bc"))
    assert alive(engine) == ids(fold(4, "bc"))
    assert [hit.body["id"] for hit in engine.search(Query(kind=Kind.DOSSIER)).hits] == ["b", "c"]


def test_write_of_an_older_fold_changes_nothing(engine: SqliteEngine) -> None:
    refresher = Refresher(engine)
    refresher.write(fold(4, "bc"))
    refresher.write(fold(3, "ab"))
    assert alive(engine) == ids(fold(4, "bc"))


def test_write_of_an_empty_fold_leaves_a_tombstone_even_where_nothing_was(engine: SqliteEngine) -> None:
    refresher = Refresher(engine)
    refresher.write(fold(4, ""))
    refresher.write(fold(3, "ab"))
    assert alive(engine) == {}
    assert engine.get(patient_id("p1")) is None


def test_write_of_one_patient_leaves_others_alone(engine: SqliteEngine) -> None:
    refresher = Refresher(engine)
    refresher.write(fold(9, "a", key="p2"))
    refresher.write(fold(1, "a", key="p1"))
    refresher.write(fold(2, "", key="p1"))
    assert alive(engine, "p2") == ids(fold(9, "a", key="p2"))


@pytest.mark.parametrize(
    "documents",
    [fold(2, "a").documents, fold(1, "a", key="p2").documents, fold(1, "a").documents * 2],
)
def test_fold_with_documents_of_something_else_is_refused(documents: tuple[Document, ...]) -> None:
    with pytest.raises(BadDocument):
        PatientFold(patient_key="p1", version=1, documents=documents)


def test_rebuild_gives_the_same_index_again(engine: SqliteEngine) -> None:
    refresher = Refresher(engine)
    folds = [fold(n % 5, "abc"[: n % 4], key=f"p{n}") for n in range(700)]
    for one in folds[:3]:
        refresher.write(one)
    engine.put(fold(1, "z", key="nobody").documents)
    assert refresher.rebuild(folds) == sum(len(one.documents) or 1 for one in folds)
    assert alive(engine, "nobody") == {}
    assert all(alive(engine, one.patient_key) == ids(one) for one in folds[::50])


def test_rebuild_when_folding_fails_leaves_the_old_index(engine: SqliteEngine) -> None:
    def broken() -> Iterator[PatientFold]:
        yield fold(9, "z")
        raise OSError("the object store is gone")

    refresher = Refresher(engine)
    refresher.write(fold(3, "ab"))
    with pytest.raises(OSError, match="gone"):
        refresher.rebuild(broken())
    assert alive(engine) == ids(fold(3, "ab"))
    refresher.rebuild([fold(3, "a")])
    assert alive(engine) == ids(fold(3, "a"))


def test_rebuild_when_the_index_fails_too_tells_the_first_cause(engine: SqliteEngine) -> None:
    def broken() -> Iterator[PatientFold]:
        yield fold(9, "z")
        engine.close()
        raise OSError("the object store is gone")

    with pytest.raises(OSError, match="gone"):
        Refresher(engine).rebuild(broken())


@pytest.mark.parametrize("is_known", [True, False])
def test_rebuild_has_what_is_written_while_it_runs(engine: SqliteEngine, is_known: bool) -> None:
    refresher = Refresher(engine)

    def folds() -> Iterator[PatientFold]:
        yield fold(3, "ab")  # folded before the fact that the write below brings
        refresher.write(fold(4, "b"))
        refresher.write(fold(1, "x", key="p2"))

    if is_known:
        refresher.write(fold(3, "ab"))
    refresher.rebuild(folds())
    assert alive(engine) == ids(fold(4, "b"))
    assert alive(engine, "p2") == ids(fold(1, "x", key="p2"))


def test_sweep_buries_what_is_stale_and_tells_versions(engine: SqliteEngine) -> None:
    engine.put([*fold(3, "ab").documents, *fold(4, "b").documents, *fold(2, "c", key="p2").documents])
    found = Refresher(engine).sweep()
    assert [(one.patient_key, one.newest, one.is_uneven) for one in found] == [("p1", 4, True), ("p2", 2, False)]
    assert alive(engine) == ids(fold(4, "b"))
    assert not any(one.is_uneven for one in Refresher(engine).sweep())


class Stepped:
    """An engine whose every step, one document at a time, waits until it is let go."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._go, self._arrived = threading.Semaphore(0), threading.Semaphore(0)
        self.is_done = False

    def start(self, work: Callable[["Stepped"], None]) -> threading.Thread:
        """Run `work` up to its first step."""

        def run() -> None:
            try:
                work(self)
            finally:
                self.is_done = True
                self._arrived.release()

        thread = threading.Thread(target=run)
        thread.start()
        assert self._arrived.acquire(timeout=WAIT_S)
        return thread

    def step(self) -> None:
        """Let one step happen and wait for the next."""
        self._go.release()
        assert self._arrived.acquire(timeout=WAIT_S)

    def _wait(self) -> None:
        self._arrived.release()
        assert self._go.acquire(timeout=WAIT_S)

    def put(self, documents: Iterable[Document]) -> None:
        """Write like a server does: not all at once."""
        for document in documents:
            self._wait()
            self._engine.put([document])

    def documents_of(self, patient_key: str) -> tuple[Any, ...]:
        """Look."""
        self._wait()
        return self._engine.documents_of(patient_key)

    def refresh(self) -> None:
        """Nothing to wait for."""


@settings(max_examples=120, deadline=None)
@given(
    before=st.sampled_from(["", "a", "abc"]),
    older=st.sampled_from(["", "ab", "bc", "cd"]),
    newer=st.sampled_from(["", "a", "bd", "e"]),
    turns=st.lists(st.booleans(), max_size=30),
)
def test_write_by_two_at_once_ends_with_the_newer_fold(
    tmp_path_factory: pytest.TempPathFactory, before: str, older: str, newer: str, turns: list[bool]
) -> None:
    engine = SqliteEngine(tmp_path_factory.mktemp("race") / "index.db")
    Refresher(engine).write(fold(4, before))
    writers = [Stepped(engine), Stepped(engine)]
    folds = [fold(5, older), fold(6, newer)]
    threads = [
        writer.start(lambda stepped, one=one: Refresher(stepped).write(one))  # type: ignore[misc]
        for writer, one in zip(writers, folds, strict=True)
    ]
    for turn in [*turns, *([True, False] * 40)]:
        if not writers[turn].is_done:
            writers[turn].step()
    for thread in threads:
        thread.join(timeout=WAIT_S)
    assert all(writer.is_done for writer in writers)
    assert alive(engine) == ids(folds[1])
    engine.close()
