"""The one question everybody asks: C-FIND, QIDO, the web and the command line.

A `Query` is plain values; `condition` turns it into the algebra of
`search.conditions` over the fields that `search.documents` writes.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Final

from search import names
from search.conditions import (
    EVERYTHING,
    NOTHING,
    Condition,
    OneOf,
    Prefix,
    Range,
    Term,
    Wildcard,
    all_of,
    any_of,
)
from search.errors import BadQuery
from search.kinds import Kind
from search.tokens import MAX_TOKEN_CHARS, exact, parts, whole, words

MAX_LIMIT: Final = 1000
"""Most hits one page may hold."""

MAX_LISTED_VALUES: Final = 10_000
"""Most values a list, such as one of UIDs, may hold."""

MAX_WORDS: Final = 32
"""Most different words a text may hold."""

# A `?` behind a `*` doubles the states of the automaton an engine compiles; beyond this Elasticsearch refuses.
_MAX_PATTERN_CHARS: Final = 128
_MAX_STARS: Final = 8
_MAX_QUESTION_MARKS_AFTER_STAR: Final = 8

_LISTS: Final = (
    "modality",
    "state",
    "approval",
    "finding",
    "dossiers",
    "plan_uids",
    "study_uids",
    "series_uids",
    "instance_uids",
    "frame_uids",
)


class Order(Enum):
    """How hits are listed; missing values come last, ties go by document id.

    Each is the position of its ready-made key in `Document.sort`.
    """

    NAME = 0
    """By name of the patient, then first date."""
    NEWEST = 1
    """By last date, youngest first, then name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question to the index. What is left empty does not restrict; all that is given must hold.

    Parameters
    ----------
    kind
        What is looked for.
    text
        Words as a person types them: each must be the beginning of some word of the document, in any field (name in
        any script or pinyin, patient ID, site, plan label, machine, dossier id, UID ...). Every sign means itself.
    patient_id
        Whole identifier, case and leading zeros count; DICOM wildcards ``*`` and ``?``.
    issuer
        Whole issuer of the identifier; together with `patient_id` both must be of one identifier.
    name
        Name of the patient: a DICOM person name with wildcards or ``^`` or ``=`` is matched as a whole, form by form
        (PS3.4 section C.2.2.2); plain text is matched by words as in `text`, in names only.
    birth_date
        ``YYYYMMDD`` or ``YYYY-MM-DD``.
    sex
        ``M``, ``F`` or ``O``.
    date_from, date_to
        A dossier fits if the time from its first to its last fraction touches this range, both days included; without
        fractions the plan dates count, in series their own date.
    modality, state, approval, finding
        One of these, whole, case ignored. `modality` is a kind of radiation for dossiers and plans, a DICOM modality
        for series.
    site, plan_label, machine, technique
        Words as in `text` within that field; with wildcards the whole value.
    dossiers
        Dossier ids, former ids (aliases) too.
    plan_uids, study_uids, series_uids, instance_uids, frame_uids
        Lists of UIDs, one of which must be there (PS3.4 section C.2.2.2.2). `instance_uids` are kept by series and
        plans only, `frame_uids` are frames of reference.
    accession
        Whole accession number, wildcards allowed.
    order, limit, cursor
        Order of hits, most hits on the page (1 to 1000), and where the page before ended.
    with_total
        Whether hits on all pages are counted.
    where
        What must hold beside, in the algebra itself.

    Raises
    ------
    BadQuery
        If a date is none or the range is turned round, the cursor is not of this order, or a list, text or pattern
        is too long.
    """

    kind: Kind
    text: str = ""
    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    date_from: str = ""
    date_to: str = ""
    modality: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()
    finding: tuple[str, ...] = ()
    site: str = ""
    plan_label: str = ""
    machine: str = ""
    technique: str = ""
    dossiers: tuple[str, ...] = ()
    plan_uids: tuple[str, ...] = ()
    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    instance_uids: tuple[str, ...] = ()
    frame_uids: tuple[str, ...] = ()
    accession: str = ""
    order: Order = Order.NAME
    limit: int = 50
    cursor: str | None = None
    with_total: bool = False
    where: Condition = EVERYTHING
    _condition: Condition = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what can't be asked."""
        if not 1 <= self.limit <= MAX_LIMIT:
            raise BadQuery(f"A page holds 1 to {MAX_LIMIT} hits, not {self.limit}.")
        for name in _LISTS:
            count = len(getattr(self, name))
            if count > MAX_LISTED_VALUES:
                raise BadQuery(f"{name} lists {count} values; at most {MAX_LISTED_VALUES} can be asked at once.")
        for name in ("birth_date", "date_from", "date_to"):
            if getattr(self, name) and iso_date(getattr(self, name)) is None:
                raise BadQuery(f"{name} is no date: {getattr(self, name)[:40]!r}. Write it as 2024-01-31.")
        if self.date_from and self.date_to and (iso_date(self.date_from) or "") > (iso_date(self.date_to) or ""):
            raise BadQuery(f"date_from {self.date_from} lies behind date_to {self.date_to}.")
        decode_cursor(self)
        # patterns are judged where they are compiled
        object.__setattr__(self, "_condition", _compiled(self))


def condition(query: Query) -> Condition:
    """Return what a document must fulfil, its kind and being alive apart."""
    return query._condition


def _compiled(query: Query) -> Condition:
    return all_of(
        *map(_word, _words(query.text)),
        _identifier(query),
        _name(query.name),
        Term("birth_date", iso_date(query.birth_date) or "") if query.birth_date else None,
        *_dates(query),
        *(_listed(name, getattr(query, name), whole) for name in ("modality", "state", "approval", "finding")),
        _listed("sex", (query.sex,) if query.sex else (), whole),
        *(_described(name, getattr(query, name)) for name in ("site", "plan_label", "machine", "technique")),
        _listed("dossier", query.dossiers, whole),
        *(
            _listed(name, getattr(query, f"{name}s"), exact)
            for name in ("plan_uid", "study_uid", "series_uid", "instance_uid", "frame_uid")
        ),
        _pattern("accession", exact(query.accession)),
        query.where,
    )


def _words(text: str) -> list[str]:
    found = list(dict.fromkeys(words(text)))
    if len(found) > MAX_WORDS:
        raise BadQuery(f"At most {MAX_WORDS} words can be asked for at once, not {len(found)}.")
    return found


def _word(word: str, field: str = "word") -> Condition:
    found: list[Condition] = [Prefix(field, word[:MAX_TOKEN_CHARS])]
    pieces = parts(word)
    if pieces and pieces != [word]:  # jean-pierre also finds Jean Pierre
        found.append(all_of(*(Prefix(field, piece[:MAX_TOKEN_CHARS]) for piece in pieces)))
    if field == "word" and "." in word and word.replace(".", "").isdigit():
        found.append(Term("instance_uid", word))
    return any_of(*found)


def _identifier(query: Query) -> Condition | None:
    value, issuer = exact(query.patient_id), exact(query.issuer)
    if not issuer:
        return _pattern("patient_id", value)
    if not value:
        return Term("issuer", issuer)
    return _pattern("issued_id", issued_id(value, issuer), literal=len(issuer) + 1)


def issued_id(value: str, issuer: str) -> str:
    """Return identifier and issuer as one value, so that both are matched within one identifier."""
    return f"{exact(issuer)}\x1f{exact(value)}"


def _name(name: str) -> Condition | None:
    if not any(mark in name for mark in "*?^=＊？＾＝"):
        return all_of(*(_word(word, "name_word") for word in _words(name)))
    canonical = (names.canonical_group(group) for group in name.replace("＝", "=").replace("＾", "^").split("="))
    return all_of(*(_name_group(group) for group in canonical if group))


def _name_group(group: str) -> Condition | None:
    if group.endswith("^*") and not _has_wildcard(group[:-2]):
        # WANG^* asks for every Wang, also one of whom no given name is known
        return any_of(Term("name", group[:-2]), Prefix("name", group[:-1]))
    return _pattern("name", group)


def _dates(query: Query) -> Iterator[Condition]:
    first, last = iso_date(query.date_from), iso_date(query.date_to)
    if last:
        yield Range("date_first", high=last)
    if first:
        yield Range("date_last", low=first)


def _listed(field: str, values: Iterable[str], normal: Callable[[str], str]) -> Condition | None:
    asked = tuple(values)
    if not asked:
        return None
    known = tuple(dict.fromkeys(value for value in map(normal, asked) if value))
    return OneOf(field, known) if known else NOTHING


def _described(field: str, value: str) -> Condition | None:
    if not value:
        return None
    if _has_wildcard(whole(value)):
        return _pattern(field, whole(value))
    return all_of(*(_word(word, f"{field}_word") for word in _words(value)))


def _has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text


def _pattern(field: str, pattern: str, *, literal: int = 0) -> Condition | None:
    """Return the cheapest condition for a DICOM pattern; its first `literal` characters mean themselves."""
    if not pattern:
        return None
    while "**" in pattern[literal:]:
        pattern = pattern[:literal] + pattern[literal:].replace("**", "*")
    asked = pattern[literal:]
    if not _has_wildcard(asked):
        return Term(field, pattern)
    if asked == "*" and not literal:
        return EVERYTHING  # universal matching, PS3.4 section C.2.2.2.3: a missing value fits too
    if asked.endswith("*") and not _has_wildcard(asked[:-1]):
        return Prefix(field, pattern[:-1])
    if _has_wildcard(pattern[:literal]):
        raise BadQuery("An issuer that holds * or ? can't be asked for together with a pattern; give the whole ID.")
    _check_pattern(asked)
    return Wildcard(field, pattern)


def _check_pattern(pattern: str) -> None:
    behind_star = pattern.partition("*")[2]
    if (
        len(pattern) > _MAX_PATTERN_CHARS
        or pattern.count("*") > _MAX_STARS
        or behind_star.count("?") > _MAX_QUESTION_MARKS_AFTER_STAR
    ):
        raise BadQuery(
            f"The pattern {pattern[:40]!r} is too involved: at most {_MAX_PATTERN_CHARS} characters, {_MAX_STARS} *"
            f" and {_MAX_QUESTION_MARKS_AFTER_STAR} ? behind a *."
        )


def iso_date(text: str) -> str | None:
    """Return a DICOM or ISO 8601 date (or the date of a date and time) as ``YYYY-MM-DD``, None if it is none.

    Examples
    --------
    >>> iso_date("20240131"), iso_date("2024-01-31T07:00"), iso_date("202401"), iso_date("20240230")
    ('2024-01-31', '2024-01-31', None, None)
    """
    digits = text.strip()[:10].replace("-", "").replace(".", "")[:8]  # 2024.01.31 is ACR-NEMA's form
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
    except ValueError:
        return None


def encode_cursor(query: Query, key: str, document_id: str) -> str:
    """Return the cursor of the page that goes on behind this hit."""
    place = json.dumps([query.order.value, key, document_id], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def decode_cursor(query: Query) -> tuple[str, str] | None:
    """Return sort key and id behind which the query's page begins; None for the first page.

    Raises
    ------
    BadQuery
        If the cursor was damaged, or given by a query in another order.
    """
    if query.cursor is None:
        return None
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        order, key, document_id = json.loads(base64.urlsafe_b64decode(padded.encode()))
    except ValueError as error:
        raise BadQuery("The cursor can't be read; start again from the first page.") from error
    if order != query.order.value or not isinstance(key, str) or not isinstance(document_id, str):
        raise BadQuery("The cursor belongs to another query; start again from the first page.")
    return key, document_id
