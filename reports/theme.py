"""How the paper looks: colours, sizes, distances. All lengths in points.

One accent (a quiet teal), warm paper tones only where a patient must act. Every text colour has a contrast of at least
4.5 to 1 on the grounds it is used on (WCAG 2.2 §1.4.3); a test computes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from reports.fonts import Weight

PAGE_WIDTH: Final = 595.28  # A4
PAGE_HEIGHT: Final = 841.89
MARGIN_X: Final = 44.0
MARGIN_TOP: Final = 54.0
MARGIN_BOTTOM: Final = 42.0

COLOURS: Final[Mapping[str, str]] = {
    "ink": "#1C2B33",
    "muted": "#566872",
    "accent": "#0E5A66",
    "accent-soft": "#E8F2F3",
    "accent-line": "#A9CCD1",
    "bar": "#16808D",
    "track": "#D9E7E9",
    "paper": "#FFFFFF",
    "rule": "#D5DDE1",
    "stripe": "#F5F8F9",
    "warm": "#7A4B00",
    "warm-soft": "#FFF5E1",
    "warm-line": "#E2A93B",
    "alert": "#A3201A",
    "alert-soft": "#FDEDEB",
    "alert-line": "#D9685F",
    "watermark": "#F1E4E2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStyle:
    """Size, line distance and look of a block of text."""

    size: float
    leading: float
    weight: Weight = Weight.REGULAR
    colour: str = "ink"
    space_before: float = 0.0
    space_after: float = 0.0
    align: str = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """Colours of a box."""

    ground: str
    line: str
    heading: str
    text: str = "ink"


TONES: Final[Mapping[str, Tone]] = {
    "notice": Tone(ground="accent", line="accent", heading="paper", text="paper"),
    "calm": Tone(ground="accent-soft", line="accent-line", heading="accent"),
    "warm": Tone(ground="warm-soft", line="warm-line", heading="warm"),
    "alert": Tone(ground="alert-soft", line="alert-line", heading="alert"),
    "plain": Tone(ground="paper", line="rule", heading="accent"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The styles of one kind of page.

    Parameters
    ----------
    padding
        Inside boxes.
    gap
        Between blocks that stand side by side.
    """

    body: TextStyle
    lead: TextStyle
    title: TextStyle
    subtitle: TextStyle
    heading: TextStyle
    subheading: TextStyle
    cell: TextStyle
    cell_head: TextStyle
    small: TextStyle
    figure: TextStyle
    padding: float
    gap: float


def patient_sheet(density: float) -> Sheet:
    """Styles of the patient page, never below 12 points but for the foot.

    Parameters
    ----------
    density
        1 is roomy, 0 is the tightest that still reads well.
    """
    size = 12 + 0.6 * density
    space = 2.5 + 6.5 * density
    leading = size * (1.24 + 0.28 * density)
    bold = TextStyle(size=size, leading=leading, weight=Weight.BOLD, colour="accent")
    return Sheet(
        body=TextStyle(size=size, leading=leading, space_after=space * 0.55),
        lead=replace(bold, size=size + 1, leading=leading + 1.5, colour="ink", space_after=space * 0.4),
        title=replace(bold, size=19 + 5 * density, leading=24 + 7 * density, space_after=space * 0.5),
        subtitle=TextStyle(size=12, leading=16, colour="muted", space_after=space * 0.6),
        heading=replace(
            bold, size=13 + 1.5 * density, leading=17 + 3 * density, space_before=space * 0.9, space_after=space * 0.35
        ),
        subheading=replace(bold, space_after=space * 0.2),
        cell=TextStyle(size=12, leading=15.5),
        cell_head=TextStyle(size=12, leading=15.5, colour="muted"),
        small=TextStyle(size=12, leading=14.5 + density, colour="muted", space_after=space * 0.3),
        figure=replace(bold, size=15.5 + 5 * density, leading=19 + 7 * density),
        padding=5 + 5 * density,
        gap=10.0,
    )


def doctor_sheet() -> Sheet:
    """Styles of the doctor and technical pages and of the composite report."""
    return Sheet(
        body=TextStyle(size=9.5, leading=13.6, space_after=4),
        lead=TextStyle(size=10.5, leading=15, weight=Weight.BOLD, space_after=3),
        title=TextStyle(size=18, leading=24, weight=Weight.BOLD, colour="accent", space_after=2),
        subtitle=TextStyle(size=9.5, leading=13, colour="muted", space_after=7),
        heading=TextStyle(
            size=11.5, leading=15, weight=Weight.BOLD, colour="accent", space_before=7.5, space_after=3.5
        ),
        subheading=TextStyle(size=9.5, leading=13, weight=Weight.BOLD, colour="accent", space_after=2),
        cell=TextStyle(size=8.8, leading=11.4),
        cell_head=TextStyle(size=8.3, leading=11, weight=Weight.BOLD, colour="accent"),
        small=TextStyle(size=8, leading=11, colour="muted", space_after=3),
        figure=TextStyle(size=15, leading=19, weight=Weight.BOLD, colour="accent"),
        padding=7.0,
        gap=9.0,
    )
