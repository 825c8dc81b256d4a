"""What may be added to what: RBE in a dose once, one carbon model, physical and weighted never without a rule."""

from dataclasses import replace

import pytest

from courses.exposures import DoseKind, Gathered
from courses.gathering import _not_addable
from courses.kinds import converting, kind_of, of_other_models, share_of_physical, stated_kinds
from courses.notices import notice
from courses.summing import eqd2_sum, physical_sum
from dose.biology.linear_quadratic import eqd2
from dose.biology.rbe import CARBON_MODELS, PROTON_MODEL, NotAddable, weighting
from dose.biology.tissues import Tissue
from dose.errors import NothingToAdd
from tests import factories
from tests.courses.gathered import Course, even, gathered

CORD = Tissue(name="SpinalCord", alpha_beta_gy=2.0)


@pytest.mark.parametrize(
    ("kind", "model", "lo", "hi"),
    [("physical", "", 1.1, 1.1), ("rbe_weighted", "", 1, 1), ("rbe_weighted", PROTON_MODEL, 1, 1),
     ("unconfirmed", "", 1, 1.1)],
)  # fmt: skip
def test_protons_when_stored_in_any_way_then_1_1_is_in_the_dose_exactly_once(
    kind: DoseKind, model: str, lo: float, hi: float
) -> None:
    told = weighting("proton", kind, model)
    assert not isinstance(told, NotAddable)
    assert (told.lo, told.hi) == (lo, hi)


@pytest.mark.parametrize(
    ("stored", "rbe", "expected"),
    [(60.0, (1.1, 1.1), (69.3, 69.3)), (66.0, (1.0, 1.0), (69.3, 69.3)), (60.0, (1.0, 1.1), (60.0, 69.3))],
)
def test_protons_when_summed_then_the_fraction_is_weighted_before_it_is_converted(
    stored: float, rbe: tuple[float, float], expected: tuple[float, float]
) -> None:
    plain = gathered(Course(name="protons", dose=even(stored), fractions=30))
    given = plain.changed(lambda part: replace(part, modality="proton", rbe=rbe))
    total = eqd2_sum(given, CORD)
    assert (float(total.lower_gy.max()), float(total.upper_gy.max())) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("model", CARBON_MODELS)
def test_carbon_when_its_one_model_is_declared_then_it_is_taken_as_stored(model: str) -> None:
    told = weighting("carbon", "rbe_weighted", model)
    assert not isinstance(told, NotAddable)
    assert (told.lo, told.hi, told.model) == (1.0, 1.0, model)


@pytest.mark.parametrize(
    ("particle", "kind", "model"),
    [("carbon", "rbe_weighted", ""), ("carbon", "rbe_weighted", "LEM-9"), ("carbon", "physical", ""),
     ("carbon", "unconfirmed", ""), ("proton", "rbe_weighted", "MKM")],
)  # fmt: skip
def test_ions_when_nobody_declared_a_known_model_then_they_are_refused_with_code_and_what_to_do(
    particle: str, kind: str, model: str
) -> None:
    told = weighting(particle, kind, model)  # type: ignore[arg-type]
    assert isinstance(told, NotAddable)
    assert told.code == "RBE-UNKNOWN"
    assert "A physicist states" in told.hint


def _with(*parts: tuple[str, DoseKind, str, bool]) -> Gathered:
    """Courses of 30 Gy by modality, kind, model and whether somebody stated it."""
    given = gathered(*(Course(name=str(n), dose=even(30), fractions=15) for n, _ in enumerate(parts)))

    def change(number: str) -> dict[str, object]:
        modality, kind, model, is_stated = parts[int(number)]
        return {"modality": modality, "kind": kind, "rbe_model": model, "is_stated": is_stated}

    return given.changed(lambda part: replace(part, **change(part.dossier_id)))  # type: ignore[arg-type]


def test_carbon_when_of_two_models_then_none_is_added_and_the_code_says_why() -> None:
    photons = ("photon", "physical", "", False)
    lem, mkm = (("carbon", "rbe_weighted", model, True) for model in ("LEM-I", "MKM"))
    refused = of_other_models(_with(lem, mkm, photons).parts)  # type: ignore[arg-type]
    assert refused is not None
    assert (refused.code, "LEM-I and MKM" in refused.reason) == ("RBE-MODELS-DIFFER", True)
    for one in ((lem, lem, photons), (mkm, photons), (photons,)):
        assert of_other_models(_with(*one).parts) is None


@pytest.mark.parametrize(
    ("part", "physical", "weighted"),
    [
        (("photon", "physical", "", False), 30.0, None),
        (("proton", "unconfirmed", "", False), 30.0, 33.0),
        (("proton", "physical", "", True), 30.0, 33.0),
        (("proton", "rbe_weighted", PROTON_MODEL, True), 30 / 1.1, 30.0),
        (("proton", "rbe_weighted", PROTON_MODEL, False), None, 30.0),  # only its label says so: no stated rule
        (("carbon", "rbe_weighted", "LEM-I", True), None, 30.0),
        (("carbon", "unconfirmed", "", False), 30.0, None),
    ],
)
def test_sum_when_of_one_kind_then_the_other_kind_is_in_it_by_a_stated_rule_alone(
    part: tuple[str, DoseKind, str, bool], physical: float | None, weighted: float | None
) -> None:
    given = _with(part)
    for dose_type, expected in (("PHYSICAL", physical), ("EFFECTIVE", weighted)):
        share = share_of_physical(given.parts[0], dose_type)
        assert share == (None if expected is None else pytest.approx(expected / 30))
        one_kind = replace(given, dose_type=dose_type)
        if expected is None:
            with pytest.raises(NothingToAdd):
                physical_sum(one_kind)
        else:
            assert float(physical_sum(one_kind).lower_gy.max()) == pytest.approx(expected, abs=1e-4)


def test_notices_when_a_dose_is_not_addable_then_code_words_and_remedy_fit_the_reason() -> None:
    (part,) = _with(("carbon", "rbe_weighted", "", False)).parts
    codes = {
        "RBE-UNKNOWN": "LG-CMP-042",
        "RBE-MODELS-DIFFER": "LG-CMP-044",
        "NOT-FRACTIONS": "LG-CMP-041",
        "": "LG-CMP-041",
    }
    for reason, code in codes.items():
        told = _not_addable(replace(part, not_addable="Because.", not_addable_code=reason))
        assert (told.code, "not addable" in told.words, "Because." in told.words) == (code, True, True)
        assert "不可相加" in told.words_zh
        assert told.fix
        assert told.fix_zh
    never = notice("kinds-not-added", kind="physical", kind_zh="物理剂量")
    assert (never.code, "never added without a stated rule" in never.words) == ("LG-CMP-043", True)


@pytest.mark.parametrize(
    ("dose_type", "modality", "expected"),
    [("PHYSICAL", "photon", ("physical", "")), ("PHYSICAL", "proton", ("unconfirmed", "")),
     ("EFFECTIVE", "proton", ("rbe_weighted", PROTON_MODEL)), ("EFFECTIVE", "carbon", ("rbe_weighted", "")),
     ("PHYSICAL", "carbon", ("unconfirmed", ""))],
)  # fmt: skip
def test_kind_when_only_the_label_tells_then_ions_labelled_physical_stay_unconfirmed(
    dose_type: str, modality: str, expected: tuple[str, str]
) -> None:
    assert kind_of(dose_type, modality, None) == expected
    assert stated_kinds(factories.folded(factories.course())) == {}


@pytest.mark.parametrize("treatment", ["LDR", "PDR", "MANUAL", "PERMANENT", ""])
def test_brachytherapy_when_not_of_high_dose_rate_then_it_is_never_converted_by_fractions(treatment: str) -> None:
    plan = replace(
        factories.only_dossier(
            [factories.plan("seeds", header=factories.plan_header(brachy_treatment=treatment))]
        ).plans[0],
        modality="brachy",
    )
    told = converting(plan, "physical", "")
    assert isinstance(told, NotAddable)
    assert told.code == "NOT-FRACTIONS"
    # what it would have been: 145 Gy of I-125 as one fraction
    assert float(eqd2(145, 1, 3)) == pytest.approx(4292, abs=1e-9)


def test_brachytherapy_when_of_high_dose_rate_then_each_insertion_is_a_fraction() -> None:
    header = factories.plan_header(brachy_treatment="HDR")
    plan = replace(factories.only_dossier([factories.plan("hdr", header=header)]).plans[0], modality="brachy")
    assert not isinstance(converting(plan, "physical", ""), NotAddable)
