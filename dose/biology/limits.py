"""Limits for all courses together: rows of a table, each evaluated in its own terms and in no others.

A row is one structure (cord, planning risk volume and thecal sac are three), one metric, one alpha/beta, one model and
one source. Rows whose source was not read are inactive: they are named, and nothing is computed from them until the
department makes them its own. No limit is told in LQ-L, which gives the smaller effect: it never clears one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from dose.biology.names import parse_name
from dose.biology.tables import SOURCE_KEYS, Checked, Source, read_table
from dose.biology.tissues import Tissue
from dose.errors import BadMetric, BadTable
from dose.shapes.metrics import Kind as MetricKind
from dose.shapes.metrics import Metric

Quantity = Literal["EQD2", "BED"]

STANDARD_SET = "cord"
"""The set asked for where none is named: the rows that were read in their publications."""

_KEYS = SOURCE_KEYS | {
    "set", "structure", "metric", "quantity", "alpha_beta_gy", "model", "at_most", "at_least", "each_course",
    "new_course", "new_share", "least_months", "recovery", "first_course", "note", "active",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One row.

    Parameters
    ----------
    name
        Of the row.
    set_name
        Of the rows asked for together.
    structure
        TG-263 name, of both sides; with its margin where it is of a planning risk volume.
    metric
        What is compared, of the sum of all courses in `quantity`.
    at_most
        Largest value, Gy or cc; None for a critical volume.
    at_least
        Least volume that receives less than the metric's dose, cc; None otherwise.
    each_course_gy
        What each single course may have had at most, in `quantity`, the new one too; None where the row does not say.
    new_course_gy, new_share
        What the new course may have at most: in `quantity`, and as part of all.
    least_months
        Interval the limit presumes.
    recovery
        Name of the rule it was published with; no other belongs to it, and none is ever applied by itself. Empty where
        it was published without one: what time does is then in the figure already, or in the interval it presumes.
    is_first_course
        Whether it is a limit of patients never irradiated there: a rule that scales limits is for these alone.
    is_active
        Whether anything is computed from the row.
    """

    name: str
    set_name: str
    structure: str
    metric: Metric
    quantity: Quantity
    alpha_beta_gy: float
    at_most: float | None
    at_least: float | None
    each_course_gy: float | None
    new_course_gy: float | None
    new_share: float | None
    least_months: float | None
    recovery: str
    is_first_course: bool
    note: str
    is_active: bool
    source: Source

    @property
    def tissue(self) -> Tissue:
        """What the sum is converted with: the alpha/beta of the row, whatever that of the structure elsewhere."""
        return Tissue(name=self.structure, alpha_beta_gy=self.alpha_beta_gy, source=self.source)

    @property
    def per_eqd2(self) -> float:
        """What an EQD2 is multiplied with to be in the quantity of the row."""
        return 1.0 if self.quantity == "EQD2" else 1 + 2 / self.alpha_beta_gy

    def why_not_recovery(self, rule: str, *, scales_limit: bool) -> str | None:
        """Return in words why a rule of recovery is not for this row; None where it is.

        A limit for all courses was found with the recovery the patients had: to let the dose before recover once more
        counts it twice. 30 Gy in 10 and 20 Gy in 5 leave 0.5 Gy2 of Nieder's 135.5, not 34.25.
        """
        if rule == self.recovery:
            return None
        if scales_limit and not self.recovery:
            return (
                None if self.is_first_course else "It scales limits of a first course, and this one is of all courses."
            )
        if self.recovery:
            return f"The limit was published with the rule {self.recovery} and with no other."
        return "The limit was published without recovery: time is in its figure or in the interval it presumes."

    def is_for(self, structure: str) -> bool:
        """Return whether it is a limit of this structure: the organ itself is not its planning risk volume."""
        return parse_name(structure).key == parse_name(self.structure).key


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSet:
    """Rows that are asked for together."""

    name: str
    rows: tuple[Limit, ...]
    version: str

    def of(self, structure: str) -> tuple[Limit, ...]:
        """Return the rows of a structure, active or not."""
        return tuple(row for row in self.rows if row.is_for(structure))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All sets, by name."""

    sets: dict[str, LimitSet]
    version: str

    def named(self, name: str) -> LimitSet:
        """Return a set; the standard one where the name is empty.

        Raises
        ------
        BadTable
            There is no such set.
        """
        found = self.sets.get(name or STANDARD_SET)
        if found is None:
            raise BadTable(f"There is no set of limits called {name!r}; there are {', '.join(sorted(self.sets))}.")
        return found


def read_limits(own: Path | None = None) -> Limits:
    """Read the limits that come with the program, and the department's over them.

    Raises
    ------
    BadTable
        A row can't be used; the message names it and says what to write.
    """
    table = read_table("limits.toml", "limit", own)
    rows = [_limit(one, table.version) for one in table.checked()]
    sets = {
        name: LimitSet(name=name, rows=tuple(row for row in rows if row.set_name == name), version=table.version)
        for name in dict.fromkeys(row.set_name for row in rows)
    }
    return Limits(sets=sets, version=table.version)


def _limit(row: Checked, version: str) -> Limit:
    row.only(_KEYS)
    row.text("model", among=("LQ",))
    limit = Limit(
        name=row.name,
        set_name=row.text("set"),
        structure=row.text("structure"),
        metric=_metric(row),
        quantity=cast("Quantity", row.text("quantity", among=("EQD2", "BED"))),
        alpha_beta_gy=row.number("alpha_beta_gy", above=0),
        at_most=row.maybe("at_most", above=0),
        at_least=row.maybe("at_least", above=0),
        each_course_gy=row.maybe("each_course", above=0),
        new_course_gy=row.maybe("new_course", above=0),
        new_share=row.maybe("new_share", above=0),
        least_months=row.maybe("least_months", least=0),
        recovery=row.text("recovery", default=""),
        is_first_course=row.flag("first_course", default=False),
        note=row.text("note", default=""),
        is_active=row.flag("active", default=True),
        source=row.source(version=version),
    )
    _refuse_contradictions(row, limit)
    return limit


def _metric(row: Checked) -> Metric:
    try:
        return Metric.parse(row.text("metric"))
    except BadMetric as error:
        raise row.fail(f'metric: {error} Write "Max[Gy]", "D0.1cc[Gy]" or "CV16Gy[cc]".') from error


def _refuse_contradictions(row: Checked, limit: Limit) -> None:
    if limit.metric.kind is MetricKind.CRITICAL_VOLUME:
        if limit.at_least is None or limit.at_most is not None or limit.metric.unit != "cc":
            raise row.fail("a critical volume is told in cc, with at_least and without at_most.")
        if limit.quantity != "EQD2":
            raise row.fail("a critical volume is told in EQD2.")
    elif limit.metric.unit != "Gy" or limit.at_most is None or limit.at_least is not None:
        raise row.fail("a metric in Gy has at_most and no at_least; volumes are told as critical volumes.")
    if limit.recovery and limit.least_months is not None:
        raise row.fail("a limit that presumes an interval (least_months) has no recovery: time would count twice.")
    if limit.is_first_course and {limit.least_months, limit.each_course_gy, limit.new_course_gy, limit.new_share} != {
        None
    }:
        raise row.fail("a limit of a first course says nothing of intervals, of each course or of the new one.")
    if limit.new_share is not None and limit.new_share >= 1:
        raise row.fail("new_share is a part of all dose, below 1.")
