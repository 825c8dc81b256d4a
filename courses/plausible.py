"""Whether a dose grid can hold what it says: the maximum of a whole plan is not that of one of its fractions."""

from typing import Final

from archive.assembly.prescription import prescribed_targets
from archive.model import Plan
from courses.delivered import Weighted
from courses.notices import Notice, notice
from dose.objects.dicom import StoredDose

_MOST: Final = 0.7
_LIKE: Final = (0.9, 1.5)
"""Between which parts of a prescribed dose the maximum of a grid lies that holds it."""

_WHOLE: Final = frozenset({"PLAN", "FRACTION"})
_SINGLE: Final = frozenset({"FRACTION_SESSION"})


def contradiction(plan: Plan, weighted: Weighted, stored: StoredDose) -> Notice | None:
    """Return the warning that a grid does not hold what its Dose Summation Type says; None where nothing speaks so.

    Told only where the maximum is that of one fraction in a grid of all, or that of all fractions in a grid of one:
    then nobody guesses which of both is wrong. Grids of single beams say nothing by their maximum.
    """
    prescribed = max((one.target_prescription_gy or 0.0 for one in prescribed_targets(plan.header)), default=0.0)
    planned, most = weighted.planned, stored.grid.max_gy
    if prescribed <= 0 or planned < 2:
        return None
    low, high = _LIKE
    if stored.summation_type in _WHOLE and most < _MOST * prescribed:
        is_other, holds = low <= most * planned / prescribed <= high, ("one fraction", "单次照射")
    elif stored.summation_type in _SINGLE and most > _MOST * prescribed:
        is_other, holds = low <= most / prescribed <= high, ("all fractions", "全部照射")
    else:
        return None
    if not is_other:
        return None
    return notice(
        "grid-contradicts",
        kind=stored.summation_type,
        most=f"{most:.4g}",
        holds=holds[0],
        holds_zh=holds[1],
        prescribed=f"{prescribed:.4g}",
    )
