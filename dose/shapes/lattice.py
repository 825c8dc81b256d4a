"""A structure as small cells of one regular grid: where to read a dose again and again while something is varied.

The histogram of a structure (`dose.shapes.dvh`) takes its cells from the dose grid and looks at each grid anew. Where
the same structure is asked a hundred times, its cells are laid once and only doses are read. The solid is the same one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.errors import BadStructure
from dose.grids.grid import Geometry, Mask, Points, Volume
from dose.grids.readings import Line
from dose.shapes.raster import Raster
from dose.shapes.sections import Sections, sections
from dose.shapes.solid import SolidSlabs, solid_slabs
from dose.shapes.structures import Structure

CELLS = 30_000
"""About how many cells fill a structure."""

FINEST_MM = 0.5
COARSEST_MM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """The cells of a structure.

    Parameters
    ----------
    geometry
        A grid around the structure; cells are some of its voxels.
    index
        Which ones: places in the raveled ``[z, y, x]`` array, ``[n]``.
    cc
        How much of the structure lies in each, cm3, ``[n]``.
    """

    geometry: Geometry
    index: npt.NDArray[np.intp]
    cc: npt.NDArray[np.float64]

    @property
    def volume_cc(self) -> float:
        """Volume of the structure."""
        return float(self.cc.sum())

    @property
    def points_mm(self) -> Points:
        """The middles of all cells, LPS mm ``[n, 3]``."""
        k, j, i = np.unravel_index(self.index, self.geometry.shape)
        return self.geometry.to_points(np.column_stack([i, j, k]))

    @property
    def inside(self) -> Mask:
        """Which voxels of the grid are cells, ``[z, y, x]``."""
        mask = np.zeros(self.geometry.shape, dtype=np.bool_)
        mask.reshape(-1)[self.index] = True
        return mask

    def read(self, volume: Volume) -> Line:
        """Return the values of a volume on the grid in all cells."""
        values: Line = volume.reshape(-1)[self.index]
        return values


def cells_of(
    structure: Structure,
    geometry: Geometry,
    *,
    slice_mm: float | None = None,
    count: int = CELLS,
    finest_mm: float = FINEST_MM,
    margin_mm: float = 0.0,
) -> Cells:
    """Lay cells through a structure.

    Parameters
    ----------
    geometry
        A grid in the frame of the structure, for its directions: cells run along its axes, with a size of their own.
    slice_mm
        Distance of the image slices, for structures drawn on a single slice.
    count
        About how many cells there shall be; they are never smaller than `finest_mm` nor larger than `COARSEST_MM`.
    margin_mm
        How far the grid reaches beyond the structure at least.

    Raises
    ------
    BadStructure, ContoursNotPlanar
        The structure has no volume, or its planes are not those of an axis of the grid.
    """
    stack = sections(structure, geometry, slice_mm=slice_mm)
    side = float(np.clip((max(stack.rough_mm3, 1e-3) / count) ** (1 / 3), finest_mm, COARSEST_MM))
    margin = int(np.ceil(margin_mm / side))
    raster, first_uv = _raster(stack, side, margin + 2)
    low_w = int(np.floor((stack.at_mm[0] - stack.thickness_mm) / side)) - margin
    high_w = int(np.ceil((stack.at_mm[-1] + stack.thickness_mm) / side)) + margin
    filled = np.zeros((high_w - low_w, *raster.shape))
    faces = [n * side for n in range(low_w, high_w + 1)]
    for part in solid_slabs(stack, raster, breaks_mm=faces, step_mm=side):
        if isinstance(part, SolidSlabs):
            for place, thickness, inside in zip(part.places_mm, part.thickness_mm, part.inside, strict=True):
                filled[int(np.floor(place / side)) - low_w] += inside * thickness
    if not filled.any():
        raise BadStructure(f"The contours of structure {structure.name!r} enclose no volume.")
    u, v = stack.in_plane_axes
    first = {u: first_uv[0], v: first_uv[1], stack.axis: low_w}
    turned = {2: filled, 1: filled.transpose(1, 0, 2), 0: filled.transpose(1, 2, 0)}[stack.axis]
    box = _box(geometry, side, (first[0], first[1], first[2]), turned.shape)
    flat = np.ascontiguousarray(turned).reshape(-1)
    index = np.flatnonzero(flat)
    return Cells(geometry=box, index=index, cc=flat[index] * raster.pixel_area / 1000.0)


def _raster(stack: Sections, side: float, margin: int) -> tuple[Raster, tuple[int, int]]:
    corners = stack.corners
    first = np.floor(corners.min(axis=0) / side).astype(int) - margin
    last = np.ceil(corners.max(axis=0) / side).astype(int) + margin
    raster = Raster(
        origin=(float(first[0] * side), float(first[1] * side)),
        pixel=(side, side),
        shape=(int(last[1] - first[1]), int(last[0] - first[0])),
    )
    return raster, (int(first[0]), int(first[1]))


def _box(geometry: Geometry, side: float, first: tuple[int, int, int], shape: tuple[int, ...]) -> Geometry:
    """The grid of cells; cell n of an axis reaches from n to n + 1 sides in the mm frame of `geometry`."""
    affine = geometry.affine.copy()
    affine[:3, :3] = geometry.directions * side
    centre = (np.array(first) + 0.5) * side / np.array(geometry.spacing_mm)
    affine[:3, 3] = geometry.to_points(centre[np.newaxis])[0]
    return Geometry(shape=(shape[0], shape[1], shape[2]), affine=affine)
