"""The printed summary, read back."""

import calendar
import io
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from pypdf import PdfReader

from reports import pdf
from reports.errors import GlyphMissing, NoPatientPage, PageOverflow, SummaryIncomplete
from reports.facts import NOT_RECORDED
from reports.fonts import Typeface
from reports.mandatory import MANDATORY, missing
from reports.render import Audience, Language, render_summary, summary_markup
from reports.summary import (
    Answer,
    CourseSummary,
    Diagnosis,
    DoseType,
    EarlierCourse,
    EarlierRadiation,
    Intent,
    LateEffect,
    Modality,
    Status,
)
from tests.reports import reading, sample

BOTH = (Language.ZH, Language.EN)
DAY = date(2026, 11, 10)


def printed(summary: CourseSummary, typeface: Typeface, **options: Any) -> bytes:
    chosen: dict[str, Any] = {"languages": BOTH, "audience": Audience.BOTH, "draft": False, "created": DAY}
    return render_summary(summary, number="2026-0042", typeface=typeface, **(chosen | options))


def patient_text(summary: CourseSummary, language: Language) -> str:
    """Every word of the patient page, from the markup."""
    return drawn_text(
        summary_markup(
            summary, languages=[language], audience=Audience.PATIENT, draft=True, created=DAY, number="2026-0042"
        )
    )


def drawn_text(markup: str) -> str:
    """What a reader sees of page markup: the text in order, then the texts in attributes."""
    root = fromstring(markup)
    attributes = [node.get(name) or "" for node in root.iter() for name in ("value", "label", "left", "right", "name")]
    titles = [box.get("title") or "" for box in root.iter("box")]
    return "".join(root.itertext()).replace("\u00a0", " ") + " | ".join([*attributes, *titles])


def test_paper_when_printed_then_every_text_of_the_markup_is_in_it(typeface: Typeface, tmp_path: Path) -> None:
    summary = sample.named("𠮷𬎆䶮㛃<b>&x", "Ōe^<i>")
    markup = summary_markup(summary, languages=BOTH, audience=Audience.BOTH, draft=False, created=DAY, number="7")
    content = pdf.render(markup, typeface=typeface, created=sample_moment())
    expected = [
        reading.bare(text)
        for node in fromstring(markup).iter()
        for text in (node.text, node.tail, node.get("value"), node.get("label"), node.get("left"), node.get("right"))
        if text and reading.bare(text)
    ]
    for extracted in (reading.poppler_text(content, tmp_path), "\n".join(reading.pages(content))):
        found = reading.bare(extracted)
        assert [text for text in expected if text not in found] == []
        assert "𠮷𬎆䶮㛃<b>&x" in found


def sample_moment() -> Any:
    from datetime import datetime

    return datetime(2026, 11, 10, 9, 30)


def test_paper_when_printed_twice_then_bytes_are_equal(typeface: Typeface, monkeypatch: pytest.MonkeyPatch) -> None:
    first = printed(sample.summary(), typeface)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert printed(sample.summary(), Typeface()) == first


def test_paper_when_printed_then_all_fonts_are_embedded_with_unicode(typeface: Typeface, tmp_path: Path) -> None:
    lines = reading.fonts(printed(sample.summary(), typeface), tmp_path)
    assert len(lines) == 2
    for line in lines:
        assert "LastgateSans" in line[0]
        assert line[-5:-2] == ["yes", "yes", "yes"]


@pytest.mark.parametrize("language", BOTH)
def test_patient_page_when_printed_then_it_is_one_page_of_12_points(typeface: Typeface, language: Language) -> None:
    content = printed(sample.summary(), typeface, languages=[language], audience=Audience.PATIENT)
    reader = PdfReader(io.BytesIO(content))
    assert len(reader.pages) == 1
    sizes = set(re.findall(rb"/LG\d ([\d.]+) Tf", reader.pages[0].get_contents().get_data()))  # type: ignore[union-attr]
    small = {float(size) for size in sizes if float(size) < 12}
    assert small <= {8.0, 9.0, 9.5}, "only head and foot may be smaller than 12 points"


def test_patient_page_when_text_is_too_long_then_it_is_refused_and_not_cut(typeface: Typeface) -> None:
    much = tuple(LateEffect(words=sample.both("很长的说明" * 20, "a long text " * 20)) for _ in range(9))
    with pytest.raises(PageOverflow, match="points too long"):
        printed(sample.summary(late_effects=sample.fact(much)), typeface)


@pytest.mark.parametrize("audience", [Audience.PATIENT, Audience.DOCTOR, Audience.BOTH])
def test_draft_when_printed_then_every_page_says_so(typeface: Typeface, audience: Audience) -> None:
    draft = reading.pages(printed(sample.summary(), typeface, draft=True, audience=audience))
    assert all("草稿 / DRAFT" in page for page in draft)
    released = "".join(reading.pages(printed(sample.summary(), typeface, audience=audience)))
    assert "DRAFT" not in released
    assert "草稿" not in released


def test_release_when_sample_is_complete_then_nothing_is_missing() -> None:
    assert missing(sample.summary()) == ()


_MAY_LACK = """
    diagnosis intent first_date last_date status sessions modalities techniques earlier_radiation implant
    side_effects late_effects call_same_day call_emergency follow_up contact remains_radioactive
"""


@pytest.mark.parametrize("name", _MAY_LACK.split())
def test_release_when_a_mandatory_fact_is_missing_then_it_is_refused_and_a_draft_says_so(
    typeface: Typeface, name: str
) -> None:
    summary = sample.summary(**{name: NOT_RECORDED})
    assert name in {fact.key.split(".")[0] for fact in missing(summary)}
    with pytest.raises(SummaryIncomplete, match=name):
        printed(summary, typeface)
    text = drawn_text(
        summary_markup(summary, languages=BOTH, audience=Audience.BOTH, draft=True, created=DAY, number="1")
    )
    assert "未记录" in text
    assert "not recorded" in text


def test_draft_when_a_fact_is_missing_then_the_paper_lists_it(typeface: Typeface) -> None:
    text = "".join(reading.pages(printed(sample.summary(implant=NOT_RECORDED), typeface, draft=True)))
    assert "缺少以下必填内容" in text
    assert "心脏起搏器等植入物" in text
    assert "pacemaker or other implant" in text


def test_requirements_when_looked_through_then_keys_are_unique_and_labels_complete() -> None:
    assert len({need.key for need in MANDATORY}) == len(MANDATORY)
    assert all(need.label.zh and need.label.en for need in MANDATORY)


def test_release_when_a_text_lacks_one_language_then_only_that_language_is_refused(typeface: Typeface) -> None:
    only_zh = replace(sample.both("无", "none"), en=None)
    summary = sample.summary(drugs=sample.fact(only_zh))
    assert missing(summary, ["zh"]) == ()
    assert [(fact.key, fact.language) for fact in missing(summary)] == [("drugs", "en")]
    assert "not recorded" not in "".join(reading.pages(printed(summary, typeface, languages=[Language.ZH])))


def test_both_languages_when_printed_then_they_tell_the_same_numbers() -> None:
    zh, en = patient_text(sample.summary(), Language.ZH), patient_text(sample.summary(), Language.EN)
    for number, month in enumerate(calendar.month_name[1:], start=1):
        en = en.replace(month, f" {number} ")
    assert reading.numbers(zh) == reading.numbers(en)


def test_patient_page_when_printed_then_every_number_is_in_the_data_set() -> None:
    counted = {"20", "1", "2026", "0042", "1961", "3", "9", "10", "12", "11", "13", "15", "7"}
    rounded_doses = {"40", "50", "2"}
    phones = {"027", "5550", "0123", "0199", "120", "8", "5"}
    assert reading.numbers(patient_text(sample.summary(), Language.ZH)) == counted | rounded_doses | phones


def test_doctor_page_when_printed_then_doses_are_exact(typeface: Typeface) -> None:
    content = printed(sample.summary(), typeface, languages=[Language.EN], audience=Audience.DOCTOR)
    text = " ".join("".join(reading.pages(content)).split())
    for figure in (
        "40.05 Gy",
        "50.05 Gy",
        "10 Gy",
        "2.67 Gy",
        "15/15",
        "5/5",
        "20/20",
        "1.87 Gy",
        "14.2 Gy",
        "211.4 MU",
    ):
        assert figure in text


def test_paper_when_a_dose_changes_then_the_paper_changes() -> None:
    changed = sample.summary(sites=(sample.site(delivered_gy=sample.fact(37.38)),))
    text = patient_text(changed, Language.ZH)
    assert "计划约40 Gy，已照约37 Gy" in text.replace("\u00a0", " ")
    assert "约37" not in patient_text(sample.summary(), Language.ZH)


def stopped(**changes: Any) -> CourseSummary:
    return sample.summary(
        status=sample.fact(Status.STOPPED),
        status_reason=sample.fact(sample.both("白细胞低", "low blood count")),
        sessions=sample.fact(12),
        phases=(sample.phase(fractions_delivered=sample.fact(12)),),
        **changes,
    )


def test_course_when_stopped_early_then_the_page_never_says_all() -> None:
    zh, en = patient_text(stopped(), Language.ZH), patient_text(stopped(), Language.EN)
    assert "提前停止" in zh
    assert "原来计划20次" in zh
    assert "全部" not in zh
    assert "stopped early" in en
    assert re.search(r"\ball\b", en) is None


def test_course_when_completed_with_a_fraction_lacking_then_the_page_never_says_all() -> None:
    summary = sample.summary(phases=(sample.phase(fractions_delivered=sample.fact(14)),))
    assert "全部" not in patient_text(summary, Language.ZH)
    assert re.search(r"\ball\b", patient_text(summary, Language.EN)) is None


@pytest.mark.parametrize("answer", [sample.fact(Answer.YES), sample.fact(Answer.UNKNOWN), NOT_RECORDED])
def test_not_radioactive_when_a_source_may_have_stayed_then_it_is_not_said(answer: Any) -> None:
    summary = sample.summary(
        remains_radioactive=answer, source_safety=sample.fact(sample.both("请和孕妇保持一米", "Stay 1 m away"))
    )
    assert "没有放射性" not in patient_text(summary, Language.ZH)
    assert "not radioactive" not in patient_text(summary, Language.EN)
    assert ("保持一米" in patient_text(summary, Language.ZH)) == (answer == sample.fact(Answer.YES))


def test_protons_when_printed_then_weighted_dose_is_told_apart(typeface: Typeface) -> None:
    weighted = {"dose_type": DoseType.RBE_WEIGHTED}
    summary = sample.summary(
        modalities=sample.fact((Modality.PROTON,)),
        phases=(sample.phase(targets=(sample.target(**weighted),)),),
        sites=(sample.site(**weighted),),
    )
    text = "".join(reading.pages(printed(summary, typeface, languages=[Language.EN], audience=Audience.DOCTOR)))
    assert "40.05 Gy(RBE)" in text
    assert "RBE-weighted dose" in text
    assert "already count that" in patient_text(summary, Language.EN)
    assert "already count that" not in patient_text(sample.summary(), Language.EN)


def test_dose_type_when_not_confirmed_then_it_is_not_released() -> None:
    summary = sample.summary(sites=(sample.site(dose_type=DoseType.UNCONFIRMED),))
    assert [fact.key for fact in missing(summary)] == ["dose_type"]


def test_patient_page_when_not_told_then_it_never_speaks_of_cancer() -> None:
    untold = Diagnosis(words=sample.both("左侧乳腺癌", "breast cancer"), is_malignant=True, is_told=False, stage="T1")
    for intent in Intent:
        summary = sample.summary(diagnosis=sample.fact(untold), intent=sample.fact(intent))
        assert re.search("癌|肿瘤", patient_text(summary, Language.ZH)) is None
        assert re.search("cancer|tumour", patient_text(summary, Language.EN)) is None


def test_first_page_when_printed_then_it_holds_the_notice_and_the_phone(typeface: Typeface) -> None:
    content = printed(sample.summary(), typeface)
    first = reading.bare(reading.pages(content)[0])
    assert "以后如果还要做放疗，请先把它给医生看" in first
    assert "027-5550-0123" in first


def test_earlier_radiation_when_there_was_some_then_both_pages_tell_it() -> None:
    before = EarlierRadiation(
        answer=Answer.YES, courses=(EarlierCourse(words=sample.both("右侧乳房", "right breast"), when="2015"),)
    )
    summary = sample.summary(earlier_radiation=sample.fact(before))
    assert "您以前也做过放疗：右侧乳房（2015）" in patient_text(summary, Language.ZH)
    assert "right breast (2015)" in patient_text(summary, Language.EN)


def test_patient_page_when_the_patient_died_then_there_is_none(typeface: Typeface) -> None:
    summary = sample.summary(status=sample.fact(Status.DIED))
    with pytest.raises(NoPatientPage):
        printed(summary, typeface, audience=Audience.PATIENT)
    assert "您的放疗小结" not in "".join(reading.pages(printed(summary, typeface)))


def test_course_when_never_started_then_the_page_says_no_radiation() -> None:
    summary = sample.summary(
        status=sample.fact(Status.NEVER_STARTED),
        status_reason=sample.fact(sample.both("病人决定不做", "the patient decided against it")),
        sessions=sample.fact(0),
        first_date=NOT_RECORDED,
        last_date=NOT_RECORDED,
    )
    assert missing(summary) == ()
    assert "You had no radiation." in patient_text(summary, Language.EN)
    assert "没有放射性" not in patient_text(summary, Language.ZH)


def test_name_when_a_character_is_in_no_face_then_it_is_named(typeface: Typeface) -> None:
    with pytest.raises(GlyphMissing, match=r"U\+1F600"):
        printed(sample.named("王😀"), typeface)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DIED])
def test_chinese_page_when_printed_then_no_ascii_comma_stands_between_han(status: Status) -> None:
    summary = sample.summary(
        status=sample.fact(status), status_reason=sample.fact(sample.both("机器坏了", "machine broken"))
    )
    text = summary_markup(
        summary, languages=[Language.ZH], audience=Audience.DOCTOR, draft=True, created=DAY, number="1"
    )
    assert re.search(r"[\u4e00-\u9fff][,;:!?][\u4e00-\u9fff]", text + patient_text(summary, Language.ZH)) is None


def test_metadata_when_printed_then_it_holds_no_name(typeface: Typeface) -> None:
    found = PdfReader(io.BytesIO(printed(sample.summary(), typeface))).metadata
    assert found is not None
    assert found.title == "放疗小结 / Radiotherapy summary 2026-0042"
    assert "王小东" not in str(found)
    assert str(found.creation_date).startswith("2026-11-10")
