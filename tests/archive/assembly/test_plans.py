"""What hangs on a plan: its delivery state and the dose grids that count."""

import pytest

from archive.assembly.catalogue import Catalogue, distinct
from archive.assembly.plans import plans_of
from archive.facts.decisions import Act, ChooseDose, SetDeliveryState
from archive.headers import InstanceHeader
from archive.model import DeliveryState, Plan
from tests.factories import (
    beam,
    decision,
    dose,
    group,
    plan,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    structures,
    uid,
)


def plans(*headers: InstanceHeader, acts: tuple[Act, ...] = (), reverse: bool = False) -> dict[str, Plan]:
    decisions = [decision(number, act) for number, act in enumerate(acts, 1)]
    catalogue = Catalogue.of(distinct(map(receipt, headers), sealed=frozenset()))
    return {one.uid: one for one in plans_of(catalogue, reversed(decisions) if reverse else decisions)}


def only_plan(*headers: InstanceHeader, acts: tuple[Act, ...] = ()) -> Plan:
    (one,) = plans(*headers, acts=acts).values()
    return one


def test_plans_when_only_records_refer_to_one_then_it_is_there_unseen() -> None:
    one = only_plan(*records(2))

    assert (one.uid, one.held, len(one.fractions), one.machine) == (uid("plan"), None, 2, "LINAC1")
    assert one.header.label == ""


def test_plans_when_only_a_dose_refers_to_one_then_it_is_there_unseen() -> None:
    assert [held.uid for held in only_plan(dose()).doses] == [uid("dose")]


@pytest.mark.parametrize(
    ("header", "count", "state"),
    [
        (plan_header(), 1, DeliveryState.DELIVERED),
        (plan_header(), 0, DeliveryState.UNKNOWN),
        (plan_header(approval="REJECTED"), 0, DeliveryState.NOT_DELIVERED),
        (plan_header(intent="VERIFICATION"), 0, DeliveryState.NOT_DELIVERED),
        (plan_header(intent="MACHINE_QA"), 0, DeliveryState.NOT_DELIVERED),
        (plan_header(intent="MACHINE QA"), 0, DeliveryState.NOT_DELIVERED),
        (plan_header(intent="VERIFICATION"), 1, DeliveryState.DELIVERED),
    ],
)
def test_delivery_state_then_records_come_before_what_the_plan_says(
    header: object, count: int, state: DeliveryState
) -> None:
    assert only_plan(plan(header=header), *records(count)).delivery_state is state  # type: ignore[arg-type]


def test_delivery_state_when_a_person_settled_it_then_that_counts_and_the_newest_word_most() -> None:
    was = SetDeliveryState(plan_uid=uid("plan"), delivered=True, reason="paper")
    was_not = SetDeliveryState(plan_uid=uid("plan"), delivered=False, reason="phantom")

    assert only_plan(plan(), acts=(was,)).delivery_state is DeliveryState.DELIVERED
    assert only_plan(plan(), *records(1), acts=(was, was_not)).delivery_state is DeliveryState.NOT_DELIVERED
    shuffled = plans(plan(), acts=(was, was_not), reverse=True)
    assert shuffled[uid("plan")].delivery_state is DeliveryState.NOT_DELIVERED


def test_delivery_state_when_a_delivered_plan_replaced_it_then_it_is_superseded() -> None:
    newer = plan("new", header=plan_header(replaces=(uid("old"),)))

    assert plans(plan("old"), newer)[uid("old")].delivery_state is DeliveryState.UNKNOWN
    given = plans(plan("old"), newer, *records(1, plan="new"))
    assert given[uid("old")].delivery_state is DeliveryState.NOT_DELIVERED


def beam_dose(name: str, *numbers: int) -> InstanceHeader:
    return dose(name, summation="BEAM", beam_numbers=numbers)


def fraction_dose(name: str, number: int) -> InstanceHeader:
    return dose(name, summation="FRACTION", fraction_group_number=number)


TWO_BEAMS = plan(header=plan_header(beams=(beam(1), beam(2), beam(3, delivery_type="SETUP"))))
TWO_GROUPS = plan(header=plan_header(fraction_groups=(group(1), group(2))))


@pytest.mark.parametrize(
    ("headers", "chosen"),
    [
        ([plan(), dose()], ["dose"]),
        ([plan(), dose("a"), dose("b")], []),
        ([plan(), dose("a"), dose("b", has_pixels=False)], ["a"]),
        ([plan(), dose("a"), dose("b", units="RELATIVE")], ["a"]),
        ([plan(), dose("a", units="RELATIVE")], []),
        ([TWO_BEAMS, beam_dose("a", 1), beam_dose("b", 2)], ["a", "b"]),
        ([TWO_BEAMS, beam_dose("a", 1, 2)], ["a"]),
        ([TWO_BEAMS, beam_dose("a", 1)], []),
        ([TWO_BEAMS, beam_dose("a", 1), beam_dose("b", 2), beam_dose("c", 2)], []),
        ([TWO_BEAMS, dose("whole"), beam_dose("a", 1), beam_dose("b", 2)], ["whole"]),
        ([beam_dose("a", 1)], []),
        ([TWO_GROUPS, fraction_dose("a", 1), fraction_dose("b", 2)], ["a", "b"]),
        ([TWO_GROUPS, fraction_dose("a", 1), fraction_dose("b", 1)], []),
        ([TWO_GROUPS, fraction_dose("a", 1)], []),
        ([plan(), dose("sum", summation="MULTI_PLAN")], []),
    ],
)
def test_chosen_dose_then_one_grid_or_one_whole_set_counts(headers: list[InstanceHeader], chosen: list[str]) -> None:
    assert sorted(only_plan(*headers).chosen_dose_uids) == sorted(map(uid, chosen))


def test_chosen_dose_when_a_person_chose_then_that_grid_counts_if_it_is_here() -> None:
    def choose(name: str) -> ChooseDose:
        return ChooseDose(plan_uid=uid("plan"), dose_uid=uid(name), reason="final")

    candidates = [plan(), dose("a"), dose("b")]

    assert only_plan(*candidates, acts=(choose("a"), choose("b"))).chosen_dose_uids == (uid("b"),)
    assert only_plan(*candidates, acts=(choose("gone"),)).chosen_dose_uids == ()


def test_structure_sets_then_those_of_plan_and_dose_are_found_once() -> None:
    grid = dose(structure_set_uids=(uid("structures"), uid("more")))

    one = only_plan(plan(), grid, structures(), structures("more"))

    assert [held.uid for held in one.structure_sets] == [uid("structures"), uid("more")]


def test_plans_when_a_dose_sums_two_plans_then_it_hangs_on_both() -> None:
    both = plans(plan("a"), plan("b"), dose(plans=("a", "b"), summation="MULTI_PLAN"))

    assert [len(one.doses) for one in both.values()] == [1, 1]


def test_plans_when_a_record_names_a_plan_then_its_machine_stands_in_for_an_unseen_one() -> None:
    assert only_plan(record("a", recorded(1), machine="LINAC9")).machine == "LINAC9"
