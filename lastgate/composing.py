"""Composes the dose of a patient: from what is asked to the answer, its objects and its papers.

The way of a composite: `courses.composite.compose` sums, `courses.answers.composite_answer` tells the figures,
`lastgate.approving` says whether a physicist approved exactly these, `lastgate.composed_objects` makes what a planning
system loads, `lastgate.composed_papers` what is read. Whoever adds a figure adds it to the answer; whoever adds a file
adds a maker to `lastgate.composed_objects`.
"""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from archive.desk.accounts import Account
from archive.journal.journal import Event
from archive.model import PatientRecord
from courses.answers import composite_answer, read_organs
from courses.composite import Composite, compose
from courses.further import with_further
from courses.hot_points import HotPoint, hot_points, point_rows
from courses.provenance import assumptions, provenance
from courses.questions import Questions
from lastgate import derived
from lastgate.approving import approval_event, approval_of, approved_by, asked_of, refuse_approval, with_status
from lastgate.composed_objects import Making, write_objects
from lastgate.composed_papers import reports, write_papers
from lastgate.effect_objects import write_effects
from lastgate.mapped_structures import write_mapped_structures
from lastgate.proposing import others_of, proposals_about
from lastgate.wiring import House

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Composed:
    """A composite and what is told of it.

    Parameters
    ----------
    answer
        As `lastgate composite --json` prints it, without files.
    points
        Where its pictures are cut.
    """

    composite: Composite
    answer: Json
    points: tuple[HotPoint, ...]


def composed(
    house: House,
    record: PatientRecord,
    *,
    onto: str = "",
    as_of: date | None = None,
    as_planned: bool = False,
    questions: Questions | None = None,
) -> Composed:
    """Compose the dose of a patient and answer what is asked of it."""
    asked = questions or Questions()
    open_links = tuple(others_of(record.key, proposals_about(house, record.key)))
    composite = compose(
        record, house.reader, onto=onto, as_planned=as_planned, open_links=open_links, derived=house.derived
    )
    organs = read_organs(composite, house.reader, house.biology.tissues, asked)
    answer = composite_answer(composite, organs, as_of=as_of)
    answer = with_further(answer, composite, house.reader, house.derived, asked, house.biology, organs)
    if as_planned:
        answer["warnings"].insert(0, "As planned: every plan is taken as if it had been delivered as planned.")
    answer["assumptions"] = assumptions(composite, asked)
    answer["provenance"] = provenance(composite, asked, data_files=house.biology.data_files)
    answer["asked"] = asked_of(asked, onto=onto, as_of=as_of, as_planned=as_planned)
    points = hot_points(composite)
    answer["points"] = point_rows(points)
    return Composed(composite=composite, answer=with_status(answer, record), points=points)


def compose_patient(
    house: House,
    record: PatientRecord,
    *,
    onto: str,
    as_of: date | None,
    as_planned: bool,
    folder: Path | None,
    questions: Questions | None = None,
) -> Json:
    """Compose the dose of a patient; with a folder write all files into it and name them in the answer."""
    made = composed(house, record, onto=onto, as_of=as_of, as_planned=as_planned, questions=questions)
    composite, answer = made.composite, made.answer
    subject = {"patient": record.key, "onto": composite.onto.id, "complete": composite.is_complete}
    house.journal.append(Event(act="compose", account=house.settings.node.id, subject=subject))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        making = Making(
            house=house, composite=composite, answer=answer, folder=folder, questions=questions or Questions()
        )
        write_objects(making)
        write_effects(making)
        write_mapped_structures(making)
        write_papers(house, composite, answer, folder, made.points)
        _write_json(answer, folder / "composite.json")
    return answer


def _write_json(answer: Json, path: Path) -> None:
    path.write_text(json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")


def approve_composite(
    house: House,
    record: PatientRecord,
    *,
    account: Account,
    reason: str,
    onto: str = "",
    as_of: date | None = None,
    questions: Questions | None = None,
) -> Json:
    """Let a physicist approve the composite as it stands, keep the approved reports, and return the answer then.

    Raises
    ------
    Refused
        See `lastgate.approving.refuse_approval`.
    FactClash
        Somebody else settled something about this patient meanwhile.
    """
    seen = house.desk.facts.read(record.key)
    made = composed(house, record, onto=onto, as_of=as_of, questions=questions)
    refuse_approval(made.answer, account, reason)
    signed = approved_by(made.answer, account, reason, house.desk.clock())
    kept = [derived.keep(house, body) for body in reports(house, made.composite, signed, made.points)]
    act = approval_of(made.answer, reason, kept)
    event = approval_event(made.answer, act, account, record.key)
    house.desk.settle(record.key, act, account=account, event=event, seen=seen)
    return with_status(made.answer, house.desk.record(record.key))
