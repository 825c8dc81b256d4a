"""What is said to Elasticsearch: the mapping, conditions as queries, documents as bulk lines, and its answers."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from search.conditions import AllOf, AnyOf, Condition, OneOf, Prefix, Range, Term, Wildcard
from search.documents import Document, body_text
from search.errors import IndexRefused, IndexUnavailable
from search.fields import FIELDS
from search.query import Order

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

BUSY: Final = (429, 502, 503, 504)
"""Statuses that mean: try again."""

_MAX_BULK_CHARS: Final = 4_000_000
_MAX_BULK_DOCUMENTS: Final = 500
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404

_KEYWORD: Final = {"type": "keyword"}
_TERM: Final = {"type": "keyword", "doc_values": False}  # looked up, never sorted or counted by
_STORED: Final = {"type": "keyword", "index": False, "doc_values": False}

MAPPING: Final[Mapping[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "id": _KEYWORD,
        "kind": _KEYWORD,
        "patient": _KEYWORD,
        "alive": {"type": "boolean"},
        "version": {"type": "long"},  # the server's own version can't be searched by
        **{f"order_{order.value}": _KEYWORD for order in Order},
        "fields": {"properties": dict.fromkeys(sorted(FIELDS), _TERM)},
        "body": _STORED,  # JSON as text: given back to the letter, and its keys are none of the server's business
    },
}


def as_query(condition: Condition) -> dict[str, Any]:
    """Return a condition in Elasticsearch's query language; every value is data, none is parsed as a query."""
    match condition:
        case AllOf(conditions):
            return {"bool": {"filter": [as_query(part) for part in conditions]}} if conditions else {"match_all": {}}
        case AnyOf(conditions):
            parts = [as_query(part) for part in conditions]
            return {"bool": {"should": parts, "minimum_should_match": 1}} if parts else {"match_none": {}}
        case Term(field, value):
            return {"term": {f"fields.{field}": {"value": value}}}
        case OneOf(field, values):
            return {"terms": {f"fields.{field}": list(values)}}
        case Prefix(field, value):
            return {"prefix": {f"fields.{field}": {"value": value}}}
        case Range(field, low, high):
            bounds = {sign: bound for sign, bound in (("gte", low), ("lte", high)) if bound is not None}
            return {"range": {f"fields.{field}": bounds}}
        case Wildcard(field, pattern):
            return {"wildcard": {f"fields.{field}": {"value": pattern.replace("\\", "\\\\")}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAction:
    """One document as two lines of a bulk request."""

    head: str
    source: str

    @classmethod
    def of(cls, document: Document) -> "BulkAction":
        """Return the lines that write `document`.

        Of equal versions the later document wins (``external_gte``), but a
        tombstone must be newer than what it buries (``external``).
        """
        rule = "external" if document.tombstone else "external_gte"
        head = {"_id": document.id, "version": document.version, "version_type": rule}
        source = {
            "id": document.id,
            "kind": document.kind.value,
            "patient": document.patient_key,
            "alive": not document.tombstone,
            "version": document.version,
            **{f"order_{position}": key for position, key in enumerate(document.sort)},
            "fields": {field: sorted(set(values)) for field, values in document.fields.items()},
            "body": body_text(document),
        }
        return cls(head=json.dumps({"index": head}), source=json.dumps(source, ensure_ascii=False))


def send_bulk(client: "Elasticsearch", alias: str, actions: Iterable[BulkAction]) -> int | None:
    """Write documents and look at the answer for each; one that was already newer is no error.

    Returns
    -------
    int or None
        How many documents were new; None if the alias is gone (nothing is created in its place).

    Raises
    ------
    IndexUnavailable
        If the server was too busy for some of them.
    IndexRefused
        If it refused one.
    """
    created = 0
    for batch in _batches(actions):
        lines = [line for action in batch for line in (action.head, action.source)]
        # the client passes text on as it is, though its types know mappings only
        answer = client.bulk(index=alias, operations=cast("list[dict[str, Any]]", lines), require_alias=True)
        for item in answer["items"]:
            result = item["index"]
            if result["status"] == _NOT_FOUND:
                return None
            _judge(result)
            created += result.get("result") == "created"
    return created


def _batches(actions: Iterable[BulkAction]) -> Iterator[Sequence[BulkAction]]:
    batch: list[BulkAction] = []
    size = 0
    for action in actions:
        if batch and (len(batch) == _MAX_BULK_DOCUMENTS or size + len(action.source) > _MAX_BULK_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(action)
        size += len(action.source)
    if batch:
        yield batch


def _judge(result: Mapping[str, Any]) -> None:
    status = int(result["status"])
    if status < 300 or status == _CONFLICT:
        return
    kind = result.get("error", {}).get("type", "unknown")
    message = f"Elasticsearch did not write {result['_id']}: {kind} (status {status})."
    raise IndexUnavailable(message) if status in BUSY else IndexRefused(message)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into ours. Reasons stay out of the message: they may quote patients' names."""
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except ApiError as error:
        message = f"Elasticsearch answered {error.meta.status}: {error.message[:80]}"
        raise (IndexUnavailable if error.meta.status in BUSY else IndexRefused)(message) from error
    except TransportError as error:
        raise IndexUnavailable(f"Elasticsearch can't be reached: {type(error).__name__}") from error
