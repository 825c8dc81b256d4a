"""The scale-out index: Elasticsearch 8.19, any number of writers and readers.

All fields are keywords and the mapping is strict: the server does no analysis
and keeps nothing we did not name. No scripts, no reindexing and no writes by
query are used, so a server with few modules and an account with few rights
will do. See `search.elastic_indices` for how indexes take each other's place.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search.base import Hit, Page, PatientVersions, Rebuild, Stored
from search.documents import Document
from search.elastic_indices import Generation, Generations
from search.elastic_requests import BUSY, BulkAction, as_query, send_bulk, translated
from search.errors import IndexRefused, IndexUnavailable, RebuildSuperseded
from search.kinds import Kind
from search.query import Query, condition, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_PAGE: Final = 1000
_VERSIONS: Final = {
    "newest": {"max": {"field": "version"}},
    "living": {"filter": {"term": {"alive": True}}, "aggs": {"oldest": {"min": {"field": "version"}}}},
}
_ALIVE: Final = {"term": {"alive": True}}


def connect(
    urls: Sequence[str],
    *,
    name: str = "lastgate",
    user: str = "",
    password: str = "",
    api_key: str = "",
    ca_file: Path | None = None,
    timeout_s: float = 30.0,
) -> "ElasticEngine":
    """Return an engine on the servers at `urls`; nothing is sent yet.

    Parameters
    ----------
    urls
        With several, another is asked when one fails.
    name
        Of the index: lower case letters, digits, hyphens. Archives that share a server need names of their own.
    user, password, api_key
        The first two, or the last, or none. The account needs all rights on the indexes ``NAME`` and ``NAME-*``,
        and ``monitor`` on the cluster.
    ca_file
        Certificate of the authority that signed the servers', if the system does not know it.
    timeout_s
        Of one request; each is tried at most four times.
    """
    from elasticsearch import Elasticsearch

    options: dict[str, Any] = {"ca_certs": str(ca_file)} if ca_file else {}
    if api_key:
        options["api_key"] = api_key
    elif user:
        options["basic_auth"] = (user, password)
    client = Elasticsearch(
        list(urls),
        request_timeout=timeout_s,
        max_retries=3,
        retry_on_timeout=True,  # every write here may be repeated
        retry_on_status=BUSY,
        **options,
    )
    return ElasticEngine(client, name=name)


class ElasticEngine:
    """The `search.base.Engine` on Elasticsearch. Safe for many threads and processes.

    Parameters
    ----------
    client
        Closed by `close`.
    name
        See `connect`.
    shards
        Primary shards of a new index; one is right below some tens of millions of documents.
    """

    def __init__(self, client: "Elasticsearch", *, name: str = "lastgate", shards: int = 1) -> None:
        self._client = client
        self._name = name
        self._generations = Generations(client, name, shards=shards)

    def put(self, documents: Iterable[Document]) -> None:
        """Write documents into every index that is written; see `search.base.Engine.put`."""
        actions = [BulkAction.of(document) for document in documents]
        if not actions:
            return
        with translated():
            targets = self._generations.written()
            gone = {target for target in targets if send_bulk(self._client, target.write_alias, actions) is None}
            # an index that a finished rebuild dropped meanwhile needs no documents any more
            if gone and {target.number for target in gone} & {one.number for one in self._generations.written()}:
                raise IndexUnavailable("An index vanished while it was written; try again.")

    def search(self, query: Query) -> Page:
        """Return one page of hits; never a part of them because some shard did not answer."""
        key = f"order_{query.order.value}"
        after = decode_cursor(query)
        fits = [{"term": {"kind": query.kind.value}}, _ALIVE, as_query(condition(query))]
        found = self._search(
            query={"bool": {"filter": fits}},
            sort=[{key: "asc"}, {"id": "asc"}],
            size=query.limit + 1,
            track_total_hits=query.with_total,
            **({"search_after": list(after)} if after else {}),
        )
        rows = found["hits"]["hits"]
        shown = rows[: query.limit]
        cursor = encode_cursor(query, *shown[-1]["sort"]) if len(rows) > query.limit else None
        total = int(found["hits"]["total"]["value"]) if query.with_total else None
        return Page(hits=tuple(map(_hit, shown)), next_cursor=cursor, total=total)

    def get(self, document_id: str) -> Hit | None:
        """Return one living document, also one put since the last refresh."""
        from elasticsearch import NotFoundError

        with translated():
            self._generations.live()
            try:
                found = self._client.get(index=self._name, id=document_id)
            except NotFoundError:
                return None
        return _hit(found.body) if found["_source"]["alive"] else None

    def fetch(self, document_ids: Sequence[str]) -> dict[str, Hit]:
        """Return living documents by id, also those put since the last refresh."""
        if not document_ids:
            return {}
        with translated():
            self._generations.live()
            rows = self._client.mget(index=self._name, ids=list(document_ids))["docs"]
        return {row["_id"]: _hit(row) for row in rows if row.get("found") and row["_source"]["alive"]}

    def count(self, kind: Kind) -> int:
        """Return the number of living documents of a kind."""
        fits = {"bool": {"filter": [{"term": {"kind": kind.value}}, _ALIVE]}}
        return int(self._search(query=fits, size=0, track_total_hits=True)["hits"]["total"]["value"])

    def documents_of(self, patient_key: str) -> tuple[Stored, ...]:
        """Return all that is held of a patient."""
        self.refresh()
        held: list[Stored] = []
        after: dict[str, Any] = {}
        while True:
            rows = self._search(
                query={"term": {"patient": patient_key}},
                sort=[{"id": "asc"}],
                size=_PAGE,
                source_includes=["id", "kind", "alive"],
                **after,
            )["hits"]["hits"]
            held.extend(map(_stored, rows))
            if len(rows) < _PAGE:
                return tuple(held)
            after = {"search_after": rows[-1]["sort"]}

    def patients(self) -> Iterator[PatientVersions]:
        """Yield every patient with a document."""
        self.refresh()
        by_patient: dict[str, Any] = {"size": _PAGE, "sources": [{"patient": {"terms": {"field": "patient"}}}]}
        while True:
            grouped = {"patients": {"composite": by_patient, "aggs": _VERSIONS}}
            buckets = self._search(size=0, aggs=grouped)["aggregations"]["patients"]["buckets"]
            for bucket in buckets:
                oldest = bucket["living"]["oldest"]["value"]
                yield PatientVersions(
                    patient_key=bucket["key"]["patient"],
                    oldest_living=None if oldest is None else int(oldest),
                    newest=int(bucket["newest"]["value"]),
                )
            if len(buckets) < _PAGE:
                return
            by_patient = {**by_patient, "after": buckets[-1]["key"]}

    def begin_rebuild(self) -> Rebuild:
        """Make the next index, written from now on by all nodes; one left behind unfinished is dropped."""
        with translated():
            return _ElasticRebuild(self._client, self._generations, self._generations.begin())

    def check(self) -> None:
        """Return if the index can be read: its primary shards are all there and its format is ours."""
        with translated():
            self._generations.live()
            if self._client.cluster.health(index=self._name)["status"] == "red":
                raise IndexUnavailable(f"Parts of the index {self._name!r} are missing (status red).")

    def refresh(self) -> None:
        """Return when searches see everything put before."""
        with translated():
            self._generations.live()
            _refresh(self._client, self._name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _search(self, **asked: Any) -> Mapping[str, Any]:
        with translated():
            self._generations.live()
            found: Mapping[str, Any] = self._client.search(
                index=self._name, version=True, allow_partial_search_results=False, **asked
            ).body
        if found["timed_out"]:
            raise IndexUnavailable("The index did not answer in time.")
        return found


class _ElasticRebuild:
    """The index under construction."""

    def __init__(self, client: "Elasticsearch", generations: Generations, generation: Generation) -> None:
        self._client = client
        self._generations = generations
        self._generation = generation
        self._created = 0
        self._is_over = False

    def put(self, documents: Iterable[Document]) -> None:
        """Write documents into the new index only."""
        actions = [BulkAction.of(document) for document in documents]
        with translated():
            # once it answers it is no longer ours to fill
            created = None if self._is_over else send_bulk(self._client, self._generation.write_alias, actions)
        if created is None:
            raise RebuildSuperseded("Another rebuild began, or this one ended: its index is gone.")
        self._created += created

    def finish(self) -> int:
        """Switch to the new index and drop the old one in one step."""
        with translated():
            if self._generation not in self._generations.all():
                raise RebuildSuperseded("Another rebuild began, or this one ended: its index is gone.")
            _refresh(self._client, self._generation.index)
            held = int(self._client.count(index=self._generation.index)["count"])
            if held < self._created:
                raise IndexRefused(f"The new index holds {held} of {self._created} documents; the old one stays.")
            self._generations.switch_to(self._generation)
        self._is_over = True
        return held

    def abandon(self) -> None:
        """Drop the new index if it is still there and does not answer."""
        with translated():
            if self._generation in self._generations.all():
                self._generations.drop(self._generation)


def _refresh(client: "Elasticsearch", index: str) -> None:
    shards = client.indices.refresh(index=index)["_shards"]
    if shards["failed"]:
        raise IndexUnavailable(f"{shards['failed']} of {shards['total']} parts of the index {index!r} did not refresh.")


def _hit(row: Mapping[str, Any]) -> Hit:
    source = row["_source"]
    return Hit(
        id=source["id"],
        kind=Kind(source["kind"]),
        patient_key=source["patient"],
        version=row["_version"],
        body=json.loads(source["body"]),
    )


def _stored(row: Mapping[str, Any]) -> Stored:
    source = row["_source"]
    return Stored(id=source["id"], kind=Kind(source["kind"]), version=row["_version"], is_tombstone=not source["alive"])
