"""A body of known anatomy that can be imaged at any place: a CT of it can be moved and bent without interpolation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.grids.grid import Geometry, ImageVolume, Points

Values = npt.NDArray[np.float64]

_WAVES = 14
_BLUR_MM = 2.0
"""Edges rise over this length, as the point spread of a scanner makes them."""


def ct_grid(
    shape: tuple[int, int, int] = (64, 96, 96),
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0),
    shift_mm: tuple[float, float, float] = (0, 0, 0),
) -> Geometry:
    """An axial grid around a point; spacing along x, y, z."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = np.array(shift_mm) - (np.array(shape[::-1]) - 1) * spacing_mm / 2
    return Geometry(shape=shape, affine=affine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body of its own: of the seed come its tissue, its size and how its organs lie.

    Parameters
    ----------
    seed
        0 is the plain one.
    variety
        How much its tissue varies: 1 is a patient with much fat, 0 has organs of one HU each.
    """

    seed: int = 0
    variety: float = 1.0

    def hu(self, points_mm: Points) -> Values:
        """HU at places ``[n, 3]``."""
        return body_hu(points_mm / self.stretch, texture=7 + self.seed, variety=self.variety)

    @property
    def stretch(self) -> Values:
        """How much larger than the plain one it is along x, y, z."""
        if not self.seed:
            return np.ones(3)
        drawn: Values = np.random.default_rng(self.seed).uniform(0.85, 1.1, 3)
        return drawn


def image(
    geometry: Geometry,
    *,
    moved: Callable[[Points], Points] | None = None,
    seed: int = 1,
    noise_hu: float = 8.0,
    body: Body | None = None,
) -> ImageVolume:
    """A CT of a body; with `moved` its place p shows what the body has at ``moved(p)``."""
    k, j, i = np.indices(geometry.shape)
    points = geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    hu = (body or Body()).hu(points if moved is None else moved(points)).reshape(geometry.shape)
    hu += np.random.default_rng(seed).normal(0, noise_hu, geometry.shape)
    return ImageVolume(hu=hu.astype(np.float32), geometry=geometry)


def body_hu(points_mm: Points, *, texture: int = 7, variety: float = 1.0) -> Values:
    """HU of the body at places ``[n, 3]``: trunk with lungs, spine, ribs, pelvis and organs of differing density."""
    x, y, z = points_mm.T
    hu = np.full(len(points_mm), -1000.0)
    _lay(hu, _within(np.hypot(x / 115, y / 80) - 1, 95), 40.0)
    _texture(hu, points_mm, texture, variety)
    for side in (-1, 1):
        lung = np.sqrt(((x - side * 52) / 36) ** 2 + ((y + 8) / 48) ** 2 + ((z - 55) / 55) ** 2) - 1
        _lay(hu, _within(lung, 40), -780.0)
        hip = np.sqrt(((x - side * 62) / 30) ** 2 + ((y - 10) / 26) ** 2 + ((z + 70) / 24) ** 2) - 1
        _lay(hu, _within(hip, 26), 550.0)
    _lay(hu, _within(np.hypot(x / 16, (y - 48) / 14) - 1, 15), 350.0)
    discs = np.abs((z % 30) - 15)
    _lay(hu, _within(np.hypot(x / 16, (y - 48) / 14) - 1, 15) * _rise(3.0 - discs), 80.0)
    _lay(hu, _within(np.hypot(x / 5, (y - 68) / 9) - 1, 6), 420.0)
    ribs = np.abs(np.hypot(x / 98, y / 66) - 1) * 80
    _lay(hu, _rise(5.0 - ribs) * _rise(4.5 - np.abs(((z + 0.35 * y) % 26) - 13)) * _rise(z - 5), 480.0)
    return hu


def _texture(hu: Values, points_mm: Points, seed: int, variety: float) -> None:
    """Fat between muscles and organs: no two places of the trunk look alike, as in a patient."""
    random = np.random.default_rng(seed)
    level = np.zeros(len(points_mm))
    for _ in range(_WAVES):
        direction = random.normal(size=3)
        waves = direction / np.linalg.norm(direction) * 2 * np.pi / random.uniform(22, 60)
        level += np.sin(points_mm @ waves + random.uniform(0, 2 * np.pi))
    hu[hu > -500] += variety * (75 * np.tanh(level[hu > -500]) - 45)


def _within(level: Values, radius_mm: float) -> Values:
    return _rise(-level * radius_mm)


def _rise(depth_mm: Values) -> Values:
    return 1 / (1 + np.exp(-np.clip(depth_mm * 4 / _BLUR_MM, -50, 50)))


def _lay(hu: Values, share: Values, value: float) -> None:
    """Put a tissue where its share is one, mix it in where it is less."""
    hu += share * (value - hu)


def places(reach: float = 0.8, count: int = 400, seed: int = 3, body: Body | None = None) -> Points:
    """Places within the trunk, where the error is taken."""
    random = np.random.default_rng(seed)
    found = random.uniform((-115, -80, -75), (115, 80, 75), (6 * count, 3))
    within = found[np.hypot(found[:, 0] / 115, found[:, 1] / 80) < reach][:count]
    return within * (body or Body()).stretch
