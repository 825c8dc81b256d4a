"""The composite and the dose-volume histograms as JSON (DESIGN section 6): each figure with its bounds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from archive.answers import iso_date, person_answer
from archive.assembly.delivery import parse_date
from archive.model import DeliveryState, Dossier, Held
from archive.uids import is_own
from courses.composite import Composite, PlanShare
from courses.errors import Unreadable
from courses.reading import Reader, slice_distance_mm
from dose.errors import DoseError
from dose.shapes.dvh import Dvh, Figure, dvh
from dose.shapes.structures import Structure

Json = dict[str, Any]

VOLUMES_GY = (5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
"""Doses at which volumes are told: V5 to V60 and the critical volumes below them."""

CURVE_POINTS = 200
"""About how many points a histogram has in JSON; its figures are computed on the full curve."""

SAME_VOLUME_CC = 1e-4
"""Bounds of a volume closer than this are one figure: JSON tells no more digits."""

_ION_PLANS = frozenset({"proton", "carbon", "ion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is drawn on the image of a sum.

    Parameters
    ----------
    structures
        Those that enclose a volume in the frame of reference of the sum, each name once.
    left_out
        Structures and whole sets that could not be used, and why, in words.
    """

    structures: tuple[Structure, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """The histograms of all structures of a course, and in words which structures have none and why."""

    found: tuple[Dvh, ...]
    left_out: tuple[str, ...]


def composite_answer(composite: Composite, reader: Reader, *, as_of: date | None) -> Json:
    """Return a composite as `composite --json` prints it.

    Parameters
    ----------
    as_of
        The day intervals are counted to; the last session of all if None, so that the answer never depends on today.
    """
    day = as_of or _last_day(composite)
    drawn = histograms(composite, reader)
    return {
        "format": "lastgate/composite/1",
        "patient": person_answer(composite.record.person),
        "as_of": day.isoformat() if day else None,
        "status": {"state": "draft", "by": None, "at": None},
        "complete": composite.is_complete,
        "onto": composite.series_uid or None,
        "onto_dossier": composite.onto.id,
        "frame_of_reference_uid": composite.frame_uid,
        "dose_type": _dose_type(composite),
        "courses": [_course(dossier, composite, day) for dossier in composite.dossiers],
        "structures": [_structure(one, is_open=composite.has_gap) for one in drawn.found],
        "remaining": [],
        "warnings": [*composite.warnings, *_warnings(composite), *drawn.left_out],
        "files": {"rtdose_physical": None, "rtdose_eqd2": [], "report_pdf": None},
    }


def histograms(composite: Composite, reader: Reader, *, leave_out: frozenset[str] = frozenset()) -> Histograms:
    """Return the histograms of all structures of the course the sum lies on.

    While a dose is missing that nothing bounds, all of a structure counts as unknown.

    Parameters
    ----------
    leave_out
        RT ROI Interpreted Types (PS3.3 C.8.8.8) that are not asked for.
    """
    total = composite.total
    drawn, slice_mm = structures_of(composite, reader), slice_distance_mm(composite.image)
    found, left_out = [], [*drawn.left_out]
    for structure in drawn.structures:
        if structure.interpreted_type in leave_out:
            continue
        try:
            one = dvh(structure, total.grid, upper_gy=total.upper_gy, outside_gy=total.outside_gy, slice_mm=slice_mm)
        except DoseError as error:
            left_out.append(f"Structure {structure.name} has no histogram: {error}")
            continue
        found.append(replace(one, unknown_cc=one.volume_cc) if composite.has_gap else one)
    return Histograms(found=tuple(found), left_out=tuple(left_out))


def structures_of(composite: Composite, reader: Reader) -> Drawn:
    """Return the structures of the course a sum lies on; of two of one name that of the set which counts first."""
    found: dict[str, Structure] = {}
    left_out: list[str] = []
    for held in _structure_sets(composite.onto):
        label = (held.header.structure_set.label if held.header.structure_set else "") or held.uid
        try:
            read = reader.structures(held)
        except (Unreadable, DoseError) as error:
            left_out.append(f"Structure set {label} can't be read: {error}")
            continue
        left_out += [f"Structure {one.name} of set {label} can't be read: {one.reason}" for one in read.unreadable]
        for structure in read.structures:
            if not structure.has_volume:
                continue
            if (structure.frame_of_reference_uid or held.header.frame_uid) != composite.frame_uid:
                left_out.append(f"Structure {structure.name} of set {label} is drawn in another frame of reference.")
            elif found.setdefault(structure.name, structure) is not structure:
                left_out.append(f"Structure {structure.name} of set {label} is left out: another set has one so named.")
    return Drawn(structures=tuple(found.values()), left_out=tuple(dict.fromkeys(left_out)))


def _structure_sets(dossier: Dossier) -> list[Held]:
    """Return the structure sets of a course, those its delivered plans were made on first, then the newest first."""
    given = [plan for plan in dossier.plans if plan.delivery_state is not DeliveryState.NOT_DELIVERED]
    planned_on = {held.uid for plan in given for held in plan.structure_sets}
    sets = [held for held in dossier.instances if held.header.structure_set and not is_own(held.uid)]
    newest = sorted(sets, key=lambda held: (_day(held), held.uid), reverse=True)
    return sorted(newest, key=lambda held: held.uid not in planned_on)


def _day(held: Held) -> str:
    return (held.header.structure_set.date if held.header.structure_set else "") or held.header.study_date


def dvh_answer(composite: Composite, reader: Reader, *, basis: str) -> Json:
    """Return the histograms of one course as `dvh --json` prints them."""
    drawn, is_open = histograms(composite, reader), composite.has_gap
    return {
        "format": "lastgate/dvh/1",
        "dossier": composite.onto.id,
        "basis": basis,
        "complete": composite.is_complete,
        "dose_type": _dose_type(composite),
        "plans": [_plan(share) for share in composite.shares],
        "structures": [{**_structure(one, is_open=is_open), **_curve(one, is_open=is_open)} for one in drawn.found],
        "warnings": [*composite.warnings, *_warnings(composite), *drawn.left_out],
    }


def _dose_type(composite: Composite) -> str:
    return "physical" if composite.dose_type == "PHYSICAL" else "rbe_weighted"


def _figure(figure: Figure) -> Json:
    """Return a figure with its bounds: the value is null where unknown dose could change it."""
    value = None if figure.value is None else round(figure.value, 4)
    return {"value": value, "lo": round(figure.lo, 4), "hi": round(figure.hi, 4)}


def _structure(one: Dvh, *, is_open: bool) -> Json:
    """Return the figures of a structure; a missing dose that nothing bounds (`is_open`) leaves what it can't change."""
    doses = {
        "max_gy": one.max_gy,
        "mean_gy": one.mean_gy,
        "min_gy": one.min_gy,
        "d0_03cc_gy": one.d_cc(0.03),
        "d0_1cc_gy": one.d_cc(0.1),
        "d1cc_gy": one.d_cc(1.0),
        "d2cc_gy": one.d_cc(2.0),
        "d98_gy": one.d_percent(98),
        "d95_gy": one.d_percent(95),
        "d2_gy": one.d_percent(2),
    }
    told = {name: _figure(figure) for name, figure in doses.items()}
    above, below = ([tell(dose) for dose in VOLUMES_GY] for tell in (one.v_gy, one.cv_gy))
    if is_open:
        told = {name: {"value": None, "lo": figure["lo"], "hi": None} for name, figure in told.items()}
        above = [_bounded(volume.lo, one.volume_cc) for volume in above]
        below = [_bounded(0.0, volume.hi) for volume in below]
    # The biologically weighted sum is not computed by this version: null, never a guess.
    return {
        "name": one.name,
        "volume_cc": round(one.volume_cc, 4),
        "alpha_beta_gy": None,
        "physical": {
            **told,
            "v": [{"gy": dose, "cc": _figure(volume)} for dose, volume in zip(VOLUMES_GY, above, strict=True)],
            "cv": [{"gy": dose, "cc": _figure(volume)} for dose, volume in zip(VOLUMES_GY, below, strict=True)],
            "unknown_cc": round(one.unknown_cc, 4),
        },
        "eqd2": None,
    }


def _bounded(lo: float, hi: float) -> Figure:
    return Figure(value=hi if hi - lo <= SAME_VOLUME_CC else None, lo=lo, hi=hi)


def _curve(one: Dvh, *, is_open: bool) -> Json:
    last = len(one.dose_gy) - 1
    points = [*range(0, last, max(1, last // CURVE_POINTS)), last]
    most = np.full_like(one.hi_cc, one.volume_cc) if is_open else one.hi_cc
    return {
        "curve": {
            "dose_gy": [round(float(value), 4) for value in one.dose_gy[points]],
            "lo_cc": [round(float(value), 5) for value in one.lo_cc[points]],
            "hi_cc": [round(float(value), 5) for value in most[points]],
        }
    }


def _course(dossier: Dossier, composite: Composite, as_of: date | None) -> Json:
    shares = [share for share in composite.shares if share.dossier.id == dossier.id]
    return {
        "dossier": dossier.id,
        "state": dossier.state.value,
        "first_fraction": iso_date(dossier.first_fraction),
        "last_fraction": iso_date(dossier.last_fraction),
        "interval_days": _interval_days(dossier, as_of),
        "overlap_class": None,
        "recovery": None,
        "reason_not_summed": _reason(shares),
        "plans": [_plan(share) for share in shares],
    }


def _interval_days(dossier: Dossier, as_of: date | None) -> int | None:
    """Return the days since the last fraction; none have passed where the course goes on beyond `as_of`."""
    last = parse_date(dossier.last_fraction)
    return (as_of - last).days if as_of and last and last <= as_of else None


def _reason(shares: list[PlanShare]) -> str | None:
    """Return why a course is not in the sum, or not wholly; None where nothing is missing."""
    if not shares:
        return "it has no plan"
    gaps = sorted({share.reason_not_summed for share in shares if share.leaves_a_gap})
    if not gaps and not any(share.source for share in shares):
        return "none of its plans was delivered"
    return "; ".join(gaps) or None


def _plan(share: PlanShare) -> Json:
    registration = None
    if share.mapping:
        registration = {"kind": share.mapping.kind, "source": share.mapping.source, "quality": None}
    return {
        "uid": share.plan.uid,
        "label": share.plan.header.label,
        "delivery_state": share.plan.delivery_state.value,
        "basis": "planned" if share.as_planned else "delivered",
        "fractions": {
            "planned": share.plan.fractions_planned,
            "delivered": round(share.plan.fraction_equivalents, 4),
        },
        "source": share.source or None,
        "credential": None,
        "registration": registration,
        "reason_not_summed": share.reason_not_summed or None,
    }


def _warnings(composite: Composite) -> Iterable[str]:
    if composite.has_gap:
        yield ("INCOMPLETE: a dose that was or may have been given is missing. Doses are lower bounds.")
    elif composite.has_doubt:
        yield "INCOMPLETE: it is unknown whether a plan was delivered; its dose is in the upper bounds only."
    for other in composite.open_links:
        yield f"INCOMPLETE: {other} may be the same person; until somebody decides, that dose is not in the sum."
    for share in composite.shares:
        label = share.plan.header.label or share.plan.uid
        if share.mapping and share.mapping.kind != "identity":
            yield f"Plan {label} came through registration {share.mapping.source}; nobody has approved it yet."
        if share.source and composite.dose_type == "PHYSICAL" and share.plan.modality in _ION_PLANS:
            yield f"Plan {label} is of ions and its dose is stored as physical: confirm that no RBE is in it."
    frames = {share.dossier.id for share in composite.shares if share.mapping and share.mapping.kind == "identity"}
    if len(frames) > 1:
        yield "Several courses share one frame of reference: make sure that their images were taken in one setup."


def _last_day(composite: Composite) -> date | None:
    days = [day for one in composite.record.dossiers if (day := parse_date(one.last_fraction))]
    return max(days, default=None)
