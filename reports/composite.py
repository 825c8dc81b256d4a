"""The report of a composite dose: what was summed, what was not, the figures with their bounds, charts and pictures.

Reads the mapping that `lastgate composite --json` prints (DESIGN section 6) and computes nothing. A figure whose value
is null is not known: the report then gives the least and the most it can be, never a number in between.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from reports.composite_courses import plan_rows, recovery_rows, registration_rows
from reports.composite_effects import (
    bound_rows,
    candidate_rows,
    chart_rows,
    insertion_rows,
    judged_rows,
    remaining_rows,
    tissue_rows,
    uncertainty_rows,
)
from reports.composite_figures import Wordings, structure_rows, volume_rows
from reports.composite_notes import assumptions_of, instance_rows, person_of, software_rows, status_of, warnings_of
from reports.curves import ChartRow
from reports.figures import IsodosePicture
from reports.flowables import Picture
from reports.fonts import Typeface
from reports.render import DRAFT_MARK, Language, document_markup
from reports.wording import environment, load_words

_UNIT_IF_UNTOLD: Final = "physical"


def render_composite(
    composite: Mapping[str, Any],
    *,
    pictures: Sequence[IsodosePicture],
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
    pictures
        Planes of the composite; without any the report says so.
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
    charts: dict[str, Picture] = dict(_charts(composite, language))
    shown: dict[str, Picture] = {f"isodoses-{place}": picture for place, picture in enumerate(pictures)}
    text = composite_markup(
        composite,
        isodoses=list(shown),
        charts=list(charts),
        created=moment.date(),
        number=number,
        language=language,
    )
    return pdf.render(text, typeface=typeface or Typeface(), created=moment, pictures={**shown, **charts})


def composite_markup(
    composite: Mapping[str, Any],
    *,
    isodoses: list[str],
    charts: list[str],
    created: date,
    number: str,
    language: Language,
) -> str:
    """Return the page XML of a composite report (parameters as `render_composite`; names of pictures)."""
    wordings = Wordings(language=language.value, words=load_words())
    status = status_of(composite)
    page = (
        environment(language.value)
        .get_template(f"composite/report.{language.value}.xml")
        .render(
            person=person_of(composite),
            as_of=composite.get("as_of"),
            onto=composite.get("onto"),
            is_complete=composite.get("complete") is True,
            status=status,
            unit=_unit(composite, language),
            mark="" if status.state == "approved" else DRAFT_MARK,
            number=number,
            printed=created,
            isodoses=isodoses,
            charts=charts,
            asked={"fractions": None, "limits": None, **(composite.get("asked") or {})},
            **_tables(composite, wordings),
        )
    )
    return document_markup(f"叠加剂量报告 / Composite dose report {number}", language.value, [page])


def _tables(composite: Mapping[str, Any], wordings: Wordings) -> dict[str, Any]:
    """Return what the tables of the template are filled with."""
    candidate = composite.get("candidate")
    return {
        "plans": plan_rows(composite, wordings),
        "registrations": registration_rows(composite, wordings),
        "recoveries": recovery_rows(composite),
        "rows": structure_rows(composite, "physical", wordings),
        "eqd2_rows": structure_rows(composite, "eqd2", wordings),
        "bed_rows": structure_rows(composite, "bed", wordings),
        "lql_rows": structure_rows(composite, "eqd2_lql", wordings),
        "insertion_rows": insertion_rows(composite, wordings),
        "unrepaired_rows": structure_rows(composite, "eqd2_incomplete_repair", wordings),
        "tissues": tissue_rows(composite, wordings),
        "volume_rows": volume_rows(composite, wordings),
        "uncertainty": uncertainty_rows(composite, wordings),
        "bounds": bound_rows(composite, wordings),
        "remaining": remaining_rows(composite, wordings),
        "candidate": candidate if isinstance(candidate, Mapping) else None,
        "candidate_rows": candidate_rows(composite, wordings),
        "judged": judged_rows(composite, wordings),
        "assumptions": assumptions_of(composite, wordings),
        "warnings": warnings_of(composite, wordings),
        "software": software_rows(composite),
        "instances": instance_rows(composite, wordings),
    }


def _charts(composite: Mapping[str, Any], language: Language) -> dict[str, ChartRow]:
    rows = chart_rows(composite, _unit(composite, language), language.value)
    return {f"dvh-{place}": row for place, row in enumerate(rows)}


def _unit(composite: Mapping[str, Any], language: Language) -> str:
    units = load_words()["unit"]
    return units.get(str(composite.get("dose_type")), units[_UNIT_IF_UNTOLD])[language.value]
