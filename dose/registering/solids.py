"""A structure as depth below its surface: what registrations are compared by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, map_coordinates

from dose.errors import BadStructure, ContoursNotPlanar
from dose.grids.grid import Geometry, Mask, Points
from dose.shapes.raster import Raster, coverage, scan
from dose.shapes.structures import Structure

Depths = npt.NDArray[np.float64]

_PIXEL_MM = 1.0
_MOST_PIXELS = 20_000_000
_PLANAR_MM = 0.05
_RIM_MM = 12.0
_ONE_PLANE_MM = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """A structure drawn on axial planes.

    Parameters
    ----------
    planes_mm
        Where they lie along z, rising.
    depth
        ``[plane, y, x]`` mm below the outline, negative outside.
    origin_mm, pixel_mm
        Centre (x, y) of the first pixel, and size of the pixels.
    cap_mm
        How far the structure reaches beyond its end planes: half a plane.
    """

    planes_mm: Depths
    depth: npt.NDArray[np.float32]
    origin_mm: tuple[float, float]
    pixel_mm: float
    cap_mm: float

    @classmethod
    def of(cls, structure: Structure) -> "Solid":
        """Take up a structure: its outline on each plane, to be interpolated between planes by depth.

        Raises
        ------
        BadStructure
            It has no closed contour.
        ContoursNotPlanar
            A contour does not lie in an axial plane.
        """
        contours = structure.closed
        if not contours:
            raise BadStructure(f"{structure.name} has no closed contour.")
        if max(float(np.ptp(contour[:, 2])) for contour in contours) > _PLANAR_MM:
            raise ContoursNotPlanar(f"{structure.name} is not drawn on axial planes.")
        heights = np.array([round(float(contour[:, 2].mean()), 2) for contour in contours])
        planes = np.unique(heights)
        corners = np.concatenate(contours)[:, :2]
        low, size = corners.min(axis=0) - _RIM_MM, np.ptp(corners, axis=0) + 2 * _RIM_MM
        pixel = max(_PIXEL_MM, float(np.sqrt(size.prod() * len(planes) / _MOST_PIXELS)))
        columns, rows = (int(count) for count in np.ceil(size / pixel))
        raster = Raster(origin=(float(low[0]), float(low[1])), pixel=(pixel, pixel), shape=(rows, columns))
        depth = [
            _depth([c[:, :2] for c, at in zip(contours, heights, strict=True) if at == plane], raster)
            for plane in planes
        ]
        return cls(
            planes_mm=planes,
            depth=np.stack(depth),
            origin_mm=(float(low[0]) + pixel / 2, float(low[1]) + pixel / 2),
            pixel_mm=pixel,
            cap_mm=float(np.median(np.diff(planes))) / 2 if len(planes) > 1 else _ONE_PLANE_MM / 2,
        )

    @property
    def box_mm(self) -> Points:
        """The eight corners of a box around it."""
        j, i = np.nonzero((self.depth > 0).any(axis=0))
        across = [self.origin_mm[0] + self.pixel_mm * i, self.origin_mm[1] + self.pixel_mm * j]
        (x0, x1), (y0, y1) = ((float(one.min()), float(one.max())) for one in across)
        z0, z1 = self.planes_mm[0] - self.cap_mm, self.planes_mm[-1] + self.cap_mm
        return np.array([(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)])

    def depth_mm(self, points_mm: Points) -> Depths:
        """Return how deep places ``[n, 3]`` lie below the outline of their height; negative outside, and for NaN.

        Exact in sign; its size is a distance within the plane only.
        """
        z = np.nan_to_num(points_mm[:, 2], nan=np.inf)
        at = np.interp(z, self.planes_mm, np.arange(len(self.planes_mm)))
        pixels = (np.nan_to_num(points_mm[:, :2], nan=-1e6) - self.origin_mm) / self.pixel_mm
        index = np.stack([at, pixels[:, 1], pixels[:, 0]])
        found = map_coordinates(self.depth, index, order=1, mode="nearest", output=np.float64)
        beyond = np.maximum(self.planes_mm[0] - z, z - self.planes_mm[-1])
        size = np.array(self.depth.shape[:0:-1]) - 1
        found[((pixels < 0) | (pixels > size)).any(axis=1)] = -_RIM_MM
        return np.minimum(found, np.where(np.isfinite(beyond), self.cap_mm - beyond, -_RIM_MM))


def _depth(polygons: list[npt.NDArray[np.float64]], raster: Raster) -> npt.NDArray[np.float32]:
    """Signed distance from the outline, of sub-pixel exactness at it: there the covered part of a pixel tells it."""
    cover = coverage(scan(polygons, raster), raster).astype(np.float64)
    marked = cover >= 0.5
    far = np.where(marked, distance_transform_edt(marked) - 0.5, 0.5 - distance_transform_edt(~marked))
    rim = (cover > 0) & (cover < 1)
    depth: npt.NDArray[np.float32] = (np.where(rim, cover - 0.5, far) * raster.pixel[0]).astype(np.float32)
    return depth


def filled(solid: Solid, geometry: Geometry) -> Mask:
    """Return the voxels of a grid whose centre lies within a structure."""
    index = np.indices(geometry.shape).reshape(3, -1)[::-1].T
    marked: Mask = solid.depth_mm(geometry.to_points(index)).reshape(geometry.shape) > 0
    return marked
