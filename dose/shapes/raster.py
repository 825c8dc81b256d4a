"""Polygons on a raster: exact areas along the rows, even-odd rule for holes.

Each pixel row is crossed by `SUBROWS` scan lines. Along a line the crossings with all edges are exact; the stretches
between odd and even crossings are inside (a contour within another is a hole). Nothing is ever rounded to whole pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dose.shapes.pixels import Image, cover, crossings

Polygon = npt.NDArray[np.float64]
"""``[n, 2]`` points (u, v), closed implicitly."""

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

    line: npt.NDArray[np.int64]
    at: npt.NDArray[np.float64]
    sign: npt.NDArray[np.float64]

    def area(self, raster: Raster) -> float:
        """Enclosed area."""
        return -float((self.at * self.sign).sum()) * raster.pixel_area / SUBROWS


def scan(polygons: Sequence[Polygon], raster: Raster) -> Spans:
    """Cross polygons with the scan lines of a raster, which must hold them entirely."""
    corners = (np.concatenate(polygons) - raster.origin) * (np.array([1.0, SUBROWS]) / np.array(raster.pixel))
    ends = np.cumsum([len(polygon) for polygon in polygons], dtype=np.int64)
    line, at, sign = crossings(corners, ends, raster.shape[0] * SUBROWS)
    return Spans(line=line, at=at, sign=sign)


def coverage(spans: Spans, raster: Raster) -> Image:
    """Covered fraction of each pixel, float32 ``[v, u]`` from 0 to 1."""
    return cover((spans.line, spans.at, spans.sign), *raster.shape, SUBROWS)
