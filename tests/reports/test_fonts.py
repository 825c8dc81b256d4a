"""The typeface."""

import io
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from reports.embed import to_unicode
from reports.errors import GlyphMissing, TypefaceUnfit
from reports.fonts import Typeface, Weight, composed

RARE = "𠮷𬎆䶮㛃"


def test_faces_when_made_then_they_are_truetype_under_our_name(typeface: Typeface) -> None:
    face = typeface.faces([f"王小东{RARE}"]).bold
    font = TTFont(io.BytesIO(face.truetype))
    assert {"glyf", "loca", "cmap", "head", "hmtx"} <= set(font.keys())
    assert "CFF2" not in font
    names = {str(record) for record in font["name"].names}
    assert not any("Noto" in name for name in names)
    assert font["OS/2"].usWeightClass == Weight.BOLD
    assert set(map(ord, RARE)) <= set(font.getBestCmap())


def test_faces_when_made_then_every_character_has_ink_of_its_own(typeface: Typeface) -> None:
    face = typeface.faces([RARE]).regular
    font = TTFont(io.BytesIO(face.truetype))
    outlines = {character: font["glyf"][font.getBestCmap()[ord(character)]] for character in RARE}
    assert all(glyph.numberOfContours > 0 for glyph in outlines.values())
    assert len({bytes(glyph.compile(font["glyf"])) for glyph in outlines.values()}) == len(RARE)
    assert all(face.advances[character] == 1000 for character in RARE)


def test_faces_when_two_weights_then_bold_is_wider_in_latin(typeface: Typeface) -> None:
    faces = typeface.faces(["radiotherapy"])
    assert faces.bold.width("radiotherapy", 12) > faces.regular.width("radiotherapy", 12)


def test_faces_when_made_in_another_order_then_bytes_are_equal(typeface: Typeface) -> None:
    assert typeface.faces(["放疗", "小结"]) == Typeface().faces(["结小疗放"])


@pytest.mark.parametrize("text", ["\U0001f600", "a\u0301b", "a\u200bb", "\u202eabc", "\u0007", "\ue000"])
def test_text_when_a_character_cannot_be_drawn_truly_then_it_is_named(typeface: Typeface, text: str) -> None:
    with pytest.raises(GlyphMissing, match=r"U\+"):
        typeface.faces([text])


def test_face_when_asked_for_what_it_lacks_then_it_says_so(typeface: Typeface) -> None:
    face = typeface.faces(["abc"]).regular
    with pytest.raises(GlyphMissing, match="疗"):
        face.width("疗", 10)
    with pytest.raises(GlyphMissing, match="疗"):
        face.glyphs("a疗")


def test_composed_when_accents_are_separate_then_letters_become_one_and_compatibility_ideographs_stay() -> None:
    assert composed("Jose\u0301") == "José"
    assert composed("\uf91d") == "\uf91d"


def test_to_unicode_when_beyond_the_first_plane_then_it_is_utf16_with_surrogates(typeface: Typeface) -> None:
    cmap = to_unicode(typeface.faces(["𠮷"]).regular)
    assert "<D842DFB7>" in cmap
    assert max(int(line.split()[0]) for line in cmap.splitlines() if line.endswith("beginbfchar")) <= 100


def test_typeface_when_the_file_is_no_collection_then_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "font.ttc"
    path.write_bytes(b"OTTO" + bytes(100))
    with pytest.raises(TypefaceUnfit, match=r"font\.ttc"):
        Typeface(path).faces(["a"])
    with pytest.raises(TypefaceUnfit):
        Typeface(tmp_path / "none.ttc").faces(["a"])
