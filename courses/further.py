"""What is asked of a composite beyond its figures: what remains, how courses meet, how far figures can be trusted.

`courses.answers` tells the figures themselves. Here stand the keys that are answered on top: `remaining` where a number
of fractions was asked about, `candidate` where a new plan was given, `overlap` where there is more than one course,
`brachytherapy` where insertions lack a registration, recovery and the ensemble where they were asked for.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

from courses.answers import Organs
from courses.biology import Biology, forgotten_by_course, intervals, recovery_models, standard_name, tissue_of
from courses.candidate import Organ, Placed, candidate_answer
from courses.composite import Composite
from courses.doubts import doubt_rows, found_overlaps, measured_errors_mm, overlap_rows
from courses.effects import Effects
from courses.errors import BadReference
from courses.insertions import insertion_rows, unjoined_insertions
from courses.questions import Candidate, Questions
from courses.reading import Reader
from courses.recovered import course_rows, recovered_rows
from courses.registration import Derived, NoMapping, find_mapping
from courses.remaining import Asked, remaining_rows
from courses.uncertainty import Doubts, Quantity
from dose.biology.limits import Limit
from dose.biology.tissues import Tissue
from dose.compiled import processors
from dose.shapes.dvh import Dvh
from dose.shapes.structures import Structure

Json = dict[str, Any]

_OUTLINES = frozenset({"EXTERNAL", "SUPPORT", "BOLUS"})
"""RT ROI Interpreted Types (PS3.3 C.8.8.8) that are no tissue with a tolerance."""


def with_further(
    answer: Json,
    composite: Composite,
    reader: Reader,
    derived: Derived,
    questions: Questions,
    biology: Biology,
    organs: Organs,
) -> Json:
    """Return an answer with what was asked beyond its figures.

    Parameters
    ----------
    organs
        The structures, as they were read for the figures.

    Raises
    ------
    BadReference
        The candidate lies in a frame of reference that nothing joins to the image.
    BadTable
        There is no such set of limits, or no such rule of recovery.
    """
    further = _Further(composite, organs, questions, biology, answer["as_of"])
    answer = {**answer, "remaining": further.remaining(), "overlap": [], "candidate": None}
    answer["brachytherapy"] = further.brachytherapy(reader)
    if questions.candidate is not None:
        placed = _placed(questions.candidate, composite, reader, derived)
        answer["candidate"] = candidate_answer(
            further.organs(), composite.gathered, placed, is_open=composite.has_effect_gap
        )
    if questions.recovery:
        answer = further.with_recovery(answer)
    if len({part.dossier_id for part in composite.gathered.parts}) > 1:
        met = overlap_rows(found_overlaps(composite, further.organs()))
        answer["overlap"] = met["overlap"]
        answer["courses"] = [
            {**course, "overlap_class": met["overlap_class"].get(course["dossier"])} for course in answer["courses"]
        ]
        if questions.has_ensemble:
            doubts = further.doubts()
            answer["structures"] = [{**one, **doubts.get(one["name"], {})} for one in answer["structures"]]
    return answer


class _Further:
    """A composite, the tissues in it, and what is asked."""

    def __init__(
        self, composite: Composite, organs: Organs, questions: Questions, biology: Biology, as_of: str | None
    ) -> None:
        self._composite, self._questions, self._biology = composite, questions, biology
        self._day = date.fromisoformat(as_of) if as_of else None
        self._slice_mm = organs.slice_mm
        drawn = organs.histograms
        self._read = [
            (structure, physical, effects)
            for structure, physical, effects in zip(drawn.structures, drawn.found, organs.effects, strict=True)
            if structure.interpreted_type not in _OUTLINES
        ]

    def remaining(self) -> list[Json]:
        """Return what remains for the fractions asked about; nothing is told unasked."""
        asked = self._questions
        if asked.fractions is None:
            return []
        about = Asked(
            fractions=asked.fractions,
            limits=asked.limits,
            recovery=asked.recovery,
            as_of=self._day,
            has_gap=self._composite.has_effect_gap,
            slice_mm=self._slice_mm,
        )
        return remaining_rows(
            self._composite.gathered, [structure for structure, _, _ in self._read], about, self._biology
        )

    def brachytherapy(self, reader: Reader) -> list[Json]:
        """Return each organ with insertions that nothing joins to the image, at worst."""
        found = unjoined_insertions(self._composite, reader)
        organs = [(structure, self._tissue(structure), effects) for structure, _, effects in self._read]
        return insertion_rows(organs, found, self._composite.shares)

    def with_recovery(self, answer: Json) -> Json:
        """Return an answer with each rule that was asked for, by course and beside the EQD2 of each structure."""
        gathered, rules = self._composite.gathered, recovery_models(self._biology.recovery, self._questions.recovery)
        months = intervals(gathered, self._day)
        drawn = [(structure, self._tissue(structure)) for structure, _, _ in self._read]

        def of(one: tuple[Structure, Tissue]) -> list[Json]:
            is_open = self._composite.has_effect_gap
            return recovered_rows(*one, gathered, rules, months, slice_mm=self._slice_mm, is_open=is_open)

        with ThreadPoolExecutor(processors()) as pool:
            found = {one.name: rows for (one, _), rows in zip(drawn, pool.map(of, drawn), strict=True)}
        named = [(one.name, tissue) for one, tissue in drawn]
        return {
            **answer,
            "courses": [
                {**one, "recovery": course_rows(rules, named, months.get(one["dossier"]))} for one in answer["courses"]
            ],
            "structures": [{**one, "recovered": found.get(one["name"], [])} for one in answer["structures"]],
        }

    def organs(self) -> list[Organ]:
        """Return the structures a candidate is compared in and overlaps are looked at, each with its limits."""
        return [
            Organ(
                structure=one,
                tissue=self._tissue(one),
                limits=self._limits(one),
                slice_mm=self._slice_mm,
            )
            for one, _, _ in self._read
        ]

    def doubts(self) -> dict[str, Json]:
        """Return ensemble, search radius and sum of maxima by name of the structure."""
        gathered, errors = self._composite.gathered, measured_errors_mm(self._composite.shares)
        months = intervals(gathered, self._day)
        rules = recovery_models(self._biology.recovery, self._questions.recovery)

        def of(one: tuple[Structure, Dvh, Effects | None]) -> Json:
            structure, physical, effects = one
            tissue = self._tissue(structure)
            told: dict[Quantity, Dvh] = {"physical": physical}
            if effects is not None:
                told["eqd2"] = effects.eqd2
            varied = Doubts(
                tissue=tissue,
                forgotten={rule.name: forgotten_by_course(rule, structure.name, tissue, months) for rule in rules},
                measured_mm=errors,
            )
            is_open = self._composite.has_effect_gap
            return doubt_rows(structure, gathered, varied, told, slice_mm=self._slice_mm, is_open=is_open)

        with ThreadPoolExecutor(processors()) as pool:
            rows = list(pool.map(of, self._read))
        return {structure.name: row for (structure, _, _), row in zip(self._read, rows, strict=True)}

    def _tissue(self, structure: Structure) -> Tissue:
        return tissue_of(structure.name, self._biology.tissues, self._questions.alpha_beta_gy)

    def _limits(self, structure: Structure) -> tuple[Limit, ...]:
        return tuple(self._biology.limits.named(self._questions.limits).of(standard_name(structure.name)))


def _placed(candidate: Candidate, composite: Composite, reader: Reader, derived: Derived) -> Placed:
    found = find_mapping(candidate.frame_uid, composite.frame_uid, composite.record, reader, derived)
    if isinstance(found, NoMapping):
        raise BadReference(f"The candidate {candidate.label} can't be brought onto the image: {found.reason}")
    return Placed(candidate=candidate, transform=found.transform)
