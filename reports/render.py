"""The printed summary: from the data set to a PDF."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum
from xml.sax.saxutils import quoteattr

from reports.errors import NoPatientPage, SummaryIncomplete
from reports.fonts import Typeface
from reports.mandatory import missing
from reports.summary import CourseSummary, Status
from reports.wording import environment

DRAFT_MARK = "草稿 / DRAFT"


class Language(StrEnum):
    """Languages a summary is printed in, each complete in itself."""

    ZH = "zh"
    EN = "en"


class Audience(StrEnum):
    """Who gets the paper."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    BOTH = "both"


_PAGES = {
    Audience.PATIENT: ("patient",),
    Audience.DOCTOR: ("doctor", "technical"),
    Audience.BOTH: ("patient", "doctor", "technical"),
}


def render_summary(
    summary: CourseSummary,
    *,
    languages: Sequence[Language] = (Language.ZH, Language.EN),
    audience: Audience = Audience.BOTH,
    draft: bool,
    created: datetime | date,
    number: str,
    typeface: Typeface | None = None,
) -> bytes:
    """Print a summary as PDF: the same arguments always give the same bytes.

    Parameters
    ----------
    languages
        In which order which language is printed; each has all pages of its own.
    audience
        The patient page, the doctor and technical pages, or all three.
    draft
        Whether the paper is unreleased: it then bears 草稿 / DRAFT on every page.
    created
        Date of the paper.
    number
        Number of the paper, the same on all its pages.
    typeface
        Opened typeface to share between papers; a fresh one if None.

    Raises
    ------
    SummaryIncomplete
        If it is no draft and a mandatory fact is missing.
    NoPatientPage
        If only the patient page is asked for and the patient died.
    GlyphMissing
        If a character can't be printed.
    PageOverflow
        If a patient page does not fit one page at 12 points.
    """
    from reports import pdf

    text = summary_markup(
        summary, languages=languages, audience=audience, draft=draft, created=_day(created), number=number
    )
    return pdf.render(text, typeface=typeface or Typeface(), created=_moment(created))


def summary_markup(
    summary: CourseSummary,
    *,
    languages: Sequence[Language],
    audience: Audience,
    draft: bool,
    created: date,
    number: str,
) -> str:
    """Return the page XML of a summary: every word and number that will be printed (parameters as `render_summary`)."""
    lacking = missing(summary, [language.value for language in languages])
    if lacking and not draft:
        labels = ", ".join(f"{fact.label.en} ({fact.key})" for fact in lacking)
        raise SummaryIncomplete(f"{len(lacking)} mandatory facts are missing: {labels}")
    pages = []
    for language in languages:
        made = environment(language.value)
        for name in _page_names(summary, audience):
            template = made.get_template(f"summary/{name}.{language.value}.xml")
            mark = DRAFT_MARK if draft else ""
            pages.append(template.render(s=summary, number=number, mark=mark, lacking=lacking, printed=created))
    return document_markup(f"放疗小结 / Radiotherapy summary {number}", languages[0].value, pages)


def document_markup(title: str, language: str, pages: Iterable[str]) -> str:
    """Join pages into a document."""
    return f"<doc title={quoteattr(title)} lang={quoteattr(language)}>{''.join(pages)}</doc>"


def _page_names(summary: CourseSummary, audience: Audience) -> tuple[str, ...]:
    names = _PAGES[audience]
    if not (summary.status and summary.status.value is Status.DIED):
        return names
    # Nobody is told to come for a visit after death; the family gets the doctor's pages from the doctor.
    rest = tuple(name for name in names if name != "patient")
    if not rest:
        raise NoPatientPage("the patient died; there is no patient page")
    return rest


def _day(created: datetime | date) -> date:
    return created.date() if isinstance(created, datetime) else created


def _moment(created: datetime | date) -> datetime:
    return created if isinstance(created, datetime) else datetime(created.year, created.month, created.day)
