"""What the index shall hold of patients: of everybody ever linked to them, each person under one key."""

from collections.abc import Iterable, Iterator

from archive.desk.desk import Desk
from archive.facts.receipts import PatientKey
from archive.model import PatientRecord
from search.projection import documents
from search.refresh import PatientFold


def folds_of(desk: Desk, keys: Iterable[PatientKey]) -> Iterator[PatientFold]:
    """Yield the folds of these patients and of all ever linked to them, each once.

    A fact about one of them counts in the version of all. Keys that go by
    another one hold nothing: what stood under them is buried, and comes back
    with a higher version once they are taken apart.
    """
    done: set[PatientKey] = set()
    for key in keys:
        if key in done:
            continue
        for record in desk.persons(key):
            done.update(member.key for member in record.members)
            yield PatientFold(patient_key=record.key, version=record.version, documents=documents(record))
            yield from _gone(record)


def _gone(record: PatientRecord) -> Iterator[PatientFold]:
    for member in record.members:
        if member.key != record.key:
            yield PatientFold(patient_key=member.key, version=record.version, documents=())
