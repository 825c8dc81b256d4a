"""What a query finds: the attributes of patients, studies, series and instances, read from the index page by page.

Lower levels are reached from above, study by study and series by series,
unless a key names a series or an instance: so each row knows what stands
above it, nothing is held but a page, and no document but those of the index
is looked at.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from archive.reading.attributes import Level
from ingest.query.models import Source
from search.attributes import Value
from search.base import Engine, Hit
from search.conditions import EVERYTHING, Condition, Term, all_of
from search.documents import instances_id, patient_id, study_id
from search.kinds import Kind
from search.query import Query
from search.tokens import exact

Attributes = Mapping[str, Value]
Row = tuple[Attributes, Attributes, Attributes, Attributes]
"""The attributes told by the patient, the study, the series and the instance; places that say nothing are empty."""

NOTHING: Final[Attributes] = {}
_FIRST_PAGE: Final = 100
_PAGE: Final = 1000
_KINDS: Final = {Level.PATIENT: Kind.PATIENT, Level.STUDY: Kind.STUDY, Level.SERIES: Kind.SERIES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which documents are to be looked at, and what is to be read of them.

    Parameters
    ----------
    conditions
        What documents of patients, studies and series must fulfil.
    is_named_below
        Whether a key names the series or the instance, so that there is no need to come from above.
    needs_patients
        Whether an answer tells something only the patient's document knows.
    accepts
        Whether a row of an upper level fits the keys of that level and above.
    """

    level: Level
    conditions: Mapping[Level, Condition]
    is_named_below: bool
    needs_patients: bool
    accepts: Callable[[Row, Source], bool]


def rows(engine: Engine, scope: Scope, *, pause: Callable[[], None]) -> Iterator[Row]:
    """Yield what is to be matched, in the order of the index; `pause` is called before more of it is read."""
    reader = _Reader(engine, scope, pause)
    match scope.level:
        case Level.PATIENT:
            return reader.patients()
        case Level.STUDY:
            return (row for _, row in reader.studies())
        case Level.SERIES:
            return (row for _, row in reader.series())
        case Level.IMAGE:
            return reader.images()


class _Reader:
    def __init__(self, engine: Engine, scope: Scope, pause: Callable[[], None]) -> None:
        self._engine = engine
        self._scope = scope
        self._pause = pause

    def patients(self) -> Iterator[Row]:
        for page in self._pages(Level.PATIENT, EVERYTHING):
            for hit in page:
                told = _told(hit)
                if told.get("NumberOfPatientRelatedStudies", "0") != "0":  # else there is but paper
                    yield told, NOTHING, NOTHING, NOTHING

    def studies(self) -> Iterator[tuple[Hit, Row]]:
        for page in self._pages(Level.STUDY, EVERYTHING):
            persons = self._persons(page)
            for hit in page:
                yield hit, (persons.get(hit.patient_key, NOTHING), _told(hit), NOTHING, NOTHING)

    def series(self) -> Iterator[tuple[Hit, Row]]:
        if self._scope.is_named_below:
            yield from self._named_series()
            return
        for study, above in self.studies():
            if not self._scope.accepts(above, Source.STUDY):
                continue
            for page in self._pages(Level.SERIES, Term("study_uid", exact(study.body["uid"]))):
                for hit in page:
                    if hit.patient_key == study.patient_key:
                        yield hit, (above[0], above[1], _told(hit), NOTHING)

    def _named_series(self) -> Iterator[tuple[Hit, Row]]:
        for page in self._pages(Level.SERIES, EVERYTHING):
            studies = self._engine.fetch([study_id(uid, hit.patient_key) for hit in page for uid in _studies_of(hit)])
            persons = self._persons(page)
            for hit in page:
                for uid in _studies_of(hit):
                    study = studies.get(study_id(uid, hit.patient_key))
                    if study is None:  # it was written anew between two questions
                        continue
                    above: Row = (persons.get(hit.patient_key, NOTHING), _told(study), NOTHING, NOTHING)
                    if self._scope.accepts(above, Source.STUDY):
                        yield hit, (above[0], above[1], _told(hit), NOTHING)

    def images(self) -> Iterator[Row]:
        for hit, above in self.series():
            if not self._scope.accepts(above, Source.SERIES):
                continue
            identity = instances_id(hit.body["uid"], hit.patient_key)
            held = self._engine.fetch([identity]).get(identity)
            if held is not None:
                yield from _instances(held.body, above)

    def _persons(self, page: tuple[Hit, ...]) -> dict[str, Attributes]:
        if not self._scope.needs_patients:
            return {}
        found = self._engine.fetch(sorted({patient_id(hit.patient_key) for hit in page}))
        return {hit.patient_key: _told(hit) for hit in found.values()}

    def _pages(self, level: Level, beside: Condition) -> Iterator[tuple[Hit, ...]]:
        query = Query(kind=_KINDS[level], where=all_of(self._scope.conditions[level], beside), limit=_FIRST_PAGE)
        while True:
            page = self._engine.search(query)
            yield page.hits
            if page.next_cursor is None:
                return
            self._pause()
            query = replace(query, cursor=page.next_cursor, limit=_PAGE)


def _told(hit: Hit) -> Attributes:
    told: Attributes = hit.body.get("attributes", NOTHING)
    return told


def _studies_of(hit: Hit) -> list[str]:
    uids = hit.body["study_uid"]
    return [uids] if isinstance(uids, str) else uids


def _instances(body: Mapping[str, Any], above: Row) -> Iterator[Row]:
    """Yield the instances of a series that are of the study above: a series may have been sent in two."""
    alike, each = body["alike"], body["each"]
    study = above[1].get("StudyInstanceUID")
    for number in range(body["count"]):
        own = {keyword: column[number] for keyword, column in each.items() if column[number]}
        told = {**alike, **own}
        if told.get("StudyInstanceUID") == study:
            yield above[0], above[1], above[2], told
