"""Maps that are known exactly: what a registration has to find back."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from dose.grids.grid import Points
from dose.grids.transforms import MatrixStep, Transform

Values = npt.NDArray[np.float64]

_BEND_WAVES = 6


def rigid(angles_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Transform:
    """Turn about x, then y, then z through the origin, then shift."""
    matrix = np.eye(4)
    for axis, degrees in enumerate(angles_deg):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.eye(4)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        matrix = turn @ matrix
    matrix[:3, 3] = shift_mm
    return Transform((MatrixStep(matrix),))


def drawn_rigid(seed: int, *, degrees: float, shift_mm: float) -> Transform:
    """Turns and shifts drawn evenly up to a size."""
    random = np.random.default_rng(seed)
    a, b, c = (float(one) for one in random.uniform(-degrees, degrees, 3))
    x, y, z = (float(one) for one in random.uniform(-shift_mm, shift_mm, 3))
    return rigid((a, b, c), (x, y, z))


def bent(points_mm: Points) -> Points:
    """A smooth deformation, 6.3 mm at most, that folds nothing."""
    x, y, z = points_mm.T
    wave = np.column_stack(
        [
            np.sin(2 * np.pi * z / 190) * np.cos(2 * np.pi * y / 230),
            np.cos(2 * np.pi * x / 210) * np.sin(2 * np.pi * (z + 40) / 220),
            np.sin(2 * np.pi * (x + y) / 260),
        ]
    )
    return points_mm + 4.0 * wave


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bend:
    """A smooth deformation of waves of random direction, length and phase.

    Parameters
    ----------
    waves
        ``[n, 3]`` wave vectors in radian per mm.
    phases
        ``[n, 3]`` of each wave and axis of displacement.
    pushes_mm
        ``[n, 3]`` how far each wave moves along x, y, z.
    """

    waves: Values
    phases: Values
    pushes_mm: Values

    @classmethod
    def drawn(cls, seed: int, *, most_mm: float, over: Points, shortest_mm: float = 130.0) -> Self:
        """Draw one that moves the places `over` by up to `most_mm`."""
        random = np.random.default_rng(seed)
        directions = random.normal(size=(_BEND_WAVES, 3))
        lengths = random.uniform(shortest_mm, 2 * shortest_mm, (_BEND_WAVES, 1))
        waves = directions / np.linalg.norm(directions, axis=1, keepdims=True) * 2 * np.pi / lengths
        phases = random.uniform(0, 2 * np.pi, (_BEND_WAVES, 3))
        pushes = random.normal(size=(_BEND_WAVES, 3)) * lengths / shortest_mm
        plain = cls(waves=waves, phases=phases, pushes_mm=pushes)
        most = float(np.linalg.norm(plain(over) - over, axis=1).max())
        return cls(waves=waves, phases=phases, pushes_mm=pushes * most_mm / most)

    def __call__(self, points_mm: Points) -> Points:
        """Return where places go."""
        moved = np.array(points_mm, dtype=np.float64)
        for wave, phase, push in zip(self.waves, self.phases, self.pushes_mm, strict=True):
            moved += np.sin((points_mm @ wave)[:, np.newaxis] + phase) * push
        return moved
