"""File managers correct what was assembled; the newest word counts and what is sealed stays as it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import pytest

from archive.desk.accounts import Account
from archive.desk.corrections import BY_REFERENCES, CorrectionsDesk
from archive.errors import ArchiveError, NotFound, Refused
from archive.facts.decisions import Close, OpenDossier, SetOrigin
from archive.model import Dossier, DossierState
from tests.archive.assembly.linked import STRANGER, YEARS_LATER, under
from tests.archive.house import DOCTOR, FILE_MANAGER, SmallHouse
from tests.factories import course, document, dose, image, key_of, receipt, uid

KEY, OTHER = key_of(), key_of(STRANGER)


class Why(TypedDict):
    """Who corrects, and why."""

    reason: str
    account: Account


WHY = Why(reason="looked at by hand", account=FILE_MANAGER)
OPEN = OpenDossier(course_uid="", origin="paper", label="Neck 2009", reason="paper", first_date="20090105")


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    """Return a house with two courses of one patient, years apart on one CT, and loose images."""
    made = SmallHouse(tmp_path)
    made.receive([*course("a", fractions=3), *course("b", start=YEARS_LATER, fractions=3)])
    made.receive([image("loose", series="loose", frame="nowhere"), document("letter")])
    return made


def corrections(house: SmallHouse) -> CorrectionsDesk:
    return CorrectionsDesk(desk=house.desk)


def of(house: SmallHouse, name: str) -> Dossier:
    return next(one for one in house.desk.record(KEY).dossiers if uid(name) in one.plan_uids)


def held(dossier: Dossier) -> set[str]:
    return {one.uid for one in dossier.instances}


def test_move_to_a_course_then_the_object_is_there_alone_until_the_next_word(house: SmallHouse) -> None:
    desk, series = corrections(house), uid("ct")

    moved = desk.move(KEY, [series], of(house, "b").id, **WHY)

    assert {one.uid for one in moved} == {uid(f"ct {at}") for at in range(3)}
    assert uid("ct 0") in held(of(house, "b")) - held(of(house, "a"))
    desk.move(KEY, [uid("ct 0")], of(house, "a").id, **WHY)
    assert uid("ct 0") in held(of(house, "a")) - held(of(house, "b"))
    desk.move(KEY, [series], BY_REFERENCES, **WHY)
    assert uid("ct 0") in held(of(house, "a")) & held(of(house, "b"))


def test_move_when_the_same_object_comes_again_in_another_encoding_then_it_goes_where_it_was_moved(
    house: SmallHouse,
) -> None:
    header = image("loose", series="loose", frame="nowhere")
    corrections(house).move(KEY, [uid("loose")], of(house, "a").id, **WHY)

    original = next(one for one in of(house, "a").instances if one.uid == uid("loose")).receipt
    again = receipt(header, minutes=-60, encoding="implicit")
    assert again.file_sha256 != original.file_sha256
    house.facts.write_receipts(KEY, [replace(again, content_sha256=original.content_sha256)])

    assert uid("loose") in held(of(house, "a"))
    assert of(house, "a").findings == tuple(one for one in of(house, "a").findings if one.code != "CONFLICT")


def test_move_to_no_course_then_doses_and_records_no_longer_count(house: SmallHouse) -> None:
    desk = corrections(house)
    before = of(house, "a")
    record = before.plans[0].records[0].uid

    desk.move(KEY, [record, uid("a dose")], None, **WHY)

    after = of(house, "a")
    assert len(after.sessions) == len(before.sessions) - 1
    assert (after.plans[0].doses, after.plans[0].chosen_dose_uids) == ((), ())
    assert {record, uid("a dose")} <= {one.uid for one in house.desk.record(KEY).unattached}


def test_move_of_a_plan_to_no_course_then_what_names_it_alone_goes_too(house: SmallHouse) -> None:
    moved = corrections(house).move(KEY, [uid("a")], None, **WHY)

    assert len(moved) == 1 + 1 + 3
    assert [one.plan_uids for one in house.desk.record(KEY).dossiers] == [(uid("b"),)]


def test_move_of_structures_to_another_course_then_only_that_plan_has_them(house: SmallHouse) -> None:
    structures = uid("structures ct")

    corrections(house).move(KEY, [structures], of(house, "b").id, **WHY)

    assert of(house, "a").plans[0].structure_sets == ()
    assert [one.uid for one in of(house, "b").plans[0].structure_sets] == [structures]
    assert structures in held(of(house, "b")) - held(of(house, "a"))


def test_move_of_a_document_by_its_digest_then_it_is_in_that_course(house: SmallHouse) -> None:
    (letter,) = [one for one in house.desk.record(KEY).unattached if one.header.document_title]

    corrections(house).move(KEY, [letter.receipt.file_sha256[:12].upper()], of(house, "b").id, **WHY)

    assert letter.uid in held(of(house, "b"))


def test_move_to_another_patient_then_references_tell_the_course_there(house: SmallHouse) -> None:
    house.receive(under(STRANGER, course("c", start=YEARS_LATER, fractions=2, ct="ct c", frame="frame c")[:4]))
    house.receive([dose("c dose", plans=("c",), frame="frame c")])  # sent under a wrong ID
    wrong = of(house, "c")
    assert wrong.plans[0].held is None

    moved = corrections(house).move_to_patient(KEY, [uid("c dose")], OTHER, **WHY)

    assert len(moved) == 1
    assert uid("c") not in {uid_ for one in house.desk.record(KEY).dossiers for uid_ in one.plan_uids}
    (right,) = house.desk.record(OTHER).dossiers
    assert [one.uid for one in right.plans[0].doses] == [uid("c dose")]
    assert {KEY, OTHER} <= set(house.refreshed)
    corrections(house).move_to_patient(OTHER, [uid("c dose")], KEY, **WHY)
    assert of(house, "c").plans[0].held is None


def test_move_of_a_whole_course_to_another_patient_then_decisions_about_it_go_along(house: SmallHouse) -> None:
    stopped = Close(plan_uids=(), outcome="stopped", last_date="20240306", reason="x")
    house.desk.close(KEY, of(house, "a").id, stopped, account=DOCTOR)
    everything = [one.uid for one in of(house, "a").instances if one.uid not in held(of(house, "b"))]

    corrections(house).move_to_patient(KEY, everything, OTHER, **WHY)

    (there,) = house.desk.record(OTHER).dossiers
    assert (there.plan_uids, there.outcome) == ((uid("a"),), "stopped")
    assert uid("a") not in {uid_ for one in house.desk.record(KEY).dossiers for uid_ in one.plan_uids}


def test_move_out_of_a_sealed_dossier_then_it_stays_there_and_a_finding_says_so(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    _, sealed = house.sealed()
    dose_uid = uid("plan dose")

    corrections(house).move_to_patient(KEY, [dose_uid], OTHER, **WHY)

    kept = house.desk.dossier(KEY, sealed.id)
    assert held(kept) == held(sealed)
    assert kept.astray == (dose_uid,)
    assert "SEALED-ASTRAY" in {one.code for one in kept.findings}
    other = house.desk.record(OTHER)
    assert dose_uid in {one.uid for dossier in other.dossiers for one in dossier.instances}
    assert all(one.id != sealed.id for one in other.dossiers)


def test_move_into_a_sealed_dossier_then_it_waits_for_an_addendum(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    _, sealed = house.sealed()
    house.receive([image("loose", series="loose", frame="nowhere")])

    corrections(house).move(KEY, [uid("loose")], sealed.id, **WHY)

    after = house.desk.dossier(KEY, sealed.id)
    assert [one.uid for one in after.late] == [uid("loose")]
    assert house.desk.seal(KEY, sealed.id, account=FILE_MANAGER).version == 2


def test_merge_and_split_then_the_newest_word_makes_the_courses(house: SmallHouse) -> None:
    desk = corrections(house)
    names = [of(house, "a").id[:12], of(house, "b").id]

    merged = desk.merge(KEY, names, **WHY)
    assert set(merged.plan_uids) == {uid("a"), uid("b")}
    assert len(house.desk.record(KEY).dossiers) == 1

    parted = desk.split(KEY, merged.id, [uid("b")], **WHY)
    assert parted.plan_uids == (uid("b"),)
    assert desk.merge(KEY, [merged.id, parted.id], **WHY).plan_uids == merged.plan_uids


def test_open_dossier_then_a_course_without_plan_can_be_closed_found_and_told_where_it_was_given(
    house: SmallHouse,
) -> None:
    desk = corrections(house)

    opened = desk.open_dossier(KEY, OPEN, account=FILE_MANAGER)
    assert (opened.origin, opened.plans, opened.first_fraction) == ("paper", (), "20090105")
    assert opened.opened[0].label == "Neck 2009"
    assert {one.code for one in opened.findings} == {"NOT-CLOSED"}

    told = SetOrigin(plan_uids=(), origin="elsewhere", institution="County hospital", reason="letter")
    after = desk.set_origin(KEY, opened.id, told, account=DOCTOR)
    assert (after.id, after.origin, after.institution) == (opened.id, "elsewhere", "County hospital")
    desk.move(KEY, [uid("loose")], opened.id, **WHY)
    closed = Close(plan_uids=(), outcome="completed", last_date="20090301")
    after = house.desk.close(KEY, opened.id, closed, account=DOCTOR)
    assert (after.outcome, held(after)) == ("completed", {uid("loose")})

    second = desk.open_dossier(KEY, OPEN, account=FILE_MANAGER)
    assert second.id != opened.id
    assert set(desk.merge(KEY, [opened.id, of(house, "a").id], **WHY).plan_uids) == {uid("a"), *opened.plan_uids}


def test_opened_dossier_when_it_is_sealed_then_it_keeps_its_id(house: SmallHouse) -> None:
    desk = corrections(house)
    opened = desk.open_dossier(KEY, OPEN, account=FILE_MANAGER)
    desk.move(KEY, [uid("loose")], opened.id, **WHY)
    closed = house.desk.close(
        KEY, opened.id, Close(plan_uids=(), outcome="completed", last_date="20090301"), account=DOCTOR
    )
    house.released(KEY, closed)

    sealed = house.desk.seal(KEY, opened.id, account=FILE_MANAGER)

    assert (sealed.id, sealed.state, held(sealed)) == (opened.id, DossierState.SEALED, {uid("loose")})


SEALED: dict[str, Callable[[CorrectionsDesk, Dossier], object]] = {
    "merge": lambda desk, one: desk.merge(KEY, [one.id, desk.open_dossier(KEY, OPEN, account=DOCTOR).id], **WHY),
    "split": lambda desk, one: desk.split(KEY, one.id, [uid("plan")], **WHY),
    "origin": lambda desk, one: desk.set_origin(
        KEY, one.id, SetOrigin(plan_uids=(), origin="paper", reason="x"), account=DOCTOR
    ),
}


@pytest.mark.parametrize("name", SEALED)
def test_correction_of_a_sealed_dossier_then_it_is_refused(tmp_path: Path, name: str) -> None:
    house = SmallHouse(tmp_path)
    _, sealed = house.sealed()

    with pytest.raises(Refused, match="is sealed"):
        SEALED[name](corrections(house), sealed)


NONSENSE: dict[str, tuple[type[ArchiveError], str, Callable[[CorrectionsDesk, SmallHouse], object]]] = {
    "no reason": (
        Refused,
        "needs a reason",
        lambda d, _: d.move(KEY, [uid("loose")], None, reason=" ", account=DOCTOR),
    ),
    "no such object": (NotFound, "no object", lambda d, _: d.move(KEY, ["1.2"], None, **WHY)),
    "no such dossier": (NotFound, "no dossier", lambda d, _: d.move(KEY, [uid("loose")], "zzz", **WHY)),
    "record of another plan": (
        Refused,
        "counts for plan",
        lambda d, h: d.move(KEY, [of(h, "a").plans[0].records[0].uid], of(h, "b").id, **WHY),
    ),
    "plan to another course": (Refused, "makes its course", lambda d, h: d.move(KEY, [uid("a")], of(h, "b").id, **WHY)),
    "same person": (Refused, "already", lambda d, _: d.move_to_patient(KEY, [uid("loose")], KEY, **WHY)),
    "one dossier": (Refused, "one dossier", lambda d, h: d.merge(KEY, [of(h, "a").id, of(h, "a").id[:9]], **WHY)),
    "all plans": (Refused, "a part must stay", lambda d, h: d.split(KEY, of(h, "a").id, [uid("a")], **WHY)),
    "no plan": (Refused, "A part must go", lambda d, h: d.split(KEY, of(h, "a").id, [], **WHY)),
    "plan of another": (NotFound, "no plan", lambda d, h: d.split(KEY, of(h, "a").id, [uid("b")], **WHY)),
    "no label": (
        Refused,
        "no label",
        lambda d, _: d.open_dossier(
            KEY, OpenDossier(course_uid="", origin="paper", label=" ", reason="x"), account=DOCTOR
        ),
    ),
    "days turned round": (
        Refused,
        "ends before",
        lambda d, _: d.open_dossier(
            KEY,
            OpenDossier(
                course_uid="", origin="paper", label="x", reason="x", first_date="20100101", last_date="20090101"
            ),
            account=DOCTOR,
        ),
    ),
    "nobody elsewhere": (
        Refused,
        "Nobody is named",
        lambda d, h: d.set_origin(
            KEY, of(h, "a").id, SetOrigin(plan_uids=(), origin="elsewhere", reason="x"), account=DOCTOR
        ),
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_correction_when_it_makes_no_sense_then_it_is_refused_with_advice(house: SmallHouse, name: str) -> None:
    error, told, act = NONSENSE[name]
    before = house.facts.read(KEY).count

    with pytest.raises(error, match=told) as refused:
        act(corrections(house), house)

    assert refused.value.advice
    assert house.facts.read(KEY).count == before
