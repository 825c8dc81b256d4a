"""Breaking Chinese and English text into lines.

reportlab's CJK wrapping parts "40" from "Gy", even at a no-break space, and a date after its month. Here a line ends
only between two pieces, and a number, its unit and a whole date are one piece. Rules for the punctuation at line ends
follow GB/T 15834-2011 §5.1 (closing marks never begin a line, opening marks never end one).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from reports.fonts import Faces, Weight

_HAN: Final = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_OPENING: Final = "“‘（《〈「『【〔［"
_CLOSING: Final = "，。、；：？！”’）》〉」』】〕］…—·％℃"
WIDE: Final = re.compile(f"[{_HAN}{_OPENING}{_CLOSING}\u3000-\u303f\uff00-\uffef→↑↓○●□■✓①-⑳]")
_DATE_UNITS: Final = "年月日时点分"
_BEFORE_NUMBER: Final = "约第共≤≥<>＜＞"
_BREAKABLE_LONG: Final = re.compile(r"(?<=[./_\-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a run of characters looks: weight and colour (a name of the theme)."""

    weight: Weight = Weight.REGULAR
    colour: str = "ink"


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive characters of one look."""

    text: str
    look: Look


Piece: TypeAlias = tuple[Run, ...]  # never parted at a line end
Line: TypeAlias = tuple[Run, ...]


def lines(runs: Iterable[Run], *, faces: Faces, size_pt: float, width_pt: float) -> list[Line]:
    """Break runs into lines no wider than `width_pt`.

    A piece wider than a whole line (a UID in a narrow cell) is parted after its dots and hyphens, at last anywhere.

    Raises
    ------
    GlyphMissing
        If a character is not in the faces.
    """
    finished: list[list[Run]] = [[]]
    used = 0.0
    for piece in pieces(runs):
        for part in _fitting(piece, faces, size_pt, width_pt):
            part_width = measure(_stripped_end(part), faces, size_pt)
            if used and used + part_width > width_pt + 0.01:
                finished.append([])
                used = 0.0
            if not used and not "".join(run.text for run in part).strip(" "):
                continue
            finished[-1].extend(part)
            used += measure(part, faces, size_pt)
    return [_stripped_end(tuple(_joined(line))) for line in finished]


def measure(runs: Iterable[Run], faces: Faces, size_pt: float) -> float:
    """Width of runs on one line, points."""
    return sum(faces.of(run.look.weight).width(run.text, size_pt) for run in runs)


def pieces(runs: Iterable[Run]) -> list[Piece]:
    """Part runs at every place where a line may end; a space stays with the piece before it."""
    letters = [(character, run.look) for run in runs for character in run.text]
    text = "".join(character for character, _ in letters)
    found: list[Piece] = []
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or may_break(text, place):
            found.append(tuple(_joined(Run(character, look) for character, look in letters[start:place])))
            start = place
    return found


def may_break(text: str, place: int) -> bool:
    """Whether a line may end before `text[place]`."""
    before, after = text[place - 1], text[place]
    if before == " " or after == " ":
        return before == " " and after != " " and not _number_and_unit(text, place)
    if after in _CLOSING or before in _OPENING:
        return False
    if not (WIDE.match(before) or WIDE.match(after)):
        return False
    if before.isdigit() and WIDE.match(after):
        return False  # 20次, 10月
    return not (after.isdigit() and (before in _BEFORE_NUMBER or _inside_date(text, place)))


def _number_and_unit(text: str, place: int) -> bool:
    """Whether the space before `place` stands between a number and the word it counts."""
    head = text[max(0, place - 24) : place - 1]
    return (
        bool(re.search(r"(?<![A-Za-z0-9_.-])\d[\d.,]*$", head))
        and text[place].isalpha()
        and not WIDE.match(text[place])
    )


def _inside_date(text: str, place: int) -> bool:
    return text[place - 1] in _DATE_UNITS and place >= 2 and text[place - 2].isdigit()


def _fitting(piece: Piece, faces: Faces, size_pt: float, width_pt: float) -> Sequence[Piece]:
    if measure(_stripped_end(piece), faces, size_pt) <= width_pt:
        return (piece,)
    parts: list[Piece] = []
    for run in piece:
        for part in _BREAKABLE_LONG.split(run.text):
            whole = faces.of(run.look.weight).width(part, size_pt) <= width_pt
            parts.extend([(Run(part, run.look),)] if whole else [(Run(letter, run.look),) for letter in part])
    return parts


def _joined(runs: Iterable[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].look == run.look:
            joined[-1] = Run(joined[-1].text + run.text, run.look)
        else:
            joined.append(run)
    return joined


def _stripped_end(runs: Piece) -> Piece:
    if not runs or not runs[-1].text.endswith(" "):
        return runs
    last = Run(runs[-1].text.rstrip(" "), runs[-1].look)
    return (*runs[:-1], last) if last.text else _stripped_end(runs[:-1])
