"""What a dose probably is where it was not calculated: an estimate, never a figure of the plan."""

import numpy as np

from dose.grids.grid import Geometry, Mask, Volume

FALL_OFF_MM = 25.0
"""Length in which dose beyond the edge of a grid falls to 37 %."""


def filled(values: Volume, geometry: Geometry, known: Mask | None) -> Volume:
    """Return the dose with an estimate where it is unknown: that of the nearest known voxel, fallen off on the way.

    0 everywhere where no voxel is known.
    """
    if known is None or known.all():
        return values
    return _from_nearest(values, geometry, known) if known.any() else np.zeros_like(values)


def _from_nearest(values: Volume, geometry: Geometry, known: Mask) -> Volume:
    from scipy.ndimage import distance_transform_edt

    off_mm, nearest = distance_transform_edt(~known, sampling=geometry.spacing_mm[::-1], return_indices=True)
    dose: Volume = values[tuple(nearest)] * np.exp(-off_mm / FALL_OFF_MM).astype(np.float32)
    return dose
