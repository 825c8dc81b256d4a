"""The report of a composite dose: what was summed, what was not, the figures with their bounds, and the picture.

Reads the mapping that `lastgate composite --json` prints (DESIGN section 6). A figure whose value is null is not known:
the report then gives the least and the most it can be, never a number in between.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from reports.assemble import person_name
from reports.errors import TemplateFault
from reports.figures import IsodosePicture
from reports.fonts import Typeface
from reports.render import DRAFT_MARK, Language, document_markup
from reports.wording import NBSP, environment, load_words, number

_DOSES: Final = ("max_gy", "mean_gy", "d0_03cc_gy", "d0_1cc_gy", "d1cc_gy", "d2cc_gy")


_NO_DECIMALS_FROM: Final = 100
_UID_TAIL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One line of the table of courses; dates as ISO 8601."""

    dossier: str
    first: str
    last: str
    interval_days: int | None
    overlap: str
    label: str
    delivery_state: str
    planned: int | None
    delivered: float | None
    source: str
    registration: str
    reason_not_summed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureRow:
    """One line of the table of structures, figures already in words; `unknown_cc` as a number."""

    name: str
    kind: str
    figures: tuple[str, ...]
    unknown_cc: str


def render_composite(
    composite: Mapping[str, Any],
    *,
    picture: IsodosePicture | None,
    created: datetime | date,
    number: str,
    language: Language = Language.ZH,
    typeface: Typeface | None = None,
) -> bytes:
    """Print the report of a composite dose as PDF: the same arguments always give the same bytes.

    Parameters
    ----------
    composite
        The mapping of `lastgate composite --json`.
    picture
        Planes of the composite; None prints the report without one and says so.
    created
        Date of the report.
    number
        Number of the report, or the patient's key.
    typeface
        Opened typeface to share; a fresh one if None.

    Raises
    ------
    TemplateFault
        If the mapping lacks a part of its contract.
    GlyphMissing
        If a character can't be printed.
    """
    from reports import pdf

    moment = created if isinstance(created, datetime) else datetime(created.year, created.month, created.day)
    text = composite_markup(
        composite, has_picture=picture is not None, created=moment.date(), number=number, language=language
    )
    pictures = {} if picture is None else {"isodoses": picture}
    return pdf.render(text, typeface=typeface or Typeface(), created=moment, pictures=pictures)


def composite_markup(
    composite: Mapping[str, Any], *, has_picture: bool, created: date, number: str, language: Language
) -> str:
    """Return the page XML of a composite report (parameters as `render_composite`)."""
    made = environment(language.value)
    words = load_words()
    page = made.get_template(f"composite/report.{language.value}.xml").render(
        person=_person(composite),
        as_of=composite.get("as_of"),
        onto=composite.get("onto"),
        is_complete=composite.get("complete") is True,
        approved_by=_approver(composite),
        unit=words["unit"].get(str(composite.get("dose_type")), words["unit"]["physical"])[language.value],
        rows=structure_rows(composite, language.value, words["figure"]),
        volume_rows=volume_rows(composite, language.value, words["figure"]),
        plans=plan_rows(composite, language.value, words),
        remaining=[_sentence(item, language.value) for item in _list(composite, "remaining")],
        warnings=[
            translated(_sentence(item, language.value), language.value, words["warning"])
            for item in _list(composite, "warnings")
        ],
        mark="" if _approver(composite) else DRAFT_MARK,
        number=number,
        printed=created,
        has_picture=has_picture,
    )
    return document_markup(f"叠加剂量报告 / Composite dose report {number}", language.value, [page])


def plan_rows(
    composite: Mapping[str, Any], language: str, words: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> list[PlanRow]:
    """Return the lines of the table of courses: one for each plan, one for a course without plans.

    Raises
    ------
    TemplateFault
        If a course lacks a part of its contract.
    """
    rows = []
    for course in _list(composite, "courses"):
        plans: Sequence[Mapping[str, Any]] = course.get("plans") or ({},)
        for plan in plans:
            fractions = plan.get("fractions") or {}
            reason = str(plan.get("reason_not_summed") or course.get("reason_not_summed") or "")
            rows.append(
                PlanRow(
                    dossier=str(course.get("dossier") or ""),
                    first=str(course.get("first_fraction") or ""),
                    last=str(course.get("last_fraction") or ""),
                    interval_days=course.get("interval_days"),
                    overlap=str(course.get("overlap_class") or ""),
                    label=str(plan.get("label") or plan.get("uid") or ""),
                    delivery_state=str(plan.get("delivery_state") or "unknown"),
                    planned=fractions.get("planned"),
                    delivered=fractions.get("delivered"),
                    source=str(plan.get("source") or ""),
                    registration=_registration(plan.get("registration") or {}, language, words["registration"]),
                    reason_not_summed=_said(reason, language, words["not_summed"]),
                )
            )
    return rows


def _registration(registration: Mapping[str, Any], language: str, words: Mapping[str, Mapping[str, str]]) -> str:
    """Say how a frame of reference came onto the image; of a registration's UID the end is enough to find it."""
    kind = _said(str(registration.get("kind") or ""), language, words)
    source = str(registration.get("source") or "")
    shown = f"…{source[-_UID_TAIL:]}" if source.replace(".", "").isdigit() else ""
    quality = registration.get("quality")
    return " ".join(filter(None, (kind, shown, "" if quality is None else _plain(quality))))


def _said(text: str, language: str, words: Mapping[str, Mapping[str, str]]) -> str:
    """Return a text of the JSON in this language; one nobody translated stays as it is."""
    return words[text][language] if text in words else text


def translated(text: str, language: str, words: Mapping[str, Mapping[str, str]]) -> str:
    """Return a warning in this language; its English pattern stands in the words with ``{}`` for names.

    One nobody translated stays as it is: an English warning is better than none.
    """
    for pattern, told in words.items():
        found = re.fullmatch(re.escape(pattern).replace(r"\{\}", "(.+?)"), text)
        if found:
            return told[language].format(*found.groups())
    return text


def structure_rows(
    composite: Mapping[str, Any], language: str, words: Mapping[str, Mapping[str, str]]
) -> list[StructureRow]:
    """Return the lines of the table of structures: a physical and an EQD2 one for each.

    Raises
    ------
    TemplateFault
        If a structure lacks a part of its contract.
    """
    rows = []
    for structure in _list(composite, "structures"):
        ratio = structure.get("alpha_beta_gy")
        kinds = {
            "physical": words["physical"][language],
            "eqd2": "EQD2" if ratio is None else f"EQD2, α/β{NBSP}{number(ratio)}",
        }
        for key, kind in kinds.items():
            values = structure.get(key)
            if values is None:
                continue
            rows.append(
                StructureRow(
                    name=str(structure["name"]),
                    kind=kind,
                    figures=tuple(_bounded(values.get(dose), language, words) for dose in _DOSES),
                    unknown_cc=_volume(values.get("unknown_cc"), words["none"][language]),
                )
            )
    return rows


def volume_rows(
    composite: Mapping[str, Any], language: str, words: Mapping[str, Mapping[str, str]]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the doses of the volume table, and for each structure its name and the volumes that got them (physical).

    Only doses every structure tells are columns, at most seven; without any the table is empty.
    """
    found = {
        str(structure["name"]): {number(item["gy"]): item["cc"] for item in structure["physical"].get("v") or ()}
        for structure in _list(composite, "structures")
        if structure.get("physical")
    }
    doses = [dose for dose in next(iter(found.values()), {}) if all(dose in volumes for volumes in found.values())][:7]
    rows = [
        (name, *(_bounded(volumes[dose], language, words) for dose in doses))
        for name, volumes in found.items()
        if doses
    ]
    return doses, rows


def _bounded(figure: Mapping[str, Any] | None, language: str, words: Mapping[str, Mapping[str, str]]) -> str:
    """Write a figure with its bounds: 45.2 (44.9-45.6); at least and at most where the value is not known."""
    if figure is None:
        return words["none"][language]
    value, low, high = figure.get("value"), figure.get("lo"), figure.get("hi")
    bounds = "" if low is None or high is None else f"{_brief(low)}–{_brief(high)}"
    if value is not None:
        return _brief(value) if not bounds or low == high else f"{_brief(value)} ({bounds})"
    if high is None:
        return words["unknown"][language] if low is None else f"≥{NBSP}{_brief(low)}"
    at_most = f"≤{NBSP}{_brief(high)}"
    return at_most if low is None else f"{words['unknown'][language]} ({bounds})"


def _brief(value: float) -> str:
    """Return a figure of a table to one decimal, from 100 on to none: more would feign a certainty nobody has."""
    step = Decimal("0.1") if abs(value) < _NO_DECIMALS_FROM else Decimal(1)
    return format(Decimal(str(value)).quantize(step, rounding=ROUND_HALF_UP), "f")


def _volume(value: Any, none: str) -> str:
    value = value.get("value") if isinstance(value, Mapping) else value
    return none if value is None else _brief(value)


def _approver(composite: Mapping[str, Any]) -> str:
    """Return who approved the composite; empty, and so a draft, unless it clearly says approved and by whom."""
    status = composite.get("status")
    if not isinstance(status, Mapping):
        return ""
    is_approved = "approved" in (status.get("state"), status.get("status"))
    return str(status.get("by") or "") if is_approved else ""


def _person(composite: Mapping[str, Any]) -> dict[str, str]:
    """Return name, hospital number and birth date of the patient, whatever of them the mapping holds."""
    patient = composite.get("patient")
    if not isinstance(patient, Mapping):
        return {"name": str(patient or ""), "number": "", "birth_date": ""}
    name = person_name([str(patient.get("name") or "")])
    ids = patient.get("ids") or ()
    return {
        "name": " ".join(part for part in (name.zh, name.latin) if part) if name else "",
        "number": str(ids[0]["value"]) if ids else "",
        "birth_date": str(patient.get("birth_date") or ""),
    }


def _sentence(item: Any, language: str) -> str:
    """Return a warning or remaining dose as text; mappings carry theirs as message, or as structure and figure."""
    if not isinstance(item, Mapping):
        return str(item)
    if "message" in item:
        return str(item.get(f"message_{language}") or item["message"])
    parts = [f"{key}: {_plain(value)}" for key, value in item.items() if value is not None]
    return "; ".join(parts)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items() if item is not None)
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _list(composite: Mapping[str, Any], name: str) -> Sequence[Any]:
    part = composite.get(name)
    if part is None:
        raise TemplateFault(f"the composite has no {name!r}")
    return list(part)
