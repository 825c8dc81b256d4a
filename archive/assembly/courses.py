"""Groups the plans of a patient into courses by the days they were treated on.

Plans whose sessions lie at most 42 days apart (a setting) are one course;
intent never groups, as most real plans hold none. A plan without records
stands on its plan date. The grouping is single linkage on intervals, so it
does not depend on the order in which anything arrived.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from archive.dates import parse_date
from archive.model import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseRules:
    """Settings of the grouping, in days.

    Parameters
    ----------
    longest_gap_days
        Plans further apart than this are two courses.
    doubtful_gap_days
        From the first to the second figure a doctor decides: boost, split course or re-irradiation.
    """

    longest_gap_days: int = 42
    doubtful_gap_days: tuple[int, int] = (15, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """First and last day of a plan or a course; None where nothing is dated."""

    first: date | None
    last: date | None

    def gap_days(self, other: "Interval") -> int | None:
        """Return the days between the two, 0 where they overlap, None where one is not dated."""
        if self.first is None or self.last is None or other.first is None or other.last is None:
            return None
        return max(0, (other.first - self.last).days, (self.first - other.last).days)

    def contains(self, day: date, *, margin: timedelta) -> bool:
        """Return whether `day` lies inside, or at most `margin` before or after."""
        if self.first is None or self.last is None:
            return False
        return self.first - margin <= day <= self.last + margin


def interval_of(plans: Iterable[Plan]) -> Interval:
    """Return the days from the first to the last session of `plans`, their plan dates where there are no sessions."""
    days = sorted(day for plan in plans for day in _days(plan))
    return Interval(first=days[0] if days else None, last=days[-1] if days else None)


def _days(plan: Plan) -> list[date]:
    texts = [fraction.date for fraction in plan.fractions]
    texts = texts or [held.header.record.date for held in plan.records if held.header.record]
    texts = texts or [plan.header.date or plan.header.review_date]
    days = [day for text in texts if (day := parse_date(text))]
    if days:
        return days
    # A plan that is undated or unseen stands on the day its dose or study bears.
    others = [plan.held, *plan.doses]
    return [day for held in others if held and (day := parse_date(held.header.study_date))][:1]


def group(plans: Sequence[Plan], rules: CourseRules) -> list[tuple[Plan, ...]]:
    """Return the courses, each as its plans in order of date and UID; courses in order of date."""
    dated = sorted(((interval_of((plan,)), plan) for plan in plans), key=lambda pair: _order(*pair))
    courses: list[list[Plan]] = []
    reach: date | None = None
    for interval, plan in dated:
        joins = (
            reach is not None and interval.first is not None and (interval.first - reach).days <= rules.longest_gap_days
        )
        if joins:
            courses[-1].append(plan)
        else:
            courses.append([plan])
        if interval.last is not None:
            reach = max(interval.last, reach or interval.last)
    return [tuple(course) for course in courses]


def _order(interval: Interval, plan: Plan) -> tuple[date, str]:
    return (interval.first or date.max, plan.uid)


def dossier_id(plan_uid: str) -> str:
    """Return the id of the dossier anchored at a plan: base32 of the SHA-256 of its UID, lower case without padding."""
    return base64.b32encode(hashlib.sha256(plan_uid.encode()).digest()).decode().rstrip("=").lower()


def anchor(plans: Iterable[Plan]) -> str:
    """Return the UID of the plan that names a course: the earliest plan date, then the UID."""
    return min(plans, key=lambda plan: (plan.header.date or "99999999", plan.uid)).uid
