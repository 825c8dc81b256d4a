"""Which plans make up each course: by the days they were treated on, then by what persons said, then frozen by seals.

Persons join courses (`Merge`), set plans apart (`Split`) and open courses of
which there is no plan (`OpenDossier`); the newest word counts. What a seal
holds together stays together, and nothing joins it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archive.assembly.courses import CourseRules, Interval, anchor, group, interval_of
from archive.dates import parse_date
from archive.facts.decisions import Act, Merge, OpenDossier, Sealed, Split
from archive.model import Plan

_NO_DATE = "99999999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The plans of one course, in order of date and UID; of a sealed one in the order they were sealed in.

    Parameters
    ----------
    opened
        What persons told of it, where they opened it without a plan.
    seal
        The newest seal that holds it; None if it was never sealed.
    """

    plans: tuple[Plan, ...]
    opened: tuple[OpenDossier, ...] = ()
    seal: Sealed | None = None

    @property
    def uids(self) -> frozenset[str]:
        """By these decisions name it: the UIDs of its plans, and ours where a person opened it."""
        return frozenset((*(plan.uid for plan in self.plans), *(one.course_uid for one in self.opened)))

    @property
    def anchor(self) -> str:
        """UID that names the course: of the plan of the earliest plan date, then the smallest UID."""
        if self.plans:
            return anchor(self.plans)
        return min(self.opened, key=lambda one: (one.first_date or _NO_DATE, one.course_uid)).course_uid

    @property
    def interval(self) -> Interval:
        """First and last day: of its plans, else as a person told them."""
        told = interval_of(self.plans)
        if told.first is not None:
            return told
        texts = [text for one in self.opened for text in (one.first_date, one.last_date)]
        days = sorted(day for text in texts if (day := parse_date(text)))
        return Interval(first=days[0] if days else None, last=days[-1] if days else None)


def courses_of(
    plans: Sequence[Plan], acts: Sequence[Act], seals: Sequence[Sealed], rules: CourseRules
) -> tuple[Course, ...]:
    """Return the courses of a person, in order of date and anchor.

    Parameters
    ----------
    acts
        What persons settled, in order.
    seals
        The seals of this person's dossiers.
    """
    by_uid = {plan.uid: plan for plan in plans}
    opened = {act.course_uid: act for act in acts if isinstance(act, OpenDossier)}
    known = by_uid.keys() | opened.keys()
    newest = {seal.dossier: seal for seal in sorted(seals, key=lambda seal: seal.version)}
    frozen = [(seal, uids) for seal in newest.values() if (uids := known & set(seal.plan_uids))]
    taken = {uid for _, uids in frozen for uid in uids}
    base = [{plan.uid for plan in one} for one in group([plan for plan in plans if plan.uid not in taken], rules)]
    base += [{uid} for uid in opened if uid not in taken]
    told = [(None, uids) for uids in _as_told(base, acts)]
    courses = (_course(uids, by_uid, opened, seal) for seal, uids in (*frozen, *told))
    return tuple(sorted(courses, key=lambda course: (str(course.interval.first), course.anchor)))


def _course(
    uids: set[str], by_uid: Mapping[str, Plan], opened: Mapping[str, OpenDossier], seal: Sealed | None
) -> Course:
    plans = [by_uid[uid] for uid in uids if uid in by_uid]
    ranks = {uid: rank for rank, uid in enumerate(seal.plan_uids if seal else ())}
    ordered = sorted(plans, key=lambda plan: (ranks.get(plan.uid, 0), str(interval_of((plan,)).first), plan.uid))
    told = sorted((opened[uid] for uid in uids if uid in opened), key=lambda one: one.course_uid)
    return Course(plans=tuple(ordered), opened=tuple(told), seal=seal)


def _as_told(groups: Sequence[set[str]], acts: Iterable[Act]) -> Iterator[set[str]]:
    """Yield the groups as persons joined and parted them, one word after the other."""
    found = list(groups)
    for act in acts:
        match act:
            case Merge(plan_uids=named):
                meant = [one for one in found if not one.isdisjoint(named)]
                if len(meant) > 1:
                    found = [one for one in found if one not in meant] + [set[str]().union(*meant)]
            case Split(plan_uids=named):
                apart = set[str]().union(*found).intersection(named)
                found = [rest for one in found if (rest := one - apart)] + ([apart] if apart else [])
            case _:
                pass
    yield from found
