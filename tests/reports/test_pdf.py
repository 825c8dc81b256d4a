"""Pages from markup."""

from datetime import UTC, datetime

import pytest

from reports import pdf
from reports.errors import TemplateFault
from reports.fonts import Typeface
from tests.reports import reading

MADE = datetime(2026, 11, 10, tzinfo=UTC)


def document(content: str) -> str:
    foot = "<foot>foot <pageno/> of <pages/></foot>"
    return f'<doc title="t" lang="en"><page lang="en" audience="doctor" mark="">{content}{foot}</page></doc>'


@pytest.mark.parametrize("lines", range(44, 54))
def test_heading_when_at_the_end_of_a_page_then_it_goes_over_with_its_table(typeface: Typeface, lines: int) -> None:
    rows = "".join(f"<row><cell>r{number}</cell></row>" for number in range(12))
    content = "<p>line</p>" * lines + f'<h2>Heading</h2><table head="Head">{rows}</table>'
    pages = reading.pages(pdf.render(document(content), typeface=typeface, created=MADE))
    (page,) = [page for page in pages if "Heading" in page]
    assert "r1" in page


def test_table_when_longer_than_a_page_then_its_head_is_repeated_and_no_row_is_lost(typeface: Typeface) -> None:
    rows = "".join(f"<row><cell>row-{number}-</cell></row>" for number in range(150))
    pages = reading.pages(
        pdf.render(document(f'<table head="Caption">{rows}</table>'), typeface=typeface, created=MADE)
    )
    assert len(pages) > 2
    assert all("Caption" in page for page in pages)
    assert all(f"row-{number}-" in "".join(pages) for number in range(150))
    assert "foot 2 of" in pages[1]


def test_row_when_it_has_too_few_cells_then_it_is_refused(typeface: Typeface) -> None:
    with pytest.raises(TemplateFault, match="1 cells"):
        pdf.render(document('<table head="a|b"><row><cell>1</cell></row></table>'), typeface=typeface, created=MADE)


def test_figure_when_nobody_handed_it_in_then_it_is_refused(typeface: Typeface) -> None:
    with pytest.raises(TemplateFault, match="isodoses"):
        pdf.render(document('<figure name="isodoses" alt=""/>'), typeface=typeface, created=MADE)
