"""The isodose picture: image, lines of equal dose, outlines, and what a reader must know not to misread it.

Every picture says which way it is seen, in Gy and percent of what, where dose is not known, and where it comes from.
Dose that is not known is hatched and never looks like no dose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dose.shapes.planes import Orientation, PlaneCut
from reports.errors import PictureUnfit
from reports.fonts import Faces, Typeface, Weight
from reports.surface import PngSurface, Points, Rgb, Surface
from reports.typeset import Look, Run, lines
from reports.wording import NBSP, number

DEFAULT_LEVELS_PERCENT: Final = (105.0, 100.0, 95.0, 80.0, 50.0, 30.0)
_COLOURS: Final = ("#FF3B30", "#FF9500", "#FFE04D", "#45D97A", "#37B6FF", "#B58CFF", "#FF7AC6", "#C8C8C8")
_GREY_CENTRE_HU: Final = 40.0
_GREY_WIDTH_HU: Final = 450.0
_BODY_HU: Final = -400.0  # above it is patient, couch or mask; air around it is cropped
_MARGIN_MM: Final = 8.0
_HATCH_MM: Final = 7.0
_GAP: Final = 8.0
_TITLE: Final = 15.0
_LEGEND_ROW: Final = 14.0
_FOOT_ROW: Final = 10.5
_FOOT_SIZE: Final = 7.5
_NO_SWATCH: Final = "none"
_SCALE_BAR_MM: Final = 50.0

_WORDS: Final = {
    "zh": {
        Orientation.AXIAL: "横断面",
        Orientation.CORONAL: "冠状面",
        Orientation.SAGITTAL: "矢状面",
        "unknown": "剂量未知",
        "of": "100% =",
    },
    "en": {
        Orientation.AXIAL: "axial",
        Orientation.CORONAL: "coronal",
        Orientation.SAGITTAL: "sagittal",
        "unknown": "dose unknown",
        "of": "100% =",
    },
}
_AXIS: Final = {Orientation.AXIAL: "z", Orientation.CORONAL: "y", Orientation.SAGITTAL: "x"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """The section of a structure with each plane.

    Parameters
    ----------
    colour
        ``#RRGGBB``.
    lines_mm
        For each plane, closed or open lines ``[point, 2]`` in LPS mm of the axes shown (across, down).
    """

    name: str
    colour: str
    lines_mm: Sequence[Sequence[npt.NDArray[np.float64]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IsodosePicture:
    """Planes side by side at one scale, with legend and provenance.

    Parameters
    ----------
    cuts
        Planes, left to right.
    reference_gy
        What 100 percent means.
    reference_name
        Says so in words, such as ``prescription`` or a plan's label.
    unit
        ``Gy``, ``Gy(RBE)`` or ``Gy EQD2, α/β 3``.
    levels_percent
        Isodose levels, percent of the reference.
    provenance
        Lines printed below: grids, plans, registration, date.
    """

    cuts: Sequence[PlaneCut]
    reference_gy: float
    reference_name: str
    unit: str = "Gy"
    levels_percent: Sequence[float] = DEFAULT_LEVELS_PERCENT
    outlines: Sequence[Outline] = ()
    provenance: Sequence[str] = ()
    language: str = "en"

    def __post_init__(self) -> None:
        """Refuse what would draw a misleading picture."""
        if not self.cuts:
            raise PictureUnfit("a picture needs a plane")
        if not (np.isfinite(self.reference_gy) and self.reference_gy > 0):
            raise PictureUnfit(f"the reference dose is {self.reference_gy} Gy")
        if not 0 < len(self.levels_percent) <= len(_COLOURS) or min(self.levels_percent) <= 0:
            raise PictureUnfit(f"between 1 and {len(_COLOURS)} positive isodose levels can be told apart")
        if any(len(outline.lines_mm) != len(self.cuts) for outline in self.outlines):
            raise PictureUnfit("an outline has lines for another number of planes")

    @property
    def texts(self) -> list[str]:
        """Every text that will be drawn."""
        labels = [cut.labels for cut in self.cuts]
        edges = [letter for label in labels for letter in (label.left, label.right, label.top, label.bottom)]
        legend = [text for _, text in self._legend()]
        return [*edges, *legend, *self.provenance, *(self._title(cut) for cut in self.cuts), f"5{NBSP}cm−"]

    def height(self, width: float, faces: Faces) -> float:
        """Height in points the picture needs at a width."""
        panels = self._scale(width) * max(_window(cut).height_mm for cut in self.cuts)
        legend = len(self._legend_rows(width, faces)) * _LEGEND_ROW
        return _TITLE + panels + 6 + legend + len(self._foot(width, faces)) * _FOOT_ROW

    def draw(self, surface: Surface, width: float) -> None:
        """Draw the picture from the top left corner of a surface."""
        scale = self._scale(width)
        x = 0.0
        for place, cut in enumerate(self.cuts):
            window = _window(cut)
            surface.text(x, 10, self._title(cut), size=8.5, colour="#566872", weight=Weight.BOLD)
            _Panel(self, place, window, x, _TITLE, scale).draw(surface)
            x += window.width_mm * scale + _GAP
        y = _TITLE + scale * max(_window(cut).height_mm for cut in self.cuts) + 6
        for row in self._legend_rows(width, surface.faces):
            for swatch_x, colour, text in row:
                _swatch(surface, swatch_x, y, colour)
                surface.text(swatch_x + (20 if colour != _NO_SWATCH else 0), y + 9, text, size=8.5, colour="#1C2B33")
            y += _LEGEND_ROW
        for line in self._foot(width, surface.faces):
            surface.text(0, y + 8, line, size=_FOOT_SIZE, colour="#566872")
            y += _FOOT_ROW

    def _foot(self, width: float, faces: Faces) -> list[str]:
        broken = [
            lines([Run(text, Look())], faces=faces, size_pt=_FOOT_SIZE, width_pt=width) for text in self.provenance
        ]
        return ["".join(run.text for run in line) for text in broken for line in text]

    def _scale(self, width: float) -> float:
        total_mm = sum(_window(cut).width_mm for cut in self.cuts)
        return (width - _GAP * (len(self.cuts) - 1)) / total_mm

    def _title(self, cut: PlaneCut) -> str:
        name = _WORDS[self.language][cut.orientation]
        return f"{name}  {_AXIS[cut.orientation]} = {cut.position_mm:.1f}{NBSP}mm".replace("-", "−")

    def _legend(self) -> list[tuple[str, str]]:
        """Colour and text of each entry; an empty colour is the hatch."""
        words = _WORDS[self.language]
        entries = [
            (colour, f"{number(percent * self.reference_gy / 100)}{NBSP}{self.unit} ({number(percent)}%)")
            for colour, percent in zip(_COLOURS, self.levels_percent, strict=False)
        ]
        entries.extend((outline.colour, outline.name) for outline in self.outlines)
        if any(not _is_all_known(cut) for cut in self.cuts):
            entries.append(("", str(words["unknown"])))
        reference = f"{words['of']} {number(self.reference_gy)}{NBSP}{self.unit}, {self.reference_name}"
        return [*entries, (_NO_SWATCH, reference)]

    def _legend_rows(self, width: float, faces: Faces) -> list[list[tuple[float, str, str]]]:
        rows: list[list[tuple[float, str, str]]] = [[]]
        x = 0.0
        for colour, text in self._legend():
            needed = (20 if colour != _NO_SWATCH else 0) + faces.regular.width(text, 8.5)
            if x and x + needed > width:
                rows.append([])
                x = 0.0
            rows[-1].append((x, colour, text))
            x += needed + 14
        return rows


def render_png(picture: IsodosePicture, *, width: float = 720.0, typeface: Typeface | None = None) -> bytes:
    """Return a picture as PNG, 144 dots per inch: the same planes always give the same bytes.

    Parameters
    ----------
    width
        In points; the height follows.

    Raises
    ------
    GlyphMissing
        If a character of a name can't be drawn.
    """
    faces = (typeface or Typeface()).faces(picture.texts)
    margin = 10.0
    inner = width - 2 * margin
    surface = PngSurface(width, picture.height(inner, faces) + 2 * margin, faces)
    picture.draw(_Shifted(surface, margin), inner)
    return surface.png()


class _Shifted:
    """A surface with a margin."""

    def __init__(self, surface: Surface, by: float) -> None:
        self._surface, self._by = surface, by

    @property
    def faces(self) -> Faces:
        return self._surface.faces

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str | None, stroke: str | None = None
    ) -> None:
        self._surface.rect(x + self._by, y + self._by, width, height, fill=fill, stroke=stroke)

    def line(self, points: Points, *, colour: str, width: float) -> None:
        self._surface.line(np.asarray(points) + self._by, colour=colour, width=width)

    def area(self, points: Points, *, fill: str) -> None:
        self._surface.area(np.asarray(points) + self._by, fill=fill)

    def text(self, x: float, y: float, text: str, *, size: float, colour: str, weight: Weight = Weight.REGULAR) -> None:
        self._surface.text(x + self._by, y + self._by, text, size=size, colour=colour, weight=weight)

    def image(self, x: float, y: float, width: float, height: float, pixels: Rgb) -> None:
        self._surface.image(x + self._by, y + self._by, width, height, pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The part of a plane that is shown: rows and columns, half open, and its size."""

    rows: slice
    columns: slice
    width_mm: float
    height_mm: float


class _Panel:
    """One plane at its place."""

    def __init__(self, picture: IsodosePicture, place: int, window: _Window, x: float, y: float, scale: float) -> None:
        self._picture, self._place, self._window = picture, place, window
        self._cut = picture.cuts[place]
        self._x, self._y, self._scale = x, y, scale

    def draw(self, surface: Surface) -> None:
        width, height = self._window.width_mm * self._scale, self._window.height_mm * self._scale
        surface.image(self._x, self._y, width, height, _pixels(self._cut, self._window))
        for outline in self._picture.outlines:
            for line in outline.lines_mm[self._place]:
                self._line(surface, line, outline.colour, 0.9)
        for colour, percent in zip(_COLOURS, self._picture.levels_percent, strict=False):
            for line in isolines(self._cut, percent * self._picture.reference_gy / 100):
                self._line(surface, line, colour, 1.6 if percent == 100 else 1.0)
        self._edges(surface, width, height)
        self._scale_bar(surface, height)

    def _line(self, surface: Surface, line_mm: npt.NDArray[np.float64], colour: str, width: float) -> None:
        for part in _inside(self._to_page(line_mm), self._box()):
            surface.line(part, colour=colour, width=width)

    def _box(self) -> tuple[float, float, float, float]:
        width, height = self._window.width_mm * self._scale, self._window.height_mm * self._scale
        return self._x, self._y, self._x + width, self._y + height

    def _to_page(self, line_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        left, right, bottom, top = self._cut.extent_mm
        rows, columns = self._cut.dose_gy.shape
        column = (line_mm[:, 0] - left) / (right - left) * columns - self._window.columns.start
        row = (line_mm[:, 1] - top) / (bottom - top) * rows - self._window.rows.start
        pixel_mm = abs(right - left) / columns, abs(bottom - top) / rows
        return np.stack(
            [self._x + column * pixel_mm[0] * self._scale, self._y + row * pixel_mm[1] * self._scale], axis=1
        )

    def _edges(self, surface: Surface, width: float, height: float) -> None:
        labels, size = self._cut.labels, 10.0
        middle_x, middle_y = self._x + width / 2, self._y + height / 2
        for text, x, y in (
            (labels.left, self._x + 3, middle_y - 7),
            (labels.right, self._x + width - 15, middle_y - 7),
            (labels.top, middle_x - 6, self._y + 3),
            (labels.bottom, middle_x - 6, self._y + height - 16),
        ):
            surface.rect(x, y, 12, 13, fill="#101A1F")
            letter = surface.faces.bold.width(text, size)
            surface.text(x + 6 - letter / 2, y + 10, text, size=size, colour="#FFFFFF", weight=Weight.BOLD)

    def _scale_bar(self, surface: Surface, height: float) -> None:
        if self._window.width_mm < 3 * _SCALE_BAR_MM:
            return
        x, y = self._x + 8, self._y + height - 6
        surface.line([(x, y), (x + _SCALE_BAR_MM * self._scale, y)], colour="#FFFFFF", width=1.4)
        surface.text(x, y - 4, f"5{NBSP}cm", size=7.5, colour="#FFFFFF")


def isolines(cut: PlaneCut, level_gy: float) -> list[npt.NDArray[np.float64]]:
    """Return the lines of one dose, ``[point, 2]`` in LPS mm of the axes shown; none runs through unknown dose."""
    from contourpy import LineType, contour_generator

    if min(cut.dose_gy.shape) < 2:
        return []
    dose = np.ma.masked_array(cut.dose_gy.astype(np.float64), mask=~cut.known)
    generator = contour_generator(x=cut.across_mm, y=cut.down_mm, z=dose, line_type=LineType.Separate)
    return [np.asarray(line, dtype=np.float64) for line in generator.lines(level_gy)]


def _window(cut: PlaneCut) -> _Window:
    """Crop the air around patient and dose."""
    left, right, bottom, top = cut.extent_mm
    rows, columns = cut.dose_gy.shape
    pixel = abs(right - left) / columns, abs(bottom - top) / rows
    shown = cut.known & (cut.dose_gy > 0.02 * max(float(cut.dose_gy.max()), 1e-6))
    if cut.ct_hu is not None:
        shown = shown | (cut.ct_hu > _BODY_HU)
    if not shown.any():
        shown = np.ones_like(shown)
    row_places, column_places = np.nonzero(shown)
    row_range = _range(row_places, rows, round(_MARGIN_MM / pixel[1]))
    column_range = _range(column_places, columns, round(_MARGIN_MM / pixel[0]))
    return _Window(
        rows=row_range,
        columns=column_range,
        width_mm=(column_range.stop - column_range.start) * pixel[0],
        height_mm=(row_range.stop - row_range.start) * pixel[1],
    )


def _is_all_known(cut: PlaneCut) -> bool:
    window = _window(cut)
    return bool(cut.known[window.rows, window.columns].all())


def _range(places: npt.NDArray[np.intp], count: int, margin: int) -> slice:
    return slice(max(0, int(places.min()) - margin), min(count, int(places.max()) + 1 + margin))


def _pixels(cut: PlaneCut, window: _Window) -> Rgb:
    """Grey image with unknown dose hatched, ``[row, column, rgb]``."""
    hu = np.zeros_like(cut.dose_gy) - 1000 if cut.ct_hu is None else cut.ct_hu
    grey = np.clip((hu - (_GREY_CENTRE_HU - _GREY_WIDTH_HU / 2)) / _GREY_WIDTH_HU, 0, 1) * 225 + 10
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    left, right, bottom, top = cut.extent_mm
    across = np.arange(grey.shape[1]) * abs(right - left) / grey.shape[1]
    down = np.arange(grey.shape[0]) * abs(bottom - top) / grey.shape[0]
    stripes = ((across[None, :] + down[:, None]) % _HATCH_MM) < _HATCH_MM * 0.3
    hatched = stripes & ~cut.known
    rgb[hatched] = 0.35 * rgb[hatched] + 0.65 * np.array([214.0, 120.0, 110.0])
    pixels: Rgb = rgb[window.rows, window.columns].round().astype(np.uint8)
    return pixels


def _swatch(surface: Surface, x: float, y: float, colour: str) -> None:
    if colour == _NO_SWATCH:
        return
    surface.rect(x, y + 1, 15, 9, fill="#26333A")
    if colour:
        surface.line([(x + 1.5, y + 5.5), (x + 13.5, y + 5.5)], colour=colour, width=1.8)
        return
    for start in (1.0, 5.0, 9.0):
        surface.line([(x + start, y + 9), (x + start + 5, y + 2)], colour="#D6786E", width=1.4)


def _inside(points: npt.NDArray[np.float64], box: tuple[float, float, float, float]) -> list[npt.NDArray[np.float64]]:
    """Part a line where it leaves the panel."""
    left, top, right, bottom = box
    keep = (points[:, 0] >= left) & (points[:, 0] <= right) & (points[:, 1] >= top) & (points[:, 1] <= bottom)
    breaks = np.flatnonzero(np.diff(keep.astype(np.int8))) + 1
    parts = np.split(points, breaks)
    flags = np.split(keep, breaks)
    return [part for part, flag in zip(parts, flags, strict=True) if flag[0] and len(part) > 1]
