"""Effect of fractions on whole grids, as dose in fractions of 2 Gy: fast twins of `dose.biology.linear_quadratic`.

Arrays are worked through in pieces that stay in the cache, each computed in float64 and stored as the array it goes to,
so that six million voxels take a few hundredths of a second and a float32 result is off by its own rounding alone.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dose.biology.linear_quadratic import _positive
from dose.biology.tissues import Tissue

Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""Gy, of any shape."""

_Curve = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]

LARGE_FRACTION_GY = 6.0
"""Above this dose per fraction the linear extension is shown beside the plain model."""

_PIECE = 16_384
"""Values of one piece: 128 KiB in float64, a few such arrays fit the cache of one core."""


def effect(
    dose_per_fraction_gy: Values,
    fractions: float,
    tissue: Tissue,
    *,
    onto: Values | None = None,
    left_unrepaired: float = 0.0,
) -> Values:
    """EQD2 of equal fractions: ``n d (d (1 + h) + a/b) / (2 + a/b)``.

    Parameters
    ----------
    dose_per_fraction_gy
        Gy of any shape, float32 or float64.
    fractions
        How many; 29.4 where one of thirty was cut short.
    onto
        An array of the same shape to add to, C-contiguous; None: a new one, of the type of the dose.
    left_unrepaired
        Part h of the damage that was left when the next fraction came (`dose.biology.repair`).

    Returns
    -------
    array
        `onto` where it was given.
    """
    alpha_beta = tissue.alpha_beta_gy
    scale = fractions / (2 + alpha_beta)
    quadratic = 1 + left_unrepaired

    def curve(dose: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        result = dose * quadratic
        result += alpha_beta
        result *= dose
        result *= scale
        return result

    return _piecewise(dose_per_fraction_gy, fractions, tissue, curve, onto)


def effect_lql(dose_per_fraction_gy: Values, fractions: float, tissue: Tissue, *, onto: Values | None = None) -> Values:
    """EQD2 with the linear extension: beyond the transition dose the tangent of the plain curve (LQ-L).

    ``n [c (c + a/b) + (a/b + 2 dT) (d - c)] / (2 + a/b)``, c the smaller of d and dT. For information beside `effect`;
    it never clears a limit. The parameters are those of `effect`.

    Raises
    ------
    ValueError
        The tissue has no transition dose.
    """
    if tissue.transition_gy is None:
        raise ValueError(f"There is no transition dose for {tissue.name or 'this tissue'}.")
    transition, alpha_beta = tissue.transition_gy, tissue.alpha_beta_gy
    _positive("transition dose", transition)
    scale, tangent = fractions / (2 + alpha_beta), alpha_beta + 2 * transition

    def curve(dose: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        curved = np.minimum(dose, transition)
        beyond = dose - curved
        beyond *= tangent
        result = curved + alpha_beta
        result *= curved
        result += beyond
        result *= scale
        return result

    return _piecewise(dose_per_fraction_gy, fractions, tissue, curve, onto)


def needs_lql(dose_per_fraction_gy: Values) -> bool:
    """Return whether any fraction was so large that the linear extension is to be shown beside the plain model."""
    return bool(dose_per_fraction_gy.size) and float(dose_per_fraction_gy.max()) > LARGE_FRACTION_GY


def _piecewise(dose: Values, fractions: float, tissue: Tissue, curve: _Curve, onto: Values | None) -> Values:
    if not (np.isfinite(fractions) and fractions >= 0):
        raise ValueError(f"The number of fractions is zero or more, not {fractions}.")
    _positive("alpha/beta", tissue.alpha_beta_gy)
    total = np.zeros(dose.shape, dtype=dose.dtype) if onto is None else onto
    if total.shape != dose.shape or not total.flags.c_contiguous:
        raise ValueError("The array to add to has the shape of the dose and is C-contiguous.")
    read, written = np.ascontiguousarray(dose).reshape(-1), total.reshape(-1)
    for start in range(0, read.size, _PIECE):
        piece = slice(start, start + _PIECE)
        written[piece] += curve(read[piece].astype(np.float64))
    return total
