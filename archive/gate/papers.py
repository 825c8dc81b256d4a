"""Gate rules about papers and setup: what no plan tells, but a court or a colleague asks for in twenty years."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date

from archive.dates import parse_date
from archive.gate.imaging import delivered, label_of, planned_on, shared_text
from archive.gate.raised import Raised, Rule, Surroundings
from archive.headers import InstanceKind
from archive.model import Dossier, Held, Plan

PAPERS = ("CONSENT-MISSING", "PRESCRIPTION-MISSING", "REPORT-MISSING", "CHECK-MISSING", "VERIFICATION-MISSING")
"""Codes that ask for a paper; its words stand among the figures of the code."""

_PAPER_KINDS = frozenset({InstanceKind.DOCUMENT, InstanceKind.OTHER})
_DAY_KEYWORDS = ("AcquisitionDate", "ContentDate", "SeriesDate")
_MOST_DAYS_SHOWN = 5
_BEGINS_A_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\x00-\x7f])(?=[A-Za-z])")


def papers_missing(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A paper is recognised by words in its title, its file name or its coded kind."""
    titles = [text for held in (*dossier.instances, *dossier.late) for text in titles_of(held)]
    for code in (*PAPERS, *sorted(around.demands.rulebook.requirements)):
        words = around.demands.words(code)
        if words and not any(is_titled(title, words) for title in titles):
            yield Raised(code=code)


def titles_of(held: Held) -> Iterator[str]:
    """Yield what a document is called: title or file name, series, and the meaning of its coded kind."""
    if held.kind not in _PAPER_KINDS:
        return
    header = held.header
    yield header.document_title
    yield header.series_description
    for source in (header.shared, header.own):
        coded = source.get("ConceptNameCodeSequence", ())
        yield from (item.get("CodeMeaning", "") for item in coded if isinstance(item, dict))


def is_titled(title: str, words: Iterable[str]) -> bool:
    """Return whether one of `words` stands in a title, however it is written.

    Case, width and what parts words (``_``, ``-``, ``.``, capitals inside) do not matter. A word in letters must begin
    where one begins in the title: ``plan report`` stands in ``RT_PlanReport.pdf``, ``consent`` not in ``nonconsent``.
    """
    plain = _plain(title)
    unparted = plain.replace(" ", "")
    return any(
        f" {_plain(word)}" in f" {plain}" if word.isascii() else _plain(word).replace(" ", "") in unparted
        for word in words
    )


def _plain(text: str) -> str:
    parted = _BEGINS_A_WORD.sub(" ", unicodedata.normalize("NFKC", text))
    return " ".join(re.sub(r"[\W_]+", " ", parted).casefold().split())


def setup_missing(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """Each session needs the images the patient was set up by, or their registration to the planning images."""
    shown_on = set(_setup_days(dossier))
    for plan in delivered(dossier):
        days = sorted({day for one in plan.fractions for text, _time in one.visits if (day := parse_date(text))})
        missing = [day for day in days if day not in shown_on]
        if missing:
            some = ", ".join(day.isoformat() for day in missing[:_MOST_DAYS_SHOWN])
            params = {
                "label": label_of(plan),
                "count": len(missing),
                "total": len(days),
                "days": some if len(missing) <= _MOST_DAYS_SHOWN else f"{some}, ...",
            }
            yield Raised(code="SETUP-MISSING", subject=plan.uid, params=params, instance_uids=_records(plan))


def _records(plan: Plan) -> tuple[str, ...]:
    return tuple(held.uid for held in plan.records)


def _setup_days(dossier: Dossier) -> Iterator[date]:
    """Yield the days on which a setup image was taken or registered; planning images and DRRs are none."""
    structure_sets = [held for plan in dossier.plans for held in plan.structure_sets]
    planning = {held.uid for held in planned_on(dossier, structure_sets)}
    for held in (*dossier.instances, *dossier.late):
        is_setup = (
            held.kind is InstanceKind.REGISTRATION
            or (held.kind is InstanceKind.RT_IMAGE and "DRR" not in shared_text(held, "ImageType").split("\\"))
            or (held.kind is InstanceKind.IMAGE and held.uid not in planning)
        )
        if is_setup:
            texts = [shared_text(held, keyword) for keyword in _DAY_KEYWORDS]
            yield from filter(None, map(parse_date, (*texts, held.header.study_date)))


PAPER_RULES: tuple[Rule, ...] = (papers_missing, setup_missing)
