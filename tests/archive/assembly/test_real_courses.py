"""Real exports are folded into the dossiers a physicist would expect."""

import json
import random
from functools import cache
from pathlib import Path

import pytest
from pydicom import dcmread

from archive.answers import dossier_answer, patient_answer
from archive.headers import InstanceHeader
from archive.model import Dossier, DossierState, PatientRecord
from archive.reading.describe import describe
from tests.factories import codes, folded, only_dossier, receipt

REAL_PERMUTATIONS = 20

pytestmark = [pytest.mark.real_data, pytest.mark.filterwarnings("ignore::UserWarning")]


def fold_files(*paths: Path) -> PatientRecord:
    headers = [describe(dcmread(path, force=True, stop_before_pixels=True)) for path in sorted(paths)]
    return folded([receipt(header) for header in headers])


@cache
def every_header(real_data: Path) -> tuple[InstanceHeader, ...]:
    """Return the headers of all real files but for planning images."""
    paths = [path for path in real_data.rglob("*.dcm") if not path.name.startswith(("CT.", "ct_slice"))]
    return tuple(describe(dcmread(path, force=True, stop_before_pixels=True)) for path in sorted(paths))


def only(*paths: Path) -> Dossier:
    (dossier,) = fold_files(*paths).dossiers
    return dossier


def test_breast_boost_with_one_slice_then_the_missing_images_are_told(real_data: Path) -> None:
    dossier = only(*real_data.glob("dicompyler_core/*.dcm"))

    assert len(dossier.instances) == 4
    assert {"IMAGES-INCOMPLETE", "PLAN-UNAPPROVED", "RECORDS-MISSING", "NOT-CLOSED"} <= codes(dossier)
    assert not {"STRUCTURES-MISSING", "DOSE-MISSING", "FRAME-DIFFERS", "REFERENCE-BROKEN"} & codes(dossier)
    (incomplete,) = (one for one in dossier.findings if one.code == "IMAGES-INCOMPLETE")
    assert "98 images, 1 of them" in incomplete.message
    (phase,) = dossier.phases
    assert (phase.fractions_planned, [target.prescribed_gy for target in phase.targets]) == (7, [14.0])


def test_proton_head_phantom_then_broken_references_are_bridged_by_the_frame(real_data: Path) -> None:
    record = fold_files(*(real_data / "dcpt_headphantom").rglob("*.dcm"))
    (dossier,) = record.dossiers

    assert len(dossier.instances) == 179
    assert record.unattached == ()
    assert "REFERENCE-BROKEN" in codes(dossier)
    assert dossier.state is DossierState.OPEN
    assert dossier.plans[0].modality == "proton"


def test_five_brainlab_plans_of_one_day_then_they_are_one_course(real_data: Path) -> None:
    dossier = only(*real_data.glob("pps/**/brainlab_plan_ptv/*.dcm"))

    assert len(dossier.plans) == 5
    assert len(dossier.phases) == 5
    assert {target.delivered_gy for phase in dossier.phases for target in phase.targets} == {None}


def test_one_monaco_plan_with_three_prescriptions_then_three_phases_with_their_own_doses(real_data: Path) -> None:
    dossier = only(*real_data.glob("pps/**/PH 3 DOSES 1PLAN/2018CompLTCWC2_t2.dcm"))

    told = [(phase.fractions_planned, [target.prescribed_gy for target in phase.targets]) for phase in dossier.phases]
    assert told == [(13, [26.0]), (12, [24.0]), (25, [50.0])]


def test_proton_plans_of_2022_and_2026_of_one_patient_then_two_courses(real_data: Path) -> None:
    record = fold_files(*(real_data / "dcpt_let").rglob("*.dcm"))

    years = [sorted({plan.header.date[:4] for plan in dossier.plans}) for dossier in record.dossiers]
    assert years == [["2022"], ["2026"]]
    assert sum(len(dossier.plans) for dossier in record.dossiers) == 8
    assert all(plan.modality == "proton" for dossier in record.dossiers for plan in dossier.plans)


def test_every_real_file_as_one_patient_then_nothing_is_raised(real_data: Path) -> None:
    record = folded([receipt(header) for header in every_header(real_data)])

    everything = {held.uid for dossier in record.dossiers for held in dossier.instances}
    assert len(everything) + len(record.unattached) > 100
    assert all("{" not in finding.message_zh for one in record.dossiers for finding in one.findings)


def test_every_real_header_in_any_order_then_answers_are_byte_equal(real_data: Path) -> None:
    receipts = [receipt(one) for one in {one.sop_instance_uid: one for one in every_header(real_data)}.values()]
    shuffle = random.Random(20261123).shuffle

    told = set()
    for _ in range(REAL_PERMUTATIONS):
        shuffle(receipts)
        record = folded(receipts)
        told.add(json.dumps([patient_answer(record), *map(dossier_answer, record.dossiers)]))

    assert len(told) == 1


def test_only_dossier_of_a_real_plan_then_its_id_does_not_depend_on_what_else_arrives(real_data: Path) -> None:
    plan, *rest = sorted(real_data.glob("pps/**/pinnacle/plan1/RTPLAN*.dcm")) + sorted(
        real_data.glob("pps/**/pinnacle/plan1/RTDOSE*.dcm")
    )
    alone = describe(dcmread(plan, force=True, stop_before_pixels=True))

    assert only_dossier([receipt(alone)]).id == only(plan, *rest).id
