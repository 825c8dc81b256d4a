"""Pictures of the sample anatomy: CT numbers painted layer by layer, with noise that is the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lastgate.sample.solids import Bounds, Floats, Placement, Solid, Triple

AIR_HU = -1000.0
_FIELD_OF_VIEW_MM = 500.0


@dataclass(frozen=True, slots=True)
class Layer:
    """Coats of paint: what lies in the solid gets this CT number; later layers cover earlier ones.

    Parameters
    ----------
    solid, hu
        What is painted, and its CT number.
    inner
        Further coats of the same solid, each drawn inwards: margin in mm and CT number (marrow in a bone).
    """

    solid: Solid
    hu: float
    inner: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Organ:
    """A structure somebody contoured.

    Parameters
    ----------
    name
        ROI Name, after TG-263 where it names one.
    solid
        Its shape in the anatomy frame.
    kind
        RT ROI Interpreted Type, PS3.3 C.8.8.8: EXTERNAL, ORGAN, GTV, CTV, PTV.
    colour
        ROI Display Color.
    """

    name: str
    solid: Solid
    kind: str
    colour: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One region of a body: how it looks on CT, what is contoured, where it begins and ends.

    Parameters
    ----------
    body
        Everything within the skin.
    layers
        Paint, in order; the first layers may lie outside the body (couch, mask).
    organs
        External contour and organs at risk, without targets.
    height_mm
        Lowest and highest z of the picture.
    noise_hu
        Standard deviation of the CT number in soft tissue.
    """

    body: Solid
    layers: tuple[Layer, ...]
    organs: tuple[Organ, ...]
    height_mm: tuple[float, float]
    noise_hu: float

    def organ(self, name: str) -> Organ:
        """The organ of this name; `KeyError` if there is none."""
        for organ in self.organs:
            if organ.name == name:
                return organ
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGrid:
    """Where the pixels of an axial series lie: first pixel centre, spacing, counts; x, y, z order, mm."""

    origin_mm: Triple
    spacing_mm: Triple
    shape: tuple[int, int, int]

    @property
    def z_mm(self) -> tuple[float, ...]:
        """Slice positions, rising."""
        return tuple(round(self.origin_mm[2] + k * self.spacing_mm[2], 3) for k in range(self.shape[2]))

    def axis(self, index: int) -> Floats:
        """Pixel centres along x (0), y (1) or z (2)."""
        return self.origin_mm[index] + self.spacing_mm[index] * np.arange(self.shape[index], dtype=np.float64)


def grid_for(
    anatomy: Anatomy, placement: Placement, *, pixels: int, spacing_mm: float | None, slices: int
) -> ImageGrid:
    """Grid of 500 mm field of view over the anatomy.

    Parameters
    ----------
    pixels
        Rows and columns.
    spacing_mm
        Slice distance; if ``None`` it is chosen so that ``slices`` cover the anatomy.
    slices
        Number of slices, used without ``spacing_mm`` only.
    """
    low, high = anatomy.height_mm
    middle = placement.to_image((0.0, 0.0, (low + high) / 2))
    step = spacing_mm if spacing_mm is not None else round((high - low) / slices, 2)
    count = round((high - low) / step)
    pixel = _FIELD_OF_VIEW_MM / pixels
    edge = -_FIELD_OF_VIEW_MM / 2 + pixel / 2
    bottom = round(middle[2] - step * (count - 1) / 2, 1)
    return ImageGrid(
        origin_mm=(edge + round(middle[0]), edge + round(middle[1]), bottom),
        spacing_mm=(pixel, pixel, step),
        shape=(pixels, pixels, count),
    )


def paint_slices(anatomy: Anatomy, placement: Placement, grid: ImageGrid, seed: int) -> Iterator[npt.NDArray[np.int16]]:
    """CT numbers of each slice, foot to head.

    Parameters
    ----------
    seed
        Starts the noise; the same seed always gives the same picture.

    Yields
    ------
    HU as int16, shape (rows, columns).
    """
    boxes = [placement.bounds_in_image(layer.solid.bounds_mm) for layer in anatomy.layers]
    noise = np.random.PCG64(seed)
    for z in grid.z_mm:
        picture = np.full((grid.shape[1], grid.shape[0]), AIR_HU)
        for layer, box in zip(anatomy.layers, boxes, strict=True):
            _paint(picture, layer, box, placement, grid, z)
        picture += _grain(picture.shape, noise) * anatomy.noise_hu * np.clip((picture + 1100.0) / 900.0, 0.25, 1.0)
        yield np.clip(np.rint(picture), -1024, 3071).astype(np.int16)


def _paint(picture: Floats, layer: Layer, box: Bounds, placement: Placement, grid: ImageGrid, z: float) -> None:
    """Paint one layer onto one slice; pixels on the edge are mixed by how much of them is covered."""
    low, high = box
    if not low[2] <= z <= high[2]:
        return
    window = []
    for index in (0, 1):
        first = int((low[index] - grid.origin_mm[index]) / grid.spacing_mm[index]) - 1
        last = int((high[index] - grid.origin_mm[index]) / grid.spacing_mm[index]) + 3
        window.append(slice(max(first, 0), min(max(last, 0), grid.shape[index])))
    part = picture[window[1], window[0]]
    if part.size == 0:
        return
    x, y = grid.axis(0)[window[0]][None, :], grid.axis(1)[window[1]][:, None]
    signed = layer.solid.signed_mm(*placement.to_anatomy(x, y, np.array([[z]])))
    signed /= grid.spacing_mm[0]
    for margin, hu in ((0.0, layer.hu), *layer.inner):
        part += np.clip((0.5 - margin / grid.spacing_mm[0]) - signed, 0.0, 1.0) * (hu - part)


def _grain(shape: tuple[int, ...], source: np.random.PCG64) -> Floats:
    """Noise of mean 0 and standard deviation 1 with the blotchy grain of a CT reconstruction.

    Sums of raw generator bits are used and not ``standard_normal``: only the bit stream is promised to stay the same
    in all numpy versions (NEP 19).
    """
    rows, columns = shape
    bits = source.random_raw((rows + 2) * (columns + 2)).reshape(rows + 2, columns + 2)
    white = np.full(bits.shape, -131070, dtype=np.int32)
    for shift in (0, 16, 32, 48):
        white += (bits >> np.uint64(shift)).astype(np.uint16)
    across = white[:, :-2] + 2 * white[:, 1:-1] + white[:, 2:]
    blurred = across[:-2] + 2 * across[1:-1] + across[2:]
    # each of the four summands is uniform (variance 65536**2 / 12), the weights 1 2 1 x 1 2 1 add squares to 36
    grain: Floats = blurred / (6.0 * 65536.0 * (4.0 / 12.0) ** 0.5)
    return grain
