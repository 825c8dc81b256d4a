"""The ensemble and the search radius of a structure as JSON: lo, nominal and hi of each figure, and what drives it."""

from collections.abc import Mapping
from typing import Any

from courses.uncertainty import (
    DOSES_CC,
    DOSES_PERCENT,
    VOLUMES_GY,
    Ensemble,
    Quantity,
    Range,
    SearchRadius,
    volume_name,
)
from dose.shapes.dvh import Dvh, Figure

Json = dict[str, Any]

_DIGITS = 4


def uncertainty_rows(ensemble: Ensemble, histograms: Mapping[Quantity, Dvh], *, is_open: bool) -> Json:
    """Return ``structures[].ensemble``.

    Parameters
    ----------
    histograms
        Of the same structure; a quantity without one is null.
    is_open
        Whether a dose is missing that nothing bounds: no figure then has an upper end.
    """
    rows: Json = {"members": ensemble.members}
    for quantity, joint in ensemble.joint.items():
        one = histograms.get(quantity)
        if one is None:
            rows[quantity] = None
            continue
        figures = _figures(one)
        rows[quantity] = {
            name: _row(figures[name], joint[name], ensemble.by_source[quantity][name], one, name, is_open=is_open)
            for name in joint
            if name in figures
        }
    return rows


def search_rows(physical: SearchRadius, eqd2: SearchRadius | None) -> Json:
    """Return ``structures[].search_radius``."""
    return {"physical": _searched(physical), "eqd2": None if eqd2 is None else _searched(eqd2)}


def _searched(one: SearchRadius) -> Json:
    return {
        "radii": [
            {
                "mm": at.radius_mm,
                "anywhere_gy": round(at.anywhere_gy, _DIGITS),
                "same_structure_gy": round(at.same_structure_gy, _DIGITS),
            }
            for at in one.found
        ],
        "sum_of_maxima_gy": round(one.sum_of_maxima_gy, _DIGITS),
    }


def _figures(one: Dvh) -> dict[str, Figure]:
    found = {"max_gy": one.max_gy, "mean_gy": one.mean_gy, "min_gy": one.min_gy}
    found |= {name: one.d_cc(cc) for name, cc in DOSES_CC.items() if cc <= one.volume_cc}
    found |= {name: one.d_percent(percent) for name, percent in DOSES_PERCENT.items()}
    return found | {volume_name(gy): one.v_gy(gy) for gy in VOLUMES_GY}


def nominal_of(figure: Figure) -> float:
    """Return what deviations are added to: the figure, its estimate where dose is unknown, else what is known."""
    return next(value for value in (figure.value, figure.estimate, figure.lo) if value is not None)


def _row(figure: Figure, joint: Range, by_source: Mapping[str, Range], one: Dvh, name: str, *, is_open: bool) -> Json:
    nominal, most = nominal_of(figure), one.volume_cc if name.endswith("_cc") else float("inf")

    def ends(found: Range) -> tuple[float, float | None]:
        lo = round(min(max(nominal + found.down, 0.0), nominal), _DIGITS)
        hi = round(max(min(nominal + found.up, most), nominal), _DIGITS)
        return lo, None if is_open and not name.endswith("_cc") else hi

    lo, hi = ends(joint)
    return {
        "lo": lo,
        "nominal": round(nominal, _DIGITS),
        "hi": hi,
        "lo_by": joint.down_by.partition(": ")[0] or None,
        "hi_by": joint.up_by.partition(": ")[0] or None,
        "lo_member": joint.down_by.partition(": ")[2] or None,
        "hi_member": joint.up_by.partition(": ")[2] or None,
        "by_source": {source: dict(zip(("lo", "hi"), ends(found), strict=True)) for source, found in by_source.items()},
    }
