"""Dose-volume histograms as a chart: the sum with its bounds as a band, each course as a line of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reports.fonts import Faces, Weight
from reports.surface import Surface
from reports.wording import NBSP, number

_COURSES: Final = ("#16808D", "#B15928", "#6A3D9A", "#33A02C", "#E31A1C", "#1F78B4")
_SUM: Final = "#1C2B33"
_BAND: Final = "#D9DEE1"
_GRID: Final = "#E3E8EB"
_MUTED: Final = "#566872"
_GAP: Final = 18.0
_TITLE: Final = 14.0
_PLOT: Final = 112.0
_AXIS: Final = 24.0
_LEFT: Final = 26.0
_LEGEND_ROW: Final = 13.0
_SIZE: Final = 7.5
_STEPS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0, 200.0)
_WORDS: Final = {
    "zh": {"sum": "合计（带：下限至上限）", "course": "疗程{}", "dose": "剂量 {}", "volume": "体积 %"},
    "en": {"sum": "sum (band: lower to upper bound)", "course": "course {}", "dose": "dose {}", "volume": "volume %"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A cumulative histogram: volume in percent that gets at least each dose; two bounds, equal where all is known."""

    dose_gy: Sequence[float]
    lo_percent: Sequence[float]
    hi_percent: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The histograms of one structure; courses by their number."""

    name: str
    total: Curve
    courses: Sequence[tuple[int, Curve]] = ()

    @property
    def highest_gy(self) -> float:
        """The end of the dose axis."""
        ends = [one.dose_gy[-1] for one in (self.total, *(curve for _, curve in self.courses)) if one.dose_gy]
        return max([1.0, *ends])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartRow:
    """Charts side by side, at most two, with one legend below; a picture of `reports.flowables`."""

    charts: Sequence[Chart]
    unit: str
    language: str
    columns: int = 2

    @property
    def texts(self) -> list[str]:
        """Every text that will be drawn."""
        words = _WORDS[self.language]
        legend = [words["sum"], *(words["course"].format(place) for place in self._places())]
        axes = [words["volume"], words["dose"].format(self.unit), "0123456789.−"]
        return [*(chart.name for chart in self.charts), *legend, *axes]

    def height(self, _width: float, _faces: Faces) -> float:
        """Height in points the charts need."""
        return _TITLE + _PLOT + _AXIS + _LEGEND_ROW

    def draw(self, surface: Surface, width: float) -> None:
        """Draw the charts from the top left corner of a surface."""
        each = (width - _GAP * (self.columns - 1)) / self.columns
        for place, chart in enumerate(self.charts):
            _Plot(chart=chart, x=place * (each + _GAP), width=each, unit=self.unit, language=self.language).draw(
                surface
            )
        self._legend(surface, _TITLE + _PLOT + _AXIS)

    def _places(self) -> list[int]:
        return sorted({place for chart in self.charts for place, _ in chart.courses})

    def _legend(self, surface: Surface, y: float) -> None:
        words, x = _WORDS[self.language], _LEFT
        surface.rect(x, y + 1, 16, 7, fill=_BAND)
        entries = [(_SUM, 1.6, words["sum"])]
        entries += [(course_colour(place), 1.0, words["course"].format(place)) for place in self._places()]
        for colour, thickness, text in entries:
            surface.line([(x, y + 4.5), (x + 16, y + 4.5)], colour=colour, width=thickness)
            surface.text(x + 20, y + 7.5, text, size=_SIZE, colour=_SUM)
            x += 20 + surface.faces.regular.width(text, _SIZE) + 14


def course_colour(place: int) -> str:
    """Return the colour of a course by its number."""
    return _COURSES[(place - 1) % len(_COURSES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    """One chart at its place."""

    chart: Chart
    x: float
    width: float
    unit: str
    language: str

    def draw(self, surface: Surface) -> None:
        surface.text(self.x + _LEFT, 9, self.chart.name, size=8.5, colour=_SUM, weight=Weight.BOLD)
        self._axes(surface)
        total = self.chart.total
        surface.area(
            [*self._points(total.dose_gy, total.hi_percent), *self._points(total.dose_gy, total.lo_percent)[::-1]],
            fill=_BAND,
        )
        for place, curve in self.chart.courses:
            colour = course_colour(place)
            points = self._points(curve.dose_gy, curve.lo_percent)
            surface.line(points, colour=colour, width=1.0)
            self._mark(surface, points, str(place), colour)
        surface.line(self._points(total.dose_gy, total.lo_percent), colour=_SUM, width=1.4)

    def _mark(self, surface: Surface, points: list[tuple[float, float]], text: str, colour: str) -> None:
        """Write a course's number where its line falls below half, so that colour alone tells nothing."""
        middle = _TITLE + _PLOT / 2
        x, y = next((point for point in points if point[1] >= middle), points[-1])
        surface.rect(x - 3.5, y - 4.5, 7, 9, fill="#FFFFFF")
        surface.text(x - 2.2, y + 2.8, text, size=_SIZE, colour=colour, weight=Weight.BOLD)

    def _axes(self, surface: Surface) -> None:
        words, left, bottom = _WORDS[self.language], self.x + _LEFT, _TITLE + _PLOT
        for percent in (0, 25, 50, 75, 100):
            y = self._y(percent)
            surface.line([(left, y), (self.x + self.width, y)], colour=_GRID, width=0.5)
            label = str(percent)
            offset = surface.faces.regular.width(label, _SIZE) + 3
            surface.text(left - offset, y + 2.6, label, size=_SIZE, colour=_MUTED)
        for dose in self._ticks():
            x = self._x(dose)
            surface.line([(x, _TITLE), (x, bottom)], colour=_GRID, width=0.5)
            label = number(dose)
            surface.text(
                x - surface.faces.regular.width(label, _SIZE) / 2, bottom + 9, label, size=_SIZE, colour=_MUTED
            )
        title = words["dose"].format(self.unit).replace(" ", NBSP)
        right = self.x + self.width - surface.faces.regular.width(title, _SIZE)
        surface.text(right, bottom + 19, title, size=_SIZE, colour=_MUTED)
        surface.text(left, bottom + 19, words["volume"], size=_SIZE, colour=_MUTED)

    def _ticks(self) -> list[float]:
        highest = self.chart.highest_gy
        step = next((one for one in _STEPS if highest / one <= 7), highest)
        return [step * place for place in range(int(highest / step) + 1)]

    def _points(self, doses: Sequence[float], percent: Sequence[float]) -> list[tuple[float, float]]:
        return [(self._x(dose), self._y(volume)) for dose, volume in zip(doses, percent, strict=True)]

    def _x(self, dose: float) -> float:
        return self.x + _LEFT + dose / self.chart.highest_gy * (self.width - _LEFT)

    def _y(self, percent: float) -> float:
        return _TITLE + _PLOT * (1 - percent / 100)
