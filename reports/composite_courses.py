"""The courses of a composite, and how each came onto the image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reports.composite_figures import Told, Wordings, brief, courses_by_number
from reports.wording import NBSP, number

_QUALITIES: Final = (
    ("tre_mean_mm", "tre"),
    ("tre_max_mm", "tre_most"),
    ("inverse_consistency_mm", "inverse"),
    ("similarity", "similarity"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One line of the table of courses; dates as ISO 8601."""

    number: int
    dossier: str
    first: str
    last: str
    interval_days: int | None
    overlap: str
    label: str
    delivery_state: str
    planned: int | None
    delivered: float | None
    scaling: str
    source: str
    reason_not_summed: str


def plan_rows(composite: Told, wordings: Wordings) -> list[PlanRow]:
    """Return the lines of the table of courses: one for each plan, one for a course without plans.

    Raises
    ------
    TemplateFault
        If a course lacks a part of its contract.
    """
    rows = []
    for place, course in courses_by_number(composite):
        plans: Sequence[Told] = course.get("plans") or ({},)
        rows += [_plan_row(place, course, plan, wordings) for plan in plans]
    return rows


def _plan_row(place: int, course: Told, plan: Told, wordings: Wordings) -> PlanRow:
    fractions = plan.get("fractions") or {}
    reason = str(plan.get("reason_not_summed") or (not plan and course.get("reason_not_summed")) or "")
    scaling = plan.get("scaling")
    return PlanRow(
        number=place,
        dossier=str(course.get("dossier") or ""),
        first=str(course.get("first_fraction") or ""),
        last=str(course.get("last_fraction") or ""),
        interval_days=course.get("interval_days"),
        overlap=wordings.of("overlap", str(_word(course.get("overlap_class")) or "")),
        label=str(plan.get("label") or plan.get("uid") or ""),
        delivery_state=str(plan.get("delivery_state") or "unknown"),
        planned=fractions.get("planned"),
        delivered=fractions.get("delivered"),
        scaling=f"×{NBSP}{scaling:.3f}" if isinstance(scaling, int | float) else str(scaling or ""),
        source=str(plan.get("source") or ""),
        reason_not_summed=wordings.of("not_summed", reason),
    )


def _word(told: Any) -> Any:
    """Return the class of an overlap, alone or told with its figures."""
    return told.get("class") if isinstance(told, Mapping) else told


def registration_rows(composite: Told, wordings: Wordings) -> list[tuple[str, str, str, str, str]]:
    """Return plan, kind, source, quality and verdict of every way a plan came onto the image."""
    rows = []
    for place, course in courses_by_number(composite):
        for plan in course.get("plans") or ():
            told = plan.get("registration")
            if not told:
                continue
            label = f"{place} · {plan.get('label') or plan.get('uid')}"
            quality = wordings.comma.join(_qualities(told.get("quality") or {}, wordings))
            kind = str(told.get("kind") or "")
            rows.append(
                (
                    label,
                    wordings.of("registration", kind),
                    "" if kind == "identity" else str(told.get("source") or ""),
                    quality or wordings.of("quality", "none"),
                    _verdict(told, wordings),
                )
            )
    return rows


def _verdict(told: Told, wordings: Wordings) -> str:
    by = str(told.get("approved_by") or "")
    if told.get("approved") and (by or told.get("kind") != "identity"):
        return f"{wordings.of('verdict', 'approved')} {by}".strip()
    return wordings.of("verdict", "same_frame" if told.get("kind") == "identity" else "nobody")


def _qualities(quality: Told, wordings: Wordings) -> Iterator[str]:
    """Yield what was measured of a registration (TG-132), in words."""
    for key, word in _QUALITIES:
        if quality.get(key) is not None:
            yield wordings.of("quality", word).format(number(quality[key]))
    for key, word in (("dice", "dice"), ("mean_distance_mm", "distance")):
        for name, value in _pairs(quality.get(key)):
            yield wordings.of("quality", word).format(name, number(value))
    least, most = quality.get("jacobian_least"), quality.get("jacobian_most")
    if least is not None and most is not None:
        yield wordings.of("quality", "jacobian").format(number(least), number(most))
    if quality.get("landmarks"):
        yield wordings.of("quality", "landmarks").format(quality["landmarks"])


def _pairs(told: Any) -> Sequence[tuple[str, float]]:
    if isinstance(told, Mapping):
        return [(str(name), value) for name, value in told.items()]
    return [(str(one["structure"]), one["value"]) if isinstance(one, Mapping) else tuple(one) for one in told or ()]


def recovery_rows(composite: Told) -> list[tuple[str, str, str]]:
    """Return course, model and what it takes as recovered, in percent; empty where no model was asked for."""
    return [
        (str(place), str(one.get("model", "")), f"{brief(100 * one['forgotten'])}{NBSP}%")
        for place, course in courses_by_number(composite)
        for one in course.get("recovery") or ()
        if isinstance(one, Mapping) and one.get("forgotten") is not None
    ]
