"""Finds the released summary of a course among the decisions about its patient."""

from collections.abc import Collection, Iterable

from archive.facts.decisions import Decision, Release, Sealed
from archive.model import Released


def released_of(decisions: Iterable[Decision], plan_uids: Collection[str], seal: Sealed | None) -> Released | None:
    """Return the newest release that names one of these plans, None if there is none.

    Parameters
    ----------
    seal
        The newest seal of the course.
    """
    newest: Released | None = None
    sealed = frozenset(seal.paper_sha256s) if seal else frozenset()
    for decision in sorted(decisions, key=lambda one: one.number):
        act = decision.what
        if isinstance(act, Release) and not set(act.plan_uids).isdisjoint(plan_uids):
            newest = Released(
                account=decision.account,
                role=decision.role,
                on=decision.made_at.date(),
                what=act,
                is_sealed=sealed.issuperset(paper.sha256 for paper in act.papers),
            )
    return newest
