"""Where pictures of a composite are cut: the point of highest overlap, and that of the highest dose.

The highest overlap is where the second-highest of the courses' doses is largest: with two courses where the lesser of
both is. It is found among what is known and certainly given, in Gy as stored; what lies outside a grid may be more and
is hatched in the picture. The highest dose of a sum often lies where one course alone gave it, and shows nothing of
how courses meet; so both are shown where they lie apart (decision 0037).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from courses.composite import Composite
from courses.exposures import Gathered
from courses.overlap import thinned
from courses.summing import physical_sum
from dose.grids.grid import Geometry, Volume
from dose.shapes.planes import hottest_point_mm

Json = dict[str, Any]
Point = tuple[float, float, float]

LEAST_GY = 1.0
"""Where no place got this much of a second course, courses do not meet."""

_APART_MM = 5.0
"""Points nearer than this along every axis share their planes, as slices do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotPoint:
    """A point that pictures are cut through.

    Parameters
    ----------
    what
        ``overlap`` or ``dose``: what is highest there.
    at_mm
        LPS mm in the frame of reference of the sum.
    known_gy
        Sum of what is known there.
    by_course_gy
        Dossier id and known dose of each course with a dose, in the order of exposures.
    """

    what: Literal["overlap", "dose"]
    at_mm: Point
    known_gy: float
    by_course_gy: tuple[tuple[str, float], ...]


def hot_points(composite: Composite) -> tuple[HotPoint, ...]:
    """Return the points to show, that of highest overlap first; none where no dose is known.

    One course, or courses that do not meet, have the highest dose alone; the highest dose is left out within 5 mm of
    the highest overlap.
    """
    if composite.total.grid.max_gy <= 0:
        return ()
    hottest = hottest_point_mm(composite.total.grid)
    meeting = _meeting_mm(composite.gathered)
    if meeting is None:
        return (_point(composite.gathered, "dose", hottest),)
    found = _point(composite.gathered, "overlap", meeting)
    if max(abs(one - other) for one, other in zip(meeting, hottest, strict=True)) < _APART_MM:
        return (found,)
    return (found, _point(composite.gathered, "dose", hottest))


def point_rows(points: Sequence[HotPoint]) -> list[Json]:
    """Return the points as the answer of a composite tells them."""
    return [
        {
            "what": point.what,
            "at_mm": list(point.at_mm),
            "known_gy": point.known_gy,
            "by_course": [{"dossier": dossier, "gy": gy} for dossier, gy in point.by_course_gy],
        }
        for point in points
    ]


def _courses(gathered: Gathered) -> list[str]:
    return list(dict.fromkeys(one.dossier_id for one in gathered.exposures))


def _meeting_mm(gathered: Gathered) -> Point | None:
    """Return where the second-highest dose of a course is largest, on the grid of the sum or a thinner one."""
    geometry, courses = thinned(gathered.geometry), _courses(gathered)
    if len(courses) < 2:
        return None
    most: Volume = np.zeros(geometry.shape, dtype=np.float32)
    second: Volume = np.zeros(geometry.shape, dtype=np.float32)
    for dossier_id in courses:
        dose = physical_sum(gathered, geometry, only=dossier_id).lower_gy
        np.maximum(second, np.minimum(most, dose), out=second)
        np.maximum(most, dose, out=most)
    place = int(second.argmax())
    if second.reshape(-1)[place] < LEAST_GY:
        return None
    k, j, i = np.unravel_index(place, second.shape)
    x, y, z = geometry.to_points([[i, j, k]])[0]
    return float(x), float(y), float(z)


def _point(gathered: Gathered, what: Literal["overlap", "dose"], at_mm: Point) -> HotPoint:
    affine = gathered.geometry.affine.copy()
    affine[:3, 3] = at_mm
    here = Geometry(shape=(1, 1, 1), affine=affine)

    def known(only: str) -> float:
        return float(physical_sum(gathered, here, only=only).lower_gy[0, 0, 0])

    by_course = tuple((one, known(one)) for one in _courses(gathered))
    return HotPoint(what=what, at_mm=at_mm, known_gy=known(""), by_course_gy=by_course)
