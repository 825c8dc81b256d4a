"""Bodies, bends and a real CT no setting was chosen on, and figures of quality in closed form."""

from pathlib import Path

import numpy as np
import pytest

from dose.grids.grid import Geometry, Points
from dose.grids.transforms import MatrixStep, Transform
from dose.registering.deformable import register_deformable
from dose.registering.images import BODY_HU
from dose.registering.quality import Landmarks, body_of, inverse_consistency, jacobian_range, landmark_errors
from dose.registering.rigid import register_rigid
from tests.dose.registering.held_out import made_cases, real_cases
from tests.dose.registering.known import rigid

CUBE = Geometry(shape=(12, 12, 12), affine=np.diag([3.0, 3.0, 3.0, 1.0]))
WHOLE = np.ones(CUBE.shape, dtype=np.bool_)


def test_rigid_when_a_body_was_never_seen_then_places_agree_within_0_3_mm() -> None:
    (case,) = made_cases("rigid", range(1, 2), 5)
    found = register_rigid(case.fixed, case.moving).transform.to_moving(case.places)
    assert np.linalg.norm(found - case.truth(case.places), axis=1).max() <= 0.3


def test_deformable_when_a_body_was_never_seen_and_bends_by_12_mm_then_places_agree_within_1_mm_on_average() -> None:
    (case,) = made_cases("deformable", range(3, 4), 12)
    found = register_deformable(case.fixed, case.moving).transform
    off = np.linalg.norm(found.to_moving(case.places) - case.truth(case.places), axis=1)
    assert off.mean() <= 1.0
    jacobian = jacobian_range(found, body_of(case.fixed, BODY_HU), case.fixed.geometry)
    assert jacobian is not None
    assert jacobian[0] > 0.5


@pytest.mark.real_data
def test_rigid_when_a_real_head_was_moved_then_places_agree_within_0_3_mm(real_data: Path) -> None:
    (case,) = real_cases(real_data, "rigid", range(1, 2), 5, by=2)
    found = register_rigid(case.fixed, case.moving).transform.to_moving(case.places)
    assert np.linalg.norm(found - case.truth(case.places), axis=1).max() <= 0.3


def test_landmark_errors_when_landmarks_are_off_by_known_lengths_then_these_are_told() -> None:
    map_ = rigid((10, 20, 30), (1, 2, 3))
    fixed = np.array([(0.0, 0, 0), (10, 20, 30)])
    moving = map_.to_moving(fixed) + np.array([(3.0, 4, 0), (0, 0, -12)])
    off = landmark_errors(map_, Landmarks(names=("a", "b"), fixed_mm=fixed, moving_mm=moving))
    assert off == pytest.approx([5, 12])


class _Stretch:
    """x goes to x + x²/50: the determinant is 1 + x/25."""

    def apply(self, points_mm: Points) -> Points:
        """Return where places go."""
        moved = points_mm.copy()
        moved[:, 0] += points_mm[:, 0] ** 2 / 50
        return moved


def test_jacobian_when_a_map_stretches_along_x_then_its_range_is_that_of_the_closed_form() -> None:
    # One-sided differences at the rim tell the slope half a step inside of it.
    assert jacobian_range(Transform((_Stretch(),)), WHOLE, CUBE) == pytest.approx((1 + 1.5 / 25, 1 + 31.5 / 25))


def test_inverse_consistency_when_the_way_back_is_off_by_a_shift_then_it_is_its_length() -> None:
    there, back = np.eye(4), np.eye(4)
    there[:3, 3], back[:3, 3] = (2, 0, 0), (-2, 3, 4)
    forward, backward = Transform((MatrixStep(there),)), Transform((MatrixStep(back),))
    assert inverse_consistency(forward, backward, WHOLE, CUBE, CUBE) == pytest.approx((5, 5))
