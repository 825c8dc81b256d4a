"""The displacement field that makes two images agree and bends as little as it can.

Sought is the field u that makes least

    sum over voxels of rho((M(x + u) - F(x)) / s)  +  A * sum of |Laplacian of u|^2

by Gauss-Newton steps from coarse to fine. Forces are gathered over cells as Bruhn et al. do (combined local-global
method, Int J Comput Vis 61:211, 2005), so that noise cancels before it moves anything; the gradient is the mean of both
images' (as symmetric forces of demons); rho is that of Charbonnier, by which what has no partner (gas, contrast medium)
pulls no harder than a few times the noise. The Laplacian asks nothing of shifts, turns and even stretching, and spans
tissue that looks alike everywhere by what is found around it (curvature registration, Fischer and Modersitzki, J Math
Imaging Vis 18:81, 2003). Each step solves its linear system by conjugate gradients, with the cosine transform of the
Laplacian as preconditioner. All sums have one order: the same images give the same field, to the last digit.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from dose.grids.grid import Geometry
from dose.registering.images import array, itk_image, simple_itk

Values = npt.NDArray[np.float32]

STIFFNESS = 0.1
"""Weight A of bending on cells of 10 mm; chosen on made bodies and bends of their own seeds (decision 0027)."""

NOISE_HU = 30.0
"""Scale s: what two CT of the same tissue differ by, in HU."""

FAR = 2.0
"""Times the noise from which a difference counts by its size, no longer by its square."""

_STIFFNESS_MM = 10.0
_SMOOTHING = 0.35
_GATHER = 0.7
_SETTLED = 0.03
_SOLVED, _MOST_TURNS = 0.1, 60
_FARTHEST = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the search.

    Parameters
    ----------
    by
        Times coarser than the images are.
    cells
        Voxels of the level along each side of a cell of the field.
    steps
        At most so many Gauss-Newton steps.
    """

    by: int
    cells: int
    steps: int


LEVELS = (
    Level(by=8, cells=1, steps=15),
    Level(by=4, cells=1, steps=15),
    Level(by=2, cells=2, steps=10),
    Level(by=1, cells=2, steps=5),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two images and where the moving one is known, as SimpleITK has them, at one level."""

    fixed: Any
    moving: Any
    known: Any

    @property
    def spacing_mm(self) -> float:
        return float(self.fixed.GetSpacing()[0])

    def coarser(self, by: int) -> "_Pair":
        """Return the images smoothed and thinned; smoothed at the finest too, or noise takes part in the forces."""
        itk = simple_itk()
        sigma = _SMOOTHING * by * self.spacing_mm
        ours, theirs = (itk.SmoothingRecursiveGaussian(one, sigma) for one in (self.fixed, self.moving))
        return _Pair(
            fixed=itk.Shrink(ours, [by] * 3),
            moving=itk.Shrink(theirs, [by] * 3),
            known=itk.Shrink(self.known, [by] * 3),
        )


def bent_field(fixed: Any, moving: Any, known: Any, levels: tuple[Level, ...] = LEVELS) -> tuple[Values, Geometry]:
    """Return the field that takes places of an image to those of another that lies on the same grid.

    Parameters
    ----------
    fixed, moving
        float32 images of SimpleITK on one upright grid of even spacing, cut to the HU that are told apart.
    known
        uint8: 1 where the moving image is known. Elsewhere nothing is compared.

    Returns
    -------
    vectors_mm
        float32 ``[z, y, x, 3]``.
    geometry
        Where they lie: cells of the finest level.
    """
    whole = _Pair(fixed=fixed, moving=moving, known=known)
    cells = _cells(fixed, levels[0].by)
    vectors = np.zeros((*cells.shape, 3), dtype=np.float32)
    for level in levels:
        pair = whole.coarser(level.by)
        before, cells = cells, _cells(pair.fixed, level.cells)
        vectors = _settled(pair, cells, spread(vectors, before, cells), level)
    return vectors, cells


def spread(vectors: Values, cells: Geometry, onto: Geometry) -> Values:
    """Return a field on another grid, linear between its cells; beyond them its outermost vectors go on."""
    laying = _laying(itk_image(np.zeros(onto.shape, dtype=np.uint8), onto))
    return np.asarray(array(laying.Execute(itk_image(vectors.astype(np.float64), cells))), dtype=np.float32)


def _settled(pair: _Pair, cells: Geometry, vectors: Values, level: Level) -> Values:
    """Return the field at one level after Gauss-Newton steps, ended when no vector moves by much any more."""
    farthest = _FARTHEST * pair.spacing_mm
    for _ in range(level.steps):
        tensors, forces = _forces(pair, cells, vectors, level.cells)
        step = _solved(tensors, forces, vectors, cells.spacing_mm[0])
        vectors = vectors + np.clip(step, -farthest, farthest)
        if float(np.abs(step).max()) < _SETTLED * pair.spacing_mm:
            break
    return vectors


def _forces(pair: _Pair, cells: Geometry, vectors: Values, by: int) -> tuple[Values, Values]:
    """Return of each cell the tensor of the gradients ``[z, y, x, 3, 3]`` and the force ``[z, y, x, 3]``."""
    ours = np.asarray(array(pair.fixed), dtype=np.float32)
    theirs, known = _warped(pair, cells, vectors)
    mean = (ours + theirs) / 2
    slopes = [np.gradient(mean, np.float32(pair.spacing_mm), axis=axis) for axis in (2, 1, 0)]
    off = (theirs - ours) / np.float32(NOISE_HU)
    weight = known / (np.float32(NOISE_HU**2) * np.sqrt(1 + (off / np.float32(FAR)) ** 2))
    tensors = np.empty((*cells.shape, 3, 3), dtype=np.float32)
    for one, other in combinations_with_replacement(range(3), 2):
        tensors[..., one, other] = tensors[..., other, one] = _gathered(weight * slopes[one] * slopes[other], by)
    forces = [_gathered(weight * slope * (theirs - ours), by) for slope in slopes]
    return tensors, np.stack(forces, axis=-1)


def _warped(pair: _Pair, cells: Geometry, vectors: Values) -> tuple[Values, Values]:
    """Return the moving image as the field brings it, and 1 where it is known, else 0."""
    itk = simple_itk()
    laying = _laying(pair.fixed)
    dense = laying.Execute(itk_image(vectors.astype(np.float64), cells))
    laying.SetTransform(itk.DisplacementFieldTransform(dense))
    brought = laying.Execute(pair.moving)
    laying.SetInterpolator(itk.sitkNearestNeighbor)
    known = laying.Execute(pair.known)
    return np.asarray(array(brought), dtype=np.float32), np.asarray(array(known), dtype=np.float32)


def _gathered(values: Values, by: int) -> Values:
    """Return the mean over cells of so many voxels along each side, smoothed a little over neighbouring cells."""
    if by > 1:
        values = np.pad(values, [(0, -size % by) for size in values.shape])
        nz, ny, nx = (size // by for size in values.shape)
        values = values.reshape(nz, by, ny, by, nx, by).mean(axis=(1, 3, 5))
    smooth: Values = gaussian_filter(values, _GATHER, mode="nearest")
    return smooth


def _solved(tensors: Values, forces: Values, vectors: Values, spacing_mm: float) -> Values:
    """Return the step at which forces and bending balance: preconditioned conjugate gradients (Hestenes, Stiefel)."""
    stiffness = np.float32(STIFFNESS * (_STIFFNESS_MM / spacing_mm) ** 4)
    level = np.float32(np.trace(tensors, axis1=-2, axis2=-1).mean(dtype=np.float64) / 3)
    lone = np.maximum(level, np.float32(1e-12))
    easing: Values = (1 / (stiffness * _spectrum(vectors.shape[:3]) ** 2 + lone)).astype(np.float32)
    step = np.zeros_like(vectors)
    left = -forces - stiffness * _laplacian(_laplacian(vectors))
    eased = _eased(left, easing)
    way, first = eased, _dot(left, eased)
    size = first
    for _ in range(_MOST_TURNS):
        if size <= _SOLVED**2 * first:
            break
        pulled = np.einsum("...ab,...b->...a", tensors, way) + stiffness * _laplacian(_laplacian(way))
        share = np.float32(size / _dot(way, pulled))
        step += share * way
        left = left - share * pulled
        eased = _eased(left, easing)
        size, before = _dot(left, eased), size
        way = eased + np.float32(size / before) * way
    return step


def _eased(values: Values, easing: Values) -> Values:
    """Return what a uniform image with the mean of all tensors would answer to forces."""
    waves = dctn(values, axes=(0, 1, 2), norm="ortho") * easing
    back: Values = idctn(waves, axes=(0, 1, 2), norm="ortho")
    return back


def _spectrum(shape: tuple[int, ...]) -> Values:
    """Return the eigenvalues of the negative Laplacian for the cosine waves of a grid, ``[z, y, x, 1]``."""
    z, y, x = (2 - 2 * np.cos(np.pi * np.arange(size) / size) for size in shape)
    waves: Values = np.asarray(z[:, None, None, None] + y[:, None, None] + x[:, None], dtype=np.float32)
    return waves


def _laplacian(vectors: Values) -> Values:
    """Return the Laplacian over neighbouring cells; at the rim nothing flows."""
    found = np.zeros_like(vectors)
    for axis in range(3):
        rise = np.diff(vectors, axis=axis)
        ahead, behind = np.moveaxis(found, axis, 0)[:-1], np.moveaxis(found, axis, 0)[1:]
        ahead += np.moveaxis(rise, axis, 0)
        behind -= np.moveaxis(rise, axis, 0)
    return found


def _dot(one: Values, other: Values) -> float:
    """Return the inner product, added up in one order whatever the number of processors."""
    return float((one * other).sum(dtype=np.float64))


def _cells(image: Any, by: int) -> Geometry:
    """Return the grid whose cells gather so many voxels of an image along each side."""
    spacing = float(image.GetSpacing()[0])
    nx, ny, nz = (-(-size // by) for size in image.GetSize())
    affine = np.diag([by * spacing, by * spacing, by * spacing, 1.0])
    affine[:3, 3] = np.array(image.GetOrigin()) + (by - 1) * spacing / 2
    return Geometry(shape=(nz, ny, nx), affine=affine)


def _laying(like: Any) -> Any:
    """Return a filter that lays images on the grid of another; their edge values go on."""
    laying = simple_itk().ResampleImageFilter()
    laying.SetReferenceImage(like)
    laying.SetUseNearestNeighborExtrapolator(True)
    return laying
