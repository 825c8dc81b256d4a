"""Prints the summary of a dossier: gathers the data set from archive, dose and entries, and asks for the pages."""

import hashlib
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version

from archive.answers import sites_of
from archive.assembly.delivery import parse_date
from archive.journal.journal import Event
from archive.model import Dossier, PatientRecord
from courses.organs import CourseDose, course_dose
from lastgate.wiring import House
from reports.assemble import assemble_summary
from reports.entries import SummaryEntries, entries_from_mapping, entries_from_text
from reports.facts import Bilingual, Fact, Origin, Source
from reports.mandatory import missing
from reports.render import Audience, Language, render_summary
from reports.summary import Answer, CourseSummary, DoseType, EarlierCourse, EarlierRadiation, OrganDose


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A printed summary.

    Parameters
    ----------
    lacking
        Mandatory facts that are not recorded, in words; while there are any it is a draft.
    """

    pdf: bytes
    number: str
    is_draft: bool
    lacking: tuple[str, ...]
    summary: CourseSummary


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
    """Print the summary of a course; it is a draft while a mandatory fact is missing.

    Raises
    ------
    GlyphMissing
        A name can't be printed with the embedded typeface.
    """
    summary = summary_of(house, record, dossier)
    lacking = tuple(one.label.en or one.key for one in missing(summary, tuple(one.value for one in languages)))
    # Release (checking two identifiers, counting copies) is not part of this version: every paper is a draft till then.
    number = _number(dossier, summary)
    pdf = render_summary(
        summary,
        languages=languages,
        audience=audience,
        draft=bool(lacking),
        created=created,
        number=number,
        typeface=house.typeface,
    )
    subject = {"dossier": dossier.id, "number": number, "draft": bool(lacking), "audience": audience.value}
    house.journal.append(Event(act="print", account=account, subject=subject))
    return Paper(pdf=pdf, number=number, is_draft=bool(lacking), lacking=lacking, summary=summary)


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
