"""Figures of a composite as its report prints them: never a number in between where only bounds are known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from reports.errors import TemplateFault
from reports.wording import NBSP, Words, number

DOSES: Final = ("max_gy", "mean_gy", "d0_03cc_gy", "d0_1cc_gy", "d1cc_gy", "d2cc_gy")
_NO_DECIMALS_FROM: Final = 100
_MOST_VOLUMES: Final = 7

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """The words of one language for figures and notes.

    Parameters
    ----------
    language
        ``zh`` or ``en``.
    words
        The table of `templates/words.toml`.
    """

    language: str
    words: Words

    def of(self, table: str, code: str) -> str:
        """Return the word for a code; one nobody translated stays as it is."""
        told = self.words.get(table, {}).get(code)
        return told[self.language] if told else code

    def figure(self, code: str) -> str:
        """Return one of the words for figures."""
        return self.words["figure"][code][self.language]

    @property
    def comma(self) -> str:
        """What parts two phrases."""
        return "；" if self.language == "zh" else "; "


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureRow:
    """One line of a table of structures, figures already in words; `unknown_cc` as a number."""

    name: str
    kind: str
    figures: tuple[str, ...]
    unknown_cc: str


def structure_rows(composite: Told, kind: str, wordings: Wordings) -> list[StructureRow]:
    """Return the lines of the table of structures for one kind of dose: ``physical``, ``eqd2``, ``bed``, ``eqd2_lql``.

    Raises
    ------
    TemplateFault
        If a structure lacks a part of its contract.
    """
    rows = []
    for structure in listed(composite, "structures"):
        values = structure.get(kind)
        if values is None:
            continue
        rows.append(
            StructureRow(
                name=str(structure["name"]),
                kind=_alpha_beta(structure),
                figures=tuple(bounded(values.get(dose), wordings) for dose in DOSES),
                unknown_cc=_volume(values.get("unknown_cc", structure["physical"].get("unknown_cc")), wordings),
            )
        )
    return rows


def volume_rows(composite: Told, wordings: Wordings) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the doses of the volume table, and for each structure its name and the volumes that got them (physical).

    Only doses every structure tells are columns, at most seven; without any the table is empty.
    """
    found = {
        str(structure["name"]): {number(item["gy"]): item["cc"] for item in structure["physical"].get("v") or ()}
        for structure in listed(composite, "structures")
        if structure.get("physical")
    }
    told = next(iter(found.values()), {})
    doses = [dose for dose in told if all(dose in volumes for volumes in found.values())][:_MOST_VOLUMES]
    rows = [(name, *(bounded(volumes[dose], wordings) for dose in doses)) for name, volumes in found.items() if doses]
    return doses, rows


def bounded(figure: Told | None, wordings: Wordings) -> str:
    """Write a figure with its bounds: 45.2 (44.9-45.6); at least and at most where the value is not known."""
    if figure is None:
        return wordings.figure("none")
    value, low, high = figure.get("value"), figure.get("lo"), figure.get("hi")
    bounds = "" if low is None or high is None else f"{brief(low)}–{brief(high)}"
    if value is not None:
        return brief(value) if not bounds or low == high else f"{brief(value)} ({bounds})"
    unknown = wordings.figure("unknown")
    if high is None:
        return unknown if low is None else f"≥{NBSP}{brief(low)}"
    return f"≤{NBSP}{brief(high)}" if low is None else f"{unknown} ({bounds})"


def brief(value: float) -> str:
    """Return a figure of a table to one decimal, from 100 on to none: more would feign a certainty nobody has."""
    step = Decimal("0.1") if abs(value) < _NO_DECIMALS_FROM else Decimal(1)
    return format(Decimal(str(value)).quantize(step, rounding=ROUND_HALF_UP), "f")


def listed(composite: Told, name: str) -> Sequence[Any]:
    """Return a list of the mapping; TemplateFault where it is missing."""
    part = composite.get(name)
    if part is None:
        raise TemplateFault(f"the composite has no {name!r}")
    return list(part)


def courses_by_number(composite: Told) -> Iterator[tuple[int, Told]]:
    """Yield the courses with the numbers tables and charts call them by."""
    yield from enumerate(listed(composite, "courses"), start=1)


def _alpha_beta(structure: Told) -> str:
    ratio = structure.get("alpha_beta_gy")
    return "" if ratio is None else number(ratio)


def _volume(value: Any, wordings: Wordings) -> str:
    value = value.get("value") if isinstance(value, Mapping) else value
    return wordings.figure("none") if value is None else brief(value)
