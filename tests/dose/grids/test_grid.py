"""Where voxels lie."""

import numpy as np
import pytest

from dose.errors import BadGeometry, SlicesMissing
from dose.grids.grid import DoseGrid, Geometry, from_image_series
from tests.dose.phantoms import ORIENTATIONS, centred

AXIAL = ORIENTATIONS["HFS"]


def _series(along: list[float]) -> tuple[Geometry, list[int]]:
    return from_image_series(
        positions_mm=[(-10, -20, z) for z in along], orientation=AXIAL, pixel_spacing_mm=(1, 1), rows=4, columns=5
    )


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_index_when_taken_to_points_and_back_then_it_is_the_same(name: str) -> None:
    geometry = centred(ORIENTATIONS[name])
    index = np.array([[0, 0, 0], [3.25, 7.5, 11], [37, 33, 29]])
    assert np.allclose(geometry.to_index(geometry.to_points(index)), index, atol=1e-9)
    assert geometry.spacing_mm == pytest.approx((2.5, 2.0, 3.0))
    assert geometry.is_axis_parallel


def test_feet_first_planes_when_offsets_rise_then_they_run_to_the_feet() -> None:
    geometry = centred(ORIENTATIONS["FFS"])
    first, second = geometry.to_points([[0, 0, 0], [0, 0, 1]])
    assert second - first == pytest.approx((0, 0, -3.0))


def test_series_when_slices_are_shuffled_then_planes_rise_and_the_order_is_told() -> None:
    geometry, order = _series([6, 0, 3, 9])
    assert order == [1, 2, 0, 3]
    assert geometry.shape == (4, 4, 5)
    assert geometry.to_points([[0, 0, 3]])[0] == pytest.approx((-10, -20, 9))


def test_series_when_slices_are_missing_then_the_error_names_them() -> None:
    with pytest.raises(SlicesMissing, match=r"2 slices are missing, at 6\.00, 15\.00 mm"):
        _series([0, 3, 9, 12, 18])


@pytest.mark.parametrize(
    ("along", "message"),
    [([0, 3, 3, 6], "in one place"), ([0, 3, 6.4, 9.9, 13.1], "unevenly spaced"), ([5], "One slice is no volume")],
)
def test_series_when_it_is_no_regular_stack_then_it_is_refused(along: list[float], message: str) -> None:
    with pytest.raises(BadGeometry, match=message):
        _series(along)


def test_series_when_the_gantry_was_tilted_then_it_is_refused() -> None:
    positions = [(0, 0.5 * n, 3.0 * n) for n in range(5)]
    with pytest.raises(BadGeometry, match="shifted sideways"):
        from_image_series(positions_mm=positions, orientation=AXIAL, pixel_spacing_mm=(1, 1), rows=4, columns=5)


def test_grids_when_one_is_off_by_more_than_the_tolerance_then_they_do_not_match() -> None:
    here = centred(AXIAL)
    assert here.matches(centred(AXIAL, centre_mm=(0.005, 0, 0)))
    assert not here.matches(centred(AXIAL, centre_mm=(0.02, 0, 0)))
    assert not here.matches(centred(AXIAL, shape=(30, 34, 37)))


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0.1, 1, 0), (1, 0, 0, 0, 0.9, 0), (1, 0, 0, 0, 1)])
def test_orientation_when_it_is_no_pair_of_perpendicular_unit_vectors_then_it_is_refused(
    orientation: tuple[float, ...],
) -> None:
    with pytest.raises(BadGeometry, match="Image Orientation"):
        centred(orientation)


def test_dose_when_its_shape_is_not_that_of_the_grid_then_it_is_refused() -> None:
    with pytest.raises(BadGeometry, match="shape"):
        DoseGrid(dose_gy=np.zeros((2, 2, 2), dtype=np.float32), geometry=centred(AXIAL))


def test_maximum_when_the_hottest_voxel_is_unknown_then_it_does_not_count() -> None:
    geometry = centred(AXIAL, shape=(1, 1, 3))
    dose = np.array([[[1, 9, 2]]], dtype=np.float32)
    assert DoseGrid(dose_gy=dose, geometry=geometry, known=dose < 5).max_gy == 2
