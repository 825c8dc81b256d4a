"""Gate rules about the planned dose itself, judged by the evidence that was computed of it (`archive.evidence`).

Where nobody computes evidence (`Surroundings.evidence` is None), none of these
rules says anything; where somebody does, a plan without evidence is a finding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from archive.assembly.prescription import prescribed_targets
from archive.evidence import Bounds, DoseEvidence, TargetDose
from archive.gate.imaging import label_of, needed
from archive.gate.raised import Raised, Rule, Surroundings
from archive.model import Dossier, Plan

PROTON_RBE = 1.1
"""The usual constant RBE of protons (ICRU Report 78): prescriptions hold it, stored dose may or may not."""

LEAST_PRESCRIPTION_GY = 1.0
"""Prescriptions below this are of single beams or markers; percentages of them mean nothing."""


def dose_unchecked(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """The dose of every plan is looked at before its dossier is sealed."""
    if around.evidence is None or dossier.version:
        return
    for plan in needed(dossier):
        if plan.chosen_dose_uids and plan.held and plan.uid not in around.evidence:
            params = {"label": label_of(plan)}
            yield Raised(code="DOSE-UNCHECKED", subject=plan.uid, params=params, instance_uids=_grids(plan))


def dose_unusable(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """A dose grid must be one that can be summed: absolute, whole, in a frame of reference."""
    for plan, evidence in _checked(dossier, around):
        if evidence.problem:
            params = {"label": label_of(plan), "problem": evidence.problem}
            yield Raised(code="DOSE-UNUSABLE", subject=plan.uid, params=params, instance_uids=_grids(plan))


def target_uncovered(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """The dose grid must cover the targets: outside it the dose is unknown, never zero (PS3.3 C.8.8.3)."""
    for plan, evidence in _checked(dossier, around):
        most = around.demands.number("TARGET-UNCOVERED", "most_unknown_percent", plan.uid)
        for target in evidence.targets:
            unknown = 100 * target.unknown_cc / target.volume_cc if target.volume_cc else 0.0
            if unknown > most:
                params = {"label": label_of(plan), "target": target.name, "percent": f"{unknown:.1f}"}
                subject = f"{plan.uid}/{target.number}"
                yield Raised(code="TARGET-UNCOVERED", subject=subject, params=params, instance_uids=_grids(plan))


def target_dose_differs(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """The median dose of a target must be near its prescription (ICRU Report 83: D50; Report 50: -5 % to +7 %)."""
    for judged in _judged(dossier, around):
        least = around.demands.number("TARGET-DOSE-DIFFERS", "least_percent", judged.plan.uid)
        most = around.demands.number("TARGET-DOSE-DIFFERS", "most_percent", judged.plan.uid)
        lo, hi = judged.percent(judged.target.d50_gy)
        if hi < least or lo > most:
            yield judged.raised("TARGET-DOSE-DIFFERS", judged.target.d50_gy)


def target_dose_cold(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """Nearly all of a target should have nearly all of its prescription (ICRU Report 83: D95)."""
    for judged in _judged(dossier, around):
        least = around.demands.number("TARGET-DOSE-COLD", "least_percent", judged.plan.uid)
        if judged.percent(judged.target.d95_gy)[1] < least:
            yield judged.raised("TARGET-DOSE-COLD", judged.target.d95_gy)


def dose_maximum(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """The largest dose of a plan must be plausible for what it prescribes."""
    for plan, evidence in _checked(dossier, around):
        highest_gy = max((one.target_prescription_gy or 0.0 for one in prescribed_targets(plan.header)), default=0.0)
        readings = _readings(plan, evidence)
        if evidence.max_gy is None or readings is None or highest_gy < LEAST_PRESCRIPTION_GY:
            continue
        lo, hi = (100 * evidence.max_gy * factor / highest_gy for factor in readings)
        least = around.demands.number("DOSE-MAXIMUM", "least_percent", plan.uid)
        most = around.demands.number("DOSE-MAXIMUM", "most_percent", plan.uid)
        if lo > most or hi < least:
            params = {
                "label": label_of(plan),
                "gy": f"{evidence.max_gy:.2f}",
                "prescribed": f"{highest_gy:g}",
                "percent": f"{lo:.0f}",
            }
            yield Raised(code="DOSE-MAXIMUM", subject=plan.uid, params=params, instance_uids=_grids(plan))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A target of a plan, and the dose prescribed to it in Gy; `readings` as `_readings` tells them."""

    plan: Plan
    target: TargetDose
    prescribed_gy: float
    readings: tuple[float, float]

    def percent(self, dose: Bounds) -> tuple[float, float]:
        """Return the least and the most a dose can be in percent of the prescription."""
        least, most = self.readings
        return 100 * dose.lo * least / self.prescribed_gy, 100 * dose.hi * most / self.prescribed_gy

    def raised(self, code: str, dose: Bounds) -> Raised:
        params = {
            "label": label_of(self.plan),
            "target": self.target.name,
            "prescribed": f"{self.prescribed_gy:g}",
            "gy": f"{dose.lo:.2f}",
            "percent": f"{self.percent(dose)[0]:.0f}",
        }
        subject = f"{self.plan.uid}/{self.target.number}"
        return Raised(code=code, subject=subject, params=params, instance_uids=_grids(self.plan))


def _judged(dossier: Dossier, around: Surroundings) -> Iterator[_Judged]:
    """Yield each prescribed target whose dose is told."""
    for plan, evidence in _checked(dossier, around):
        readings = _readings(plan, evidence)
        for reference in prescribed_targets(plan.header):
            prescribed_gy = reference.target_prescription_gy or 0.0
            target = _target(evidence, reference.roi_number, prescribed_gy)
            if readings and target and prescribed_gy >= LEAST_PRESCRIPTION_GY:
                yield _Judged(plan=plan, target=target, prescribed_gy=prescribed_gy, readings=readings)


def _target(evidence: DoseEvidence, roi_number: int | None, prescribed_gy: float) -> TargetDose | None:
    """Return the target a prescription names; of a site, which has no outline, the one that comes closest to it."""
    if roi_number is not None:
        return next((one for one in evidence.targets if one.number == roi_number), None)
    planned = [one for one in evidence.targets if one.kind == "PTV"] or evidence.targets
    return min(planned, key=lambda one: (abs(one.d50_gy.lo - prescribed_gy), one.number), default=None)


def _readings(plan: Plan, evidence: DoseEvidence) -> tuple[float, float] | None:
    """Return the least and the largest factor that may lie between a stored dose and a prescription.

    None where nobody can tell: carbon is prescribed in weighted dose, at two to three times the physical one. Proton
    dose that is called physical may be so, or hold the 1.1 all the same, as many systems write it.
    """
    if evidence.dose_type == "EFFECTIVE" or plan.modality in {"photon", "electron"}:
        return 1.0, 1.0
    return (1.0, PROTON_RBE) if plan.modality == "proton" else None


def _checked(dossier: Dossier, around: Surroundings) -> Iterator[tuple[Plan, DoseEvidence]]:
    """Yield the plans that must be complete and of which there is evidence."""
    for plan in needed(dossier):
        evidence = (around.evidence or {}).get(plan.uid)
        if evidence is not None:
            yield plan, evidence


def _grids(plan: Plan) -> tuple[str, ...]:
    return plan.chosen_dose_uids


EVIDENCE_RULES: tuple[Rule, ...] = (
    dose_unchecked,
    dose_unusable,
    target_uncovered,
    target_dose_differs,
    target_dose_cold,
    dose_maximum,
)
