"""Biologically effective dose on arrays: linear-quadratic model and its linear extension.

``BED = n d (1 + d / (a/b))`` and ``EQD2 = n d (d + a/b) / (2 + a/b)`` (Fowler, Br J Radiol 62:679, 1989; Withers,
Cancer 51:2173, 1983). Doses are Gy, arrays of any shape or single numbers; every conversion is per fraction group:

- Physical dose is interpolated first, then converted: the middle between 0 and 60 Gy in 3 fractions is 90 Gy EQD2 (a/b
  2), not 165.
- Groups are converted each by itself, then added: 50 Gy in 25 plus 30 Gy in 5 is 110 Gy (a/b 2), not 93.3.
- Doses given in one session are added before conversion: 25 times 1 + 1 Gy is 50 Gy (a/b 3), not 40.
- The dose per fraction is the planned one; delivery changes the number of fractions, never the dose per fraction.
- RBE multiplies the dose per fraction before conversion, never the EQD2.

None of this holds for permanent implants, low dose rate or radionuclides: those are not to be handed in here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Dose = npt.NDArray[np.float64]
"""Gy, of any shape (0-d for single numbers); float32 input is computed in float64."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FractionGroup:
    """Fractions of one size, voxel by voxel.

    Parameters
    ----------
    total_gy
        Dose of all *planned* fractions of the group, physical or RBE-weighted.
    planned
        Number of planned fractions, which `total_gy` holds.
    delivered
        Number of fractions given.
    forgotten
        Part of the effect taken as recovered, 0 to 1; 0 unless a physician accepted a recovery model.
    """

    total_gy: npt.ArrayLike
    planned: int
    delivered: int
    forgotten: float = 0.0

    def __post_init__(self) -> None:
        _positive("number of planned fractions", self.planned)
        if self.delivered < 0:
            raise ValueError(f"{self.delivered} fractions can't have been given.")
        if not 0 <= self.forgotten <= 1:
            raise ValueError(f"The forgotten part is between 0 and 1, not {self.forgotten}.")


def bed(total_gy: npt.ArrayLike, fractions: float, alpha_beta_gy: float) -> Dose:
    """BED of a dose given in equal fractions.

    Raises
    ------
    ValueError
        The number of fractions or alpha/beta is not positive.
    """
    _positive("number of fractions", fractions)
    _positive("alpha/beta", alpha_beta_gy)
    total: Dose = np.asarray(total_gy, dtype=np.float64)
    return total * (1 + total / fractions / alpha_beta_gy)


def eqd2(total_gy: npt.ArrayLike, fractions: float, alpha_beta_gy: float) -> Dose:
    """Dose in fractions of 2 Gy with the same effect."""
    _positive("number of fractions", fractions)
    _positive("alpha/beta", alpha_beta_gy)
    total = np.asarray(total_gy, dtype=np.float64)
    return total * (total / fractions + alpha_beta_gy) / (2 + alpha_beta_gy)


def eqd2_from_bed(bed_gy: npt.ArrayLike, alpha_beta_gy: float) -> Dose:
    """EQD2 of a BED: divided by ``1 + 2 / (a/b)``."""
    _positive("alpha/beta", alpha_beta_gy)
    return np.asarray(bed_gy, dtype=np.float64) / (1 + 2 / alpha_beta_gy)


def dose_for_eqd2(eqd2_gy: npt.ArrayLike, fractions: float, alpha_beta_gy: float) -> Dose:
    """Physical dose in so many fractions that has this EQD2: the inverse of `eqd2`; nothing left gives 0."""
    _positive("number of fractions", fractions)
    _positive("alpha/beta", alpha_beta_gy)
    left = np.maximum(np.asarray(eqd2_gy, dtype=np.float64), 0.0)
    root = np.sqrt(alpha_beta_gy**2 + 4 * left * (2 + alpha_beta_gy) / fractions)
    return np.asarray(fractions * (root - alpha_beta_gy) / 2)


def bed_lql(total_gy: npt.ArrayLike, fractions: float, alpha_beta_gy: float, transition_gy: float) -> Dose:
    """BED with the linear extension above a transition dose per fraction (LQ-L; Astrahan, Med Phys 35:4161, 2008).

    Up to the transition the linear-quadratic curve, beyond it its tangent: ``g/a = 1 + 2 dT / (a/b)``. It is for
    information beside the plain model and never clears a limit.
    """
    _positive("transition dose", transition_gy)
    per_fraction = np.asarray(total_gy, dtype=np.float64) / fractions
    curved: Dose = np.minimum(per_fraction, transition_gy)
    beyond: Dose = np.maximum(per_fraction - transition_gy, 0.0)
    tangent = 1 + 2 * transition_gy / alpha_beta_gy
    return bed(curved * fractions, fractions, alpha_beta_gy) + fractions * tangent * beyond


def eqd2_incomplete_repair(
    total_gy: npt.ArrayLike, fractions: float, alpha_beta_gy: float, *, apart_h: float, half_time_h: float
) -> Dose:
    """EQD2 of fractions given in pairs so close that repair was not complete.

    Of each fraction's damage the part ``h = exp(-ln 2 dt / T)`` is left when the other is given, so that the quadratic
    term is ``d (1 + h)`` (Thames, Int J Radiat Biol 47:319, 1985, two fractions a day).
    """
    _positive("half-time of repair", half_time_h)
    left = float(2.0 ** (-apart_h / half_time_h))
    total = np.asarray(total_gy, dtype=np.float64)
    return total * (total / fractions * (1 + left) + alpha_beta_gy) / (2 + alpha_beta_gy)


def delivered_eqd2(groups: Sequence[FractionGroup], alpha_beta_gy: float) -> Dose:
    """EQD2 of fraction groups as delivered: ``sum (1 - forgotten) n d (d + a/b) / (2 + a/b)``.

    The dose per fraction d is that of the plan, n the number of fractions given: 30 Gy planned in 10, five given, is
    18.75 Gy (a/b 2), not 13.125.
    """
    _positive("alpha/beta", alpha_beta_gy)
    total = np.zeros(())
    for group in groups:
        per_fraction = np.asarray(group.total_gy, dtype=np.float64) / group.planned
        effect = group.delivered * per_fraction * (per_fraction + alpha_beta_gy) / (2 + alpha_beta_gy)
        total = total + (1 - group.forgotten) * effect
    return total


def eqd2_of_unequal_groups(
    total_gy: npt.ArrayLike, fractions: Sequence[int], alpha_beta_gy: float
) -> tuple[Dose, Dose]:
    """Bounds for a grid that holds several fraction groups of unknown shares.

    Returns
    -------
    lower, upper
        All fractions alike (total over the sum of fractions), and all of the dose in the shortest group.
    """
    return eqd2(total_gy, sum(fractions), alpha_beta_gy), eqd2(total_gy, min(fractions), alpha_beta_gy)


def _positive(what: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"The {what} is a positive number, not {value}.")
