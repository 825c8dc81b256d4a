"""Facts are folded into dossiers, whatever their order."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.answers import dossier_answer, patient_answer
from archive.assembly.courses import CourseRules, dossier_id
from archive.assembly.fold import fold
from archive.facts.decisions import Act, ChooseDose, Close, Decision, EnterSummary, Sealed, SetDeliveryState, Waive
from archive.facts.receipts import Receipt
from archive.facts.store import PatientFacts
from archive.headers import InstanceHeader, PatientHeader
from archive.model import Dossier, DossierState, PatientRecord
from archive.uids import own_uid
from tests.factories import (
    MONDAY,
    PATIENT,
    codes,
    course,
    da,
    decision,
    document,
    dose,
    facts,
    folded,
    gate,
    image,
    only_dossier,
    other,
    plan,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    registration,
    series,
    structures,
    uid,
    weekdays,
)

YEARS_LATER = date(2028, 3, 6)


def closed(*names: str, last: date | None = None, outcome: str = "completed") -> Close:
    day = last or weekdays(MONDAY, 25)[-1]
    return Close(plan_uids=tuple(map(uid, names or ("plan",))), outcome=outcome, last_date=da(day))  # type: ignore[arg-type]


def sealed(dossier: Dossier, *, version: int = 1) -> Sealed:
    return Sealed(
        dossier=dossier.id,
        version=version,
        plan_uids=dossier.plan_uids,
        file_sha256s=tuple(held.receipt.file_sha256 for held in (*dossier.instances, *dossier.late)),
        dossier_sha256="0" * 64,
    )


def uids(dossier: Dossier) -> set[str]:
    return {held.uid for held in dossier.instances}


def as_json(record: PatientRecord) -> str:
    everything = [patient_answer(record), *map(dossier_answer, record.dossiers)]
    return json.dumps(everything, ensure_ascii=False)


def hard_case() -> tuple[list[Receipt], list[Decision]]:
    """Return two courses years apart with everything that could depend on order in them."""
    first = course("a", fractions=5, delivered=4)
    second = course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")
    odd = replace(image("odd", series="ct", z_mm=9.0), patient=PatientHeader(identifier=PATIENT.identifier, name="X^Y"))
    loose = [
        registration("reg", "frame", "frame2"),
        registration("pet reg", "frame", "pet frame"),
        *series("pet", frame="pet frame"),
        other("report", "inner report"),
        other("inner report", "a dose"),
        other("stray", "nobody"),
        dose("lone", plans=(), frame="frame2"),
        dose("unseen dose", plans=("unseen",)),
        structures("second contours", series="ct2", frame="frame2"),
        document("letter", day=YEARS_LATER),
        document("undated"),
        odd,
    ]
    receipts = [receipt(one, minutes=at) for at, one in enumerate([*first, *second, *loose])]
    receipts += [
        receipt(first[0], minutes=50, encoding="implicit"),
        receipt(first[1], minutes=51, content="other", disposition="conflict"),
        receipt(first[2], minutes=2, content="twin", node="n2"),
        receipt(second[5], minutes=60),
    ]
    acts: list[Act] = [
        SetDeliveryState(plan_uid=uid("a"), delivered=True, reason="x"),
        ChooseDose(plan_uid=uid("b"), dose_uid=uid("b dose"), reason="x"),
        closed("a", outcome="died"),
        closed("a", last=weekdays(MONDAY, 4)[-1], outcome="stopped"),
        closed("b", last=weekdays(YEARS_LATER, 5)[-1]),
        EnterSummary(plan_uids=(uid("b"),), entries={"n": 1}),
        EnterSummary(plan_uids=(uid("b"),), entries={"n": 2}),
        Waive(code="CHARSET-GUESSED", subject="", plan_uids=(uid("b"),), message="x", reason="x"),
    ]
    return receipts, [decision(number, act) for number, act in enumerate(acts, 1)]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_fold_in_any_order_of_facts_then_the_dossiers_are_the_same(data: st.DataObject) -> None:
    receipts, decisions = hard_case()
    expected = as_json(fold(facts(receipts, decisions), gate=gate()))

    shuffled = facts(data.draw(st.permutations(receipts)), data.draw(st.permutations(decisions)))

    assert as_json(fold(shuffled, gate=gate())) == expected


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_fold_when_some_arrivals_are_repeated_then_the_dossiers_are_the_same(data: st.DataObject) -> None:
    receipts, decisions = hard_case()
    expected = [dossier_answer(one) for one in fold(facts(receipts, decisions), gate=gate()).dossiers]

    repeated = [replace(one, node="n9") for one in data.draw(st.lists(st.sampled_from(receipts), max_size=10))]

    again = fold(facts([*repeated, *receipts], decisions), gate=gate())
    assert [dossier_answer(one) for one in again.dossiers] == expected


def test_fold_of_the_hard_case_then_two_dossiers_hold_what_belongs_to_them() -> None:
    receipts, decisions = hard_case()

    record = fold(facts(receipts, decisions), gate=gate())

    first, second = record.dossiers
    assert set(first.plan_uids) == {uid("a"), uid("unseen")}
    assert uid("reg") in uids(first) & uids(second)
    assert {uid("pet 0"), uid("report"), uid("inner report")} <= uids(first) - uids(second)
    assert uid("lone") in uids(second) - uids(first)
    assert second.summary_entries == {"n": 2}
    assert {held.uid for held in record.unattached} >= {uid("stray")}
    assert {finding.code for finding in record.findings} == {"UNATTACHED"}


def test_fold_of_nothing_then_there_is_nothing() -> None:
    record = folded([])

    assert (record.dossiers, record.unattached, record.findings, record.version) == ((), (), (), 0)


def test_fold_of_a_whole_closed_course_then_it_is_ready() -> None:
    dossier = only_dossier(course(), [closed()])

    assert (dossier.state, dossier.findings) == (DossierState.READY, ())
    assert (dossier.first_fraction, dossier.last_fraction) == ("20240304", "20240405")
    assert dossier.id == dossier_id(uid("plan"))
    assert len(dossier.instances) == len(course())


def test_fold_when_nobody_closed_it_then_it_stays_open_and_the_close_is_proposed() -> None:
    dossier = only_dossier(course())

    assert (dossier.state, codes(dossier)) == (DossierState.OPEN, {"CLOSE-PROPOSED"})


def test_fold_when_a_course_follows_within_six_weeks_then_it_is_one_dossier_with_aliases() -> None:
    boost = [plan("boost"), *records(5, plan="boost", start=weekdays(MONDAY, 26)[-1])]

    dossier = only_dossier([*course(), *boost])

    assert set(dossier.plan_uids) == {uid("plan"), uid("boost")}
    assert {dossier.id, *dossier.aliases} == {dossier_id(uid("plan")), dossier_id(uid("boost"))}


def test_fold_when_a_course_follows_years_later_then_it_is_a_second_dossier() -> None:
    record = folded([*course("a"), *course("b", start=YEARS_LATER, ct="ct2", frame="frame2")])

    first, second = record.dossiers
    assert (first.plan_uids, second.plan_uids) == ((uid("a"),), (uid("b"),))
    assert not uids(first) & uids(second)


def test_fold_when_the_gap_setting_is_given_then_it_groups() -> None:
    later = MONDAY + timedelta(days=70)
    both = [*course("a", fractions=5), *course("b", start=later, fractions=5, ct="ct2", frame="frame2")]

    assert len(folded(both).dossiers) == 2
    assert len(folded(both, rules=CourseRules(longest_gap_days=90)).dossiers) == 1


def test_fold_when_two_courses_were_planned_on_one_image_then_it_is_in_both() -> None:
    record = folded([*course("a", fractions=5), *course("b", start=YEARS_LATER, fractions=5)])

    first, second = record.dossiers
    shared = {uid("ct 0"), uid("ct 1"), uid("ct 2"), uid("structures ct")}
    assert uids(first) & uids(second) == shared
    assert codes(first) == codes(second) == {"CLOSE-PROPOSED"}


def test_fold_when_records_come_before_the_plan_then_they_wait_in_its_dossier() -> None:
    before = only_dossier(records(5))
    after = only_dossier(course())

    assert before.id == after.id == dossier_id(uid("plan"))
    assert "PLAN-MISSING" in codes(before)
    assert len(before.sessions) == 5


def test_fold_when_a_dose_names_an_unseen_plan_then_the_plan_is_missing_and_images_come_by_frame() -> None:
    dossier = only_dossier([dose(), structures(), *series()])

    assert {"PLAN-MISSING", "REFERENCE-BROKEN", "RECORDS-MISSING"} <= codes(dossier)
    assert uids(dossier) == {uid("dose"), uid("structures"), uid("ct 0"), uid("ct 1"), uid("ct 2")}


def test_fold_when_references_are_broken_then_the_frame_stands_in_and_a_finding_says_so() -> None:
    astray = [plan(structures="gone"), structures("contours", series="gone"), *series(), dose(), *records(25)]

    dossier = only_dossier(astray, [closed()])

    assert len(dossier.instances) == len(astray)
    assert codes(dossier) == {"REFERENCE-BROKEN"}
    (finding,) = dossier.findings
    assert set(finding.instance_uids) == {uid("contours"), uid("ct 0"), uid("ct 1"), uid("ct 2")}


def test_fold_when_a_replan_has_its_own_image_and_broken_references_then_its_image_comes_too() -> None:
    replanned = replace(plan("b", structures="gone"), frame_uid=uid("frame2"))
    more = [replanned, structures("s2", series="gone", frame="frame2"), *series("ct2", frame="frame2")]

    dossier = only_dossier([*course("a"), *more, *records(3, plan="b")])

    assert {uid("s2"), uid("ct2 0")} <= uids(dossier)
    assert "IMAGES-MISSING" not in codes(dossier)


def test_fold_when_images_of_the_same_frame_are_referred_to_by_nobody_then_they_come_without_a_finding() -> None:
    phases = series("4d phase", frame="frame")

    dossier = only_dossier([*course(), *phases], [closed()])

    assert {phase.sop_instance_uid for phase in phases} <= uids(dossier)
    assert dossier.findings == ()


def test_fold_when_a_registration_joins_two_courses_then_it_is_in_both() -> None:
    both = [*course("a", fractions=5), *course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")]

    first, second = folded([*both, registration("reg", "frame", "frame2")]).dossiers

    assert uid("reg") in uids(first) & uids(second)
    assert uid("ct2 0") not in uids(first)


@pytest.mark.parametrize("name", ["a pet", "z pet", "m pet"])
def test_fold_when_an_image_is_registered_then_it_comes_whatever_its_uid(name: str) -> None:
    pet = series(name, frame="pet frame")

    dossier = only_dossier([*course(), *pet, registration("reg", "pet frame", "frame")])

    assert {one.sop_instance_uid for one in pet} <= uids(dossier)


def test_fold_when_a_registration_touches_no_course_then_it_is_unattached() -> None:
    record = folded([*course(), registration("reg", "x", "y")])

    assert [held.uid for held in record.unattached] == [uid("reg")]


def test_fold_of_documents_then_they_go_to_the_only_course_or_to_the_one_of_their_day() -> None:
    letter, undated = document("letter", day=YEARS_LATER), document("undated")
    one = course("a", fractions=5)
    two = course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")

    assert len(only_dossier([*one, undated]).instances) == len(one) + 1
    record = folded([*one, *two, letter, undated])
    assert len(record.dossiers[1].instances) == len(two) + 1
    assert [held.header.document_title for held in record.unattached] == ["undated"]


def test_fold_without_any_plan_then_everything_waits_unattached() -> None:
    record = folded([*series(), document("letter")])

    assert (record.dossiers, len(record.unattached)) == ((), 4)


def test_fold_when_the_patient_has_no_identifier_then_that_is_a_finding_of_the_patient() -> None:
    nameless = replace(image("a"), patient=PatientHeader(identifier=replace(PATIENT.identifier, value="")))

    assert {finding.code for finding in folded([nameless]).findings} == {"UNATTACHED", "PATIENT-UNKNOWN"}


def test_fold_when_a_plan_was_not_delivered_then_its_records_are_no_sessions() -> None:
    phantom = [plan("qa", structures=""), record("qa record", recorded(1), plan="qa", day=MONDAY)]
    was_not = SetDeliveryState(plan_uid=uid("qa"), delivered=False, reason="phantom")

    dossier = only_dossier([*course(start=MONDAY + timedelta(days=1)), *phantom], [was_not])

    assert dossier.first_fraction == da(MONDAY + timedelta(days=1))
    assert len(dossier.phases) == 1


class TestSealed:
    """A seal freezes id and membership."""

    @staticmethod
    def seal_of(headers: list[InstanceHeader]) -> list[Act]:
        dossier = only_dossier(headers, [closed("a", last=weekdays(MONDAY, 5)[-1])])
        assert dossier.state is DossierState.READY
        return [closed("a", last=weekdays(MONDAY, 5)[-1]), sealed(dossier)]

    def test_fold_when_sealed_then_state_version_and_id_tell_it(self) -> None:
        first = course("a", fractions=5)

        dossier = only_dossier(first, self.seal_of(first))

        assert (dossier.state, dossier.version, dossier.late) == (DossierState.SEALED, 1, ())

    def test_fold_when_something_arrives_after_the_seal_then_it_waits(self) -> None:
        first = course("a", fractions=5)

        dossier = only_dossier([*first, other("report", "a dose")], self.seal_of(first))

        assert [held.uid for held in dossier.late] == [uid("report")]
        assert uid("report") not in uids(dossier)
        assert codes(dossier) == {"LATE"}

    def test_fold_when_the_late_arrival_was_added_then_nothing_waits(self) -> None:
        first = course("a", fractions=5)
        more = [*first, other("report", "a dose")]
        acts = self.seal_of(first)

        dossier = only_dossier(more, [*acts, sealed(only_dossier(more, acts), version=2)])

        assert (dossier.version, dossier.late) == (2, ())
        assert uid("report") in uids(dossier)

    def test_fold_when_an_earlier_plan_arrives_after_the_seal_then_the_id_stays_and_a_doctor_must_look(self) -> None:
        first = course("a", fractions=5)
        acts = self.seal_of(first)
        earlier = course("b", start=MONDAY - timedelta(days=14), fractions=5, ct="ct2", frame="frame2")

        record = folded([*first, *earlier], acts)

        assert [one.id for one in record.dossiers] == [dossier_id(uid("b")), dossier_id(uid("a"))]
        assert record.dossiers[1].state is DossierState.SEALED
        assert all("COURSE-BOUNDARY" in codes(one) for one in record.dossiers)

    def test_fold_when_a_plan_arrives_that_was_only_referred_to_when_sealed_then_the_id_stays(self) -> None:
        first = [*course("a", fractions=5), dose("b dose", plans=("b",))]
        before = only_dossier(first)
        acts: list[Act] = [closed("a", "b", last=weekdays(MONDAY, 5)[-1]), sealed(before)]
        earlier = plan("b", header=plan_header(date="20240101"))

        after = only_dossier([*first, earlier], acts)

        assert before.id == after.id == dossier_id(uid("a"))
        assert after.aliases == (dossier_id(uid("b")),)

    def test_fold_when_a_second_course_makes_a_document_doubtful_then_the_sealed_dossier_keeps_it(self) -> None:
        first = [*course("a", fractions=5), document("undated")]
        acts = self.seal_of(first)
        later = course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")

        record = folded([*first, *later], acts)

        assert len(record.dossiers[0].instances) == len(first)
        assert record.unattached == ()

    def test_fold_when_a_sealed_registration_fits_a_new_course_then_it_is_in_both(self) -> None:
        first = [*course("a", fractions=5), registration("reg", "frame", "frame2")]
        acts = self.seal_of(first)
        later = course("b", start=YEARS_LATER, fractions=5, ct="ct2", frame="frame2")

        record = folded([*first, *later], acts)

        assert all(uid("reg") in uids(one) for one in record.dossiers)

    def test_fold_when_a_conflict_arrives_after_the_seal_then_the_sealed_content_stays(self) -> None:
        first = course("a", fractions=5)
        acts = self.seal_of(first)
        earlier = receipt(first[0], minutes=-60, content="other")

        dossier = only_dossier([earlier, *first], acts)

        assert dossier.late == ()
        assert receipt(first[0]).file_sha256 in {held.receipt.file_sha256 for held in dossier.instances}
        assert codes(dossier) == {"CONFLICT"}

    def test_fold_when_a_variant_arrives_after_the_seal_then_nothing_is_late(self) -> None:
        first = course("a", fractions=5)
        acts = self.seal_of(first)

        dossier = only_dossier([receipt(first[0], minutes=-60, encoding="implicit"), *first], acts)

        assert (dossier.late, dossier.findings) == ((), ())


def test_fold_of_facts_of_another_key_then_the_key_is_kept() -> None:
    some = facts(course())
    renamed = PatientFacts(key="other", receipts=some.receipts, decisions=())  # type: ignore[arg-type]

    assert {one.patient_key for one in fold(renamed, gate=gate()).dossiers} == {"other"}


def test_fold_when_our_own_dose_unknown_comes_back_then_it_is_no_structure_set_of_the_plan() -> None:
    lone = [plan(structures=""), dose()]
    ours = replace(structures("unknown"), sop_instance_uid=own_uid("unknown"))

    dossier = only_dossier([*lone, ours])

    assert "STRUCTURES-MISSING" in codes(dossier)
