"""Structures carried onto another image, against closed forms."""

import numpy as np
import pytest

from dose.grids.grid import Geometry
from dose.grids.transforms import Transform
from dose.shapes.carried import carried
from dose.shapes.inside import inside_of
from dose.shapes.structures import Contour, Structure
from tests.dose.judge import rotation

CENTRE = np.array([10.0, -20.0, 33.0])
ONTO = Geometry.from_axes(
    shape=(80, 128, 128),
    position_mm=(-130, -130, -90),
    orientation=(1, 0, 0, 0, 1, 0),
    row_spacing_mm=2,
    column_spacing_mm=2,
    plane_spacing_mm=3,
)


def _structure(contours: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]) -> Structure:
    drawn = tuple(Contour(kind="CLOSED_PLANAR", points_mm=points) for points in contours)
    return Structure(number=1, name="Ball", interpreted_type="", contours=drawn)


def _ball(radius_mm: float) -> Structure:
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    contours = []
    for z in np.arange(np.ceil((CENTRE[2] - radius_mm) / 2.5) * 2.5, CENTRE[2] + radius_mm, 2.5):
        wide = np.sqrt(radius_mm**2 - (z - CENTRE[2]) ** 2)
        rim = np.column_stack([wide * np.cos(angles), wide * np.sin(angles), np.full(len(angles), z - CENTRE[2])])
        contours.append(CENTRE + rim)
    return _structure(contours)


@pytest.mark.parametrize(("radius_mm", "part"), [(5, 0.04), (10, 0.015), (30, 0.003)])
def test_ball_when_carried_through_a_rigid_map_then_volume_and_centre_are_kept(radius_mm: float, part: float) -> None:
    fixed_to_moving = rotation(12, (5, -7, 9))
    contours = carried(_ball(radius_mm), Transform.of_matrix(fixed_to_moving), ONTO)
    inside = inside_of(_structure([points for _, points in contours]))
    index = np.indices(inside.share.shape)[::-1].reshape(3, -1).T
    weight = inside.share.ravel().astype(np.float64)
    centre = weight @ inside.geometry.to_points(index) / weight.sum()
    assert weight.sum() * inside.geometry.voxel_cc == pytest.approx(4 / 3 * np.pi * radius_mm**3 / 1000, rel=part)
    assert centre == pytest.approx((np.linalg.inv(fixed_to_moving) @ [*CENTRE, 1])[:3], abs=0.2)
    assert all(np.allclose(ONTO.to_index(points)[:, 2], plane, atol=1e-9) for plane, points in contours)


def test_ball_when_it_comes_to_lie_beyond_the_image_then_there_is_no_contour() -> None:
    away = np.eye(4)
    away[2, 3] = 900
    assert carried(_ball(10), Transform.of_matrix(away), ONTO) == []
