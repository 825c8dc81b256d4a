"""Lines of plain text that hold Chinese and English: folded at a width counted in cells, as a terminal shows them."""

import re
from typing import Final

from rich.cells import cell_len

WIDTH: Final = 76
"""Cells of a line, so that a reply still quotes it within 80."""

# A word in Latin letters stays whole; a Chinese character is one alone, with the marks that may not begin a line.
_CLOSING: Final = r"[,.;:!?)\u3001\u3002\u300d\u3011\u201d\uff01\uff09\uff0c\uff1a\uff1b\uff1f]*"
_PIECES: Final = re.compile(rf"\s+|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+{_CLOSING}|.{_CLOSING}")


def fold(text: str, indent: int = 0, hanging: int = 0, *, width: int = WIDTH) -> str:
    """Return a text in lines of at most `width` cells; a word that is longer stands alone on its line.

    Parameters
    ----------
    indent
        Blanks before each line.
    hanging
        More blanks before each line but the first.
    """
    lines, line = [], ""
    room = width - indent
    for piece in _PIECES.findall(" ".join(text.split())):
        if line.strip() and cell_len(line + piece.rstrip()) > room:
            lines.append(line.rstrip())
            line, room = "", width - indent - hanging
        line += piece if line or not piece.isspace() else ""
    lines.append(line.rstrip())
    first, *rest = lines
    return "\n".join([" " * indent + first, *(" " * (indent + hanging) + one for one in rest)])
