"""Composite dose: the dose of all delivered plans of all courses of a patient, brought onto one image.

Where a grid ends its dose is unknown, never zero: every voxel has a lower
bound (what is known) and an upper one (the worst the missing part could add).
A plan of which nobody knows whether it was delivered counts in the upper
bound only. Physical dose is summed at once; `Composite.gathered` holds what
biologically weighted sums are made of (`courses.summing`).
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass

import numpy as np

from archive.facts.dose_decisions import StateDoseKind
from archive.facts.receipts import patient_key
from archive.model import Dossier, Held, PatientRecord
from courses.delivered import DeliveredDose, NotSummed, Weighted, delivered_dose
from courses.errors import BadReference, NothingToSum
from courses.exposures import Gathered, GroupPart
from courses.gathering import Gathering, session_notices
from courses.kinds import kind_of, stated_kinds
from courses.notices import Notice, notice
from courses.reading import Reader, planning_series
from courses.registration import Derived, Frames, Mapping, NoMapping
from courses.shares import PlanShare as PlanShare
from courses.summing import physical_sum
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry
from dose.grids.transforms import Transform
from dose.grids.union import extended
from storage.errors import ObjectMissing


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
    gathered
        What was given together and how often, for sums of effect.
    notices
        What to know of the plans in the sum.
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
    gathered: Gathered
    notices: tuple[Notice, ...]
    open_links: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of the plans in the sum, in words."""
        return tuple(dict.fromkeys(one.words for one in self.notices))

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

    @property
    def has_effect_gap(self) -> bool:
        """Whether a dose is missing in EQD2 that nothing bounds."""
        return any(share.leaves_an_effect_gap for share in self.shares) or not all(one.plans for one in self.dossiers)


def compose(
    record: PatientRecord,
    reader: Reader,
    *,
    onto: str = "",
    only: Dossier | None = None,
    as_planned: bool = False,
    open_links: Sequence[str] = (),
    derived: Derived | None = None,
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
    derived
        Where registrations computed here lie; None: there are none.

    Raises
    ------
    BadReference
        `onto` names nothing of this patient, or several courses; `only` is a course of somebody else.
    NothingToSum
        No plan has a dose that may be summed.
    DoseError
        The grids lie too far apart for one sum.
    """
    if only and only.id not in {one.id for one in record.dossiers}:
        raise BadReference(f"Dossier {only.id} is not one of this patient's")
    dossiers = (only,) if only else record.dossiers
    reference = only or _reference(record, onto)
    series_uid, image = _image(reference, onto)
    doses = [(dossier, delivered_dose(plan, as_planned=as_planned)) for dossier in dossiers for plan in dossier.plans]
    stated = stated_kinds(record)
    fixed = _frame(reference, image)
    gathering = Gathering(
        dose_type=_dose_type([dose for _, dose in doses], stated),
        join=_joining(Frames(record, reader, derived or _NothingDerived()), fixed, series_uid),
        reader=reader,
        stated=stated,
        as_planned=as_planned,
    )
    for dossier, plan_dose in doses:
        gathering.take(dossier, plan_dose)
    if not any(share.source for share in gathering.shares):
        reasons = sorted({share.reason_not_summed for share in gathering.shares}) or ["there is no plan"]
        raise NothingToSum(f"No dose of {record.person.name or 'this patient'} can be summed: {'; '.join(reasons)}")
    exposures = gathering.exposures()
    gathered = Gathered(
        record=record,
        onto=reference,
        geometry=_geometry(gathering.counting()),
        frame_uid=fixed,
        exposures=exposures,
        shares=tuple(gathering.shares),
        dose_type=gathering.dose_type,
    )
    told = [*gathering.notices, *session_notices(exposures, dossiers), *_doubts(record, image, gathering.shares)]
    return Composite(
        record=record,
        onto=reference,
        dossiers=tuple(dossiers),
        series_uid=series_uid,
        image=image,
        frame_uid=fixed,
        total=physical_sum(gathered),
        dose_type=gathering.dose_type,
        shares=gathered.shares,
        gathered=gathered,
        notices=tuple(dict.fromkeys(told)),
        open_links=tuple(open_links),
    )


class _NothingDerived:
    """No registrations were computed here."""

    def read(self, sha256: str) -> bytes:
        """Return nothing."""
        raise ObjectMissing(sha256)


def _joining(frames: Frames, fixed: str, series_uid: str) -> Callable[[str, Dossier], Mapping | NoMapping]:
    """Return what joins the frame of a dose to the one of the image; a registration is read once."""
    known: dict[tuple[str, str], Mapping | NoMapping] = {}

    def join(frame: str, dossier: Dossier) -> Mapping | NoMapping:
        series = next((uid for uid, _ in planning_series(dossier)), "")
        if (frame, series) not in known:
            known[frame, series] = frames.between(frame, fixed, moving_series=series, fixed_series=series_uid)
        return known[frame, series]

    return join


def _doubts(record: PatientRecord, image: Sequence[Held], shares: Iterable[PlanShare]) -> Iterable[Notice]:
    """Yield what is doubtful about the objects of a sum: two contents of one UID, and the identity of somebody else."""
    mine = {member.key for member in record.members}
    for share in shares:
        if share.reason_not_summed:
            continue
        label = share.plan.header.label or share.plan.uid
        chosen = [held for held in share.plan.doses if held.uid in share.plan.chosen_dose_uids]
        for held in (*filter(None, [share.plan.held]), *chosen, *share.plan.structure_sets, *image[:1]):
            if held.others:
                sha256 = held.receipt.file_sha256[:12]
                yield notice("uid-used-twice", label=label, what=held.kind.value, uid=held.uid, sha256=sha256)
            theirs = held.header.patient.identifier
            if mine and theirs.value and patient_key(theirs, held.header.study_uid) not in mine:
                yield notice("other-patients-object", what=held.kind.value, uid=held.uid, theirs=theirs.value)


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


def _dose_type(doses: Iterable[DeliveredDose | NotSummed], stated: MappingOf[str, StateDoseKind]) -> str:
    """Return which kind of dose is summed: physical wherever a plan has it that was delivered, else RBE-weighted.

    What may not have been delivered decides only where nothing certainly was.
    """
    there = [dose for dose in doses if isinstance(dose, DeliveredDose)]
    deciding = [dose for dose in there if dose.is_certain] or there
    kinds = {
        kind_of(_type(weighted), dose.plan.modality, stated.get(dose.plan.uid))[0]
        for dose in deciding
        for weighted in dose.grids
    }
    return "EFFECTIVE" if kinds == {"rbe_weighted"} else "PHYSICAL"


def _type(weighted: Weighted) -> str:
    return weighted.held.header.dose.type if weighted.held.header.dose else ""


def _geometry(parts: Sequence[GroupPart]) -> Geometry:
    """Return the grid of the sum: the finest grid that already lies in the frame, grown to hold all others."""
    unmoved = [part for part in parts if part.transform is None]
    finest = min(unmoved or parts, key=lambda part: part.grid.geometry.voxel_cc)
    base = finest.grid.geometry if unmoved else _upright(finest)
    return extended(base, {id(part.grid): (part.grid.geometry, part.transform) for part in parts}.values())


def _upright(part: GroupPart) -> Geometry:
    """Return a grid along the patient axes at the place a registration takes this one to."""
    geometry = part.grid.geometry
    corner = (part.transform or Transform()).to_fixed(geometry.corner_points())
    # A stored grid is parallel to the axes of its own frame, in whatever order: each axis keeps its spacing.
    affine = np.diag([*np.abs(geometry.affine[:3, :3]).max(axis=1), 1.0])
    affine[:3, 3] = np.nanmin(corner, axis=0)
    return Geometry(shape=(1, 1, 1), affine=affine)
