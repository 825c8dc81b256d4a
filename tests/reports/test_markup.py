"""Page XML."""

import pytest

from reports import markup
from reports.errors import TemplateFault


def page(content: str) -> str:
    return f'<doc title="t" lang="zh"><page lang="zh" audience="doctor" mark="">{content}</page></doc>'


def text(content: str) -> str:
    root = markup.parse(page(f"<p>{content}</p>"))
    return "".join(run.text for run in markup.runs(root[0][0]))


@pytest.mark.parametrize(
    ("content", "drawn"),
    [
        ("  您好\n   世界  ", "您好世界"),
        ("Hello\n   world ", "Hello world"),
        ("您 好", "您 好"),
        ("做了\n 20次", "做了20次"),
        ("a <b>b</b>\n c", "a b c"),
        ("&lt;b&gt;&amp;x", "<b>&x"),
    ],
)
def test_text_when_read_then_white_space_is_tidied_as_the_language_needs(content: str, drawn: str) -> None:
    assert text(content) == drawn


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("<script/>", "can't stand"),
        ("<p><img/></p>", "can't stand"),
        ("<p colour='red'>x</p>", "no attribute"),
        ("loose", "loose text"),
        ("<p>x", "can't be read"),
        ("<table head='a|b'>text</table>", "loose text"),
    ],
)
def test_markup_when_outside_the_vocabulary_then_it_is_refused(content: str, complaint: str) -> None:
    with pytest.raises(TemplateFault, match=complaint):
        markup.parse(page(content))


def test_markup_when_it_declares_entities_then_it_is_refused() -> None:
    bomb = '<!DOCTYPE doc [<!ENTITY a "b">]>' + page("<p>&a;</p>")
    with pytest.raises(TemplateFault):
        markup.parse(bomb)
