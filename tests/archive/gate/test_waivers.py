"""A waiver is signed for the figures of a finding: better words leave it in force, another figure does not."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from archive.facts.decisions import Act, Close, Decision, Waive
from archive.gate.gate import Gate
from archive.gate.raised import Change, Changes, Raised, Surroundings, Term
from archive.headers import InstanceHeader
from archive.model import Finding
from tests.archive.house import PHYSICIST, SmallHouse
from tests.factories import (
    MONDAY,
    beam,
    course,
    da,
    decision,
    document,
    dose,
    group,
    image,
    key_of,
    only_dossier,
    plan,
    plan_header,
    record,
    recorded,
    structures,
    target,
    uid,
    weekdays,
)


def cut_short(delivered: int) -> list[InstanceHeader]:
    return course(delivered=delivered)


def ended(delivered: int) -> Close:
    last = weekdays(MONDAY, delivered)[-1]
    return Close(plan_uids=(uid("plan"),), outcome="completed", last_date=da(last))


def missing(delivered: int, *signed: Waive) -> Finding:
    acts: list[Act | Decision] = [ended(delivered), *(decision(8 + at, one) for at, one in enumerate(signed))]
    (found,) = (one for one in only_dossier(cut_short(delivered), acts).findings if one.code == "FRACTIONS-MISSING")
    return found


def signed_for(finding: Finding, **values: object) -> Waive:
    usual = Waive(
        code=finding.code,
        subject=finding.subject,
        plan_uids=(uid("plan"),),
        message=finding.message,
        reason="seen",
        figures_sha256=finding.figures_sha256,
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def test_waiver_when_the_words_are_others_then_it_holds() -> None:
    act = signed_for(missing(20), message="Plan Breast: 20 of 25 fractions.")

    assert missing(20, act).is_waived


def test_waiver_when_a_figure_is_another_then_it_lapses() -> None:
    act = signed_for(missing(20))

    assert missing(20, act).is_waived
    assert not missing(21, act).is_waived


def test_waiver_when_only_its_figures_are_others_then_the_message_does_not_save_it() -> None:
    assert not missing(20, signed_for(missing(20), figures_sha256="0" * 64)).is_waived


def test_waiver_of_early_days_when_the_message_is_the_same_then_it_holds() -> None:
    act = signed_for(missing(20), figures_sha256="")

    assert missing(20, act).is_waived
    assert not missing(20, replace(act, message="other words")).is_waived


def test_waiver_at_the_desk_then_it_bears_the_figures_of_what_was_looked_at(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    key = house.receive(cut_short(20))
    (dossier,) = house.desk.record(key).dossiers
    (finding,) = (one for one in dossier.findings if one.code == "FRACTIONS-MISSING")

    house.desk.waive(key, dossier.id, finding.id, reason="lost", account=PHYSICIST)

    (act,) = (one.what for one in house.facts.read(key_of()).decisions)
    assert isinstance(act, Waive)
    assert (act.figures_sha256, act.message) == (finding.figures_sha256, finding.message)
    assert len(act.figures_sha256) == 64


def figures(**values: object) -> str:
    return replace(Raised(code="X", subject="1.2", params={"count": 2, "what": Term("sex")}), **values).figures_sha256  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"code": "Y"},
        {"subject": "1.3"},
        {"params": {"count": 3, "what": Term("sex")}},
        {"params": {"count": 2, "what": Term("name")}},
        {"params": {"count": 2, "what": Changes((Change(what=Term("doses"), before="1", after="2"),))}},
    ],
)
def test_figures_when_anything_of_them_is_another_then_so_is_the_digest(values: dict[str, object]) -> None:
    assert figures(**values) != figures()


def test_figures_then_order_instances_and_days_are_none() -> None:
    same = Raised(code="X", subject="1.2", params={"what": Term("sex"), "count": 2}, instance_uids=("1",), since=MONDAY)

    assert same.figures_sha256 == figures()


def full_dossier() -> list[InstanceHeader]:
    """Return three plans, four series of 200 slices, and 35 fractions of three records each."""
    names = [f"ct{series} {at}" for series in range(4) for at in range(200)]
    made = [image(name, series=name.split()[0], z_mm=3.0 * int(name.split()[1])) for name in names]
    made.append(structures("structures", series="ct0", images=names))
    values = {
        "beams": tuple(beam(number) for number in (1, 2, 3)),
        "fraction_groups": (group(fractions=35, metersets=(100.0,) * 3),),
        "dose_references": (target(gy=70.0),),
    }
    for name in "abc":
        made += [plan(name, header=plan_header(label=name, **values)), dose(f"dose {name}", plans=(name,))]
        for number, day in enumerate(weekdays(MONDAY, 35), 1):
            made += [
                record(f"{name} {number} {at}", recorded(number, beam_number=at, energy=6.0), plan=name, day=day)
                for at in (1, 2, 3)
            ]
    return [*made, document("Consent.pdf")]


def test_rules_on_a_full_dossier_then_all_take_well_under_a_second_of_cpu() -> None:
    dossier, gate = only_dossier(full_dossier()), Gate()
    assert len(dossier.instances) > 1100

    began = time.process_time()
    gate.of_dossier(dossier, Surroundings())
    took = time.process_time() - began

    assert took < 0.5
