"""The report of a composite dose."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from reports.composite import render_composite
from reports.errors import TemplateFault
from reports.fonts import Typeface
from reports.render import Language
from tests.reports import reading, sample
from tests.reports.test_figures import phantom, picture


def text_of(typeface: Typeface, mapping: dict[str, Any], language: Language = Language.EN) -> str:
    content = render_composite(
        mapping, picture=None, created=date(2026, 11, 10), number="C-7", language=language, typeface=typeface
    )
    return " ".join("\n".join(reading.pages(content)).split())


def test_report_when_a_course_is_not_summed_then_it_says_incomplete_why_and_at_most(typeface: Typeface) -> None:
    text = text_of(typeface, sample.composite())
    assert "Incomplete" in text
    assert "paper only: no dose grid" in text
    assert "Remaining dose (at most)" in text
    assert "not a medical device" in text


def test_report_when_complete_then_it_does_not_say_at_most(typeface: Typeface) -> None:
    text = text_of(typeface, sample.composite(complete=True))
    assert "All delivered plans are in the sum." in text
    assert "at most" not in text


def test_report_when_completeness_is_not_told_then_it_counts_as_incomplete(typeface: Typeface) -> None:
    mapping = sample.composite()
    del mapping["complete"]
    assert "Incomplete" in text_of(typeface, mapping)


def test_figure_when_its_value_is_unknown_then_only_bounds_are_printed(typeface: Typeface) -> None:
    text = text_of(typeface, sample.composite())
    assert "unknown (12.0–21.5)" in text
    assert "38.4 (38.1–38.9)" in text
    assert "41.3" in text


@pytest.mark.parametrize(
    ("status", "is_draft"),
    [
        ({"state": "draft", "by": None, "at": None}, True),
        ({"state": "approved", "by": "physicist", "at": "2026-11-10"}, False),
        ({"state": "approved", "by": None, "at": None}, True),
        ("approved", True),
        (None, True),
    ],
)
def test_report_when_nobody_clearly_approved_it_then_it_is_a_draft(
    typeface: Typeface, status: Any, is_draft: bool
) -> None:
    assert ("草稿 / DRAFT" in text_of(typeface, sample.composite(status=status))) == is_draft


@pytest.mark.parametrize("language", list(Language))
def test_report_when_printed_with_its_picture_then_bytes_are_equal_and_fonts_embedded(
    typeface: Typeface, tmp_path: Path, language: Language
) -> None:
    first, second = (
        render_composite(
            sample.composite(),
            picture=picture(phantom(), language=language.value),
            created=date(2026, 11, 10),
            number="C-7",
            language=language,
            typeface=typeface,
        )
        for _ in range(2)
    )
    assert first == second
    assert len(reading.pages(first)) <= 2
    assert all(line[-5:-2] == ["yes", "yes", "yes"] for line in reading.fonts(first, tmp_path))
    assert "47.5 Gy (95%)" in " ".join(reading.pages(first)[0].split())


def test_report_when_the_mapping_lacks_courses_then_it_is_refused(typeface: Typeface) -> None:
    mapping = sample.composite()
    del mapping["courses"]
    with pytest.raises(TemplateFault, match="courses"):
        text_of(typeface, mapping)


def test_volumes_when_structures_tell_them_then_they_are_a_table_with_bounds(typeface: Typeface) -> None:
    text = text_of(typeface, sample.composite())
    assert "V20" in text
    assert "5.3 (5.1–5.4)" in text
    assert "unknown (0.0–44.5)" in text


def test_report_when_dose_is_weighted_then_its_unit_says_so(typeface: Typeface) -> None:
    assert "Doses of structures (Gy(RBE);" in text_of(typeface, sample.composite(dose_type="rbe_weighted"))
    assert "Gy(RBE)" not in text_of(typeface, sample.composite())
