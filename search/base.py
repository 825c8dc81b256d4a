"""The index port: what every engine does, and the values that pass through it.

`tests/conformance/test_search_engine.py` runs on every engine and compares
each with a plain evaluation in memory: same hits, same order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from search.kinds import Kind

if TYPE_CHECKING:
    from search.documents import Document
    from search.query import Query


INDEX_FORMAT: Final = 3
"""Grows whenever fields, tokens or sort keys change, so that an index is never read by rules it was not written by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One document found.

    Parameters
    ----------
    id
        The document's id.
    patient_key
        The patient whose fold wrote it.
    version
        Number of facts folded into it.
    body
        The JSON it was written with, equal on every engine.
    """

    id: str
    kind: Kind
    patient_key: str
    version: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of hits in order.

    Parameters
    ----------
    next_cursor
        Give it to the same query for the next page; None on the last one.
    total
        Hits on all pages, if the query asked for it.
    """

    hits: tuple[Hit, ...]
    next_cursor: str | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the index holds under one id: enough to judge whether it is stale."""

    id: str
    kind: Kind
    version: int
    is_tombstone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientVersions:
    """How current the documents of one patient are.

    Parameters
    ----------
    oldest_living
        Lowest version of a living document, None if all are buried.
    newest
        Highest version of all, tombstones included: compare it with the number of facts.
    """

    patient_key: str
    oldest_living: int | None
    newest: int

    @property
    def is_uneven(self) -> bool:
        """Whether a living document is older than the newest fold, so that fold did not have it."""
        return self.oldest_living is not None and self.oldest_living < self.newest


class Rebuild(Protocol):
    """An index under construction beside the one that answers.

    Every `Engine.put` of any process goes to both until the switch, so facts
    that arrive meanwhile are in it. At most one is under way: a second
    `Engine.begin_rebuild` discards the first, whose calls then raise
    `RebuildSuperseded`.
    """

    def put(self, documents: Iterable["Document"]) -> None:
        """Write documents into the new index only, by the rules of `Engine.put`."""
        ...

    def finish(self) -> int:
        """Let the new index answer from now on, at once for all readers, and drop the old one.

        Returns
        -------
        int
            Number of documents it holds, tombstones included.

        Raises
        ------
        IndexRefused
            It holds fewer documents than were put into it; the old index goes on answering.
        """
        ...

    def abandon(self) -> None:
        """Drop the new index; the old one was never touched. Harmless when there is nothing to drop."""
        ...


class Engine(Protocol):
    """An index. All methods may raise `IndexUnavailable`, `IndexDamaged`, `IndexTooNew` and `IndexRefused`.

    An index written by an older program answers nothing (`IndexOutdated`) until it is rebuilt.
    """

    def put(self, documents: Iterable["Document"]) -> None:
        """Write documents, each under its id. Idempotent.

        What is there stays if its version is higher. Of equal versions the
        later put wins, except that a tombstone never takes the place of a
        living document. Nothing is ever deleted: a deleted document would come
        back with a late update.

        SQLite writes one call as a whole or not at all; Elasticsearch document
        by document, so a call that failed must be repeated.
        """
        ...

    def search(self, query: "Query") -> Page:
        """Return one page of the living documents that fit, in the query's order, ties by id.

        Pages go on behind the last hit of the page before: what is written
        between two calls is seen if it lies behind, and nothing is given twice
        unless its place in the order moved.
        """
        ...

    def get(self, document_id: str) -> Hit | None:
        """Return the living document with this id, None if there is none."""
        ...

    def fetch(self, document_ids: Sequence[str]) -> dict[str, Hit]:
        """Return the living documents with these ids, by id; at most 1,000 at once."""
        ...

    def count(self, kind: Kind) -> int:
        """Return the number of living documents of a kind."""
        ...

    def documents_of(self, patient_key: str) -> tuple[Stored, ...]:
        """Return all that is held of a patient, tombstones included, in order of id, and everything put so far."""
        ...

    def patients(self) -> Iterator[PatientVersions]:
        """Yield every patient with a document, in order of key: for the daily comparison with the facts."""
        ...

    def begin_rebuild(self) -> Rebuild:
        """Start a new, empty index beside the one that answers."""
        ...

    def check(self) -> None:
        """Return if the index can be read by this program; else raise what is wrong with it."""
        ...

    def refresh(self) -> None:
        """Return when searches see everything put before."""
        ...

    def close(self) -> None:
        """Let go of files and connections. The engine can't be used afterwards."""
        ...
