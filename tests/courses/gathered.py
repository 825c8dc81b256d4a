"""A patient made of numbers: courses whose doses are simple functions of the place, gathered as the archive would."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from courses.composite import Composite
from courses.exposures import Exposure, Gathered, GroupPart
from courses.summing import physical_sum
from dose.grids.grid import DoseGrid, Geometry
from dose.grids.transforms import Transform
from dose.shapes.structures import Structure
from tests import factories
from tests.dose.phantoms import circle, structure

Field = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""Dose at points ``[n, 3]``, Gy of all fractions."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """A course of equal fractions."""

    name: str
    dose: Field
    fractions: int = 25
    transform: Transform | None = None
    geometry: Geometry | None = None
    last_date: str = "20200101"
    close: tuple[tuple[float, float], ...] = ()


def grid(
    shape: tuple[int, int, int] = (30, 30, 30),
    spacing_mm: float = 2.0,
    first_mm: Sequence[float] = (-29.0, -29.0, -29.0),
) -> Geometry:
    """A grid around the origin."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = first_mm
    return Geometry(shape=shape, affine=affine)


def dose_on(geometry: Geometry, field: Field) -> DoseGrid:
    """A dose at the voxel centres of a grid."""
    k, j, i = np.indices(geometry.shape)
    points = geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    return DoseGrid(dose_gy=field(points).astype(np.float32).reshape(geometry.shape), geometry=geometry)


def even(gy: float) -> Field:
    """The same dose everywhere."""
    return lambda points: np.full(len(points), gy)


def slope(gy: float, gradient: Sequence[float]) -> Field:
    """A linear dose."""
    return lambda points: gy + points @ np.array(gradient)


def hill(gy: float, centre_mm: Sequence[float], width_mm: float) -> Field:
    """A Gaussian."""
    return lambda points: gy * np.exp(-((points - np.array(centre_mm)) ** 2).sum(axis=1) / (2 * width_mm**2))


def gathered(*courses: Course, onto: str = "", geometry: Geometry | None = None) -> Gathered:
    """What was delivered in some courses; the sum lies on the last of them."""
    whole = geometry or grid()
    exposures: list[Exposure] = []
    for course in courses:
        part = GroupPart(
            grid=dose_on(course.geometry or whole, course.dose),
            per_fraction=1 / course.fractions,
            transform=course.transform,
            label=course.name,
            dossier_id=course.name,
            plan_uid=f"2.25.{len(exposures) + 1}",
            fraction_group=1,
            kind="physical",
            modality="photon",
        )
        exposures.append(
            Exposure(
                parts=(part,),
                fractions=course.fractions,
                dossier_id=course.name,
                is_certain=True,
                last_date=course.last_date,
                close=course.close,
            )
        )
    record = factories.folded(factories.course())
    return Gathered(
        record=record,
        onto=replace(record.dossiers[0], id=onto or courses[-1].name),
        geometry=whole,
        frame_uid="2.25.99",
        exposures=tuple(exposures),
        shares=(),
        dose_type="PHYSICAL",
    )


def ball(radius_mm: float, centre_mm: Sequence[float] = (0.0, 0.0, 0.0), *, name: str = "Ball") -> Structure:
    """A sphere drawn on slices of 1 mm."""
    x, y, z = centre_mm
    heights = np.arange(np.ceil(-radius_mm) + 0.5, radius_mm, 1.0)
    rings = [circle((x, y, z + h), float(np.sqrt(radius_mm**2 - h**2)), corners=90) for h in heights]
    made = structure(rings)
    return Structure(number=1, name=name, interpreted_type="ORGAN", contours=made.contours)


def composed(given: Gathered) -> Composite:
    """What was delivered as the composite of a patient; of its courses only what was gathered is known."""
    return Composite(
        record=given.record,
        onto=given.onto,
        dossiers=given.record.dossiers,
        series_uid="",
        image=(),
        frame_uid=given.frame_uid,
        total=physical_sum(given),
        dose_type=given.dose_type,
        shares=(),
        gathered=given,
        notices=(),
    )
