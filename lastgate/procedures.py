"""Joins what modalities tell of the steps they perform."""

from typing import Any

from ingest.procedures.service import PerformedStepService
from ingest.procedures.steps import Steps
from lastgate.wiring import House, utc_now


def step_service_of(house: House) -> PerformedStepService:
    """Return what takes performed procedure steps in this process."""
    return PerformedStepService(Steps(house.stores.work), record=house.journal.append, clock=utc_now)


def steps_of(house: House) -> list[dict[str, Any]]:
    """Return all performed procedure steps, newest first, as `lastgate procedure-steps --json` prints them."""
    steps = sorted(Steps(house.stores.work).all(), key=lambda one: (one.created_at, one.sop_instance_uid), reverse=True)
    return [
        {
            "uid": one.sop_instance_uid,
            "modality": one.modality,
            "status": one.status,
            "created_at": one.created_at.isoformat(),
            "changed_at": one.changed_at.isoformat(),
            "patient_id": one.patient_id,
            "issuer": one.issuer,
            "study_uids": list(one.study_uids),
            "attributes": one.attributes,
        }
        for one in steps
    ]
