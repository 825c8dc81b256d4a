"""Figures of a histogram as JSON: each with its bounds, and an estimate between them."""

from typing import Any

import numpy as np

from dose.shapes.dvh import Dvh, Figure

Json = dict[str, Any]

VOLUMES_GY = (5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
"""Doses at which volumes are told: V5 to V60 and the critical volumes below them."""

CURVE_POINTS = 200
"""About how many points a histogram has in JSON; its figures are computed on the full curve."""

SAME_VOLUME_CC = 1e-4
"""Bounds of a volume closer than this are one figure: JSON tells no more digits."""


def figure(told: Figure) -> Json:
    """Return a figure with its bounds: the value is null where unknown dose could change it."""
    value, estimate = (None if one is None else round(one, 4) for one in (told.value, told.estimate))
    if estimate is None:
        estimate = value
    return {"value": value, "lo": round(told.lo, 4), "hi": round(told.hi, 4), "estimate": estimate}


def doses_of(one: Dvh, *, is_open: bool, times: float = 1.0) -> Json:
    """Return the doses of a structure; a missing dose that nothing bounds (`is_open`) leaves lower bounds.

    Parameters
    ----------
    times
        What each dose is multiplied with: EQD2 becomes BED by ``1 + 2 / (a/b)``.
    """
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
    told = {name: figure(found.times(times)) for name, found in doses.items()}
    if is_open:
        return {name: {"value": None, "lo": one["lo"], "hi": None, "estimate": None} for name, one in told.items()}
    return told


def figures_of(one: Dvh, *, is_open: bool) -> Json:
    """Return doses and volumes of a structure."""
    above, below = ([tell(dose) for dose in VOLUMES_GY] for tell in (one.v_gy, one.cv_gy))
    if is_open:
        above = [_bounded(volume.lo, one.volume_cc) for volume in above]
        below = [_bounded(0.0, volume.hi) for volume in below]
    return {
        **doses_of(one, is_open=is_open),
        "v": [{"gy": dose, "cc": figure(volume)} for dose, volume in zip(VOLUMES_GY, above, strict=True)],
        "cv": [{"gy": dose, "cc": figure(volume)} for dose, volume in zip(VOLUMES_GY, below, strict=True)],
        "unknown_cc": round(one.unknown_cc, 4),
    }


def curve_of(one: Dvh, *, is_open: bool) -> Json:
    """Return the histogram itself, some `CURVE_POINTS` points of it."""
    last = len(one.dose_gy) - 1
    points = [*range(0, last, max(1, last // CURVE_POINTS)), last]
    most = np.full_like(one.hi_cc, one.volume_cc) if is_open else one.hi_cc
    return {
        "dose_gy": [round(float(value), 4) for value in one.dose_gy[points]],
        "lo_cc": [round(float(value), 5) for value in one.lo_cc[points]],
        "hi_cc": [round(float(value), 5) for value in most[points]],
    }


def _bounded(lo: float, hi: float) -> Figure:
    return Figure(value=hi if hi - lo <= SAME_VOLUME_CC else None, lo=lo, hi=hi)
