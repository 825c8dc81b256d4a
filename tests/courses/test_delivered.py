"""What a stored grid counts: weights by what it holds and by what the records tell."""

from collections.abc import Mapping, Sequence

import pytest

from archive.facts.decisions import Act, ChooseDose, SetDeliveryState
from archive.headers import InstanceHeader
from archive.model import DeliveryState, Plan
from courses.delivered import DeliveredDose, NotSummed, delivered_dose
from tests import factories as made

TWO_BEAMS: Mapping[str, object] = {
    "beams": (made.beam(1), made.beam(2)),
    "fraction_groups": (made.group(metersets=(60.0, 40.0)),),
}
TWO_GROUPS: Mapping[str, object] = {"fraction_groups": (made.group(1, 20), made.group(2, 5))}


def _plan(
    *instances: InstanceHeader, header: Mapping[str, object] | None = None, decisions: Sequence[Act] = ()
) -> Plan:
    """Fold the plan of these doses and records."""
    dossier = made.only_dossier([made.plan(header=made.plan_header(**(header or {}))), *instances], decisions)
    return next(plan for plan in dossier.plans if plan.uid == made.uid("plan"))


def _dose(plan: Plan, *, as_planned: bool = False) -> DeliveredDose:
    found = delivered_dose(plan, as_planned=as_planned)
    assert isinstance(found, DeliveredDose), found
    return found


def _weights(plan: Plan, *, as_planned: bool = False) -> dict[str, float]:
    return {one.held.uid: one.weight for one in _dose(plan, as_planned=as_planned).grids}


def _reason(plan: Plan, *, as_planned: bool = False) -> str:
    found = delivered_dose(plan, as_planned=as_planned)
    assert isinstance(found, NotSummed), found
    return found.reason


def _beam_dose(number: int, summation: str = "BEAM") -> InstanceHeader:
    return made.dose(f"beam {number}", summation=summation, fraction_group_number=1, beam_numbers=(number,))


def test_plan_grid_when_all_fractions_were_given_then_it_counts_once() -> None:
    plan = _plan(made.dose(), *made.records(25))
    assert _weights(plan) == {made.uid("dose"): 1.0}
    assert (_dose(plan).source, _dose(plan).is_certain, _dose(plan).notes) == ("stored", True, ())


@pytest.mark.parametrize(("given", "weight"), [(5, 0.2), (24, 0.96), (26, 1.04)])
def test_plan_grid_when_some_fractions_were_given_then_it_counts_by_their_number(given: int, weight: float) -> None:
    assert _weights(_plan(made.dose(), *made.records(given))) == {made.uid("dose"): pytest.approx(weight)}


def test_plan_grid_when_a_fraction_was_cut_short_then_it_counts_by_meterset_and_says_so() -> None:
    short = made.record("short", made.recorded(3, mu=40.0, termination="MACHINE"), day=made.weekdays(made.MONDAY, 3)[2])
    plan = _plan(made.dose(), *made.records(2), short)
    assert _weights(plan) == {made.uid("dose"): pytest.approx(2.4 / 25)}
    assert any("cut short" in note.words for note in _dose(plan).notes)


def test_plan_grid_when_it_also_names_a_fraction_group_then_it_holds_all_of_them_nevertheless() -> None:
    plan = _plan(made.dose(fraction_group_number=1), *made.records(20), header=TWO_GROUPS)
    assert _weights(plan) == {made.uid("dose"): pytest.approx(20 / 25)}


def test_plan_grid_when_its_groups_were_not_delivered_alike_then_the_scaling_is_noted() -> None:
    first = _plan(made.dose(), *made.records(20), header=TWO_GROUPS)
    assert any("not delivered alike" in note.words for note in _dose(first).notes)
    boost = [
        made.record(f"boost {n}", made.recorded(n), group_number=2, day=day)
        for n, day in enumerate(made.weekdays(made.MONDAY, 25)[20:], 1)
    ]
    both = _plan(made.dose(), *made.records(20), *boost, header=TWO_GROUPS)
    assert _weights(both) == {made.uid("dose"): pytest.approx(1.0)}
    assert _dose(both).notes == ()


def test_fraction_grids_when_one_group_was_given_then_each_counts_by_its_own_fractions() -> None:
    grids = [made.dose(f"group {n}", summation="FRACTION", fraction_group_number=n) for n in (1, 2)]
    plan = _plan(*grids, *made.records(15), header=TWO_GROUPS)
    assert _weights(plan) == {made.uid("group 1"): pytest.approx(15 / 20), made.uid("group 2"): 0.0}
    assert (_dose(plan).source, _dose(plan).notes) == ("summed", ())


def test_fraction_grids_when_records_name_no_group_then_nobody_guesses() -> None:
    grids = [made.dose(f"group {n}", summation="FRACTION", fraction_group_number=n) for n in (1, 2)]
    silent = made.record("silent", made.recorded(1), group_number=None)
    assert _reason(_plan(*grids, silent, header=TWO_GROUPS)).startswith("its treatment records do not say of which")


def test_beam_grids_when_one_beam_was_cut_short_then_each_counts_by_its_own_meterset() -> None:
    short = made.record(
        "short", made.recorded(25, mu=60.0), made.recorded(25, beam_number=2, mu=10.0),
        day=made.weekdays(made.MONDAY, 25)[24],
    )  # fmt: skip
    whole = [
        made.record(f"n{n}", made.recorded(n, mu=60.0), made.recorded(n, beam_number=2, mu=40.0), day=day)
        for n, day in enumerate(made.weekdays(made.MONDAY, 24), 1)
    ]
    plan = _plan(_beam_dose(1), _beam_dose(2), *whole, short, header=TWO_BEAMS)
    assert _weights(plan) == {made.uid("beam 1"): pytest.approx(1.0), made.uid("beam 2"): pytest.approx(24.25 / 25)}
    assert (_dose(plan).source, _dose(plan).notes) == ("summed", ())


def test_beam_grids_when_records_tell_no_meterset_then_whole_fractions_count() -> None:
    silent = [
        made.record(f"n{n}", made.recorded(n, mu=None), made.recorded(n, beam_number=2, mu=None), day=day)
        for n, day in enumerate(made.weekdays(made.MONDAY, 5), 1)
    ]
    plan = _plan(_beam_dose(1), _beam_dose(2), *silent, header=TWO_BEAMS)
    assert _weights(plan) == {made.uid("beam 1"): pytest.approx(0.2), made.uid("beam 2"): pytest.approx(0.2)}


def test_beam_grids_when_the_plan_names_no_meterset_then_they_are_not_summed() -> None:
    header = {**TWO_BEAMS, "fraction_groups": (made.group(metersets=(None, None)),)}
    plan = _plan(_beam_dose(1), _beam_dose(2), *made.records(25, beams=2), header=header)
    assert _reason(plan) == "the plan names no meterset for the beams of its dose grids"


@pytest.mark.parametrize(
    ("kind", "weight"),
    # of 7 fractions beam 2 gave 40 of 40 MU six times and 10 MU once
    [("FRACTION_SESSION", 6.7), ("BRACHY_SESSION", 6.7), ("BEAM_SESSION", 6.25), ("CONTROL_POINT", 6.25)],
)
def test_grid_of_one_fraction_when_chosen_then_it_counts_once_for_each_fraction_given(kind: str, weight: float) -> None:
    days = made.weekdays(made.MONDAY, 7)
    given = [
        made.record(f"n{n}", made.recorded(n, mu=60.0), made.recorded(n, beam_number=2, mu=40.0), day=day)
        for n, day in enumerate(days[:6], 1)
    ]
    given.append(made.record("n7", made.recorded(7, mu=60.0), made.recorded(7, beam_number=2, mu=10.0), day=days[6]))
    choice = ChooseDose(plan_uid=made.uid("plan"), dose_uid=made.uid("beam 2"), reason="the only one")
    plan = _plan(_beam_dose(2, kind), *given, header=TWO_BEAMS, decisions=[choice])
    assert _weights(plan) == {made.uid("beam 2"): pytest.approx(weight)}
    assert _weights(plan, as_planned=True) == {made.uid("beam 2"): 25.0}
    assert _dose(plan).source == "stored"


@pytest.mark.parametrize("kind", ["MULTI_PLAN", "PLAN_OVERVIEW", "RECORD", ""])
def test_grid_when_fractions_of_one_plan_do_not_scale_it_then_it_is_not_summed(kind: str) -> None:
    choice = ChooseDose(plan_uid=made.uid("plan"), dose_uid=made.uid("dose"), reason="the only one")
    plan = _plan(made.dose(summation=kind), *made.records(25), decisions=[choice])
    for as_planned in (True, False):
        assert _reason(plan, as_planned=as_planned).startswith(f"a dose grid of the kind {kind or 'not said'}")


def test_fractions_when_the_plan_does_not_say_how_many_then_they_are_never_taken_as_one() -> None:
    header = {"fraction_groups": (made.group(fractions=None),)}
    reason = "the plan does not say for how many fractions its dose was planned"
    assert _reason(_plan(made.dose(), *made.records(5), header=header)) == reason
    choice = ChooseDose(plan_uid=made.uid("plan"), dose_uid=made.uid("beam 1"), reason="the only one")
    session = _plan(_beam_dose(1, "FRACTION_SESSION"), header=header, decisions=[choice])
    assert _reason(session) == _reason(session, as_planned=True) == reason


def test_plan_when_a_person_says_delivered_and_no_records_do_then_planned_fractions_are_taken_and_noted() -> None:
    state = SetDeliveryState(plan_uid=made.uid("plan"), delivered=True, reason="treatment sheet")
    found = _dose(_plan(made.dose(), decisions=[state]))
    assert (found.is_certain, [one.weight for one in found.grids]) == (True, [1.0])
    assert len(found.notes) == 1
    assert "as a person stated" in found.notes[0].words


def test_plan_when_its_delivery_is_unknown_then_it_is_not_certain() -> None:
    plan = _plan(made.dose())
    found = _dose(plan)
    assert plan.delivery_state is DeliveryState.UNKNOWN
    assert (found.is_certain, [one.weight for one in found.grids]) == (False, [1.0])
    assert "in the upper bounds only" in found.notes[0].words


def test_plan_when_it_was_not_delivered_then_it_has_no_dose_even_as_planned() -> None:
    state = SetDeliveryState(plan_uid=made.uid("plan"), delivered=False, reason="replaced")
    plan = _plan(made.dose(), *made.records(3), decisions=[state])
    assert _reason(plan) == _reason(plan, as_planned=True) == "not delivered"


def test_plan_when_two_plan_grids_are_there_then_a_person_must_choose() -> None:
    grids = [made.dose("a"), made.dose("b")]
    assert _reason(_plan(*grids, *made.records(25))) == "several dose grids, and nobody chose"
    choice = ChooseDose(plan_uid=made.uid("plan"), dose_uid=made.uid("b"), reason="recomputed")
    assert _weights(_plan(*grids, *made.records(25), decisions=[choice])) == {made.uid("b"): 1.0}


def test_plan_when_it_has_no_grid_then_that_is_the_reason() -> None:
    assert _reason(_plan(*made.records(25))) == "no dose grid"


def test_plan_when_taken_as_planned_then_records_do_not_count() -> None:
    found = _dose(_plan(made.dose(), *made.records(3)), as_planned=True)
    assert (found.is_certain, [one.weight for one in found.grids], found.notes) == (True, [1.0], ())
    beams = _plan(_beam_dose(1), _beam_dose(2), *made.records(3, beams=2), header=TWO_BEAMS)
    assert set(_weights(beams, as_planned=True).values()) == {1.0}
