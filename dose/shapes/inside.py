"""The inside of a structure as a volume of its own, to ask of any place whether it lies within."""

from dataclasses import dataclass

import numpy as np

from dose.grids.grid import Geometry, Points, Volume
from dose.grids.sampling import sample_points
from dose.shapes.raster import Raster
from dose.shapes.sections import Sections, sections
from dose.shapes.solid import SolidSlabs, solid_slabs
from dose.shapes.structures import Structure

_PIXELS_ACROSS = 256
_FINEST_MM, _COARSEST_MM = 0.5, 2.0
_MARGIN = 2
_UNIT = Geometry(shape=(1, 1, 1), affine=np.eye(4))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inside:
    """What part of each voxel is inside a structure.

    Parameters
    ----------
    share
        0 to 1, float32 ``[z, y, x]``; 0 in all voxels at the rim.
    geometry
        Voxels along the axes of the patient, in the frame of the structure; the planes are parallel to its contours.
    """

    share: Volume
    geometry: Geometry

    def at(self, points_mm: Points) -> Volume:
        """Return the share at places, interpolated, ``[n]``; 0 outside and where a coordinate is NaN."""
        found, _ = sample_points(self.share, self.geometry, points_mm)
        return found.astype(np.float32)


def inside_of(structure: Structure, *, slice_mm: float | None = None) -> Inside:
    """Return the inside of a structure, between its contours and beyond the last ones as `dose.shapes.solid` has it.

    Voxels are 0.5 to 2 mm wide, so that the largest extent has some 250 of them.

    Parameters
    ----------
    slice_mm
        Distance of the image slices, needed where the structure has a single plane.

    Raises
    ------
    BadStructure, ContoursNotPlanar
        It has no volume, or its planes are oblique to the axes of the patient.
    """
    stack = sections(structure, _UNIT, slice_mm=slice_mm)
    corners = stack.corners
    low, high = corners.min(axis=0), corners.max(axis=0)
    pixel = float(np.clip((high - low).max() / _PIXELS_ACROSS, _FINEST_MM, _COARSEST_MM))
    raster = Raster(
        origin=(float(low[0]) - _MARGIN * pixel, float(low[1]) - _MARGIN * pixel),
        pixel=(pixel, pixel),
        shape=(int((high[1] - low[1]) / pixel) + 2 * _MARGIN + 1, int((high[0] - low[0]) / pixel) + 2 * _MARGIN + 1),
    )
    step = stack.thickness_mm / max(1, round(stack.thickness_mm / pixel))
    first = stack.at_mm[0] - stack.thickness_mm - _MARGIN * step
    count = int(np.ceil((stack.at_mm[-1] + stack.thickness_mm - first) / step)) + _MARGIN
    share = np.zeros((count, *raster.shape), dtype=np.float32)
    borders = [first + n * step for n in range(count + 1)]
    for part in solid_slabs(stack, raster, breaks_mm=borders, step_mm=step):
        if isinstance(part, SolidSlabs):
            for place, thickness, inside in zip(part.places_mm, part.thickness_mm, part.inside, strict=True):
                share[int((place - first) / step)] += inside * np.float32(thickness / step)
    return Inside(share=share, geometry=_geometry(stack, raster, first, step, share.shape))


def _geometry(stack: Sections, raster: Raster, first: float, step: float, shape: tuple[int, ...]) -> Geometry:
    u, v = stack.in_plane_axes
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    affine[u, 0], affine[v, 1], affine[stack.axis, 2] = raster.pixel[0], raster.pixel[1], step
    affine[u, 3] = raster.origin[0] + raster.pixel[0] / 2
    affine[v, 3] = raster.origin[1] + raster.pixel[1] / 2
    affine[stack.axis, 3] = first + step / 2
    return Geometry(shape=(shape[0], shape[1], shape[2]), affine=affine)
