"""Structures of one image drawn on the planes of another, through a map between the two."""

import numpy as np

from dose.grids.grid import Geometry, Points
from dose.grids.transforms import Transform
from dose.shapes.inside import Inside, inside_of
from dose.shapes.isolines import isolines
from dose.shapes.structures import Structure

_PIXEL_MM = 1.0
_MARGIN_MM = 10.0
_HALF = 0.5
_FEWEST = 3
_SURFACE = 7
"""Places along each edge of the box around a structure that tell where the box comes to lie."""


def carried(
    structure: Structure, transform: Transform, onto: Geometry, *, slice_mm: float | None = None
) -> list[tuple[int, Points]]:
    """Return the contours of a structure on the planes of another image.

    Contours are not moved, since moved points lie in no plane: the inside is looked up through the map, at places a
    millimetre apart on each plane, and outlined anew. Where the map says nothing is outside.

    Parameters
    ----------
    structure
        Of the moving image.
    transform
        Fixed to moving.
    onto
        The fixed image.
    slice_mm
        Distance of the slices of the moving image, for structures drawn on a single one.

    Returns
    -------
    list
        Number of the plane and closed contour ``[n, 3]``, LPS mm of the fixed frame. Those of one plane combine by
        exclusive or.

    Raises
    ------
    BadStructure, ContoursNotPlanar
        The structure has no volume.
    """
    inside = inside_of(structure, slice_mm=slice_mm)
    low, high = _box(inside, transform, onto)
    contours: list[tuple[int, Points]] = []
    columns = _fine(low[0], high[0], onto.spacing_mm[0])
    rows = _fine(low[1], high[1], onto.spacing_mm[1])
    if len(columns) < _FEWEST or len(rows) < _FEWEST:
        return []
    for plane in range(max(0, int(np.ceil(low[2]))), min(onto.shape[0] - 1, int(np.floor(high[2]))) + 1):
        j, i = np.meshgrid(rows, columns, indexing="ij")
        index = np.column_stack([i.ravel(), j.ravel(), np.full(i.size, float(plane))])
        share = inside.at(transform.to_moving(onto.to_points(index))).reshape(i.shape)
        if share.max() < _HALF:
            continue
        for line in isolines(share, _HALF):
            if len(line) < _FEWEST:
                continue
            at = np.column_stack([
                columns[0] + line[:, 1] * (columns[1] - columns[0]),
                rows[0] + line[:, 0] * (rows[1] - rows[0]),
                np.full(len(line), float(plane)),
            ])  # fmt: skip
            contours.append((plane, onto.to_points(at)))
    return contours


def _fine(low: float, high: float, spacing_mm: float) -> Points:
    """Fractional indices along an axis, about a millimetre apart."""
    step = 1.0 / max(1, round(spacing_mm / _PIXEL_MM))
    return np.asarray(np.arange(np.floor(low), np.ceil(high) + step / 2, step), dtype=np.float64)


def _box(inside: Inside, transform: Transform, onto: Geometry) -> tuple[Points, Points]:
    """Return the lowest and highest index (i, j, k) of the fixed image the structure may reach; all where unknown."""
    nz, ny, nx = inside.geometry.shape
    axes = [np.linspace(0, size - 1, _SURFACE) for size in (nx, ny, nz)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    places = onto.to_index(transform.to_fixed(inside.geometry.to_points(index)))
    size = np.array(onto.shape[::-1], dtype=np.float64)
    if not np.isfinite(places).all() and transform.matrix is None:
        return np.zeros(3), size - 1
    margin = _MARGIN_MM / np.array(onto.spacing_mm)
    margin = margin if transform.matrix is None else np.zeros(3)
    # In the planes the outline may reach beyond the image, as contours of a body do; above and below there is no plane.
    return places.min(axis=0) - margin, places.max(axis=0) + margin
