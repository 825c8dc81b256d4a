"""Deformable registration of two CT, after the rigid step.

The field is sought by `dose.registering.bending`. Both images are taken at their HU: a CT with contrast medium beside
one without pulls at the vessels, though no harder than a few times the noise. What was resected or has regressed has no
partner, and no registration can find one: mark it as invalid.
"""

from typing import Any

import numpy as np

from dose.errors import NotConverged
from dose.grids.fields import DisplacementStep
from dose.grids.grid import Geometry, ImageVolume, Mask
from dose.grids.transforms import Transform
from dose.registering.bending import STIFFNESS, bent_field, spread
from dose.registering.images import (
    BODY_HU,
    BODY_WINDOW,
    SOFT_WINDOW,
    brought,
    itk_image,
    similarity,
    simple_itk,
    upright,
    working_spacing_mm,
)
from dose.registering.rigid import Registered, Tell, register_rigid, silent

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
    theirs, known = _laid(moving, start.transform, geometry, spacing)
    tell(f"Bending at {spacing:g} mm")
    field = spread(*bent_field(ours, theirs, known), geometry)
    step = DisplacementStep(vectors_mm=field, geometry=geometry)
    transform = Transform((step, *start.transform.steps))
    return _judged(fixed, moving, start, transform, spacing)


def _laid(moving: ImageVolume, transform: Transform, geometry: Geometry, spacing_mm: float) -> tuple[Any, Any]:
    """Return the moving image on the grid of the fixed one, moved rigidly, and 1 where it is known, else 0.

    Its edge values go on where it ends: a step to air there would be taken for a surface.
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
    known = laying.Execute(itk_image(np.ones(own.shape, dtype=np.uint8), own))
    laying.SetUseNearestNeighborExtrapolator(True)
    return laying.Execute(itk_image(values, own)), known


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
            f"{start.method}; then bent from coarse to fine until HU agree at {spacing_mm:g} mm, "
            f"with as little curvature as can be (Gauss-Newton, stiffness {STIFFNESS:g})"
        ),
        convergence=start.convergence,
    )
