"""What a picture is drawn on: the same drawing goes onto a PDF page as vectors or into a PNG.

Lengths are points, the origin is the top left corner, y grows downwards.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from reports.fonts import Faces, Weight

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]
Rgb = npt.NDArray[np.uint8]


class Surface(Protocol):
    """A place to draw on; colours are ``#RRGGBB``."""

    @property
    def faces(self) -> Faces:
        """Faces for measuring."""

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str | None, stroke: str | None = None
    ) -> None:
        """Draw a rectangle from its top left corner."""

    def line(self, points: Points, *, colour: str, width: float) -> None:
        """Draw an open line through points."""

    def area(self, points: Points, *, fill: str) -> None:
        """Fill the area within a closed line through points."""

    def text(self, x: float, y: float, text: str, *, size: float, colour: str, weight: Weight = Weight.REGULAR) -> None:
        """Write a line of text, y at its baseline."""

    def image(self, x: float, y: float, width: float, height: float, pixels: Rgb) -> None:
        """Draw an image, ``[row, column, rgb]``, from its top left corner."""


class PdfSurface:
    """Draws onto a reportlab canvas, with the top left corner of the picture at the given height above the origin.

    Parameters
    ----------
    canvas
        A `reports.pdf.PageCanvas`, its origin at the lower left corner of the picture.
    height
        Of the picture.
    """

    def __init__(self, canvas: Any, height: float) -> None:
        self._canvas = canvas
        self._height = height

    @property
    def faces(self) -> Faces:
        """Faces of the document."""
        faces: Faces = self._canvas.text.faces
        return faces

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str | None, stroke: str | None = None
    ) -> None:
        """Draw a rectangle from its top left corner."""
        from reportlab.lib.colors import HexColor

        if fill:
            self._canvas.setFillColor(HexColor(fill))
        if stroke:
            self._canvas.setStrokeColor(HexColor(stroke))
            self._canvas.setLineWidth(0.6)
        bottom = self._height - y - height
        self._canvas.rect(x, bottom, width, height, stroke=int(bool(stroke)), fill=int(bool(fill)))

    def line(self, points: Points, *, colour: str, width: float) -> None:
        """Draw an open line through points."""
        from reportlab.lib.colors import HexColor

        self._canvas.setStrokeColor(HexColor(colour))
        self._canvas.setLineWidth(width)
        self._canvas.addLiteral(f"{self._path(points)} S")

    def area(self, points: Points, *, fill: str) -> None:
        """Fill the area within a closed line through points."""
        from reportlab.lib.colors import HexColor

        self._canvas.setFillColor(HexColor(fill))
        self._canvas.addLiteral(f"{self._path(points)} f*")

    def _path(self, points: Points) -> str:
        """Return a path in operators of the page: reportlab takes longer to write one number than we a point."""
        steps = [f"{x:.2f} {self._height - y:.2f} l" for x, y in np.asarray(points, dtype=np.float64).tolist()]
        return f"n {' '.join(steps)}".replace(" l", " m", 1)

    def text(self, x: float, y: float, text: str, *, size: float, colour: str, weight: Weight = Weight.REGULAR) -> None:
        """Write a line of text, y at its baseline."""
        from reportlab.lib.colors import HexColor

        self._canvas.setFillColor(HexColor(colour))
        self._canvas.text.draw(x, self._height - y, text, weight=weight, size_pt=size)

    def image(self, x: float, y: float, width: float, height: float, pixels: Rgb) -> None:
        """Draw an image from its top left corner."""
        from PIL import Image
        from reportlab.lib.utils import ImageReader

        picture = ImageReader(Image.fromarray(pixels))
        self._canvas.drawImage(picture, x, self._height - y - height, width=width, height=height)


class PngSurface:
    """Draws into a bitmap, twice as fine as asked for and reduced at the end, so that lines are smooth.

    Parameters
    ----------
    pixels_per_point
        Of the finished picture; 2.0 is 144 dots per inch.
    """

    _OVERSAMPLING = 2

    def __init__(self, width: float, height: float, faces: Faces, *, pixels_per_point: float = 2.0) -> None:
        from PIL import Image, ImageDraw

        self._scale = pixels_per_point * self._OVERSAMPLING
        self._size = round(width * pixels_per_point), round(height * pixels_per_point)
        self._image = Image.new("RGB", (round(width * self._scale), round(height * self._scale)), "#FFFFFF")
        self._draw = ImageDraw.Draw(self._image)
        self._faces = faces
        self._fonts: dict[tuple[Weight, float], FreeTypeFont] = {}

    @property
    def faces(self) -> Faces:
        """Faces handed in."""
        return self._faces

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str | None, stroke: str | None = None
    ) -> None:
        """Draw a rectangle from its top left corner."""
        box = [round(value * self._scale) for value in (x, y, x + width, y + height)]
        self._draw.rectangle(box, fill=fill, outline=stroke, width=max(1, round(0.6 * self._scale)))

    def line(self, points: Points, *, colour: str, width: float) -> None:
        """Draw an open line through points."""
        scaled = [(float(x) * self._scale, float(y) * self._scale) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * self._scale)), joint="curve")

    def area(self, points: Points, *, fill: str) -> None:
        """Fill the area within a closed line through points."""
        self._draw.polygon([(float(x) * self._scale, float(y) * self._scale) for x, y in points], fill=fill)

    def text(self, x: float, y: float, text: str, *, size: float, colour: str, weight: Weight = Weight.REGULAR) -> None:
        """Write a line of text, y at its baseline."""
        self._faces.of(weight).glyphs(text)  # Pillow would draw a box for what the face lacks; this raises
        font = self._font(weight, size)
        self._draw.text((x * self._scale, y * self._scale), text, fill=colour, font=font, anchor="ls")

    def image(self, x: float, y: float, width: float, height: float, pixels: Rgb) -> None:
        """Draw an image from its top left corner."""
        from PIL import Image

        size = max(1, round(width * self._scale)), max(1, round(height * self._scale))
        resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        self._image.paste(resized, (round(x * self._scale), round(y * self._scale)))

    def png(self) -> bytes:
        """Return the finished picture as PNG; it holds no time and no other text chunks."""
        from PIL import Image

        stream = io.BytesIO()
        self._image.resize(self._size, Image.Resampling.LANCZOS).save(stream, "PNG", optimize=False)
        return stream.getvalue()

    def _font(self, weight: Weight, size: float) -> "FreeTypeFont":
        from PIL import ImageFont

        key = (weight, size)
        if key not in self._fonts:
            file = io.BytesIO(self._faces.of(weight).truetype)
            self._fonts[key] = ImageFont.truetype(file, size * self._scale, layout_engine=ImageFont.Layout.BASIC)
        return self._fonts[key]
