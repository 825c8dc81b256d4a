"""Doses of the organs of one course, for paper: delivered where records tell it, else planned and said so."""

from dataclasses import dataclass

from archive.model import DeliveryState, Dossier, PatientRecord
from courses.answers import histograms
from courses.composite import Composite, compose
from courses.errors import NothingToSum
from courses.reading import Reader
from dose.shapes.dvh import Dvh

NO_ORGANS = frozenset({"GTV", "CTV", "ITV", "PTV", "EXTERNAL", "SUPPORT", "BOLUS", "MARKER", "ISOCENTER", "CONTROL"})
"""RT ROI Interpreted Types that are no organs (PS3.3 C.8.8.8.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseDose:
    """The summed dose of one course and its histograms.

    Parameters
    ----------
    basis
        ``delivered`` or ``planned``: what the figures were computed from.
    """

    composite: Composite
    histograms: tuple[Dvh, ...]
    basis: str


def course_dose(record: PatientRecord, dossier: Dossier, reader: Reader) -> CourseDose | None:
    """Return the dose of a course, None where it has no dose grid that counts."""
    is_told = any(plan.delivery_state is DeliveryState.DELIVERED for plan in dossier.plans)
    try:
        composite = compose(record, reader, only=dossier, as_planned=not is_told)
    except NothingToSum:
        return None
    return CourseDose(
        composite=composite,
        histograms=histograms(composite, reader, leave_out=NO_ORGANS).found,
        basis="delivered" if is_told else "planned",
    )
