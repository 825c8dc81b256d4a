"""The composite and the dose-volume histograms as JSON (DESIGN section 6): each figure with its bounds."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from archive.answers import iso_date, person_answer
from archive.delivery import parse_date
from archive.model import Dossier
from courses.composite import Composite, PlanShare
from courses.errors import Unreadable
from courses.reading import Reader
from dose.dvh import Dvh, Figure, dvh
from dose.errors import DoseError
from dose.structures import Structure

Json = dict[str, Any]

VOLUMES_GY = (5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
"""Doses at which volumes are told: V5 to V60 and the critical volumes below them."""

CURVE_POINTS = 200
"""Points of a histogram in JSON; its figures are computed on the full curve."""


def composite_answer(composite: Composite, reader: Reader, *, as_of: date | None) -> Json:
    """Return a composite as `composite --json` prints it.

    Parameters
    ----------
    as_of
        The day intervals are counted to; the last session of all if None, so that the answer never depends on today.
    """
    day = as_of or _last_day(composite)
    return {
        "format": "lastgate/composite/1",
        "patient": person_answer(composite.record.person),
        "as_of": day.isoformat() if day else None,
        "status": {"state": "draft", "by": None, "at": None},
        "complete": composite.is_complete,
        "onto": composite.series_uid or None,
        "onto_dossier": composite.onto.id,
        "frame_of_reference_uid": composite.frame_uid,
        "dose_type": "physical" if composite.dose_type == "PHYSICAL" else "rbe_weighted",
        "courses": [_course(dossier, composite, day) for dossier in composite.record.dossiers],
        "structures": [_structure(one) for one in histograms(composite, reader)],
        "remaining": [],
        "warnings": [*composite.warnings, *_warnings(composite)],
        "files": {"rtdose_physical": None, "rtdose_eqd2": [], "report_pdf": None},
    }


def histograms(composite: Composite, reader: Reader, *, leave_out: frozenset[str] = frozenset()) -> list[Dvh]:
    """Return the histograms of all structures of the course the sum lies on, those without a volume left out.

    Parameters
    ----------
    leave_out
        RT ROI Interpreted Types (PS3.3 C.8.8.8) that are not asked for.
    """
    total = composite.total
    found = []
    for structure in structures_of(composite.onto, reader):
        if structure.interpreted_type in leave_out:
            continue
        try:
            found.append(dvh(structure, total.grid, upper_gy=total.upper_gy, outside_gy=total.outside_gy))
        except DoseError:
            continue  # points, marks and structures drawn across the slices have no histogram
    return found


def structures_of(dossier: Dossier, reader: Reader) -> list[Structure]:
    """Return the structures of a course that enclose a volume, each name once, in order of the sets."""
    found: dict[str, Structure] = {}
    for held in dossier.instances:
        if held.header.structure_set is None:
            continue
        try:
            structures = reader.structures(held).structures
        except (Unreadable, DoseError):
            continue
        for structure in structures:
            if structure.has_volume:
                found.setdefault(structure.name, structure)
    return list(found.values())


def dvh_answer(composite: Composite, reader: Reader, *, basis: str) -> Json:
    """Return the histograms of one course as `dvh --json` prints them."""
    return {
        "format": "lastgate/dvh/1",
        "dossier": composite.onto.id,
        "basis": basis,
        "dose_type": "physical" if composite.dose_type == "PHYSICAL" else "rbe_weighted",
        "plans": [_plan(share) for share in composite.shares],
        "structures": [{**_structure(one), **_curve(one)} for one in histograms(composite, reader)],
        "warnings": list(composite.warnings),
    }


def figure_answer(figure: Figure) -> Json:
    """Return a figure with its bounds; the value is null where the unknown dose could change it."""
    return {
        "value": None if figure.value is None else round(figure.value, 4),
        "lo": round(figure.lo, 4),
        "hi": round(figure.hi, 4),
    }


def _structure(one: Dvh) -> Json:
    physical = {
        "max_gy": figure_answer(one.max_gy),
        "mean_gy": figure_answer(one.mean_gy),
        "min_gy": figure_answer(one.min_gy),
        "d0_03cc_gy": figure_answer(one.d_cc(0.03)),
        "d0_1cc_gy": figure_answer(one.d_cc(0.1)),
        "d1cc_gy": figure_answer(one.d_cc(1.0)),
        "d2cc_gy": figure_answer(one.d_cc(2.0)),
        "d98_gy": figure_answer(one.d_percent(98)),
        "d95_gy": figure_answer(one.d_percent(95)),
        "d2_gy": figure_answer(one.d_percent(2)),
        "v": [{"gy": dose, "cc": figure_answer(one.v_gy(dose))} for dose in VOLUMES_GY],
        "cv": [{"gy": dose, "cc": figure_answer(one.cv_gy(dose))} for dose in VOLUMES_GY],
        "unknown_cc": round(one.unknown_cc, 4),
    }
    # The biologically weighted sum is not computed by this version: null, never a guess.
    return {
        "name": one.name,
        "volume_cc": round(one.volume_cc, 4),
        "alpha_beta_gy": None,
        "physical": physical,
        "eqd2": None,
    }


def _curve(one: Dvh) -> Json:
    step = max(1, len(one.dose_gy) // CURVE_POINTS)
    return {
        "curve": {
            "dose_gy": [round(float(value), 4) for value in one.dose_gy[::step]],
            "lo_cc": [round(float(value), 5) for value in one.lo_cc[::step]],
            "hi_cc": [round(float(value), 5) for value in one.hi_cc[::step]],
        }
    }


def _course(dossier: Dossier, composite: Composite, as_of: date | None) -> Json:
    last = parse_date(dossier.last_fraction)
    shares = [share for share in composite.shares if share.dossier.id == dossier.id]
    summed = [share for share in shares if share.source]
    reasons = sorted({share.reason_not_summed for share in shares if share.leaves_a_gap})
    return {
        "dossier": dossier.id,
        "state": dossier.state.value,
        "first_fraction": iso_date(dossier.first_fraction),
        "last_fraction": iso_date(dossier.last_fraction),
        "interval_days": (as_of - last).days if as_of and last else None,
        "overlap_class": None,
        "recovery": None,
        "reason_not_summed": None if summed and not reasons else "; ".join(reasons) or "it has no plan",
        "plans": [_plan(share) for share in shares],
    }


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
    if not composite.is_complete:
        yield "INCOMPLETE: a dose that was or may have been given is missing; every figure is at least its lower bound."
    for share in composite.shares:
        if share.mapping and share.mapping.kind != "identity":
            label = share.plan.header.label or share.plan.uid
            yield f"Plan {label} came through registration {share.mapping.source}; nobody has approved it yet."
    frames = {share.dossier.id for share in composite.shares if share.mapping and share.mapping.kind == "identity"}
    if len(frames) > 1:
        yield "Several courses share one frame of reference: make sure that their images were taken in one setup."


def _last_day(composite: Composite) -> date | None:
    days = [day for one in composite.record.dossiers if (day := parse_date(one.last_fraction))]
    return max(days, default=None)
