"""Composite dose: the dose of all delivered plans of all courses of a patient, brought onto one image.

Where a grid ends its dose is unknown, never zero: every voxel has a lower
bound (what is known) and an upper one (the worst the missing part could add).
A plan of which nobody knows whether it was delivered counts in the upper
bound only. Physical dose is summed here; the biologically weighted sum builds
on the same parts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from archive.delivery import parse_date
from archive.model import Dossier, Held, PatientRecord, Plan
from courses.delivered import DeliveredDose, NotSummed, delivered_dose
from courses.errors import BadReference, NothingToSum
from courses.reading import Reader, planning_series
from courses.registration import Mapping, NoMapping, mapping, registrations_of
from dose.accumulate import Part, accumulate
from dose.dicom import StoredDose
from dose.errors import DoseError
from dose.grid import DoseGrid, Geometry, Volume
from dose.union import extended


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanShare:
    """One plan of one course, and how its dose entered the sum.

    Parameters
    ----------
    source
        ``stored`` or ``summed``; empty where the dose can't be had.
    mapping
        How its frame of reference came onto the image.
    reason_not_summed
        Empty where it was summed.
    """

    dossier: Dossier
    plan: Plan
    source: str
    mapping: Mapping | None
    reason_not_summed: str
    coverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Composite:
    """The composite dose of one patient.

    Parameters
    ----------
    dose
        Lower bound in Gy with the mask of what is known.
    upper_gy
        Upper bound in Gy on the same grid.
    worst_gy
        What the sum could reach outside the grid of the picture.
    dose_type
        ``PHYSICAL`` or ``EFFECTIVE``; the two are never added.
    onto
        The dossier whose image and structures it lies on.
    """

    record: PatientRecord
    onto: Dossier
    series_uid: str
    frame_uid: str
    image: tuple[Held, ...]
    as_of: date
    dose: DoseGrid
    upper_gy: Volume
    worst_gy: float
    dose_type: str
    shares: tuple[PlanShare, ...]
    warnings: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every plan of every course that may have been delivered is in it, wherever its grid is known."""
        return all(not share.reason_not_summed or share.reason_not_summed == "not delivered" for share in self.shares)


@dataclass(slots=True)
class _Gathering:
    """What is being collected for one sum."""

    fixed: str
    certain: list[Part] = field(default_factory=list)
    uncertain: list[Part] = field(default_factory=list)
    shares: list[PlanShare] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def compose(record: PatientRecord, reader: Reader, *, as_of: date, onto: str = "") -> Composite:
    """Sum the delivered dose of all courses of a patient.

    Parameters
    ----------
    as_of
        Only sessions up to this day count; usually the day the new plan is made.
    onto
        Series UID, or the beginning of a dossier's id, whose image the sum lies on; the newest course if empty.

    Raises
    ------
    BadReference
        `onto` names nothing of this patient.
    NothingToSum
        No plan has a dose that may be summed.
    """
    reference = _reference(record, onto)
    series_uid, image, frame = _image(reference, onto)
    registrations = registrations_of(
        [held for dossier in record.dossiers for held in (*dossier.instances, *dossier.late)] + list(record.unattached)
    )
    gathering = _Gathering(fixed=frame)
    doses = [(dossier, delivered_dose(plan)) for dossier in record.dossiers for plan in dossier.plans]
    dose_type = _dose_type(dose for _, dose in doses)
    for dossier, dose in doses:
        _gather(gathering, dossier, dose, dose_type, reader, registrations)
    parts = [*gathering.certain, *gathering.uncertain]
    if not parts:
        raise NothingToSum(f"No dose of {record.person.name or 'this patient'} can be summed")
    geometry = _geometry(reference, gathering, parts)
    lower, upper, worst = _sum(gathering, geometry)
    return Composite(
        record=record,
        onto=reference,
        series_uid=series_uid,
        frame_uid=frame,
        image=image,
        as_of=as_of,
        dose=lower,
        upper_gy=upper,
        worst_gy=worst,
        dose_type=dose_type,
        shares=tuple(gathering.shares),
        warnings=tuple(gathering.warnings),
    )
