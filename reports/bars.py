"""The one chart of the summary: planned and given dose of each site, from nought."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reportlab.platypus import Flowable

from reports.flowables import TextBlock, colour, write
from reports.fonts import Faces, Weight
from reports.theme import Sheet
from reports.typeset import Look, Run

_LABEL_SHARE: Final = 0.26
_NOTE_SHARE: Final = 0.34
_TRACK_HEIGHT: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One site: its name, planned and given dose in Gy (None where not recorded), and the words beside it."""

    label: str
    planned_gy: float | None
    given_gy: float | None
    note: Sequence[Run]


class Bars(Flowable):  # type: ignore[misc]
    """Planned dose as a pale track, given dose as a full bar within it, and words: nothing is told by colour alone."""

    def __init__(self, bars: Sequence[Bar], legend: tuple[str, str], sheet: Sheet, faces: Faces) -> None:
        super().__init__()
        self.role = "Figure"
        self.alt = "; ".join(f"{bar.label}: {''.join(run.text for run in bar.note)}" for bar in bars)
        self._bars, self._legend, self._sheet, self._faces = tuple(bars), legend, sheet, faces

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Measure labels and notes; reportlab's protocol."""
        self.width = available_width
        self._rows = []
        for bar in self._bars:
            label = TextBlock([Run(bar.label, Look(weight=Weight.BOLD))], self._sheet.cell, self._faces)
            note = TextBlock(bar.note, self._sheet.cell, self._faces)
            tallest = max(
                label.wrap(available_width * _LABEL_SHARE - 8, available_height)[1],
                note.wrap(available_width * _NOTE_SHARE - 10, available_height)[1],
                _TRACK_HEIGHT + 5,
            )
            self._rows.append((bar, label, note, tallest + 3))
        self.height = sum(row[3] for row in self._rows) + self._sheet.cell.leading + 2
        return available_width, self.height

    def getSpaceBefore(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block above; reportlab's protocol."""
        return self._sheet.body.space_after

    def getSpaceAfter(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block below; reportlab's protocol."""
        return self._sheet.body.space_after

    def draw(self) -> None:
        """Draw rows and legend; reportlab's protocol."""
        longest = max(
            (dose for bar in self._bars for dose in (bar.planned_gy, bar.given_gy) if dose is not None), default=0.0
        )
        left, track = self.width * _LABEL_SHARE, self.width * (1 - _LABEL_SHARE - _NOTE_SHARE)
        y = self.height
        for bar, label, note, height in self._rows:
            y -= height
            label.drawOn(self.canv, 0, y + (height - label.height) / 2)
            note.drawOn(self.canv, left + track + 10, y + (height - note.height) / 2)
            self._draw_track(bar, left, y + (height - _TRACK_HEIGHT) / 2, track / longest if longest else 0.0)
        self._draw_legend(left)

    def _draw_track(self, bar: Bar, x: float, y: float, points_per_gy: float) -> None:
        canvas: Any = self.canv
        if bar.planned_gy is not None:
            canvas.setFillColor(colour("track"))
            canvas.setStrokeColor(colour("bar"))
            canvas.setLineWidth(0.7)
            canvas.rect(x, y, bar.planned_gy * points_per_gy, _TRACK_HEIGHT, stroke=1, fill=1)
        if bar.given_gy:
            canvas.setFillColor(colour("bar"))
            canvas.rect(x, y + 3, bar.given_gy * points_per_gy, _TRACK_HEIGHT - 6, stroke=0, fill=1)
        canvas.setStrokeColor(colour("muted"))
        canvas.setLineWidth(0.8)
        canvas.line(x, y - 3, x, y + _TRACK_HEIGHT + 3)

    def _draw_legend(self, x: float) -> None:
        canvas: Any = self.canv
        size = self._sheet.cell.size
        base = 4.0
        canvas.setFillColor(colour("track"))
        canvas.setStrokeColor(colour("bar"))
        canvas.setLineWidth(0.7)
        canvas.rect(x, base - 1, 14, 9, stroke=1, fill=1)
        end = write(canvas, x + 19, base, [Run(self._legend[0], Look(colour="muted"))], size)
        canvas.setFillColor(colour("bar"))
        canvas.rect(end + 16, base + 1, 14, 5, stroke=0, fill=1)
        write(canvas, end + 35, base, [Run(self._legend[1], Look(colour="muted"))], size)
