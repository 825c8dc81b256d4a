"""The typeface of every page: Noto Sans CJK, cut down to the characters of one document.

The source is the variable CFF2 collection of the package `manimgx_fonts_cjk` (SIL Open Font License 1.1). PDF readers
and reportlab want static TrueType outlines, so each needed glyph is drawn at the wanted weight and its cubic curves are
turned into quadratic ones. "Noto" is not our name to give to a changed font (OFL clause 3): the result is called
Lastgate Sans.
"""

import io
import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reports.errors import GlyphMissing, TypefaceUnfit

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

FAMILY: Final = "Lastgate Sans"
_SOURCE_FAMILY: Final = "Noto Sans CJK SC"  # the face with the shapes of mainland China
_CURVE_TOLERANCE: Final = 0.8  # thousandths of an em; below what 600 dots per inch show at 24 points
_NBSP: Final = "\u00a0"
_ACCENTED: Final = re.compile(r"\w[\u0300-\u036f]+")


class Weight(IntEnum):
    """Weights we print in, on the `wght` axis of the source."""

    REGULAR = 400
    BOLD = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One static weight with exactly the characters of one document.

    Parameters
    ----------
    weight
        Weight it was drawn at.
    truetype
        The font file; glyph 0 is `.notdef`, further glyphs in the order of their code points, one for each character.
    glyph_ids
        Glyph number of each character.
    advances
        Advance width of each character, thousandths of an em.
    ascent, descent
        Of the em box, thousandths of an em; descent is negative.
    """

    weight: Weight
    truetype: bytes
    glyph_ids: Mapping[str, int]
    advances: Mapping[str, int]
    ascent: int
    descent: int

    def width(self, text: str, size_pt: float) -> float:
        """Width of a line of text in points.

        Raises
        ------
        GlyphMissing
            If a character is not in the face.
        """
        try:
            return sum(self.advances[character] for character in text) * size_pt / 1000
        except KeyError:
            raise _missing(text, self.advances) from None

    def glyphs(self, text: str) -> tuple[int, ...]:
        """Glyph numbers of a text, in order.

        Raises
        ------
        GlyphMissing
            If a character is not in the face.
        """
        try:
            return tuple(self.glyph_ids[character] for character in text)
        except KeyError:
            raise _missing(text, self.glyph_ids) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """The two weights of one document."""

    regular: Face
    bold: Face

    def of(self, weight: Weight) -> Face:
        """Return the face of a weight."""
        return self.bold if weight is Weight.BOLD else self.regular


class Typeface:
    """The source font, opened once and asked for faces as often as wanted; safe to share between threads.

    Parameters
    ----------
    path
        The font collection; by default that of the installed package.

    Notes
    -----
    The first face costs about a second (reading tables). A character is drawn once in each weight and kept: 400 new
    ones take about half a second.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._font: TTFont | None = None
        self._characters: dict[int, str] = {}
        self._drawn: dict[Weight, dict[str, tuple[Any, int]]] = {weight: {} for weight in Weight}
        self._lock = threading.Lock()

    def faces(self, texts: Iterable[str]) -> Faces:
        """Draw the characters of all texts in both weights.

        Parameters
        ----------
        texts
            Every text that will be drawn, in any order; printable ASCII is always added.

        Raises
        ------
        GlyphMissing
            If a character is not in the typeface; the message names it and the text it stands in.
        TypefaceUnfit
            If the font file can't be read.
        """
        wanted = {chr(code) for code in range(0x20, 0x7F)}
        with self._lock:
            font = self._open()
            for text in texts:
                known = {character: True for character in set(text) if self._has(character)}
                if len(known) < len(set(text)):
                    raise _missing(text, known)
                wanted.update(known)
            characters = sorted(wanted | {_NBSP})
            return Faces(
                regular=self._draw(font, characters, Weight.REGULAR),
                bold=self._draw(font, characters, Weight.BOLD),
            )

    def _has(self, character: str) -> bool:
        # Marks need shaping to sit over their letter; controls (zero width, direction) would change a text unseen.
        if unicodedata.category(character) in {"Mn", "Me", "Cf", "Cc"}:
            return False
        return character == _NBSP or ord(character) in self._characters

    def _open(self) -> "TTFont":
        if self._font is None:
            self._font = _open_source(self._path)
            self._characters = self._font.getBestCmap()
        return self._font

    def _draw(self, font: "TTFont", characters: list[str], weight: Weight) -> Face:
        from fontTools.pens.ttGlyphPen import TTGlyphPen

        drawn = self._drawn[weight]
        self._draw_new(font, [character for character in characters if character not in drawn], weight)
        outlines: dict[str, Any] = {".notdef": TTGlyphPen(None).glyph()}
        outlines |= {f"u{ord(character):05X}": drawn[character][0] for character in characters}
        advances = {character: drawn[character][1] for character in characters}
        ascent, descent = font["hhea"].ascent, font["hhea"].descent
        return Face(
            weight=weight,
            truetype=_truetype(outlines, advances, ascent, descent, weight),
            glyph_ids={character: number for number, character in enumerate(characters, start=1)},
            advances=advances,
            ascent=ascent,
            descent=descent,
        )

    def _draw_new(self, font: "TTFont", characters: list[str], weight: Weight) -> None:
        from fontTools.pens.cu2quPen import Cu2QuPen
        from fontTools.pens.ttGlyphPen import TTGlyphPen

        glyph_set = font.getGlyphSet(location={"wght": float(weight)})
        for character in characters:
            name = self._characters[0x20 if character == _NBSP else ord(character)]
            pen = TTGlyphPen(None)
            glyph_set[name].draw(Cu2QuPen(pen, _CURVE_TOLERANCE, reverse_direction=True))
            self._drawn[weight][character] = (pen.glyph(), round(glyph_set[name].width))


def composed(text: str) -> str:
    """Return a text whose letters with combining accents are single characters.

    Only accented letters change: full NFC would replace compatibility ideographs, and with them the way a person writes
    the own name.
    """
    return _ACCENTED.sub(lambda found: unicodedata.normalize("NFC", found.group()), text)


def _missing(text: str, known: Mapping[str, object]) -> GlyphMissing:
    characters = sorted(set(text) - set(known))
    named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in characters)
    return GlyphMissing(f"not in the typeface: {named}; in the text {text[:60]!r}")


def _open_source(path: Path | None) -> "TTFont":
    from fontTools.ttLib import TTFont, TTLibError

    if path is None:
        from importlib import resources

        path = Path(str(resources.files("manimgx_fonts_cjk") / "NotoSansCJK-VF.otf.ttc"))
    try:
        collection = path.read_bytes()  # held in memory: a lazily read file would have to be closed by the caller
        if collection[:4] != b"ttcf":
            raise TypefaceUnfit(f"{path.name} is not a font collection")
        for number in range(int.from_bytes(collection[8:12], "big")):
            font = TTFont(io.BytesIO(collection), fontNumber=number, lazy=True)
            if font["name"].getDebugName(1) == _SOURCE_FAMILY and "CFF2" in font:
                return font
    except (OSError, TTLibError, KeyError) as error:
        raise TypefaceUnfit(f"{path.name}: {error}") from error
    raise TypefaceUnfit(f"{path.name} holds no variable face named {_SOURCE_FAMILY}")


def _truetype(
    outlines: Mapping[str, Any], advances: Mapping[str, int], ascent: int, descent: int, weight: Weight
) -> bytes:
    """Put outlines into a font file whose bytes depend on nothing but them."""
    from fontTools.fontBuilder import FontBuilder

    style = weight.name.capitalize()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(outlines))
    builder.setupCharacterMap({ord(character): f"u{ord(character):05X}" for character in advances})
    builder.setupGlyf(dict(outlines))
    metrics = {f"u{ord(character):05X}": advance for character, advance in advances.items()} | {".notdef": 1000}
    glyf = builder.font["glyf"]
    builder.setupHorizontalMetrics(
        {name: (metrics[name], glyf[name].xMin if glyf[name].numberOfContours else 0) for name in outlines}
    )
    builder.setupHorizontalHeader(ascent=ascent, descent=descent)
    builder.setupNameTable(
        {
            "familyName": FAMILY,
            "styleName": style,
            "psName": f"{FAMILY.replace(' ', '')}-{style}",
            "uniqueFontIdentifier": f"{FAMILY} {style}",
        },
        mac=False,
    )
    builder.setupOS2(
        usWeightClass=int(weight),
        sTypoAscender=ascent,
        sTypoDescender=descent,
        usWinAscent=ascent,
        usWinDescent=-descent,
    )
    builder.setupPost(keepGlyphNames=False)
    builder.updateHead(created=0, modified=0)
    builder.font.recalcTimestamp = False
    stream = io.BytesIO()
    builder.save(stream)
    return stream.getvalue()
