"""What is peculiar to Elasticsearch: its indexes and aliases, its refusals, and requests that meet a fault."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from typing import Any, Final

import pytest
from elasticsearch import Elasticsearch

from search.base import INDEX_FORMAT
from search.documents import Document, patient_document
from search.elastic import ElasticEngine, connect
from search.elastic_requests import as_query
from search.errors import (
    IndexDamaged,
    IndexOutdated,
    IndexRefused,
    IndexTooNew,
    IndexUnavailable,
    RebuildSuperseded,
)
from search.kinds import Kind
from search.query import Query

_numbers = count()


def patients(*names: str, version: int = 1) -> list[Document]:
    """Return a document for each name, which is the patient's key too."""
    return [patient_document({"patient": {"name": name}}, patient_key=name, version=version) for name in names]


def found(engine: ElasticEngine) -> list[str]:
    """Return the patients found."""
    engine.refresh()
    return [hit.patient_key for hit in engine.search(Query(kind=Kind.PATIENT, limit=1000)).hits]


# --- on a real server --------------------------------------------------------------------------------------------


@pytest.fixture
def client(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    """A plain client, to look behind the engine."""
    with Elasticsearch(elasticsearch_url) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name nobody used."""
    return f"peculiar-{next(_numbers)}"


@pytest.fixture
def engine(elasticsearch_url: str, name: str) -> Iterator[ElasticEngine]:
    """An empty index."""
    engine = connect([elasticsearch_url], name=name)
    yield engine
    engine.close()


def indexes(client: Elasticsearch, name: str) -> dict[str, set[str]]:
    """Return the indexes of a name with their aliases."""
    answer = client.indices.get(index=f"{name}-*", features="aliases").body
    return {index: set(content["aliases"]) for index, content in answer.items()}


@pytest.mark.server
def test_rebuild_leaves_one_index_with_its_aliases(engine: ElasticEngine, client: Elasticsearch, name: str) -> None:
    engine.put(patients("a"))
    assert indexes(client, name) == {f"{name}-{INDEX_FORMAT}-000001": {name, f"{name}-w-{INDEX_FORMAT}-000001"}}
    rebuild = engine.begin_rebuild()
    assert indexes(client, name)[f"{name}-{INDEX_FORMAT}-000002"] == {f"{name}-w-{INDEX_FORMAT}-000002"}
    rebuild.finish()
    assert indexes(client, name) == {f"{name}-{INDEX_FORMAT}-000002": {name, f"{name}-w-{INDEX_FORMAT}-000002"}}


@pytest.mark.server
def test_names_that_begin_alike_do_not_mix(elasticsearch_url: str, client: Elasticsearch, name: str) -> None:
    other = connect([elasticsearch_url], name=f"{name}-1")
    engine = connect([elasticsearch_url], name=name)
    other.put(patients("theirs"))
    engine.put(patients("ours"))
    engine.begin_rebuild().finish()
    assert found(other) == ["theirs"]
    assert found(engine) == []
    engine.close()
    other.close()


@pytest.mark.server
def test_first_use_by_many_at_once_makes_one_index(elasticsearch_url: str, client: Elasticsearch, name: str) -> None:
    engines = [connect([elasticsearch_url], name=name) for _ in range(4)]
    threads = [
        threading.Thread(target=engine.put, args=(patients(str(number)),)) for number, engine in enumerate(engines)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found(engines[0]) == ["0", "1", "2", "3"]
    assert len(indexes(client, name)) == 1
    for engine in engines:
        engine.close()


@pytest.mark.server
def test_put_to_an_index_that_a_rebuild_drops_meanwhile_goes_to_the_new_one(
    engine: ElasticEngine, client: Elasticsearch, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.put(patients("a"))
    rebuild = engine.begin_rebuild()
    known = engine._generations.written()
    assert len(known) == 2
    rebuild.finish()
    answers = iter([known, engine._generations.written()])
    monkeypatch.setattr(engine._generations, "written", lambda: next(answers))
    engine.put(patients("b"))
    monkeypatch.undo()
    assert found(engine) == ["b"]
    assert len(indexes(client, name)) == 1  # nothing was made in place of the one that is gone


@pytest.mark.server
def test_put_to_an_index_that_vanished_is_unavailable(engine: ElasticEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.put(patients("a"))
    known = engine._generations.written()
    monkeypatch.setattr(engine._generations, "written", lambda: known)
    engine._client.indices.delete(index=known[0].index)
    with pytest.raises(IndexUnavailable, match="vanished"):
        engine.put(patients("b"))


@pytest.mark.server
def test_finish_when_the_new_index_vanished_leaves_the_old_one(engine: ElasticEngine, name: str) -> None:
    engine.put(patients("a"))
    rebuild = engine.begin_rebuild()
    engine._client.indices.delete(index=f"{name}-{INDEX_FORMAT}-000002")
    with pytest.raises(RebuildSuperseded):
        rebuild.finish()
    assert found(engine) == ["a"]


@pytest.mark.server
def test_rebuild_that_holds_too_little_is_refused(engine: ElasticEngine, client: Elasticsearch, name: str) -> None:
    engine.put(patients("a"))
    rebuild = engine.begin_rebuild()
    rebuild.put(patients("b", "c"))
    client.delete(index=f"{name}-{INDEX_FORMAT}-000002", id="patient:b")
    with pytest.raises(IndexRefused, match="1 of 2"):
        rebuild.finish()
    assert found(engine) == ["a"]


@pytest.mark.server
def test_index_of_an_older_format_answers_only_after_a_rebuild(
    engine: ElasticEngine, client: Elasticsearch, name: str
) -> None:
    client.indices.create(index=f"{name}-0-000007", aliases={name: {}, f"{name}-w-0-000007": {}})
    for act in (lambda: found(engine), lambda: engine.put(patients("x")), engine.check):
        with pytest.raises(IndexOutdated):
            act()
    rebuild = engine.begin_rebuild()
    engine.put(patients("meanwhile"))
    rebuild.put(patients("new"))
    rebuild.finish()
    assert found(engine) == ["meanwhile", "new"]
    assert list(indexes(client, name)) == [f"{name}-{INDEX_FORMAT}-000008"]


@pytest.mark.server
def test_index_of_a_newer_format_is_left_alone(engine: ElasticEngine, client: Elasticsearch, name: str) -> None:
    engine.put(patients("a"))
    client.indices.create(index=f"{name}-99-000002", aliases={f"{name}-w-99-000002": {}})
    for act in (lambda: found(engine), lambda: engine.put(patients("x")), engine.begin_rebuild, engine.check):
        with pytest.raises(IndexTooNew, match="format 99"):
            act()


@pytest.mark.server
def test_index_without_its_alias_is_damaged(engine: ElasticEngine, client: Elasticsearch, name: str) -> None:
    engine.put(patients("a"))
    client.indices.delete_alias(index=f"{name}-{INDEX_FORMAT}-000001", name=name)
    with pytest.raises(IndexDamaged, match="alias"):
        engine.check()


@pytest.mark.server
def test_put_of_more_than_one_request_holds_writes_all(engine: ElasticEngine) -> None:
    big = [patient_document({"note": "长" * 700_000}, patient_key=f"big{number}", version=1) for number in range(8)]
    engine.put([*big, *patients(*(f"p{number:04d}" for number in range(1_100)))])
    engine.refresh()
    assert engine.count(Kind.PATIENT) == 1_108


@pytest.mark.server
def test_put_that_the_server_refuses_names_the_document_not_the_patient(
    engine: ElasticEngine, client: Elasticsearch, name: str
) -> None:
    engine.put(patients("a"))
    client.indices.put_settings(index=f"{name}-{INDEX_FORMAT}-000001", settings={"blocks.write": True})
    with pytest.raises(IndexRefused, match="cluster_block_exception") as caught:
        engine.put(patients("Secret"))
    assert "patient:Secret" in str(caught.value)


@pytest.mark.server
def test_mapping_refuses_what_was_not_named(engine: ElasticEngine, client: Elasticsearch, name: str) -> None:
    from elasticsearch import BadRequestError

    engine.put(patients("a"))
    with pytest.raises(BadRequestError, match="strict"):
        client.index(index=f"{name}-{INDEX_FORMAT}-000001", document={"fields": {"surprise": "x"}})


# --- on no server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "*", "-a", "a,b", "a" * 101, "a-w"])
def test_engine_with_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower case"):
        connect(["http://127.0.0.1:1"], name=name)


def test_engine_without_a_server_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    engine = connect([f"http://127.0.0.1:{port}"], timeout_s=2)
    for act in (engine.check, lambda: engine.put(patients("a")), engine.begin_rebuild, engine.refresh):
        with pytest.raises(IndexUnavailable, match="can't be reached"):
            act()
    engine.close()


def test_as_query_takes_a_backslash_for_itself() -> None:
    from search.conditions import Wildcard

    assert as_query(Wildcard("name", "a\\*b")) == {"wildcard": {"fields.name": {"value": "a\\\\*b"}}}


LISTED: Final[dict[str, Any]] = {f"n-{INDEX_FORMAT}-000001": {"aliases": {"n": {}, f"n-w-{INDEX_FORMAT}-000001": {}}}}


class Scripted(BaseHTTPRequestHandler):
    """A server that knows its indexes and answers everything else as told."""

    status = 200
    answer: Any = None

    def _reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_listing = self.command == "GET" and self.path.startswith("/n-*")
        body = json.dumps(LISTED if is_listing else self.answer).encode()
        self.send_response(200 if is_listing else self.status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer."""
        self._reply()

    def do_POST(self) -> None:
        """Answer."""
        self._reply()

    def do_PUT(self) -> None:
        """Answer."""
        self._reply()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[tuple[ElasticEngine, type[Scripted]]]:
    """An engine on a server that answers as told."""
    handler = type("Told", (Scripted,), {})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = Elasticsearch(f"http://127.0.0.1:{server.server_port}", max_retries=0)
    engine = ElasticEngine(client, name="n")
    yield engine, handler
    engine.close()
    server.shutdown()
    thread.join()
    server.server_close()


def _bulk(status: int, kind: str = "") -> dict[str, Any]:
    return {"errors": True, "items": [{"index": {"_id": "patient:a", "status": status, "error": {"type": kind}}}]}


@pytest.mark.parametrize(
    ("status", "answer", "raised"),
    [
        (200, _bulk(409, "version_conflict_engine_exception"), None),
        (200, _bulk(429, "es_rejected_execution_exception"), IndexUnavailable),
        (200, _bulk(503, "unavailable_shards_exception"), IndexUnavailable),
        (200, _bulk(400, "document_parsing_exception"), IndexRefused),
        (200, _bulk(403, "cluster_block_exception"), IndexRefused),
        (413, {"error": "too large"}, IndexRefused),
        (401, {"error": {"type": "security_exception", "reason": "missing credentials"}}, IndexRefused),
        (503, {"error": {"type": "cluster_block_exception"}}, IndexUnavailable),
        (429, {"error": {"type": "circuit_breaking_exception"}}, IndexUnavailable),
    ],
)
def test_put_judges_every_answer(
    scripted: tuple[ElasticEngine, type[Scripted]], status: int, answer: dict[str, Any], raised: type[Exception] | None
) -> None:
    engine, handler = scripted
    handler.status, handler.answer = status, answer
    if raised is None:
        engine.put(patients("a"))
        return
    with pytest.raises(raised):
        engine.put(patients("a"))


def test_search_that_timed_out_on_the_server_is_unavailable(scripted: tuple[ElasticEngine, type[Scripted]]) -> None:
    engine, handler = scripted
    handler.answer = {"timed_out": True, "hits": {"hits": []}}
    with pytest.raises(IndexUnavailable, match="in time"):
        engine.search(Query(kind=Kind.PATIENT))


def test_refresh_that_some_shards_missed_is_unavailable(scripted: tuple[ElasticEngine, type[Scripted]]) -> None:
    engine, handler = scripted
    handler.answer = {"_shards": {"total": 2, "successful": 1, "failed": 1}}
    with pytest.raises(IndexUnavailable, match="1 of 2"):
        engine.refresh()


def test_check_of_a_red_cluster_is_unavailable(scripted: tuple[ElasticEngine, type[Scripted]]) -> None:
    engine, handler = scripted
    handler.answer = {"status": "red"}
    with pytest.raises(IndexUnavailable, match="red"):
        engine.check()


def test_errors_do_not_quote_the_server_s_reason(scripted: tuple[ElasticEngine, type[Scripted]]) -> None:
    engine, handler = scripted
    handler.status = 400
    handler.answer = {"error": {"type": "x_content_parse_exception", "reason": "failed near [王小东]"}}
    with pytest.raises(IndexRefused) as caught:
        engine.search(Query(kind=Kind.PATIENT, text="王小东"))
    assert "王小东" not in str(caught.value)
    assert "x_content_parse_exception" in str(caught.value)
