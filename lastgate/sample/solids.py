"""Solids of the sample anatomy, described by their signed distance.

Every solid answers one question: how many millimetres a point lies outside (positive) or inside (negative) its
surface. Pictures, contours and dose all ask the same solid, so that they agree to the sub-millimetre. The distances of
ellipsoids and tubes are the first-order estimate ``(r - 1) / |grad r|``, exact on the surface and good near it.

Coordinates are arrays that broadcast against each other, (x, y, z) in mm, DICOM patient directions: +x left,
+y posterior, +z head. Only sums, products and roots are used, so that the numbers don't depend on a math library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Triple: TypeAlias = tuple[float, float, float]
Bounds: TypeAlias = tuple[Triple, Triple]

_TINY = 1e-6


class Solid(Protocol):
    """A closed region of space."""

    @property
    def bounds_mm(self) -> Bounds:
        """Lower and upper corner of a box that holds the solid."""

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Distance to the surface in mm, negative inside; the shape is the broadcast of x, y, z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """Ellipsoid with axes along x, y, z."""

    centre: Triple
    radii: Triple

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        low, high = (tuple(c + s * r for c, r in zip(self.centre, self.radii, strict=True)) for s in (-1, 1))
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """First-order signed distance."""
        (cx, cy, cz), (rx, ry, rz) = self.centre, self.radii
        u, v, w = ((x - cx) / rx) ** 2, ((y - cy) / ry) ** 2, ((z - cz) / rz) ** 2
        r = np.maximum(np.sqrt(u + v + w), _TINY)
        slope = np.maximum(np.sqrt(u / rx**2 + v / ry**2 + w / rz**2), _TINY / min(self.radii))
        return np.asarray((r - 1) * r / slope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knot:
    """Cross-section of a tube at one height: centre and half-widths in mm."""

    z: float
    x: float
    y: float
    rx: float
    ry: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """Tube along z whose (super)elliptic cross-section runs linearly from knot to knot; flat ends.

    Parameters
    ----------
    knots
        At least two cross-sections, z rising.
    exponent
        2 for ellipses, 3 for fuller, 4 for box-like cross-sections.
    """

    knots: tuple[Knot, ...]
    exponent: int = 2

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        k = self.knots
        low = (min(i.x - i.rx for i in k), min(i.y - i.ry for i in k), k[0].z)
        return low, (max(i.x + i.rx for i in k), max(i.y + i.ry for i in k), k[-1].z)

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """First-order signed distance in the plane, cut by the flat ends."""
        heights = [k.z for k in self.knots]
        cx, cy, rx, ry = (
            np.interp(z, heights, [getattr(k, name) for k in self.knots]) for name in ("x", "y", "rx", "ry")
        )
        u, v = np.abs(x - cx) / rx, np.abs(y - cy) / ry
        # powers are written out as products: numpy's general power is ten times slower
        if self.exponent == 2:
            lower_u, lower_v = u, v
            r = lower_r = np.maximum(np.sqrt(u * u + v * v), _TINY)
        elif self.exponent == 3:
            lower_u, lower_v = u * u, v * v
            r = np.maximum(np.cbrt(lower_u * u + lower_v * v), _TINY)
            lower_r = r * r
        else:
            lower_u, lower_v = u * u * u, v * v * v
            r = np.maximum(np.sqrt(np.sqrt(lower_u * u + lower_v * v)), _TINY)
            lower_r = r * r * r
        slope = np.sqrt((lower_u / rx) ** 2 + (lower_v / ry) ** 2) / lower_r
        across = (r - 1) / np.maximum(slope, 0.1 / np.maximum(rx, ry))
        return np.asarray(np.maximum(across, np.maximum(heights[0] - z, z - heights[-1])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """Rod with round ends between two points; its radius runs linearly from one end to the other."""

    start: Triple
    end: Triple
    radius: float
    end_radius: float | None = None

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        r = max(self.radius, self.end_radius or 0.0)
        low = [min(a, b) - r for a, b in zip(self.start, self.end, strict=True)]
        high = [max(a, b) + r for a, b in zip(self.start, self.end, strict=True)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Distance to the axis less the radius there."""
        (ax, ay, az), (bx, by, bz) = self.start, self.end
        dx, dy, dz = bx - ax, by - ay, bz - az
        share = ((x - ax) * dx + (y - ay) * dy + (z - az) * dz) / max(dx * dx + dy * dy + dz * dz, _TINY)
        share = np.clip(share, 0.0, 1.0)
        radius = self.radius + share * ((self.radius if self.end_radius is None else self.end_radius) - self.radius)
        away = (x - ax - share * dx) ** 2 + (y - ay - share * dy) ** 2 + (z - az - share * dz) ** 2
        return np.asarray(np.sqrt(away) - radius)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Upright box; also serves as half-space."""

    low: Triple
    high: Triple

    @property
    def bounds_mm(self) -> Bounds:
        """The box itself."""
        return self.low, self.high

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Greatest distance to one of the six planes."""
        result: Floats | None = None
        for value, low, high in zip((x, y, z), self.low, self.high, strict=True):
            beyond = np.maximum(low - value, value - high)
            result = beyond if result is None else np.maximum(result, beyond)
        assert result is not None
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Slabs:
    """Endless stack of slanted slabs, repeated every ``pitch`` mm along z: ribs are slabs cut from a shell.

    The middle of a slab lies at ``z = phase + slope * y + bend * |x| + k * pitch``.
    """

    pitch: float
    half_width: float
    phase: float
    slope: float
    bend: float
    bounds_mm: Bounds

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Distance to the next slab along z."""
        turn = (z - self.phase - self.slope * y - self.bend * np.abs(x)) / self.pitch
        return np.asarray(np.abs(turn - np.round(turn)) * self.pitch - self.half_width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inset:
    """A solid drawn inwards by ``margin_mm``; a negative margin grows it."""

    of: Solid
    margin_mm: float

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        low, high = self.of.bounds_mm
        m = self.margin_mm
        return (low[0] + m, low[1] + m, low[2] + m), (high[0] - m, high[1] - m, high[2] - m)

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Distance of the solid plus the margin."""
        return self.of.signed_mm(x, y, z) + self.margin_mm


@dataclass(frozen=True, slots=True)
class Union:
    """What lies in any of the parts."""

    parts: tuple[Solid, ...]

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        lows, highs = zip(*(p.bounds_mm for p in self.parts), strict=True)
        low = [min(c) for c in zip(*lows, strict=True)]
        high = [max(c) for c in zip(*highs, strict=True)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Least of the distances."""
        result = self.parts[0].signed_mm(x, y, z)
        for part in self.parts[1:]:
            result = np.minimum(result, part.signed_mm(x, y, z))
        return result


@dataclass(frozen=True, slots=True)
class Common:
    """What lies in all of the parts."""

    parts: tuple[Solid, ...]

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        lows, highs = zip(*(p.bounds_mm for p in self.parts), strict=True)
        low = [max(c) for c in zip(*lows, strict=True)]
        high = [min(c) for c in zip(*highs, strict=True)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Greatest of the distances."""
        result = self.parts[0].signed_mm(x, y, z)
        for part in self.parts[1:]:
            result = np.maximum(result, part.signed_mm(x, y, z))
        return result


@dataclass(frozen=True, slots=True)
class Without:
    """What lies in ``of`` and not in ``cut``."""

    of: Solid
    cut: Solid

    @property
    def bounds_mm(self) -> Bounds:
        """Corners of the enclosing box."""
        return self.of.bounds_mm

    def signed_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Greater of the distance to ``of`` and the depth in ``cut``."""
        return np.maximum(self.of.signed_mm(x, y, z), -self.cut.signed_mm(x, y, z))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the anatomy lies in the frame of reference of an image.

    Parameters
    ----------
    matrix
        4x4 row-major rigid transform that takes points of the image frame to points of the anatomy frame; ``None``
        if both are the same.
    """

    matrix: tuple[tuple[float, float, float, float], ...] | None = None

    @classmethod
    def rigid(cls, *, turn_deg: Triple, shift_mm: Triple) -> Placement:
        """Rotation about x, then y, then z, followed by a shift."""
        sines, cosines = (np.sin(np.radians(turn_deg)), np.cos(np.radians(turn_deg)))
        (sx, sy, sz), (cx, cy, cz) = sines, cosines
        rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        full = np.eye(4)
        full[:3, :3] = np.round(rz @ ry @ rx, 12)
        full[:3, 3] = shift_mm
        return cls(matrix=tuple((float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in full))

    def to_anatomy(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
        """Coordinates in the anatomy frame."""
        if self.matrix is None:
            return x, y, z
        rows: list[Floats] = []
        for *turn, shift in self.matrix[:3]:
            # terms of factor 0 are left out, so that a turn about z leaves z one number a slice
            rows.append(np.asarray(sum((f * c for f, c in zip(turn, (x, y, z), strict=True) if f != 0.0), shift)))
        return rows[0], rows[1], rows[2]

    def to_image(self, point: Triple) -> Triple:
        """Coordinates in the image frame of one point of the anatomy frame."""
        if self.matrix is None:
            return point
        found = np.linalg.solve(np.array(self.matrix), np.array([*point, 1.0]))
        return float(found[0]), float(found[1]), float(found[2])

    def bounds_in_image(self, bounds: Bounds) -> Bounds:
        """Box in the image frame that holds a box of the anatomy frame."""
        if self.matrix is None:
            return bounds
        low, high = bounds
        corners = np.array(
            [self.to_image((x, y, z)) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )
        a, b = corners.min(axis=0), corners.max(axis=0)
        return (float(a[0]), float(a[1]), float(a[2])), (float(b[0]), float(b[1]), float(b[2]))
