"""Doses on other grids: what is known of them there, and what is probable elsewhere.

A place is known where it lies within the hull of the source's voxel centres (to `HULL_TOLERANCE_MM`), has a partner
there, and none of the voxels it is interpolated from is unknown. Elsewhere dose is unknown and never zero (DESIGN
section 3, promise 7): bounds are 0 and the largest dose of the source, and between them stands an estimate that falls
off with the distance from what is known (`dose.grids.fall_off`). The estimate is to be labelled as one wherever it is
shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dose.grids.fall_off import FALL_OFF_MM, filled
from dose.grids.grid import Affine, DoseGrid, Geometry, Mask, Points, Volume
from dose.grids.transforms import Transform

HULL_TOLERANCE_MM = 0.01
"""A place this little outside the outermost voxel centres counts as on them: positions are rounded decimal strings."""

_PIECE = 200_000
"""Voxels whose places are computed at a time for maps that are no matrix: some 20 MB a processor."""

_SMALL = 250_000
"""Voxels of a target that is worked on by the thread that asks."""

_ALIGNED = 1e-3
"""Axes that over the whole target move a place by less than this many source voxels off their axis run along it."""


_Counted = tuple[float, float, float]
_Work = Callable[[int, int], int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampled:
    """A dose on another grid.

    Parameters
    ----------
    values
        Gray, float32 ``[z, y, x]``; 0 where unknown.
    known
        Where `values` hold.
    fall_off
        `values` where known, elsewhere an estimate between 0 and `worst_gy`; the very same array where all is known.
    worst_gy
        The largest known dose of the whole source.
    """

    values: Volume
    known: Mask
    fall_off: Volume
    worst_gy: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """Sources added up on consecutive planes of a target.

    Parameters
    ----------
    lower
        Sum of what is known, float32 ``[z, y, x]``.
    known
        Where all sources are.
    estimate
        What is known and elsewhere the estimate; None where none is wanted.
    upper
        What is known and elsewhere the maximum of the source; None where it is not wanted.
    reached
        For each source, in how many voxels it is known.
    """

    lower: Volume
    known: Mask
    estimate: Volume | None
    upper: Volume | None
    reached: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Growing:
    """Layers to which sources are being added: estimate and upper still lack what is known, and are empty if unwanted.

    `first_plane` is the number of their first plane in the target.
    """

    lower: Volume
    estimate: Volume
    upper: Volume
    known: Mask
    first_plane: int

    @property
    def arrays(self) -> tuple[Volume, Volume, Volume, Mask]:
        """Lower, estimate, upper and known as the compiled loops take them."""
        return self.lower, self.estimate, self.upper, self.known


def sample(grid: DoseGrid, onto: Geometry, transform: Transform | None = None) -> Sampled:
    """Bring a dose onto another grid, with an estimate where it is unknown.

    Parameters
    ----------
    grid
        Dose in its own frame of reference.
    onto
        Target grid, any orientation and spacing.
    transform
        From the frame of `onto` to that of `grid`; None where both are one frame.
    """
    source = Source(grid.dose_gy, grid.geometry, onto, known=grid.known, transform=transform)
    layers = add_all([source], [1.0], onto, estimate=not source.covers)
    return Sampled(
        values=layers.lower,
        known=layers.known,
        fall_off=layers.lower if layers.estimate is None else layers.estimate,
        worst_gy=max(grid.max_gy, 0.0),
    )


class Source:
    """A volume made ready to be read at the voxels of a target.

    Parameters
    ----------
    values, geometry, known
        The volume ``[z, y, x]``, where its voxels lie, and where it holds something; None means everywhere.
    onto
        The target.
    transform
        From the frame of `onto` to that of `geometry`; None where both are one frame.
    """

    def __init__(
        self,
        values: Volume,
        geometry: Geometry,
        onto: Geometry,
        *,
        known: Mask | None = None,
        transform: Transform | None = None,
    ) -> None:
        self._geometry, self._onto = geometry, onto
        self._transform = transform or Transform()
        matrix = self._transform.matrix
        self._index_map = None if matrix is None else geometry.inverse @ matrix @ onto.affine
        axes = None if self._index_map is None else _axis_order(self._index_map, onto)
        self._axes = axes
        # Planes, rows and columns of an aligned source, in the order in which the target runs through them.
        turn = (0, 1, 2) if axes is None else tuple(2 - axes[2 - axis] for axis in range(3))
        self.worst = largest(values, known)
        self._values = np.ascontiguousarray(filled(values, geometry, known).transpose(turn))
        nothing = np.zeros((0, 0, 0), dtype=np.float32)
        self._unknown = nothing if known is None else np.ascontiguousarray((~known).astype(np.float32).transpose(turn))

    @property
    def covers(self) -> bool:
        """Whether the volume is certainly known on the whole target.

        Where a matrix maps the target, its corners tell, for a hull is convex. No other map says so beforehand.
        """
        if self._index_map is None or self._unknown.size:
            return False
        nz, ny, nx = self._onto.shape
        ends = np.array([(i, j, k, 1) for k in (0, nz - 1) for j in (0, ny - 1) for i in (0, nx - 1)], dtype=np.float64)
        return bool(_within_hull((ends @ self._index_map.T)[:, :3], self._geometry).all())

    def adder(self, layers: _Growing, weight: float) -> _Work:
        """Return what adds the weighted volume to some planes of layers, and returns how many voxels are known."""
        counted = (float(weight), float(weight) * self.worst, FALL_OFF_MM)
        if self._index_map is None:
            return self._mapped(layers, counted)
        if self._axes is None:
            return self._oblique(self._index_map, layers, counted)
        return self._aligned(self._index_map, self._axes, layers, counted)

    def _aligned(self, index_map: Affine, axes: tuple[int, int, int], layers: _Growing, counted: _Counted) -> _Work:
        from dose.grids.trilinear import add_aligned, positions

        def along(target: int) -> Any:
            source = axes[target]
            count, source_count = self._onto.shape[2 - target], self._geometry.shape[2 - source]
            spacing_mm = self._geometry.spacing_mm[source]
            return positions(index_map[source, 3], index_map[source, target], count, source_count, spacing_mm)

        lines, first, sums = (along(2), along(1), along(0)), layers.first_plane, layers.arrays

        def work(start: int, stop: int) -> int:
            return add_aligned(self._values, self._unknown, lines, counted, sums, (first + start, first + stop, first))

        return work

    def _oblique(self, index_map: Affine, layers: _Growing, counted: _Counted) -> _Work:
        from dose.grids.trilinear import add_oblique

        spacing_mm, first, sums = np.array(self._geometry.spacing_mm), layers.first_plane, layers.arrays

        def work(start: int, stop: int) -> int:
            planes = (first + start, first + stop, first)
            return add_oblique((self._values, self._unknown), index_map, spacing_mm, counted, sums, planes)

        return work

    def _mapped(self, layers: _Growing, counted: _Counted) -> _Work:
        from dose.grids.trilinear import add_at

        spacing_mm = np.array(self._geometry.spacing_mm)
        lower, estimate, upper = (array.reshape(-1) for array in layers.arrays[:3])
        known: Mask = layers.known.reshape(-1)
        plane = layers.lower[0].size
        before = layers.first_plane * plane

        def piece(start: int, stop: int) -> int:
            index, lost = self._places(before + start, before + stop)
            here = slice(start, stop)
            sums = (lower[here], estimate[here], upper[here], known[here])
            return add_at(self._values, self._unknown, (index, lost), spacing_mm, counted, sums)

        def work(start: int, stop: int) -> int:
            ends = [*range(start * plane, stop * plane, _PIECE), stop * plane]
            return sum(piece(*ends[n : n + 2]) for n in range(len(ends) - 1))

        return work

    def _places(self, start: int, stop: int) -> tuple[Points, Mask]:
        """Source indices of consecutive voxels of the target, and which of them have no partner."""
        k, j, i = np.unravel_index(np.arange(start, stop), self._onto.shape)
        fixed_mm = self._onto.to_points(np.column_stack([i, j, k]))
        return partners(fixed_mm, self._transform, self._geometry)


def add_all(
    sources: Sequence[Source],
    weights: Sequence[float],
    onto: Geometry,
    planes: slice | None = None,
    *,
    estimate: bool = False,
    upper: bool = False,
) -> Layers:
    """Add weighted volumes on a target.

    All of them are added to a plane before the next: the sums stay near the processor meanwhile.

    Parameters
    ----------
    sources, weights
        The volumes, made ready for `onto`, and what each counts.
    onto
        The target.
    planes
        Consecutive planes of it to work on; None: all.
    estimate, upper
        What is wanted beside the lower bound; `upper` brings `estimate`.
    """
    from dose.compiled import each_piece
    from dose.grids.trilinear import complete

    first, last = (0, onto.shape[0]) if planes is None else (planes.start, planes.stop)
    shape, nothing = (last - first, *onto.shape[1:]), np.zeros((0, 0, 0), dtype=np.float32)
    layers = _Growing(
        lower=np.zeros(shape, dtype=np.float32),
        estimate=np.zeros(shape, dtype=np.float32) if estimate or upper else nothing,
        upper=np.zeros(shape, dtype=np.float32) if upper else nothing,
        known=np.empty(shape, dtype=np.bool_),
        first_plane=first,
    )
    adders = [source.adder(layers, weight) for source, weight in zip(sources, weights, strict=True)]

    def work(start: int, stop: int) -> list[int]:
        layers.known[start:stop] = True
        counts = [add(start, stop) for add in adders]
        if layers.estimate.size:
            complete(layers.arrays, (start, stop))
        return counts

    # A pool of threads costs more than a small target, and whoever reads many of them has threads of their own.
    counts = [work(0, shape[0])] if layers.known.size <= _SMALL else each_piece(work, shape[0], at_most=1)
    return Layers(
        lower=layers.lower,
        known=layers.known,
        estimate=layers.estimate if estimate or upper else None,
        upper=layers.upper if upper else None,
        reached=tuple(sum(count) for count in zip(*counts, strict=True)),
    )


def sample_points(
    values: Volume,
    geometry: Geometry,
    points_mm: Points,
    *,
    known: Mask | None = None,
    transform: Transform | None = None,
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Interpolate a volume at single points.

    Parameters
    ----------
    values
        ``[z, y, x]`` on `geometry`.
    points_mm
        ``[n, 3]`` LPS mm.
    known
        Where the volume holds something; None means everywhere.
    transform
        From the frame of the points to that of `geometry`; None where both are one frame.

    Returns
    -------
    values, known
        ``[n]`` each; the value is 0 where not known.
    """
    from dose.grids.trilinear import read_at

    points = np.asarray(points_mm, dtype=np.float64)
    index = geometry.to_index(points if transform is None else transform.to_moving(points))
    lost = np.asarray(np.isnan(index).any(axis=1))
    nothing = np.zeros((0, 0, 0), dtype=np.float32)
    unknown = nothing if known is None else (~known).astype(np.float32)
    source = values if known is None else np.where(known, values, np.float32(0))
    return read_at(
        np.ascontiguousarray(source, dtype=np.float32),
        unknown,
        (np.where(lost[:, np.newaxis], 0.0, index), lost),
        np.array(geometry.spacing_mm),
    )


def partners(fixed_mm: Points, transform: Transform, geometry: Geometry) -> tuple[Points, Mask]:
    """Source indices of places, and which of them have no partner.

    A place without partner is put where the matrices of the map alone would have it: that serves the estimate.
    """
    moving_mm = transform.to_moving(fixed_mm)
    lost = np.asarray(np.isnan(moving_mm).any(axis=1))
    if lost.any():
        moving_mm = np.where(lost[:, np.newaxis], transform.matrices_alone.to_moving(fixed_mm), moving_mm)
    return geometry.to_index(moving_mm), lost


def largest(values: Volume, known: Mask | None) -> float:
    """Return the largest known dose, 0 at least."""
    return max(float(values.max() if known is None else values.max(where=known, initial=0.0)), 0.0)


def _within_hull(index: Points, geometry: Geometry) -> Mask:
    """Which fractional indices ``(i, j, k)`` lie within the hull of voxel centres."""
    last = np.array(geometry.shape[::-1], dtype=np.float64) - 1
    slack = HULL_TOLERANCE_MM / np.array(geometry.spacing_mm)
    inside: Mask = np.all((index >= -slack) & (index <= last + slack), axis=-1)
    return inside


def _axis_order(index_map: Affine, onto: Geometry) -> tuple[int, int, int] | None:
    """For each target index axis the source index axis that runs along it; None where axes are oblique."""
    reach = np.abs(index_map[:3, :3]) * np.array(onto.shape[::-1])
    main = np.abs(index_map[:3, :3]).argmax(axis=0)
    if sorted(main.tolist()) != [0, 1, 2]:
        return None
    reach[main, np.arange(3)] = 0.0
    if reach.max() > _ALIGNED:
        return None
    return int(main[0]), int(main[1]), int(main[2])
