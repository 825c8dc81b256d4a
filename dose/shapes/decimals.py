"""Decimal strings read by the hundred thousand, compiled: most of an RTSTRUCT is such numbers."""

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled

_EXACT_DIGITS = 15
"""Whole numbers of so many digits and powers of ten up to the 22nd are exact, so their quotient is rounded once."""

_SPACE, _PLUS, _MINUS, _POINT, _ZERO, _NINE, _BACKSLASH = 32, 43, 45, 46, 48, 57, 92


@compiled
def decimals(text: npt.NDArray[np.uint8], count: int) -> tuple[int, npt.NDArray[np.float64]]:
    """Read plain decimal numbers parted by backslashes (Clinger, PLDI 1990: the fast path, always correctly rounded).

    Parameters
    ----------
    text
        Bytes of the value, with spaces or zero bytes around the numbers.
    count
        How many there are.

    Returns
    -------
    int, array
        How many were read before one that is not plain (an exponent, too many digits, no number), and the numbers
        ``[count]``.
    """
    values = np.empty(count)
    powers = 10.0 ** np.arange(_EXACT_DIGITS + 1)
    at, size = 0, len(text)
    for n in range(count):
        while at < size and text[at] == _SPACE:
            at += 1
        is_negative = at < size and text[at] == _MINUS
        if at < size and text[at] in (_PLUS, _MINUS):
            at += 1
        whole, digits, decimal_places, has_point = 0, 0, 0, False
        while at < size and (_ZERO <= text[at] <= _NINE or (text[at] == _POINT and not has_point)):
            if text[at] == _POINT:
                has_point = True
            else:
                whole = whole * 10 + (text[at] - _ZERO)
                digits += 1
                decimal_places += int(has_point)
                if digits > _EXACT_DIGITS:
                    return n, values
            at += 1
        while at < size and text[at] in (_SPACE, 0):
            at += 1
        if digits == 0 or (at < size and text[at] != _BACKSLASH):
            return n, values
        at += 1
        number = whole / powers[decimal_places]
        values[n] = -number if is_negative else number
    return (count if at >= size else 0), values
