"""One grid that holds several."""

import numpy as np
import pytest

from dose.errors import BadGeometry
from dose.grids.grid import Geometry
from dose.grids.union import MAX_VOXELS, extended
from tests.dose.judge import moving, rotation
from tests.dose.phantoms import ORIENTATIONS, centred

SAME = None


def _inside(geometry: Geometry, points: np.ndarray) -> bool:
    index = geometry.to_index(points)
    return bool((index > -1e-3).all() and (index < np.array(geometry.shape[::-1]) - 1 + 1e-3).all())


def test_union_when_the_others_lie_inside_then_it_is_the_base() -> None:
    base = centred(ORIENTATIONS["HFS"])
    smaller = centred(ORIENTATIONS["HFS"], shape=(5, 5, 5))
    for others in ([], [(base, SAME)], [(smaller, SAME)]):
        assert extended(base, others).matches(base)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("centre_mm", [(40, 0, 0), (0, -55, 0), (0, 0, 61), (-30, 25, -17)])
def test_union_when_another_reaches_beyond_then_it_is_held_and_the_base_keeps_its_voxels(
    name: str, centre_mm: tuple[float, float, float]
) -> None:
    base = centred(ORIENTATIONS[name])
    other = centred(ORIENTATIONS["HFS"], spacing_mm=(1.7, 3.1, 2.3), centre_mm=centre_mm)
    union = extended(base, [(other, SAME)])
    assert _inside(union, other.corner_points())
    assert union.spacing_mm == pytest.approx(base.spacing_mm)
    index = union.to_index(base.corner_points())
    assert index == pytest.approx(np.rint(index), abs=1e-6)
    assert _inside(union, base.corner_points())
    # no plane more than needed: without its outermost voxels on either side something would be cut off
    corners = union.to_index(np.concatenate([base.corner_points(), other.corner_points()]))
    assert (corners.min(axis=0) < 1).all()
    assert (corners.max(axis=0) > np.array(union.shape[::-1]) - 2).all()


def test_union_when_the_other_comes_through_a_registration_then_all_its_voxels_are_held() -> None:
    base, other, turn = centred(ORIENTATIONS["HFS"]), centred(ORIENTATIONS["FFP"]), rotation(25, (60, -10, 5))
    union = extended(base, [(other, moving(turn))])
    k, j, i = np.indices(other.shape)
    points = other.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    assert _inside(union, points @ turn[:3, :3].T + turn[:3, 3])


@pytest.mark.parametrize(("off_voxels", "grows"), [(5e-5, False), (-5e-5, False), (0.01, True), (-0.01, True)])
def test_union_when_positions_are_rounded_then_no_plane_is_added_for_it(off_voxels: float, grows: bool) -> None:
    base = centred(ORIENTATIONS["HFS"])
    shifted = np.eye(4)
    shifted[:3, 3] = off_voxels * np.array(base.spacing_mm)
    union = extended(base, [(base, moving(shifted))])
    assert union.shape == (tuple(n + 1 for n in base.shape) if grows else base.shape)


def test_union_when_the_grids_lie_too_far_apart_then_it_is_refused() -> None:
    base = centred(ORIENTATIONS["HFS"])
    far = np.eye(4)
    far[:3, 3] = 1e4
    with pytest.raises(BadGeometry, match="too far apart for one sum"):
        extended(base, [(base, moving(far))])
    near = np.eye(4)
    near[:3, 3] = 100
    assert np.prod(extended(base, [(base, moving(near))]).shape) < MAX_VOXELS
