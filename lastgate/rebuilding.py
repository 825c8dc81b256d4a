"""Folds all patients of an archive again, on all cores, for an index that is built anew."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archive.facts.receipts import PatientKey
from lastgate.folding import folds_of
from lastgate.jobs import each
from search.refresh import PatientFold

if TYPE_CHECKING:
    from lastgate.wiring import House


def folds_of_all(house: "House", *, processes: int = 0) -> Iterator[PatientFold]:
    """Yield the fold of every person of whom there are facts, each once.

    Parameters
    ----------
    processes
        How many share the work; 0 for one on each core.
    """
    known: set[str] = set()
    for folds in each(house, _folds_of, house.facts.patients(), processes=processes):
        for fold in folds:
            if fold.patient_key not in known:
                known.add(fold.patient_key)
                yield fold


def _folds_of(house: "House", key: str) -> list[PatientFold]:
    return list(folds_of(house.desk, [PatientKey(key)]))
