"""People state who is one person: signed, undone at will, and never against what others said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archive.answers import dossier_answer
from archive.desk.accounts import Account
from archive.desk.identity import IdentityDesk
from archive.errors import FactClash, Refused
from archive.facts.decisions import Close, Decision, StateDeath, StateIdentity
from archive.facts.linked import joined
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import DossierState
from archive.signing.acts import is_genuine
from tests.archive.assembly.linked import TWIN, YEARS_LATER, patient_of, under
from tests.archive.house import ADMINISTRATOR, DOCTOR, FILE_MANAGER, PHYSICIST, SmallHouse, completed
from tests.factories import course, decision, document, image, key_of, uid

A, B = key_of(), key_of(TWIN)
LEAD = min(A, B)


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    """Return a house with a course under one ID and a later one under another."""
    made = SmallHouse(tmp_path)
    later = course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")
    made.receive([*course("a", fractions=5), *under(TWIN, later)])
    return made


def identity(house: SmallHouse) -> IdentityDesk:
    return IdentityDesk(desk=house.desk)


def third(house: SmallHouse, name: str = "C") -> PatientKey:
    """Receive something of one more patient."""
    house.receive(under(patient_of(name), [image(f"of {name}")]))
    return key_of(patient_of(name))


def test_link_then_both_courses_stand_under_one_person_with_every_id(house: SmallHouse) -> None:
    record = identity(house).link(A, B, reason="same person", account=FILE_MANAGER)

    assert record.key == LEAD
    assert {one.key for one in record.members} == {A, B}
    assert {uid_ for one in record.dossiers for uid_ in one.plan_uids} == {uid("a"), uid("b")}
    assert {one.value for one in record.person.identifiers} == {"H-1001", "001001"}
    assert {one.patient_key for one in record.dossiers} == {LEAD}
    assert house.desk.record(A) == house.desk.record(B)


def test_link_then_the_word_is_signed_lies_under_both_and_is_journalled(house: SmallHouse) -> None:
    identity(house).link(B, A, reason=" same person ", account=DOCTOR)

    for key in (A, B):
        (word,) = house.facts.read_alone(key).decisions
        assert word.what == StateIdentity(patients=(min(A, B), max(A, B)), are_one=True, reason="same person")
        assert is_genuine(word)
    assert {A, B} <= set(house.refreshed)
    house.journal.flush()
    assert [one["subject"]["patients"] for one in house.journal.events() if one["act"] == "link"] == [sorted([A, B])]


def test_unlink_then_everything_is_as_before_but_for_the_version(house: SmallHouse) -> None:
    before = {key: house.desk.record(key) for key in (A, B)}
    people = identity(house)
    joined_record = people.link(A, B, reason="x", account=DOCTOR)

    people.unlink(A, B, reason="they are cousins", account=FILE_MANAGER)

    for key in (A, B):
        after = house.desk.record(key)
        assert [dossier_answer(one) for one in after.dossiers] == [dossier_answer(one) for one in before[key].dossiers]
        assert after.version > joined_record.version > before[key].version
        assert after.told_apart == tuple({A, B} - {key})
    people.link(A, B, reason="no, one", account=DOCTOR)
    assert len(house.desk.record(A).dossiers) == 2


def test_link_of_two_of_whom_one_has_a_sealed_dossier_then_the_seal_keeps_its_id_and_the_next_version_follows(
    tmp_path: Path,
) -> None:
    house = SmallHouse(tmp_path)
    _, sealed = house.sealed()
    house.receive(under(TWIN, course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")))

    record = identity(house).link(A, B, reason="x", account=DOCTOR)

    again = next(one for one in record.dossiers if uid("plan") in one.plan_uids)
    assert (again.id, again.state, again.version) == (sealed.id, DossierState.SEALED, 1)
    assert not again.late
    house.receive(under(TWIN, [document("letter", day=YEARS_LATER.replace(year=2024, month=3, day=20))]))
    late = house.desk.dossier(A, sealed.id)
    assert [held.header.document_title for held in late.late] == ["letter"]
    assert house.desk.seal(B, sealed.id, account=FILE_MANAGER).version == 2
    assert house.vault.inventory(sealed.id)["head"] == "v2"  # type: ignore[index]


def test_unlink_when_a_dossier_was_sealed_together_then_it_keeps_what_it_held_and_says_so(house: SmallHouse) -> None:
    people = identity(house)
    people.link(A, B, reason="x", account=DOCTOR)
    house.receive(under(TWIN, [document("letter", day=YEARS_LATER.replace(year=2024, month=3, day=20))]))
    (dossier,) = [one for one in house.desk.record(A).dossiers if uid("a") in one.plan_uids]
    assert len(dossier.instances) == len(course("a", fractions=5)) + 1
    house.desk.close(A, dossier.id, completed(), account=DOCTOR)
    house.released(A, house.desk.dossier(A, dossier.id))
    sealed = house.desk.seal(A, dossier.id, account=FILE_MANAGER)

    people.unlink(A, B, reason="two after all", account=DOCTOR)

    mine, other = house.desk.record(A), house.desk.record(B)
    kept = next(one for one in mine.dossiers if one.id == sealed.id)
    assert len(kept.instances) == len(sealed.instances)
    assert len(kept.astray) == 1
    assert "SEALED-ASTRAY" in {one.code for one in kept.findings}
    assert sealed.id not in {one.id for one in other.dossiers}
    assert [held.header.document_title for held in other.unattached] == ["letter"] or any(
        "letter" in {held.header.document_title for held in one.instances} for one in other.dossiers
    )


def test_decision_about_a_joined_person_then_lies_under_the_lead_and_above_all_numbers(house: SmallHouse) -> None:
    people = identity(house)
    house.facts.write_decision(max(A, B), _noted(7))
    people.link(A, B, reason="x", account=DOCTOR)

    (dossier,) = [one for one in house.desk.record(B).dossiers if uid("b") in one.plan_uids]
    house.desk.close(
        B, dossier.id, Close(plan_uids=(), outcome="stopped", last_date="20280310", reason="x"), account=DOCTOR
    )

    assert [one.number for one in house.facts.read(A).decisions] == [7, 8, 9]
    assert 9 in {one.number for one in house.facts.read_alone(LEAD).decisions}
    assert 9 not in {one.number for one in house.facts.read_alone(max(A, B)).decisions}


def _noted(number: int) -> Decision:
    return decision(number, StateDeath(date="20300101", reason="x"))


def test_refused_proposal_then_both_know_it_and_their_facts_stay_apart(house: SmallHouse) -> None:
    identity(house).unlink(A, B, reason="father and son", account=FILE_MANAGER)

    assert house.desk.record(A).told_apart == (B,)
    assert house.desk.record(B).told_apart == (A,)
    assert house.facts.read(A).members == ()


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda people, _: people.link(A, A, reason="x", account=DOCTOR), "one and the same patient"),
        (lambda people, _: people.link(A, B, reason=" ", account=DOCTOR), "needs a reason"),
        (lambda people, _: people.link(A, B, reason="x", account=PHYSICIST), "may not identity"),
        (lambda people, _: people.link(A, B, reason="x", account=ADMINISTRATOR), "may not identity"),
        (lambda people, _: [people.link(A, B, reason="x", account=DOCTOR) for _ in (1, 2)], "one person already"),
        (lambda people, _: [people.unlink(A, B, reason="x", account=DOCTOR) for _ in (1, 2)], "two persons already"),
    ],
)
def test_word_when_it_makes_no_sense_then_it_is_refused(
    house: SmallHouse, act: Callable[[IdentityDesk, Account], object], told: str
) -> None:
    with pytest.raises(Refused, match=told) as refused:
        act(identity(house), DOCTOR)

    assert refused.value.advice


def test_link_when_it_would_join_two_that_were_told_apart_then_it_is_refused_by_name(house: SmallHouse) -> None:
    people, c = identity(house), third(house)
    people.unlink(A, c, reason="x", account=DOCTOR)
    people.link(A, B, reason="x", account=DOCTOR)

    with pytest.raises(Refused, match="are two") as refused:
        people.link(B, c, reason="x", account=DOCTOR)
    assert min(A, c)[:12] in refused.value.advice

    people.link(A, c, reason="that was wrong", account=DOCTOR)
    assert len(house.desk.record(c).members) == 3


def test_unlink_when_a_third_holds_them_together_then_it_says_which_link_to_undo(house: SmallHouse) -> None:
    people, c = identity(house), third(house)
    people.link(A, B, reason="x", account=DOCTOR)
    people.link(B, c, reason="x", account=DOCTOR)

    with pytest.raises(Refused, match="No word joins these two") as refused:
        people.unlink(A, c, reason="x", account=DOCTOR)
    assert B[:12] in str(refused.value)
    people.unlink(B, c, reason="x", account=DOCTOR)
    assert len(house.desk.record(A).members) == 2


def test_link_when_somebody_settles_something_meanwhile_then_it_clashes(house: SmallHouse) -> None:
    desk = house.desk
    seen = joined(A, [desk.facts.read_alone(key) for key in (A, B)])
    identity(house).link(A, B, reason="x", account=DOCTOR)
    act = StateIdentity(patients=(min(A, B), max(A, B)), are_one=False, reason="x")

    with pytest.raises(FactClash):
        desk.settle(A, act, account=DOCTOR, event=Event(act="unlink", account="dora", subject={}), seen=seen)
