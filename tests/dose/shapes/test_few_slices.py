"""Structures that show on a slice or two: balls where they may be balls, slabs where they can't be."""

import numpy as np
import pytest

from dose.shapes.areas import Areas
from dose.shapes.dvh import dvh
from tests.dose.phantoms import (
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

GRID = linear_grid(centred(ORIENTATIONS["HFS"]))


@pytest.mark.parametrize("first_mm", [0.0, 0.3, 0.5, 0.7, 1.0, 1.25])
def test_sphere_of_2_mm_when_drawn_on_slices_of_2_5_mm_then_its_volume_is_within_five_percent(first_mm: float) -> None:
    found = dvh(sphere(2, 2.5, (0.4, 0.9, 0.0), first_mm), GRID, slice_mm=2.5)
    assert found.volume_cc == pytest.approx(sphere_cc(2), rel=0.05)
    # of a ball on one slice nobody knows how far its middle lies off it
    off_gy = abs(float(GRADIENT[2])) * (first_mm if first_mm <= 0.5 else 0.0)
    assert found.mean_gy.value == pytest.approx(linear_gy([(0.4, 0.9, 0.0)])[0], abs=0.002 + off_gy)


@pytest.mark.parametrize(("radius", "slice_mm"), [(2, 2.0), (2, 2.5), (2.5, 3.0), (3, 3.0)])
def test_sphere_when_it_shows_on_two_slices_then_it_is_met_exactly(radius: float, slice_mm: float) -> None:
    centre = (1.1, -0.7, slice_mm * 0.45)
    drawn = sphere(radius, slice_mm, centre)
    assert len(drawn.contours) == 2
    found = dvh(drawn, GRID)
    mean, reach = linear_gy([centre])[0], radius * float(np.linalg.norm(GRADIENT))
    # a plane at depth d cuts a ball in caps whose volume is a cubic: D95 lies at -0.729 of its radius
    assert found.volume_cc == pytest.approx(sphere_cc(radius), rel=0.01)
    assert found.mean_gy.value == pytest.approx(mean, abs=0.002)
    assert found.d_percent(95).value == pytest.approx(mean - 0.7293 * reach, abs=0.005)


def test_wide_contours_when_on_two_slices_then_they_are_slabs() -> None:
    found = dvh(structure([circle((0, 0, 0), 12), circle((0, 0, 3), 12)]), GRID)
    assert found.volume_cc == pytest.approx(np.pi * 144 * 6 / 1000, rel=2e-3)


def test_long_narrow_contours_when_on_two_slices_then_they_are_as_round_as_they_are_narrow() -> None:
    rod = structure([box((-1.2, -10), (1.2, 10), z) for z in (0, 2.5)])
    rounded, area = dvh(rod, GRID).volume_cc, 2.4 * 20
    assert area * 2.5 / 1000 < rounded < area * 5 / 1000 * 1.05


def test_half_height_when_the_section_grows_to_the_slice_distance_then_the_volume_passes_to_that_of_a_slab() -> None:
    def volume(radius: float) -> float:
        areas = Areas.of(np.zeros(1), np.array([np.pi * radius**2]), np.array([radius]), 2.5)
        caps = areas.below(), areas.above()
        assert caps[0] == caps[1]
        places = (np.arange(2000) + 0.5) / 2000 * caps[0].length_mm
        return 2 * float(caps[0].area(places).mean()) * caps[0].length_mm

    for edge in (1.25, 2.5):
        assert volume(edge - 1e-6) == pytest.approx(volume(edge + 1e-6), rel=0.02)
        assert volume(edge + 1e-6) == pytest.approx(np.pi * edge**2 * 2.5, rel=0.02)
    # a ball of 2 mm whose middle lies on the slice, and one that just misses the next slice
    assert volume(2.0) == pytest.approx(4 / 3 * np.pi * 8, rel=0.04)
    assert volume(np.sqrt(3.75)) == pytest.approx(4 / 3 * np.pi * 8, rel=0.05)
