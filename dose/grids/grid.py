"""Where voxels lie: a regular grid in patient coordinates, and a dose on it.

Arrays are ``[z, y, x]`` (plane, row, column), C order, float32. Points are ``(x, y, z)`` in mm in the DICOM patient
system (LPS: x to the left, y to the back, z to the head). The affine takes ``(i, j, k)`` = (column, row, plane).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.errors import BadGeometry, SlicesMissing

Affine = npt.NDArray[np.float64]
"""4 x 4 matrix on homogeneous ``(x, y, z, 1)`` mm columns."""

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
"""``[n, 3]`` points ``(x, y, z)``."""

SAME_PLACE_MM = 0.01
"""Two grids are the same when no voxel centre differs by more: vendors round to 1e-4 mm and worse."""

DIRECTION_TOLERANCE = 1e-4
"""How far direction cosines may be from unit length, right angles or an axis: 0.03 mm at the rim of a 600 mm field."""


def moved(points: Points, matrix: Affine) -> Points:
    """Return places ``[..., 3]`` moved by a 4 x 4 matrix.

    Written out instead of a product of matrices: that goes to a BLAS, whose threads wait for each other on a busy
    machine (measured: 3 ms instead of 0.6 for 40,000 places), and whose last digits depend on how many there are.
    """
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    there: Points = np.empty(points.shape)
    for n, (a, b, c, along) in enumerate(matrix[:3]):
        there[..., n] = x * a + y * b + z * c + along
    return there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """A regular grid of voxel centres.

    Parameters
    ----------
    shape
        Planes, rows, columns (z, y, x).
    affine
        4 x 4, index ``(i, j, k, 1)`` = (column, row, plane) to LPS mm of the voxel centre.
    """

    shape: tuple[int, int, int]
    affine: Affine

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise BadGeometry("The affine of a grid is a finite 4 x 4 matrix.")
        if min(self.shape) < 1:
            raise BadGeometry(f"A grid has at least one voxel along each axis, not {self.shape}.")
        if abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise BadGeometry("The axes of the grid do not span space.")

    @classmethod
    def from_axes(
        cls,
        *,
        shape: tuple[int, int, int],
        position_mm: Sequence[float],
        orientation: Sequence[float],
        row_spacing_mm: float,
        column_spacing_mm: float,
        plane_spacing_mm: float,
    ) -> "Geometry":
        """Build a grid from what DICOM says of its first plane (PS3.3 C.7.6.2.1.1).

        Parameters
        ----------
        shape
            Planes, rows, columns.
        position_mm
            Image Position (Patient): centre of the first voxel of the first plane.
        orientation
            Image Orientation (Patient): direction of a row (rising column), then of a column (rising row).
        row_spacing_mm, column_spacing_mm
            Pixel Spacing: first value between rows, second between columns.
        plane_spacing_mm
            Step from plane to plane along row x column; negative for planes running the other way.

        Raises
        ------
        BadGeometry
            The direction cosines are not two perpendicular unit vectors, or a spacing is not a positive number.
        """
        row, column = direction_cosines(orientation)
        if len(position_mm) != 3:
            raise BadGeometry(f"Image Position (Patient) has {len(position_mm)} values, not 3.")
        if not (row_spacing_mm > 0 and column_spacing_mm > 0 and plane_spacing_mm != 0):
            raise BadGeometry(f"Spacings are {column_spacing_mm}, {row_spacing_mm}, {plane_spacing_mm} mm.")
        affine = np.eye(4)
        affine[:3, 0] = row * column_spacing_mm
        affine[:3, 1] = column * row_spacing_mm
        affine[:3, 2] = np.cross(row, column) * plane_spacing_mm
        affine[:3, 3] = np.asarray(position_mm, dtype=np.float64)
        return cls(shape=shape, affine=affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances of neighbouring voxel centres along column index, row index and plane index (x, y, z order)."""
        step = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(step[0]), float(step[1]), float(step[2])

    @property
    def directions(self) -> npt.NDArray[np.float64]:
        """Unit vectors of the index axes as columns of a 3 x 3 matrix."""
        columns: npt.NDArray[np.float64] = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return columns

    @property
    def inverse(self) -> Affine:
        """4 x 4, LPS mm to index ``(i, j, k)``."""
        return np.linalg.inv(self.affine).astype(np.float64)

    @property
    def voxel_cc(self) -> float:
        """Volume of a voxel in cm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def is_axis_parallel(self) -> bool:
        """Whether every index axis runs along a patient axis (any of them, either way)."""
        return bool(np.all(np.abs(self.directions).max(axis=0) > 1 - DIRECTION_TOLERANCE**2 / 2))

    def to_points(self, index: npt.ArrayLike) -> Points:
        """LPS mm of indices ``[n, 3]`` in ``(i, j, k)`` order; fractions are allowed."""
        return moved(np.asarray(index, dtype=np.float64), self.affine)

    def to_index(self, points_mm: npt.ArrayLike) -> Points:
        """Fractional indices ``(i, j, k)`` of LPS points ``[n, 3]``."""
        return moved(np.asarray(points_mm, dtype=np.float64), self.inverse)

    def corner_points(self) -> Points:
        """The eight outermost voxel centres, ``[8, 3]`` LPS mm."""
        nz, ny, nx = self.shape
        ends = [(i, j, k) for k in (0, nz - 1) for j in (0, ny - 1) for i in (0, nx - 1)]
        return self.to_points(ends)

    def matches(self, other: "Geometry", *, tolerance_mm: float = SAME_PLACE_MM) -> bool:
        """Whether both grids have the same voxels: same shape, every centre within `tolerance_mm`.

        The map between two affine grids is affine, so its largest difference is at a corner.
        """
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corner_points() - other.corner_points()).max() <= tolerance_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoseGrid:
    """Dose at the voxel centres of a grid.

    Parameters
    ----------
    dose_gy
        float32 ``[z, y, x]``.
    geometry
        Where the voxels lie.
    known
        Where the dose was calculated, ``[z, y, x]``; None means everywhere on this grid. Outside the hull of the voxel
        centres dose is always unknown, never zero.
    """

    dose_gy: Volume
    geometry: Geometry
    known: Mask | None = None

    def __post_init__(self) -> None:
        if self.dose_gy.shape != self.geometry.shape:
            raise BadGeometry(f"The dose has shape {self.dose_gy.shape}, its geometry {self.geometry.shape}.")
        if self.dose_gy.dtype != np.float32:
            raise BadGeometry(f"Dose is kept as float32, not {self.dose_gy.dtype}.")
        if self.known is not None and (self.known.shape != self.dose_gy.shape or self.known.dtype != np.bool_):
            raise BadGeometry("The mask of known dose has the shape of the dose and holds booleans.")

    @property
    def max_gy(self) -> float:
        """Largest known dose; 0 where nothing is known."""
        if self.known is None:
            return float(self.dose_gy.max())
        return float(self.dose_gy.max(where=self.known, initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageVolume:
    """Image values at the voxel centres of a grid: HU of a CT, what the rescale gives for other modalities.

    Parameters
    ----------
    hu
        float32 ``[z, y, x]``.
    geometry
        Where the voxels lie.
    """

    hu: Volume
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.hu.shape != self.geometry.shape:
            raise BadGeometry(f"The image has shape {self.hu.shape}, its geometry {self.geometry.shape}.")


def direction_cosines(orientation: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Row and column direction of Image Orientation (Patient), normalised.

    Raises
    ------
    BadGeometry
        Not six numbers, or not two perpendicular unit vectors within `DIRECTION_TOLERANCE`.
    """
    if len(orientation) != 6:
        raise BadGeometry(f"Image Orientation (Patient) has {len(orientation)} values, not 6.")
    row, column = np.asarray(orientation[:3], np.float64), np.asarray(orientation[3:], np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > DIRECTION_TOLERANCE or abs(row @ column) > DIRECTION_TOLERANCE:
        raise BadGeometry(f"Image Orientation (Patient) {list(orientation)} is not two perpendicular unit vectors.")
    return row / lengths[0], column / lengths[1]


def from_image_series(
    *,
    positions_mm: Sequence[Sequence[float]],
    orientation: Sequence[float],
    pixel_spacing_mm: Sequence[float],
    rows: int,
    columns: int,
    tolerance_mm: float = 0.05,
) -> tuple[Geometry, list[int]]:
    """Build the grid of an image series of parallel slices given in any order.

    Parameters
    ----------
    positions_mm
        Image Position (Patient) of each slice.
    orientation, pixel_spacing_mm
        Image Orientation (Patient) and Pixel Spacing (rows, columns), the same for all slices.
    tolerance_mm
        How far a slice may lie from its place in the regular stack; real scanners round to 0.01 mm and better.

    Returns
    -------
    geometry, order
        Planes run along row x column; ``order[k]`` is the number of the slice that is plane k.

    Raises
    ------
    BadGeometry
        Fewer than two slices, two slices in one place, or slices shifted sideways.
    SlicesMissing
        Names the positions where slices are missing.
    """
    row, column = direction_cosines(orientation)
    normal = np.cross(row, column)
    at = np.asarray(positions_mm, dtype=np.float64)
    if len(at) < 2:
        raise BadGeometry("One slice is no volume: at least two slices are needed.")
    along = at @ normal
    order = [int(n) for n in np.argsort(along, kind="stable")]
    sorted_along = along[order]
    step = _regular_step(sorted_along, tolerance_mm)
    drift = at - at[order[0]] - np.outer(along - sorted_along[0], normal)
    if np.abs(drift).max() > tolerance_mm:
        raise BadGeometry(f"Slices are shifted sideways by up to {np.abs(drift).max():.2f} mm (gantry tilt?).")
    geometry = Geometry.from_axes(
        shape=(len(at), rows, columns),
        position_mm=[float(v) for v in at[order[0]]],
        orientation=orientation,
        row_spacing_mm=float(pixel_spacing_mm[0]),
        column_spacing_mm=float(pixel_spacing_mm[1]),
        plane_spacing_mm=step,
    )
    return geometry, order


def _regular_step(along_mm: npt.NDArray[np.float64], tolerance_mm: float) -> float:
    """Plane spacing of sorted slice positions; says which slices are missing or doubled."""
    gaps = np.diff(along_mm)
    if gaps.min() <= tolerance_mm:
        twice = along_mm[int(gaps.argmin())]
        raise BadGeometry(f"Two slices lie in one place, {twice:.2f} mm along the normal of the series.")
    step = float(np.median(gaps))
    if gaps.min() < step - tolerance_mm:  # with every second slice missing the median would be the gap
        step = float(gaps.min())
    counts = np.rint(gaps / step)
    missing = [along_mm[n] + step * m for n in np.flatnonzero(counts > 1) for m in range(1, int(counts[n]))]
    if missing:
        names = ", ".join(f"{v:.2f}" for v in missing[:10]) + (" ..." if len(missing) > 10 else "")
        raise SlicesMissing(f"{len(missing)} slices are missing, at {names} mm along the normal of the series.")
    mean_step = float((along_mm[-1] - along_mm[0]) / (len(along_mm) - 1))
    off = np.abs(along_mm - along_mm[0] - mean_step * np.arange(len(along_mm))).max()
    if off > tolerance_mm:
        raise BadGeometry(f"Slices are unevenly spaced: one lies {off:.2f} mm from its place in the stack.")
    return mean_step
