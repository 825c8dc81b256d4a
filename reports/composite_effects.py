"""What a composite means for the next course: effect, uncertainty, what remains, a new plan on top."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reports.composite_figures import Told, Wordings, bounded, brief, listed
from reports.curves import Chart, ChartRow, Curve
from reports.wording import NBSP, number

_CHARTS_IN_ROW: Final = 2
_LEAST_PERCENT: Final = 0.05
"""A chart ends where less of the structure gets more."""


def chart_rows(composite: Told, unit: str, language: str) -> list[ChartRow]:
    """Return the histograms of all structures that have one, two charts a row."""
    charts = [_chart(structure, composite) for structure in listed(composite, "structures") if structure.get("curve")]
    return [
        ChartRow(charts=charts[place : place + _CHARTS_IN_ROW], unit=unit, language=language)
        for place in range(0, len(charts), _CHARTS_IN_ROW)
    ]


def _chart(structure: Told, composite: Told) -> Chart:
    numbers = {str(course.get("dossier")): place for place, course in enumerate(composite["courses"], start=1)}
    volume = float(structure.get("volume_cc") or 0) or max([1e-9, *structure["curve"]["hi_cc"]])
    courses = [
        (numbers[str(one["dossier"])], _curve(one["curve"], volume))
        for one in structure.get("by_course") or ()
        if one.get("curve") and str(one.get("dossier")) in numbers
    ]
    return Chart(name=str(structure["name"]), total=_curve(structure["curve"], volume), courses=courses)


def _curve(told: Told, volume_cc: float) -> Curve:
    lo, hi = ([min(100.0, 100 * cc / volume_cc) for cc in told[name]] for name in ("lo_cc", "hi_cc"))
    last = next((place for place, percent in enumerate(hi) if percent < _LEAST_PERCENT), len(hi) - 1) + 1
    return Curve(dose_gy=told["dose_gy"][:last], lo_percent=lo[:last], hi_percent=hi[:last])


def tissue_rows(composite: Told, wordings: Wordings) -> list[tuple[str, str, str]]:
    """Return structure, alpha/beta and its source, for what was converted."""
    rows = []
    for structure in listed(composite, "structures"):
        tissue = structure.get("tissue")
        if isinstance(tissue, Mapping) and structure.get("eqd2"):
            ratio = tissue.get("alpha_beta_gy", structure.get("alpha_beta_gy"))
            rows.append((str(structure["name"]), number(ratio), str(tissue.get("source") or wordings.figure("none"))))
    return rows


def uncertainty_rows(composite: Told, wordings: Wordings) -> list[tuple[str, ...]]:
    """Return structure and figure with lo, nominal, hi and what drives it."""
    rows: list[tuple[str, ...]] = []
    for structure in listed(composite, "structures"):
        for name, told in _varied(structure):
            rows.append((str(structure["name"]), _metric(name), *_triple(told, wordings), _drivers(told, wordings)))
    return rows


def _varied(structure: Told) -> Iterator[tuple[str, Told]]:
    """Yield the figures a doctor asks for: of the effect where it was computed, and the highest physical dose."""
    ensemble = structure.get("ensemble") or {}
    effect = ensemble.get("eqd2") or {}
    wanted = [("physical", "max_gy")] if effect else [("physical", name) for name in _VARIED]
    wanted += [("eqd2", name) for name in _VARIED]
    for kind, name in wanted:
        told = (ensemble.get(kind) or {}).get(name)
        if told:
            yield f"{kind} {name}", told


def _triple(told: Told, wordings: Wordings) -> tuple[str, str, str]:
    lo, nominal, hi = (told.get(name) for name in ("lo", "nominal", "hi"))
    none = wordings.figure("none")
    return (
        none if lo is None else brief(lo),
        none if nominal is None else brief(nominal),
        wordings.figure("unknown") if hi is None else brief(hi),
    )


def _drivers(told: Told, wordings: Wordings) -> str:
    """Return what moves a figure down and up most, once where it is the same."""
    found = dict.fromkeys(str(one) for one in (told.get("lo_by"), told.get("hi_by")) if one)
    return ", ".join(wordings.of("driver", one) for one in found)


_VARIED: Final = ("max_gy", "d0_1cc_gy", "mean_gy")
_METRICS: Final = {
    "max_gy": "Max", "mean_gy": "Mean", "d0_03cc_gy": "D0.03cc", "d0_1cc_gy": "D0.1cc", "d1cc_gy": "D1cc",
    "d2cc_gy": "D2cc", "physical": "", "eqd2": "EQD2",
}  # fmt: skip


def _metric(name: str) -> str:
    return " ".join(filter(None, (_METRICS.get(word, word) for word in name.split())))


def bound_rows(composite: Told, wordings: Wordings) -> list[tuple[str, ...]]:
    """Return structure, kind of dose, maximum, maxima within the radii (anywhere, same structure), sum of maxima."""
    rows: list[tuple[str, ...]] = []
    for structure in listed(composite, "structures"):
        for kind, told in (structure.get("search_radius") or {}).items():
            if not told:
                continue
            maximum = bounded((structure.get(kind) or {}).get("max_gy"), wordings)
            free, within = (_searched(told["radii"], name) for name in ("anywhere_gy", "same_structure_gy"))
            maxima = _simple(told.get("sum_of_maxima_gy"), wordings)
            rows.append((str(structure["name"]), wordings.of("figure", kind), maximum, free, within, maxima))
    return rows


def _searched(radii: Sequence[Told], name: str) -> str:
    """Return the highest dose within each radius."""
    return "; ".join(f"{number(one['mm'])}{NBSP}mm: {brief(one[name])}" for one in radii)


def _simple(value: Any, wordings: Wordings) -> str:
    if isinstance(value, Mapping):
        return bounded(value, wordings)
    return wordings.figure("none") if value is None else brief(value)


def insertion_rows(composite: Told, wordings: Wordings) -> list[tuple[str, ...]]:
    """Return structure, alpha/beta, D2cc in the sum, of each insertion that nothing joins to it, and of all added."""
    return [
        (
            str(one["structure"]),
            number(one["alpha_beta_gy"]),
            bounded(one["sum_d2cc_eqd2_gy"], wordings),
            "; ".join(bounded(told["d2cc_eqd2_gy"], wordings) for told in one["insertions"]),
            _added(one["together_d2cc_eqd2_gy"], wordings),
        )
        for one in composite.get("brachytherapy") or ()
    ]


def _added(told: Told, wordings: Wordings) -> str:
    """Return the estimate with its bounds; without one, what is known at least."""
    if told["estimate"] is None:
        return bounded(told, wordings)
    return f"{brief(told['estimate'])} ({brief(told['lo'])}–{brief(told['hi'])})"


def candidate_rows(composite: Told, wordings: Wordings) -> list[tuple[str, ...]]:
    """Return structure and figure before, of the new plan alone, and with it on top."""
    candidate = composite.get("candidate")
    structures = candidate.get("structures") or () if isinstance(candidate, Mapping) else ()
    return [
        (
            str(one["name"]),
            f"{wordings.of('figure', kind)} {metric}",
            *(bounded(told.get(when), wordings) for when in ("before", "alone", "after")),
        )
        for one in structures
        for kind in ("physical", "eqd2")
        for metric, told in (one.get(kind) or {}).items()
    ]


def judged_rows(composite: Told, wordings: Wordings) -> list[tuple[str, ...]]:
    """Return structure, limit, the figure with the new plan on top, and whether the limit is kept."""
    candidate = composite.get("candidate")
    structures = candidate.get("structures") or () if isinstance(candidate, Mapping) else ()
    return [
        (
            str(one["name"]),
            _limit_words(limit),
            bounded((limit.get("figures") or {}).get("after"), wordings),
            wordings.of("judged", str(limit["state"])),
            str(limit.get("source") or ""),
        )
        for one in structures
        for limit in one.get("limits") or ()
    ]


def _limit_words(limit: Told) -> str:
    """Return a limit as it is written: metric, bound, quantity and alpha/beta."""
    most, least = limit.get("at_most"), limit.get("at_least")
    bound = f"≤{NBSP}{number(most)}" if most is not None else f"≥{NBSP}{number(least or 0.0)}"
    quantity = str(limit.get("quantity") or "").upper()
    return f"{limit.get('metric')} {bound} {quantity} (α/β{NBSP}{number(limit.get('alpha_beta_gy') or 0.0)})"


def remaining_rows(composite: Told, wordings: Wordings) -> list[tuple[str, ...]]:
    """Return structure, limit, recovery, what is used up and what remains: a line for each alternative."""
    rows: list[tuple[str, ...]] = []
    for one in listed(composite, "remaining"):
        for told in one.get("alternatives") or (one,):
            rows.append(_remaining_row(one, told, wordings))
    return rows


def _remaining_row(one: Told, told: Told, wordings: Wordings) -> tuple[str, ...]:
    metric, limit = one.get("metric") or "", one.get("limit_gy", one.get("limit_eqd2_gy"))
    ratio = one.get("alpha_beta_gy")
    return (
        str(one.get("structure", "")),
        " ".join(filter(None, (str(metric), f"≤{NBSP}{number(limit)}" if limit is not None else ""))),
        wordings.figure("none") if ratio is None else number(ratio),
        str(told.get("recovery") or told.get("model") or wordings.of("recovery", "none")),
        _simple(told.get("used_eqd2_gy", told.get("used_gy")), wordings),
        _simple(told.get("remaining_eqd2_gy", told.get("remaining_gy")), wordings),
        _simple(told.get("remaining_physical_gy"), wordings),
    )
