"""The tables of biology as the courses use them: tissues, recovery and limits, found by whatever a structure is called.

Departments write names in their own ways; the gate knows what TG-263 calls them (`archive.gate.names`), and the tables
know TG-263 alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from archive.assembly.delivery import parse_date
from archive.gate.names import suggestion
from courses.exposures import Gathered
from dose.biology.limits import Limits, read_limits
from dose.biology.names import parse_name
from dose.biology.recovery import RecoveryModel, RecoveryRules, months_between, read_recovery
from dose.biology.tables import Read, Source
from dose.biology.tissues import Tissue, Tissues, read_tissues
from dose.errors import BadTable

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Biology:
    """All tables of one run."""

    tissues: Tissues
    recovery: RecoveryRules
    limits: Limits

    @property
    def data_files(self) -> list[Json]:
        """Name and version of each table, for the provenance of an answer."""
        versions = {
            "tissues": self.tissues.version,
            "recovery": self.recovery.version,
            "limits": self.limits.version,
        }
        return [{"name": name, "version": version} for name, version in versions.items()]


def read_biology(*, tissues: Path | None = None, recovery: Path | None = None, limits: Path | None = None) -> Biology:
    """Read the tables that come with the program, and the department's files over them.

    Raises
    ------
    BadTable
        A row can't be used; the message names it and says what to write.
    """
    read = Biology(tissues=read_tissues(tissues), recovery=read_recovery(recovery), limits=read_limits(limits))
    _refuse_unknown_rules(read)
    return read


def _refuse_unknown_rules(read: Biology) -> None:
    for row in (row for one in read.limits.sets.values() for row in one.rows if row.recovery):
        if row.recovery in read.recovery.scalings and not row.is_first_course:
            raise BadTable(
                f"Limit {row.name}: {row.recovery} scales limits of a first course; write first_course = true."
            )
        if row.recovery not in read.recovery.models and row.recovery not in read.recovery.scalings:
            raise BadTable(f"Limit {row.name} names the rule of recovery {row.recovery}, which there is not.")


@cache
def standard_biology() -> Biology:
    """Return the tables that come with the program."""
    return read_biology()


def standard_name(name: str) -> str:
    """Return what TG-263 calls a structure, margin and side kept; the name itself where nobody knows."""
    parsed = parse_name(name)
    margin = f"_{parsed.margin}" if parsed.margin else ""
    organ = f"{parsed.organ}_{parsed.side}" if parsed.side else parsed.organ
    return f"{suggestion(organ) or organ}{margin}"


def tissue_of(name: str, tissues: Tissues, asked: Mapping[str, float] | None = None) -> Tissue:
    """Return the tissue of a structure.

    Parameters
    ----------
    asked
        Alpha/beta by name of the structure, Gy, as asked for in this question; it goes before the table.
    """
    found = tissues.of(standard_name(name))
    wanted = _asked(name, asked)
    if wanted is None:
        return found
    said = Source(citation="as asked for", version="this question", read=Read.DEPARTMENT)
    return replace(found, alpha_beta_gy=wanted, lo_gy=None, hi_gy=None, source=said)


def is_asked(name: str, asked: Mapping[str, float] | None) -> bool:
    """Return whether an alpha/beta was asked for of a structure, whatever way its name was written."""
    return _asked(name, asked) is not None


def _asked(name: str, asked: Mapping[str, float] | None) -> float | None:
    return {standard_name(key): value for key, value in (asked or {}).items()}.get(standard_name(name))


def last_fractions(gathered: Gathered) -> dict[str, date | None]:
    """Return the day of the last fraction of each course in a sum; None where a session has no date."""
    told: dict[str, list[str]] = {}
    for one in gathered.exposures:
        for part in one.parts:
            told.setdefault(part.dossier_id, []).append(one.last_date)
    for dossier in gathered.record.dossiers:
        if dossier.id in told and dossier.last_fraction:
            told[dossier.id].append(dossier.last_fraction)
    days = {course: [parse_date(day) for day in found] for course, found in told.items()}
    return {course: _newest(found) for course, found in days.items()}


def _newest(days: list[date | None]) -> date | None:
    known = [day for day in days if day is not None]
    return max(known) if len(known) == len(days) else None


def intervals(gathered: Gathered, as_of: date | None) -> dict[str, float | None]:
    """Return the months from the last fraction of each course to a day; None where a date is missing."""
    return {course: months_between(last, as_of) for course, last in last_fractions(gathered).items()}


def forgotten_by_course(
    model: RecoveryModel, structure: str, tissue: Tissue, months: Mapping[str, float | None]
) -> dict[str, float]:
    """Return the part of the effect that a model takes as gone in a structure, 0 to 1, by dossier id."""
    name = standard_name(structure)
    return {course: model.forgotten(passed, name, tissue.kind) for course, passed in months.items()}


def recovery_models(rules: RecoveryRules, names: tuple[str, ...]) -> list[RecoveryModel]:
    """Return the models that were asked for; rules that scale limits are in `scalings` of the rules.

    Raises
    ------
    BadTable
        There is no rule of that name.
    """
    unknown = sorted(set(names) - set(rules.models) - set(rules.scalings))
    if unknown:
        known = ", ".join(sorted([*rules.models, *rules.scalings]))
        raise BadTable(f"There is no rule of recovery called {', '.join(unknown)}; there are {known}.")
    return [rules.models[name] for name in names if name in rules.models]
