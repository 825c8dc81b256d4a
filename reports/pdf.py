"""The document: pages of one patient paper, with heads, feet and draft marks, the same bytes for the same data."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import md5
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, NextPageTemplate, PageBreak, PageTemplate
from reportlab.platypus.doctemplate import LayoutError

from reports import layout, markup, theme
from reports.embed import EmbeddedFaces
from reports.errors import PageOverflow
from reports.flowables import Picture, colour, write
from reports.fonts import Faces, Typeface, Weight
from reports.layout import Setting
from reports.typeset import Look, Run, measure

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DENSITIES: Final = tuple(step / 10 for step in range(10, -1, -1))
_WIDTH: Final = theme.PAGE_WIDTH - 2 * theme.MARGIN_X
_HEIGHT: Final = theme.PAGE_HEIGHT - theme.MARGIN_TOP - theme.MARGIN_BOTTOM
_FOOT_SIZE: Final = 8.0
_BUILDING: Final = Lock()

Pictures = Mapping[str, Picture]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """The time a PDF says it was made; stands in for reportlab's, which reads clock and environment."""

    moment: datetime

    @property
    def YMDhms(self) -> tuple[int, ...]:  # noqa: N802 - reportlab's name
        return tuple(self.moment.timetuple()[:6])

    @property
    def dhh(self) -> int:
        return int((self.moment.utcoffset() or self.moment - self.moment).total_seconds() // 3600)

    @property
    def dmm(self) -> int:
        return int((self.moment.utcoffset() or self.moment - self.moment).total_seconds() % 3600 // 60)


class PageCanvas(Canvas):  # type: ignore[misc]
    """A canvas that knows our faces and no other font, and takes its time from the caller."""

    def __init__(self, *args: Any, faces: Faces, created: datetime, **options: Any) -> None:
        super().__init__(*args, **options)
        self._doc._timeStamp = _Stamp(moment=created)
        self._doc.signature = md5(created.isoformat().encode(), usedforsecurity=False)
        self.text = EmbeddedFaces(self, faces)
        self.foot: Callable[[int], None] = _no_foot
        self._waiting: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        """Put a page by: its foot tells how many pages there are, and only the last page knows."""
        self._waiting.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Write the feet, and the pages."""
        for page in self._waiting:
            self.__dict__.update(page)
            self.foot(len(self._waiting))
            super().showPage()
        super().save()

    def _make_preamble(self) -> None:
        # reportlab would name Helvetica here, a font that is not embedded.
        self._preamble = "1 0 0 1 0 0 cm"

    def setFont(self, *_args: Any, **_options: Any) -> None:  # noqa: N802 - reportlab's name
        """Do nothing: platypus' tables name Helvetica for texts of their own, and ours hold none."""


def render(text: str, *, typeface: Typeface, created: datetime, pictures: Pictures | None = None) -> bytes:
    """Turn page XML into a PDF.

    Parameters
    ----------
    text
        What a template yielded (see `reports.markup`).
    created
        Written into the file as its date; aware, or naive for site wall clock.
    pictures
        The pictures the markup names.

    Raises
    ------
    TemplateFault
        If the markup is not ours.
    GlyphMissing
        If a character can't be printed.
    PageOverflow
        If a patient page does not fit one page at 12 points, or a block fits no page.
    """
    root = markup.parse(text)
    faces = typeface.faces([*markup.texts(root), layout.DRAWN_BY_LAYOUT, *_texts_of(pictures or {})])
    with _BUILDING, _binary_streams():
        return _build(root, faces, created, pictures or {})


def _no_foot(_pages: int) -> None:
    """Stand for the foot of a page that has none."""


@contextmanager
def _binary_streams() -> Iterator[None]:
    """Let reportlab write streams as they are; as text (ASCII85) they take a second more and a quarter more room.

    reportlab has this choice for the whole process alone: it is put back, and `_BUILDING` lets one paper be made at a
    time, so that each is the same bytes whatever else goes on.
    """
    before = rl_config.useA85
    rl_config.useA85 = 0
    try:
        yield
    finally:
        rl_config.useA85 = before


def _texts_of(pictures: Pictures) -> list[str]:
    return [text for picture in pictures.values() for text in picture.texts]


def _build(root: "Element", faces: Faces, created: datetime, pictures: Pictures) -> bytes:
    stream = io.BytesIO()
    document = BaseDocTemplate(stream, pagesize=(theme.PAGE_WIDTH, theme.PAGE_HEIGHT), pageCompression=1, invariant=1)
    document.title, document.lang = root.get("title", ""), root.get("lang", "")
    document.author = document.subject = document.creator = "Lastgate"
    story: list[Any] = []
    for number, page in enumerate(root):
        document.addPageTemplates(_template(f"page-{number}", page, faces))
        story.extend([NextPageTemplate(f"page-{number}"), PageBreak()] if number else [])
        story.extend(_story(page, faces, pictures))
    try:
        document.build(story, canvasmaker=_canvas_maker(faces, created))
    except LayoutError as error:
        raise PageOverflow(f"a block does not fit any page: {error}") from error
    return stream.getvalue()


def _canvas_maker(faces: Faces, created: datetime) -> Callable[..., PageCanvas]:
    def make(*args: Any, **options: Any) -> PageCanvas:
        return PageCanvas(*args, faces=faces, created=created, **options)

    return make


def _template(name: str, page: "Element", faces: Faces) -> PageTemplate:
    frame = Frame(
        theme.MARGIN_X,
        theme.MARGIN_BOTTOM,
        _WIDTH,
        _HEIGHT,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )

    def draw(canvas: PageCanvas, document: Any) -> None:
        if mark := page.get("mark"):
            _draw_watermark(canvas, mark, faces)
        _draw_head(canvas, page, faces)
        canvas.foot = partial(_draw_foot, canvas, page, faces, document.page)

    return PageTemplate(id=name, frames=[frame], onPage=draw)


def _story(page: "Element", faces: Faces, pictures: Pictures) -> Sequence[Any]:
    if page.get("audience") != "patient":
        return layout.flowing_page(
            page, Setting(faces=faces, sheet=theme.doctor_sheet(), width=_WIDTH, pictures=pictures)
        )
    for density in _DENSITIES:
        setting = Setting(faces=faces, sheet=theme.patient_sheet(density), width=_WIDTH, pictures=pictures)
        whole = layout.whole_page(page, setting)
        _, height = whole.wrap(_WIDTH, 0)
        if height <= _HEIGHT:
            return [whole]
    raise PageOverflow(f"the patient page ({page.get('lang')}) is {height - _HEIGHT:.0f} points too long")


def _draw_head(canvas: PageCanvas, page: "Element", faces: Faces) -> None:
    head = page.find("head")
    y = theme.PAGE_HEIGHT - 34
    if head is not None:
        strong, plain = Look(weight=Weight.BOLD, colour="accent"), Look(colour="muted")
        write(canvas, theme.MARGIN_X, y, [Run(head.get("left", ""), strong)], 9.5)
        right = [Run(head.get("right", ""), plain)]
        write(canvas, theme.PAGE_WIDTH - theme.MARGIN_X - measure(right, faces, 9), y, right, 9)
    canvas.setStrokeColor(colour("accent"))
    canvas.setLineWidth(1.1)
    canvas.line(theme.MARGIN_X, y - 8, theme.PAGE_WIDTH - theme.MARGIN_X, y - 8)
    if mark := page.get("mark"):
        label = [Run(mark, Look(weight=Weight.BOLD, colour="paper"))]
        width = measure(label, faces, 9) + 16
        canvas.setFillColor(colour("alert"))
        canvas.roundRect((theme.PAGE_WIDTH - width) / 2, y - 5, width, 16, 8, stroke=0, fill=1)
        write(canvas, (theme.PAGE_WIDTH - width) / 2 + 8, y, label, 9)


def _draw_foot(canvas: PageCanvas, page: "Element", faces: Faces, number: int, pages: int) -> None:
    foot = page.find("foot")
    if foot is None:
        return
    canvas.setStrokeColor(colour("rule"))
    canvas.setLineWidth(0.6)
    canvas.line(theme.MARGIN_X, 33, theme.PAGE_WIDTH - theme.MARGIN_X, 33)
    words = markup.runs(foot, Look(colour="muted"), page=str(number), pages=str(pages))
    width = measure(words, faces, _FOOT_SIZE)
    write(canvas, (theme.PAGE_WIDTH - width) / 2, 21, words, _FOOT_SIZE)


def _draw_watermark(canvas: PageCanvas, mark: str, faces: Faces) -> None:
    canvas.saveState()
    canvas.translate(theme.PAGE_WIDTH / 2, theme.PAGE_HEIGHT / 2)
    canvas.rotate(52)
    label = [Run(mark, Look(weight=Weight.BOLD, colour="watermark"))]
    write(canvas, -measure(label, faces, 84) / 2, -30, label, 84)
    canvas.restoreState()
