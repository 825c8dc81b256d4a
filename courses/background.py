"""The dose of previous courses as a background for a new plan, in the fractionation of the new plan.

A planning system adds the background to what it computes and looks at physical dose. So each place gets the physical
dose that, given in as many fractions as the new plan has, has the EQD2 of what was given before. It is so for one
alpha/beta only: a background per tissue that matters, never one for all.

The new plan's own dose does not add linearly to it in effect: ``(a + b)`` in n fractions has more effect than a and b
each in n. So the background is an estimate, to be checked with the candidate added (`courses.candidate`).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from courses.exposures import Gathered
from courses.summing import eqd2_sum
from dose.biology.linear_quadratic import dose_for_eqd2
from dose.biology.tissues import Tissue
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry, Volume

_PLANES = 16
"""Planes converted at a time: the conversion is done in float64."""


def background_sum(
    gathered: Gathered,
    tissue: Tissue,
    fractions: int,
    *,
    forgotten: Mapping[str, float] | None = None,
    geometry: Geometry | None = None,
) -> Sum:
    """Return the physical dose in so many fractions that is worth what was given.

    Parameters
    ----------
    fractions
        Of the new plan.
    forgotten
        As `courses.summing.eqd2_sum`; None: nothing is forgotten.

    Raises
    ------
    ValueError
        The number of fractions is not positive.
    """
    return in_fractions(eqd2_sum(gathered, tissue, forgotten=forgotten, geometry=geometry), fractions, tissue)


def in_fractions(eqd2: Sum, fractions: int, tissue: Tissue) -> Sum:
    """Return a sum of EQD2 as physical dose in so many fractions: the inverse of EQD2, place by place."""
    outside = float(dose_for_eqd2(eqd2.outside_gy, fractions, tissue.alpha_beta_gy))

    def converted(eqd2_gy: Volume) -> Volume:
        found = np.empty_like(eqd2_gy)
        for start in range(0, len(eqd2_gy), _PLANES):
            here = slice(start, start + _PLANES)
            found[here] = dose_for_eqd2(eqd2_gy[here], fractions, tissue.alpha_beta_gy)
        return found

    lower = converted(eqd2.lower_gy)
    upper = lower if eqd2.upper_gy is eqd2.lower_gy else converted(eqd2.upper_gy)
    if eqd2.estimate_gy is eqd2.lower_gy:
        estimate = lower
    else:
        estimate = upper if eqd2.estimate_gy is eqd2.upper_gy else converted(eqd2.estimate_gy)
    return replace(eqd2, lower_gy=lower, estimate_gy=estimate, upper_gy=upper, outside_gy=outside)
