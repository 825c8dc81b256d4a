"""Errors of what goes out on paper.

ReportError
├── GlyphMissing        a character of the text is not in the typeface
├── TypefaceUnfit       the font file is missing or is not the one we can embed
├── TemplateFault       a template is missing or yields markup outside the page vocabulary
├── PageOverflow        the text does not fit the room it must fit
├── EntriesUnreadable   a file of summary entries or department texts is not as it must be
├── SummaryIncomplete   a mandatory fact is missing, so nothing may be released
├── NoPatientPage       this course has no page for the patient
└── PictureUnfit        the planes of a picture can't be drawn
"""

from typing import ClassVar


class ReportError(Exception):
    """Root of all report errors: `code` is stable, `hint` tells an operator what to do."""

    code: ClassVar[str] = "LG-REP-000"
    hint: ClassVar[str] = ""


class GlyphMissing(ReportError):
    """A character of the text is not in the typeface; nothing was printed."""

    code = "LG-REP-001"
    hint = (
        "A character was never replaced by a box or left out. Correct the text, or write the character in another form."
    )


class TypefaceUnfit(ReportError):
    """The font file is missing or is not the one we can embed."""

    code = "LG-REP-002"
    hint = "Install the locked dependencies again; the typeface is part of them."


class TemplateFault(ReportError):
    """A template is missing or yields markup outside the page vocabulary."""

    code = "LG-REP-003"
    hint = "Undo the last change of the templates, or report this with the message."


class PageOverflow(ReportError):
    """The text does not fit the room it must fit; it was not cut."""

    code = "LG-REP-004"
    hint = "Shorten the entries of the summary: the patient page is one page at 12 points."


class EntriesUnreadable(ReportError):
    """A file of summary entries or department texts is not as it must be."""

    code = "LG-REP-005"
    hint = "Mend the place the message names."


class SummaryIncomplete(ReportError):
    """A mandatory fact is missing, so the summary may only be printed as a draft."""

    code = "LG-REP-006"
    hint = "Enter the missing facts, or print a draft."


class NoPatientPage(ReportError):
    """This course has no page for the patient (the patient died)."""

    code = "LG-REP-007"
    hint = "Print the doctor's pages instead."


class PictureUnfit(ReportError):
    """The planes of a picture can't be drawn: shapes, extents or levels do not fit."""

    code = "LG-REP-008"
    hint = "This is a fault of the program: report it with the message."
