"""How the area of a structure runs between its planes and beyond them: what contours leave open, supposed.

- Between neighbouring planes the area follows the cubic through the areas of the four nearest planes (a sphere, cone
  or ellipsoid has a quadratic area, so it is met exactly), taken in the power of the area, 1 or 2, that predicts each
  plane best from its neighbours (the area of a lying cylinder is the root of a quadratic).
- A structure reaches half a slice beyond its end contours, as in the analytical tables of Nelms et al. (Med Phys
  42:4435, 2015) and in most planning systems. Where the area falls so that its trend ends within the next slice, the
  cap tapers along that trend instead of being a straight slab; the half slice then still counts for extreme doses.
- One plane or two have no trend. There a structure that may be a ball is one: two sections fix it; of a single section
  the volume is taken midway between the smallest and the largest ball that has it and misses the neighbouring slices.

`docs/decisions/0025-cells-and-histograms.md` tells why, `docs/dvh-accuracy.md` holds the figures.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import numpy.typing as npt

from dose.compiled import compiled

_Floats = npt.NDArray[np.float64]

_POINTED = 0.05
"""A trend that turns at less than this fraction of the end area counts as ending there: cones end in a double root."""

_SWING = 0.25
"""Part of its larger neighbour that a section may be larger than both."""

_POWERS = (1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """What lies beyond an end plane: the area, in a power of it, as a parabola of the distance from the plane.

    Parameters
    ----------
    length_mm
        How far the structure has volume beyond the plane.
    reach_mm
        How far it counts for extreme doses: half a slice at least.
    start, slope, bend
        The parabola: at the plane, per mm and per mm squared.
    power
        Of the area in mm2.
    """

    length_mm: float
    reach_mm: float
    start: float
    slope: float = 0.0
    bend: float = 0.0
    power: float = 1.0

    def area(self, away_mm: _Floats) -> _Floats:
        """Areas at distances from the end plane, mm2."""
        powered = self.start + self.slope * away_mm + self.bend * away_mm**2
        areas: _Floats = np.maximum(powered, 0.0) ** (1 / self.power)
        return areas


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Areas:
    """The areas of a run of planes, and what they tell of the rest.

    Parameters
    ----------
    at_mm
        Places of the planes, rising, ``[n]``.
    areas_mm2
        Their areas, ``[n]``.
    thickness_mm
        Usual distance of planes: at the place one such distance beyond the ends there was no contour.
    power
        Of the area that is followed, see `best_power`.
    ball
        Half the second derivative of the area of the ball two planes are taken from, sign turned; 0: of none.
    radius_mm
        Of the ball a single plane may be the middle of; 0: of none.
    """

    at_mm: _Floats
    areas_mm2: _Floats
    thickness_mm: float
    power: float
    ball: float = 0.0
    radius_mm: float = 0.0

    @staticmethod
    def of(at_mm: _Floats, areas_mm2: _Floats, radii_mm: _Floats, thickness_mm: float) -> "Areas":
        """Return the model of a run of planes.

        Parameters
        ----------
        radii_mm
            Of the largest circle in each plane, no more than that of a circle of its area; 0: shaped like no ball.
        """
        ball, radius = 0.0, 0.0
        if len(at_mm) == 2 and radii_mm.min() > 0:
            ball = _ball_of_two(at_mm, areas_mm2, radii_mm, thickness_mm)
        elif len(at_mm) == 1 and thickness_mm / 2 < radii_mm[0] < thickness_mm:
            radius = float(radii_mm[0])
        return Areas(
            at_mm=at_mm,
            areas_mm2=areas_mm2,
            thickness_mm=thickness_mm,
            power=best_power(at_mm, areas_mm2),
            ball=ball,
            radius_mm=radius,
        )

    def between(self, n: int, places_mm: _Floats) -> _Floats:
        """Areas at places between planes n and n + 1, mm2."""
        if self.ball > 0:
            share = (places_mm - self.at_mm[0]) / (self.at_mm[1] - self.at_mm[0])
            straight = self.areas_mm2[0] + share * (self.areas_mm2[1] - self.areas_mm2[0])
            bulged: _Floats = straight + self.ball * (places_mm - self.at_mm[0]) * (self.at_mm[1] - places_mm)
            return bulged
        return _areas_between(self.at_mm, self.areas_mm2, n, self.power, places_mm)

    def below(self) -> Cap:
        """What lies beyond the first plane."""
        return self._cap(self.at_mm[:3], self.areas_mm2[:3])

    def above(self) -> Cap:
        """What lies beyond the last plane."""
        return self._cap(self.at_mm[::-1][:3], self.areas_mm2[::-1][:3])

    def _cap(self, at_mm: _Floats, areas: _Floats) -> Cap:
        """The cap beyond the first of up to three planes, given from the end inwards."""
        half, first = self.thickness_mm / 2, float(areas[0])
        if self.radius_mm > 0:
            length = _half_height(self.radius_mm, self.thickness_mm)
            return Cap(length_mm=length, reach_mm=max(length, half), start=first, bend=-first / length**2)
        if self.ball > 0:
            distance = abs(float(at_mm[1] - at_mm[0]))
            slope = (first - float(areas[1])) / distance - self.ball * distance
            end = _first_end(first, slope, -self.ball) or 0.0
            return Cap(length_mm=end, reach_mm=max(end, half), start=first, slope=slope, bend=-self.ball)
        return self._trend(abs(float(at_mm[-1] - at_mm[0])) / max(len(at_mm) - 1, 1), areas)

    def _trend(self, distance_mm: float, areas: _Floats) -> Cap:
        half = self.thickness_mm / 2
        slab = Cap(length_mm=half, reach_mm=half, start=float(areas[0]))
        if len(areas) < 3 or not areas[0] < areas[1]:
            return slab
        b = areas**self.power
        # parabola through the three, of the distance v beyond the end (the planes lie at v = 0, -d, -2d)
        bend = float(b[0] - 2 * b[1] + b[2]) / (2 * distance_mm**2)
        slope = float(3 * b[0] - 4 * b[1] + b[2]) / (2 * distance_mm)
        end = _first_end(float(b[0]), slope, bend)
        if end is None or end > self.thickness_mm:
            return slab
        return Cap(length_mm=end, reach_mm=max(end, half), start=float(b[0]), slope=slope, bend=bend, power=self.power)


def _ball_of_two(at_mm: _Floats, areas: _Floats, radii_mm: _Floats, thickness_mm: float) -> float:
    """How strongly the area of a ball with these two sections bends; 0 if it would show on a neighbouring slice.

    The area of a ball is pi (r2 - z2), so its bend is that of pi; of an ellipsoid that is longer in the planes than it
    is high, the area of a section over the square of the radius of the largest circle in it.
    """
    bend = float(areas.mean() / (radii_mm**2).mean())
    distance = float(at_mm[1] - at_mm[0])
    for first, second in (areas, areas[::-1]):
        end = _first_end(float(first), float(first - second) / distance - bend * distance, -bend)
        if end is None or end > thickness_mm:
            return 0.0
    return bend


def _half_height(radius_mm: float, thickness_mm: float) -> float:
    """Half the height of what shows on a single slice, rounded like a ball.

    A ball with a section of radius q that misses slices at distance h has a radius from q to (h2 + q2) / 2h. Midway
    between their volumes the error is least whichever it was. The closer q comes to h, the rarer would a ball show on
    one slice only: there the height returns to that of a slab of one slice (3/4 h has its volume), as also at h / 2.
    """
    largest = (thickness_mm**2 + radius_mm**2) / (2 * thickness_mm)
    midway = (radius_mm**3 + largest**3) / (2 * radius_mm**2)
    return min(midway, 0.75 * thickness_mm + (thickness_mm - radius_mm))


def circle_radius_mm(area_mm2: float) -> float:
    """Radius of a circle of an area."""
    return sqrt(max(area_mm2, 0.0) / pi)


def best_power(at_mm: _Floats, areas: _Floats) -> float:
    """The power of the area whose cubic through the neighbours best predicts each plane that has two on either side."""
    if len(at_mm) < 5:
        return _POWERS[0]
    return min(_POWERS, key=lambda power: _misses(at_mm, areas, power))


@compiled
def _misses(z: _Floats, a: _Floats, power: float) -> float:
    """How far the areas are from what their neighbours predict, added up."""
    b, near, values = a**power, np.empty(4), np.empty(4)
    total = 0.0
    for n in range(2, len(z) - 2):
        for m in range(4):
            at = n - 2 + m + (m > 1)
            near[m], values[m] = z[at], b[at]
        total += abs(max(_lagrange(near, values, z[n]), 0.0) ** (1 / power) - a[n])
    return total


@compiled
def _areas_between(z: _Floats, areas: _Floats, n: int, power: float, places: _Floats) -> _Floats:
    """Areas at places between planes n and n + 1.

    Two parabolas, through the planes before and after, are blended (with even spacing: the cubic through all four).
    """
    first, last = max(n - 1, 0), min(n + 2, len(z) - 1)
    b = areas[first : last + 1] ** power
    low, high = min(areas[n], areas[n + 1]), max(areas[n], areas[n + 1])
    # contours drawn by hand jump, and a cubic through jumps swings; a sphere on three slices needs this much
    swing = 0.5 * (high - low) + _SWING * high
    found = np.empty(len(places))
    for m in range(len(places)):
        share = (places[m] - z[n]) / (z[n + 1] - z[n])
        before = _lagrange(z[first : n + 2], b[: n + 2 - first], places[m])
        after = _lagrange(z[n : last + 1], b[n - first :], places[m])
        if first == n:
            before = after
        elif last == n + 1:
            after = before
        value = max((1 - share) * before + share * after, 0.0) ** (1 / power)
        found[m] = min(max(value, low - swing, 0.0), high + swing)
    return found


@compiled
def _lagrange(z: _Floats, b: _Floats, place: float) -> float:
    """Value at `place` of the polynomial through all points."""
    total = 0.0
    for n in range(len(z)):
        term = b[n]
        for m in range(len(z)):
            if m != n:
                term *= (place - z[m]) / (z[n] - z[m])
        total += term
    return total


def _first_end(start: float, slope: float, bend: float) -> float | None:
    """First v > 0 at which ``start + slope v + bend v2`` falls to nothing, or turns at nearly nothing."""
    if abs(bend) < 1e-12 * max(abs(slope), 1.0):
        return -start / slope if slope < 0 else None
    inner = slope * slope - 4 * bend * start
    turn = -slope / (2 * bend)
    if inner < 0:
        lowest = start - slope * slope / (4 * bend)
        return turn if turn > 0 and lowest < _POINTED * start else None
    roots = sorted(((-slope - inner**0.5) / (2 * bend), (-slope + inner**0.5) / (2 * bend)))
    return next((root for root in roots if root >= 0), None)
