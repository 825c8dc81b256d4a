"""Every rule that looks beyond references, in bad and in good cases, as the packs that come with the program judge."""

from collections.abc import Callable
from functools import cache

import pytest

from archive.gate.gate import Gate
from archive.gate.words import standard_words
from archive.model import Finding, Severity
from tests.archive.gate.rule_cases import BAD, DONE, GOOD, MORE_BAD, Case, good
from tests.factories import folded, uid


@cache
def _gate() -> Gate:
    return Gate()


def findings(case: Case) -> list[Finding]:
    headers, acts = case
    return [one for dossier in folded(headers, acts, judge=_gate()).dossiers for one in dossier.findings]


@pytest.mark.parametrize(
    ("code", "case"),
    [pytest.param(code, case, id=code) for code, case in BAD.items()]
    + [pytest.param(code, case, id=f"{code}: {title}") for code, title, case in MORE_BAD],
)
def test_rule_in_a_bad_case_then_the_finding_tells_in_both_languages_what_to_do(
    code: str, case: Callable[[], Case]
) -> None:
    raised = [finding for finding in findings(case()) if finding.code == code]

    assert raised
    for finding in raised:
        for text in (finding.message, finding.message_zh, finding.fix, finding.fix_zh):
            assert text
            assert not {"{", "}"} & {*text}
            assert "None" not in text
        for text in (finding.message_zh, finding.fix_zh):
            assert any("\u4e00" <= sign <= "\u9fff" for sign in text)
        assert finding.since
        assert finding.blocks is (finding.severity is not Severity.NOTE)


@pytest.mark.parametrize(
    ("code", "case"), [pytest.param(code, case, id=f"{code}: {title}") for code, title, case in GOOD]
)
def test_rule_in_a_good_case_then_it_is_silent(code: str, case: Callable[[], Case]) -> None:
    assert [finding.message for finding in findings(case()) if finding.code == code] == []


def test_rules_in_a_whole_course_with_its_papers_then_only_the_summary_is_asked_for() -> None:
    assert [finding.code for finding in findings((good(), [DONE]))] == ["SUMMARY-MISSING"]


def test_findings_then_those_of_a_course_do_not_depend_on_the_order_of_arrival() -> None:
    headers, acts = BAD["SETUP-MISSING"]()

    assert findings((headers, acts)) == findings((headers[::-1], acts))


def test_rules_then_at_least_forty_are_known_and_each_names_who_may_sign() -> None:
    words = standard_words()

    assert len(words) >= 40
    assert all(one.waivable_by == () for one in words.values() if one.severity is Severity.NOTE)


def test_rule_about_a_plan_then_its_subject_begins_with_the_plan() -> None:
    (found,) = (one for one in findings(BAD["ENERGY-DIFFERS"]()) if one.code == "ENERGY-DIFFERS")

    assert found.subject == f"{uid('plan')}/1/10"
    assert found.message.startswith(
        "Plan Breast, beam B1: planned with 6, recorded with 10 (MV or MeV) in 25 record(s)"
    )
