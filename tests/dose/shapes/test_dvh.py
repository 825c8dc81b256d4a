"""Histograms: shapes, orientations, holes, and what happens where dose is unknown."""

import numpy as np
import pytest

from dose.errors import BadDose, BadStructure, ContoursNotPlanar
from dose.grids.accumulate import Part, accumulate
from dose.grids.grid import DoseGrid
from dose.shapes.dvh import dvh
from dose.shapes.structures import Contour, Structure
from tests.dose.phantoms import (
    BASE_GY,
    GRADIENT,
    ORIENTATIONS,
    box,
    centred,
    circle,
    linear_grid,
    linear_gy,
    sphere,
    sphere_cc,
    structure,
)

SLICES = np.arange(-15, 16, 3.0)


def _cylinder(*, hole_mm: float = 0.0, kind: str = "CLOSED_PLANAR") -> Structure:
    contours = [circle((1, 2, z), 12) for z in SLICES]
    if hole_mm:
        contours += [circle((1, 2, z), hole_mm) for z in SLICES]
    return structure(contours, kind=kind)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_sphere_when_the_patient_lies_any_way_then_its_figures_are_the_analytical_ones(name: str) -> None:
    centre = np.array([2.1, -3.3, 1.7])
    found = dvh(sphere(11, 2.5, centre), linear_grid(centred(ORIENTATIONS[name])))
    mean, reach = linear_gy([centre])[0], 11 * np.linalg.norm(GRADIENT)
    assert found.volume_cc == pytest.approx(sphere_cc(11), rel=1e-3)
    assert found.unknown_cc == 0
    assert found.mean_gy.value == pytest.approx(mean, abs=1e-3)
    assert found.max_gy.value == pytest.approx(mean + reach, abs=0.02)
    assert found.min_gy.value == pytest.approx(mean - reach, abs=0.02)
    assert found.d_percent(50).value == pytest.approx(mean, abs=2e-3)
    assert found.v_gy(mean).value == pytest.approx(sphere_cc(11) / 2, rel=2e-3)


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_hole_when_drawn_as_an_inner_contour_then_it_is_left_out(kind: str) -> None:
    found = dvh(_cylinder(hole_mm=5, kind=kind), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(np.pi * (144 - 25) * 33 / 1000, rel=1e-3)


def test_hole_when_drawn_as_a_keyhole_then_it_is_left_out() -> None:
    keyholes = []
    for z in SLICES:
        outer, inner = circle((0, 0, z), 12), circle((0, 0, z), 5)
        keyholes.append(np.concatenate([outer, outer[:1], inner[:1], inner[::-1]]))
    found = dvh(structure(keyholes), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(np.pi * (144 - 25) * 33 / 1000, rel=1e-3)


def test_hole_when_it_is_on_one_slice_only_then_it_reaches_half_way_to_the_next() -> None:
    contours = [circle((0, 0, z), 12) for z in SLICES] + [circle((0, 0, 0), 5)]
    found = dvh(structure(contours), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(np.pi * (144 * 33 - 25 * 3) / 1000, rel=2e-3)


def test_part_when_it_ends_before_another_then_it_ends_half_way_to_the_next_slice() -> None:
    contours = [circle((-9, 0, z), 6) for z in SLICES] + [circle((9, 0, z), 6) for z in SLICES[:4]]
    found = dvh(structure(contours), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(np.pi * 36 * (33 + 12) / 1000, rel=2e-3)


def test_gap_when_slices_are_left_out_then_nothing_is_put_there() -> None:
    contours = [circle((0, 0, z), 8) for z in SLICES if abs(z) > 4]
    found = dvh(structure(contours), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(np.pi * 64 * 3 * len(contours) / 1000, rel=1e-3)


def test_single_slice_when_the_slice_distance_is_given_then_it_is_that_thick() -> None:
    single = structure([circle((0, 0, 3), 8)])
    found = dvh(single, linear_grid(centred(ORIENTATIONS["HFS"])), slice_mm=4)
    assert found.volume_cc == pytest.approx(np.pi * 64 * 4 / 1000, rel=1e-3)


def test_tiny_structure_when_it_lies_between_voxels_then_its_d95_is_not_zero() -> None:
    centre = (1.2, 0.9, 0.4)
    found = dvh(sphere(2, 1, centre, 0.3), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(sphere_cc(2), rel=0.01)
    assert found.d_percent(95).value == pytest.approx(linear_gy([centre])[0], abs=0.15)


def test_cold_dose_when_even_then_every_figure_is_exact() -> None:
    geometry = centred(ORIENTATIONS["HFS"])
    even = DoseGrid(dose_gy=np.full(geometry.shape, 20, dtype=np.float32), geometry=geometry)
    found = dvh(_cylinder(), even)
    for figure in (
        found.min_gy,
        found.mean_gy,
        found.max_gy,
        found.d_percent(95),
        found.d_percent(2),
        found.d_cc(0.03),
    ):
        assert figure.value == pytest.approx(20, abs=1e-5)
    assert found.v_gy(20).value == pytest.approx(found.volume_cc)
    assert found.v_gy(20.01).value == 0
    assert found.cv_gy(20).value == pytest.approx(0, abs=1e-9)
    assert dvh(_cylinder(), DoseGrid(dose_gy=even.dose_gy * 0, geometry=geometry)).mean_gy.value == 0


def test_peak_when_it_is_a_single_voxel_then_it_is_the_maximum() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(21, 61, 61), spacing_mm=(1.0, 1.0, 3.0))
    dose = np.full(geometry.shape, 10, dtype=np.float32)
    dose[11, 33, 31] = 50
    large = structure([box((-25, -25), (25, 25), z) for z in np.arange(-27, 28, 2.0)])
    found = dvh(large, DoseGrid(dose_gy=dose, geometry=geometry))
    assert found.max_gy.value == 50


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_structure_when_half_of_it_is_outside_then_exactly_half_is_unknown(name: str) -> None:
    geometry = centred(ORIENTATIONS[name])
    edge = geometry.corner_points().max(axis=0)
    for axis in range(3):
        centre = np.zeros(3)
        centre[axis] = edge[axis]
        found = dvh(sphere(9, 2, centre, float(centre[2])), linear_grid(geometry))
        assert found.unknown_cc == pytest.approx(found.volume_cc / 2, rel=1e-3)


def test_figures_when_some_dose_is_unknown_then_only_those_it_can_change_lose_their_value() -> None:
    geometry = centred(ORIENTATIONS["HFS"])
    edge = float(geometry.corner_points().max(axis=0)[2])
    contours = [box((-8, -8), (8, 8), z) for z in np.arange(edge - 20, edge + 2.1, 2)]
    found = dvh(structure(contours), linear_grid(geometry))
    unknown = 16 * 16 * 3 / 1000
    assert found.volume_cc == pytest.approx(16 * 16 * 24 / 1000, rel=1e-3)
    assert found.unknown_cc == pytest.approx(unknown, rel=2e-3)
    highest = linear_grid(geometry).max_gy
    lowest_known = BASE_GY + float(np.array([-8, 8, edge - 21]) @ GRADIENT)
    assert found.min_gy.value is None
    assert (found.min_gy.lo, found.min_gy.hi) == pytest.approx((0, lowest_known), abs=0.02)
    assert found.max_gy.value is None
    assert found.max_gy.hi == pytest.approx(highest, abs=0.01)
    assert found.mean_gy.value is None
    assert found.mean_gy.hi - found.mean_gy.lo == pytest.approx(highest * unknown / found.volume_cc, rel=5e-3)
    assert found.v_gy(1.0).value is None
    assert found.v_gy(highest + 1).value == 0
    assert found.d_percent(95).value is None
    assert found.d_percent(95).lo == pytest.approx(0, abs=0.003)


def test_composite_when_the_unknown_dose_is_small_then_high_volumes_keep_their_value() -> None:
    geometry = centred(ORIENTATIONS["HFS"])
    part = centred(ORIENTATIONS["HFS"], shape=(10, 34, 38), centre_mm=(0, 0, -30))
    small = DoseGrid(dose_gy=np.full(part.shape, 2, dtype=np.float32), geometry=part)
    total = accumulate(
        [Part(grid=linear_grid(geometry), weight=1, label="a"), Part(grid=small, weight=1, label="b")], geometry
    )
    found = dvh(_cylinder(), total.grid, upper_gy=total.upper_gy, outside_gy=total.outside_gy)
    assert 0 < found.unknown_cc <= found.volume_cc + 1e-9
    assert found.mean_gy.value is None
    # between a known and an unknown voxel the bounds draw apart gradually
    share = (found.mean_gy.hi - found.mean_gy.lo) * found.volume_cc / found.unknown_cc
    assert 1.8 < share <= 2
    assert found.v_gy(20).value == pytest.approx(found.volume_cc)
    assert found.d_percent(50).hi - found.d_percent(50).lo <= 2.001


def test_figure_when_the_structure_is_smaller_than_its_volume_then_it_has_bounds_only() -> None:
    found = dvh(sphere(2, 1, (0, 0, 0)), linear_grid(centred(ORIENTATIONS["HFS"])))
    d2cc = found.d_cc(2)
    assert d2cc.value is None
    assert (d2cc.lo, d2cc.hi) == (found.min_gy.lo, found.max_gy.hi)


def test_curve_when_doses_rise_then_it_falls_from_the_volume_to_nothing() -> None:
    found = dvh(_cylinder(), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.lo_cc[0] == pytest.approx(found.volume_cc)
    assert found.lo_cc[-1] == pytest.approx(0, abs=1e-9)
    assert (np.diff(found.lo_cc) <= 0).all()
    assert np.array_equal(found.lo_cc, found.hi_cc)


@pytest.mark.parametrize("axis", [0, 1])
def test_contours_when_sagittal_or_coronal_then_the_volume_is_the_same(axis: int) -> None:
    turned = [np.roll(points, axis + 1, axis=1) for points in (circle((0, 0, z), 12) for z in SLICES)]
    found = dvh(structure(turned), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert found.volume_cc == pytest.approx(np.pi * 144 * 33 / 1000, rel=1e-3)
    assert found.mean_gy.value == pytest.approx(BASE_GY, abs=1e-3)


def test_contours_when_they_lie_in_planes_of_two_axes_then_they_are_refused() -> None:
    mixed = [circle((0, 0, 0), 9), np.roll(circle((0, 0, 0), 9), 1, axis=1)]
    with pytest.raises(ContoursNotPlanar, match="do not lie in planes"):
        dvh(structure(mixed), linear_grid(centred(ORIENTATIONS["HFS"])))


def test_structure_when_it_has_no_volume_then_it_is_refused() -> None:
    grid = linear_grid(centred(ORIENTATIONS["HFS"]))
    point = Structure(
        number=1, name="Iso", interpreted_type="", contours=(Contour(kind="POINT", points_mm=np.zeros((1, 3))),)
    )
    with pytest.raises(BadStructure, match="'Iso' has no closed contour"):
        dvh(point, grid)
    with pytest.raises(BadStructure, match="enclose no volume"):
        dvh(structure([np.array([(0, 0, 0), (3, 0, 0), (6, 0, 0)], dtype=float)]), grid)


def test_difference_when_asked_for_a_histogram_then_it_is_refused() -> None:
    geometry = centred(ORIENTATIONS["HFS"])
    with pytest.raises(BadDose, match="below zero"):
        dvh(_cylinder(), DoseGrid(dose_gy=np.full(geometry.shape, -1, dtype=np.float32), geometry=geometry))
