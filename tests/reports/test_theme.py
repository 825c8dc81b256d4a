"""Colours and sizes."""

import pytest

from reports import markup
from reports.theme import COLOURS, TONES, doctor_sheet, patient_sheet
from reports.typeset import Look


def luminance(colour: str) -> float:
    channels = [int(COLOURS[colour][place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("text", ["ink", "muted", "accent", "alert", "warm"])
@pytest.mark.parametrize("ground", ["paper", "stripe", "watermark"])
def test_colours_when_text_stands_on_paper_then_contrast_is_enough(text: str, ground: str) -> None:
    assert contrast(text, ground) >= 4.5


@pytest.mark.parametrize("tone", sorted(TONES))
def test_colours_when_text_stands_in_a_box_then_contrast_is_enough(tone: str) -> None:
    chosen = TONES[tone]
    assert contrast(chosen.heading, chosen.ground) >= 4.5
    assert contrast(chosen.text, chosen.ground) >= 4.5


def test_missing_fact_when_on_the_dark_notice_then_contrast_is_enough() -> None:
    root = markup.parse(
        '<doc title="" lang="en"><page lang="en" audience="doctor" mark=""><p><missing>x</missing></p></page></doc>'
    )
    (run,) = markup.runs(root[0][0], Look(colour=TONES["notice"].text))
    assert contrast(run.look.colour, TONES["notice"].ground) >= 4.5


@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
def test_patient_sheet_when_at_any_density_then_nothing_is_smaller_than_12_points(density: float) -> None:
    sheet = patient_sheet(density)
    styles = (sheet.body, sheet.lead, sheet.title, sheet.heading, sheet.subheading, sheet.cell, sheet.small)
    assert min(style.size for style in styles) >= 12
    assert all(style.leading >= 1.18 * style.size for style in styles)


def test_doctor_sheet_when_made_then_nothing_is_smaller_than_8_points() -> None:
    sheet = doctor_sheet()
    assert min(style.size for style in (sheet.body, sheet.cell, sheet.cell_head, sheet.small)) >= 8
