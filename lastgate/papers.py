"""Prints and releases the summary of a dossier: gathers the data set from archive, dose and entries, asks for pages.

What is released is kept, and from then on those very pages are handed out, as
long as they still tell what the dossier tells. Everything else is a draft.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version

from archive.answers import sites_of
from archive.assembly.delivery import parse_date
from archive.desk.accounts import Account
from archive.desk.releasing import Printed, Releasing, is_current
from archive.errors import Refused
from archive.facts.decisions import Paper as ReleasedPaper
from archive.journal.journal import Event
from archive.model import Dossier, PatientRecord
from courses.organs import CourseDose, course_dose
from lastgate.wiring import House
from reports.assemble import assemble_summary
from reports.entries import SummaryEntries, entries_from_mapping, entries_from_text
from reports.facts import Bilingual, Fact, Origin, Source
from reports.joining import joined
from reports.mandatory import missing
from reports.render import Audience, Language, render_summary
from reports.summary import Answer, CourseSummary, DoseType, EarlierCourse, EarlierRadiation, OrganDose, Status

BOTH_LANGUAGES = (Language.ZH, Language.EN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A printed summary.

    Parameters
    ----------
    why_draft
        Why it may not be handed out; empty for the released pages.
    lacking
        Mandatory facts that are not recorded, in words: while there are any it can't be released.
    """

    pdf: bytes
    number: str
    why_draft: str
    lacking: tuple[str, ...] = ()

    @property
    def is_draft(self) -> bool:
        """Whether every page bears 草稿 / DRAFT."""
        return bool(self.why_draft)


def print_summary(
    house: House,
    record: PatientRecord,
    dossier: Dossier,
    *,
    languages: tuple[Language, ...],
    audience: Audience,
    account: str,
    created: date,
) -> Paper:
    """Print the summary of a course: the released pages, byte for byte, while they still hold; else a draft.

    Raises
    ------
    GlyphMissing
        A name can't be printed with the embedded typeface.
    ObjectMissing, DigestMismatch
        A released paper is not there, or is another one.
    """
    released = _released(dossier, languages, audience)
    if released and dossier.released:
        pdf = joined([house.papers.read(one) for one in released])
        paper = Paper(pdf=pdf, number=dossier.released.what.number, why_draft="")
    else:
        paper = _draft(house, record, dossier, languages=languages, audience=audience, created=created)
    subject = {
        "dossier": dossier.id,
        "number": paper.number,
        "draft": paper.is_draft,
        "audience": audience.value,
        "papers": [one.sha256 for one in released],
    }
    house.journal.append(Event(act="print", account=account, subject=subject))
    return paper


def handed_out(house: House, dossier: Dossier) -> Iterator[tuple[str, str, str]]:
    """Yield the day, the account and the audience of each print of the released papers, as the journal tells."""
    if dossier.released is None:
        return
    number = dossier.released.what.number
    for event in house.journal.events_since(dossier.released.on):
        told = event["subject"]
        if event["act"] != "print" or told.get("draft"):
            continue
        if (told.get("dossier"), told.get("number")) == (dossier.id, number):
            yield event["at"][:10], event["account"], told["audience"]


def release_summary(
    house: House,
    record: PatientRecord,
    dossier: Dossier,
    *,
    languages: tuple[Language, ...] = BOTH_LANGUAGES,
    account: Account,
    created: date,
) -> Dossier:
    """Release the summary of a course in these languages, and return the dossier as it is then.

    Raises
    ------
    Refused
        A mandatory fact is missing, an urgent finding stands, the course has not ended, the role may not, or these
        papers are released already.
    GlyphMissing
        A name can't be printed with the embedded typeface.
    """
    releasing = Releasing(desk=house.desk, shelf=house.papers)
    releasing.check(dossier, account)
    summary = summary_of(house, record, dossier)
    lacking = _lacking(summary, languages)
    if lacking:
        hint = "Enter them: lastgate enter DOSSIER FILE.toml --as USER (docs/summary-entries.md)."
        raise Refused(f"These are not recorded yet: {', '.join(lacking)}", hint=hint)
    number = _number(dossier, summary)
    printed = [
        Printed(
            language=language.value,
            audience=audience.value,
            pdf=render_summary(
                summary,
                languages=(language,),
                audience=audience,
                draft=False,
                created=created,
                number=number,
                typeface=house.typeface,
            ),
        )
        for language in languages
        for audience in _audiences(summary)
    ]
    return releasing.release(record.key, dossier, printed, number=number, account=account)


def _audiences(summary: CourseSummary) -> tuple[Audience, ...]:
    """Nobody is told to come for a visit after death (`reports.render`)."""
    died = bool(summary.status) and summary.status.value is Status.DIED
    return (Audience.DOCTOR,) if died else (Audience.PATIENT, Audience.DOCTOR)


def _released(dossier: Dossier, languages: Sequence[Language], audience: Audience) -> tuple[ReleasedPaper, ...]:
    """Return the released papers that were asked for, none unless they hold and all are there."""
    if not is_current(dossier) or dossier.released is None:
        return ()
    papers = {(one.language, one.audience): one for one in dossier.released.what.papers}
    wanted = {Audience.PATIENT, Audience.DOCTOR} if audience is Audience.BOTH else {audience}
    if dossier.outcome == Status.DIED and audience is Audience.BOTH:
        wanted = {Audience.DOCTOR}
    found = [papers.get((language.value, one.value)) for language in languages for one in Audience if one in wanted]
    return tuple(one for one in found if one) if all(found) else ()


def _draft(
    house: House,
    record: PatientRecord,
    dossier: Dossier,
    *,
    languages: tuple[Language, ...],
    audience: Audience,
    created: date,
) -> Paper:
    summary = summary_of(house, record, dossier)
    number = _number(dossier, summary)
    pdf = render_summary(
        summary,
        languages=languages,
        audience=audience,
        draft=True,
        created=created,
        number=number,
        typeface=house.typeface,
    )
    if dossier.released is None:
        why = "the summary is not released"
    elif is_current(dossier):
        why = "these pages were not released"
    else:
        why = "what was released is outdated"
    return Paper(pdf=pdf, number=number, why_draft=why, lacking=_lacking(summary, languages))


def _lacking(summary: CourseSummary, languages: Sequence[Language]) -> tuple[str, ...]:
    return tuple(one.label.en or one.key for one in missing(summary, tuple(one.value for one in languages)))


def summary_of(house: House, record: PatientRecord, dossier: Dossier) -> CourseSummary:
    """Return the data set all pages are printed from."""
    entries = entries_from_mapping(dossier.summary_entries) if dossier.summary_entries else SummaryEntries()
    if entries.earlier_radiation is None:
        entries = replace(entries, earlier_radiation=_earlier(record, dossier))
    return assemble_summary(
        dossier,
        software=f"Lastgate {version('lastgate')}",
        entries=entries,
        department=_department(house),
        organ_doses=_organ_doses(course_dose(record, dossier, house.reader)),
    )


def _department(house: House) -> SummaryEntries:
    path = house.settings.department
    return entries_from_text(path.read_text("utf-8")) if path else SummaryEntries()


def _earlier(record: PatientRecord, dossier: Dossier) -> EarlierRadiation | None:
    """Return the courses before this one that the archive knows; that it knows none says nothing."""
    earlier = [one for one in record.dossiers if one.last_fraction and one.last_fraction < dossier.first_fraction]
    if not earlier:
        return None
    courses = []
    for one in earlier:
        sites = ", ".join(sites_of(one)) or one.id[:10]
        first = parse_date(one.first_fraction)
        courses.append(EarlierCourse(words=Bilingual(zh=sites, en=sites), when=str(first.year) if first else ""))
    return EarlierRadiation(answer=Answer.YES, courses=tuple(courses))


def _organ_doses(dose: CourseDose | None) -> tuple[OrganDose, ...]:
    if dose is None:
        return ()
    source = Source(origin=Origin.COMPUTED)
    kind = DoseType.PHYSICAL if dose.composite.dose_type == "PHYSICAL" else DoseType.RBE_WEIGHTED
    return tuple(
        OrganDose(
            name=one.name,
            words=None,
            mean_gy=Fact(value=one.mean_gy.lo, source=source),
            max_gy=Fact(value=one.max_gy.lo, source=source),
            dose_type=kind,
            is_for_patient=False,
            basis=dose.basis,
            unknown_cc=round(one.unknown_cc, 1),
        )
        for one in dose.histograms
    )


def _number(dossier: Dossier, summary: CourseSummary) -> str:
    """Return the number of the paper: it changes whenever anything printed on it does."""
    return f"{dossier.id[:6].upper()}-{hashlib.sha256(repr(summary).encode()).hexdigest()[:8].upper()}"
