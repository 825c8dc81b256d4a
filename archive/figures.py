"""The figures that a released summary prints, as the folded dossier tells them.

A release stores them with its papers. Once the dossier tells others, the
paper in somebody's hand is outdated, and this says in which figures. Prose
(advice, telephone numbers) is not among them; what a person entered for the
course is, as one digest. The names are a format that outlives this program:
one that is added would outdate every paper released before.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from archive.dates import parse_date
from archive.model import Dossier, Phase, Plan, Target

Figures = dict[str, object]

FIGURES: Final = (
    "name",
    "birth-date",
    "sex",
    "hospital-number",
    "first-day",
    "last-day",
    "end",
    "sessions",
    "interruptions",
    "fractions",
    "doses",
    "machines",
    "plans",
    "dose-grids",
    "contours",
    "entries",
    "earlier-courses",
)
"""Their names, in the order in which people are told of them; ``terms.toml`` says each in words."""


def figures_of(dossier: Dossier, others: Iterable[date] = ()) -> Figures:
    """Return the figures by name: texts as people read them, or lists where they are many.

    Parameters
    ----------
    others
        First days of the patient's other courses.
    """
    first = parse_date(dossier.first_fraction)
    person = dossier.person
    return {
        "name": person.name,
        "birth-date": _day(person.birth_date),
        "sex": person.sex,
        "hospital-number": person.identifiers[0].value if person.identifiers else "",
        "first-day": _day(dossier.first_fraction),
        "last-day": _day(dossier.last_fraction),
        "end": _end(dossier),
        "sessions": str(len(dossier.sessions)),
        "interruptions": [f"{gap.last_before}/{gap.first_after}" for gap in dossier.interruptions],
        "fractions": ", ".join(_fractions(phase) for phase in dossier.phases),
        "doses": [[_dose(target) for target in phase.targets] for phase in dossier.phases],
        "machines": ", ".join(dict.fromkeys(plan.machine for plan in dossier.plans if plan.machine)),
        "plans": [_plan(plan) for plan in dossier.plans],
        "dose-grids": [
            held.receipt.dataset_sha256
            for plan in dossier.plans
            for held in plan.doses
            if held.uid in plan.chosen_dose_uids
        ],
        "contours": [held.receipt.dataset_sha256 for plan in dossier.plans for held in plan.structure_sets],
        "entries": digest_of(dossier.summary_entries) if dossier.summary_entries else "",
        "earlier-courses": sorted(day.isoformat() for day in others if first and day < first),
    }


def digest_of(figures: Mapping[str, object]) -> str:
    """Return the SHA-256 of figures, lower-case hex."""
    # Names may hold what UTF-8 can't: escaped, everything has a digest.
    text = json.dumps(figures, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _day(text: str) -> str:
    day = parse_date(text)
    return day.isoformat() if day else ""


def _end(dossier: Dossier) -> str:
    close = dossier.close
    return ", ".join(filter(None, (close.outcome, _day(close.last_date), close.reason))) if close else ""


def _fractions(phase: Phase) -> str:
    parts = f"{phase.fractions_delivered}/{phase.fractions_planned or '?'}"
    whole = phase.fraction_equivalents == phase.fractions_delivered
    return parts if whole else f"{parts} ({phase.fraction_equivalents:.4g})"


def _dose(target: Target) -> list[str]:
    doses = (target.prescribed_gy, target.delivered_gy, target.dose_per_fraction_gy)
    return [target.name, target.laterality, target.dose_type.value, *(_number(dose) for dose in doses)]


def _plan(plan: Plan) -> list[object]:
    header = plan.header
    metersets = {beam.beam_number: beam.meterset for group in header.fraction_groups for beam in group.beams}
    beams = [
        [str(beam.number), beam.name, *map(_number, beam.energies), _number(metersets.get(beam.number))]
        for beam in header.beams
    ]
    said = [plan.uid, header.label, _day(header.date), header.approval, header.intent]
    return [*said, plan.modality, plan.technique, plan.machine, plan.delivery_state.value, *beams]


def _number(value: float | None) -> str:
    """Return a figure with the six digits that no printed one exceeds."""
    return "" if value is None else f"{value:.6g}"
