"""The blocks a page is made of, on top of reportlab's platypus.

Each block knows its `role` (P, H1, TH ...), so that a later layer can tag the PDF without knowing how blocks are drawn.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from reportlab.lib.colors import HexColor
from reportlab.platypus import Flowable

from reports import typeset
from reports.fonts import Faces, Weight
from reports.surface import PdfSurface, Surface
from reports.theme import COLOURS, Sheet, TextStyle, Tone
from reports.typeset import Look, Run

_BASELINE: Final = 0.36  # of the size, below the middle of a line: centres Han characters and Latin capitals alike


def colour(name: str) -> Any:
    """Return a colour of the theme as reportlab wants it."""
    return HexColor(COLOURS[name])


class TextBlock(Flowable):  # type: ignore[misc]
    """A paragraph, heading or cell."""

    def __init__(
        self,
        runs: Sequence[Run],
        style: TextStyle,
        faces: Faces,
        *,
        role: str = "P",
        indent: float = 0.0,
        mark: str = "",
    ) -> None:
        super().__init__()
        self.role = role
        self._runs, self._style, self._faces = tuple(runs), style, faces
        self._indent, self._mark = indent, mark
        self._lines: list[typeset.Line] | None = None
        self.room_below = 0.0

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Break the text to the width; reportlab's protocol."""
        self.width = available_width
        if self._runs or self._lines is None:
            self._lines = typeset.lines(
                self._runs, faces=self._faces, size_pt=self._style.size, width_pt=available_width - self._indent
            )
        self.height = len(self._lines) * self._style.leading
        # Said to be taller than the room there is, a heading goes over to the next page with what it heads.
        is_stranded = self.room_below and available_height < self.height + self.room_below
        return available_width, available_height + 1 if is_stranded else self.height

    def split(self, available_width: float, available_height: float) -> list["TextBlock"]:
        """Part between lines, never leaving a single line on either side."""
        if self.room_below:
            return []
        self.wrap(available_width, available_height)
        lines = self._lines or []
        fitting = int(available_height // self._style.leading)
        if len(lines) - fitting == 1:
            fitting -= 1
        if fitting < 2:
            return []
        return [self._part(lines[:fitting], self._mark), self._part(lines[fitting:], "")]

    def _part(self, lines: list[typeset.Line], mark: str) -> "TextBlock":
        part = TextBlock((), self._style, self._faces, role=self.role, indent=self._indent, mark=mark)
        part._lines = lines
        return part

    def getSpaceBefore(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block above; reportlab's protocol."""
        return self._style.space_before

    def getSpaceAfter(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block below; reportlab's protocol."""
        return self._style.space_after

    def draw(self) -> None:
        """Write the lines; reportlab's protocol."""
        size, leading = self._style.size, self._style.leading
        for number, line in enumerate(self._lines or ()):
            y = self.height - (number + 0.5) * leading - _BASELINE * size
            if number == 0 and self._mark:
                write(self.canv, 0, y, [Run(self._mark, Look(weight=Weight.BOLD, colour="bar"))], size)
            write(self.canv, self._start(line), y, line, size)

    def _start(self, line: typeset.Line) -> float:
        free = self.width - self._indent - typeset.measure(line, self._faces, self._style.size)
        return self._indent + {"left": 0.0, "center": free / 2, "right": free}[self._style.align]


def write(canvas: Any, x: float, y: float, runs: Sequence[Run], size: float) -> float:
    """Write runs on one line and return the x where they end."""
    for run in runs:
        canvas.setFillColor(colour(run.look.colour))
        x = canvas.text.draw(x, y, run.text, weight=run.look.weight, size_pt=size)
    return x


class Stack(Flowable):  # type: ignore[misc]
    """Blocks one below the other that stay together.

    Parameters
    ----------
    fill
        Whether room that is left over is spread between blocks marked as `elastic`.
    """

    def __init__(self, blocks: Sequence[Any], *, fill: bool = False) -> None:
        super().__init__()
        self.role = "Div"
        self.blocks = tuple(blocks)
        self._fill = fill
        self._gaps: list[float] = []

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Measure all blocks; reportlab's protocol."""
        self.width = available_width
        self._sizes = [block.wrap(available_width, available_height)[1] for block in self.blocks]
        self._gaps = [
            max(above.getSpaceAfter(), below.getSpaceBefore())
            for above, below in zip(self.blocks, self.blocks[1:], strict=False)
        ]
        self.height = sum(self._sizes) + sum(self._gaps)
        elastic = [number for number, block in enumerate(self.blocks[1:]) if getattr(block, "is_elastic", False)]
        if self._fill and elastic and available_height > self.height:
            spare = min((available_height - self.height) / len(elastic), 16.0)
            for number in elastic:
                self._gaps[number] += spare
            self.height += spare * len(elastic)
        return available_width, self.height

    def draw(self) -> None:
        """Draw top down; reportlab's protocol."""
        y = self.height
        for block, size, gap in zip(self.blocks, self._sizes, [*self._gaps, 0.0], strict=True):
            y -= size
            block.drawOn(self.canv, 0, y)
            y -= gap


class Box(Flowable):  # type: ignore[misc]
    """Blocks on a ground with round corners and a strong left edge."""

    def __init__(self, blocks: Sequence[Any], tone: Tone, sheet: Sheet) -> None:
        super().__init__()
        self.role = "Div"
        self.is_elastic = True
        self._content = Stack(blocks)
        self._tone, self._sheet = tone, sheet
        self.minimum_height = 0.0

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Measure the content within the padding; reportlab's protocol."""
        pad = self._sheet.padding
        self.width = available_width
        _, inner = self._content.wrap(available_width - 2 * pad - 6, available_height)
        self._inner = inner
        self.height = max(inner + 2 * pad, self.minimum_height)
        return available_width, self.height

    def getSpaceBefore(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block above; reportlab's protocol."""
        return self._sheet.body.space_after + 2

    def getSpaceAfter(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block below; reportlab's protocol."""
        return self._sheet.body.space_after + 2

    def draw(self) -> None:
        """Draw ground, edge and content; reportlab's protocol."""
        canvas = self.canv
        canvas.setFillColor(colour(self._tone.ground))
        canvas.setStrokeColor(colour(self._tone.line))
        canvas.setLineWidth(0.6)
        canvas.roundRect(0, 0, self.width, self.height, 5, stroke=1, fill=1)
        if self._tone.ground != self._tone.line:
            canvas.setFillColor(colour(self._tone.line))
            canvas.roundRect(0, 0, 4, self.height, 2, stroke=0, fill=1)
        pad = self._sheet.padding
        self._content.drawOn(canvas, pad + 5, self.height - pad - self._inner)


class Columns(Flowable):  # type: ignore[misc]
    """Stacks side by side; boxes in them get the same height."""

    def __init__(self, columns: Sequence[Sequence[Any]], sheet: Sheet, weights: Sequence[float] = ()) -> None:
        super().__init__()
        self.role = "Div"
        self.is_elastic = True
        self._columns = [Stack(blocks) for blocks in columns]
        self._weights = list(weights) or [1.0] * len(columns)
        self._sheet = sheet

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Measure the columns; reportlab's protocol."""
        self.width = available_width
        free = available_width - self._sheet.gap * (len(self._columns) - 1)
        self._widths = [free * weight / sum(self._weights) for weight in self._weights]
        self.height = self._measure(available_height)
        boxes = [column.blocks[0] for column in self._columns if len(column.blocks) == 1]
        if len(boxes) == len(self._columns) and all(isinstance(box, Box) for box in boxes):
            for box in boxes:
                box.minimum_height = self.height
            self.height = self._measure(available_height)
        return available_width, self.height

    def _measure(self, available_height: float) -> float:
        sizes = [
            column.wrap(width, available_height)[1] for column, width in zip(self._columns, self._widths, strict=True)
        ]
        return max(sizes, default=0.0)

    def getSpaceBefore(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block above; reportlab's protocol."""
        return self._sheet.body.space_after + 2

    def getSpaceAfter(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block below; reportlab's protocol."""
        return self._sheet.body.space_after + 2

    def draw(self) -> None:
        """Draw left to right, tops level; reportlab's protocol."""
        x = 0.0
        for column, width in zip(self._columns, self._widths, strict=True):
            column.drawOn(self.canv, x, self.height - column.height)
            x += width + self._sheet.gap


class Picture(Protocol):
    """Something that draws itself at any width, such as `reports.figures.IsodosePicture`."""

    @property
    def texts(self) -> Sequence[str]:
        """Every text it will draw."""

    def height(self, width: float, faces: Faces) -> float:
        """Height it needs at a width, points."""

    def draw(self, surface: Surface, width: float) -> None:
        """Draw it from the top left corner of a surface."""


class Figure(Flowable):  # type: ignore[misc]
    """A picture over the whole width, with the words for those who can't see it."""

    def __init__(self, picture: Picture, faces: Faces, *, alt: str) -> None:
        super().__init__()
        self.role, self.alt = "Figure", alt
        self._picture, self._faces = picture, faces

    def wrap(self, available_width: float, _available_height: float) -> tuple[float, float]:
        """Ask the picture for its height; reportlab's protocol."""
        self.width = available_width
        self.height = self._picture.height(available_width, self._faces)
        return self.width, self.height

    def getSpaceAfter(self) -> float:  # noqa: N802 - reportlab's name
        """Distance to the block below; reportlab's protocol."""
        return 6.0

    def draw(self) -> None:
        """Draw the picture as vectors; reportlab's protocol."""
        self._picture.draw(PdfSurface(self.canv, self.height), self.width)


class Rule(Flowable):  # type: ignore[misc]
    """A fine line across."""

    def __init__(self, space: float) -> None:
        super().__init__()
        self.role = "Artifact"
        self._space = space

    def wrap(self, available_width: float, _available_height: float) -> tuple[float, float]:
        """Take the whole width; reportlab's protocol."""
        self.width, self.height = available_width, 2 * self._space
        return self.width, self.height

    def draw(self) -> None:
        """Draw the line; reportlab's protocol."""
        self.canv.setStrokeColor(colour("rule"))
        self.canv.setLineWidth(0.6)
        self.canv.line(0, self._space, self.width, self._space)
