"""Dose evidence: what the gate needs to know of the dose of a plan, kept with the digests of what it was computed from.

Computing it takes planning images, contours and grids, so it is done in the
background by an upper room; here stands what is kept and how it is found
again. Its key is made of the digests of its inputs: evidence of older inputs
is simply not found, and the gate says that there is none.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from archive.facts.memory import Memory
from archive.model import DeliveryState, Plan
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing

REMEMBERED_BYTES: Final = 4 * 1024 * 1024
"""So much evidence is remembered as it was read: that of some 2,000 plans."""

METHOD: Final = 1
"""Number of the way it is computed; another number makes all older evidence stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A dose in Gy: the least and the most it can be; alike where all of the structure has a known dose."""

    lo: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDose:
    """The planned dose of one target, all fractions of the plan together.

    Parameters
    ----------
    number
        ROI Number in the structure set of the plan.
    kind
        RT ROI Interpreted Type (PS3.3 C.8.8.8), such as ``PTV``; empty where none is told.
    unknown_cc
        The part of the volume outside the dose grid.
    d98_gy, d95_gy, d50_gy, d2_gy
        Dose that this percentage of the volume receives at least (ICRU Report 83, 3.3).
    """

    number: int
    name: str
    kind: str
    volume_cc: float
    unknown_cc: float
    mean_gy: Bounds
    d98_gy: Bounds
    d95_gy: Bounds
    d50_gy: Bounds
    d2_gy: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseEvidence:
    """What was found out about the dose of one plan as it was planned.

    Parameters
    ----------
    inputs
        SHA-256 of the files it was computed from, in order.
    dose_type
        Dose Type of the grids: ``PHYSICAL`` or ``EFFECTIVE`` (PS3.3 C.8.8.3).
    max_gy
        Largest dose anywhere in the grid.
    problem
        Why nothing could be computed, in words; empty if it could.
    left_out
        Targets that have no figures, and why, in words.
    """

    format: Literal["lastgate/dose-evidence/1"] = "lastgate/dose-evidence/1"
    plan_uid: str
    inputs: tuple[str, ...]
    dose_type: str = ""
    max_gy: Annotated[float, Field(allow_inf_nan=False)] | None = None
    targets: tuple[TargetDose, ...] = ()
    problem: str = ""
    left_out: tuple[str, ...] = ()


_EVIDENCE = TypeAdapter(DoseEvidence)


def inputs_of(plan: Plan) -> tuple[str, ...]:
    """Return the digests of what the dose of a plan is judged by: plan, structure sets and the grids that count."""
    grids = [held for held in plan.doses if held.uid in plan.chosen_dose_uids]
    held = [plan.held] if plan.held else []
    return tuple(one.receipt.file_sha256 for one in (*held, *plan.structure_sets, *grids))


class EvidenceStore:
    """Keeps dose evidence under ``derived/``; it can be deleted at any time and computed again.

    Evidence of the same inputs never changes: what was read is remembered, so that each fold of a patient need not ask
    the store for every plan. That there is none yet is not remembered.

    Parameters
    ----------
    store
        Where `derived/` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._read = Memory[DoseEvidence](REMEMBERED_BYTES)

    def of(self, plans: Iterable[Plan]) -> dict[str, DoseEvidence]:
        """Return the evidence of those plans of which there is any, by UID."""
        return {plan.uid: found for plan in plans if plan.chosen_dose_uids and (found := self.find(plan))}

    def wanted(self, plans: Iterable[Plan]) -> tuple[Plan, ...]:
        """Return the plans that have a dose and were or may have been delivered, but no evidence."""
        given = [plan for plan in plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]
        return tuple(plan for plan in given if plan.held and plan.chosen_dose_uids and self.find(plan) is None)

    def find(self, plan: Plan) -> DoseEvidence | None:
        """Return the evidence of a plan as it stands now, None if it was not computed yet."""
        name = _key(inputs_of(plan))

        def read() -> tuple[DoseEvidence, int]:
            body = self._store.read_bytes(name)
            return _EVIDENCE.validate_json(body), len(body)

        try:
            return self._read.get(name, read)
        except ObjectMissing:
            return None

    def forget(self) -> None:
        """Remember nothing, because what lies in the store may have been deleted."""
        self._read.forget()

    def keep(self, evidence: DoseEvidence) -> None:
        """Store evidence; what another process computed from the same inputs a moment ago stands."""
        try:
            put_document(self._store, _key(evidence.inputs), _EVIDENCE.dump_json(evidence, indent=1) + b"\n")
        except KeyTaken:
            return


def _key(inputs: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join(("dose-evidence", str(METHOD), *inputs)).encode()).hexdigest()
    return f"derived/{digest[:2]}/{digest}.json"
