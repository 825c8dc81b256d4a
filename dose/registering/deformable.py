"""Deformable registration of two CT: demons after the rigid step.

Fast symmetric forces demons (Vercauteren et al., NeuroImage 45:S61, 2009; SimpleITK), coarse to fine, with the field
smoothed after every step, which keeps it a map of tissue: the smoothing is the price of detail, and its length is told
in the method. Demons take both images at their HU; a CT with contrast medium beside one without pulls at the vessels.
What was resected or has regressed has no partner, and no registration can find one: mark it as invalid.
"""

from typing import Any

import numpy as np

from dose.errors import NotConverged
from dose.grids.fields import DisplacementStep
from dose.grids.grid import Geometry, ImageVolume, Mask
from dose.grids.transforms import Transform
from dose.registering.images import (
    BODY_HU,
    BODY_WINDOW,
    SOFT_WINDOW,
    array,
    brought,
    itk_image,
    similarity,
    simple_itk,
    upright,
    working_spacing_mm,
)
from dose.registering.rigid import Registered, Tell, register_rigid, silent

SMOOTHING_VOXELS = 2.0
"""Standard deviation of the Gaussian that smooths the field after every step, in voxels of the level."""

_LEVELS = (4, 2, 1)
_STEPS = (80, 60, 30)
_WORSE = 0.02


def register_deformable(
    fixed: ImageVolume, moving: ImageVolume, *, region: Mask | None = None, where: str = "", tell: Tell = silent
) -> Registered:
    """Find how each place of a CT lies on another.

    Parameters
    ----------
    fixed, moving
        CT in HU, each in its own frame of reference.
    region, where
        As `dose.registering.rigid.register_rigid`: they guide the rigid step. The field covers the whole fixed image.
    tell
        Called with what is being done.

    Returns
    -------
    Registered
        A displacement field, then the matrix of the rigid step.

    Raises
    ------
    NotRegistered
        As the rigid step, or the images are less alike after the deformation than before.
    """
    start = register_rigid(fixed, moving, region=region, where=where, tell=tell)
    spacing = max(working_spacing_mm(fixed.geometry), working_spacing_mm(moving.geometry))
    geometry = upright(fixed.geometry, spacing)
    ours = itk_image(np.clip(brought(fixed, geometry), SOFT_WINDOW.low, SOFT_WINDOW.high), geometry)
    theirs = _laid(moving, start.transform, geometry, spacing)
    field: Any = None
    for by, steps in zip(_LEVELS, _STEPS, strict=True):
        tell(f"Bending at {by * spacing:g} mm")
        field = _demons(_coarse(ours, by), _coarse(theirs, by), field, steps)
    vectors = array(field).astype(np.float32)
    transform = Transform((DisplacementStep(vectors_mm=vectors, geometry=geometry), *start.transform.steps))
    return _judged(fixed, moving, start, transform, spacing)


def _laid(moving: ImageVolume, transform: Transform, geometry: Geometry, spacing_mm: float) -> Any:
    """Return the moving image on the grid of the fixed one, moved rigidly; its edge values go on where it ends.

    Air beyond the last slice would pull the whole body towards the end of the shorter scan.
    """
    itk = simple_itk()
    matrix = transform.matrix
    assert matrix is not None
    own = upright(moving.geometry, spacing_mm)
    values = np.clip(brought(moving, own), SOFT_WINDOW.low, SOFT_WINDOW.high)
    rigid = itk.AffineTransform(3)
    rigid.SetMatrix([float(value) for value in matrix[:3, :3].ravel()])
    rigid.SetTranslation([float(value) for value in matrix[:3, 3]])
    laying = itk.ResampleImageFilter()
    laying.SetReferenceImage(itk_image(np.zeros(geometry.shape, dtype=np.uint8), geometry))
    laying.SetTransform(rigid)
    laying.SetUseNearestNeighborExtrapolator(True)
    return laying.Execute(itk_image(values, own))


def _coarse(image: Any, by: int) -> Any:
    """Return an image at a coarser level, smoothed at the finest too: forces follow noise as they follow edges."""
    itk = simple_itk()
    smooth = itk.SmoothingRecursiveGaussian(image, 0.5 * by * image.GetSpacing()[0])
    return itk.Shrink(smooth, [by] * 3)


def _demons(fixed: Any, moving: Any, field: Any, steps: int) -> Any:
    """Return the field at one level, begun with that of the coarser one."""
    itk = simple_itk()
    if field is None:
        begun = itk.Image(fixed.GetSize(), itk.sitkVectorFloat64)
        begun.CopyInformation(fixed)
    else:
        laying = itk.ResampleImageFilter()
        laying.SetReferenceImage(fixed)
        laying.SetUseNearestNeighborExtrapolator(True)
        begun = laying.Execute(field)
    demons = itk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(steps)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(SMOOTHING_VOXELS)
    demons.SetMaximumUpdateStepLength(2.0)
    return demons.Execute(fixed, moving, begun)


def _judged(
    fixed: ImageVolume, moving: ImageVolume, start: Registered, transform: Transform, spacing_mm: float
) -> Registered:
    body = fixed.hu > BODY_HU
    before, after = (similarity(fixed, moving, one, body, BODY_WINDOW) for one in (start.transform, transform))
    if after < before - _WORSE:
        raise NotConverged(f"The images are less alike bent ({after:.2f}) than rigidly ({before:.2f}).")
    return Registered(
        transform=transform,
        kind="deformable",
        method=(
            f"{start.method}; then demons with fast symmetric forces at {spacing_mm:g} mm, "
            f"field smoothed over {SMOOTHING_VOXELS * spacing_mm:g} mm (SimpleITK)"
        ),
        convergence=start.convergence,
    )
