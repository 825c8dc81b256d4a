"""A face inside a PDF: one composite font with two-byte codes that are glyph numbers.

reportlab's own TrueType support registers fonts for the whole process under a global name, drops glyphs it does not
have without a word, and writes a wrong ToUnicode entry for characters beyond U+FFFF (a name with 𠮷 copies as another
character). So text is written here, on reportlab's hooks only: `delayedFonts`, `BasicFonts` and literal operators.
"""

from typing import TYPE_CHECKING, Any, Final

from reports.fonts import FAMILY, Face, Faces, Weight

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

_MAX_ENTRIES: Final = 100  # of one bfchar block, PDF 32000-1:2008 9.10.3 and Adobe TN 5014


class EmbeddedFaces:
    """The faces of one document, made known to one canvas.

    Parameters
    ----------
    canvas
        Canvas of the document; fonts are added when it is saved.
    faces
        Faces holding every character that will be drawn.
    """

    def __init__(self, canvas: "Canvas", faces: Faces) -> None:
        self.faces = faces
        self._canvas = canvas
        self._names = {Weight.REGULAR: "LG1", Weight.BOLD: "LG2"}
        for weight, name in self._names.items():
            canvas._doc.delayedFonts.append(_DelayedFont(name, faces.of(weight)))

    def draw(self, x: float, y: float, text: str, *, weight: Weight, size_pt: float) -> float:
        """Write one line in the current fill colour and return the x where it ends.

        Raises
        ------
        GlyphMissing
            If a character is not in the face.
        """
        face = self.faces.of(weight)
        codes = "".join(f"{glyph:04X}" for glyph in face.glyphs(text))
        self._canvas.addLiteral(f"BT /{self._names[weight]} {size_pt:g} Tf 1 0 0 1 {x:.3f} {y:.3f} Tm <{codes}> Tj ET")
        return x + face.width(text, size_pt)


class _DelayedFont:
    """What reportlab calls when it has seen the last page."""

    def __init__(self, name: str, face: Face) -> None:
        self._name = name
        self._face = face

    def addObjects(self, document: Any) -> None:  # noqa: N802 - reportlab's name
        from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName

        base = f"{_subset_tag(self._face)}+{FAMILY.replace(' ', '')}-{self._face.weight.name.capitalize()}"
        widths = [self._face.advances[character] for character in self._face.glyph_ids]
        descendant = PDFDictionary(
            {
                "Type": PDFName("Font"),
                "Subtype": PDFName("CIDFontType2"),
                "BaseFont": PDFName(base),
                "CIDSystemInfo": _literal("<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"),
                "CIDToGIDMap": PDFName("Identity"),
                "DW": 1000,
                "W": PDFArray([1, PDFArray(widths)]),
                "FontDescriptor": document.Reference(self._descriptor(document, base), f"{self._name}-descriptor"),
            }
        )
        font = PDFDictionary(
            {
                "Type": PDFName("Font"),
                "Subtype": PDFName("Type0"),
                "BaseFont": PDFName(base),
                "Encoding": PDFName("Identity-H"),
                "DescendantFonts": PDFArray([document.Reference(descendant, f"{self._name}-descendant")]),
                "ToUnicode": _stream(document, to_unicode(self._face).encode("ascii"), f"{self._name}-unicode"),
            }
        )
        document.idToObject["BasicFonts"].dict[self._name] = document.Reference(font, f"{self._name}-font")

    def _descriptor(self, document: Any, base: str) -> Any:
        from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName

        face = self._face
        return PDFDictionary(
            {
                "Type": PDFName("FontDescriptor"),
                "FontName": PDFName(base),
                "Flags": 4,  # symbolic: codes are not a Latin encoding
                "FontBBox": PDFArray([-1000, face.descent, 2000, face.ascent]),
                "ItalicAngle": 0,
                "Ascent": face.ascent,
                "Descent": face.descent,
                "CapHeight": 733,  # of Noto Sans CJK, OS/2 sCapHeight
                "StemV": 80 if face.weight is Weight.REGULAR else 140,
                "FontFile2": _stream(document, face.truetype, f"{self._name}-file", length1=len(face.truetype)),
            }
        )


def to_unicode(face: Face) -> str:
    """Return the CMap that turns glyph numbers back into text, UTF-16BE as PDF 32000-1:2008 9.10.3 asks."""
    entries = [
        f"<{glyph:04X}> <{(' ' if character == chr(0xA0) else character).encode('utf-16-be').hex().upper()}>"
        for character, glyph in face.glyph_ids.items()
    ]
    blocks = [entries[start : start + _MAX_ENTRIES] for start in range(0, len(entries), _MAX_ENTRIES)]
    return "\n".join(
        [
            "/CIDInit /ProcSet findresource begin",
            "12 dict begin",
            "begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def",
            "/CMapType 2 def",
            "1 begincodespacerange",
            "<0000> <FFFF>",
            "endcodespacerange",
            *(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks),
            "endcmap",
            "CMapName currentdict /CMap defineresource pop",
            "end",
            "end",
        ]
    )


def _subset_tag(face: Face) -> str:
    """Six capitals that name this subset, the same for the same characters (PDF 32000-1:2008 9.6.4)."""
    from hashlib import sha256

    digest = sha256(face.truetype).digest()
    return "".join(chr(ord("A") + byte % 26) for byte in digest[:6])


def _literal(text: str) -> Any:
    from reportlab.pdfbase.pdfdoc import PDFObject

    class Literal(PDFObject):  # type: ignore[misc]
        def format(self, _document: Any) -> bytes:
            return text.encode("ascii")

    return Literal()


def _stream(document: Any, content: bytes, name: str, *, length1: int | None = None) -> Any:
    from reportlab.pdfbase.pdfdoc import PDFStream, PDFZCompress

    stream = PDFStream(content=content, filters=[PDFZCompress])
    if length1 is not None:
        stream.dictionary["Length1"] = length1
    return document.Reference(stream, name)
