"""Many histograms at once: the same as one by one, errors in their places; and what must hold of any structure."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dose.errors import BadDose, BadStructure, ContoursNotPlanar
from dose.grids.accumulate import Part, accumulate
from dose.grids.grid import DoseGrid
from dose.shapes.dvh import Dvh, dvh, dvhs, dvhs_on
from dose.shapes.structures import Contour, Structure
from tests.dose.phantoms import ORIENTATIONS, box, centred, circle, linear_grid, sphere, sphere_cc, structure

GRID = linear_grid(centred(ORIENTATIONS["HFS"]))


def _same(one: Dvh, other: Dvh) -> None:
    assert (one.name, one.volume_cc, one.unknown_cc) == (other.name, other.volume_cc, other.unknown_cc)
    assert (one.min_gy, one.mean_gy, one.max_gy) == (other.min_gy, other.mean_gy, other.max_gy)
    assert np.array_equal(one.lo_cc, other.lo_cc)
    assert np.array_equal(one.hi_cc, other.hi_cc)
    assert (one.estimate_cc is None) == (other.estimate_cc is None)


def test_histograms_when_made_together_then_they_are_those_made_one_by_one() -> None:
    many = [sphere(radius, 2.5, (radius, 1, -2), 0.4) for radius in (2, 5, 9, 14, 20)]
    upper = GRID.dose_gy + np.float32(1)
    together = dvhs(many, GRID, upper_gy=upper, estimate_gy=GRID.dose_gy, outside_gy=40.0)
    for drawn, found in zip(many, together, strict=True):
        assert isinstance(found, Dvh)
        _same(found, dvh(drawn, GRID, upper_gy=upper, estimate_gy=GRID.dose_gy, outside_gy=40.0))


def test_histograms_when_a_structure_has_none_then_the_reason_stands_in_its_place() -> None:
    point = Structure(
        number=1, name="Iso", interpreted_type="", contours=(Contour(kind="POINT", points_mm=np.zeros((1, 3))),)
    )
    crossed = structure([circle((0, 0, 0), 9), np.roll(circle((0, 0, 0), 9), 1, axis=1)])
    good = sphere(8, 2.5, (0, 0, 0))
    found = dvhs([good, point, crossed, good], GRID)
    assert [type(one) for one in found] == [Dvh, BadStructure, ContoursNotPlanar, Dvh]
    assert isinstance(found[0], Dvh)
    assert isinstance(found[3], Dvh)
    _same(found[0], found[3])


def test_histograms_when_the_dose_is_a_difference_then_each_place_says_so() -> None:
    found = dvhs([sphere(8, 2.5, (0, 0, 0))] * 2, replace(GRID, dose_gy=-GRID.dose_gy))
    assert [type(one) for one in found] == [BadDose, BadDose]


def test_histograms_when_nothing_is_asked_then_there_are_none() -> None:
    assert dvhs([], GRID) == []


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_box_when_half_of_it_is_outside_the_grid_then_exactly_half_is_unknown(name: str, axis: int) -> None:
    geometry = centred(ORIENTATIONS[name])
    middle = np.zeros(3)
    middle[axis] = geometry.corner_points().max(axis=0)[axis]
    x, y, z = middle
    slices = z + np.arange(-8, 9, 2.0)
    drawn = structure([box((x - 9, y - 7), (x + 9, y + 7), float(at)) for at in slices])
    found = dvh(drawn, linear_grid(geometry))
    assert found.volume_cc == pytest.approx(18 * 14 * 18 / 1000, rel=1e-4)
    assert found.unknown_cc == pytest.approx(found.volume_cc / 2, rel=1e-4)


def test_planes_when_closer_than_a_tenth_of_a_millimetre_then_they_are_one() -> None:
    rings = [circle((0, 0, z), 12) for z in np.arange(-9, 10, 3.0)]
    holes = [circle((0, 0, z + 0.04), 5) for z in np.arange(-9, 10, 3.0)]
    found = dvh(structure([*rings, *holes]), GRID)
    assert found.volume_cc == pytest.approx(np.pi * (144 - 25) * 21 / 1000, rel=2e-3)


def test_contour_when_it_stands_twice_on_a_plane_then_it_cancels_itself() -> None:
    once = [circle((0, 0, z), 8) for z in np.arange(-6, 7, 3.0)]
    twice = [circle((20, 0, z), 4) for z in np.arange(-6, 7, 3.0)]
    found = dvh(structure([*once, *twice, *twice]), GRID)
    assert found.volume_cc == pytest.approx(np.pi * 64 * 15 / 1000, rel=2e-3)


@pytest.mark.parametrize("at", [(0.0, 0.0), (1.3, -0.9), (1.25, 1.0)])
def test_speck_when_smaller_than_a_voxel_then_it_has_its_volume_and_the_dose_of_its_place(
    at: tuple[float, float],
) -> None:
    speck = sphere(0.6, 0.25, (*at, 0.1), 0.05)
    found = dvh(speck, GRID)
    assert found.volume_cc == pytest.approx(sphere_cc(0.6), rel=0.03)
    assert found.max_gy.hi - found.min_gy.lo < 2 * 0.6 * 0.09 + 0.01


@settings(max_examples=25, deadline=None)
@given(
    centre=st.tuples(*[st.floats(-60, 60)] * 3),
    radius=st.floats(1.0, 25.0),
    slice_mm=st.floats(1.0, 5.0),
    rise=st.floats(0.0, 30.0),
    share=st.floats(0.0, 1.0),
)
def test_curves_when_anything_is_unknown_then_they_fall_and_bounds_are_ordered(
    centre: tuple[float, float, float], radius: float, slice_mm: float, rise: float, share: float
) -> None:
    drawn = sphere(radius, slice_mm, centre)
    if not drawn.contours:
        return
    known = np.ones(GRID.dose_gy.shape, dtype=np.bool_)
    known[:, :, 20:] = False
    upper = np.where(known, GRID.dose_gy, GRID.dose_gy + np.float32(rise))
    estimate = np.where(known, GRID.dose_gy, GRID.dose_gy + np.float32(rise * share))
    grid = DoseGrid(dose_gy=GRID.dose_gy, geometry=GRID.geometry, known=known)
    found = dvh(drawn, grid, upper_gy=upper, estimate_gy=estimate, slice_mm=slice_mm)
    assert found.estimate_cc is not None
    for curve in (found.lo_cc, found.estimate_cc, found.hi_cc):
        assert curve[0] == pytest.approx(found.volume_cc)
        assert (np.diff(curve) <= 0).all()
    slack = 1e-6 * found.volume_cc
    assert (found.lo_cc <= found.estimate_cc + slack).all()
    assert (found.estimate_cc <= found.hi_cc + slack).all()
    figures = [found.min_gy, found.mean_gy, found.max_gy, found.v_gy(30), found.cv_gy(30)]
    figures += [found.d_percent(p) for p in (98, 50, 2)]
    for figure in figures:
        assert figure.estimate is not None
        assert figure.lo <= figure.hi + 1e-6
        assert figure.lo - 1e-6 <= figure.estimate <= figure.hi + 1e-6
    assert 0 <= found.unknown_cc <= found.volume_cc * (1 + 1e-9)


def test_dvhs_on_when_several_sums_lie_on_one_grid_then_each_is_as_if_made_alone() -> None:
    one, two = (centred(ORIENTATIONS["HFS"], shape=shape) for shape in ((24, 30, 30), (4, 30, 30)))
    whole, short = linear_grid(one), linear_grid(two)
    sums = [
        accumulate([Part(grid=whole, weight=1.0, label="whole")], one),
        accumulate([Part(grid=short, weight=2.0, label="short")], one),
        accumulate([Part(grid=whole, weight=0.5, label="half"), Part(grid=short, weight=1.0, label="short")], one),
    ]
    ball = sphere(9, 2.5, np.array([1.0, -2.0, 3.0]))
    for total, found in zip(sums, dvhs_on(ball, sums), strict=True):
        alone = dvh(
            ball, total.grid, upper_gy=total.upper_gy, estimate_gy=total.estimate_gy, outside_gy=total.outside_gy
        )
        assert (found.mean_gy, found.max_gy, found.d_percent(95)) == (alone.mean_gy, alone.max_gy, alone.d_percent(95))
        assert (found.volume_cc, found.unknown_cc) == (alone.volume_cc, alone.unknown_cc)
    assert dvhs_on(ball, sums)[1].unknown_cc > 0
    with pytest.raises(ValueError, match="one grid"):
        dvhs_on(ball, [sums[0], accumulate([Part(grid=short, weight=1.0, label="short")], two)])
