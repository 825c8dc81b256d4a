"""Looks at the planned dose of every dossier that waits at the gate, and keeps what was found as dose evidence.

The gate itself reads no grids: it asks for evidence, and says so where there
is none (`DOSE-UNCHECKED`). That finding is the list of what is to be done.
"""

from collections.abc import Callable, Iterator
from typing import Final

import structlog

from archive.facts.receipts import PatientKey
from archive.model import DossierState
from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query
from storage.errors import StorageError

UNCHECKED: Final = "DOSE-UNCHECKED"
_EVERY_S: Final = 20.0
_LOG = structlog.get_logger(__name__)


def check_doses(house: House) -> int:
    """Compute the evidence of all plans at the gate that have none, and return of how many plans.

    Raises
    ------
    StorageError
        An object can't be read now; what was computed before is kept.
    """
    return sum(check_patient(house, key) for key in dict.fromkeys(_waiting(house)))


def check_patient(house: House, key: PatientKey) -> int:
    """Compute the evidence of all plans of one patient that have none, and return of how many."""
    from courses.evidence import dose_evidence

    record = house.desk.record(key)
    count = 0
    for dossier in record.dossiers:
        if dossier.state is DossierState.SEALED:
            continue
        for plan in house.evidence.wanted(dossier.plans):
            house.evidence.keep(dose_evidence(record, dossier, plan, house.reader))
            count += 1
    if count:
        house.on_facts(key)
    return count


def keep_checking(house: House, goes_on: Callable[[float], bool]) -> None:
    """Check as long as it goes on; a patient whose objects can't be read now is tried again.

    Parameters
    ----------
    goes_on
        Waits so many seconds at most and returns whether to go on.
    """
    while goes_on(_EVERY_S):
        for key in dict.fromkeys(_waiting(house)):
            if not goes_on(0):
                return
            try:
                check_patient(house, key)
            except StorageError as error:
                _LOG.warning("dose.unchecked", patient=key, error=str(error))


def _waiting(house: House) -> Iterator[PatientKey]:
    waiting = Query(kind=Kind.DOSSIER, state=(DossierState.OPEN.value, DossierState.READY.value), limit=500)
    for hit in house.hits(waiting):
        if any(finding["code"] == UNCHECKED for finding in hit.body["findings"]):
            yield PatientKey(hit.patient_key)
