"""Pairs of images with a known map that no setting was chosen on: made bodies, and a real CT moved and bent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom import dcmread
from scipy.ndimage import map_coordinates, spline_filter

from dose.grids.grid import Geometry, ImageVolume, Points
from dose.objects.dicom import read_image
from dose.registering.images import BODY_HU
from dose.registering.quality import body_of
from tests.dose.registering.known import Bend, drawn_rigid
from tests.dose.registering.phantom import Body, ct_grid, image, places

NOISE_HU = 10.0
ABOVE_COUCH_MM = -168.0
"""Of the real CT only what lies in front of this y counts: the couch is one piece with the head there, looks alike all
along its length, and no registration can tell where along it a place lies."""

_GRIDS = {
    "3 mm": ct_grid(),
    "2.5 mm": ct_grid((76, 112, 116), (2.5, 2.5, 2.5), (4, -6, 3)),
    "2 x 2 x 3 mm": ct_grid((60, 130, 140), (2.0, 2.0, 3.0), (-5, 3, 8)),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Two images and the map between them.

    Parameters
    ----------
    truth
        Where places of the fixed image lie on the moving one.
    places
        Of the fixed image, within the body and with a partner, where the error is taken.
    """

    name: str
    kind: Literal["rigid", "deformable"]
    fixed: ImageVolume
    moving: ImageVolume
    truth: Callable[[Points], Points]
    places: Points


def made_cases(
    kind: Literal["rigid", "deformable"], seeds: range, most_mm: float, variety: float = 1.0
) -> Iterator[Case]:
    """Bodies drawn from seeds, on grids in turn; the map moves by up to `most_mm`, after a rigid one."""
    for seed in seeds:
        body, (grid_name, moving) = Body(seed=seed, variety=variety), list(_GRIDS.items())[seed % len(_GRIDS)]
        fixed, there = ct_grid(), places(body=body, seed=seed)
        truth = _truth(kind, seed, most_mm, there)
        yield Case(
            name=f"body {seed}, moving CT {grid_name}, {most_mm:g} mm",
            kind=kind,
            fixed=image(fixed, moved=truth, seed=2 * seed, noise_hu=NOISE_HU, body=body),
            moving=image(moving, seed=2 * seed + 1, noise_hu=NOISE_HU, body=body),
            truth=truth,
            places=there,
        )


def real_cases(
    data: Path, kind: Literal["rigid", "deformable"], seeds: range, most_mm: float, *, by: int = 1
) -> Iterator[Case]:
    """The CT of a head phantom, moved by splines; noise makes both images differ as two scans do.

    Parameters
    ----------
    by
        Take every so many voxels along each axis.
    """
    moving = head_ct(data)
    body = np.argwhere(body_of(moving, BODY_HU)[::by, ::by, ::by]) * by
    there = moving.geometry.to_points(np.random.default_rng(9).choice(body, 2000)[:, ::-1])
    for seed in seeds:
        centre = there.mean(axis=0)
        around = _truth(kind, seed, most_mm, there - centre)
        truth = _Around(around, centre)
        at = truth(there)
        kept = ((moving.geometry.to_index(at) >= 0) & (moving.geometry.to_index(at) <= _last(moving.geometry))).all(1)
        kept &= at[:, 1] < ABOVE_COUCH_MM
        yield Case(
            name=f"head CT, seed {seed}, {most_mm:g} mm",
            kind=kind,
            fixed=_noisy(_moved(moving, truth, by), 2 * seed),
            moving=_noisy(_thinned(moving, by), 2 * seed + 1),
            truth=truth,
            places=there[kept],
        )


@lru_cache(maxsize=1)
def head_ct(data: Path) -> ImageVolume:
    """The CT of a head phantom on a treatment table."""
    slices = [dcmread(path) for path in sorted((data / "dcpt_headphantom").rglob("*.dcm"))]
    return read_image([one for one in slices if one.Modality == "CT"])


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """A map about another centre."""

    map: Callable[[Points], Points]
    centre: Points

    def __call__(self, points_mm: Points) -> Points:
        return self.map(points_mm - self.centre) + self.centre


def _truth(kind: str, seed: int, most_mm: float, over: Points) -> Callable[[Points], Points]:
    if kind == "rigid":
        return drawn_rigid(seed, degrees=most_mm, shift_mm=2 * most_mm).to_moving
    bend = Bend.drawn(seed, most_mm=most_mm, over=over)
    lying = drawn_rigid(seed, degrees=3, shift_mm=6)
    return lambda points: lying.to_moving(bend(points))


def _moved(image_: ImageVolume, truth: Callable[[Points], Points], by: int) -> ImageVolume:
    geometry = _thin(image_.geometry, by)
    k, j, i = np.indices(geometry.shape)
    at = image_.geometry.to_index(truth(geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))))
    smooth = spline_filter(image_.hu.astype(np.float32), order=3, output=np.float32)
    hu = map_coordinates(smooth, at.T[::-1], order=3, prefilter=False, mode="nearest", output=np.float32)
    return ImageVolume(hu=np.clip(hu, -1024, 3071).reshape(geometry.shape), geometry=geometry)


def _thinned(image_: ImageVolume, by: int) -> ImageVolume:
    return ImageVolume(hu=image_.hu[::by, ::by, ::by], geometry=_thin(image_.geometry, by))


def _thin(geometry: Geometry, by: int) -> Geometry:
    affine = geometry.affine.copy()
    affine[:3, :3] *= by
    nz, ny, nx = (-(-size // by) for size in geometry.shape)
    return Geometry(shape=(nz, ny, nx), affine=affine)


def _noisy(image_: ImageVolume, seed: int) -> ImageVolume:
    noise = np.random.default_rng(seed).normal(0, NOISE_HU, image_.hu.shape).astype(np.float32)
    return ImageVolume(hu=image_.hu + noise, geometry=image_.geometry)


def _last(geometry: Geometry) -> Points:
    last: Points = np.array(geometry.shape[::-1], dtype=np.float64) - 1
    return last
