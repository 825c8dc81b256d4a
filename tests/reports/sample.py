"""A factory of fictional summaries: obviously made-up people, plausible numbers."""

from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from reports.facts import NOT_RECORDED, Bilingual, Fact, Origin, Source
from reports.summary import (
    Answer,
    BeamFacts,
    Centre,
    Contact,
    CourseSummary,
    Diagnosis,
    DoseType,
    EarlierRadiation,
    FollowUp,
    Implant,
    Intent,
    InterruptionFacts,
    LateEffect,
    Modality,
    OrganDose,
    PatientIdentity,
    PersonName,
    PhaseFacts,
    PlanFacts,
    Side,
    SideEffect,
    SiteTotal,
    Status,
    TargetDose,
)

T = TypeVar("T")


def fact(value: T, origin: Origin = Origin.ENTERED, detail: str = "") -> Fact[T]:
    return Fact(value=value, source=Source(origin=origin, detail=detail))


def both(zh: str, en: str) -> Bilingual:
    return Bilingual(zh=zh, en=en)


def target(**changes: Any) -> TargetDose:
    values: dict[str, Any] = {
        "name": "PTV_Breast_L",
        "words": fact(both("左侧乳房", "left breast")),
        "side": fact(Side.LEFT),
        "prescribed_gy": fact(40.05, Origin.DICOM, "RT Plan"),
        "delivered_gy": fact(40.05, Origin.COMPUTED, "15 x 2.67 Gy"),
        "per_fraction_gy": fact(2.67, Origin.COMPUTED),
        "dose_type": DoseType.PHYSICAL,
    }
    return TargetDose(**(values | changes))


def phase(**changes: Any) -> PhaseFacts:
    values: dict[str, Any] = {
        "number": 1,
        "targets": (target(),),
        "fractions_planned": fact(15, Origin.DICOM),
        "fractions_delivered": fact(15, Origin.RECORDS),
        "fraction_equivalents": fact(15.0, Origin.RECORDS),
        "fractions_per_day": fact(1, Origin.RECORDS),
        "plan_labels": ("Breast_L",),
    }
    return PhaseFacts(**(values | changes))


def plan(**changes: Any) -> PlanFacts:
    values: dict[str, Any] = {
        "uid": "1.2.826.0.1.3680043.8.498.1",
        "label": "Breast_L",
        "date": fact(date(2026, 10, 8), Origin.DICOM),
        "approval": fact("APPROVED", Origin.DICOM),
        "machine": fact("LINAC_2", Origin.DICOM),
        "modality": fact(Modality.PHOTON, Origin.DICOM),
        "technique": fact("VMAT", Origin.INFERRED),
        "energies": fact(("6 MV",), Origin.DICOM),
        "delivery_state": "delivered",
        "fractions_planned": fact(15, Origin.DICOM),
        "fractions_delivered": fact(15, Origin.RECORDS),
        "beams": (
            BeamFacts(number=1, name="Arc 1", energy="6 MV", meterset=211.4, meterset_unit="MU"),
            BeamFacts(number=2, name="Arc 2", energy="6 MV", meterset=198.0, meterset_unit="MU"),
        ),
    }
    return PlanFacts(**(values | changes))


def site(**changes: Any) -> SiteTotal:
    values: dict[str, Any] = {
        "name": "PTV_Breast_L",
        "words": fact(both("左侧乳房", "left breast")),
        "side": fact(Side.LEFT),
        "planned_gy": fact(40.05, Origin.DICOM, "RT Plan Breast_L"),
        "delivered_gy": fact(40.05, Origin.COMPUTED, "15 x 2.67 Gy"),
        "dose_type": DoseType.PHYSICAL,
    }
    return SiteTotal(**(values | changes))


def summary(**changes: Any) -> CourseSummary:
    """A complete breast course with a boost: every mandatory fact is there."""
    bed = both("原来长肿块的地方", "place where the lump was")
    values: dict[str, Any] = {
        "dossier_id": "mfzwizltoq4tqnrw",
        "patient": PatientIdentity(
            name=fact(PersonName(zh="王小东", latin="Wang XiaoDong"), Origin.DICOM),
            hospital_number=fact("TEST-0042", Origin.DICOM),
            birth_date=fact(date(1961, 3, 9), Origin.DICOM),
            sex=fact("F", Origin.DICOM),
        ),
        "centre": Centre(
            hospital=fact(both("示例医院", "Example Hospital"), Origin.DEPARTMENT),
            department=fact(both("放疗科", "Radiotherapy"), Origin.DEPARTMENT),
            doctor=fact(both("示例医生", "Dr Example")),
        ),
        "diagnosis": fact(
            Diagnosis(
                words=both("左侧乳腺癌", "cancer of the left breast"),
                is_malignant=True,
                is_told=True,
                icd10="C50.4",
                stage="pT1c pN0 M0",
                histology="NST",
            )
        ),
        "intent": fact(Intent.ADJUVANT, Origin.DICOM),
        "first_date": fact(date(2026, 10, 12), Origin.RECORDS),
        "last_date": fact(date(2026, 11, 9), Origin.RECORDS),
        "status": fact(Status.COMPLETED, Origin.ENTERED, "test-doctor"),
        "status_reason": NOT_RECORDED,
        "sessions": fact(20, Origin.RECORDS),
        "planned_sessions": fact(20, Origin.COMPUTED),
        "fractions_planned": fact(20, Origin.DICOM),
        "fractions_delivered": fact(20, Origin.RECORDS),
        "modalities": fact((Modality.PHOTON,), Origin.DICOM),
        "techniques": fact(("VMAT", "3D-CRT"), Origin.INFERRED),
        "phases": (
            phase(),
            phase(
                number=2,
                targets=(
                    target(
                        name="PTV_Boost",
                        words=fact(bed),
                        prescribed_gy=fact(10.0),
                        delivered_gy=fact(10.0),
                        per_fraction_gy=fact(2.0),
                    ),
                ),
                fractions_planned=fact(5, Origin.DICOM),
                fractions_delivered=fact(5, Origin.RECORDS),
                fraction_equivalents=fact(5.0, Origin.RECORDS),
                plan_labels=("Boost_L",),
            ),
        ),
        "sites": (
            site(),
            site(name="PTV_Boost", words=fact(bed), planned_gy=fact(50.05), delivered_gy=fact(50.05, Origin.COMPUTED)),
        ),
        "plans": (
            plan(),
            plan(
                uid="1.2.826.0.1.3680043.8.498.2",
                label="Boost_L",
                technique=fact("3D-CRT", Origin.INFERRED),
                fractions_planned=fact(5),
                fractions_delivered=fact(5, Origin.RECORDS),
                beams=(BeamFacts(number=1, name="AP", energy="6 MV", meterset=120.5, meterset_unit="MU"),),
            ),
        ),
        "interruptions": (
            InterruptionFacts(
                last_before=date(2026, 10, 13),
                first_after=date(2026, 10, 15),
                weekdays_missed=1,
                reason=fact(both("机器维修", "the machine was being fixed")),
                was_made_up=fact(True),
            ),
        ),
        "organ_doses": (
            OrganDose(
                name="Heart",
                words=both("心脏", "heart"),
                mean_gy=fact(1.87, Origin.COMPUTED, "DVH"),
                max_gy=fact(14.2, Origin.COMPUTED, "DVH"),
                dose_type=DoseType.PHYSICAL,
                is_for_patient=True,
                basis="planned",
            ),
        ),
        "remains_radioactive": fact(Answer.NO, Origin.INFERRED, "photon"),
        "source_safety": NOT_RECORDED,
        "earlier_radiation": fact(EarlierRadiation(answer=Answer.NO)),
        "implant": fact(Implant(answer=Answer.NO)),
        "drugs": fact(both("无", "none")),
        "side_effects": fact(
            (
                SideEffect(
                    words=both("照过的皮肤可能发红、发干或者疼", "Your skin may be red, dry or sore"),
                    term="dermatitis radiation",
                    grade=1,
                ),
                SideEffect(
                    words=both("可能觉得累，四到六个星期会好起来", "You may feel tired for four to six weeks"),
                    term="fatigue",
                    grade=1,
                ),
            )
        ),
        "late_effects": fact(
            (
                LateEffect(
                    words=both("乳房可能变硬或变小", "The breast may feel firm or look smaller"), organ="Breast_L"
                ),
                LateEffect(
                    words=both("手臂可能肿，可能咳嗽", "Your arm may swell; you may get a cough"), organ="Lung_L"
                ),
                LateEffect(
                    words=both("得心脏病的机会可能高一点", "Your risk of heart disease may go up a little"),
                    organ="Heart",
                    test=both("每年量血压", "blood pressure once a year"),
                ),
            )
        ),
        "call_same_day": fact(
            (
                both("皮肤破了", "your skin breaks open"),
                both("发烧", "you have a fever"),
                both("手臂肿了", "your arm swells"),
            )
        ),
        "call_emergency": fact((both("胸口疼", "you have chest pain"), both("喘不上气", "you cannot breathe well"))),
        "follow_up": fact(
            (
                FollowUp(
                    words=both("来放疗科复查", "Come to see us"),
                    on=date(2026, 12, 7),
                    who=both("放疗科", "radiotherapy department"),
                ),
                FollowUp(
                    words=both("每年做一次乳房X光检查", "Have a breast X-ray once a year"),
                    who=both("乳腺外科", "breast surgery"),
                ),
            )
        ),
        "contact": fact(
            Contact(
                day_phone="027-5550-0123",
                night_phone="027-5550-0199",
                hours=both("周一到周五，上午8点到下午5点", "Monday to Friday, 8 am to 5 pm"),
            ),
            Origin.DEPARTMENT,
        ),
        "software": "Lastgate test",
        "intent_words": NOT_RECORDED,
    }
    return CourseSummary(**(values | changes))


def named(zh: str, latin: str = "") -> CourseSummary:
    """The sample under another name."""
    sample = summary()
    return replace(sample, patient=replace(sample.patient, name=fact(PersonName(zh=zh, latin=latin), Origin.DICOM)))


def composite(**changes: Any) -> dict[str, Any]:
    """What `lastgate composite --json` prints: two courses, one of them on paper only."""

    def figure(value: float | None, lo: float, hi: float) -> dict[str, float | None]:
        return {"value": value, "lo": lo, "hi": hi}

    doses = ("max_gy", "mean_gy", "d0_03cc_gy", "d0_1cc_gy", "d1cc_gy", "d2cc_gy")
    cord = {name: figure(38.4 - place, 38.1 - place, 38.9 - place) for place, name in enumerate(doses)}
    lung = {name: figure(None, 12.0 + place, 21.5 + place) for place, name in enumerate(doses)}
    values: dict[str, Any] = {
        "patient": {
            "ids": [{"value": "TEST-0042", "issuer": "EXAMPLE", "kind": ""}],
            "name": "Wang^XiaoDong=王^小东",
            "names": [],
            "birth_date": "1961-03-09",
            "sex": "F",
        },
        "as_of": "2026-11-10",
        "status": {"state": "draft", "by": None, "at": None},
        "complete": False,
        "onto": "1.2.826.0.1.3680043.8.498.77",
        "courses": [
            {
                "dossier": "mfzwizltoq4tqnrw",
                "state": "sealed",
                "first_fraction": "2026-10-12",
                "last_fraction": "2026-11-09",
                "interval_days": 2310,
                "overlap_class": "overlap",
                "recovery": None,
                "reason_not_summed": None,
                "plans": [
                    {
                        "uid": "1.2.826.0.1.3680043.8.498.1",
                        "label": "Breast_L",
                        "delivery_state": "delivered",
                        "fractions": {"planned": 15, "delivered": 14.6},
                        "source": "stored",
                        "credential": None,
                        "registration": {"kind": "same frame", "source": "frame of reference", "quality": None},
                    }
                ],
            },
            {
                "dossier": "aaaabbbbccccdddd",
                "state": "sealed",
                "first_fraction": "2020-06-01",
                "last_fraction": "2020-07-10",
                "interval_days": None,
                "overlap_class": "unknown",
                "recovery": None,
                "reason_not_summed": "paper only: no dose grid",
                "plans": [],
            },
        ],
        "structures": [
            {
                "name": "SpinalCord",
                "alpha_beta_gy": 2.0,
                "physical": {**cord, "unknown_cc": 0.0, "v": [{"gy": 20.0, "cc": figure(5.25, 5.1, 5.4)}]},
                "eqd2": {**cord, "unknown_cc": 0.0},
            },
            {
                "name": "Lung_L",
                "alpha_beta_gy": 3.0,
                "physical": {**lung, "unknown_cc": 41.25, "v": [{"gy": 20.0, "cc": figure(None, 0.0, 44.5)}]},
                "eqd2": None,
            },
        ],
        "remaining": [{"structure": "SpinalCord", "limit_gy": 50.0, "remaining_gy": 11.6}],
        "warnings": ["One course is on paper only; the sum is incomplete."],
        "files": {},
    }
    return values | changes


def answered(**changes: Any) -> dict[str, Any]:
    """What `lastgate composite --json` prints where everything was asked for: several structures, effect, warnings."""
    body = composite()
    (plan,) = body["courses"][0]["plans"]
    quality = {
        "tre_mean_mm": 1.4, "tre_max_mm": 2.6, "landmarks": 12, "jacobian_least": 0.82, "jacobian_most": 1.31,
        "dice": [["SpinalCord", 0.91], ["Lung_L", 0.97]], "inverse_consistency_mm": 0.9,
    }  # fmt: skip
    moved = {"kind": "deformable", "source": "1.2.826.0.1.3680043.8.498.9.1", "quality": quality}
    earlier = {
        **plan, "label": "Mediastinum_50", "fractions": {"planned": 25, "delivered": 25}, "scaling": 1.0,
        "registration": {**moved, "approved": True, "approved_by": "physicist"},
    }  # fmt: skip
    body["courses"].insert(1, {**body["courses"][0], "dossier": "earliercourseaa", "plans": [earlier]})
    doses = [float(dose) for dose in range(0, 61, 3)]
    falling = [max(0.0, 40.0 - dose * dose / 60) for dose in doses]
    higher = [min(40.0, cc + 3.0) if cc else 0.5 for cc in falling]
    curve = {"dose_gy": doses, "lo_cc": falling, "hi_cc": higher}
    one_course = {"dose_gy": doses, "lo_cc": [cc / 2 for cc in falling], "hi_cc": [cc / 2 for cc in falling]}
    varied = {"lo": 36.1, "nominal": 38.4, "hi": 44.0, "lo_by": "shift_3mm", "hi_by": "alpha_beta"}
    radii = [{"mm": 3.0, "anywhere_gy": 52.4, "same_structure_gy": 41.3}]
    searched = {"radii": radii, "sum_of_maxima_gy": 47.2}
    cord = body["structures"][0]
    cord |= {
        "volume_cc": 40.0,
        "tissue": {"alpha_beta_gy": 2.0, "source": "HyTEC 2019 (original, 1)"},
        "eqd2_lql": cord["eqd2"],
        "by_course": [{"dossier": one["dossier"], "curve": one_course} for one in body["courses"][:2]],
        "ensemble": {"physical": {"max_gy": varied}, "eqd2": {"d0_1cc_gy": varied}},
        "search_radius": {"physical": searched, "eqd2": None},
        "curve": curve,
    }
    others = [
        {**cord, "name": name, "curve": curve}
        for name in ("Esophagus", "Heart", "Brachial_Plex_L_PRV_with_a_long_name")
    ]
    body["structures"] += others
    alternatives = [
        {"recovery": None, "used_eqd2_gy": 45.0, "remaining_eqd2_gy": 5.0, "remaining_physical_gy": 6.18},
        {"recovery": "UMich", "used_eqd2_gy": 33.75, "remaining_eqd2_gy": 16.25, "remaining_physical_gy": 13.71},
    ]
    limit = {"structure": "SpinalCord", "metric": "D0.1cc[Gy]", "limit_gy": 50.0, "alpha_beta_gy": 2.0}
    body["remaining"] = [{**limit, "alternatives": alternatives}]
    body["asked"] = {"fractions": 5, "limits": "standard"}
    body["codes"] = [
        {
            "code": "LG-CMP-001",
            "words": "INCOMPLETE: a dose is missing.",
            "words_zh": "不完整：缺少剂量。",
            "fix": "Find it.",
            "fix_zh": "请找到它。",
        }
    ]
    (figure,) = {"Max[Gy]": dict.fromkeys(("before", "alone", "after"), cord["eqd2"]["max_gy"])}.items()
    limits = [
        {
            "metric": "D0.1cc[Gy]", "at_most": 50.0, "at_least": None, "quantity": "eqd2", "alpha_beta_gy": 2.0,
            "source": "HyTEC", "state": "kept", "figures": figure[1],
        }
    ]  # fmt: skip
    rows = [{"name": "SpinalCord", "physical": dict([figure]), "eqd2": dict([figure]), "limits": limits}]
    body["candidate"] = {"label": "Boost", "structures": rows}
    body["assumptions"] = [{"code": "interpolation"}, {"code": "no-recovery"}]
    body["provenance"] = {
        "software": {"Lastgate": "0.1.0"},
        "data_files": [{"name": "limits", "version": "2026-11-01"}],
        "instances": [{"role": "dose", "uid": "1.2.826.0.1.3680043.8.498.1.1", "sha256": "ab" * 32}],
    }
    return body | changes
