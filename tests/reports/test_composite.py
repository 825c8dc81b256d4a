"""The report of a composite dose."""

import copy
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from reports.composite import composite_markup, render_composite
from reports.composite_effects import chart_rows
from reports.errors import TemplateFault
from reports.fonts import Faces, Typeface, Weight
from reports.render import Language
from reports.surface import PngSurface
from tests.reports import reading, sample
from tests.reports.test_figures import phantom, picture


class Drawn(PngSurface):
    """A surface that notes what is drawn on it."""

    def __init__(self, width: float, height: float, faces: Faces) -> None:
        super().__init__(width, height, faces)
        self.areas: list[Any] = []
        self.texts: list[str] = []
        self.points: list[tuple[float, float]] = []

    def line(self, points: Any, *, colour: str, width: float) -> None:
        self.points += list(points)
        super().line(points, colour=colour, width=width)

    def area(self, points: Any, *, fill: str) -> None:
        self.areas.append(points)
        super().area(points, fill=fill)

    def text(self, x: float, y: float, text: str, *, size: float, colour: str, weight: Weight = Weight.REGULAR) -> None:
        self.texts.append(text)
        super().text(x, y, text, size=size, colour=colour, weight=weight)


def text_of(typeface: Typeface, mapping: dict[str, Any], language: Language = Language.EN) -> str:
    content = render_composite(
        mapping, pictures=[], created=date(2026, 11, 10), number="C-7", language=language, typeface=typeface
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
            pictures=[picture(phantom(), language=language.value)],
            created=date(2026, 11, 10),
            number="C-7",
            language=language,
            typeface=typeface,
        )
        for _ in range(2)
    )
    assert first == second
    assert len(reading.pages(first)) <= 3
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


@pytest.mark.parametrize("language", list(Language))
def test_report_when_everything_was_asked_for_then_all_of_it_is_printed(typeface: Typeface, language: Language) -> None:
    text = text_of(typeface, sample.answered(), language)
    told = ["×\u00a01.000", "TRE", "1.2.826.0.1.3680043.8.498.9.1", "LQ-L", "α/β", "36.1", "52.4", "16.3", "13.7"]
    told += ["UMich", "LG-CMP-001", "HyTEC 2019", "2026-11-01", "abababababababab", "Boost", "Mediastinum_50"]
    bare = "".join(text.split())
    assert [one for one in told if "".join(one.split()) not in bare] == []


def test_chinese_report_when_printed_then_warnings_and_verdicts_are_chinese(typeface: Typeface) -> None:
    text = text_of(typeface, sample.answered(), Language.ZH)
    assert "不完整：缺少剂量。" in text
    assert "请找到它。" in text
    assert "INCOMPLETE" not in text
    assert "形变配准" in text


def test_report_when_what_was_approved_is_outdated_then_it_says_so_and_is_a_draft(typeface: Typeface) -> None:
    status = {"state": "outdated", "by": "physicist", "at": "2026-11-10T08:00:00+00:00", "reason": "checked"}
    text = text_of(typeface, sample.composite(status=status))
    assert "What was approved is outdated" in text
    assert "草稿 / DRAFT" in text


def test_report_when_approved_then_it_names_who_and_why(typeface: Typeface) -> None:
    status = {"state": "approved", "by": "physicist", "at": "2026-11-10T08:00:00+00:00", "reason": "all checked"}
    assert "Approved by physicist on 2026-11-10: all checked" in text_of(typeface, sample.composite(status=status))


def test_chart_when_drawn_then_the_band_lies_between_the_bounds_and_every_course_is_marked(typeface: Typeface) -> None:
    (row, _) = chart_rows(sample.answered(), "Gy", "en")
    faces = typeface.faces(row.texts)
    drawn = Drawn(500, row.height(500, faces), faces)
    row.draw(drawn, 500)
    assert [chart.name for chart in row.charts] == ["SpinalCord", "Esophagus"]
    assert len(drawn.areas) == 2
    assert {"1", "2", "course 1", "course 2"} <= set(drawn.texts)
    assert all(0 <= x <= 500 and 0 <= y <= row.height(500, faces) for x, y in drawn.points)


@pytest.mark.parametrize("language", list(Language))
def test_report_when_figures_stand_side_by_side_then_each_is_printed(typeface: Typeface, language: Language) -> None:
    composite = sample.answered()
    structure = composite["structures"][0]
    eqd2 = {**structure["eqd2"], "max_gy": {"value": 45.3, "lo": 45.3, "hi": 45.3}}
    composite["structures"] = [{**structure, "eqd2_incomplete_repair": eqd2}, *composite["structures"][1:]]
    composite["courses"][0]["recovery"] = [{"model": "University of Michigan", "forgotten": 0.25}]
    known, missing = {"value": 14.2, "lo": 14.2, "hi": 14.2}, {"value": None, "lo": 43.2, "hi": None, "estimate": None}
    together = {"value": None, "lo": 43.2, "estimate": 57.4, "hi": 61.8}
    row = {
        "structure": "Bladder",
        "alpha_beta_gy": 3.0,
        "sum_d2cc_eqd2_gy": known,
        "insertions": [{"d2cc_eqd2_gy": None}],
    }
    composite["brachytherapy"] = [
        {**row, "together_d2cc_eqd2_gy": together},
        {**row, "structure": "Rectum", "together_d2cc_eqd2_gy": missing},
    ]
    bare = "".join(text_of(typeface, composite, language).split())
    wanted = ("45.3", "57.4(43.2–61.8)", "≥43.2", "Bladder", "Rectum", "25.0%")
    assert [told for told in wanted if told not in bare] == []


@pytest.mark.parametrize("language", list(Language))
def test_report_when_a_figure_of_the_answer_changes_then_the_paper_changes(language: Language) -> None:
    def markup(mapping: dict[str, Any]) -> str:
        return composite_markup(
            mapping, isodoses=[], charts=[], created=date(2026, 11, 10), number="C-7", language=language
        )

    def places(told: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
        items = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
        for key, item in items:
            yield from places(item, *path, key)
        if isinstance(told, int | float) and not isinstance(told, bool):
            yield path

    body = copy.deepcopy(sample.answered())
    printed, told = markup(body), []
    for kind in ("physical", "eqd2", "eqd2_lql", "ensemble", "search_radius"):
        told += list(places(body["structures"][0][kind], "structures", 0, kind))
    told += list(places(body["remaining"], "remaining")) + list(places(body["courses"], "courses"))
    silent = []
    for *way, last in told:
        changed = copy.deepcopy(body)
        inner: Any = changed
        for step in way:
            inner = inner[step]
        inner[last] += 3
        if markup(changed) == printed:
            silent.append((*way, last))
    assert len(told) > 60
    assert silent == []
