"""Folds facts of which a part was disposed of: what lives, and beside it what is told of the dossiers that went."""

from collections.abc import Iterator
from dataclasses import replace

from archive.assembly.courses import CourseRules
from archive.assembly.fold import fold
from archive.facts.decisions import Tombstone
from archive.facts.disposed import before, living, tombstones
from archive.facts.linked import PatientFacts
from archive.gate.gate import Gate
from archive.model import Dossier, DossierState, PatientRecord


def fold_standing(facts: PatientFacts, *, gate: Gate, rules: CourseRules | None = None) -> PatientRecord:
    """Return what `archive.assembly.fold.fold` does, with dossiers that were disposed of as such.

    Such a dossier is told of as it was when it went, but holds nothing any
    more. Once its anchor plan has arrived anew, the new dossier bears its id,
    and only the facts and the certificate tell of the old one.
    """
    found = tombstones(facts.decisions)
    record = fold(living(facts), gate=gate, rules=rules)
    if not found:
        return record
    taken = {name for dossier in record.dossiers for name in (dossier.id, *dossier.aliases)}
    newest = {tombstone.dossier: (number, tombstone) for number, tombstone in found}
    gone = tuple(
        dossier
        for name, (number, tombstone) in sorted(newest.items())
        if name not in taken
        for dossier in _as_it_was(before(facts, number), tombstone, gate=gate, rules=rules)
    )
    person = record.person if record.dossiers or record.unattached or not gone else gone[0].person
    return replace(record, person=person, version=facts.count, dossiers=(*record.dossiers, *gone))


def _as_it_was(
    facts: PatientFacts, tombstone: Tombstone, *, gate: Gate, rules: CourseRules | None
) -> Iterator[Dossier]:
    for dossier in fold(living(facts), gate=gate, rules=rules).dossiers:
        if dossier.id == tombstone.dossier:
            yield replace(
                dossier,
                state=DossierState.DISPOSED,
                plans=tuple(replace(plan, structure_sets=(), doses=(), chosen_dose_uids=()) for plan in dossier.plans),
                instances=(),
                late=(),
                findings=(),
            )
