"""Images of a phantom moved and bent by known maps: the registration finds them back."""

import numpy as np
import pytest

from dose.errors import NotRegistered
from dose.grids.grid import ImageVolume
from dose.grids.transforms import Transform
from dose.registering.deformable import register_deformable
from dose.registering.images import BODY_HU
from dose.registering.quality import agreement, body_of, jacobian_range
from dose.registering.rigid import register_rigid
from dose.registering.solids import Solid
from tests.dose.phantoms import sphere
from tests.dose.registering.known import bent, rigid
from tests.dose.registering.phantom import ct_grid, image, places

GRID = ct_grid()
MOVED = rigid((4, -3, 6), (7, -5, 9))


@pytest.fixture(scope="module")
def moving() -> ImageVolume:
    """The phantom where it lies."""
    return image(GRID, seed=1)


def test_rigid_when_turned_about_three_axes_and_shifted_then_places_agree_within_0_3_mm(moving: ImageVolume) -> None:
    fixed = image(GRID, moved=MOVED.to_moving, seed=2)
    found, again = register_rigid(fixed, moving), register_rigid(fixed, moving)
    off = np.linalg.norm(found.transform.to_moving(places()) - MOVED.to_moving(places()), axis=1)
    assert off.max() <= 0.3
    assert found.transform.matrix is not None
    assert again.transform.matrix is not None
    assert (found.transform.matrix == again.transform.matrix).all()


def test_rigid_when_a_region_is_named_then_it_matches_there(moving: ImageVolume) -> None:
    fixed = image(GRID, moved=MOVED.to_moving, seed=2)
    region = np.zeros(GRID.shape, dtype=np.bool_)
    region[15:35, 30:65, 25:60] = True
    near = GRID.to_points(np.argwhere(region)[::500, ::-1])
    found = register_rigid(fixed, moving, region=region, where="the middle")
    assert np.linalg.norm(found.transform.to_moving(near) - MOVED.to_moving(near), axis=1).max() <= 0.3
    assert "the middle" in found.method


def test_deformable_when_bent_by_six_millimetres_then_places_agree_within_1_mm_on_average(moving: ImageVolume) -> None:
    fixed = image(GRID, moved=bent, seed=2)
    found = register_deformable(fixed, moving)
    off = np.linalg.norm(found.transform.to_moving(places()) - bent(places()), axis=1)
    assert off.mean() <= 1.0
    jacobian = jacobian_range(found.transform, body_of(fixed, BODY_HU), GRID)
    assert jacobian is not None
    assert jacobian[0] > 0


def test_rigid_when_the_other_image_is_noise_then_it_is_refused(moving: ImageVolume) -> None:
    noise = np.random.default_rng(0).normal(0, 300, GRID.shape).astype(np.float32)
    with pytest.raises(NotRegistered):
        register_rigid(moving, ImageVolume(hu=noise, geometry=GRID))


def test_jacobian_when_a_map_scales_then_it_is_the_cube() -> None:
    scaled = Transform.of_matrix(np.diag([1.1, 1.1, 1.1, 1.0]))
    found = jacobian_range(scaled, np.ones(GRID.shape, dtype=np.bool_), GRID)
    assert found == pytest.approx((1.331, 1.331))


@pytest.mark.parametrize("shift_mm", [0.0, 2.0, 5.0, 10.0])
def test_agreement_when_spheres_are_shifted_then_it_is_that_of_the_closed_form(shift_mm: float) -> None:
    one, other = Solid.of(sphere(20, 2.0, (0, 0, 0))), Solid.of(sphere(20, 2.0, (shift_mm, 0, 0)))
    found = agreement(one, other, Transform())
    part = shift_mm / 40
    assert found.dice == pytest.approx(1 - 1.5 * part + 0.5 * part**3, abs=0.006)
    assert found.mean_distance_mm == pytest.approx(shift_mm / 2, abs=0.3)
