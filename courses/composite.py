"""Composite dose: the dose of all delivered plans of all courses of a patient, brought onto one image.

Where a grid ends its dose is unknown, never zero: every voxel has a lower
bound (what is known) and an upper one (the worst the missing part could add).
A plan of which nobody knows whether it was delivered counts in the upper
bound only. Physical dose is summed here; the biologically weighted sum builds
on the same parts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from archive.model import Dossier, Held, PatientRecord
from courses.delivered import DeliveredDose, NotSummed, Weighted, delivered_dose
from courses.errors import BadReference, NothingToSum, Unreadable
from courses.reading import Reader, planning_series
from courses.registration import Mapping, NoMapping, mapping, registrations_of
from courses.shares import PlanShare as PlanShare
from dose.errors import DoseError
from dose.grids.accumulate import Part, Sum, accumulate
from dose.grids.grid import Affine, DoseGrid, Geometry
from dose.grids.union import extended

_KINDS = {"PHYSICAL": "physical", "EFFECTIVE": "RBE-weighted"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Composite:
    """The composite dose of one patient.

    Parameters
    ----------
    onto
        The dossier whose image and structures it lies on.
    dossiers
        The courses that were to be summed.
    series_uid, image
        The image series; empty if none of its images is here and the frame of its dose stands for it.
    total
        The sum in Gy with its bounds and what is known.
    dose_type
        ``PHYSICAL`` or ``EFFECTIVE``; the two are never added.
    open_links
        Other patients that may be this person, as they are called: nobody has decided about them yet.
    """

    record: PatientRecord
    onto: Dossier
    dossiers: tuple[Dossier, ...]
    series_uid: str
    image: tuple[Held, ...]
    frame_uid: str
    total: Sum
    dose_type: str
    shares: tuple[PlanShare, ...]
    warnings: tuple[str, ...]
    open_links: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether no dose is missing, no plan is in doubt, and nobody else may be this person."""
        return not self.has_gap and not self.has_doubt and not self.open_links

    @property
    def has_doubt(self) -> bool:
        """Whether it is unknown of a plan in the sum whether it was delivered."""
        return any(share.source and not share.is_certain for share in self.shares)

    @property
    def has_gap(self) -> bool:
        """Whether a dose is missing that nothing bounds, so that no dose figure has an upper bound."""
        return any(share.leaves_a_gap for share in self.shares) or not all(one.plans for one in self.dossiers)


@dataclass(slots=True)
class _Gathering:
    """What is being collected for one sum."""

    fixed: str
    dose_type: str
    registrations: Sequence[Held]
    reader: Reader
    as_planned: bool
    certain: list[Part] = field(default_factory=list)
    uncertain: list[Part] = field(default_factory=list)
    shares: list[PlanShare] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, dossier: Dossier, dose: DeliveredDose | NotSummed) -> None:
        """Add one plan's dose, or the reason why it can't be added."""
        if isinstance(dose, NotSummed):
            self.shares.append(PlanShare(dossier=dossier, plan=dose.plan, reason_not_summed=dose.reason))
            return
        found = self._parts(dose)
        if isinstance(found, str):
            self.shares.append(PlanShare(dossier=dossier, plan=dose.plan, reason_not_summed=found))
            return
        parts, mapped = found
        (self.certain if dose.is_certain else self.uncertain).extend(parts)
        self.warnings.extend(dose.notes)
        self.shares.append(
            PlanShare(
                dossier=dossier,
                plan=dose.plan,
                source=dose.source,
                is_certain=dose.is_certain,
                as_planned=self.as_planned,
                mapping=mapped,
            )
        )

    def _parts(self, dose: DeliveredDose) -> tuple[list[Part], Mapping] | str:
        parts = []
        mapped: Mapping | NoMapping = NoMapping(reason="no dose grid")
        label = dose.plan.header.label or dose.plan.uid
        for weighted in dose.grids:
            mapped = mapping(weighted.held.header.frame_uid, self.fixed, self.registrations, self.reader)
            if isinstance(mapped, NoMapping):
                return mapped.reason
            grid = self._grid(weighted)
            if isinstance(grid, str):
                return grid
            parts.append(Part(grid=grid, weight=weighted.weight, moving_to_fixed=mapped.moving_to_fixed, label=label))
        return mapped.reason if isinstance(mapped, NoMapping) else (parts, mapped)

    def _grid(self, weighted: Weighted) -> DoseGrid | str:
        """Return a grid that may be added to this sum, or why it may not."""
        kind = _type(weighted)
        if kind in _KINDS and kind != self.dose_type:
            return f"its dose is {_KINDS[kind]}: physical and RBE-weighted dose are never added without a stated rule"
        try:
            grid = self.reader.dose(weighted.held).grid
        except (DoseError, Unreadable) as error:
            return f"its dose grid can't be used: {error}"
        if kind not in _KINDS or float(grid.dose_gy.min()) < 0:
            return "its dose grid can't be used: it is a difference of doses"
        return grid


def compose(
    record: PatientRecord,
    reader: Reader,
    *,
    onto: str = "",
    only: Dossier | None = None,
    as_planned: bool = False,
    open_links: Sequence[str] = (),
) -> Composite:
    """Sum the delivered dose of all courses of a patient.

    Parameters
    ----------
    onto
        Series UID, or the beginning of a dossier's id, whose image the sum lies on; the newest course with a dose if
        empty.
    only
        Sum the plans of this course alone.
    as_planned
        Take every plan as if it had been delivered as planned; see `courses.delivered.delivered_dose`.
    open_links
        See `Composite`.

    Raises
    ------
    BadReference
        `onto` names nothing of this patient, or several courses.
    NothingToSum
        No plan has a dose that may be summed.
    DoseError
        The grids lie too far apart for one sum.
    """
    dossiers = (only,) if only else record.dossiers
    reference = only or _reference(record, onto)
    series_uid, image = _image(reference, onto)
    everything = [held for dossier in record.dossiers for held in (*dossier.instances, *dossier.late)]
    doses = [(dossier, delivered_dose(plan, as_planned=as_planned)) for dossier in dossiers for plan in dossier.plans]
    gathering = _Gathering(
        fixed=_frame(reference, image),
        dose_type=_dose_type(dose for _, dose in doses),
        registrations=registrations_of([*everything, *record.unattached]),
        reader=reader,
        as_planned=as_planned,
    )
    for dossier, plan_dose in doses:
        gathering.take(dossier, plan_dose)
    if not gathering.certain and not gathering.uncertain:
        reasons = sorted({share.reason_not_summed for share in gathering.shares}) or ["there is no plan"]
        raise NothingToSum(f"No dose of {record.person.name or 'this patient'} can be summed: {'; '.join(reasons)}")
    geometry = _geometry([*gathering.certain, *gathering.uncertain])
    return Composite(
        record=record,
        onto=reference,
        dossiers=tuple(dossiers),
        series_uid=series_uid,
        image=image,
        frame_uid=gathering.fixed,
        total=_sum(gathering, geometry),
        dose_type=gathering.dose_type,
        shares=tuple(gathering.shares),
        warnings=tuple(dict.fromkeys(gathering.warnings)),
        open_links=tuple(open_links),
    )


def _reference(record: PatientRecord, onto: str) -> Dossier:
    """Return the dossier whose image carries the sum: the one named, else the newest that has a dose."""
    if onto:
        return _named(record, onto)
    with_dose = [one for one in record.dossiers if any(plan.chosen_dose_uids for plan in one.plans)]
    if not with_dose:
        raise NothingToSum(f"No course of {record.person.name or 'this patient'} has a dose grid that counts")
    return max(with_dose, key=lambda dossier: (dossier.last_fraction, _newest_plan_date(dossier), dossier.id))


def _named(record: PatientRecord, onto: str) -> Dossier:
    """Return the dossier named by a series or by the beginning of its id."""
    holding = [one for one in record.dossiers if any(held.header.series_uid == onto for held in one.instances)]
    if holding:
        # A diagnostic series may hang on several courses; it is the planning image of at most one.
        return next((one for one in holding if onto in (uid for uid, _ in planning_series(one)[:1])), holding[0])
    fitting = [
        one for one in record.dossiers if any(known.startswith(onto.lower()) for known in (one.id, *one.aliases))
    ]
    if len(fitting) > 1:
        raise BadReference(f"{onto!r} fits {len(fitting)} dossiers of this patient")
    if not fitting:
        raise BadReference(f"{onto!r} names no series and no dossier of this patient")
    return fitting[0]


def _newest_plan_date(dossier: Dossier) -> str:
    return max((plan.header.date for plan in dossier.plans), default="")


def _image(reference: Dossier, onto: str) -> tuple[str, tuple[Held, ...]]:
    series = planning_series(reference)
    return next(((uid, held) for uid, held in series if uid == onto), series[0] if series else ("", ()))


def _frame(reference: Dossier, image: tuple[Held, ...]) -> str:
    """Return the frame of reference of the image, that of the dose where no image is here."""
    doses = [held for plan in reference.plans for held in plan.doses if held.uid in plan.chosen_dose_uids]
    frames = [held.header.frame_uid for held in (*image[:1], *doses, *reference.instances)]
    return next(filter(None, frames), "")


def _dose_type(doses: Iterable[DeliveredDose | NotSummed]) -> str:
    """Return which kind of dose is summed: physical wherever a plan has it that was delivered, else RBE-weighted.

    What may not have been delivered decides only where nothing certainly was.
    """
    there = [dose for dose in doses if isinstance(dose, DeliveredDose)]
    deciding = [dose for dose in there if dose.is_certain] or there
    types = {_type(weighted) for dose in deciding for weighted in dose.grids}
    return "EFFECTIVE" if "EFFECTIVE" in types and "PHYSICAL" not in types else "PHYSICAL"


def _type(weighted: Weighted) -> str:
    return weighted.held.header.dose.type if weighted.held.header.dose else ""


def _sum(gathering: _Gathering, geometry: Geometry) -> Sum:
    """Sum what was delivered; what may have been is in the upper bound alone, and makes its voxels unknown."""
    certain = accumulate(gathering.certain, geometry) if gathering.certain else None
    if not gathering.uncertain and certain:
        return certain
    doubtful = accumulate(gathering.uncertain, geometry)
    untouched = doubtful.upper_gy == 0
    if certain is None:
        return replace(doubtful, lower_gy=np.zeros(geometry.shape, dtype=np.float32), known=untouched)
    return Sum(
        geometry=geometry,
        lower_gy=certain.lower_gy,
        upper_gy=certain.upper_gy + doubtful.upper_gy,
        known=certain.known & untouched,
        coverage=certain.coverage + doubtful.coverage,
        outside_gy=certain.outside_gy + doubtful.outside_gy,
    )


def _geometry(parts: Sequence[Part]) -> Geometry:
    """Return the grid of the sum: the finest grid that already lies in the frame, grown to hold all others."""
    unmoved = [part for part in parts if part.moving_to_fixed is None]
    finest = min(unmoved or parts, key=lambda part: part.grid.geometry.voxel_cc)
    base = finest.grid.geometry if unmoved else _upright(finest)
    return extended(base, [(part.grid.geometry, _matrix(part)) for part in parts])


def _upright(part: Part) -> Geometry:
    """Return a grid along the patient axes at the place a registration takes this one to."""
    geometry = part.grid.geometry
    matrix = _matrix(part)
    corner = geometry.corner_points() @ matrix[:3, :3].T + matrix[:3, 3]
    # A stored grid is parallel to the axes of its own frame, in whatever order: each axis keeps its spacing.
    affine = np.diag([*np.abs(geometry.affine[:3, :3]).max(axis=1), 1.0])
    affine[:3, 3] = corner.min(axis=0)
    return Geometry(shape=(1, 1, 1), affine=affine)


def _matrix(part: Part) -> Affine:
    return np.eye(4) if part.moving_to_fixed is None else part.moving_to_fixed
