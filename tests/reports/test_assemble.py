"""From a dossier to the data set."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib import resources
from typing import Any

import pytest

from archive.facts.decisions import Close
from archive.facts.receipts import PatientKey, Receipt, Source
from archive.headers import (
    BeamHeader,
    FractionGroup,
    GroupBeam,
    Identifier,
    InstanceHeader,
    InstanceKind,
    PatientHeader,
    PlanHeader,
)
from archive.model import (
    DeliveryState,
    DoseType,
    Dossier,
    DossierState,
    Fraction,
    Held,
    Interruption,
    Person,
    Phase,
    Plan,
    Session,
    Target,
)
from reports import summary as data
from reports.assemble import assemble_summary, person_name
from reports.entries import SummaryEntries, entries_from_mapping, entries_from_text
from reports.facts import NOT_RECORDED, Bilingual, Fact, Origin
from reports.fonts import Typeface
from reports.mandatory import missing
from reports.render import Audience, Language, render_summary
from tests.reports import reading

WHOLE, BOOST = "1.2.3.1", "1.2.3.2"


def department() -> SummaryEntries:
    return entries_from_text((resources.files("templates") / "summary" / "department.example.toml").read_text("utf-8"))


def held(uid: str, header: PlanHeader) -> Held:
    instance = InstanceHeader(
        kind=InstanceKind.PLAN,
        patient=PatientHeader(identifier=Identifier(value="TEST-0042")),
        sop_instance_uid=uid,
        institution="示例医院",
        physicians=("Example^Doctor",),
        plan=header,
    )
    receipt = Receipt(
        received_at=datetime(2026, 11, 10, tzinfo=UTC),
        node="n1",
        source=Source(kind="file"),
        disposition="stored",
        key="k",
        file_sha256="0",
        file_sha512="0",
        dataset_sha256="0",
        size_bytes=1,
        header=instance,
    )
    return Held(receipt=receipt)


def plan(uid: str, label: str, planned: int, days: list[str], **changes: Any) -> Plan:
    beam = BeamHeader(
        number=1,
        name="Arc",
        delivery_type="TREATMENT",
        radiation="PHOTON",
        energies=(6.0,),
        fluence_mode="",
        meterset_unit="MU",
    )
    group = FractionGroup(number=1, fractions_planned=planned, beams=(GroupBeam(beam_number=1, meterset=211.4),))
    header = PlanHeader(
        label=label, date="20261008", intent="CURATIVE", approval="APPROVED", beams=(beam,), fraction_groups=(group,)
    )
    values: dict[str, Any] = {
        "uid": uid,
        "held": held(uid, header),
        "modality": "photon",
        "technique": "VMAT",
        "machine": "LINAC_2",
        "delivery_state": DeliveryState.DELIVERED,
        "fractions_planned": planned,
        "fractions": tuple(fraction(uid, number, day) for number, day in enumerate(days, start=1)),
        "structure_sets": (),
        "doses": (),
        "chosen_dose_uids": (),
        "records": (),
    }
    return Plan(**(values | changes))


def fraction(uid: str, number: int, day: str) -> Fraction:
    return Fraction(
        plan_uid=uid,
        group_number=1,
        number=number,
        date=day,
        time="090000",
        visits=((day, "090000"),),
        share=1.0,
        record_uids=(f"{uid}.{number}",),
    )


def phase(uid: str, name: str, prescribed: float, planned: int, given: int, **changes: Any) -> Phase:
    per_fraction = prescribed / planned
    target = Target(
        name=name,
        laterality="left",
        prescribed_gy=prescribed,
        delivered_gy=per_fraction * given if given else None,
        dose_per_fraction_gy=per_fraction,
        dose_type=DoseType.PHYSICAL,
    )
    values: dict[str, Any] = {
        "plan_uids": (uid,),
        "group_number": 1,
        "targets": (target,),
        "fractions_planned": planned,
        "fractions_delivered": given,
        "fraction_equivalents": float(given),
        "fractions_per_day": 1 if given else None,
        "records_source": "treatment records" if given else "none",
    }
    return Phase(**(values | changes))


def dossier(**changes: Any) -> Dossier:
    """Four fractions of 2.5 Gy to the breast, then two of 2 Gy to its boost, one a day."""
    plans = (
        plan(WHOLE, "Breast", 4, ["20261012", "20261013", "20261015", "20261016"]),
        plan(BOOST, "Boost", 2, ["20261019", "20261020"]),
    )
    sessions = tuple(
        Session(date=one.date, time="090000", fractions=(one,)) for part in plans for one in part.fractions
    )
    values: dict[str, Any] = {
        "id": "mfzwizltoq4tqnrw",
        "aliases": (),
        "patient_key": PatientKey("00"),
        "person": Person(
            identifiers=(Identifier(value="420101196103091234"), Identifier(value="TEST-0042")),
            name="Wang^XiaoDong=王^小东",
            names=("Wang^XiaoDong=王^小东",),
            birth_date="19610309",
            sex="F",
        ),
        "state": DossierState.READY,
        "origin": "here",
        "version": 0,
        "plans": plans,
        "phases": (phase(WHOLE, "PTV_Breast_L", 10.0, 4, 4), phase(BOOST, "PTV_Boost_L", 4.0, 2, 2)),
        "sessions": sessions,
        "interruptions": (
            Interruption(last_before=date(2026, 10, 13), first_after=date(2026, 10, 15), weekdays_missed=1),
        ),
        "instances": tuple(one.held for one in plans),
        "late": (),
        "findings": (),
        "close": Close(plan_uids=(WHOLE, BOOST), outcome="completed", last_date="20261020"),
    }
    return Dossier(**(values | changes))


FORM: Mapping[str, object] = {
    "doctor": {"zh": "示例医生", "en": "Dr Example"},
    "intent": "adjuvant",
    "diagnosis": {
        "words": {"zh": "左侧乳腺癌", "en": "cancer of the left breast"},
        "is_malignant": True,
        "is_told": True,
        "stage": "pT1c pN0",
    },
    "targets": [
        {
            "name": "PTV_Breast_L",
            "words": {"zh": "左侧乳房", "en": "left breast"},
            "region": "breast",
            "receives_also": [],
        },
        {
            "name": "PTV_Boost_L",
            "words": {"zh": "原来长肿块的地方", "en": "place where the lump was"},
            "receives_also": ["PTV_Breast_L"],
        },
    ],
    "interruptions": [
        {
            "last_before": "2026-10-13",
            "reason": {"zh": "机器维修", "en": "the machine was being fixed"},
            "was_made_up": True,
        }
    ],
    "earlier_radiation": {"answer": "no"},
    "implant": {"answer": "no"},
    "drugs": {"zh": "无", "en": "none"},
}


def assembled(source: Dossier, form: Mapping[str, object] | None = None) -> data.CourseSummary:
    return assemble_summary(
        source,
        software="Lastgate test",
        entries=entries_from_mapping(FORM if form is None else form),
        department=department(),
    )


def value(fact: Any) -> Any:
    return fact.value if isinstance(fact, Fact) else fact


def test_summary_when_dossier_form_and_department_say_all_then_it_can_be_released(typeface: Typeface) -> None:
    summary = assembled(dossier())
    assert missing(summary) == ()
    content = render_summary(summary, draft=False, created=date(2026, 10, 21), number="1", typeface=typeface)
    text = reading.bare("".join(reading.pages(content)))
    assert "原来长肿块的地方" in text
    assert "420101196103091234" not in text


def test_summary_when_assembled_then_facts_are_those_of_the_dossier() -> None:
    summary = assembled(dossier())
    assert value(summary.sessions) == 6
    assert value(summary.planned_sessions) == 6
    assert value(summary.fractions_delivered) == 6
    assert value(summary.first_date) == date(2026, 10, 12)
    assert value(summary.last_date) == date(2026, 10, 20)
    assert value(summary.status) is data.Status.COMPLETED
    assert summary.is_all_given
    assert value(summary.patient.hospital_number) == "TEST-0042"
    assert value(summary.patient.name) == data.PersonName(zh="王小东", latin="Wang XiaoDong")
    assert value(summary.modalities) == (data.Modality.PHOTON,)
    assert summary.techniques.source.origin is Origin.INFERRED  # type: ignore[union-attr]
    assert value(summary.plans[0].energies) == ("6 MV",)
    assert summary.plans[0].beams[0].meterset == 211.4
    assert summary.may_say_not_radioactive


def test_totals_when_the_boost_lies_in_the_breast_then_it_has_both_doses() -> None:
    totals = {site.name: (value(site.planned_gy), value(site.delivered_gy)) for site in assembled(dossier()).sites}
    assert totals == {"PTV_Breast_L": (10.0, 10.0), "PTV_Boost_L": (14.0, 14.0)}


def test_totals_when_nobody_says_how_targets_lie_then_they_are_not_recorded() -> None:
    summary = assembled(dossier(), {"intent": "adjuvant"})
    assert all(site.delivered_gy is NOT_RECORDED for site in summary.sites)
    assert {"prescribed_gy", "delivered_gy"} <= {fact.key for fact in missing(summary)}


def test_totals_when_a_target_is_boosted_in_the_same_fractions_then_its_dose_is_its_own() -> None:
    outer, inner = phase(WHOLE, "PTV_50", 50.0, 25, 25), phase(WHOLE, "PTV_60", 60.0, 25, 25)
    both = phase(WHOLE, "x", 1.0, 25, 25, targets=outer.targets + inner.targets)
    form = {"targets": [{"name": "PTV_60", "receives_also": ["PTV_50"]}]}
    totals = {site.name: value(site.delivered_gy) for site in assembled(dossier(phases=(both,)), form).sites}
    assert totals == {"PTV_50": 50.0, "PTV_60": 60.0}


def test_totals_when_a_target_is_listed_twice_then_it_counts_once_and_a_contradiction_is_not_recorded() -> None:
    once, other = phase(WHOLE, "PTV", 50.0, 25, 25), phase(WHOLE, "PTV", 45.0, 25, 25)
    twice = phase(WHOLE, "x", 1.0, 25, 25, targets=once.targets * 2)
    against = phase(WHOLE, "x", 1.0, 25, 25, targets=once.targets + other.targets)
    assert value(assembled(dossier(phases=(twice,))).sites[0].delivered_gy) == 50.0
    assert assembled(dossier(phases=(against,))).sites[0].delivered_gy is NOT_RECORDED


def test_totals_when_doses_are_of_two_kinds_then_they_are_not_added() -> None:
    photons = phase(WHOLE, "PTV", 40.0, 20, 20)
    protons = phase(BOOST, "PTV", 10.0, 5, 5)
    weighted = [{"name": "PTV", "receives_also": []}]
    target = protons.targets[0]
    protons = phase(
        BOOST,
        "PTV",
        10.0,
        5,
        5,
        targets=(
            Target(
                name="PTV",
                laterality="left",
                prescribed_gy=10.0,
                delivered_gy=10.0,
                dose_per_fraction_gy=target.dose_per_fraction_gy,
                dose_type=DoseType.RBE_WEIGHTED,
            ),
        ),
    )
    sites = assembled(dossier(phases=(photons, protons)), {"targets": weighted}).sites
    assert [(site.dose_type.value, value(site.delivered_gy)) for site in sites] == [
        ("physical", 40.0),
        ("rbe_weighted", 10.0),
    ]


def test_course_when_stopped_before_the_boost_then_its_dose_is_nought_not_unknown() -> None:
    close = Close(plan_uids=(WHOLE, BOOST), outcome="stopped", last_date="20261016", reason="白细胞低")
    phases = (phase(WHOLE, "PTV_Breast_L", 10.0, 4, 4), phase(BOOST, "PTV_Boost_L", 4.0, 2, 0))
    summary = assembled(dossier(close=close, phases=phases))
    assert {site.name: value(site.delivered_gy) for site in summary.sites} == {
        "PTV_Breast_L": 10.0,
        "PTV_Boost_L": 10.0,
    }
    assert not summary.is_all_given
    assert value(summary.status_reason) == Bilingual(zh="白细胞低")
    assert [(fact.key, fact.language) for fact in missing(summary)] == [("status_reason", "en")]


def test_course_when_a_phase_has_no_records_and_nobody_said_stopped_then_it_is_not_recorded() -> None:
    phases = (phase(WHOLE, "PTV_Breast_L", 10.0, 4, 4), phase(BOOST, "PTV_Boost_L", 4.0, 2, 0))
    summary = assembled(dossier(phases=phases))
    assert summary.phases[1].fractions_delivered is NOT_RECORDED
    assert {"delivered_gy", "fractions_delivered"} <= {fact.key for fact in missing(summary)}


def test_course_when_not_closed_then_its_status_is_missing() -> None:
    assert "status" in {fact.key for fact in missing(assembled(dossier(close=None)))}


def test_plans_when_rejected_then_their_phase_is_not_counted() -> None:
    source = dossier()
    rejected = plan(BOOST, "Boost", 2, [], delivery_state=DeliveryState.NOT_DELIVERED)
    summary = assembled(dossier(plans=(source.plans[0], rejected)))
    assert [site.name for site in summary.sites] == ["PTV_Breast_L"]


def test_plan_when_it_may_have_been_delivered_without_records_then_its_fractions_are_not_nought() -> None:
    silent = plan(BOOST, "Boost", 2, [], delivery_state=DeliveryState.UNKNOWN)
    rejected = plan(BOOST, "Boost", 2, [], delivery_state=DeliveryState.NOT_DELIVERED)
    found = [assembled(dossier(plans=(one,))).plans[0].fractions_delivered for one in (silent, rejected)]
    assert [value(fact) for fact in found] == [NOT_RECORDED, 0]


def test_visits_when_plans_run_side_by_side_then_planned_visits_stay_open() -> None:
    source = dossier()
    pairs = [Session(date="20261012", time="090000", fractions=source.sessions[0].fractions * 2)]
    summary = assembled(dossier(sessions=tuple(pairs)))
    assert value(summary.sessions) == 1
    assert summary.planned_sessions is NOT_RECORDED


@pytest.mark.parametrize(
    ("modality", "treatment", "answer"),
    [
        ("brachy", "HDR", "no"),
        ("brachy", "LDR", None),
        ("brachy", "MANUAL", None),
        ("proton", "", "no"),
        ("", "", None),
    ],
)
def test_radioactivity_when_a_source_may_have_stayed_then_a_person_must_say(
    modality: str, treatment: str, answer: str | None
) -> None:
    header = PlanHeader(label="P", brachy_treatment=treatment)
    one = plan(WHOLE, "P", 1, [], modality=modality, held=held(WHOLE, header))
    found = assembled(dossier(plans=(one,))).remains_radioactive
    assert (value(found) if found else None) == answer


def test_regions_when_a_target_names_one_then_its_texts_come_first_and_the_departments_after() -> None:
    words = [text.zh for text in value(assembled(dossier()).call_same_day)]
    assert words == ["手臂肿了", "照过的皮肤破了", "发烧"]


def test_hospital_when_only_dicom_names_it_then_the_other_language_is_missing() -> None:
    summary = assemble_summary(dossier(), software="x", entries=entries_from_mapping(FORM))
    assert value(summary.centre.hospital) == Bilingual(zh="示例医院")
    assert ("centre.hospital", "en") in {(fact.key, fact.language) for fact in missing(summary)}


@pytest.mark.parametrize(
    ("names", "zh", "latin"),
    [
        (["Wang^XiaoDong=王^小东"], "王小东", "Wang XiaoDong"),
        (["王小东"], "王小东", ""),
        (["Wang^XiaoDong", "王^小东"], "王小东", "Wang XiaoDong"),
        (["𠮷^𬎆"], "𠮷𬎆", ""),
    ],
)
def test_name_when_groups_or_spellings_differ_then_both_forms_are_found(names: list[str], zh: str, latin: str) -> None:
    assert person_name(names) == data.PersonName(zh=zh, latin=latin)
    assert person_name(["^^", ""]) is None


def test_draft_when_a_dossier_has_next_to_nothing_then_it_still_prints(typeface: Typeface) -> None:
    empty = dossier(plans=(), phases=(), sessions=(), interruptions=(), instances=(), close=None)
    summary = assemble_summary(empty, software="x")
    content = render_summary(
        summary,
        languages=[Language.ZH, Language.EN],
        audience=Audience.BOTH,
        draft=True,
        created=date(2026, 1, 1),
        number="1",
        typeface=typeface,
    )
    assert "未记录" in "".join(reading.pages(content))
