"""At the desk people settle things: signed, stored, journalled, and only where they may."""

from dataclasses import replace
from pathlib import Path

import pytest

from archive.desk.accounts import Account, Role
from archive.errors import Ambiguous, FactClash, NotFound, Refused, SealBroken
from archive.facts.decisions import Act, ChooseDose, Close, Decision, EnterSummary, SetDeliveryState
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import DeliveryState, Dossier, DossierState
from archive.signing.acts import is_genuine
from archive.signing.keys import KeyRing
from tests.archive.assembly.linked import TWIN, under
from tests.archive.house import (
    ADMINISTRATOR,
    DOCTOR,
    FILE_MANAGER,
    LAST_DAY,
    PHYSICIST,
    SmallHouse,
    account,
    completed,
)
from tests.archive.stores import NOW
from tests.factories import codes, course, da, dose, key_of, plan, plan_header, record, recorded, records, uid


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def journalled(house: SmallHouse) -> list[tuple[str, str]]:
    house.journal.flush()
    return [(one["act"], one["account"]) for one in house.journal.events()]


def unapproved(house: SmallHouse) -> str:
    """Receive a course whose plan is not approved, and return its dossier's id."""
    key = house.receive(course(fractions=5, approval="UNAPPROVED"))
    return house.desk.record(key).dossiers[0].id


def excess(house: SmallHouse) -> str:
    """Receive a course with one fraction too many, and return its dossier's id."""
    sixth = record("sixth", recorded(6), day=LAST_DAY)
    key = house.receive([*course(fractions=5), replace(sixth)])
    return house.desk.record(key).dossiers[0].id


def test_close_then_the_dossier_is_ready_and_the_act_is_signed_stored_and_journalled(house: SmallHouse) -> None:
    key, dossier = house.closed()

    assert (dossier.state, dossier.outcome) == (DossierState.READY, "completed")
    (decision,) = house.facts.read(key).decisions
    assert (decision.number, decision.account, decision.role) == (1, "dora", "doctor")
    assert decision.what == replace(completed(), plan_uids=(uid("plan"),))
    assert is_genuine(decision)
    assert house.refreshed == [key]
    assert journalled(house) == [("close", "dora")]


@pytest.mark.parametrize(
    ("act", "advice"),
    [
        (Close(plan_uids=(), outcome="stopped", last_date=da(LAST_DAY)), "Say why"),
        (Close(plan_uids=(), outcome="died", last_date=da(LAST_DAY), reason="  "), "Say why"),
        (Close(plan_uids=(), outcome="completed", last_date="soon"), "DA"),
        (Close(plan_uids=(), outcome="completed", last_date=""), "DA"),
    ],
)
def test_close_without_reason_or_day_then_it_is_refused(house: SmallHouse, act: Close, advice: str) -> None:
    key = house.receive(course(fractions=5))
    dossier = house.desk.record(key).dossiers[0]

    with pytest.raises(Refused) as caught:
        house.desk.close(key, dossier.id, act, account=DOCTOR)

    assert advice in caught.value.advice
    assert house.facts.read(key).decisions == ()


def test_close_of_a_sealed_dossier_then_it_is_refused(house: SmallHouse) -> None:
    key, dossier = house.sealed()

    with pytest.raises(Refused, match="sealed"):
        house.desk.close(key, dossier.id, completed(), account=DOCTOR)


def test_close_again_then_the_newest_word_counts(house: SmallHouse) -> None:
    key, dossier = house.ready()

    after = house.desk.close(
        key, dossier.id, Close(plan_uids=(), outcome="stopped", last_date=da(LAST_DAY), reason="x"), account=DOCTOR
    )

    assert after.outcome == "stopped"


def test_waive_by_the_right_role_then_the_finding_stands_signed(house: SmallHouse) -> None:
    name = unapproved(house)

    finding = house.desk.waive(key_of(), name, "PLAN-UNAPPROVED", reason=" on paper ", account=PHYSICIST)

    assert finding.is_waived
    assert [(one.reason, one.account) for one in finding.waivers] == [("on paper", "phil")]
    assert is_genuine(finding.waivers[0].decision)
    assert journalled(house) == [("sign", "phil")]


@pytest.mark.parametrize(
    ("signer", "reason", "advice"),
    [
        (PHYSICIST, "", "Say why"),
        (PHYSICIST, " \t", "Say why"),
        (FILE_MANAGER, "seen", "Ask a physicist or a doctor."),
        (ADMINISTRATOR, "seen", "Ask a physicist or a doctor."),
    ],
)
def test_waive_without_reason_or_right_then_it_is_refused(
    house: SmallHouse, signer: Account, reason: str, advice: str
) -> None:
    name = unapproved(house)

    with pytest.raises(Refused) as caught:
        house.desk.waive(key_of(), name, "PLAN-UNAPPROVED", reason=reason, account=signer)

    assert advice in caught.value.advice
    assert house.facts.read(key_of()).decisions == ()


def test_waive_of_an_urgent_finding_then_each_role_must_sign_and_the_advice_says_so(house: SmallHouse) -> None:
    name = excess(house)

    with pytest.raises(Refused) as caught:
        house.desk.waive(key_of(), name, "FRACTIONS-EXCESS", reason="x", account=FILE_MANAGER)
    first = house.desk.waive(key_of(), name, "FRACTIONS-EXCESS", reason="x", account=PHYSICIST)
    second = house.desk.waive(key_of(), name, "FRACTIONS-EXCESS", reason="x", account=DOCTOR)

    assert caught.value.advice == "Ask a physicist and a doctor."
    assert (first.is_waived, second.is_waived) == (False, True)


def test_waive_of_what_nobody_may_then_it_is_refused_and_told_what_to_do(house: SmallHouse) -> None:
    name = unapproved(house)

    with pytest.raises(Refused, match="can't be waived") as caught:
        house.desk.waive(key_of(), name, "CLOSE-PROPOSED", reason="x", account=DOCTOR)

    assert "lastgate close" in caught.value.advice


def test_waive_by_code_when_there_are_several_then_the_id_is_asked_for(house: SmallHouse) -> None:
    more = [plan("b", structures="", header=plan_header(approval="")), *records(2, plan="b")]
    key = house.receive([*course(fractions=5, approval=""), *more])
    dossier = house.desk.record(key).dossiers[0]
    (mine, _) = (one for one in dossier.findings if one.code == "PLAN-UNAPPROVED")

    with pytest.raises(Ambiguous):
        house.desk.waive(key, dossier.id, "PLAN-UNAPPROVED", reason="x", account=DOCTOR)
    assert house.desk.waive(key, dossier.id, mine.id, reason="x", account=DOCTOR).id == mine.id


def test_waive_of_an_unknown_finding_then_it_is_not_found(house: SmallHouse) -> None:
    with pytest.raises(NotFound):
        house.desk.waive(key_of(), unapproved(house), "NO-SUCH", reason="x", account=DOCTOR)


def test_waive_when_somebody_decided_while_this_person_looked_then_he_must_look_again(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = unapproved(house)
    old = house.facts.read(key_of())
    house.desk.waive(key_of(), name, "PLAN-UNAPPROVED", reason="x", account=DOCTOR)
    monkeypatch.setattr(house.facts, "read", lambda _: old)

    with pytest.raises(FactClash):
        house.desk.waive(key_of(), name, "PLAN-UNAPPROVED", reason="y", account=PHYSICIST)


@pytest.mark.parametrize(
    "change",
    [
        {"account": "eve"},
        {"role": "doctor"},
        {"number": 2},
        {"what": completed()},
        {"signature": "00" * 64},
        {"public_key": "00" * 32},
        {"made_at": NOW.replace(year=2020)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_decision_when_anything_in_it_is_changed_then_it_is_not_genuine(
    house: SmallHouse, change: dict[str, object]
) -> None:
    house.desk.waive(key_of(), unapproved(house), "PLAN-UNAPPROVED", reason="x", account=PHYSICIST)
    (decision,) = house.facts.read(key_of()).decisions

    assert is_genuine(decision)
    assert not is_genuine(replace(decision, **change))  # type: ignore[arg-type]


def test_decision_then_its_key_is_known_as_the_nodes(house: SmallHouse) -> None:
    house.closed()
    house.journal.flush()
    (decision,) = house.facts.read(key_of()).decisions

    assert KeyRing(house.work).owner(decision.public_key) == "n1"


def settle(house: SmallHouse, act: Act, role: Role) -> Decision:
    signer = account(role)
    return house.desk.settle(key_of(), act, account=signer, event=Event(act=act.act, account=signer.name))


STATE = SetDeliveryState(plan_uid=uid("plan"), delivered=False, reason="x")
CHOICE = ChooseDose(plan_uid=uid("plan"), dose_uid=uid("second"), reason="x")
ENTRY = EnterSummary(plan_uids=(uid("plan"),), entries={"diagnosis": "C50"})


@pytest.mark.parametrize(
    ("act", "role", "allowed"),
    [
        (STATE, "physicist", True),
        (STATE, "doctor", True),
        (STATE, "administrator", False),
        (CHOICE, "physicist", True),
        (CHOICE, "doctor", False),
        (CHOICE, "file-manager", False),
        (ENTRY, "doctor", True),
        (ENTRY, "administrator", False),
    ],
)
def test_settle_then_only_the_right_roles_may(house: SmallHouse, act: Act, role: Role, allowed: bool) -> None:
    house.receive([*course(fractions=5), dose("second")])

    if allowed:
        assert is_genuine(settle(house, act, role))
    else:
        with pytest.raises(Refused, match=role):
            settle(house, act, role)
    assert len(house.facts.read(key_of()).decisions) == allowed


def test_settle_on_facts_that_are_not_the_newest_then_it_must_be_looked_at_again(house: SmallHouse) -> None:
    key = house.receive(course(fractions=5))
    seen = house.facts.read(key)
    settle(house, ENTRY, "doctor")
    event = Event(act="enter-summary", account="dora")

    with pytest.raises(FactClash):
        house.desk.settle(key, replace(ENTRY, entries={}), account=DOCTOR, event=event, seen=seen)


def test_settle_the_dose_then_the_candidates_are_no_finding_any_more(house: SmallHouse) -> None:
    key = house.receive([*course(fractions=5), dose("second")])
    assert "DOSE-CANDIDATES" in codes(house.desk.record(key).dossiers[0])

    settle(house, CHOICE, "physicist")

    assert "DOSE-CANDIDATES" not in codes(house.desk.record(key).dossiers[0])


def test_settle_from_two_desks_then_numbers_go_up_without_a_gap(house: SmallHouse) -> None:
    house.receive(course(fractions=5))
    other = SmallHouse(house.folder)

    for desk in (house, other, house, other):
        settle(desk, ENTRY, "doctor")

    assert [one.number for one in house.facts.read(key_of()).decisions] == [1, 2, 3, 4]


def test_seal_of_a_ready_dossier_then_it_is_sealed_signed_and_journalled(house: SmallHouse) -> None:
    key, dossier = house.sealed()

    assert (dossier.state, dossier.version) == (DossierState.SEALED, 1)
    last = house.facts.read(key).decisions[-1]
    assert (last.what.act, last.account, last.role) == ("seal", "fay", "file-manager")
    assert is_genuine(last)
    assert journalled(house) == [("close", "dora"), ("release", "dora"), ("seal", "fay")]
    assert house.refreshed == [key, key, key]


def test_seal_of_an_open_dossier_then_it_is_refused_and_told_what_holds_it(house: SmallHouse) -> None:
    name = unapproved(house)

    with pytest.raises(Refused, match="PLAN-UNAPPROVED") as caught:
        house.desk.seal(key_of(), name, account=FILE_MANAGER)

    assert "lastgate gate" in caught.value.advice
    assert list(house.vault.dossiers()) == []
    assert list(house.vault.unfinished()) == []


def test_seal_by_an_administrator_then_it_is_refused(house: SmallHouse) -> None:
    key, dossier = house.ready()

    with pytest.raises(Refused, match="may not seal"):
        house.desk.seal(key, dossier.id, account=ADMINISTRATOR)


def test_seal_twice_then_the_second_is_refused_as_nothing_came(house: SmallHouse) -> None:
    key, dossier = house.sealed()

    with pytest.raises(Refused, match="nothing came since"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)


def test_seal_when_the_vault_holds_more_than_the_facts_tell_then_it_is_broken(house: SmallHouse) -> None:
    key, dossier = house.sealed()
    folder = house.work_files.root
    next(folder.glob("facts/*/*/d-00000003.json")).unlink()
    next(folder.glob("sealing/*/v1.json")).unlink()

    with pytest.raises(SealBroken):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)


def test_seal_when_its_fact_was_not_written_and_the_dossier_opened_again_then_it_is_recorded_first(
    house: SmallHouse,
) -> None:
    key, dossier = house.sealed()
    next(house.work_files.root.glob("facts/*/*/d-00000003.json")).unlink()
    house.receive([record("sixth", recorded(6), day=LAST_DAY)])
    assert house.desk.dossier(key, dossier.id).state is DossierState.OPEN

    after = house.desk.seal(key, dossier.id, account=DOCTOR)

    assert (after.state, after.version, after.late) == (DossierState.SEALED, 2, ())
    assert [one.account for one in house.facts.read(key).decisions if one.what.act == "seal"] == ["fay", "dora"]
    assert list(house.vault.check(after.id)) == []


def test_dossier_then_it_answers_to_the_beginning_of_its_id_and_to_aliases(house: SmallHouse) -> None:
    boost = [plan("boost"), *records(2, plan="boost")]
    key = house.receive([*course(fractions=5), *boost])
    dossier = house.desk.record(key).dossiers[0]

    assert house.desk.dossier(key, dossier.id[:8]).id == dossier.id
    assert house.desk.dossier(key, dossier.aliases[0]).id == dossier.id
    with pytest.raises(NotFound):
        house.desk.dossier(key, "zzzz")
    far = course("far", start=LAST_DAY.replace(year=2030), fractions=2, ct="ct2", frame="f2")
    house.receive(far)
    with pytest.raises(Ambiguous):
        house.desk.dossier(key, "")


def brought(house: SmallHouse, *, recorded_too: bool) -> tuple[PatientKey, Dossier]:
    key = house.receive(one for one in course(fractions=5) if recorded_too or one.record is None)
    (dossier,) = house.desk.record(key).dossiers
    return key, dossier


def test_state_delivery_of_a_plan_without_records_then_it_counts_as_stated(house: SmallHouse) -> None:
    key, dossier = brought(house, recorded_too=False)
    act = SetDeliveryState(plan_uid=dossier.plan_uids[0], delivered=False, reason="superseded before the first day")

    after = house.desk.state_delivery(key, dossier.id, act, account=PHYSICIST)

    assert after.plans[0].delivery_state is DeliveryState.NOT_DELIVERED
    assert ("deliver", "phil") in journalled(house)


def test_state_delivery_against_the_records_then_it_is_refused(house: SmallHouse) -> None:
    key, dossier = brought(house, recorded_too=True)
    act = SetDeliveryState(plan_uid=dossier.plan_uids[0], delivered=False, reason="I think so")

    with pytest.raises(Refused, match="recorded fraction"):
        house.desk.state_delivery(key, dossier.id, act, account=PHYSICIST)


def test_state_delivery_without_a_reason_then_it_is_refused(house: SmallHouse) -> None:
    key, dossier = brought(house, recorded_too=False)
    act = SetDeliveryState(plan_uid=dossier.plan_uids[0], delivered=True, reason=" ")

    with pytest.raises(Refused, match="reason"):
        house.desk.state_delivery(key, dossier.id, act, account=PHYSICIST)


def test_seal_when_the_plan_came_under_two_patients_then_the_second_is_not_taken_for_the_first(
    house: SmallHouse,
) -> None:
    first, dossier = house.sealed()
    second = key_of(TWIN)
    house.receive(under(TWIN, course("plan", fractions=5)))
    (same,) = house.desk.record(second).dossiers
    house.desk.close(second, same.id, completed(), account=DOCTOR)
    assert same.id == dossier.id

    for _ in range(2):  # before and after its own plan was tried
        with pytest.raises(Refused, match="sealed of another patient") as caught:
            house.desk.seal(second, same.id, account=FILE_MANAGER)
    assert "lastgate link" in caught.value.advice
    assert house.desk.dossier(second, same.id).state is not DossierState.SEALED
    assert house.desk.dossier(first, dossier.id).version == 1
    assert list(house.vault.check(dossier.id)) == []
