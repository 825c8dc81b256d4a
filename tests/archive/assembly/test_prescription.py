"""Modality, technique, phases and targets."""

from dataclasses import replace
from datetime import timedelta

import pytest

from archive.assembly.catalogue import Catalogue, distinct
from archive.assembly.plans import plans_of
from archive.assembly.prescription import (
    fractions_planned,
    laterality_of,
    machine_of,
    modality_of,
    phases_of,
    technique_of,
)
from archive.headers import InstanceHeader, PlanHeader
from archive.model import DoseType, Phase, Plan
from tests.factories import (
    MONDAY,
    beam,
    course,
    dose,
    group,
    plan,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    structures,
    target,
    uid,
)


def plans(*headers: InstanceHeader) -> tuple[Plan, ...]:
    return plans_of(Catalogue.of(distinct(map(receipt, headers), sealed=frozenset())), ())


def only_phase(*headers: InstanceHeader) -> Phase:
    (phase,) = phases_of(plans(*headers))
    return phase


@pytest.mark.parametrize(
    ("header", "modality"),
    [
        (plan_header(), "photon"),
        (plan_header(beams=(beam(radiation="ELECTRON"),)), "electron"),
        (plan_header(beams=(beam(radiation="PROTON"),)), "proton"),
        (plan_header(beams=(beam(radiation="ION", ion_name="C"),)), "carbon"),
        (plan_header(beams=(beam(radiation="ION", ion_name="He"),)), "helium"),
        (plan_header(beams=(beam(radiation="ION"),)), "ion"),
        (plan_header(beams=(), brachy_treatment="HDR"), "brachy"),
        (plan_header(beams=(beam(1, delivery_type="SETUP"), beam(2, radiation="ELECTRON"))), "electron"),
        (plan_header(beams=()), ""),
    ],
)
def test_modality_then_the_treating_beams_tell_it(header: PlanHeader, modality: str) -> None:
    assert modality_of(header) == modality


@pytest.mark.parametrize(
    ("values", "technique"),
    [
        ({}, "3D"),
        ({"leaves_move": True}, "segmented"),
        ({"beam_type": "DYNAMIC", "jaws_move": True}, "dynamic wedge"),
        ({"beam_type": "DYNAMIC", "leaves_move": True, "jaws_move": True}, "IMRT"),
        ({"beam_type": "DYNAMIC", "gantry_moves": True, "leaves_move": True}, "VMAT"),
        ({"beam_type": "DYNAMIC", "gantry_moves": True}, "conformal arc"),
        ({"beam_type": ""}, ""),
        ({"radiation": "ELECTRON"}, "electron field"),
        ({"radiation": "PROTON", "scan_mode": "MODULATED_SPEC"}, "PBS"),
        ({"radiation": "PROTON", "scan_mode": "NONE"}, "scattered"),
    ],
)
def test_technique_of_one_beam_then_it_is_inferred_from_what_moves(values: dict[str, object], technique: str) -> None:
    assert technique_of(plan_header(beams=(beam(**values),))) == technique  # type: ignore[arg-type]


def test_technique_of_mixed_beams_then_the_most_complex_names_the_plan() -> None:
    arc = beam(2, beam_type="DYNAMIC", gantry_moves=True, leaves_move=True)

    assert technique_of(plan_header(beams=(beam(1), arc))) == "VMAT"


def test_technique_when_a_setup_beam_moves_then_it_does_not_matter() -> None:
    cone_beam_ct = beam(2, delivery_type="SETUP", gantry_moves=True)

    assert technique_of(plan_header(beams=(beam(1), cone_beam_ct))) == "3D"


@pytest.mark.parametrize(("fractions", "technique"), [(11, "3D"), (10, "SBRT 3D"), (1, "SBRT 3D")])
def test_technique_from_five_gray_a_fraction_then_it_is_stereotactic(fractions: int, technique: str) -> None:
    assert technique_of(plan_header(fraction_groups=(group(fractions=fractions),))) == technique


def test_technique_of_brachytherapy_then_its_type() -> None:
    assert technique_of(plan_header(beams=(), brachy_treatment="PDR")) == "PDR"


def test_machine_then_it_is_that_of_the_treating_beam() -> None:
    header = plan_header(beams=(beam(1, delivery_type="SETUP", machine="KV"), beam(2, machine="LINAC2")))

    assert machine_of(header) == "LINAC2"


def test_fractions_planned_then_groups_add_and_one_unknown_makes_all_unknown() -> None:
    assert fractions_planned(plan_header(fraction_groups=(group(1, 13), group(2, 12)))) == 25
    assert fractions_planned(plan_header(fraction_groups=(group(1, 13), group(2, None)))) is None
    assert fractions_planned(plan_header(fraction_groups=())) is None


def test_phase_of_a_whole_course_then_prescribed_is_delivered() -> None:
    phase = only_phase(*course())

    assert (phase.fractions_planned, phase.fractions_delivered, phase.fractions_per_day) == (25, 25, 1)
    (treated,) = phase.targets
    assert (treated.name, treated.laterality) == ("PTV_L", "left")
    assert (treated.prescribed_gy, treated.dose_per_fraction_gy, treated.delivered_gy) == (50.0, 2.0, 50.0)
    assert treated.dose_type is DoseType.PHYSICAL


def test_phase_when_a_fraction_was_cut_short_then_the_delivered_dose_goes_by_meterset() -> None:
    phase = only_phase(plan(), *records(24), record("cut", recorded(25, mu=40.0), day=MONDAY + timedelta(days=35)))

    assert (phase.fractions_delivered, phase.fraction_equivalents) == (25, 24.4)
    assert phase.targets[0].delivered_gy == pytest.approx(48.8)


def test_phase_without_records_then_nothing_is_known_to_be_delivered() -> None:
    phase = only_phase(plan())

    assert (phase.fractions_delivered, phase.records_source, phase.fractions_per_day) == (0, "none", None)
    assert phase.targets[0].delivered_gy is None


def test_phase_given_twice_daily_then_it_says_so() -> None:
    morning = [record(f"m{n}", recorded(2 * n + 1), day=MONDAY + timedelta(days=n), time="0800") for n in range(5)]
    evening = [record(f"e{n}", recorded(2 * n + 2), day=MONDAY + timedelta(days=n), time="1500") for n in range(5)]

    phase = only_phase(plan(), *morning, *evening)

    assert (phase.fractions_delivered, phase.fractions_per_day) == (10, 2)


def test_phases_of_fraction_groups_then_each_has_its_own_target() -> None:
    header = plan_header(
        dose_references=(target(1, 26.0, description="A"), target(2, 24.0, description="B")),
        fraction_groups=(
            group(1, 13, dose_reference_numbers=(1,)),
            group(2, 12, dose_reference_numbers=(2,)),
        ),
    )
    given = [record("a", recorded(1), group_number=1), record("b", recorded(1), group_number=2, time="1500")]

    first, second = phases_of(plans(plan(header=header), *given))

    assert [(one.group_number, one.fractions_planned, one.fractions_delivered) for one in (first, second)] == [
        (1, 13, 1),
        (2, 12, 1),
    ]
    assert [one.targets[0].name for one in (first, second)] == ["A", "B"]
    assert [one.targets[0].delivered_gy for one in (first, second)] == [2.0, 2.0]


def test_phases_when_groups_link_no_target_then_none_is_guessed() -> None:
    header = plan_header(fraction_groups=(group(1, 13), group(2, 12)))

    assert [phase.targets for phase in phases_of(plans(plan(header=header)))] == [(), ()]


def test_phases_when_groups_share_a_target_then_its_dose_is_shared_by_their_fractions() -> None:
    groups = (group(1, 15, dose_reference_numbers=(1,)), group(2, 10, dose_reference_numbers=(1,)))

    first, second = phases_of(plans(plan(header=plan_header(fraction_groups=groups))))

    assert first.targets[0].dose_per_fraction_gy == second.targets[0].dose_per_fraction_gy == 2.0


def revision(name: str, old: str, fractions: int, gy: float) -> InstanceHeader:
    return plan(
        name,
        header=plan_header(
            replaces=(uid(old),),
            fraction_groups=(group(fractions=fractions),),
            dose_references=(target(1, gy),),
        ),
    )


@pytest.mark.parametrize(("fractions", "gy"), [(25, 50.0), (15, 30.0)], ids=["told anew", "told for the rest"])
def test_phase_with_a_revision_then_planned_counts_once_and_delivered_adds(fractions: int, gy: float) -> None:
    phase = only_phase(
        plan("a"),
        *records(10, plan="a"),
        revision("b", "a", fractions, gy),
        *records(15, plan="b", start=MONDAY + timedelta(days=14), first=11),
    )

    assert phase.plan_uids == (uid("a"), uid("b"))
    assert (phase.fractions_planned, phase.fractions_delivered) == (25, 25)
    assert (phase.targets[0].prescribed_gy, phase.targets[0].delivered_gy) == (50.0, 50.0)


def test_phase_when_the_revision_has_another_dose_per_fraction_then_each_part_counts_with_its_own() -> None:
    phase = only_phase(
        plan("a"),
        *records(10, plan="a"),
        revision("b", "a", 15, 15 * 1.8),
        *records(15, plan="b", start=MONDAY + timedelta(days=14), first=11),
    )

    assert phase.targets[0].delivered_gy == pytest.approx(10 * 2.0 + 15 * 1.8)
    assert phase.targets[0].prescribed_gy == pytest.approx(47.0)


def test_phase_when_the_revised_plan_does_not_tell_its_dose_then_the_delivered_dose_is_unknown() -> None:
    phase = only_phase(
        plan("a", header=plan_header(dose_references=())),
        *records(10, plan="a"),
        revision("b", "a", 15, 30.0),
        *records(15, plan="b", start=MONDAY + timedelta(days=14), first=11),
    )

    assert phase.targets[0].delivered_gy is None


def test_phases_when_the_predecessor_was_given_to_its_end_then_the_next_plan_is_a_phase_of_its_own() -> None:
    first, boost = phases_of(
        plans(
            plan("a"),
            *records(25, plan="a"),
            revision("b", "a", 8, 16.0),
            *records(8, plan="b", start=MONDAY + timedelta(days=35)),
        )
    )

    assert (first.fractions_planned, first.fractions_delivered) == (25, 25)
    assert (boost.fractions_planned, boost.fractions_delivered) == (8, 8)


def test_phases_when_plans_name_each_other_in_a_ring_then_each_is_there_once() -> None:
    ring = [
        plan("a", header=plan_header(replaces=(uid("b"),))),
        plan("b", header=plan_header(replaces=(uid("a"),))),
        plan("c", header=plan_header(replaces=(uid("c"),))),
    ]

    phases = phases_of(plans(*ring))

    assert sorted(one for phase in phases for one in phase.plan_uids) == sorted(map(uid, "abc"))


def test_phases_when_a_plan_was_rejected_then_it_is_no_phase() -> None:
    assert phases_of(plans(plan(header=plan_header(approval="REJECTED")))) == ()


def test_targets_when_points_stand_beside_a_site_then_the_site_alone_counts() -> None:
    points = (target(2, 51.3, structure_type="COORDINATES"), target(3, None, structure_type="COORDINATES"))

    phase = only_phase(plan(header=plan_header(dose_references=(target(), *points))), *records(25))

    assert [one.prescribed_gy for one in phase.targets] == [50.0]


def test_targets_when_only_a_point_is_prescribed_then_its_delivered_dose_waits_for_a_person() -> None:
    point = target(1, 43.0, structure_type="COORDINATES")

    phase = only_phase(plan(header=plan_header(dose_references=(point,))), *records(25))

    assert (phase.targets[0].prescribed_gy, phase.targets[0].delivered_gy) == (43.0, None)


def test_targets_when_an_organ_has_a_limit_then_it_is_no_target() -> None:
    organ = target(1, None, type="ORGAN_AT_RISK", delivery_maximum_gy=45.0)

    assert only_phase(plan(header=plan_header(dose_references=(organ,)))).targets == ()


def test_target_name_then_the_contour_comes_before_the_description_and_the_label() -> None:
    by_roi = plan(header=plan_header(dose_references=(target(roi_number=1, description="x"),)))
    nameless = plan(header=plan_header(dose_references=(target(description=""),)))

    assert only_phase(by_roi, structures()).targets[0].name == "PTV_L"
    assert only_phase(nameless).targets[0].name == "Breast"


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("PTV_L", "left"),
        ("PTV_R", "right"),
        ("Breast_L^boost", "left"),
        ("Lung (R)", "right"),
        ("Left breast", "left"),
        ("Lt breast", "left"),
        ("RT lung", "right"),
        ("左乳", "left"),
        ("右肺", "right"),
        ("Breast L+R", "both"),
        ("PTV", ""),
        ("PTV_Low", ""),
        ("L1", ""),
        ("L-spine", ""),
        ("L spine", ""),
        ("Rectum", ""),
        ("PTV_RING", ""),
    ],
)
def test_laterality_of_a_target_then_suffixes_and_words_tell_it(text: str, side: str) -> None:
    assert laterality_of(text) == side


def test_laterality_then_the_first_text_that_tells_decides_and_rt_in_a_label_is_no_side() -> None:
    assert laterality_of("PTV", "Left breast", "R") == "left"
    assert laterality_of("PTV", label="Breast L") == "left"
    assert laterality_of("PTV", label="RT Prostate") == ""


@pytest.mark.parametrize(
    ("radiation", "types", "dose_type"),
    [
        ("PHOTON", ["PHYSICAL"], DoseType.PHYSICAL),
        ("PROTON", ["EFFECTIVE"], DoseType.RBE_WEIGHTED),
        ("PROTON", ["PHYSICAL"], DoseType.UNCONFIRMED),
        ("PROTON", ["EFFECTIVE", "PHYSICAL"], DoseType.UNCONFIRMED),
        ("PROTON", [], DoseType.UNCONFIRMED),
        ("", ["PHYSICAL"], DoseType.UNCONFIRMED),
    ],
)
def test_dose_type_then_particles_are_believed_only_when_they_say_effective(
    radiation: str, types: list[str], dose_type: DoseType
) -> None:
    header = plan_header(beams=(beam(radiation=radiation),))
    grids = [dose(f"d{at}", type=kind) for at, kind in enumerate(types)]

    assert only_phase(plan(header=header), *grids).targets[0].dose_type is dose_type


def test_phase_of_an_unseen_plan_then_only_its_fractions_are_known() -> None:
    phase = only_phase(*records(3))

    assert (phase.fractions_planned, phase.fractions_delivered, phase.targets) == (None, 3, ())
    assert replace(phase, plan_uids=()).group_number is None
