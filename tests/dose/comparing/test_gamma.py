"""Gamma against closed forms; against other programs see `test_gamma_peers`, on real doses `test_gamma_real`."""

import numpy as np
import pytest

from dose.comparing.gamma import Criteria, gamma, sphere_places
from dose.errors import BadCriteria
from dose.grids.grid import DoseGrid, Geometry, Volume
from dose.grids.resample import sample_points
from dose.grids.transforms import Transform
from tests.dose.phantoms import GRADIENT, ORIENTATIONS, centred, linear_grid

CRITERIA = Criteria(dose_percent=3, distance_mm=2, normal_gy=50, cutoff_percent=0)


def _shifted(grid: DoseGrid, gy: float) -> DoseGrid:
    return DoseGrid(dose_gy=grid.dose_gy + np.float32(gy), geometry=grid.geometry, known=grid.known)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_linear_dose_when_one_is_higher_then_gamma_is_the_closed_form_in_all_orientations(name: str) -> None:
    reference = linear_grid(centred(ORIENTATIONS["HFS"], shape=(8, 9, 10)))
    other = _shifted(linear_grid(centred(ORIENTATIONS[name])), 0.6)
    found = gamma(reference, other, CRITERIA)
    # the least of (r / 2 mm)^2 + ((0.6 - g r) / 1.5 Gy)^2
    expected = 0.6 / np.hypot(1.5, 2 * np.linalg.norm(GRADIENT))
    assert found.values == pytest.approx(expected, abs=1e-3)
    assert (found.evaluated, found.unknown, found.undecided) == (720, 0, 0)
    assert found.pass_percent == 100


@pytest.mark.parametrize(
    ("steps", "is_refined", "expected"),
    # shells 0.2 mm apart miss the place at 0.09956 mm, those 0.1 mm apart nearly meet it
    [(10, True, 0.19325), (20, False, 0.19325), (10, False, 0.2)],
)
def test_slab_when_searched_then_gamma_is_the_published_closed_form(
    steps: int, is_refined: bool, expected: float
) -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(8, 8, 16), spacing_mm=(2.5, 2.5, 2.5))
    at_mm = geometry.to_points([[i, 0, 0] for i in range(16)])[:, 0]
    # a fifth of the dose criterion apart, in a gradient of two fifteenths of it a mm
    reference = DoseGrid(
        dose_gy=np.broadcast_to(50 + 0.2 * at_mm, geometry.shape).astype(np.float32), geometry=geometry
    )
    criteria = Criteria(normal_gy=50, distance_mm=2, cutoff_percent=0, steps=steps, is_refined=is_refined)
    found = gamma(reference, _shifted(reference, 0.3), criteria)
    assert found.values[2:-2, 2:-2, 2:-2] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("is_masked", [False, True])
def test_rough_dose_when_places_are_ruled_out_then_gamma_is_that_of_all_places(is_masked: bool) -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(7, 8, 9), spacing_mm=(2.5, 2.0, 3.0))
    rng = np.random.default_rng(8)
    dose = rng.uniform(30, 50, geometry.shape).astype(np.float32)
    known = rng.uniform(size=geometry.shape) > 0.05 if is_masked else None
    other = DoseGrid(dose_gy=rng.uniform(30, 50, geometry.shape).astype(np.float32), geometry=geometry, known=known)
    criteria = Criteria(dose_percent=4, distance_mm=2, max_gamma=1.5, steps=5, is_refined=False)
    found = gamma(DoseGrid(dose_gy=dose, geometry=geometry), other, criteria)
    assert found.values == pytest.approx(_all_places(dose, other, criteria), abs=1e-5, nan_ok=True)


def _all_places(dose: Volume, other: DoseGrid, criteria: Criteria) -> Volume:
    """Gamma from every place of every shell, read by the interpolation of sums."""
    k, j, i = np.indices(dose.shape)
    points = other.geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    step, best = criteria.distance_mm / criteria.steps, np.full(dose.size, np.inf)
    for shell in range(int(criteria.max_gamma * criteria.steps + 1e-9) + 1):
        for place in sphere_places(shell * step, step):
            found, known = sample_points(other.dose_gy, other.geometry, points + place, known=other.known)
            off = (found - dose.ravel()) / (criteria.dose_percent / 100 * dose.max())
            square = (shell / criteria.steps) ** 2 + off**2
            best = np.where(known, np.minimum(best, square), best)
    value = np.minimum(np.sqrt(best), criteria.max_gamma)
    return np.where(np.isfinite(best), value, np.nan).reshape(dose.shape).astype(np.float32)


def test_even_dose_when_it_differs_by_some_percent_then_gamma_is_the_part_of_the_criterion() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(6, 7, 8))
    even = DoseGrid(dose_gy=np.full(geometry.shape, 40, np.float32), geometry=geometry)
    other = _shifted(even, 1.0)
    assert gamma(even, other, Criteria(dose_percent=2, normal_gy=50)).values == pytest.approx(1.0, abs=1e-6)
    local = gamma(even, other, Criteria(dose_percent=2, normal_gy=50, is_local=True))
    assert local.values == pytest.approx(1.25, abs=1e-6)
    assert local.passed == 0
    # those fail for certain which have no unknown dose within 3 mm
    assert local.undecided == 6 * 7 * 8 - 4 * 3 * 4
    assert gamma(even, _shifted(even, 20), Criteria(max_gamma=1.5)).values == pytest.approx(1.5)


def test_other_frame_when_a_transform_is_given_then_the_doses_agree() -> None:
    reference = linear_grid(centred(ORIENTATIONS["HFS"], shape=(8, 8, 8)))
    moved = centred(ORIENTATIONS["HFS"], centre_mm=(100, -50, 30))
    other = DoseGrid(dose_gy=linear_grid(centred(ORIENTATIONS["HFS"])).dose_gy, geometry=moved)
    matrix = np.eye(4)
    matrix[:3, 3] = 100, -50, 30
    found = gamma(reference, other, CRITERIA, transform=Transform.of_matrix(matrix))
    assert found.values == pytest.approx(0, abs=1e-3)
    assert gamma(reference, other, CRITERIA).unknown == 512


def test_voxels_when_the_other_dose_is_unknown_then_they_are_counted_and_none_is_skipped() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(12, 12, 12), spacing_mm=(3.0, 3.0, 3.0))
    even = np.full(geometry.shape, 40, np.float32)
    known = np.ones(geometry.shape, np.bool_)
    known[6:] = False
    reference = DoseGrid(dose_gy=even, geometry=geometry)
    found = gamma(reference, DoseGrid(dose_gy=even + 5, geometry=geometry, known=known), Criteria(distance_mm=3))
    assert found.evaluated + found.unknown + found.below_cutoff == even.size
    assert found.unknown > 0
    assert np.isnan(found.values[9:]).all()
    assert found.undecided > 0  # they fail, and what is unknown lies nearer than their gamma
    assert found.pass_percent is None
    lo, hi = found.pass_percent_bounds
    assert lo == 0
    assert hi > 0


def test_voxels_when_below_the_cutoff_or_unknown_themselves_then_they_are_counted_apart() -> None:
    geometry: Geometry = centred(ORIENTATIONS["HFS"], shape=(4, 5, 6))
    dose = np.full(geometry.shape, 10, np.float32)
    dose[0], known = 0.5, np.ones(geometry.shape, np.bool_)
    known[3] = False
    found = gamma(
        DoseGrid(dose_gy=dose, geometry=geometry, known=known), DoseGrid(dose_gy=dose, geometry=geometry), Criteria()
    )
    assert (found.below_cutoff, found.unknown, found.evaluated) == (30, 30, 60)


@pytest.mark.parametrize(
    "wrong", [{"dose_percent": 0}, {"distance_mm": -1}, {"max_gamma": float("nan")}, {"cutoff_percent": 100}]
)
def test_criteria_when_they_mean_nothing_then_they_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadCriteria, match="can't be made"):
        Criteria(**wrong)  # type: ignore[arg-type]


def test_reference_when_it_has_no_dose_then_it_is_refused() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(4, 5, 6))
    nothing = DoseGrid(dose_gy=np.zeros(geometry.shape, np.float32), geometry=geometry)
    with pytest.raises(BadCriteria, match="100 %"):
        gamma(nothing, nothing, Criteria())
