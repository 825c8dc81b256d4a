"""Polygons on a raster: exact areas along the rows, even-odd rule for holes.

Each pixel row is crossed by `SUBROWS` scan lines. Along a line the crossings with all edges are exact; the stretches
between odd and even crossings are inside (a contour within another is a hole). Nothing is ever rounded to whole pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Polygon = npt.NDArray[np.float64]
"""``[n, 2]`` points (u, v), closed implicitly."""

Image = npt.NDArray[np.float32]
"""``[v, u]``."""

SUBROWS = 8
"""Scan lines per pixel row: an edge along the rows is placed to a sixteenth of a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """A raster of pixels in a plane.

    Parameters
    ----------
    origin
        Outer corner (u, v) of the first pixel.
    pixel
        Size of a pixel along u and v.
    shape
        Rows (v) and columns (u).
    """

    origin: tuple[float, float]
    pixel: tuple[float, float]
    shape: tuple[int, int]

    @property
    def pixel_area(self) -> float:
        """Area of a pixel."""
        return self.pixel[0] * self.pixel[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spans:
    """Where scan lines enter (sign +1) and leave (sign -1) the inside of polygons.

    Parameters
    ----------
    line
        Number of the scan line, `SUBROWS` to a pixel row.
    at
        Crossing along u, in pixels from the raster's origin.
    sign
        +1 entering, -1 leaving.
    """

    line: npt.NDArray[np.intp]
    at: npt.NDArray[np.float64]
    sign: npt.NDArray[np.float64]

    def area(self, raster: Raster) -> float:
        """Enclosed area."""
        return -float((self.at * self.sign).sum()) * raster.pixel_area / SUBROWS


def scan(polygons: Sequence[Polygon], raster: Raster) -> Spans:
    """Cross polygons with the scan lines of a raster, which must hold them entirely."""
    start = np.concatenate([np.asarray(p) for p in polygons])
    stop = np.concatenate([np.roll(p, -1, axis=0) for p in polygons])
    scale = np.array([1.0, SUBROWS]) / np.array(raster.pixel)
    start, stop = (start - raster.origin) * scale, (stop - raster.origin) * scale
    low = np.minimum(start[:, 1], stop[:, 1])
    high = np.maximum(start[:, 1], stop[:, 1])
    # scan line n lies at n + 1/2; an edge takes the lines of [low, high), so that each corner counts once
    first = np.ceil(low - 0.5).astype(np.intp)
    counts = np.ceil(high - 0.5).astype(np.intp) - first
    edge = np.repeat(np.arange(len(start)), counts)
    line = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (stop[edge, 0] - start[edge, 0]) / (stop[edge, 1] - start[edge, 1])
    at = start[edge, 0] + (line + 0.5 - start[edge, 1]) * slope
    order = np.lexsort((at, line))
    # every line has an even number of crossings, so entering and leaving alternate over all lines
    sign = np.where(np.arange(len(order)) % 2 == 0, 1.0, -1.0)
    return Spans(line=line[order], at=at[order], sign=sign)


def coverage(spans: Spans, raster: Raster) -> Image:
    """Covered fraction of each pixel, float32 ``[v, u]`` from 0 to 1."""
    rows, columns = raster.shape
    column = np.clip(np.floor(spans.at).astype(np.intp), 0, columns - 1)
    part = spans.at - column
    cell = (spans.line // SUBROWS) * (columns + 1) + column
    # a crossing changes the cover of its own pixel by what lies beyond it, and of all further pixels of the row by one
    weights = np.concatenate([spans.sign * (1 - part), spans.sign * part])
    steps = np.bincount(np.concatenate([cell, cell + 1]), weights, rows * (columns + 1))
    cover = np.cumsum(steps.reshape(rows, columns + 1)[:, :columns], axis=1) / SUBROWS
    return np.clip(cover, 0.0, 1.0).astype(np.float32)
