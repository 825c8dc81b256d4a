"""Planes ready to be drawn."""

import numpy as np
import pytest

from dose.errors import BadGeometry
from dose.grids.grid import DoseGrid, ImageVolume
from dose.shapes.planes import OUTSIDE_IMAGE_HU, Orientation, cut, hottest_point_mm
from tests.dose.phantoms import ORIENTATIONS, centred, linear_grid, linear_gy

NORMAL = {Orientation.AXIAL: 2, Orientation.CORONAL: 1, Orientation.SAGITTAL: 0}
SHOWN = {Orientation.AXIAL: (0, 1), Orientation.CORONAL: (0, 2), Orientation.SAGITTAL: (1, 2)}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("orientation", Orientation)
def test_plane_when_cut_through_any_grid_then_each_pixel_has_the_dose_of_its_place(
    name: str, orientation: Orientation
) -> None:
    through = (3.0, -4.0, 5.0)
    dose = linear_grid(centred(ORIENTATIONS[name]))
    plane = cut(orientation, through, dose, pixel_mm=1.5)
    points = np.empty((*plane.dose_gy.shape, 3))
    across, down = SHOWN[orientation]
    points[..., NORMAL[orientation]] = through[NORMAL[orientation]]
    points[..., across] = plane.across_mm
    points[..., down] = plane.down_mm[:, None]
    expected = linear_gy(points.reshape(-1, 3)).reshape(plane.dose_gy.shape)
    assert plane.known.mean() > 0.85
    assert np.abs(plane.dose_gy - expected)[plane.known].max() < 2e-5
    assert not plane.dose_gy[~plane.known].any()


def test_plane_when_drawn_then_its_edges_are_those_a_planning_system_shows() -> None:
    dose = linear_grid(centred(ORIENTATIONS["FFDL"]))
    edges = {}
    for orientation in Orientation:
        plane = cut(orientation, (0, 0, 0), dose)
        left, right, bottom, top = plane.extent_mm
        labels = plane.labels
        edges[orientation] = (labels.left, labels.right, labels.top, labels.bottom, right > left, top > bottom)
    assert edges == {
        Orientation.AXIAL: ("R", "L", "A", "P", True, False),
        Orientation.CORONAL: ("R", "L", "S", "I", True, True),
        Orientation.SAGITTAL: ("A", "P", "S", "I", True, True),
    }


def test_plane_when_an_image_is_given_then_the_picture_covers_it() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(20, 60, 60), spacing_mm=(2, 2, 3))
    hu = np.zeros(geometry.shape, dtype=np.float32)
    plane = cut(
        Orientation.AXIAL,
        (0, 0, 0),
        linear_grid(centred(ORIENTATIONS["HFS"])),
        image=ImageVolume(hu=hu + 50, geometry=geometry),
    )
    assert plane.extent_mm == pytest.approx((-60, 60, 60, -60))
    assert plane.ct_hu is not None
    assert set(np.unique(plane.ct_hu)) == {50.0, OUTSIDE_IMAGE_HU}
    assert (plane.ct_hu == 50).mean() == pytest.approx((118 / 120) ** 2)
    assert 0 < plane.known.mean() < 0.7


def test_hottest_point_when_a_hotter_voxel_is_unknown_then_it_does_not_count() -> None:
    geometry = centred(ORIENTATIONS["HFP"], shape=(3, 3, 3))
    dose = np.zeros(geometry.shape, dtype=np.float32)
    dose[0, 1, 2], dose[2, 2, 2] = 5, 9
    known = dose < 6
    assert hottest_point_mm(DoseGrid(dose_gy=dose, geometry=geometry)) == pytest.approx(
        geometry.to_points([[2, 2, 2]])[0]
    )
    hottest = hottest_point_mm(DoseGrid(dose_gy=dose, geometry=geometry, known=known))
    assert hottest == pytest.approx(geometry.to_points([[2, 1, 0]])[0])


@pytest.mark.parametrize("pixel_mm", [0, 0.01])
def test_plane_when_pixels_are_too_fine_then_it_is_refused(pixel_mm: float) -> None:
    with pytest.raises(BadGeometry, match=r"pixel"):
        cut(Orientation.AXIAL, (0, 0, 0), linear_grid(centred(ORIENTATIONS["HFS"])), pixel_mm=pixel_mm)
