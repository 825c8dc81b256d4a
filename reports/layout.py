"""From page XML to the blocks of a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from reportlab.platypus import Table, TableStyle

from reports import markup, theme
from reports.bars import Bar, Bars
from reports.errors import TemplateFault
from reports.flowables import Box, Columns, Figure, Picture, Rule, Stack, TextBlock, colour
from reports.fonts import Faces, Weight
from reports.theme import TONES, Sheet, TextStyle
from reports.typeset import Look

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_BULLET: Final = "•"
_ROOM_BELOW_HEADING: Final = 60.0  # points: the head of a table and two rows
DRAWN_BY_LAYOUT: Final = _BULLET  # characters that stand in no template


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What blocks are built with.

    Parameters
    ----------
    pictures
        The named pictures the markup may ask for.
    """

    faces: Faces
    sheet: Sheet
    width: float
    pictures: Mapping[str, Picture]


def blocks(element: "Element", setting: Setting) -> list[Any]:
    """Build the blocks of a page, box or column, in order; head and foot of a page are left to the page."""
    built: list[Any] = []
    for child in element:
        if child.tag not in {"head", "foot"}:
            built.extend(_BUILDERS[str(child.tag)](child, setting))
    return built


def _text(element: "Element", setting: Setting, style: TextStyle, role: str) -> TextBlock:
    return TextBlock(
        markup.runs(element, Look(weight=style.weight, colour=style.colour)), style, setting.faces, role=role
    )


def _heading(level: str) -> Callable[["Element", Setting], list[Any]]:
    def build(element: "Element", setting: Setting) -> list[Any]:
        styles = {"h1": setting.sheet.title, "h2": setting.sheet.heading, "h3": setting.sheet.subheading}
        block = _text(element, setting, styles[level], level.upper())
        block.is_elastic = level == "h2"
        return [block]

    return build


def _paragraph(element: "Element", setting: Setting) -> list[Any]:
    looks = {"": setting.sheet.body, "lead": setting.sheet.lead, "small": setting.sheet.small}
    return [_text(element, setting, looks[element.get("look", "")], "P")]


def _subtitle(element: "Element", setting: Setting) -> list[Any]:
    return [_text(element, setting, setting.sheet.subtitle, "P")]


def _box(element: "Element", setting: Setting) -> list[Any]:
    tone = TONES[element.get("tone", "plain")]
    sheet = replace(setting.sheet, body=replace(setting.sheet.body, colour=tone.text))
    content: list[Any] = []
    if title := element.get("title"):
        strong = Look(weight=Weight.BOLD, colour=tone.heading)
        content.append(TextBlock(markup.plain(title, strong), sheet.lead, setting.faces, role="H3"))
    content.extend(blocks(element, replace(setting, sheet=sheet)))
    return [Box(content, tone, sheet)]


def _columns(element: "Element", setting: Setting) -> list[Any]:
    return [Columns([blocks(column, setting) for column in element], setting.sheet, _weights(element))]


def _weights(element: "Element") -> list[float]:
    return [float(weight) for weight in element.get("weights", "").split(",") if weight]


def _tiles(element: "Element", setting: Setting) -> list[Any]:
    sheet = setting.sheet
    columns = []
    for tile in element:
        strong = Look(weight=Weight.BOLD, colour="accent")
        figure = TextBlock(markup.plain(tile.get("value", ""), strong), sheet.figure, setting.faces)
        label = TextBlock(markup.plain(tile.get("label", ""), Look(colour="muted")), sheet.small, setting.faces)
        columns.append([Box([figure, label], TONES["calm"], sheet)])
    return [Columns(columns, sheet, _weights(element))]


def _fields(element: "Element", setting: Setting) -> list[Any]:
    sheet = setting.sheet
    columns = []
    for field in element:
        name = TextBlock(markup.plain(field.get("name", ""), Look(colour="muted")), sheet.small, setting.faces)
        value = TextBlock(markup.runs(field, Look(weight=Weight.BOLD)), sheet.body, setting.faces)
        columns.append([name, value])
    return [Columns(columns, sheet, _weights(element))]


def _list(element: "Element", setting: Setting) -> list[Any]:
    style = setting.sheet.body
    indent = style.size * 1.05
    return [
        TextBlock(markup.runs(item), style, setting.faces, role="LI", indent=indent, mark=_BULLET) for item in element
    ]


def _table(element: "Element", setting: Setting) -> list[Any]:
    sheet, head = setting.sheet, element.get("head", "").split("|")
    aligns = (element.get("align") or ",".join("l" for _ in head)).split(",")
    weights = [float(weight) for weight in (element.get("widths") or ",".join("1" for _ in head)).split(",")]
    rows = [
        [
            _cell(markup.plain(text, _head_look(sheet)), sheet.cell_head, align, setting, "TH")
            for text, align in zip(head, aligns, strict=True)
        ]
    ]
    for row in element:
        if len(row) != len(head):
            raise TemplateFault(f"a row of the table {head[0]!r} has {len(row)} cells, its head {len(head)}")
        rows.append(
            [
                _cell(markup.runs(cell), sheet.cell, align, setting, "TD")
                for cell, align in zip(row, aligns, strict=True)
            ]
        )
    widths = [setting.width * weight / sum(weights) for weight in weights]
    table = Table(
        rows, colWidths=widths, repeatRows=1, hAlign="LEFT", spaceBefore=2, spaceAfter=sheet.body.space_after + 3
    )
    table.setStyle(_table_style(len(rows)))
    table.role = "Table"
    return [table]


def _head_look(sheet: Sheet) -> Look:
    return Look(weight=sheet.cell_head.weight, colour=sheet.cell_head.colour)


def _cell(content: Sequence[Any], style: TextStyle, align: str, setting: Setting, role: str) -> TextBlock:
    aligned = TextStyle(size=style.size, leading=style.leading, align={"l": "left", "r": "right", "c": "center"}[align])
    return TextBlock(content, aligned, setting.faces, role=role)


def _table_style(rows: int) -> TableStyle:
    commands: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 5),
        ("RIGHTPADDING", (0, 0), (-1, -1), 6),
        ("TOPPADDING", (0, 0), (-1, -1), 2.0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.7),
        ("BACKGROUND", (0, 0), (-1, 0), colour("accent-soft")),
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, colour("accent-line")),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, colour("rule")),
    ]
    commands.extend(("BACKGROUND", (0, row), (-1, row), colour("stripe")) for row in range(2, rows, 2))
    return TableStyle(commands)


def _bars(element: "Element", setting: Setting) -> list[Any]:
    bars = [
        Bar(
            label=bar.get("label", ""),
            planned_gy=_dose(bar.get("planned", "")),
            given_gy=_dose(bar.get("given", "")),
            note=markup.runs(bar),
        )
        for bar in element
    ]
    return [Bars(bars, (element.get("planned", ""), element.get("given", "")), setting.sheet, setting.faces)]


def _dose(text: str) -> float | None:
    return float(text) if text else None


def _figure(element: "Element", setting: Setting) -> list[Any]:
    name = element.get("name", "")
    if name not in setting.pictures:
        raise TemplateFault(f"the template asks for a picture {name!r} nobody handed in")
    return [Figure(setting.pictures[name], setting.faces, alt=element.get("alt", ""))]


def _rule(_element: "Element", setting: Setting) -> list[Any]:
    return [Rule(setting.sheet.body.space_after)]


def flowing_page(element: "Element", setting: Setting) -> list[Any]:
    """Build a page that may run over several: a heading goes over with the first lines of what it heads."""
    flowing = blocks(element, setting)
    for place, block in enumerate(flowing):
        if getattr(block, "role", "") in {"H2", "H3"}:
            block.room_below = _room_below(flowing[place + 1 :], setting)
    return flowing


def _room_below(following: Sequence[Any], setting: Setting) -> float:
    """Return what must stand on the page of a heading: a picture as a whole, or the first lines, after a note too."""
    room = _ROOM_BELOW_HEADING
    for block in following[:2]:
        if isinstance(block, Figure):
            return room - _ROOM_BELOW_HEADING + float(block.wrap(setting.width, 0.0)[1]) + 6.0
        if getattr(block, "role", "") != "P":
            break
        room += float(block.wrap(setting.width, theme.PAGE_HEIGHT)[1])
    return room


def whole_page(element: "Element", setting: Setting) -> Stack:
    """Build a page that must fit as a whole, with the room that is left spread between its sections."""
    return Stack(blocks(element, setting), fill=True)


_BUILDERS: Final[Mapping[str, Callable[["Element", Setting], list[Any]]]] = {
    "h1": _heading("h1"),
    "h2": _heading("h2"),
    "h3": _heading("h3"),
    "subtitle": _subtitle,
    "p": _paragraph,
    "rule": _rule,
    "box": _box,
    "columns": _columns,
    "tiles": _tiles,
    "identity": _fields,
    "list": _list,
    "table": _table,
    "bars": _bars,
    "figure": _figure,
}
