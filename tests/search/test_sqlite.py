"""The embedded index among processes and threads, and what it says when its file is not what it should be."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from search import sqlite, sqlite_conditions
from search.conditions import Prefix, Range, Term, all_of
from search.documents import Document, patient_document
from search.errors import (
    IndexDamaged,
    IndexOutdated,
    IndexRefused,
    IndexTooNew,
    IndexUnavailable,
    SearchError,
)
from search.kinds import Kind
from search.query import Query, condition
from search.sqlite import SqliteEngine
from search.sqlite_conditions import where


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the index lies; the folder does not exist yet."""
    return tmp_path / "site 1#%?" / "index.db"


@pytest.fixture
def engine(path: Path) -> Iterator[SqliteEngine]:
    """An empty index."""
    engine = SqliteEngine(path)
    yield engine
    engine.close()


def patients(*names: str, version: int = 1) -> list[Document]:
    """Return a document for each name, which is the patient's key too."""
    return [patient_document({"patient": {"name": name}}, patient_key=name, version=version) for name in names]


def found(engine: SqliteEngine) -> list[str]:
    """Return the patients found."""
    return [hit.patient_key for hit in engine.search(Query(kind=Kind.PATIENT, limit=1000)).hits]


def set_state(path: Path, key: str, value: int) -> None:
    """Change what the file says of itself."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))


def test_engine_when_opened_again_has_everything(engine: SqliteEngine, path: Path) -> None:
    engine.put(patients("a", "b"))
    with closing(SqliteEngine(path)) as again:
        assert found(again) == ["a", "b"]


def test_put_of_a_bad_document_among_good_ones_writes_none(engine: SqliteEngine) -> None:
    bad = patient_document({"nan": float("nan")}, patient_key="x", version=1)
    with pytest.raises(SearchError):
        engine.put([*patients("a"), bad])
    assert found(engine) == []


def test_reader_in_another_process_sees_each_put_and_each_switch(engine: SqliteEngine, path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from search.kinds import Kind
        from search.query import Query, condition
        from search.sqlite import SqliteEngine
        engine = SqliteEngine(Path(sys.argv[1]), read_only=True)
        for _ in sys.stdin:
            hits = engine.search(Query(kind=Kind.PATIENT)).hits
            print(",".join(hit.patient_key for hit in hits), flush=True)
        engine.close()
    """
    engine.put(patients("a"))
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def asked() -> str:
            assert reader.stdin is not None
            assert reader.stdout is not None
            print("?", file=reader.stdin, flush=True)
            return reader.stdout.readline().strip()

        assert asked() == "a"
        engine.put(patients("b"))
        assert asked() == "a,b"
        rebuild = engine.begin_rebuild()
        rebuild.put(patients("c"))
        assert asked() == "a,b"
        rebuild.finish()
        assert asked() == "c"
        reader.stdin.close()
    assert reader.returncode == 0


def test_search_while_another_thread_rebuilds_is_always_whole(engine: SqliteEngine) -> None:
    names = [f"p{number}" for number in range(60)]
    engine.put(patients(*names))
    stop = threading.Event()

    def read() -> set[int]:
        seen = set()
        while not stop.is_set():
            seen.add(len(found(engine)))
        return seen

    with ThreadPoolExecutor(3) as readers:
        reading = [readers.submit(read) for _ in range(3)]
        try:
            for version in range(8):
                rebuild = engine.begin_rebuild()
                rebuild.put(patients(*names[:30], version=version))
                rebuild.put(patients(*names[30:], version=version))
                rebuild.finish()
        finally:
            stop.set()
        assert set().union(*(one.result() for one in reading)) == {60}


def _killed_in_rebuild(path: str) -> None:
    engine = SqliteEngine(Path(path))
    rebuild = engine.begin_rebuild()
    rebuild.put(patients("half"))
    os.kill(os.getpid(), signal.SIGKILL)


def test_rebuild_when_its_process_is_killed_leaves_the_old_index(engine: SqliteEngine, path: Path) -> None:
    engine.put(patients("a"))
    process = multiprocessing.get_context("spawn").Process(target=_killed_in_rebuild, args=(str(path),))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert found(engine) == ["a"]
    rebuild = engine.begin_rebuild()
    rebuild.put(patients("b"))
    rebuild.finish()
    assert found(engine) == ["b"]
    with closing(sqlite3.connect(path)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert len(tables) == 3  # meta and one generation: nothing is left behind


def test_rebuild_that_holds_too_little_is_refused(engine: SqliteEngine, path: Path) -> None:
    engine.put(patients("a"))
    rebuild = engine.begin_rebuild()
    rebuild.put(patients("b", "c"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM documents_2 WHERE id = 'patient:b'")
    with pytest.raises(IndexRefused, match="1 of 2"):
        rebuild.finish()
    assert found(engine) == ["a"]


def test_engine_when_its_file_is_deleted_meanwhile_starts_anew(engine: SqliteEngine, path: Path) -> None:
    engine.put(patients("a"))
    assert found(engine) == ["a"]
    for file in list(path.parent.iterdir()):
        file.unlink()
    assert found(engine) == []
    engine.put(patients("b"))
    assert found(engine) == ["b"]


def test_engine_that_only_reads_needs_a_file_and_never_writes(path: Path) -> None:
    with closing(SqliteEngine(path, read_only=True)) as reader:
        with pytest.raises(IndexUnavailable, match="no index"):
            reader.check()
        assert not path.parent.exists()
        with closing(SqliteEngine(path)) as writer:
            writer.put(patients("a"))
        assert found(reader) == ["a"]
        with pytest.raises(IndexRefused, match="reading only"):
            reader.put(patients("b"))
        with pytest.raises(IndexRefused):
            reader.begin_rebuild()


def test_engine_of_an_older_format_answers_only_after_a_rebuild(engine: SqliteEngine, path: Path) -> None:
    engine.put(patients("old"))
    set_state(path, "live_format", 0)
    for act in (lambda: found(engine), lambda: engine.put(patients("x")), engine.check):
        with pytest.raises(IndexOutdated) as caught:
            act()
        assert "lastgate rebuild" in caught.value.hint
    rebuild = engine.begin_rebuild()
    engine.put(patients("meanwhile"))
    rebuild.put(patients("new"))
    with pytest.raises(IndexOutdated):
        engine.check()
    rebuild.finish()
    assert found(engine) == ["meanwhile", "new"]


@pytest.mark.parametrize("key", ["live_format", "building_format"])
def test_engine_of_a_newer_format_is_left_alone(engine: SqliteEngine, path: Path, key: str) -> None:
    engine.put(patients("a"))
    set_state(path, key, 99)
    for act in (lambda: found(engine), lambda: engine.put(patients("x")), engine.begin_rebuild, engine.check):
        with pytest.raises(IndexTooNew, match="format 99"):
            act()


@pytest.mark.parametrize("content", [b"this is no database" * 1000, b"\x00" * 5000])
def test_engine_on_a_file_that_is_no_index_says_damaged(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with closing(SqliteEngine(path)) as engine, pytest.raises(IndexDamaged) as caught:
        engine.check()
    assert "lastgate rebuild" in caught.value.hint


def test_engine_on_a_damaged_index_says_so(engine: SqliteEngine, path: Path) -> None:
    engine.put(patients(*(f"p{number}" for number in range(2000))))
    engine.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    with closing(SqliteEngine(path)) as again, pytest.raises(IndexDamaged):
        found(again)


def test_engine_on_a_database_without_its_state_says_damaged(engine: SqliteEngine, path: Path) -> None:
    engine.check()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM meta")
    with pytest.raises(IndexDamaged):
        engine.check()


def test_put_while_another_process_holds_the_file_is_unavailable_not_lost(path: Path) -> None:
    with closing(SqliteEngine(path, busy_timeout_s=0.05)) as engine:
        engine.put(patients("a"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert found(engine) == ["a"]
            with pytest.raises(IndexUnavailable):
                engine.put(patients("b"))
            other.execute("ROLLBACK")
        engine.put(patients("b"))
        assert found(engine) == ["a", "b"]


def test_engine_when_closed_refuses_work(engine: SqliteEngine) -> None:
    engine.put(patients("a"))
    engine.close()
    engine.close()
    with pytest.raises(IndexUnavailable, match="closed"):
        found(engine)


def test_search_uses_an_index_for_every_way_of_looking(engine: SqliteEngine, path: Path) -> None:
    engine.check()
    with closing(sqlite3.connect(path)) as connection:
        for statement in (sqlite._GET, sqlite._COUNT, sqlite._OF_PATIENT):
            plan = connection.execute("EXPLAIN QUERY PLAN " + statement.replace("_N", "_1"), ("x",)).fetchall()
            assert all("SCAN" not in row[3] for row in plan)
        fits, values = where(condition(Query(kind=Kind.PATIENT, text="wang", name="w*x", patient_id="1")))
        for kind in (sqlite._ORDERED_KIND, sqlite._UNORDERED_KIND):
            listed = sqlite._SEARCH.replace("ORDER_KEY", "order_0") + kind + fits + " ORDER BY order_0, id LIMIT 9"
            steps = connection.execute("EXPLAIN QUERY PLAN " + listed.replace("_N", "_1"), ("patient", *values))
            plan = [row[3] for row in steps]
            assert not any("SCAN" in step for step in plan)
            assert any("order_0_1" in step for step in plan) == (kind == sqlite._ORDERED_KIND)


def test_search_for_many_and_few_gives_the_same_order(engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.put(patients(*(f"{number * 7919 % 1000:04d}" for number in range(300))))
    query = Query(kind=Kind.PATIENT, text="0", limit=1000, with_total=True)
    few = engine.search(query)
    monkeypatch.setattr(sqlite_conditions, "NARROW", 10)
    many = engine.search(query)
    assert few == many
    assert len(few.hits) > 10


def test_queries_of_dicom_use_an_index_for_every_key_and_read_no_table_whole(engine: SqliteEngine) -> None:
    engine.put(patients("a"))
    wide = Range("study_date", low="2020-01-01", high="2020-12-31")
    statements: list[str] = []
    engine._idle[0][1].set_trace_callback(statements.append)
    for kind, held in (
        (Kind.STUDY, Term("study_uid", "1.2.3")),
        (Kind.STUDY, Term("patient_id", "0042")),
        (Kind.STUDY, Prefix("patient_id", "00")),
        (Kind.STUDY, Term("accession", "A1")),
        (Kind.STUDY, all_of(wide, Prefix("name", "wang"))),
        (Kind.STUDY, Term("modality", "ct")),
        (Kind.SERIES, Term("study_uid", "1.2.3")),
        (Kind.SERIES, Term("instance_uid", "1.2.3.4")),
    ):
        engine.search(Query(kind=kind, where=held))
    engine.fetch(["instances:x:p"])
    connection = engine._idle[0][1]
    connection.set_trace_callback(None)
    asked = [one for one in statements if one.startswith(("SELECT id", "SELECT count", "\n    SELECT"))]
    assert len(asked) > 16
    for statement in asked:
        plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement)]
        assert not any("SCAN documents" in step or "SCAN d" in step or "SCAN terms" in step for step in plan), plan


@pytest.mark.parametrize("few", [0, 1000])
def test_search_when_a_key_is_wide_then_it_is_tested_on_each_document(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    engine.put(patients(*(f"{number:04d}" for number in range(100))))
    query = Query(kind=Kind.PATIENT, text="0 00", where=Prefix("name", "00"), limit=30, with_total=True)
    before = engine.search(query)
    assert before.total == 100
    monkeypatch.setattr(sqlite_conditions, "NARROW", few)
    monkeypatch.setattr(sqlite_conditions, "_LISTED_AT_MOST", 1)
    assert engine.search(query) == before


def test_search_when_several_keys_are_narrow_then_no_document_is_opened_to_compare_the_rest(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.put(patients(*(f"{number:04d}" for number in range(200))))
    query = Query(kind=Kind.PATIENT, where=all_of(Prefix("name", "00"), Range("name", low="0090")))
    monkeypatch.setattr(sqlite, "_rest_fits", lambda *_: 1 / 0)
    assert [hit.patient_key for hit in engine.search(query).hits] == [f"{number:04d}" for number in range(90, 100)]


def test_put_when_a_document_says_the_same_then_only_its_version_is_written(engine: SqliteEngine, path: Path) -> None:
    (first,) = patients("same")
    engine.put([first])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE documents_1 SET body = '{\"patient\":{}}'")
        connection.commit()
        engine.put([replace(first, version=first.version + 1)])
        (row,) = connection.execute("SELECT version, body FROM documents_1").fetchall()
        assert row == (first.version + 1, '{"patient":{}}')
        engine.put([replace(first, version=first.version + 2, body={"patient": {"name": "other"}})])
        (row,) = connection.execute("SELECT version, body FROM documents_1").fetchall()
        assert row == (first.version + 2, '{"patient":{"name":"other"}}')
