"""Doses on other grids, estimated where they are unknown, and their sums, against closed forms and SimpleITK."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dose.grids.accumulate import Part, accumulate
from dose.grids.fall_off import FALL_OFF_MM
from dose.grids.grid import DoseGrid, Points
from dose.grids.resample import slabs
from dose.grids.sampling import sample, sample_points
from dose.grids.transforms import Transform
from tests.dose.judge import moving, resampled, rotation
from tests.dose.phantoms import ORIENTATIONS, centred, linear_grid, linear_gy

TARGET = centred(ORIENTATIONS["HFS"], shape=(14, 18, 22), spacing_mm=(2, 2, 2))
SMALL = centred(ORIENTATIONS["HFS"], shape=(6, 8, 10), spacing_mm=(2, 2, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """A displacement that is no matrix and says nothing beyond a plane."""

    gone_beyond_mm: float = np.inf

    def apply(self, points_mm: Points) -> Points:
        moved = points_mm + np.column_stack([np.sin(points_mm[:, 2] / 9), *np.zeros((2, len(points_mm)))])
        return np.where((points_mm[:, :1] > self.gone_beyond_mm), np.nan, moved)


def test_constant_dose_when_sampled_beside_the_grid_then_the_estimate_falls_off_with_the_distance() -> None:
    grid = DoseGrid(dose_gy=np.full(SMALL.shape, 40, dtype=np.float32), geometry=SMALL)
    got = sample(grid, TARGET)
    k, j, i = np.indices(TARGET.shape)
    points = TARGET.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    beyond = np.maximum(np.abs(points) - SMALL.corner_points().max(axis=0), 0)
    expected = 40 * np.exp(-np.linalg.norm(beyond, axis=1) / FALL_OFF_MM).reshape(TARGET.shape)
    assert np.abs(got.fall_off - expected).max() < 1e-4
    assert got.known.sum() == np.prod(SMALL.shape)
    assert not got.values[~got.known].any()
    assert got.worst_gy == 40


@pytest.mark.parametrize("degrees", [0, 5])
def test_dose_when_a_voxel_of_it_is_unknown_then_the_estimate_comes_from_its_neighbour(degrees: float) -> None:
    known = np.ones(SMALL.shape, dtype=np.bool_)
    known[3, 4, 5] = False
    dose = np.full(SMALL.shape, 40, dtype=np.float32)
    dose[3, 4, 5] = np.nan
    grid = DoseGrid(dose_gy=dose, geometry=SMALL, known=known)
    got = sample(grid, SMALL, moving(rotation(degrees)))
    hole = ~got.known[3, 4, 5]
    assert hole
    assert got.values[3, 4, 5] == 0
    assert got.fall_off[3, 4, 5] == pytest.approx(40 * np.exp(-2 / FALL_OFF_MM), rel=0.02)


def test_linear_dose_when_a_map_bends_it_then_it_is_exact_where_it_is_known() -> None:
    bent = Transform((*moving(rotation(5, (4, -3, 2))).steps, Wave()))
    source = linear_grid(centred(ORIENTATIONS["FFDL"]))
    got = sample(source, TARGET, bent)
    k, j, i = np.indices(TARGET.shape)
    points = bent.to_moving(TARGET.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()])))
    assert got.known.mean() > 0.9
    assert np.abs(got.values - linear_gy(points).reshape(TARGET.shape))[got.known].max() < 1e-3
    values, known = sample_points(source.dose_gy, source.geometry, np.zeros((1, 3)), transform=bent)
    assert known[0]
    assert values[0] == pytest.approx(linear_gy(bent.to_moving(np.zeros((1, 3))))[0], abs=1e-4)


def test_place_when_its_tissue_is_gone_then_dose_is_unknown_and_the_estimate_goes_by_the_matrices() -> None:
    source = linear_grid(centred(ORIENTATIONS["HFS"]))
    got = sample(source, TARGET, Transform((Wave(gone_beyond_mm=0.0),)))
    k, j, i = np.indices(TARGET.shape)
    points = TARGET.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    gone = points[:, 0].reshape(TARGET.shape) > 0
    assert np.array_equal(got.known, ~gone)
    assert np.abs(got.fall_off - linear_gy(points).reshape(TARGET.shape))[gone].max() < 1e-4


@pytest.mark.parametrize("degrees", [0, 5])
def test_structure_when_half_outside_a_grid_then_exactly_half_of_it_is_covered(degrees: float) -> None:
    turn = rotation(degrees)
    geometry = centred(ORIENTATIONS["HFS"], shape=(40, 40, 40), spacing_mm=(2, 2, 2), centre_mm=(-39, 0, 0))
    onto = centred(ORIENTATIONS["HFS"], shape=(10, 10, 10), spacing_mm=(2, 2, 2))
    turned = type(onto)(shape=onto.shape, affine=turn @ onto.affine)
    total = accumulate([Part(grid=linear_grid(geometry), weight=1, label="a", transform=moving(turn))], turned)
    assert total.coverage[0].fraction == 0.5


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("degrees", [0, 5])
def test_rough_sum_when_grids_lie_in_any_orientation_then_it_equals_simpleitk(name: str, degrees: float) -> None:
    geometry, turn = centred(ORIENTATIONS[name]), rotation(degrees, (4, -3, 2))
    dose = np.random.default_rng(5).uniform(0, 60, geometry.shape).astype(np.float32)
    part = Part(grid=DoseGrid(dose_gy=dose, geometry=geometry), weight=1, label="a", transform=moving(turn))
    total = accumulate([part], TARGET)
    assert np.abs(total.lower_gy - resampled(part.grid, TARGET, turn))[total.known].max() < 5e-4


@settings(max_examples=40, deadline=None)
@given(
    degrees=st.sampled_from([0.0, 90.0, 5.0, 33.0]),
    shift_mm=st.tuples(*[st.floats(-60, 60)] * 3),
    weights=st.tuples(*[st.floats(0, 30)] * 2),
    masked=st.booleans(),
    bent=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_estimate_when_parts_lie_anyhow_then_it_is_between_the_bounds(
    degrees: float,
    shift_mm: tuple[float, float, float],
    weights: tuple[float, float],
    masked: bool,
    bent: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    known = rng.uniform(size=SMALL.shape) > 0.2 if masked else None
    grid = DoseGrid(dose_gy=rng.uniform(0, 70, SMALL.shape).astype(np.float32), geometry=SMALL, known=known)
    way = moving(rotation(degrees, shift_mm))
    maps = (Transform((*way.steps, Wave(gone_beyond_mm=3.0))) if bent else way, None)
    parts = [Part(grid=grid, weight=w, label="a", transform=t) for w, t in zip(weights, maps, strict=True)]
    total = accumulate(parts, TARGET)
    assert (total.lower_gy <= total.estimate_gy).all()
    assert (total.estimate_gy <= total.upper_gy).all()
    assert np.array_equal(total.lower_gy[total.known], total.upper_gy[total.known])


def test_slabs_when_the_target_is_large_then_memory_is_bounded() -> None:
    onto = centred(ORIENTATIONS["HFS"], shape=(400, 256, 256), spacing_mm=(1, 1, 1))
    source = linear_grid(SMALL)
    for _ in slabs(source.dose_gy, SMALL, TARGET):
        pass  # compiled before memory is counted
    tracemalloc.start()
    try:
        planes = sum(len(slab.values) for slab in slabs(source.dose_gy, SMALL, onto))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert planes == 400
    assert peak < 60e6  # all planes at once are 131 MB
