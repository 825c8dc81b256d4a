"""What remains for the next course, organ by organ, under a set of limits: rows of the answer of a composite.

Each limit is evaluated in its own terms: all courses in its quantity, with its alpha/beta, in its metric.
Beside the plain figures stand those with a rule of recovery, if it was asked for and belongs to the limit; what does
not belong to it is named with the reason, and none is ever applied by itself. A rule that forgets takes a part of the
dose given off, voxel by voxel and course by course; one that scales limits leaves all dose and raises the limit. LQ-L
has no row: it never clears a limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from archive.assembly.delivery import parse_date
from courses.biology import Biology, forgotten_by_course, intervals, recovery_models, standard_name
from courses.exposures import Gathered
from courses.summing import Samples, eqd2_sum, sample_parts
from courses.surroundings import around
from dose.biology.limits import Limit
from dose.biology.recovery import LimitScaling, RecoveryModel, months_between
from dose.biology.remaining import Given, Range, Remaining, remaining
from dose.errors import DoseError
from dose.shapes.dvh import Figure, dvhs_on
from dose.shapes.structures import Structure

Json = dict[str, Any]
Rule = RecoveryModel | LimitScaling


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What is asked about the next course.

    Parameters
    ----------
    fractions
        Of the next course.
    limits
        Name of the set; the standard one if empty.
    recovery
        Names of rules to show beside.
    as_of
        First day of the next course; None where it is not known: then nothing recovers.
    has_gap
        Whether a dose is missing that nothing bounds.
    slice_mm
        Distance of the image slices.
    """

    fractions: int
    limits: str = ""
    recovery: tuple[str, ...] = ()
    as_of: date | None = None
    has_gap: bool = False
    slice_mm: float | None = None


def remaining_rows(gathered: Gathered, structures: Sequence[Structure], asked: Asked, biology: Biology) -> list[Json]:
    """Return a row for each limit of each structure, inactive ones named without figures.

    Raises
    ------
    BadTable
        There is no such set of limits, or no such rule of recovery.
    """
    limits = biology.limits.named(asked.limits)
    rules: list[Rule] = [*recovery_models(biology.recovery, asked.recovery)]
    rules += [biology.recovery.scalings[name] for name in asked.recovery if name in biology.recovery.scalings]
    months = intervals(gathered, asked.as_of)
    rows: list[Json] = []
    for structure in structures:
        found = limits.of(standard_name(structure.name))
        if not found:
            continue
        organ = _Organ(gathered, structure, asked, biology, months)
        rows += [_row(organ, limit, rules) for limit in found]
    return rows


class _Organ:
    """One structure, read once and summed for each limit and rule."""

    def __init__(
        self,
        gathered: Gathered,
        structure: Structure,
        asked: Asked,
        biology: Biology,
        months: Mapping[str, float | None],
    ) -> None:
        self.structure, self.asked, self.months = structure, asked, months
        self.name = standard_name(structure.name)
        self.tissue = biology.tissues.of(self.name)
        self._gathered = gathered
        self._read: Samples | None = None

    @property
    def interval_months(self) -> float | None:
        """Months since the last fraction of the course treated last; None where a date is missing.

        With a dose missing, courses that are not in the sum are looked at too: the one treated last may be one of them.
        """
        passed = list(self.months.values())
        if self.asked.has_gap:
            passed += [
                months_between(parse_date(one.last_fraction), self.asked.as_of)
                for one in self._gathered.record.dossiers
                if one.id not in self.months and one.last_fraction
            ]
        return None if None in passed else min((one for one in passed if one is not None), default=None)

    def given(self, limit: Limit, forgotten: Mapping[str, float] | None = None) -> Given:
        """Return the metric of a limit for all courses before, and for the one that gave most."""
        figure = self._figure(limit, forgotten)
        scale, is_open = limit.per_eqd2 if limit.at_least is None else 1.0, self.asked.has_gap
        estimate = figure.value if figure.value is not None else figure.estimate
        if limit.at_least is not None:
            lo = 0.0 if is_open else figure.lo
            return Given(estimate=None if is_open else estimate, lo=lo, hi=figure.hi, months=self.interval_months)
        return Given(
            estimate=None if estimate is None or is_open else estimate * scale,
            lo=figure.lo * scale,
            hi=None if is_open else figure.hi * scale,
            largest_course=self._largest_course(limit),
            months=self.interval_months,
        )

    def _largest_course(self, limit: Limit) -> float | None:
        if limit.each_course_gy is None or self.asked.has_gap:
            return None
        return max((self._figure(limit, None, only=course).hi for course in self.months), default=0.0) * limit.per_eqd2

    def _figure(self, limit: Limit, forgotten: Mapping[str, float] | None, *, only: str = "") -> Figure:
        total = eqd2_sum(self._gathered, limit.tissue, forgotten=forgotten, only=only, samples=self._samples())
        (found,) = dvhs_on(self.structure, [total], slice_mm=self.asked.slice_mm)
        return limit.metric.of(found)

    def _samples(self) -> Samples:
        if self._read is None:
            self._read = sample_parts(self._gathered, around(self.structure, self._gathered.geometry))
        return self._read


def _row(organ: _Organ, limit: Limit, rules: Sequence[Rule]) -> Json:
    row: Json = {
        "structure": organ.structure.name,
        "limit": limit.name,
        "limit_set": limit.set_name,
        "metric": str(limit.metric),
        "quantity": limit.quantity,
        "limit_gy": limit.at_most,
        "at_least_cc": limit.at_least,
        "alpha_beta_gy": limit.alpha_beta_gy,
        "model": "LQ",
        "source": str(limit.source),
        "note": limit.note or None,
        "active": limit.is_active,
        "fractions": organ.asked.fractions,
        "interval_months": organ.interval_months and round(organ.interval_months, 2),
        "reason": None,
        "alternatives": [],
        "left_out": _left_out(organ, limit, rules),
    }
    if not limit.is_active:
        told = remaining(limit, Given(estimate=None, lo=0.0, hi=None), organ.asked.fractions)
        return {**row, "reason": " ".join(told.reasons)}
    try:
        return {**row, "alternatives": _alternatives(organ, limit, rules)}
    except DoseError as error:
        return {**row, "reason": f"The structure has no histogram: {error}"}


def _left_out(organ: _Organ, limit: Limit, rules: Sequence[Rule]) -> list[Json]:
    told = [(rule.title, _why_not(organ, limit, rule)) for rule in rules]
    return [{"recovery": title, "reason": reason} for title, reason in told if reason is not None]


def _alternatives(organ: _Organ, limit: Limit, rules: Sequence[Rule]) -> list[Json]:
    """Return the figures without recovery, then with each rule that belongs to the limit."""
    plain, count = organ.given(limit), organ.asked.fractions
    found = [_told(remaining(limit, plain, count), plain)]
    for rule in rules:
        if _why_not(organ, limit, rule) is not None:
            continue
        if isinstance(rule, LimitScaling):
            factor = rule.factor(organ.interval_months, organ.name)
            found.append({**_told(remaining(limit, plain, count, factor=factor), plain, rule), "factor": factor})
        else:
            gone = forgotten_by_course(rule, organ.structure.name, organ.tissue, organ.months)
            given = organ.given(limit, gone)
            found.append({**_told(remaining(limit, given, count), given, rule), "forgotten": gone})
    return found


def _why_not(organ: _Organ, limit: Limit, rule: Rule) -> str | None:
    """Return why a rule that was asked for is not shown with a limit; None where it is."""
    scales = isinstance(rule, LimitScaling)
    is_for = rule.is_for(organ.name) if isinstance(rule, LimitScaling) else rule.is_for(organ.name, organ.tissue.kind)
    if not is_for:
        return "It says nothing of this structure."
    if scales and limit.at_least is not None:
        return "It scales limits of dose, and this one is of a volume."
    return limit.why_not_recovery(rule.name, scales_limit=scales)


def _told(one: Remaining, given: Given, rule: Rule | None = None) -> Json:
    unit, what = ("cc", "spared") if one.limit.at_least is not None else ("gy", "used")
    quantity = "_eqd2" if unit == "gy" and one.limit.quantity == "EQD2" else ""
    used: Json | None = {"value": None, "lo": round(given.lo, 4), "hi": None, "estimate": None}
    if given.hi is not None:
        used = _figure(Range(estimate=given.estimate, lo=given.lo, hi=given.hi))
    return {
        "recovery": rule and rule.title,
        "kind": "none" if rule is None else "scales-limit" if isinstance(rule, LimitScaling) else "forgets",
        "source": rule and str(rule.source),
        "state": one.state,
        "limit": round(one.limit_value, 4),
        "at_most": one.is_at_most,
        "reasons": list(one.reasons),
        f"{what}{quantity}_{unit}": used,
        f"remaining{quantity}_{unit}": _figure(one.left),
        "remaining_physical_gy": _figure(one.physical_gy),
    }


_SAME = 1e-6


def _figure(told: Range | None) -> Json | None:
    """Return a figure with its bounds; the value is null where they differ."""
    if told is None:
        return None
    value = (told.lo + told.hi) / 2 if told.hi - told.lo <= _SAME * max(1.0, told.hi) else None
    estimate = value if told.estimate is None else min(max(told.estimate, told.lo), told.hi)
    figures = {"value": value, "lo": told.lo, "hi": told.hi, "estimate": estimate}
    return {name: None if one is None else round(one, 4) for name, one in figures.items()}
