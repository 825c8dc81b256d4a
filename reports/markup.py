"""The small XML between templates and pages: parsed without entities, checked against its vocabulary.

::

    doc            title, lang
    └── page       lang, audience (patient, doctor), mark
        ├── head   left, right                  running head
        ├── foot                                running foot; may hold pageno and pages
        ├── h1, subtitle, h2, h3, p[look], rule
        ├── box[tone, title], columns[weights]/column, tiles[weights]/tile[value, label], identity[weights]/field[name]
        ├── list/li, table[head, widths, align]/row/cell
        ├── bars[planned, given]/bar[label, planned, given]
        └── figure[name, alt]
    inline: b, missing, muted
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reports.errors import TemplateFault
from reports.fonts import Weight
from reports.typeset import WIDE, Look, Run

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_INLINE: Final = frozenset({"b", "missing", "muted", "pageno", "pages"})
_BLOCKS: Final = frozenset(
    {
        "h1",
        "subtitle",
        "h2",
        "h3",
        "p",
        "rule",
        "box",
        "columns",
        "tiles",
        "identity",
        "list",
        "table",
        "bars",
        "figure",
        "signature",
    }
)
_CHILDREN: Final[dict[str, frozenset[str]]] = {
    "doc": frozenset({"page"}),
    "page": _BLOCKS | {"head", "foot"},
    "box": _BLOCKS,
    "column": _BLOCKS,
    "columns": frozenset({"column"}),
    "tiles": frozenset({"tile"}),
    "identity": frozenset({"field"}),
    "list": frozenset({"li"}),
    "table": frozenset({"row"}),
    "row": frozenset({"cell"}),
    "bars": frozenset({"bar"}),
    "head": frozenset(),
    "rule": frozenset(),
    "figure": frozenset(),
    "pageno": frozenset(),
    "pages": frozenset(),
}
_ATTRIBUTES: Final[dict[str, frozenset[str]]] = {
    "doc": frozenset({"title", "lang"}),
    "page": frozenset({"lang", "audience", "mark"}),
    "head": frozenset({"left", "right"}),
    "p": frozenset({"look"}),
    "box": frozenset({"tone", "title"}),
    "columns": frozenset({"weights"}),
    "tiles": frozenset({"weights"}),
    "identity": frozenset({"weights"}),
    "tile": frozenset({"value", "label"}),
    "field": frozenset({"name"}),
    "table": frozenset({"head", "widths", "align"}),
    "bars": frozenset({"planned", "given"}),
    "bar": frozenset({"label", "planned", "given"}),
    "figure": frozenset({"name", "alt"}),
}
_WHITE: Final = re.compile(r"[ \t\r\n]+")


def parse(text: str) -> "Element":
    """Parse page XML.

    Raises
    ------
    TemplateFault
        If it is not well formed, uses entities, or holds something outside the vocabulary.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException) as error:
        raise TemplateFault(f"the page markup can't be read: {error}") from error
    if root.tag != "doc":
        raise TemplateFault(f"the page markup begins with <{root.tag}>, not <doc>")
    _check(root)
    return root


def texts(element: "Element") -> Iterator[str]:
    """Yield every text that may be drawn, attributes included."""
    for node in element.iter():
        yield from (_WHITE.sub(" ", value) for value in node.attrib.values())
        for text in (node.text, node.tail):
            if text:
                yield _WHITE.sub(" ", text)


def runs(element: "Element", look: Look | None = None, *, page: str = "", pages: str = "") -> list[Run]:
    """Return the inline content of an element, white space tidied."""
    return _tidied(list(_inline(element, look or Look(), {"pageno": page, "pages": pages})))


def plain(text: str, look: Look | None = None) -> list[Run]:
    """Return a plain text as one tidied run."""
    return _tidied([Run(text, look or Look())])


def _inline(element: "Element", look: Look, counters: dict[str, str]) -> Iterator[Run]:
    if element.text:
        yield Run(element.text, look)
    for child in element:
        if child.tag in counters:
            yield Run(counters[child.tag], look)
        else:
            yield from _inline(child, _inner_look(child.tag, look), counters)
        if child.tail:
            yield Run(child.tail, look)


def _inner_look(tag: str, look: Look) -> Look:
    if tag == "b":
        return Look(weight=Weight.BOLD, colour=look.colour)
    if look.colour == "paper":  # on a dark ground both warning red and grey would vanish
        return Look(weight=Weight.BOLD if tag == "missing" else look.weight, colour="warm-soft")
    return Look(weight=Weight.BOLD, colour="alert") if tag == "missing" else Look(weight=look.weight, colour="muted")


def _tidied(found: list[Run]) -> list[Run]:
    """Collapse white space as HTML does; a line break of the template between Han characters is no space at all."""
    letters = [(letter, run.look) for run in found for letter in run.text]
    tidy: list[Run] = []
    place = 0
    while place < len(letters):
        letter, look = letters[place]
        end = place + 1
        if _WHITE.match(letter):
            while end < len(letters) and _WHITE.match(letters[end][0]):
                end += 1
            gap = "".join(white for white, _ in letters[place:end])
            before, after = tidy[-1].text[-1:] if tidy else "", letters[end][0] if end < len(letters) else ""
            letter = "" if _is_no_space(gap, before, after) else " "
        if letter:
            tidy.append(Run(letter, look))
        place = end
    return tidy


def _is_no_space(gap: str, before: str, after: str) -> bool:
    if not before or not after:
        return True
    return "\n" in gap and bool(WIDE.match(before) or WIDE.match(after))


def _check(element: "Element") -> None:
    tag = str(element.tag)
    strange = set(element.attrib) - _ATTRIBUTES.get(tag, frozenset())
    if strange:
        raise TemplateFault(f"<{tag}> has no attribute {sorted(strange)[0]!r}")
    allowed = _CHILDREN.get(tag, _INLINE)
    for child in element:
        if child.tag not in allowed:
            raise TemplateFault(f"<{child.tag}> can't stand in <{tag}>")
        _check(child)
    if tag in _CHILDREN and _has_text(element):
        raise TemplateFault(f"<{tag}> holds loose text")


def _has_text(element: "Element") -> bool:
    return bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)
