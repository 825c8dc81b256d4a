"""Papers handed out in one file: every page of each, in order, and the same bytes each time."""

import io
from datetime import date

from pypdf import PdfReader

from reports.fonts import Typeface
from reports.joining import joined
from reports.render import Audience, Language, render_summary
from tests.reports.sample import summary


def _paper(audience: Audience, typeface: Typeface) -> bytes:
    return render_summary(
        summary(),
        languages=(Language.ZH,),
        audience=audience,
        draft=False,
        created=date(2026, 11, 2),
        number="N-1",
        typeface=typeface,
    )


def test_joined_when_there_is_one_paper_then_is_that_paper_byte_for_byte() -> None:
    assert joined([b"%PDF-1.4 anything"]) == b"%PDF-1.4 anything"


def test_joined_when_there_are_several_then_holds_the_pages_of_each_in_order_and_is_always_the_same(
    typeface: Typeface,
) -> None:
    papers = [_paper(one, typeface) for one in (Audience.PATIENT, Audience.DOCTOR)]
    whole = PdfReader(io.BytesIO(joined(papers)))
    texts = [page.extract_text() for page in whole.pages]
    assert texts == [page.extract_text() for one in papers for page in PdfReader(io.BytesIO(one)).pages]
    assert whole.metadata is not None
    assert whole.metadata.title == "放疗小结 / Radiotherapy summary N-1"
    assert joined(papers) == joined(papers)
