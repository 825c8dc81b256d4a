"""Gamma against values of another program.

They were computed once with pymedphys 0.41.0 (numpy 2.4.6, Python 3.11), which runs through axes in the order given, so
that its places on shells are ours when it is given (x, y, z)::

    x, y, z = np.arange(16) * 2.5, np.arange(14) * 2.0, np.arange(12) * 3.0
    gamma = pymedphys.gamma((x, y, z), reference, (x, y, z), evaluated, 3, 2, lower_percent_dose_cutoff=20,
                            max_gamma=2, local_gamma=is_local)
    gamma[1::4, 1::4, 1::4].transpose(2, 1, 0)

with the doses of `_hill` below, in float32.
"""

import numpy as np
import pytest

from dose.comparing.gamma import Criteria, gamma
from dose.grids.grid import DoseGrid, Geometry, Volume
from tests.dose.phantoms import ORIENTATIONS

NAN = np.nan
GLOBAL = [
    [
        [NAN, 0.1035, 0.3868, NAN],
        [0.7454, 0.7919, 0.1024, 0.5172],
        [NAN, 1.1027, 0.5011, 0.1624],
        [NAN, 0.8405, 0.5906, NAN],
    ],
    [
        [NAN, 0.2, 0.6, 0.9002],
        [0.7214, 0.7897, 0.4516, 0.8584],
        [1.0004, 1.1538, 0.1221, 0.4002],
        [NAN, 0.8007, 0.5002, NAN],
    ],
    [
        [NAN, 0.3329, 0.7387, NAN],
        [0.4688, 0.2273, 0.7168, 1.0],
        [0.7066, 0.6916, 0.1002, 0.5126],
        [NAN, 0.6001, 0.3043, NAN],
    ],
]
LOCAL = [
    [[NAN, 0.1281, 0.4003, NAN], [0.8002, 0.8, 0.1037, 0.6], [NAN, 1.1059, 0.5019, 0.2019], [NAN, 0.9001, 0.6102, NAN]],
    [
        [NAN, 0.2001, 0.6, 0.9018],
        [0.7966, 0.7999, 0.4539, 0.9],
        [1.0023, 1.1718, 0.1231, 0.4005],
        [NAN, 0.8032, 0.5008, NAN],
    ],
    [[NAN, 0.4012, 0.8, NAN], [0.502, 0.2395, 0.7215, 1.0], [0.8009, 0.7, 0.1003, 0.5718], [NAN, 0.6008, 0.3393, NAN]],
]


def _hill(middle_mm: tuple[float, float, float], ripple: float) -> DoseGrid:
    x, y, z = np.arange(16) * 2.5 - 19, np.arange(14) * 2.0 - 13, np.arange(12) * 3.0 - 16
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    a, b, c = middle_mm
    flat = ((x - a) / 18) ** 2 + ((y - b) / 15) ** 2 + ((z - c) / 21) ** 2
    dose: Volume = (60 * np.exp(-(flat**2)) * (1 + ripple * np.sin(x / 6) * np.cos(y / 5))).astype(np.float32)
    geometry = Geometry.from_axes(
        shape=(12, 14, 16),
        position_mm=(0, 0, 0),
        orientation=ORIENTATIONS["HFS"],
        row_spacing_mm=2.0,
        column_spacing_mm=2.5,
        plane_spacing_mm=3.0,
    )
    return DoseGrid(dose_gy=dose, geometry=geometry)


@pytest.mark.parametrize(
    ("is_local", "values", "mean", "passed"), [(False, GLOBAL, 0.61637, 1712), (True, LOCAL, 0.63938, 1634)]
)
def test_hills_when_compared_on_shells_then_gamma_is_that_of_pymedphys(
    is_local: bool, values: list[list[list[float]]], mean: float, passed: int
) -> None:
    criteria = Criteria(distance_mm=2, cutoff_percent=20, is_local=is_local, is_refined=False)
    found = gamma(_hill((0, 0, 0), 0), _hill((1.6, -1.1, 0.8), 0.02), criteria)
    assert found.values[1::4, 1::4, 1::4] == pytest.approx(np.array(values), abs=1e-3, nan_ok=True)
    assert found.evaluated == 2006
    assert np.nanmean(found.values) == pytest.approx(mean, abs=1e-4)
    # some are 1 to the last bit
    assert found.passed == pytest.approx(passed, abs=5)
