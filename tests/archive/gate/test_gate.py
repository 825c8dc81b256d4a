"""Every rule of the gate, in good and in bad cases, in both languages."""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

import archive.assembly
import archive.figures
import archive.gate
from archive.facts.decisions import (
    Act,
    Close,
    Decision,
    Move,
    Sealed,
    SetDeliveryState,
    SheetFraction,
    Transcribe,
    Waive,
)
from archive.facts.receipts import Receipt
from archive.gate.binding import standard_rulebook
from archive.gate.gate import RULES
from archive.gate.papers import PAPERS
from archive.gate.words import TermWords, standard_terms, standard_words
from archive.headers import InstanceHeader, InstanceKind, PatientHeader
from archive.model import Dossier, DossierState, Finding, PatientRecord, Severity
from archive.uids import own_uid
from tests.archive.gate import rule_cases, test_dosimetry
from tests.factories import (
    MONDAY,
    PATIENT,
    beam,
    codes,
    course,
    da,
    decision,
    document,
    dose,
    folded,
    group,
    image,
    only_dossier,
    other,
    plan,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    structures,
    target,
    uid,
    weekdays,
)

Case = tuple[Sequence[InstanceHeader | Receipt], Sequence[Act]]
"""What arrived, and what people settled."""
LAST = weekdays(MONDAY, 5)[-1]


def close(outcome: str = "completed", last: date = LAST) -> Close:
    return Close(plan_uids=(uid("plan"),), outcome=outcome, last_date=da(last), reason="r")  # type: ignore[arg-type]


def good(**header: object) -> list[InstanceHeader]:
    """Return a course of five fractions in which nothing is wrong; `header` changes its plan."""
    return course(fractions=5, **header)  # type: ignore[arg-type]


def without(kind: InstanceKind) -> list[InstanceHeader]:
    return [one for one in good() if one.kind is not kind]


def with_records(*given: InstanceHeader, **header: object) -> list[InstanceHeader]:
    return [*(one for one in good(**header) if one.kind is not InstanceKind.RECORD), *given]


def patient(**values: object) -> list[InstanceHeader]:
    """Return the good course with one slice of another patient."""
    first, *rest = good()
    return [replace(first, patient=replace(PATIENT, **values)), *rest]  # type: ignore[arg-type]


def nameless() -> list[InstanceHeader]:
    nobody = PatientHeader(identifier=replace(PATIENT.identifier, value=""), name="Sample^Ada")
    return [replace(one, patient=nobody) for one in good()]


def seal(headers: list[InstanceHeader]) -> Act:
    files = tuple(receipt(one).file_sha256 for one in headers)
    dossier = only_dossier(headers)
    return Sealed(
        dossier=dossier.id, version=1, plan_uids=dossier.plan_uids, file_sha256s=files, dossier_sha256="0" * 64
    )


def moved_away(header: InstanceHeader) -> Act:
    return Move(file_sha256s=(receipt(header).file_sha256,), to_plan_uid="", reason="x")


def copied() -> Act:
    fractions = (SheetFraction(number=1, date=da(MONDAY)),)
    return Transcribe(plan_uid=uid("plan"), fractions=fractions, source="sheet", reason="x")


def two_groups(*given: InstanceHeader) -> list[InstanceHeader]:
    groups = (
        group(1, 2, dose_reference_numbers=(1,)),
        group(2, 2, dose_reference_numbers=(2,)),
    )
    return with_records(*given, fraction_groups=groups, dose_references=(target(1), target(2)))


def numbered(*numbers: int | None) -> list[InstanceHeader]:
    days = weekdays(MONDAY, len(numbers))
    return [record(f"r{at}", recorded(number), day=days[at]) for at, number in enumerate(numbers)]


def grouped(*numbers: int) -> list[InstanceHeader]:
    """Return four records, the last two of the second group, bearing these fraction numbers."""
    days = weekdays(MONDAY, 4)
    return [record(f"r{at}", recorded(n), group_number=1 + at // 2, day=days[at]) for at, n in enumerate(numbers)]


def aside(name: str, **values: object) -> InstanceHeader:
    """Return another plan without structures."""
    return plan(name, structures="", header=plan_header(**values))


def replanned(first: int) -> list[InstanceHeader]:
    """Return a course that was replanned after two of five fractions; the new plan counts from `first`."""
    newer = plan(
        "new",
        structures="structures ct",
        header=plan_header(replaces=(uid("plan"),), fraction_groups=(group(fractions=3),)),
    )
    started = [one for one in good() if one.kind is not InstanceKind.RECORD]
    later = records(3, plan="new", start=MONDAY + timedelta(days=2), first=first)
    return [*started, *records(2), newer, dose("new dose", plans=("new",)), *later]


DONE = [close()]
WAS_DELIVERED = SetDeliveryState(plan_uid=uid("plan"), delivered=True, reason="paper")
UNEVEN = with_records(
    record("r", recorded(1, mu=50.0), recorded(1, beam_number=2, mu=150.0)),
    beams=(beam(1), beam(2)),
    fraction_groups=(group(fractions=1, metersets=(100.0, 100.0)),),
)
CONTINUED = (
    record("part", recorded(5, mu=30.0), day=LAST),
    record("rest", recorded(5, mu=70.0, delivery_type="CONTINUATION"), day=LAST, time="1100"),
)
BRACHY = with_records(
    record("r", recorded(1, mu=None, specified_meterset=None)),
    brachy_treatment="HDR",
    beams=(),
    fraction_groups=(group(fractions=1, metersets=(None,)),),
)

BAD: dict[str, Callable[[], Case]] = {
    "PATIENT-UNKNOWN": lambda: (nameless(), DONE),
    "PATIENT-DIFFERS": lambda: (patient(name="Other^Eve"), DONE),
    "PLAN-MISSING": lambda: (without(InstanceKind.PLAN), DONE),
    "PLAN-UNAPPROVED": lambda: (good(approval="UNAPPROVED"), DONE),
    "TARGET-MISSING": lambda: (good(dose_references=()), DONE),
    "SIDE-DIFFERS": lambda: (good(label="Breast R"), DONE),
    "STRUCTURES-MISSING": lambda: (without(InstanceKind.STRUCTURES), DONE),
    "IMAGES-MISSING": lambda: (without(InstanceKind.IMAGE), DONE),
    "IMAGES-INCOMPLETE": lambda: (good()[1:], DONE),
    "SLICES-MISSING": lambda: ([*good(), image("far", z_mm=30.0)], DONE),
    "DOSE-MISSING": lambda: (without(InstanceKind.DOSE), DONE),
    "DOSE-CANDIDATES": lambda: ([*good(), dose("second")], DONE),
    "DOSE-WITHOUT-PLAN": lambda: ([*good(), dose("lone", plans=())], DONE),
    "FRAME-DIFFERS": lambda: ([*without(InstanceKind.DOSE), dose("plan dose", frame="elsewhere")], DONE),
    "REFERENCE-BROKEN": lambda: ([plan(structures="gone", header=plan_header()), structures("there")], []),
    "RECORDS-MISSING": lambda: (without(InstanceKind.RECORD), []),
    "QA-DELIVERED": lambda: (good(intent="VERIFICATION"), DONE),
    "FRACTIONS-UNPLANNED": lambda: (good(fraction_groups=(group(fractions=None),)), DONE),
    "FRACTIONS-MISSING": lambda: (with_records(*records(4)), [close(last=weekdays(MONDAY, 4)[-1])]),
    "FRACTIONS-EXCESS": lambda: (with_records(*records(6)), []),
    "FRACTION-PARTIAL": lambda: (with_records(*records(4), record("cut", recorded(5, mu=90.0), day=LAST)), DONE),
    "FRACTION-NUMBERS": lambda: (with_records(*numbered(1, 2, 4, 5, 6)), DONE),
    "METERSET-DIFFERS": lambda: (with_records(*records(4), record("more", recorded(5, mu=110.0), day=LAST)), DONE),
    "METERSET-UNKNOWN": lambda: (with_records(*records(4), record("vague", recorded(5, mu=None), day=LAST)), DONE),
    "MACHINE-DIFFERS": lambda: (
        with_records(*records(4), record("away", recorded(5), day=LAST, machine="LINAC2")),
        DONE,
    ),
    "COURSE-BOUNDARY": lambda: (
        with_records(*records(4), record("late", recorded(5), day=LAST + timedelta(days=30))),
        [close(last=LAST + timedelta(days=30))],
    ),
    "NOT-CLOSED": lambda: (with_records(*records(3)), []),
    "CLOSE-PROPOSED": lambda: (good(), []),
    "CLOSE-DIFFERS": lambda: (good(), [close(last=LAST - timedelta(days=1))]),
    "CONFLICT": lambda: ([*good(), receipt(good()[0], content="other", disposition="conflict")], DONE),
    "UNREADABLE-VALUES": lambda: ([*good(), replace(other("sr", "ct 0"), flags=("unreadable:StudyDate",))], DONE),
    "CHARSET-GUESSED": lambda: ([*good(), replace(other("sr", "ct 0"), flags=("charset-guessed:gb18030",))], DONE),
    "LATE": lambda: ([*good(), other("sr", "ct 0")], [*DONE, seal(good())]),
    "SEALED-ASTRAY": lambda: (good(), [*DONE, seal(good()), moved_away(good()[0])]),
    "TRANSCRIPTION-UNSIGNED": lambda: (without(InstanceKind.RECORD), [copied()]),
    "UNATTACHED": lambda: ([image("follow-up", frame="elsewhere")], []),
}

MORE_BAD: list[tuple[str, str, Callable[[], Case]]] = [
    ("PATIENT-DIFFERS", "birth date", lambda: (patient(birth_date="19000101"), DONE)),
    ("PATIENT-DIFFERS", "sex", lambda: (patient(sex="M"), DONE)),
    ("PATIENT-UNKNOWN", "unattached", lambda: ([replace(image("x"), patient=nameless()[0].patient)], [])),
    ("PLAN-UNAPPROVED", "no status", lambda: (good(approval=""), DONE)),
    ("TARGET-MISSING", "only a point", lambda: (good(dose_references=(target(structure_type="POINT"),)), DONE)),
    ("TARGET-MISSING", "no dose", lambda: (good(dose_references=(target(gy=None),)), DONE)),
    ("SIDE-DIFFERS", "by site", lambda: (good(sites=("Right breast",)), DONE)),
    ("DOSE-CANDIDATES", "no type", lambda: ([*without(InstanceKind.DOSE), dose("d", summation="")], DONE)),
    (
        "IMAGES-MISSING",
        "of the second plan",
        lambda: ([*good(), replace(aside("b"), frame_uid=uid("other")), *records(5, plan="b")], DONE),
    ),
    ("RECORDS-MISSING", "of an unseen plan", lambda: ([dose()], [])),
    ("FRACTIONS-MISSING", "stated as delivered", lambda: (without(InstanceKind.RECORD), [WAS_DELIVERED])),
    (
        "FRACTIONS-EXCESS",
        "over two revisions",
        lambda: ([*replanned(3), record("x", recorded(6), plan="new", day=LAST + timedelta(days=3))], []),
    ),
    ("FRACTION-NUMBERS", "not told", lambda: (with_records(*numbered(1, 2, 3, 4, None)), DONE)),
    ("FRACTION-NUMBERS", "the first missing", lambda: (with_records(*numbered(2, 3, 4, 5)), DONE)),
    ("FRACTION-NUMBERS", "in the second group", lambda: (two_groups(*grouped(1, 2, 5, 6)), DONE)),
    ("FRACTION-PARTIAL", "one beam short, the other over", lambda: (UNEVEN, [])),
    ("METERSET-DIFFERS", "one beam short, the other over", lambda: (UNEVEN, [])),
    (
        "METERSET-DIFFERS",
        "a beam that was not planned",
        lambda: (
            with_records(*records(4), record("r", recorded(5), recorded(5, beam_number=7, mu=20.0), day=LAST)),
            DONE,
        ),
    ),
    (
        "METERSET-DIFFERS",
        "on an unknown day",
        lambda: (with_records(record("r", recorded(1, mu=300.0), date="", time="")), []),
    ),
    (
        "METERSET-UNKNOWN",
        "nothing planned",
        lambda: (
            with_records(
                record("r", recorded(1, specified_meterset=None)),
                fraction_groups=(group(fractions=1, metersets=()),),
            ),
            [],
        ),
    ),
    (
        "CLOSE-PROPOSED",
        "by a summary record",
        lambda: (with_records(*records(3), record("summary", treatment_status="STOPPED", date="")), []),
    ),
    ("CLOSE-DIFFERS", "never started, yet recorded", lambda: (good(), [close("never-started")])),
    ("CLOSE-DIFFERS", "a broken date", lambda: (good(), [replace(close(), last_date="soon")])),
    ("CONFLICT", "known only elsewhere", lambda: ([receipt(one, disposition="conflict") for one in good()], DONE)),
]

GOOD: list[tuple[str, Callable[[], Case]]] = [
    ("a whole course", lambda: (good(), DONE)),
    ("stopped early", lambda: (with_records(*records(3)), [close("stopped", weekdays(MONDAY, 3)[-1])])),
    ("never started", lambda: (without(InstanceKind.RECORD), [close("never-started")])),
    ("cut short and continued", lambda: (with_records(*records(4), *CONTINUED), DONE)),
    ("a meterset within tolerance", lambda: (with_records(*records(5, mu=100.5)), DONE)),
    ("replanned, counting on", lambda: (replanned(3), DONE)),
    ("replanned, counting anew", lambda: (replanned(1), DONE)),
    ("groups counting on", lambda: (two_groups(*grouped(1, 2, 3, 4)), [close(last=LAST - timedelta(days=1))])),
    ("groups counting anew", lambda: (two_groups(*grouped(1, 2, 1, 2)), [close(last=LAST - timedelta(days=1))])),
    (
        "a portal film beside",
        lambda: ([*good(), record("film", recorded(1, beam_number=9, delivery_type="TRMT_PORTFILM"))], DONE),
    ),
    ("a rejected plan beside", lambda: ([*good(), aside("no", approval="REJECTED")], DONE)),
    ("a plan for the phantom beside", lambda: ([*good(), aside("qa", intent="VERIFICATION")], DONE)),
    ("an uneven slice distance", lambda: ([*good(), image("ct 3", z_mm=10.4)], DONE)),
    ("both sides", lambda: (good(label="Breast L+R"), DONE)),
    ("brachytherapy without metersets", lambda: (BRACHY, [close(last=MONDAY)])),
    ("a document beside", lambda: ([*good(), document("letter")], DONE)),
    (
        "our own composite beside",
        lambda: ([*good(), replace(dose("x", plans=()), sop_instance_uid=own_uid("x"))], DONE),
    ),
    ("our own sum of the plan beside", lambda: ([*good(), replace(dose("x"), sop_instance_uid=own_uid("x"))], DONE)),
]


def findings(record: PatientRecord) -> list[Finding]:
    return [*record.findings, *(finding for dossier in record.dossiers for finding in dossier.findings)]


def test_gate_then_every_code_has_a_bad_case_and_every_bad_case_a_code() -> None:
    assert set(BAD) | set(rule_cases.BAD) | set(test_dosimetry.BAD) == set(standard_words())
    assert not set(BAD) & set(rule_cases.BAD)


@pytest.mark.parametrize(
    ("code", "case"),
    [pytest.param(code, case, id=code) for code, case in BAD.items()]
    + [pytest.param(code, case, id=f"{code}: {title}") for code, title, case in MORE_BAD],
)
def test_gate_in_a_bad_case_then_the_finding_is_raised_in_both_languages(code: str, case: Callable[[], Case]) -> None:
    raised = [finding for finding in findings(folded(*case())) if finding.code == code]

    assert raised
    for finding in raised:
        for message in (finding.message, finding.message_zh):
            assert message
            assert "{" not in message
            assert "}" not in message
            assert "None" not in message
        assert any("\u4e00" <= sign <= "\u9fff" for sign in finding.message_zh)
        assert finding.message.isascii() or PATIENT.name not in finding.message
        assert finding.fix
        assert finding.since == date(2024, 6, 1)


@pytest.mark.parametrize("case", [pytest.param(case, id=title) for title, case in GOOD])
def test_gate_in_a_good_case_then_the_dossier_is_ready(case: Callable[[], Case]) -> None:
    record = folded(*case())

    assert [finding.message for finding in findings(record)] == []
    assert [dossier.state for dossier in record.dossiers] == [DossierState.READY]


@pytest.mark.parametrize("code", [code for code in BAD if code not in {"UNATTACHED"}])
def test_gate_in_a_bad_case_then_only_findings_that_block_hold_the_dossier(code: str) -> None:
    words = standard_words()[code]

    for dossier in folded(*BAD[code]()).dossiers:
        own = [finding for finding in dossier.findings if finding.code == code]
        assert {finding.blocks for finding in own} <= {words.severity is not Severity.NOTE}


def test_gate_then_findings_stand_gravest_first() -> None:
    headers = [
        *patient(sex="M")[1:],
        patient(sex="M")[0],
        dose("second"),
        replace(other("sr", "ct 0"), flags=("unreadable:X",)),
    ]

    severities = [finding.severity for finding in only_dossier(headers).findings]

    assert severities == sorted(severities, key=list(Severity).index)
    assert set(severities) == set(Severity)


def test_rules_then_each_code_they_raise_has_words_and_a_pack_that_asks_for_it() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(archive.gate.__file__).parent.glob("*.py"))
    raised = {*re.findall(r'code="([A-Z0-9-]+)"', sources), *PAPERS}

    assert raised <= set(standard_words())
    assert set(standard_words()) - OF_PATIENTS <= standard_rulebook().codes


OF_PATIENTS = {"UNATTACHED"}
"""What is told of a patient as a whole, whatever was treated."""


def test_words_then_texts_name_the_same_figures_in_both_languages_and_roles_exist() -> None:
    from archive.desk.accounts import ROLES

    for code, words in standard_words().items():
        assert fields(words.en) == fields(words.zh), code
        assert set(words.waivable_by) <= set(ROLES), code
        assert words.fix.endswith((".", "USER")) or "lastgate" in words.fix, code
        assert words.fix_zh.endswith(("。", "USER")) or "lastgate" in words.fix_zh, code
        assert not words.fix_zh.isascii(), code


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_words_then_an_urgent_finding_can_be_signed_only_by_more_than_one() -> None:
    urgent = {code: words for code, words in standard_words().items() if words.severity is Severity.URGENT}

    assert urgent
    assert all(len(words.waivable_by) >= 2 for words in urgent.values())


def test_terms_then_each_is_used_by_a_rule_and_said_in_both_languages() -> None:
    rooms = (Path(archive.gate.__file__).parent, Path(archive.assembly.__file__).parent)
    source = "".join(path.read_text("utf-8") for room in rooms for path in room.glob("*.py"))
    source += Path(archive.figures.__file__).read_text("utf-8")
    for term, words in standard_terms().items():
        assert f'"{term}"' in source, term
        assert isinstance(words, TermWords)
        assert words.en.isascii()
        assert not words.zh.isascii()


def test_rules_then_each_is_documented_and_listed_once() -> None:
    assert len(RULES) == len(set(RULES))
    assert all(rule.__doc__ for rule in RULES)


def test_gate_when_a_value_holds_braces_then_it_is_shown_as_it_is() -> None:
    (finding,) = (
        one for one in only_dossier(good(label="{0} {uid}", approval="")).findings if one.code == "PLAN-UNAPPROVED"
    )

    assert "{0} {uid}" in finding.message


class TestWaiver:
    """A signed reason lets a finding stand."""

    CASE: tuple[Sequence[InstanceHeader], Sequence[Act]] = (good(approval="UNAPPROVED"), [close()])

    @staticmethod
    def finding(
        headers: Sequence[InstanceHeader], acts: Sequence[Act | Decision], code: str
    ) -> tuple[Dossier, Finding]:
        dossier = only_dossier(headers, acts)
        (found,) = (one for one in dossier.findings if one.code == code)
        return dossier, found

    @staticmethod
    def waive(finding: Finding, **values: object) -> Waive:
        usual = Waive(
            code=finding.code, subject=finding.subject, plan_uids=(uid("plan"),), message=finding.message, reason="seen"
        )
        return replace(usual, **values)  # type: ignore[arg-type]

    def test_waiver_of_the_right_role_then_the_finding_stands_and_blocks_no_more(self) -> None:
        headers, acts = self.CASE
        _, finding = self.finding(headers, acts, "PLAN-UNAPPROVED")

        dossier, after = self.finding(headers, [*acts, decision(9, self.waive(finding))], "PLAN-UNAPPROVED")

        assert (after.is_waived, after.blocks, dossier.state) == (True, False, DossierState.READY)
        assert after.waivers[0].reason == "seen"

    @pytest.mark.parametrize("role", ["file-manager", "administrator", "nobody"])
    def test_waiver_of_the_wrong_role_then_it_does_not_count(self, role: str) -> None:
        headers, acts = self.CASE
        _, finding = self.finding(headers, acts, "PLAN-UNAPPROVED")

        dossier, after = self.finding(headers, [*acts, decision(9, self.waive(finding), role=role)], "PLAN-UNAPPROVED")

        assert (after.is_waived, dossier.state) == (False, DossierState.OPEN)

    def test_waiver_of_an_urgent_finding_then_every_role_must_sign(self) -> None:
        headers = with_records(*records(6))
        acts = [close(last=weekdays(MONDAY, 6)[-1])]
        _, finding = self.finding(headers, acts, "FRACTIONS-EXCESS")
        physicist, doctor = (
            decision(n, self.waive(finding), role=role) for n, role in ((8, "physicist"), (9, "doctor"))
        )

        for signed, is_waived in (([physicist], False), ([doctor], False), ([physicist, doctor], True)):
            dossier, after = self.finding(headers, [*acts, *signed], "FRACTIONS-EXCESS")
            assert after.is_waived is is_waived
            assert (dossier.state is DossierState.READY) is is_waived

    def test_waiver_by_the_same_role_twice_then_an_urgent_finding_still_blocks(self) -> None:
        headers = with_records(*records(6))
        _, finding = self.finding(headers, [], "FRACTIONS-EXCESS")

        _, after = self.finding(
            headers, [decision(8, self.waive(finding)), decision(9, self.waive(finding))], "FRACTIONS-EXCESS"
        )

        assert after.blocks

    def test_waiver_when_the_figures_change_then_it_lapses(self) -> None:
        headers = with_records(*records(3))
        acts: list[Act | Decision] = [close(last=weekdays(MONDAY, 3)[-1])]
        _, finding = self.finding(headers, acts, "FRACTIONS-MISSING")
        signed = [*acts, decision(9, self.waive(finding))]
        assert self.finding(headers, signed, "FRACTIONS-MISSING")[1].is_waived

        more = [*headers, *records(1, start=weekdays(MONDAY, 4)[-1], first=4)]

        assert not self.finding(more, signed, "FRACTIONS-MISSING")[1].is_waived

    @pytest.mark.parametrize(
        "values",
        [{"subject": "other"}, {"plan_uids": (uid("other plan"),)}, {"message": "other"}, {"code": "LATE"}],
        ids=["subject", "course", "words", "code"],
    )
    def test_waiver_of_something_else_then_the_finding_blocks(self, values: dict[str, object]) -> None:
        headers, acts = self.CASE
        _, finding = self.finding(headers, acts, "PLAN-UNAPPROVED")

        _, after = self.finding(headers, [*acts, decision(9, self.waive(finding, **values))], "PLAN-UNAPPROVED")

        assert after.waivers == ()

    def test_finding_nobody_may_waive_then_no_signature_helps(self) -> None:
        headers = good()
        _, finding = self.finding(headers, [], "CLOSE-PROPOSED")

        for role in ("physicist", "doctor", "file-manager"):
            _, after = self.finding(headers, [decision(9, self.waive(finding), role=role)], "CLOSE-PROPOSED")
            assert after.blocks

    def test_finding_id_then_two_of_one_code_differ(self) -> None:
        dossier = only_dossier(
            [*good(approval=""), plan("b", structures="", header=plan_header(approval="")), *records(5, plan="b")]
        )

        ids = [finding.id for finding in dossier.findings if finding.code == "PLAN-UNAPPROVED"]

        assert len(set(ids)) == 2
        assert codes(dossier) >= {"PLAN-UNAPPROVED"}
