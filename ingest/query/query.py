"""One query: its keys made ready, and the answers to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from archive.reading.attributes import Level
from ingest.query.answers import Asked, Chosen, layout
from ingest.query.errors import BadIdentifier
from ingest.query.identifier import Identifier
from ingest.query.matching import match_of
from ingest.query.models import UNIQUE_KEYS, Model, Source, supported
from ingest.query.narrowing import narrowed
from ingest.query.ranges import moment_test
from ingest.query.rows import NOTHING, Row, Scope, rows
from search.attributes import Value
from search.base import Engine

_AVAILABILITY: Final = "ONLINE"
_UNTOLD: Final = len(Source)
"""The place of what no document tells."""


def _go_on() -> None:
    """Take no pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What was agreed on in extended negotiation (PS3.4 C.5.1.1).

    Parameters
    ----------
    relational
        The unique keys of upper levels need not be there.
    datetimes
        A date and the time beside it make one range.
    fuzzy
        Names are matched by meaning.
    """

    relational: bool = False
    datetimes: bool = False
    fuzzy: bool = False


class Search:
    """A query made ready.

    Parameters
    ----------
    ae_title
        Ours, told as Retrieve AE Title.

    Raises
    ------
    BadIdentifier
        The keys don't make sense at this level.
    """

    def __init__(self, model: Model, identifier: Identifier, behaviour: Behaviour, *, ae_title: str) -> None:
        if not behaviour.relational:
            _require_unique_keys(model, identifier)
        self._identifier = identifier
        self._here = {
            "QueryRetrieveLevel": identifier.level.value,
            "RetrieveAETitle": ae_title,
            "InstanceAvailability": _AVAILABILITY,
        }
        known = supported(identifier.level)
        self.asked: tuple[Asked, ...] = layout(model, identifier.level, identifier.keys)
        self.has_unsupported = any(key.keyword not in known for key in identifier.keys)
        moments = _moments(identifier) if behaviour.datetimes else {}
        matches = {
            key.keyword: match
            for key in identifier.keys
            if key.keyword in known
            and key.keyword.removesuffix("Date").removesuffix("Time") not in moments
            and (match := match_of(key, fuzzy=behaviour.fuzzy)) is not None
        }
        self._places = [(_UNTOLD if one.source is None else one.source.value, one.keyword) for one in self.asked]
        self._matched = [
            (number, matches[one.keyword]) for number, one in enumerate(self.asked) if one.keyword in matches
        ]
        self._moments = [(known[f"{stem}Date"], stem, test) for stem, test in moments.items()]
        self._tests = [
            (source, keyword, match)
            for keyword, match in matches.items()
            if (source := known[keyword]) is not Source.HERE
        ]
        self._is_impossible = any(
            match(self._here[keyword]) is None for keyword, match in matches.items() if known[keyword] is Source.HERE
        )
        self._scope = self._scoped(behaviour)

    def _scoped(self, behaviour: Behaviour) -> Scope:
        identifier = self._identifier
        used = {one.source for one in self.asked}
        return Scope(
            level=identifier.level,
            conditions={
                level: narrowed(identifier, level, fuzzy=behaviour.fuzzy) for level in _searched(identifier.level)
            },
            is_named_below=not identifier.value("StudyInstanceUID")
            and bool(identifier.value("SeriesInstanceUID") or identifier.value("SOPInstanceUID")),
            needs_patients=Source.PATIENT in used and identifier.level is not Level.PATIENT,
            accepts=self._accepts,
        )

    def answers(self, engine: Engine, *, pause: Callable[[], None] = _go_on) -> Iterator[Chosen]:
        """Yield the values of each answer, in the order of `asked`.

        Parameters
        ----------
        pause
            Called whenever more is asked of the index, which may take a while: answers may be sent, and whoever wants
            no more of them says so by an exception.
        """
        if self._is_impossible:
            return
        places, matched, here = self._places, self._matched, self._here
        for row in rows(engine, self._scope, pause=pause):
            if self._accepts(row, None):
                told = (*row, here, NOTHING)
                chosen = [told[place].get(keyword) for place, keyword in places]
                for number, match in matched:  # of several values the one that fits is told
                    chosen[number] = match(chosen[number])
                yield chosen

    def _accepts(self, row: Row, down_to: Source | None) -> bool:
        """Return whether a row fits the keys, of upper levels alone or of all."""
        last = Source.IMAGE.value if down_to is None else down_to.value
        for source, keyword, match in self._tests:
            if source.value <= last and match(row[source.value].get(keyword)) is None:
                return False
        return all(
            test(_first(row[source.value].get(f"{stem}Date")), _first(row[source.value].get(f"{stem}Time")))
            for source, stem, test in self._moments
            if source.value <= last
        )


def _searched(level: Level) -> tuple[Level, ...]:
    """Return the levels whose documents are searched for: images are found by their series, series by their study."""
    return (level,) if level in (Level.PATIENT, Level.STUDY) else (Level.STUDY, Level.SERIES)


def _first(value: Value | None) -> str:
    """Return the most frequent of several values."""
    one = value[0] if isinstance(value, list) and value else value
    return one if isinstance(one, str) else ""


def _require_unique_keys(model: Model, identifier: Identifier) -> None:
    """Refuse a query that does not say of what it asks (PS3.4 C.4.1.2.2)."""
    for level in model.above(identifier.level):
        value = identifier.value(UNIQUE_KEYS[level])
        if not value or "\\" in value or (level is Level.PATIENT and ("*" in value or "?" in value)):
            raise BadIdentifier(f"{UNIQUE_KEYS[level]} is needed, one value, at the level {identifier.level}")


def _moments(identifier: Identifier) -> dict[str, Callable[[str, str], bool]]:
    """Return the pairs of a date and a time that make one range, by the stem of their keywords (PS3.4 C.2.2.2.5.3)."""
    known = supported(identifier.level)
    found: dict[str, Callable[[str, str], bool]] = {}
    for key in identifier.keys:
        stem = key.keyword.removesuffix("Date")
        time = identifier.value(f"{stem}Time")
        is_pair = key.vr == "DA" and not key.is_universal and bool(time) and "\\" not in key.value + time
        if is_pair and {f"{stem}Date", f"{stem}Time"} <= known.keys():
            found[stem] = moment_test(key.value, time, stem)
    return found
