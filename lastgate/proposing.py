"""Who may be one person, as the index tells: proposals for people to decide, made anew at every look.

Nothing is stored of a proposal: what was refused stands in the facts
(`StateIdentity`) and through them in the index.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from archive.assembly.likeness import Likeable, Proposal, plain_id, proposals_among, proposals_for
from archive.facts.receipts import PatientKey
from archive.headers import Identifier
from lastgate.wiring import House
from search.base import Hit
from search.kinds import Kind
from search.likeness import Spelling, spelling_of
from search.query import MAX_LIMIT, Query


def proposals(house: House) -> list[dict[str, Any]]:
    """Return all open proposals: ``one`` and ``other`` (``key`` and ``patient``) and ``reasons``, in order of keys."""
    hits = {hit.patient_key: hit for hit in house.hits(Query(kind=Kind.PATIENT, limit=MAX_LIMIT))}
    return [_told(one, hits) for one in proposals_among(map(_likeable, hits.values()))]


def proposals_about(house: House, key: PatientKey) -> list[dict[str, Any]]:
    """Return the open proposals about one person, the key this person goes by."""
    hits = {hit.patient_key: hit for hit in house.hits(Query(kind=Kind.PATIENT, text=key, limit=MAX_LIMIT))}
    own = hits.get(key)
    if own is None:
        return []
    person = _likeable(own)
    hits |= {hit.patient_key: hit for query in _where_to_look(person) for hit in house.hits(query)}
    return [_told(one, hits) for one in proposals_for(person, map(_likeable, hits.values()))]


def _where_to_look(person: Likeable) -> Iterator[Query]:
    if person.birth_date:
        yield Query(kind=Kind.PATIENT, birth_date=person.birth_date, limit=MAX_LIMIT)
    for value in sorted({plain_id(one.value) for one in person.identifiers} - {""}):
        yield Query(kind=Kind.PATIENT, text=value, limit=MAX_LIMIT)


def _likeable(hit: Hit) -> Likeable:
    told = hit.body["patient"]
    names = [*filter(None, (told["name"],)), *told["names"]]
    spellings = [_spelling(name) for name in names]
    return Likeable(
        key=PatientKey(hit.patient_key),
        identifiers=tuple(
            Identifier(value=one["value"], issuer=one["issuer"], kind=one["kind"]) for one in told["ids"]
        ),
        names=frozenset(names),
        spellings=frozenset().union(*(one.full for one in spellings)),
        initials=frozenset().union(*(one.initials for one in spellings)),
        is_short=any(one.is_short for one in spellings),
        birth_date=told["birth_date"] or "",
        sex=told["sex"] or "",
        told_apart=frozenset(map(PatientKey, hit.body.get("told_apart", ()))),
        keys=frozenset(PatientKey(one["key"]) for one in hit.body.get("members", ())),
    )


@lru_cache(maxsize=65_536)
def _spelling(name: str) -> Spelling:
    return spelling_of(name)


def _told(proposal: Proposal, hits: Mapping[str, Hit]) -> dict[str, Any]:
    return {
        "one": {"key": proposal.one, "patient": hits[proposal.one].body["patient"]},
        "other": {"key": proposal.other, "patient": hits[proposal.other].body["patient"]},
        "reasons": [{"code": reason.name, "message": reason.value} for reason in proposal.reasons],
    }


def others_of(key: PatientKey, found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how the other one of each proposal about a person is called: name and IDs."""
    for one in found:
        other = one["other"] if one["one"]["key"] == key else one["one"]
        patient = other["patient"]
        ids = ", ".join("/".join(filter(None, (each["issuer"], each["value"]))) for each in patient["ids"])
        yield f"{patient['name'] or 'no name'} ({ids or 'no ID'})"
