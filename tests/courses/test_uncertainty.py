"""The ensemble against closed forms and a composition of its own, and the order of its bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import grey_dilation

from courses.members import NOMINAL, Setting, directions, members_of
from courses.summing import eqd2_sum, physical_sum
from courses.uncertainty import DOSES_CC, Doubts, figures_of, search_radius, vary
from courses.uncertainty_answers import search_rows, uncertainty_rows
from dose.biology.linear_quadratic import eqd2
from dose.biology.tissues import Tissue
from dose.grids.neighbourhood import largest_within
from dose.grids.transforms import Transform
from dose.shapes.dvh import dvh
from dose.shapes.lattice import cells_of
from tests.courses.gathered import Course, ball, even, gathered, hill, slope

CORD = Tissue(name="SpinalCord", alpha_beta_gy=2.0, lo_gy=1.5, hi_gy=3.0, kind="serial")
DOUBTS = Doubts(tissue=CORD)


class Bent:
    """A step that bends space a little around a rotation."""

    def apply(self, points_mm: np.ndarray) -> np.ndarray:
        """Return where places go."""
        bent: np.ndarray = points_mm + np.column_stack([3 + np.sin(points_mm[:, 1] / 9), 0 * points_mm[:, :2]])
        return bent


def test_directions_when_any_direction_is_asked_then_one_of_them_lies_within_the_stated_angle() -> None:
    asked = np.random.default_rng(3).normal(size=(20_000, 3))
    asked /= np.linalg.norm(asked, axis=1)[:, None]
    nearest = (asked @ np.array(directions()).T).max(axis=1)
    assert np.degrees(np.arccos(nearest.min())) == pytest.approx(36.2, abs=0.5)
    assert np.linalg.norm(directions(), axis=1) == pytest.approx(1)


def test_members_when_two_courses_are_summed_then_only_the_one_that_is_not_the_reference_is_shifted() -> None:
    found = members_of(
        gathered(Course(name="old", dose=even(20)), Course(name="new", dose=even(30))), alpha_beta_gy=(1, 3)
    )
    assert {one.course for one in found} == {"old", ""}
    assert sum(one.source == "shift_5mm" for one in found) == 14
    assert {np.round(np.linalg.norm(one.setting.shift_of("old")), 6) for one in found} == {0, 3, 5}


def test_shift_when_a_dose_is_linear_then_the_mean_moves_by_gradient_times_shift() -> None:
    all_of_it = gathered(Course(name="old", dose=slope(40, (0.5, 0, 0))), Course(name="new", dose=even(30)))
    found = vary(ball(8), all_of_it, DOUBTS)
    mean = found.by_source["physical"]["mean_gy"]
    assert (mean["shift_5mm"].down, mean["shift_5mm"].up) == pytest.approx((-2.5, 2.5), abs=1e-3)
    assert (mean["shift_3mm"].down, mean["shift_3mm"].up) == pytest.approx((-1.5, 1.5), abs=1e-3)
    # a dose that lies 5 mm further to the left gives less on a slope that rises to the left
    assert "(5.0, 0.0, 0.0)" in mean["shift_5mm"].down_by


def test_alpha_beta_when_doses_are_even_then_eqd2_moves_as_the_closed_form_says() -> None:
    all_of_it = gathered(
        Course(name="old", dose=even(30), fractions=10), Course(name="new", dose=even(30), fractions=5)
    )
    found = vary(ball(8), all_of_it, DOUBTS).by_source["eqd2"]["mean_gy"]["alpha_beta"]

    def total(alpha_beta_gy: float) -> float:
        return float(eqd2(30, 10, alpha_beta_gy) + eqd2(30, 5, alpha_beta_gy))

    assert found.down == pytest.approx(total(3) - total(2), abs=1e-3)
    assert found.up == pytest.approx(total(1.5) - total(2), abs=1e-3)


def test_recovery_when_a_model_is_tried_then_it_only_lowers_and_physical_dose_stays() -> None:
    all_of_it = gathered(Course(name="old", dose=even(45)), Course(name="new", dose=even(20), fractions=10))
    found = vary(ball(8), all_of_it, replace(DOUBTS, forgotten={"quarter": {"old": 0.25}}))
    assert found.by_source["eqd2"]["mean_gy"]["recovery"].down == pytest.approx(
        -0.25 * float(eqd2(45, 25, 2)), abs=1e-3
    )
    assert found.by_source["eqd2"]["mean_gy"]["recovery"].up == 0
    assert "recovery" not in found.by_source["physical"]["mean_gy"]


def test_registration_when_the_map_is_deformable_then_the_nearest_rigid_one_is_tried() -> None:
    bent = Course(name="old", dose=slope(40, (0.5, 0, 0)), transform=Transform((Bent(),)))
    found = vary(ball(8, (0, 4, 0)), gathered(bent, Course(name="new", dose=even(30))), DOUBTS)
    change = found.by_source["physical"]["mean_gy"]["registration"]
    assert change.up - change.down > 0.05
    straight = vary(ball(8), gathered(Course(name="old", dose=even(3)), Course(name="new", dose=even(3))), DOUBTS)
    assert "registration" not in straight.by_source["physical"]["mean_gy"]


def test_nominal_when_compared_with_the_sums_on_a_grid_then_the_cells_hold_the_same() -> None:
    all_of_it = gathered(
        Course(name="old", dose=hill(60, (3, 0, 0), 12)), Course(name="new", dose=slope(20, (0, 0.3, 0)))
    )
    cells = cells_of(ball(9), all_of_it.geometry)
    assert cells.volume_cc == pytest.approx(4 / 3 * np.pi * 0.9**3, rel=0.01)
    fine = cells.read(eqd2_sum(all_of_it, CORD, geometry=cells.geometry).estimate_gy)
    coarse = dvh(ball(9), physical_sum(all_of_it).grid)
    told = figures_of(cells.read(physical_sum(all_of_it, cells.geometry).estimate_gy), cells.cc)
    for name, cc in DOSES_CC.items():
        assert told[name] == pytest.approx(coarse.d_cc(cc).lo, abs=0.1)
    assert told["mean_gy"] == pytest.approx(coarse.mean_gy.lo, abs=0.05)
    assert figures_of(fine, cells.cc)["max_gy"] == pytest.approx(float(fine.max()))


doses = st.tuples(st.floats(5, 60), st.floats(-20, 20), st.floats(4, 25))


@settings(max_examples=12, deadline=None)
@given(one=doses, other=doses, at=st.floats(-30, 10), fractions=st.integers(1, 35))
def test_ensemble_when_doses_are_any_then_bounds_are_in_order_and_joint_holds_every_source(
    one: tuple[float, float, float], other: tuple[float, float, float], at: float, fractions: int
) -> None:
    courses = [
        Course(name=name, dose=hill(gy, (place, 0, 0), width), fractions=fractions)
        for name, (gy, place, width) in (("old", one), ("new", other))
    ]
    all_of_it, body = gathered(*courses), ball(5, (at, 0, 0))  # partly outside the grids: the estimate is varied there
    found = vary(body, all_of_it, replace(DOUBTS, forgotten={"some": {"old": 0.3}}))
    totals = {"physical": physical_sum(all_of_it), "eqd2": eqd2_sum(all_of_it, CORD)}
    histograms = {
        name: dvh(body, one.grid, upper_gy=one.upper_gy, estimate_gy=one.estimate_gy, outside_gy=one.outside_gy)
        for name, one in totals.items()
    }
    rows = uncertainty_rows(found, histograms, is_open=False)  # type: ignore[arg-type]
    for quantity in ("physical", "eqd2"):
        for row in rows[quantity].values():
            assert row["lo"] <= row["nominal"] <= row["hi"]
            for source in row["by_source"].values():
                assert row["lo"] <= source["lo"] <= row["nominal"] <= source["hi"] <= row["hi"]


def test_joint_when_several_things_are_in_doubt_then_it_goes_further_than_each() -> None:
    all_of_it = gathered(
        Course(name="a", dose=slope(30, (0.4, 0, 0))), Course(name="b", dose=slope(30, (0, 0.4, 0))),
        Course(name="c", dose=even(10)),
    )  # fmt: skip
    found = vary(ball(8), all_of_it, DOUBTS)
    joint, alone = found.joint["physical"]["mean_gy"], found.by_source["physical"]["mean_gy"]["shift_5mm"]
    assert alone.up == pytest.approx(2.0, abs=1e-3)
    assert joint.up == pytest.approx(4.0, abs=2e-3)


def test_settings_when_joined_then_the_later_one_counts() -> None:
    one = Setting(shifts=(("a", (1, 0, 0)),), alpha_beta_gy=2.0).with_also(Setting(shifts=(("a", (0, 1, 0)),)))
    assert one.shift_of("a") == (0, 1, 0)
    assert one.alpha_beta_gy == 2.0
    assert one.with_also(NOMINAL) == one


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999), radius=st.sampled_from([0.0, 1.0, 3.0, 5.0]),
    spacing=st.tuples(*[st.sampled_from([1.0, 1.7, 2.5, 6.0])] * 3), is_masked=st.booleans(),
)  # fmt: skip
def test_largest_within_when_compared_with_dilation_then_it_is_the_same(
    seed: int, radius: float, spacing: tuple[float, float, float], is_masked: bool
) -> None:
    numbers = np.random.default_rng(seed)
    dose = numbers.uniform(0, 60, size=(7, 8, 9)).astype(np.float32)
    among = numbers.random(dose.shape) < 0.3 if is_masked else None
    reach = [int(radius / step + 1e-9) for step in spacing[::-1]]
    offsets = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1)
    ellipsoid = ((offsets * np.array(spacing[::-1])) ** 2).sum(axis=-1) <= radius**2 + 1e-9
    source = dose if among is None else np.where(among, dose, np.float32(-np.inf))
    judge = grey_dilation(source, footprint=ellipsoid, mode="constant", cval=-np.inf)
    assert np.array_equal(largest_within(dose, spacing, radius, among=among), judge)


def test_search_radius_when_two_hills_lie_apart_then_the_figures_are_in_their_order() -> None:
    all_of_it = gathered(
        Course(name="old", dose=hill(50, (-4, 0, 0), 4)), Course(name="new", dose=hill(90, (14, 0, 0), 5))
    )
    for tissue in (None, CORD):
        rows = search_rows(search_radius(ball(8), all_of_it, tissue), None)["physical"]
        none, three, five = rows["radii"]
        assert none["anywhere_gy"] == none["same_structure_gy"]
        assert none["same_structure_gy"] < three["same_structure_gy"] < five["same_structure_gy"]
        assert five["same_structure_gy"] <= rows["sum_of_maxima_gy"]
        assert five["same_structure_gy"] < five["anywhere_gy"]  # the peak of the second hill lies outside the ball
