"""Rules about the planned dose: what evidence raises each, and what does not."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from archive.evidence import Bounds, DoseEvidence, TargetDose
from archive.facts.decisions import Sealed
from archive.gate.gate import Gate
from archive.headers import InstanceHeader
from archive.model import Finding, Plan, Severity
from tests.archive.gate.rule_cases import DONE, good
from tests.factories import beam, folded, target, uid

PRESCRIBED_GY = 50.0
"""What the plan of the factories prescribes to its target, ROI 1."""

VOLUME = {"dose_references": (target(structure_type="VOLUME", roi_number=1),)}


def at(gy: float, *, most: float | None = None) -> Bounds:
    return Bounds(lo=gy, hi=gy if most is None else most)


def ptv(**values: object) -> TargetDose:
    """Return a target that gets what was prescribed."""
    usual: dict[str, object] = {
        "number": 1, "name": "PTV", "kind": "PTV", "volume_cc": 100.0, "unknown_cc": 0.0, "mean_gy": at(50.2),
        "d98_gy": at(48.0), "d95_gy": at(48.8), "d50_gy": at(50.3), "d2_gy": at(52.0),
    }  # fmt: skip
    return TargetDose(**{**usual, **values})  # type: ignore[arg-type]


def evidence(*targets: TargetDose, **values: object) -> DoseEvidence:
    usual: dict[str, object] = {"plan_uid": uid("plan"), "inputs": ("0" * 64,), "dose_type": "PHYSICAL", "max_gy": 53.0}
    return DoseEvidence(**{**usual, "targets": targets or (ptv(),), **values})  # type: ignore[arg-type]


def findings(
    found: DoseEvidence | None, headers: Iterable[InstanceHeader] | None = None, acts: Iterable[object] = ()
) -> list[Finding]:
    """Return what the rules of dose say of a course whose evidence is `found`."""

    def look(plans: Iterable[Plan]) -> Mapping[str, DoseEvidence]:
        return {} if found is None else {uid("plan"): found}

    record = folded(good(**VOLUME) if headers is None else headers, [DONE, *acts], judge=Gate(evidence=look))  # type: ignore[list-item]
    raised = [one for dossier in record.dossiers for one in dossier.findings]
    return [one for one in raised if one.code in CODES]


SBRT = {"label": "Lung SBRT"}
PROTON = {"beams": (beam(1, radiation="PROTON", scan_mode="MODULATED"),)}
CARBON = {"beams": (beam(1, radiation="ION", ion_name="C", scan_mode="MODULATED"),)}
SITE = {"dose_references": (target(structure_type="SITE", roi_number=None),)}

BAD = {
    "DOSE-UNCHECKED": None,
    "DOSE-UNUSABLE": evidence(problem="its dose grid can't be used: it is relative", max_gy=None),
    "TARGET-UNCOVERED": evidence(ptv(unknown_cc=1.2)),
    "TARGET-DOSE-DIFFERS": evidence(ptv(d50_gy=at(47.4), d95_gy=at(45.2))),
    "TARGET-DOSE-COLD": evidence(ptv(d95_gy=at(44.9))),
    "DOSE-MAXIMUM": evidence(max_gy=65.1),
}
CODES = frozenset(BAD)
MORE_BAD = [
    ("TARGET-DOSE-DIFFERS", "too much", evidence(ptv(d50_gy=at(53.6)))),
    ("TARGET-DOSE-DIFFERS", "too little at most", evidence(ptv(d50_gy=at(20.0, most=47.4), d95_gy=at(45.1)))),
    ("DOSE-MAXIMUM", "the dose of one fraction", evidence(ptv(), max_gy=2.1)),
]
GOOD = [
    ("as prescribed", evidence()),
    ("at the upper limit", evidence(ptv(d50_gy=at(53.5)))),
    ("at the lower limit", evidence(ptv(d50_gy=at(47.5), d95_gy=at(45.0)), max_gy=65.0)),
    ("a little outside the grid", evidence(ptv(unknown_cc=1.0))),
    ("bounds that hold the prescription", evidence(ptv(d50_gy=at(10.0, most=50.0), d95_gy=at(0.0, most=50.0)))),
    ("an organ nobody prescribed to", evidence(ptv(), ptv(number=2, name="GTV", d50_gy=at(70.0)), max_gy=60.0)),
]


@pytest.mark.parametrize(
    ("code", "found"),
    [pytest.param(code, found, id=code) for code, found in BAD.items()]
    + [pytest.param(code, found, id=f"{code}: {title}") for code, title, found in MORE_BAD],
)
def test_rule_of_dose_in_a_bad_case_then_it_alone_tells_in_both_languages_what_to_do(
    code: str, found: DoseEvidence | None
) -> None:
    raised = findings(found)

    assert [one.code for one in raised] == [code]
    for text in (raised[0].message, raised[0].message_zh, raised[0].fix, raised[0].fix_zh):
        assert text
        assert not {"{", "}"} & {*text}
    assert raised[0].subject.startswith(uid("plan"))
    assert raised[0].blocks is (raised[0].severity is not Severity.NOTE)


@pytest.mark.parametrize("found", [pytest.param(found, id=title) for title, found in GOOD])
def test_rules_of_dose_in_a_good_case_then_they_are_silent(found: DoseEvidence) -> None:
    assert findings(found) == []


def test_rules_of_dose_when_nobody_looks_then_they_are_silent() -> None:
    dossiers = folded(good(), [DONE], judge=Gate()).dossiers
    assert not {one.code for dossier in dossiers for one in dossier.findings} & CODES


def test_rules_of_dose_when_sealed_then_missing_evidence_is_no_finding() -> None:
    whole = folded(good(), [DONE]).dossiers[0]
    sealed = Sealed(
        dossier=whole.id,
        version=1,
        plan_uids=whole.plan_uids,
        file_sha256s=tuple(held.receipt.file_sha256 for held in whole.instances),
        dossier_sha256="0" * 64,
    )
    assert findings(None, acts=[sealed]) == []


def test_rules_of_dose_when_stereotactic_then_a_hot_middle_is_meant_so() -> None:
    hot = evidence(ptv(d50_gy=at(70.0), d2_gy=at(88.0)), max_gy=95.0)

    assert [one.code for one in findings(hot)] == ["DOSE-MAXIMUM", "TARGET-DOSE-DIFFERS"]
    assert findings(hot, good(**SBRT, **VOLUME)) == []


def test_rules_of_dose_of_protons_called_physical_then_both_readings_are_allowed() -> None:
    for d50 in (at(50.0 / 1.1), at(50.0)):
        cold = evidence(ptv(d50_gy=d50, d95_gy=d50), max_gy=d50.hi)
        assert findings(cold, good(**PROTON, **VOLUME)) == []
    half = evidence(ptv(d50_gy=at(25.0), d95_gy=at(24.0)), max_gy=48.0)
    assert "TARGET-DOSE-DIFFERS" in {one.code for one in findings(half, good(**PROTON, **VOLUME))}


def test_rules_of_dose_of_carbon_called_physical_then_nothing_is_compared_with_a_weighted_prescription() -> None:
    low = evidence(ptv(d50_gy=at(20.0), d95_gy=at(19.0)), max_gy=21.0)
    assert findings(low, good(**CARBON, **VOLUME)) == []
    weighted = replace(low, dose_type="EFFECTIVE")
    assert "TARGET-DOSE-DIFFERS" in {one.code for one in findings(weighted, good(**CARBON, **VOLUME))}


def test_rules_of_dose_when_a_site_is_prescribed_to_then_the_closest_target_is_judged() -> None:
    two = evidence(ptv(number=2, name="PTV_low", d50_gy=at(40.0), d95_gy=at(39.0)), ptv(number=3))
    assert findings(two, good(**SITE)) == []
    (one,) = findings(evidence(ptv(number=2, d50_gy=at(40.0), d95_gy=at(46.0))), good(**SITE))
    assert one.code == "TARGET-DOSE-DIFFERS"
    assert one.message == "Plan Breast: half of target PTV is planned to get 40.00 Gy, 80 % of the 50 Gy prescribed."
