"""Fractions copied from a treatment sheet: they count once a second person signed them too (DESIGN section 1).

Treatment records outweigh the sheet: of a fraction that both tell, the record
counts, and the sheet only adds what no record tells.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from archive.desk.countersigning import is_countersigned
from archive.facts.decisions import Decision, SheetFraction, Transcribe
from archive.model import Fraction


def transcribed(decisions: Iterable[Decision]) -> dict[str, tuple[SheetFraction, ...]]:
    """Return the fractions of each plan that a sheet tells, by plan UID; the newest countersigned copy counts."""
    known = sorted(decisions, key=lambda one: one.number)
    return {
        one.what.plan_uid: one.what.fractions
        for one in known
        if isinstance(one.what, Transcribe) and is_countersigned(one, known)
    }


def unsigned(decisions: Iterable[Decision], uids: Collection[str]) -> tuple[tuple[int, Transcribe], ...]:
    """Return the newest copy for each of these UIDs that nobody countersigned, with the number of its decision."""
    known = sorted(decisions, key=lambda one: one.number)
    newest = {
        one.what.plan_uid: (one, one.what)
        for one in known
        if isinstance(one.what, Transcribe) and one.what.plan_uid in uids
    }
    return tuple((one.number, copy) for one, copy in newest.values() if not is_countersigned(one, known))


def with_sheet(
    plan_uid: str,
    recorded: Sequence[Fraction],
    sheets: Mapping[str, Sequence[SheetFraction]],
    *,
    only_group: int | None,
) -> tuple[Fraction, ...]:
    """Return recorded fractions with those of the sheet that no record tells, in order of date, time and number.

    Parameters
    ----------
    only_group
        Number of the plan's fraction group where it has one alone: a sheet names none.
    """
    numbers = {one.number for one in recorded if one.number is not None}
    moments = {visit for one in recorded if one.number is None for visit in one.visits}
    added = [
        _fraction(plan_uid, one, only_group)
        for one in sheets.get(plan_uid, ())
        if one.number not in numbers and (one.date, one.time) not in moments
    ]
    if not added:
        return tuple(recorded)
    return tuple(sorted((*recorded, *added), key=lambda one: (one.date, one.time, one.number or 0)))


def sheet_fractions(course_uids: Iterable[str], decisions: Iterable[Decision]) -> list[Fraction]:
    """Return the fractions that sheets tell of courses without any plan, in order."""
    uids = tuple(course_uids)
    sheets = transcribed(decisions) if uids else {}
    return [fraction for uid in uids for fraction in with_sheet(uid, (), sheets, only_group=None)]


def _fraction(plan_uid: str, told: SheetFraction, group_number: int | None) -> Fraction:
    return Fraction(
        plan_uid=plan_uid,
        group_number=group_number,
        number=told.number,
        date=told.date,
        time=told.time,
        visits=((told.date, told.time),),
        share=told.share,
        record_uids=(),
    )
