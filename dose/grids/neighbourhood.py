"""The largest dose within a distance: what a place may have received if a registration is off by that much."""

import numpy as np

from dose.grids.grid import Mask, Volume

NOTHING_GY = np.float32(-np.inf)
"""What a voxel gets whose neighbourhood holds no voxel that counts."""


def largest_within(
    dose_gy: Volume, spacing_mm: tuple[float, float, float], radius_mm: float, *, among: Mask | None = None
) -> Volume:
    """Return for each voxel the largest dose of all voxels whose centres lie within a sphere around it.

    Parameters
    ----------
    dose_gy
        float32 ``[z, y, x]``.
    spacing_mm
        Of columns, rows and planes (x, y, z), as `Geometry.spacing_mm`.
    radius_mm
        0 leaves the dose as it is. Beyond the edge of the array there is nothing: it has to reach far enough.
    among
        Only these voxels count (those of the same structure, for instance); None: all.

    Returns
    -------
    Volume
        float32 ``[z, y, x]``; `NOTHING_GY` where no voxel counts within the radius.
    """
    source = dose_gy if among is None else np.where(among, dose_gy, NOTHING_GY)
    step = np.array(spacing_mm[::-1])
    reach = np.floor(radius_mm / step + 1e-9).astype(int)
    # Planes, then rows, then runs of columns: of each run only its length matters, so runs grow from the middle out.
    found: Volume = np.full_like(source, NOTHING_GY)
    runs: dict[int, list[tuple[int, int]]] = {}
    for k in range(-reach[0], reach[0] + 1):
        for j in range(-reach[1], reach[1] + 1):
            left = radius_mm**2 - (k * step[0]) ** 2 - (j * step[1]) ** 2
            if left >= -1e-9:
                runs.setdefault(int(np.sqrt(max(left, 0.0)) / step[2] + 1e-9), []).append((k, j))
    run: Volume = source.copy()
    for length in range(max(runs, default=-1) + 1):
        if length:
            run[:, :, length:] = np.maximum(run[:, :, length:], source[:, :, :-length])
            run[:, :, :-length] = np.maximum(run[:, :, :-length], source[:, :, length:])
        for k, j in runs.get(length, ()):
            here, there = (_moved(k, j, source.shape), _moved(-k, -j, source.shape))
            found[here] = np.maximum(found[here], run[there])
    return found


def _moved(planes: int, rows: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The voxels that have a partner so many planes and rows before them."""
    return _along(planes, shape[0]), _along(rows, shape[1])


def _along(step: int, count: int) -> slice:
    return slice(min(max(step, 0), count), max(min(count + step, count), 0))
