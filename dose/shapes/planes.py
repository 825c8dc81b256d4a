"""One plane through a dose and its image, ready to be drawn.

Axial planes are seen from the feet, coronal ones from the front, sagittal ones from the patient's left with the face to
the left of the picture, as planning systems show them. The labels at the edges say so.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from dose.errors import BadGeometry
from dose.grids.grid import DoseGrid, Geometry, ImageVolume, Mask, Volume
from dose.grids.resample import slabs

MAX_PIXELS = 2048
"""Rows and columns of a picture at most; a finer pixel size is refused rather than drawn for minutes."""


class Orientation(Enum):
    """Which way a plane cuts the patient."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLabels:
    """Patient directions at the edges of the picture: R, L, A, P, S, I."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneCut:
    """Dose and image on one plane; row 0 is the top of the picture, column 0 its left edge.

    Parameters
    ----------
    orientation
        Which way the plane cuts.
    position_mm
        LPS coordinate of the plane along its normal: z of an axial, y of a coronal, x of a sagittal plane.
    dose_gy
        float32 ``[row, column]``; 0 where not known.
    known
        Where dose is known.
    ct_hu
        float32 ``[row, column]``, or None without image; `OUTSIDE_IMAGE_HU` outside the image.
    extent_mm
        Outer edges of the picture (left, right, bottom, top), in LPS mm of the axes shown: x or y across, y or z
        along. The top of an axial plane has the smaller y.
    labels
        Patient directions at the edges.
    """

    orientation: Orientation
    position_mm: float
    dose_gy: npt.NDArray[np.float32]
    known: Mask
    ct_hu: npt.NDArray[np.float32] | None
    extent_mm: tuple[float, float, float, float]
    labels: EdgeLabels

    @property
    def across_mm(self) -> npt.NDArray[np.float64]:
        """LPS coordinate of the pixel centres of each column."""
        left, right, _, _ = self.extent_mm
        count = self.dose_gy.shape[1]
        centres: npt.NDArray[np.float64] = left + (np.arange(count) + 0.5) * (right - left) / count
        return centres

    @property
    def down_mm(self) -> npt.NDArray[np.float64]:
        """LPS coordinate of the pixel centres of each row, top first."""
        _, _, bottom, top = self.extent_mm
        count = self.dose_gy.shape[0]
        centres: npt.NDArray[np.float64] = top + (np.arange(count) + 0.5) * (bottom - top) / count
        return centres


OUTSIDE_IMAGE_HU = -1024.0
"""Shown outside the image: air."""

_LABELS = {
    Orientation.AXIAL: EdgeLabels(left="R", right="L", top="A", bottom="P"),
    Orientation.CORONAL: EdgeLabels(left="R", right="L", top="S", bottom="I"),
    Orientation.SAGITTAL: EdgeLabels(left="A", right="P", top="S", bottom="I"),
}

# LPS axis across, down (and which way) and along the normal of the picture
_AXES = {
    Orientation.AXIAL: (0, 1, +1.0, 2),
    Orientation.CORONAL: (0, 2, -1.0, 1),
    Orientation.SAGITTAL: (1, 2, -1.0, 0),
}


def hottest_point_mm(grid: DoseGrid) -> tuple[float, float, float]:
    """LPS mm of the voxel with the largest known dose."""
    dose = grid.dose_gy if grid.known is None else np.where(grid.known, grid.dose_gy, np.float32(-np.inf))
    k, j, i = np.unravel_index(int(dose.argmax()), dose.shape)
    x, y, z = grid.geometry.to_points([[i, j, k]])[0]
    return float(x), float(y), float(z)


def cut(
    orientation: Orientation,
    through_mm: tuple[float, float, float],
    dose: DoseGrid,
    *,
    image: ImageVolume | None = None,
    pixel_mm: float = 1.0,
) -> PlaneCut:
    """Cut a plane through a point, in patient directions, whatever way the grids lie.

    Parameters
    ----------
    orientation
        Axial, coronal or sagittal.
    through_mm
        LPS point in the plane, from `hottest_point_mm` or the centroid of a structure.
    dose
        In the frame of reference of the picture.
    image
        In the same frame; the picture covers the whole image, or the dose where there is none.
    pixel_mm
        Size of the square pixels of the picture.

    Raises
    ------
    BadGeometry
        The pixel size is not positive, or so fine that the picture has more than `MAX_PIXELS` rows or columns.
    """
    across, down, way, normal = _AXES[orientation]
    frame = image.geometry if image is not None else dose.geometry
    low, high = _bounds_mm(frame)
    plane, extent_mm = _plane(low, high, (across, down, way, normal), through_mm[normal], pixel_mm)
    values, lies, known = _near(plane, dose.geometry, dose.dose_gy, dose.known)
    dose_slab = next(slabs(values, lies, plane, known=known))
    ct_hu: npt.NDArray[np.float32] | None = None
    if image is not None:
        hu, lies, _ = _near(plane, image.geometry, image.hu, None)
        image_slab = next(slabs(hu, lies, plane))
        ct_hu = np.where(image_slab.known[0], image_slab.values[0], np.float32(OUTSIDE_IMAGE_HU))
    return PlaneCut(
        orientation=orientation,
        position_mm=float(through_mm[normal]),
        dose_gy=dose_slab.values[0],
        known=dose_slab.known[0],
        ct_hu=ct_hu,
        extent_mm=extent_mm,
        labels=_LABELS[orientation],
    )


def _near(
    plane: Geometry, geometry: Geometry, values: Volume, known: Mask | None
) -> tuple[Volume, Geometry, Mask | None]:
    """Return the part of a grid that a plane is interpolated from: the rest need not be made ready to be read."""
    index = geometry.to_index(plane.corner_points())
    count = np.array(geometry.shape[::-1])
    first = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, count - 1)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, first, count - 1)
    part = tuple(slice(start, stop + 1) for start, stop in zip(first[::-1], last[::-1], strict=True))
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_points([first])[0]
    inner = Geometry(shape=values[part].shape, affine=affine)
    return values[part], inner, None if known is None else known[part]


def _bounds_mm(geometry: Geometry) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Smallest and largest LPS coordinates of the outermost voxel edges."""
    corners = geometry.corner_points()
    half = np.abs(geometry.affine[:3, :3]).sum(axis=1) / 2
    return corners.min(axis=0) - half, corners.max(axis=0) + half


def _plane(
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    axes: tuple[int, int, float, int],
    at_mm: float,
    pixel_mm: float,
) -> tuple[Geometry, tuple[float, float, float, float]]:
    """Grid of one plane of square pixels over the bounds, and its extent."""
    across, down, way, normal = axes
    if pixel_mm <= 0:
        raise BadGeometry(f"A pixel of {pixel_mm} mm can't be drawn.")
    columns = int(np.ceil((high[across] - low[across]) / pixel_mm - 1e-6))
    rows = int(np.ceil((high[down] - low[down]) / pixel_mm - 1e-6))
    if max(columns, rows) > MAX_PIXELS:
        raise BadGeometry(f"The picture would have {columns} x {rows} pixels; at most {MAX_PIXELS} are drawn.")
    left = float(low[across])
    top = float(low[down] if way > 0 else high[down])
    affine = np.zeros((4, 4))
    affine[across, 0] = pixel_mm
    affine[down, 1] = way * pixel_mm
    affine[normal, 2] = 1.0
    affine[[across, down, normal], 3] = left + pixel_mm / 2, top + way * pixel_mm / 2, at_mm
    affine[3, 3] = 1.0
    extent_mm = (left, left + columns * pixel_mm, top + way * rows * pixel_mm, top)
    return Geometry(shape=(1, rows, columns), affine=affine), extent_mm
