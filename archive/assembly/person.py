"""Who the instances say the patient is, and where they contradict one another."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from archive.facts.decisions import StateIdentity
from archive.facts.linked import PatientFacts
from archive.facts.receipts import PatientKey, Receipt
from archive.headers import Identifier
from archive.model import Held, Member, Person


def person_of(instances: Iterable[Held]) -> Person:
    """Return the patient as most instances tell, every identifier and spelling kept."""
    return _told(held.receipt for held in instances)


def _told(receipts: Iterable[Receipt]) -> Person:
    patients = [receipt.header.patient for receipt in receipts]
    identifiers = {patient.identifier for patient in patients}
    identifiers.update(other for patient in patients for other in patient.other_identifiers)
    names = Counter(patient.name for patient in patients if patient.name)
    return Person(
        identifiers=tuple(sorted((one for one in identifiers if one.value), key=_identifier_order)),
        name=_most_frequent(names),
        names=tuple(sorted(names)),
        birth_date=_most_frequent(Counter(patient.birth_date for patient in patients if patient.birth_date)),
        sex=_most_frequent(Counter(patient.sex for patient in patients if patient.sex)),
    )


def members_of(facts: PatientFacts, person: Person) -> tuple[Member, ...]:
    """Return the patients that are one person, each as told by what arrived under its key; `person` is all of them."""
    if not facts.members:
        return (Member(key=facts.key, person=person),)
    arrived = {member.key: member.receipts for member in facts.members}
    return tuple(Member(key=key, person=_told(arrived[key])) for key in facts.person)


def told_apart(facts: PatientFacts) -> tuple[PatientKey, ...]:
    """Return the patients of whom the newest word is that they are not this person, in order of key."""
    person, words = frozenset(facts.person), dict[frozenset[PatientKey], bool]()
    for act in (one.what for one in sorted(facts.decisions, key=lambda one: one.number)):
        if isinstance(act, StateIdentity) and not person.isdisjoint(act.patients):
            words[frozenset(act.patients)] = act.are_one
    others = frozenset[PatientKey]().union(*(pair for pair, are_one in words.items() if not are_one))
    return tuple(sorted(others - person))


def _identifier_order(identifier: Identifier) -> tuple[str, str, str]:
    return (identifier.issuer, identifier.value, identifier.kind)


def _most_frequent(counts: Counter[str]) -> str:
    return min(counts, key=lambda value: (-counts[value], value), default="")


def contradictions(instances: Iterable[Held]) -> dict[str, tuple[str, ...]]:
    """Return which of ``name``, ``birth-date`` and ``sex`` bear different values, with the UIDs that differ from most.

    Names are compared without case, accents and punctuation, letters with
    letters and characters with characters, wherever they stand: a name in
    letters agrees with the same name in letters and characters, and many
    systems write characters where letters belong (PS3.5 6.2.1).
    """
    everything = list(instances)
    found: dict[str, tuple[str, ...]] = {}
    values = {
        "name": [_folded(held.header.patient.name) for held in everything],
        "birth-date": [held.header.patient.birth_date for held in everything],
        "sex": [held.header.patient.sex for held in everything],
    }
    for what, column in values.items():
        told = Counter(value for value in column if value)
        usual = _most_frequent(told)
        differing = tuple(
            held.uid for held, value in zip(everything, column, strict=True) if value and not _agree(value, usual)
        )
        if differing:
            found[what] = differing
    return found


_PHONETIC = 2
_FIRST_EAST_ASIAN = 0x2E80


@lru_cache(maxsize=1024)  # every instance of a patient bears the same name, or one of a few
def _folded(name: str) -> str:
    """Return the comparable parts of a name, ``letters=characters=phonetic``."""
    parts = ["", "", ""]
    for place, group in enumerate(name.split("=")[:3]):
        decomposed = unicodedata.normalize("NFKD", group.casefold())
        kept = "".join(sign if sign.isalnum() else " " for sign in decomposed if not unicodedata.combining(sign))
        is_east_asian = any(ord(sign) >= _FIRST_EAST_ASIAN for sign in kept)
        script = place if place == _PHONETIC else int(is_east_asian)
        parts[script] = parts[script] or ("" if is_east_asian else " ").join(kept.split())
    return "=".join(parts) if any(parts) else ""


def _agree(one: str, other: str) -> bool:
    pairs = [(mine, theirs) for mine, theirs in zip(one.split("="), other.split("="), strict=False) if mine and theirs]
    return one == other or (bool(pairs) and all(mine == theirs for mine, theirs in pairs))
