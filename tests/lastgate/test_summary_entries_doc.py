"""The guide to the entries: its examples work, and it leaves no entry out."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from archive.model import Dossier
from lastgate.sample import Department, SampleCourse
from reports import entries as shapes
from reports import summary as values
from reports.assemble import assemble_summary
from reports.entries import SummaryEntries, entries_from_text
from reports.errors import EntriesUnreadable
from reports.mandatory import missing
from tests.lastgate.folded import folded_courses

_GUIDE = Path(__file__).parents[2] / "docs" / "summary-entries.md"


@pytest.fixture(scope="module")
def guide() -> str:
    return _GUIDE.read_text("utf-8")


@pytest.fixture(scope="module")
def courses(sample_department: Department) -> dict[str, tuple[SampleCourse, Dossier]]:
    return folded_courses(sample_department)


def _examples(guide: str) -> list[SummaryEntries]:
    return [entries_from_text(block) for block in re.findall(r"^```toml\n(.*?)^```$", guide, flags=re.S | re.M)]


def test_guide_when_its_examples_are_entered_then_nothing_mandatory_is_missing(
    guide: str, courses: dict[str, tuple[SampleCourse, Dossier]]
) -> None:
    department, course = _examples(guide)
    dossier = courses["2025-prostate-sbrt"][1]
    summary = assemble_summary(dossier, software="Lastgate test", entries=course, department=department)
    assert missing(summary, ("zh", "en")) == ()
    # The short example is really needed: neither half is enough.
    for half, other in ((course, SummaryEntries()), (SummaryEntries(), department)):
        assert missing(
            assemble_summary(dossier, software="Lastgate test", entries=half, department=other), ("zh", "en")
        )


@pytest.mark.parametrize(
    "shape",
    [
        shapes.SummaryEntries,
        shapes.TargetEntry,
        shapes.OrganEntry,
        shapes.InterruptionEntry,
        shapes.RegionTexts,
        values.Diagnosis,
        values.EarlierRadiation,
        values.EarlierCourse,
        values.Implant,
        values.SideEffect,
        values.LateEffect,
        values.FollowUp,
        values.Contact,
    ],
)
def test_guide_when_compared_with_the_shape_then_it_names_every_entry(guide: str, shape: type) -> None:
    told = set(re.findall(r"`([a-z_0-9]+)(?: = [^`]*)?`", guide))
    assert {field.name for field in fields(shape)} <= told


@pytest.mark.parametrize("code", [*values.Intent, *values.Side, *values.Answer])
def test_guide_when_an_entry_is_a_code_then_it_names_the_code(guide: str, code: str) -> None:
    assert f"`{code}`" in guide


def test_guide_when_it_quotes_a_refusal_then_the_words_are_those_of_the_program(guide: str) -> None:
    with pytest.raises(EntriesUnreadable) as refused:
        entries_from_text('[[targets]]\nname = "PTV"\nsied = "left"\n')
    assert f"`{refused.value}`" in guide
