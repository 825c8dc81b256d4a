"""Every rule of the gate, in good and in bad cases, in both languages."""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import archive.assembly
import archive.figures
import archive.gate
from archive.facts.decisions import (
    Act,
    Decision,
    Waive,
)
from archive.gate.binding import standard_rulebook
from archive.gate.gate import RULES
from archive.gate.papers import PAPERS
from archive.gate.words import TermWords, standard_terms, standard_words
from archive.headers import InstanceHeader
from archive.model import Dossier, DossierState, Finding, PatientRecord, Severity
from tests.archive.gate import rule_cases, test_dosimetry
from tests.archive.gate.base_cases import BAD, GOOD, MORE_BAD, Case, close, good, patient, with_records
from tests.factories import (
    MONDAY,
    PATIENT,
    codes,
    decision,
    dose,
    folded,
    only_dossier,
    other,
    plan,
    plan_header,
    records,
    uid,
    weekdays,
)


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
