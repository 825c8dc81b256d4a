"""SimpleITK as an independent judge of geometry, resampling and sums."""

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from dose.grids.grid import Affine, DoseGrid, Geometry
from dose.grids.transforms import Transform

ITK: Any = SimpleITK  # its functions carry no types


def image(grid: DoseGrid) -> Any:
    """A dose as an image of SimpleITK."""
    made = ITK.GetImageFromArray(grid.dose_gy)
    place(made, grid.geometry)
    return made


def resampled(grid: DoseGrid, onto: Geometry, moving_to_fixed: Affine | None = None) -> npt.NDArray[np.float32]:
    """A dose brought onto another grid by SimpleITK, linear, 0 outside."""
    back = np.linalg.inv(np.eye(4) if moving_to_fixed is None else moving_to_fixed)
    transform = ITK.AffineTransform([float(v) for v in back[:3, :3].ravel()], [float(v) for v in back[:3, 3]])
    like = ITK.Image([int(n) for n in onto.shape[::-1]], ITK.sitkFloat32)
    place(like, onto)
    values: npt.NDArray[np.float32] = ITK.GetArrayFromImage(
        ITK.Resample(image(grid), like, transform, ITK.sitkLinear, 0.0)
    )
    return values


def rotation(degrees: float, shift_mm: tuple[float, float, float] = (0, 0, 0)) -> Affine:
    """A rigid map around an oblique axis, as SimpleITK makes it."""
    turn = ITK.VersorTransform((1.0, 2.0, 3.0), float(np.deg2rad(degrees)))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turn.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = shift_mm
    return matrix


def moving(moving_to_fixed: Affine) -> Transform:
    """The map, fixed to moving, of a matrix the other way."""
    return Transform.of_matrix(np.linalg.inv(moving_to_fixed).astype(np.float64))


def place(made: Any, geometry: Geometry) -> None:
    """Put an image of SimpleITK where a grid lies."""
    made.SetSpacing(geometry.spacing_mm)
    made.SetOrigin([float(v) for v in geometry.affine[:3, 3]])
    made.SetDirection([float(v) for v in geometry.directions.ravel()])
