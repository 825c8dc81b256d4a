"""What a stored dose is, physical or RBE-weighted, and what it counts in a sum of either.

A physicist's statement goes first (`archive.facts.dose_decisions.StateDoseKind`), then Dose Type, which is taken at its
word for photons and for EFFECTIVE dose. Ions labelled PHYSICAL stay unconfirmed: many planning systems write dose
weighted with 1.1 so, and in EQD2 both readings are bounds.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from archive.facts.dose_decisions import StateDoseKind
from archive.model import PatientRecord, Plan
from courses.exposures import DoseKind, GroupPart
from dose.biology.brachytherapy import why_not_fractions
from dose.biology.rbe import PROTON_MODEL, PROTON_RBE, NotAddable, Particle, Weighting, one_model, weighting

IONS: Final = frozenset({"proton", "carbon", "ion"})


def stated_kinds(record: PatientRecord) -> Mapping[str, StateDoseKind]:
    """Return what physicists stated of the doses of plans, by plan; the newest statement counts."""
    return {one.what.plan_uid: one.what for one in record.about_dose if isinstance(one.what, StateDoseKind)}


def kind_of(dose_type: str, modality: str, stated: StateDoseKind | None) -> tuple[DoseKind, str]:
    """Return the kind of a stored dose and its RBE model, empty where nobody told it."""
    if stated is not None:
        return stated.kind, stated.rbe_model
    if dose_type == "EFFECTIVE":
        return "rbe_weighted", PROTON_MODEL if modality == "proton" else ""
    return ("unconfirmed" if modality in IONS else "physical"), ""


def converting(plan: Plan, kind: DoseKind, model: str) -> Weighting | NotAddable:
    """Return by which factor the dose of a plan goes into EQD2, or why it does not."""
    if plan.modality == "brachy":
        found = why_not_fractions(plan.header.brachy_treatment)
        if found is not None:
            return found
    return weighting(_particle(plan.modality, kind), kind, model)


def _particle(modality: str, kind: DoseKind) -> Particle:
    """Weighted dose of what is no proton has the rules of carbon: it is that of its model, and only of that."""
    if modality == "proton":
        return "proton"
    return "carbon" if modality in IONS or kind == "rbe_weighted" else "photon"


def of_other_models(parts: Sequence[GroupPart]) -> NotAddable | None:
    """Return why weighted doses of these parts are never in one sum; None where they may be."""
    found = one_model(part.rbe_model for part in parts if part.kind == "rbe_weighted")
    return found if isinstance(found, NotAddable) else None


def share_of_physical(part: GroupPart, dose_type: str) -> float | None:
    """Return what a part is multiplied with in the physical sum, or the RBE-weighted one; None where it is in neither.

    Dose that a physicist stated to hold the constant RBE of protons is physical dose once that is divided out. One that
    only its label calls EFFECTIVE is added to nothing physical.
    """
    if dose_type == "EFFECTIVE":
        return 1.0 if part.kind == "rbe_weighted" else PROTON_RBE if part.modality == "proton" else None
    if part.kind != "rbe_weighted":
        return 1.0
    return 1 / PROTON_RBE if part.is_stated and part.rbe_model == PROTON_MODEL else None
