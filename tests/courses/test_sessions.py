"""Delivered fractions through the whole path, from treatment records to EQD2: the vectors of the literature."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from archive.headers import InstanceHeader
from archive.model import Plan
from courses.delivered import DeliveredDose, delivered_dose
from courses.exposures import Exposure, Gathered, GroupPart
from courses.sessions import Together, given_together
from courses.summing import eqd2_sum, physical_sum, sample_parts
from dose.biology.tissues import Tissue
from dose.grids.accumulate import Sum
from dose.grids.grid import DoseGrid, Geometry
from tests import factories as made

ONE_VOXEL = Geometry(shape=(2, 2, 2), affine=np.eye(4))
CORD, LATE = Tissue(alpha_beta_gy=2.0), Tissue(alpha_beta_gy=3.0)


def _plan(name: str, groups: Sequence[tuple[int, int]] = ((1, 25),)) -> InstanceHeader:
    fractions = tuple(made.group(number, planned) for number, planned in groups)
    return made.plan(name, header=made.plan_header(fraction_groups=fractions))


def _plans(*instances: InstanceHeader) -> list[Plan]:
    return [plan for plan in made.only_dossier(instances).plans if plan.doses]


def _doses(*instances: InstanceHeader) -> list[DeliveredDose]:
    found = [delivered_dose(plan) for plan in _plans(*instances)]
    assert all(isinstance(one, DeliveredDose) for one in found), found
    return [one for one in found if isinstance(one, DeliveredDose)]


def _gathered(doses: Sequence[DeliveredDose], gy: dict[str, float]) -> Gathered:
    """Exposures of plans whose grids hold an even dose, by label of the grid."""
    uids = {made.uid(name): value for name, value in gy.items()}
    parts = {
        (n, at): GroupPart(
            grid=DoseGrid(dose_gy=np.full((2, 2, 2), uids[one.held.uid], np.float32), geometry=ONE_VOXEL),
            per_fraction=one.per_fraction or 1.0, transform=None, label="", dossier_id="d", plan_uid=dose.plan.uid,
            fraction_group=None, kind="physical",
        )
        for n, dose in enumerate(doses) for at, one in enumerate(dose.grids)
    }  # fmt: skip
    exposures = tuple(_exposure(one, doses, parts) for one in given_together(doses))
    dossier = made.only_dossier([made.plan()])
    record = made.folded([made.plan()])
    return Gathered(
        record=record, onto=dossier, geometry=ONE_VOXEL, frame_uid="1.2", exposures=exposures, shares=(),
        dose_type="PHYSICAL",
    )  # fmt: skip


def _exposure(one: Together, doses: Sequence[DeliveredDose], parts: dict[tuple[int, int], GroupPart]) -> Exposure:
    weights = [doses[plan].grids[at] for plan, at in one.grids]
    return Exposure(
        parts=tuple(parts[place] for place in one.grids), fractions=one.fractions, dossier_id="d",
        is_certain=all(doses[plan].is_certain for plan, _ in one.grids), last_date=one.last_date,
        least=min(w.least for w in weights), most=max(w.most for w in weights),
        concentration=max(w.concentration for w in weights), close=one.close,
    )  # fmt: skip


def _figures(total: Sum) -> tuple[float, float, float]:
    low, middle, high = (float(one.ravel()[0]) for one in (total.lower_gy, total.estimate_gy, total.upper_gy))
    assert low <= middle <= high
    return low, middle, high


def test_fractions_when_five_of_ten_were_given_then_dose_per_fraction_is_the_planned_one() -> None:
    doses = _doses(_plan("plan", [(1, 10)]), made.dose(), *made.records(5))
    gathered = _gathered(doses, {"dose": 30.0})
    assert _figures(eqd2_sum(gathered, CORD)) == pytest.approx((18.75,) * 3)
    assert _figures(physical_sum(gathered)) == pytest.approx((15.0,) * 3)


def test_fraction_when_cut_short_and_made_up_then_both_count_at_the_planned_dose_per_fraction() -> None:
    days = made.weekdays(made.MONDAY, 11)
    short = made.record("short", made.recorded(10, mu=40.0, termination="MACHINE"), day=days[9])
    rest = made.record("rest", made.recorded(11, mu=60.0), day=days[10])
    doses = _doses(_plan("plan", [(1, 10)]), made.dose(), *made.records(9), short, rest)
    assert _figures(eqd2_sum(_gathered(doses, {"dose": 30.0}), CORD)) == pytest.approx((37.5,) * 3, rel=1e-6)


def test_plans_when_given_in_one_session_then_they_are_added_before_conversion() -> None:
    second = [
        made.record(f"b {n}", made.recorded(n), plan="b", day=day, time="0930")
        for n, day in enumerate(made.weekdays(made.MONDAY, 25), 1)
    ]
    grids = [made.dose("grid a", plans=("a",)), made.dose("grid b", plans=("b",))]
    doses = _doses(_plan("a"), _plan("b"), *grids, *made.records(25, plan="a"), *second)
    gathered = _gathered(doses, {"grid a": 25.0, "grid b": 25.0})
    assert [(len(one.parts), one.fractions) for one in gathered.exposures] == [(2, 25.0)]
    assert _figures(eqd2_sum(gathered, LATE)) == pytest.approx((50.0,) * 3)


def test_plans_when_one_missed_some_sessions_then_each_combination_counts_by_its_sessions() -> None:
    grids = [made.dose("grid a", plans=("a",)), made.dose("grid b", plans=("b",))]
    doses = _doses(_plan("a"), _plan("b"), *grids, *made.records(25, plan="a"), *made.records(10, plan="b"))
    gathered = _gathered(doses, {"grid a": 25.0, "grid b": 25.0})
    assert sorted((len(one.parts), one.fractions) for one in gathered.exposures) == [(1, 15.0), (2, 10.0)]
    # 10 sessions of 2 Gy and 15 of 1 Gy, a/b 3
    assert _figures(eqd2_sum(gathered, LATE)) == pytest.approx((20 + 15 * 1 * 4 / 5,) * 3)


def test_sessions_when_twice_a_day_then_both_figures_are_there() -> None:
    days = made.weekdays(made.MONDAY, 15)
    told = [
        made.record(f"n{2 * at + half}", made.recorded(2 * at + half + 1), day=day, time=("0900", "1500")[half])
        for at, day in enumerate(days) for half in (0, 1)
    ]  # fmt: skip
    doses = _doses(_plan("plan", [(1, 30)]), made.dose(), *told)
    gathered = _gathered(doses, {"dose": 45.0})
    assert gathered.exposures[0].close == ((6.0, 30.0),)
    assert _figures(eqd2_sum(gathered, CORD)) == pytest.approx((39.375,) * 3)
    left = 2 ** (-6 / 4)
    repaired = 30 * 1.5 * (1.5 * (1 + left) + 2) / 4
    assert repaired == pytest.approx(45.341, abs=1e-3)
    assert _figures(eqd2_sum(gathered, CORD, repair_half_time_h=4.0)) == pytest.approx((repaired,) * 3)


def test_records_when_they_tell_no_time_then_two_fractions_of_a_day_are_two_sessions() -> None:
    told = [
        made.record(f"n{n}", made.recorded(n), day=made.MONDAY + timedelta(days=(n - 1) // 2), time="")
        for n in range(1, 5)
    ]
    doses = _doses(_plan("plan", [(1, 4)]), made.dose(), *told)
    (one,) = given_together(doses)
    assert (one.grids, one.fractions, one.close) == (((0, 0),), 4.0, ((0.0, 4.0),))


def test_beams_when_one_was_cut_short_then_the_rest_is_a_fraction_of_the_others() -> None:
    beams = (made.beam(1), made.beam(2))
    plan = made.plan(header=made.plan_header(beams=beams, fraction_groups=(made.group(1, 2, (60.0, 40.0)),)))
    grids = [made.dose(f"b{n}", summation="BEAM", fraction_group_number=1, beam_numbers=(n,)) for n in (1, 2)]
    days = made.weekdays(made.MONDAY, 2)
    told = [
        made.record(f"n{n}", made.recorded(n, mu=60.0), made.recorded(n, beam_number=2, mu=mu), day=days[n - 1])
        for n, mu in ((1, 40.0), (2, 10.0))
    ]
    doses = _doses(plan, *grids, *told)
    names = [one.held.uid for one in doses[0].grids]
    found = {tuple(sorted(names[at] for _, at in one.grids)): one.fractions for one in given_together(doses)}
    both = tuple(sorted(names))
    assert found == {both: pytest.approx(1.25), (made.uid("b1"),): pytest.approx(0.75)}
    total = physical_sum(_gathered(doses, {"b1": 2.0, "b2": 4.0}))
    assert _figures(total) == pytest.approx((2.0 + 4.0 * 1.25 / 2,) * 3)


def test_grid_when_it_holds_two_groups_then_its_effect_lies_between_even_and_shortest() -> None:
    boost = [
        made.record(f"boost {n}", made.recorded(n), group_number=2, day=day)
        for n, day in enumerate(made.weekdays(made.MONDAY, 25)[20:], 1)
    ]
    doses = _doses(_plan("plan", [(1, 20), (2, 5)]), made.dose(), *made.records(20), *boost)
    gathered = _gathered(doses, {"dose": 50.0})
    low, _, high = _figures(eqd2_sum(gathered, CORD))
    assert (low, high) == pytest.approx((50 * 4 / 4, 50 * (10 + 2) / 4))
    assert _figures(physical_sum(gathered)) == pytest.approx((50.0,) * 3)


def test_grid_when_only_one_of_its_groups_was_given_then_dose_is_bounded_by_none_and_all_of_it() -> None:
    doses = _doses(_plan("plan", [(1, 20), (2, 5)]), made.dose(), *made.records(20))
    assert _figures(physical_sum(_gathered(doses, {"dose": 50.0}))) == pytest.approx((0.0, 40.0, 50.0))


def test_plan_when_nobody_knows_whether_it_was_given_then_it_is_in_upper_bound_and_estimate() -> None:
    gathered = _gathered(_doses(_plan("plan"), made.dose()), {"dose": 50.0})
    assert _figures(eqd2_sum(gathered, CORD)) == pytest.approx((0.0, 50.0, 50.0))
    assert not eqd2_sum(gathered, CORD).known.any()


def test_course_when_part_of_it_is_forgotten_then_its_effect_is_less_and_no_dose_is() -> None:
    gathered = _gathered(_doses(_plan("plan", [(1, 25)]), made.dose(), *made.records(25)), {"dose": 50.0})
    assert _figures(eqd2_sum(gathered, CORD, forgotten={"d": 0.25})) == pytest.approx((37.5,) * 3)
    assert _figures(physical_sum(gathered)) == pytest.approx((50.0,) * 3)


@st.composite
def _anything(draw: st.DrawFn) -> Gathered:
    """Exposures of one to three parts on grids that reach only so far, in doubt or not."""
    parts = [
        GroupPart(
            grid=DoseGrid(
                dose_gy=draw(arrays(np.float32, (3, 3, 3), elements=st.floats(0, 80, width=32))),
                geometry=Geometry(shape=(3, 3, 3), affine=np.diag([5.0, 5.0, 5.0, 1.0])),
            ),
            per_fraction=1 / draw(st.integers(1, 35)), transform=None, label="", dossier_id="d", plan_uid=str(n),
            fraction_group=None, kind="physical", rbe=draw(st.sampled_from([(1.0, 1.0), (1.0, 1.1), (1.1, 1.1)])),
        )
        for n in range(3)
    ]  # fmt: skip
    exposures = [
        Exposure(
            parts=tuple(draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3))),
            fractions=draw(st.floats(0.1, 40)), dossier_id="d", is_certain=draw(st.booleans()), last_date="",
            least=draw(st.floats(0, 1)), most=draw(st.floats(1, 2)), concentration=draw(st.floats(1, 6)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]  # fmt: skip
    onto = Geometry(shape=(5, 4, 4), affine=np.diag([4.0, 4.0, 4.0, 1.0]))
    return replace(_gathered([], {}), geometry=onto, exposures=tuple(exposures))


@given(_anything(), st.floats(0.5, 20), st.booleans())
@settings(max_examples=40, deadline=None)
def test_bounds_when_anything_is_in_doubt_then_they_are_in_order(
    gathered: Gathered, alpha_beta: float, lql: bool
) -> None:
    tissue = Tissue(alpha_beta_gy=alpha_beta, transition_gy=6.0)
    samples = sample_parts(gathered)
    for total in (
        physical_sum(gathered), physical_sum(gathered, samples=samples), eqd2_sum(gathered, tissue, lql=lql),
        eqd2_sum(gathered, tissue, samples=samples, forgotten={"d": 0.5}),
    ):  # fmt: skip
        assert (total.lower_gy <= total.estimate_gy).all()
        assert (total.estimate_gy <= total.upper_gy).all()
        assert float(total.upper_gy.max()) <= total.outside_gy * (1 + 1e-5) + 1e-5
        assert (total.upper_gy - total.lower_gy)[total.known] == pytest.approx(0, abs=1e-3)
