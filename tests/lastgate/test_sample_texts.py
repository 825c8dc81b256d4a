"""The texts of the sample department: accepted, complete, plain, and the same in both languages."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date

import pytest

from archive.model import Dossier
from lastgate.sample import Department, SampleCourse
from lastgate.sample.texts import course_text, department_text
from reports.assemble import assemble_summary
from reports.entries import SummaryEntries, entries_from_text
from reports.facts import Bilingual, Fact
from reports.fonts import Typeface
from reports.mandatory import missing
from reports.render import Audience, Language, render_summary
from reports.summary import CourseSummary
from tests.lastgate.folded import folded_courses
from tests.reports.reading import numbers, pages

CLOSED = (
    "2015-mediastinum",
    "2019-lung-left",
    "2024-skull-base-proton",
    "2025-prostate-sbrt",
    "2026-breast-left",
    "2026-lung-left-sbrt",
)
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_BANNED_EN = (
    "fraction", "adjuvant", "dermatitis", "fatigue", "lesion", "malignan", "toxicity", "boost", "target", "pneumonitis",
    "lymphedema", "dysphagia", "urinary", "palliative", "curative",
)  # fmt: skip
_BANNED_ZH = (
    "辅助性",
    "序贯",
    "照射野",
    "靶区",
    "毒性",
    "皮炎",
    "肺炎",
    "乏力",
    "吞咽困难",
    "水肿",
    "呼吸困难",
    "排尿",
    "分次",
)


@pytest.fixture(scope="module")
def courses(sample_department: Department) -> dict[str, tuple[SampleCourse, Dossier]]:
    return folded_courses(sample_department)


@pytest.fixture(scope="module")
def summaries(courses: dict[str, tuple[SampleCourse, Dossier]]) -> dict[str, CourseSummary]:
    department = entries_from_text(department_text())
    return {
        key: assemble_summary(courses[key][1], software="Lastgate test", entries=_entries(key), department=department)
        for key in CLOSED
    }


@pytest.fixture(scope="module")
def typeface() -> Typeface:
    return Typeface()


def _entries(key: str) -> SummaryEntries:
    text = course_text(key)
    assert text is not None
    return entries_from_text(text)


def _texts(value: object) -> Iterator[Bilingual]:
    if isinstance(value, Bilingual):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))


def _all_texts() -> list[Bilingual]:
    return [*_texts(entries_from_text(department_text())), *(text for key in CLOSED for text in _texts(_entries(key)))]


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word))
    return max(1, groups - (1 if word.endswith("e") and not word.endswith("le") and groups > 1 else 0))


def test_course_text_when_course_is_unfinished_or_unknown_then_there_is_none() -> None:
    assert course_text("2026-rectum") is None
    assert course_text("no-such-course") is None
    assert course_text("department") is None


def test_closed_courses_when_compared_with_the_casebook_then_each_has_a_text(
    courses: dict[str, tuple[SampleCourse, Dossier]],
) -> None:
    assert {key for key, (course, _) in courses.items() if not course.missing} == set(CLOSED)


def test_texts_when_read_then_both_languages_are_there_with_the_same_numbers() -> None:
    texts = _all_texts()
    assert len(texts) > 100
    for text in texts:
        assert text.zh, text
        assert text.en, text
        assert numbers(text.zh) == numbers(text.en), text


def test_texts_when_read_then_sentences_are_short_and_hold_no_word_of_the_trade() -> None:
    for text in _all_texts():
        assert text.zh is not None
        assert text.en is not None
        assert not [word for word in _BANNED_EN if word in text.en.lower()], text
        assert not [word for word in _BANNED_ZH if word in text.zh], text
        assert max(len(sentence) for sentence in re.split("[。；]", text.zh)) <= 30, text
        assert max(len(sentence.split()) for sentence in re.split(r"[.;]", text.en)) <= 20, text


def test_patient_texts_when_graded_by_flesch_and_kincaid_then_grade_six_is_enough(
    summaries: dict[str, CourseSummary],
) -> None:
    for key, summary in summaries.items():
        told = (summary.intent_words, summary.side_effects, summary.late_effects, summary.call_same_day,
                summary.call_emergency, summary.follow_up)  # fmt: skip
        texts = [text.en or "" for fact in told if isinstance(fact, Fact) for text in _first_texts(fact.value)]
        sentences = [part for text in texts for part in re.split(r"[.;]", text) if part.strip()]
        words = re.findall(r"[a-z]+", " ".join(sentences).lower())
        # Kincaid et al. 1975, Navy Research Branch Report 8-75
        grade = 0.39 * len(words) / len(sentences) + 11.8 * sum(map(_syllables, words)) / len(words) - 15.59
        assert grade <= 6, (key, grade)


def _first_texts(value: object) -> Iterator[Bilingual]:
    """What of a fact the patient page prints: the words, not who does it nor the doctor's test."""
    if isinstance(value, tuple):
        for item in value:
            yield from _first_texts(item)
    elif isinstance(value, Bilingual):
        yield value
    else:
        yield value.words  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", CLOSED)
def test_summary_when_assembled_with_the_texts_then_no_mandatory_fact_is_missing(
    key: str, summaries: dict[str, CourseSummary]
) -> None:
    assert missing(summaries[key], ("zh", "en")) == ()


@pytest.mark.parametrize("key", CLOSED)
def test_follow_up_when_dated_then_it_is_a_working_day_after_the_course(
    key: str, summaries: dict[str, CourseSummary]
) -> None:
    summary = summaries[key]
    assert isinstance(summary.follow_up, Fact)
    assert isinstance(summary.last_date, Fact)
    dated = [step.on for step in summary.follow_up.value if step.on is not None]
    assert dated == sorted(dated)
    assert dated
    for day in dated:
        assert day.weekday() < 5
        assert 7 <= (day - summary.last_date.value).days <= 100


def test_site_totals_when_summed_then_they_are_the_truth_of_the_department(
    courses: dict[str, tuple[SampleCourse, Dossier]], summaries: dict[str, CourseSummary]
) -> None:
    for key in CLOSED:
        truth = {target.name: target.delivered_gy for plan in courses[key][0].plans for target in plan.targets}
        if key == "2026-breast-left":
            truth["PTVp_5005"] = 50.05
        told = {
            site.name: site.delivered_gy.value for site in summaries[key].sites if isinstance(site.delivered_gy, Fact)
        }
        assert told == pytest.approx(truth)


def test_interruption_when_the_machine_failed_then_reason_and_make_up_are_told(
    summaries: dict[str, CourseSummary],
) -> None:
    gaps = summaries["2026-breast-left"].interruptions
    assert [gap.last_before for gap in gaps] == [date(2026, 5, 19)]
    assert all(isinstance(gap.reason, Fact) and isinstance(gap.was_made_up, Fact) for gap in gaps)
    assert not any(summary.interruptions for key, summary in summaries.items() if key != "2026-breast-left")


def test_earlier_radiation_when_the_person_had_an_earlier_course_then_it_is_told(
    summaries: dict[str, CourseSummary],
) -> None:
    told = {
        key: [course.when for course in summary.earlier_radiation.value.courses]
        for key, summary in summaries.items()
        if isinstance(summary.earlier_radiation, Fact)
    }
    assert told == {key: [] for key in CLOSED} | {"2026-breast-left": ["2015"], "2026-lung-left-sbrt": ["2019"]}


@pytest.mark.parametrize("key", CLOSED)
def test_pages_when_printed_for_release_then_one_patient_page_each_with_the_same_numbers(
    key: str, summaries: dict[str, CourseSummary], typeface: Typeface
) -> None:
    printed = {}
    for language in Language:
        pdf = render_summary(
            summaries[key],
            languages=(language,),
            audience=Audience.PATIENT,
            draft=False,
            created=date(2026, 11, 23),
            number="DEMO-1",
            typeface=typeface,
        )
        printed[language] = pages(pdf)
    assert [len(printed[language]) for language in Language] == [1, 1]
    english = printed[Language.EN][0]
    for place, month in enumerate(_MONTHS, start=1):
        english = re.sub(rf"(\d\s+){month}\b", rf"\g<1> {place} ", english)
    assert numbers(english) == numbers(printed[Language.ZH][0])


@pytest.mark.parametrize("key", CLOSED)
def test_summary_when_printed_for_both_then_all_pages_come_without_draft_mark(
    key: str, summaries: dict[str, CourseSummary], typeface: Typeface
) -> None:
    pdf = render_summary(summaries[key], draft=False, created=date(2026, 11, 23), number="DEMO-1", typeface=typeface)
    text = "".join(pages(pdf))
    for title in ("您的放疗小结", "医生页", "技术页", "Your radiotherapy summary", "doctor's page", "technical page"):
        assert title in text
    assert "DRAFT" not in text
    assert "not recorded" not in text
    assert "未记录" not in text


def test_department_when_regions_are_used_by_a_course_then_each_has_its_texts() -> None:
    regions = entries_from_text(department_text()).regions
    used = {target.region for key in CLOSED for target in _entries(key).targets}
    assert used == set(regions)
    for texts in regions.values():
        assert texts.late_effects
        assert texts.call_same_day
        assert texts.call_emergency


def test_department_organs_when_compared_with_the_structures_then_every_organ_has_its_words(
    courses: dict[str, tuple[SampleCourse, Dossier]],
) -> None:
    named = {organ.name for organ in entries_from_text(department_text()).organs}
    drawn = {organ.name for course, _ in courses.values() for organ in course.organs}
    targets = {name for name in drawn if name[:3] in {"GTV", "CTV", "PTV"}}
    assert named == drawn - targets - {"External"}


def test_technical_page_when_a_plan_has_a_setup_field_then_only_treating_energies_are_told(
    summaries: dict[str, CourseSummary],
) -> None:
    told = {key: [plan.energies.value for plan in summaries[key].plans if plan.energies] for key in CLOSED}
    assert told["2026-lung-left-sbrt"] == [("6 MV FFF",)]
    assert told["2024-skull-base-proton"] == [("74.2–115.8 MeV", "77.4–118.1 MeV", "82.6–122 MeV", "79.6–119.7 MeV")]
