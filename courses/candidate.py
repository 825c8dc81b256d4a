"""A new plan on top of what was given: figures of each organ before, of the plan alone, and after, beside their limits.

The candidate becomes one more exposure, so that it is added as everything else is: physical dose interpolated first,
then converted with its own fractions. It is in no figure but those told here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from courses.exposures import DoseKind, Exposure, Gathered, GroupPart
from courses.questions import Candidate
from courses.summing import eqd2_sum, physical_sum
from dose.biology.limits import Limit
from dose.biology.tissues import Tissue
from dose.errors import DoseError
from dose.grids.accumulate import Sum
from dose.grids.crop import cropped
from dose.grids.grid import DoseGrid, Geometry
from dose.grids.transforms import Transform
from dose.shapes.dvh import Dvh, Figure, dvh
from dose.shapes.lattice import cells_of
from dose.shapes.metrics import Metric
from dose.shapes.structures import Structure

Json = dict[str, Any]

CANDIDATE = "candidate"
"""What stands for a dossier id in the exposure of a candidate."""

METRICS = tuple(Metric.parse(name) for name in ("Max[Gy]", "Mean[Gy]", "D0.1cc[Gy]", "D2cc[Gy]", "D95%[Gy]"))

_MARGIN_MM = 12.0
"""Dose this far around a structure is looked at: more than the half slice beyond its ends."""

_CELLS = 2_000
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """A candidate that lies on the image of the sum.

    Parameters
    ----------
    transform
        From places of the sum to places of its grid; None where both are one frame.
    kind, rbe_model, modality
        As `courses.exposures.GroupPart`.
    """

    candidate: Candidate
    transform: Transform | None = None
    kind: DoseKind = "physical"
    rbe_model: str = ""
    modality: str = "photon"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Organ:
    """A structure to be compared, its tissue, and the limits that are for it."""

    structure: Structure
    tissue: Tissue
    limits: tuple[Limit, ...] = ()
    slice_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure before, of the candidate alone, and after; `hi` may not be bounded where a dose is missing."""

    before: Figure
    alone: Figure
    after: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A limit before and after.

    Parameters
    ----------
    state
        ``kept``, ``exceeded``, or ``may-be-exceeded`` where the bounds lie on either side; ``inactive``.
    figures
        In the quantity of the limit; None where it is inactive.
    """

    limit: Limit
    state: str
    figures: Compared | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganCompared:
    """All figures of one organ, by TG-263 name of the metric."""

    name: str
    tissue: Tissue
    physical: Mapping[str, Compared]
    eqd2: Mapping[str, Compared]
    limits: tuple[Judged, ...]


def with_candidate(gathered: Gathered, placed: Placed) -> Gathered:
    """Return what was delivered with the candidate given as well."""
    new = placed.candidate
    part = GroupPart(
        grid=new.grid,
        per_fraction=1 / new.fractions,
        transform=placed.transform,
        label=new.label,
        dossier_id=CANDIDATE,
        plan_uid=new.uid,
        fraction_group=None,
        kind=placed.kind,
        rbe_model=placed.rbe_model,
        modality=placed.modality,
        is_stated=bool(placed.rbe_model),
    )
    exposure = Exposure(parts=(part,), fractions=new.fractions, dossier_id=CANDIDATE, is_certain=True, last_date="")
    return replace(gathered, exposures=(*gathered.exposures, exposure))


def compare(organ: Organ, gathered: Gathered, placed: Placed, *, is_open: bool = False) -> OrganCompared:
    """Return the figures of one organ before and after.

    Parameters
    ----------
    gathered
        What was delivered, without the candidate.
    is_open
        Whether a dose is missing that nothing bounds: no limit is then kept for certain.

    Raises
    ------
    DoseError
        The structure has no histogram.
    """
    both = with_candidate(gathered, placed)
    around = _around(organ, gathered.geometry)

    def three(summed: Callable[[Gathered, str], Sum]) -> tuple[Dvh, Dvh, Dvh]:
        sums = (summed(gathered, ""), summed(both, CANDIDATE), summed(both, ""))
        first, alone, after = (_histogram(organ, one) for one in sums)
        return first, alone, after

    def in_eqd2(tissue: Tissue) -> tuple[Dvh, Dvh, Dvh]:
        return three(lambda of, only: eqd2_sum(of, tissue, geometry=around, only=only))

    eqd2 = {organ.tissue.alpha_beta_gy: in_eqd2(organ.tissue)}
    judged = []
    for limit in organ.limits:
        if limit.is_active and limit.alpha_beta_gy not in eqd2:
            eqd2[limit.alpha_beta_gy] = in_eqd2(limit.tissue)
        judged.append(_judged(limit, eqd2.get(limit.alpha_beta_gy), is_open=is_open))
    return OrganCompared(
        name=organ.structure.name,
        tissue=organ.tissue,
        physical=_all(three(lambda of, only: physical_sum(of, around, only=only))),
        eqd2=_all(eqd2[organ.tissue.alpha_beta_gy]),
        limits=tuple(judged),
    )


def candidate_answer(organs: Sequence[Organ], gathered: Gathered, placed: Placed, *, is_open: bool = False) -> Json:
    """Return the comparison of one candidate as ``candidate`` of the answer."""
    rows, left_out = [], []
    for organ in organs:
        try:
            rows.append(_organ_row(compare(organ, gathered, placed, is_open=is_open), is_open=is_open))
        except DoseError as error:
            left_out.append(f"Structure {organ.structure.name} is not compared: {error}")
    new = placed.candidate
    return {
        "label": new.label,
        "uid": new.uid,
        "sha256": new.sha256,
        "fractions": new.fractions,
        "structures": rows,
        "left_out": left_out,
    }


def differences(one: Json, other: Json) -> list[Json]:
    """Return where two candidates differ after all is given: `other` less `one`, by structure, quantity and metric.

    Both answers are of the same patient, image and limits.
    """
    others = {row["name"]: row for row in other["structures"]}
    rows = []
    for row in one["structures"]:
        twin = others.get(row["name"])
        if twin is None:
            continue
        for quantity in ("physical", "eqd2"):
            for metric, told in row[quantity].items():
                if metric in twin[quantity]:
                    first, second = told["after"], twin[quantity][metric]["after"]
                    change = {end: _change(first[end], second[end]) for end in ("value", "lo", "hi", "estimate")}
                    rows.append({"structure": row["name"], "quantity": quantity, "metric": metric, **change})
    return rows


def _change(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else round(second - first, _DIGITS)


def _around(organ: Organ, geometry: Geometry) -> Geometry:
    """Return the voxels of the sum around an organ: its histogram is the same as on the whole grid."""
    cells = cells_of(organ.structure, geometry, slice_mm=organ.slice_mm, count=_CELLS, margin_mm=_MARGIN_MM)
    stand_in = DoseGrid(dose_gy=np.broadcast_to(np.float32(0), geometry.shape), geometry=geometry)
    return cropped(stand_in, cells.geometry).geometry


def _histogram(organ: Organ, total: Sum) -> Dvh:
    return dvh(
        organ.structure,
        total.grid,
        upper_gy=total.upper_gy,
        estimate_gy=total.estimate_gy,
        outside_gy=total.outside_gy,
        slice_mm=organ.slice_mm,
    )


def _all(three: tuple[Dvh, Dvh, Dvh]) -> dict[str, Compared]:
    return {str(metric): _compared(metric, three) for metric in METRICS}


def _compared(metric: Metric, three: tuple[Dvh, Dvh, Dvh], *, times: float = 1.0) -> Compared:
    before, alone, after = (metric.of(one).times(times) for one in three)
    return Compared(before=before, alone=alone, after=after)


def _judged(limit: Limit, three: tuple[Dvh, Dvh, Dvh] | None, *, is_open: bool) -> Judged:
    if not limit.is_active or three is None:
        return Judged(limit=limit, state="inactive", figures=None)
    times = limit.per_eqd2 if limit.metric.unit == "Gy" else 1.0
    figures = _compared(limit.metric, three, times=times)
    after = figures.after
    if limit.at_most is not None:
        is_over, may_be_over = after.lo > limit.at_most, is_open or after.hi > limit.at_most
    else:
        least = limit.at_least or 0.0
        is_over, may_be_over = after.hi < least, is_open or after.lo < least
    state = "exceeded" if is_over else "may-be-exceeded" if may_be_over else "kept"
    return Judged(limit=limit, state=state, figures=figures)


def _organ_row(one: OrganCompared, *, is_open: bool) -> Json:
    return {
        "name": one.name,
        "alpha_beta_gy": one.tissue.alpha_beta_gy,
        "physical": {name: _row(figures, is_open=is_open) for name, figures in one.physical.items()},
        "eqd2": {name: _row(figures, is_open=is_open) for name, figures in one.eqd2.items()},
        "limits": [_limit_row(judged, is_open=is_open) for judged in one.limits],
    }


def _limit_row(judged: Judged, *, is_open: bool) -> Json:
    limit = judged.limit
    return {
        "name": limit.name,
        "metric": str(limit.metric),
        "quantity": limit.quantity,
        "alpha_beta_gy": limit.alpha_beta_gy,
        "at_most": limit.at_most,
        "at_least": limit.at_least,
        "source": str(limit.source),
        "state": judged.state,
        "figures": None if judged.figures is None else _row(judged.figures, is_open=is_open),
    }


def _row(figures: Compared, *, is_open: bool) -> Json:
    return {
        "before": _figure(figures.before, is_open=is_open),
        "alone": _figure(figures.alone, is_open=False),
        "after": _figure(figures.after, is_open=is_open),
    }


def _figure(figure: Figure, *, is_open: bool) -> Json:
    def told(value: float | None) -> float | None:
        return None if value is None else round(value, _DIGITS)

    if is_open:
        return {"value": None, "lo": told(figure.lo), "hi": None, "estimate": None}
    return {name: told(getattr(figure, name)) for name in ("value", "lo", "hi", "estimate")}
