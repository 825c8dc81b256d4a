"""Gate rules about the printed summary: that it was released, and that it still tells what the dossier tells."""

from collections.abc import Iterator, Mapping

from archive.figures import FIGURES, digest_of
from archive.gate.raised import Change, Changes, Raised, Rule, Surroundings, Term
from archive.model import Dossier

_MOST_TOLD_CHARS = 60
"""A figure longer than this is named, but not repeated in the sentence."""


def summary_missing(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A course that has ended here needs a released summary; what was given elsewhere has its paper from there."""
    if dossier.close is None or dossier.origin != "here" or dossier.released is not None:
        return
    closed = [one.made_at.date() for one in around.decisions if one.what == dossier.close]
    yield Raised(code="SUMMARY-MISSING", since=max(closed, default=None))


def summary_outdated(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """What was released must still be true, whatever came or was decided since."""
    released = dossier.released
    if released is None or released.what.figures_sha256 == digest_of(dossier.figures):
        return
    params = {
        "account": released.account,
        "date": released.on.isoformat(),
        "changes": changes(released.what.figures, dossier.figures),
        "figures": digest_of(dossier.figures),
    }
    yield Raised(
        code="SUMMARY-OUTDATED",
        params=params,
        instance_uids=tuple(held.uid for held in dossier.late),
        since=released.on,
    )


def summary_late(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """A summary that was released after the seal waits to become part of it."""
    released = dossier.released
    if dossier.version and released is not None and not released.is_sealed:
        params = {"account": released.account, "date": released.on.isoformat()}
        yield Raised(code="SUMMARY-LATE", params=params, since=released.on)


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    """Return which figures are others now, in the order people are told of them."""
    names = [name for name in FIGURES if before.get(name) != after.get(name)]
    return Changes(_change(name, before.get(name), after.get(name)) for name in names)


def _change(name: str, before: object, after: object) -> Change:
    texts = [one if isinstance(one, str) else None for one in (before, after)]
    is_short = name != "entries" and all(one is not None and len(one) <= _MOST_TOLD_CHARS for one in texts)
    told = [one or "?" for one in texts] if is_short else ["", ""]
    return Change(what=Term(name), before=told[0], after=told[1])


SUMMARY_RULES: tuple[Rule, ...] = (summary_missing, summary_outdated, summary_late)
