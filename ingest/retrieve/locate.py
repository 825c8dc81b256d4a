"""From what a request asks for to the receipts of the instances: the index says whose they are, the facts which.

The index is only asked where to look. What is sent is what the facts of the
patient tell, folded as everywhere: of a conflict the sealed copy counts, else
the one received first. What lies in quarantine has no receipt and is never found.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from archive.assembly.belonging import belongings_of
from archive.assembly.catalogue import distinct
from archive.facts.disposed import living
from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore, PatientFacts
from archive.model import Held
from ingest.errors import BadIdentifier
from ingest.retrieve.identifier import Level, Wanted
from search.base import Hit
from search.kinds import Kind
from search.query import MAX_LIMIT, Query

Search = Callable[[Query], Iterator[Hit]]
"""Yields all hits of a query, over all pages."""

_PATIENTS_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folded:
    """Distinct instances of one patient, as they were when there were these facts."""

    names: tuple[str, ...]
    instances: tuple[Held, ...]
    sealed: frozenset[str]


class Locator:
    """Finds the receipts of instances.

    Parameters
    ----------
    search
        The index.
    facts
        Receipts and decisions.
    """

    def __init__(self, *, search: Search, facts: FactStore) -> None:
        self._search = search
        self._facts = facts
        self._folded: OrderedDict[PatientKey, _Folded] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, wanted: Wanted) -> tuple[Receipt, ...]:
        """Return the receipts of all DICOM instances that are asked for, series by series.

        Raises
        ------
        BadIdentifier
            The patient ID fits several persons and no issuer is given: what belongs to two is never mixed.
        """
        keys = self._patients(wanted)
        found = [one for key in keys for one in self._instances(key).instances if _fits(one, wanted)]
        chosen = found if len(keys) == 1 else self._one_of_each(found, keys)
        return tuple(held.receipt for held in sorted(chosen, key=_order))

    def instances(self, key: PatientKey, uids: Iterable[str]) -> tuple[Receipt, ...]:
        """Return the receipts of these instances of one patient; those that are not there are left out."""
        asked = frozenset(uids)
        found = [held for held in self._instances(key).instances if held.uid in asked and _is_dicom(held)]
        return tuple(held.receipt for held in sorted(found, key=_order))

    def _patients(self, wanted: Wanted) -> list[PatientKey]:
        query = Query(
            kind=Kind.SERIES,
            patient_id=wanted.patient_id,
            issuer=wanted.issuer,
            study_uids=wanted.study_uids,
            series_uids=wanted.series_uids,
            instance_uids=wanted.instance_uids,
            limit=MAX_LIMIT,
        )
        keys = sorted({PatientKey(hit.patient_key) for hit in self._search(query)})
        if wanted.level is Level.PATIENT and len(keys) > 1:
            raise BadIdentifier(f"The patient ID fits {len(keys)} persons: give IssuerOfPatientID too")
        return keys

    def _instances(self, key: PatientKey) -> _Folded:
        facts = self._facts.read(key)
        with self._lock:
            known = self._folded.get(key)
            if known is not None and known.names == facts.names:
                self._folded.move_to_end(key)
                return known
        folded = _fold(facts)
        with self._lock:
            self._folded[key] = folded
            self._folded.move_to_end(key)
            while len(self._folded) > _PATIENTS_REMEMBERED:
                self._folded.popitem(last=False)
        return folded

    def _one_of_each(self, found: Iterable[Held], keys: Iterable[PatientKey]) -> tuple[Held, ...]:
        """Of an instance that lies under several patients, as a conflict or sent under a wrong ID, choose one."""
        sealed = frozenset[str]().union(*(self._instances(key).sealed for key in keys))
        return distinct((one for held in found for one in (held.receipt, *held.others)), sealed=sealed)


def _fold(facts: PatientFacts) -> _Folded:
    own = belongings_of(living(facts))
    sealed = frozenset(digest for seal in own.seals for digest in seal.file_sha256s)
    return _Folded(names=facts.names, instances=distinct(own.receipts, sealed=sealed), sealed=sealed)


def _is_dicom(held: Held) -> bool:
    return bool(held.header.sop_instance_uid)


def _fits(held: Held, wanted: Wanted) -> bool:
    header = held.header
    return _is_dicom(held) and all(
        not asked or told in asked
        for told, asked in (
            (header.study_uid, wanted.study_uids),
            (header.series_uid, wanted.series_uids),
            (header.sop_instance_uid, wanted.instance_uids),
        )
    )


def _order(held: Held) -> tuple[str, str, int, str]:
    """Sort by study and series, then as a viewer shows them: slice by slice."""
    header = held.header
    return header.study_uid, header.series_uid, header.instance_number or 0, header.sop_instance_uid
