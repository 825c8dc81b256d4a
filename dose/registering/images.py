"""Images as SimpleITK takes them, and what is compared of them: one spacing, one window of HU, one region.

SimpleITK is loaded when something is registered: it takes half a second and most commands never need it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from dose.errors import BadGeometry, NothingToCompare
from dose.grids.grid import Geometry, ImageVolume, Mask, Points, Volume
from dose.grids.transforms import Transform

AIR_HU = -1000.0
"""What is read outside an image."""

BONE_HU = 150.0
"""Bone and what is as dense; organs with contrast medium reach it too, and are thin beside the skeleton."""

BODY_HU = -300.0
"""Between air and fat."""

_FINEST_MM, _COARSEST_MM = 2.0, 3.0
_LEAST_VOXELS = 500
"""A region of fewer voxels says nothing about three turns and three shifts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The HU told apart; what lies outside counts as its end."""

    low: float
    high: float


BONE_WINDOW = Window(low=100.0, high=1000.0)
TISSUE_WINDOW = Window(low=-300.0, high=600.0)
SOFT_WINDOW = Window(low=-150.0, high=250.0)
BODY_WINDOW = Window(low=-1000.0, high=500.0)


def simple_itk() -> Any:
    """Return SimpleITK, loaded now if nothing was registered before."""
    import SimpleITK

    return SimpleITK


def itk_image(values: npt.NDArray[Any], geometry: Geometry) -> Any:
    """Return a volume ``[z, y, x]`` (or ``[z, y, x, 3]``) as an image of SimpleITK, in LPS mm."""
    itk = simple_itk()
    image = itk.GetImageFromArray(np.ascontiguousarray(values), isVector=values.ndim == 4)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin([float(at) for at in geometry.affine[:3, 3]])
    image.SetDirection([float(cosine) for cosine in geometry.directions.ravel()])
    return image


def array(image: Any) -> npt.NDArray[Any]:
    """Return the values of an image of SimpleITK, ``[z, y, x]`` and a further axis for vectors."""
    itk = simple_itk()
    values: npt.NDArray[Any] = itk.GetArrayFromImage(image)
    return values


def working_spacing_mm(geometry: Geometry) -> float:
    """Return the spacing images are compared at: that of the planes, no finer than 2 mm and no coarser than 3 mm.

    A rigid registration is told to a twentieth of it; finer voxels cost time and tell no more.
    """
    return float(np.clip(max(geometry.spacing_mm), _FINEST_MM, _COARSEST_MM))


def upright(geometry: Geometry, spacing_mm: float) -> Geometry:
    """Return a grid of even spacing along the patient axes that covers another."""
    corners = geometry.corner_points()
    low, high = corners.min(axis=0), corners.max(axis=0)
    count = np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = (low + high - (count - 1) * spacing_mm) / 2
    return Geometry(shape=(int(count[2]), int(count[1]), int(count[0])), affine=affine)


def brought(volume: ImageVolume, onto: Geometry) -> Volume:
    """Return an image on another grid, smoothed first where that one is coarser; air outside."""
    itk = simple_itk()
    image = itk_image(volume.hu, volume.geometry)
    target = onto.spacing_mm[0]
    # Half the new spacing keeps what is finer than it from coming back as a pattern.
    sigmas = [target / 2 if target > 1.5 * own else 0.0 for own in volume.geometry.spacing_mm]
    for axis, sigma in enumerate(sigmas):
        if sigma:
            image = itk.RecursiveGaussian(image, sigma, False, itk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    like = itk_image(np.zeros(onto.shape, dtype=np.uint8), onto)
    return np.asarray(array(itk.Resample(image, like, itk.Transform(), itk.sitkLinear, AIR_HU)), dtype=np.float32)


def inside(points_mm: Points, geometry: Geometry) -> Mask:
    """Return which places lie within the outermost voxel centres of a grid; NaN lies nowhere."""
    index = geometry.to_index(points_mm)
    last = np.array(geometry.shape[::-1]) - 1
    return np.asarray((index >= -1e-3).all(axis=1) & (index <= last + 1e-3).all(axis=1), dtype=np.bool_)


def grown(mask: Mask, geometry: Geometry, margin_mm: float) -> Mask:
    """Return a mask with all voxels whose centre lies within a margin of it."""
    if not margin_mm or not mask.any():
        return mask
    spacing = geometry.spacing_mm[::-1]
    reach = [int(np.ceil(margin_mm / step)) + 1 for step in spacing]
    filled = np.argwhere(mask)
    box = tuple(
        slice(max(int(low) - more, 0), int(high) + more + 1)
        for low, high, more in zip(filled.min(axis=0), filled.max(axis=0), reach, strict=True)
    )
    whole = np.zeros_like(mask)
    whole[box] = distance_transform_edt(~mask[box], sampling=spacing) <= margin_mm
    return whole


def on_grid(region: Mask, geometry: Geometry, onto: Geometry) -> Mask:
    """Return a mask on another grid of the same frame: at each voxel centre the nearest voxel counts."""
    k, j, i = np.indices(onto.shape)
    index = np.rint(geometry.to_index(onto.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()])))).astype(int)
    index = np.clip(index, 0, np.array(geometry.shape[::-1]) - 1)
    found: Mask = region[index[:, 2], index[:, 1], index[:, 0]].reshape(onto.shape)
    return found


def points_of(mask: Mask, geometry: Geometry, *, most: int) -> Points:
    """Return voxel centres of a mask, ``[n, 3]``: all, or every so many of them where there are more than `most`."""
    index = np.argwhere(mask)
    chosen = index[:: max(1, -(-len(index) // most))]
    return geometry.to_points(chosen[:, ::-1])


def refuse_small(region: Mask, what: str) -> None:
    """Refuse a region too small to be compared.

    Raises
    ------
    NothingToCompare
        It has hardly any voxels.
    """
    if int(region.sum()) < _LEAST_VOXELS:
        raise NothingToCompare(f"{what} fills {int(region.sum())} voxels of the fixed image: too few to be compared.")


def similarity(fixed: ImageVolume, moving: ImageVolume, transform: Transform, region: Mask, window: Window) -> float:
    """Return the correlation of two images over a region of the fixed one, -1 to 1; 0 where nothing can be compared."""
    from dose.grids.resample import sample_points

    if region.shape != fixed.geometry.shape:
        raise BadGeometry(f"The region has shape {region.shape}, the image {fixed.geometry.shape}.")
    places = points_of(region, fixed.geometry, most=200_000)
    partners = transform.to_moving(places)
    known = inside(partners, moving.geometry)
    if known.sum() < _LEAST_VOXELS:
        return 0.0
    ours, _ = sample_points(fixed.hu, fixed.geometry, places[known])
    theirs, _ = sample_points(moving.hu, moving.geometry, partners[known])
    one, other = np.clip(ours, window.low, window.high), np.clip(theirs, window.low, window.high)
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
