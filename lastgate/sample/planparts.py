"""Parts of RT Plan and RT Ion Plan that are the same in both: prescription, fraction group, set-up, approval."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, RTStructureSetStorage

from lastgate.sample.dicomfile import PHYSICIAN, PHYSICIST, Series, Study, coded, dataset_of, new_object, reference
from lastgate.sample.structures import structure_set_uid
from lastgate.sample.treatment import Arc, CourseSpec, Machine, PlanSpec, ScanField

SETUP_BEAM = 9


def plan_uid(study: Study, key: str) -> UID:
    """SOP Instance UID of a plan."""
    return study.uid("rtplan", key)


def new_plan(study: Study, course: CourseSpec, plan: PlanSpec) -> Dataset:
    """A plan without its beams."""
    series = Series(
        key="rtplan", number=3, modality="RTPLAN", description="Treatment plans", date=plan.date, time="141500",
        model="Sample TPS",
    )  # fmt: skip
    ds = new_object(study, series, plan.sop_class, key=plan.key)
    ds.InstanceNumber = 1 + [p.key for p in course.plans].index(plan.key)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = study.frame_uid, ""
    ds.RTPlanLabel, ds.RTPlanName = plan.label, plan.label
    ds.RTPlanDescription = "Fictional sample plan"
    ds.RTPlanDate, ds.RTPlanTime = plan.date, "141500"
    ds.PlanIntent, ds.RTPlanGeometry = plan.intent, "PATIENT"
    # (300A,000B) is retired in favour of (3010,0077); planning systems in use write the one or the other
    ds.TreatmentSites = ds.TreatmentSite = plan.site.text
    ds.TreatmentSiteCodeSequence = [coded(plan.site.code, plan.site.meaning)]
    if plan.site.text.startswith("Left"):
        ds.TreatmentSiteCodeSequence[0].TreatmentSiteModifierCodeSequence = [coded("7771000", "Left")]
    ds.PrescriptionDescription = plan.description
    ds.DoseReferenceSequence = _prescription(study, course, plan)
    ds.FractionGroupSequence = [_fraction_group(course, plan)]
    ds.PatientSetupSequence = [
        dataset_of(
            PatientSetupNumber=1, PatientPosition="HFS", SetupTechnique="ISOCENTRIC", SetupTechniqueDescription=""
        )
    ]
    ds.ReferencedStructureSetSequence = [reference(RTStructureSetStorage, structure_set_uid(study))]
    if plan.prior is not None:
        earlier = reference(plan.sop_class, plan_uid(study, plan.prior))
        earlier.RTPlanRelationship = "PRIOR"
        ds.ReferencedRTPlanSequence = [earlier]
    ds.ApprovalStatus, ds.ReviewDate, ds.ReviewTime = "APPROVED", plan.date, "164000"
    ds.ReviewerName = study.person.in_own_script(*PHYSICIAN)
    ds.OperatorsName = study.person.in_own_script(*PHYSICIST)
    return ds


def iso_in_image(course: CourseSpec, plan: PlanSpec) -> list[str]:
    """Isocentre in the frame of reference of the plan, as DS."""
    return [f"{v:.2f}" for v in course.placement.to_image(plan.isocentre)]


def start_beam(beam: Arc | ScanField, machine: Machine, study: Study) -> Dataset:
    """What photon and ion beams have in common."""
    return dataset_of(
        Manufacturer="Lastgate Sample", ManufacturerModelName=machine.model, DeviceSerialNumber=machine.serial,
        InstitutionName=study.person.in_own_script("样例医院 Sample Hospital", "Sample Hospital"),
        TreatmentMachineName=machine.name, PrimaryDosimeterUnit="MU", BeamNumber=beam.number, BeamName=beam.name,
        TreatmentDeliveryType="TREATMENT", NumberOfWedges=0, NumberOfCompensators=0, NumberOfBoli=0, NumberOfBlocks=0,
        ReferencedPatientSetupNumber=1,
    )  # fmt: skip


def _prescription(study: Study, course: CourseSpec, plan: PlanSpec) -> list[Dataset]:
    """Dose References: a volume for each target, then the limits of the organs at risk."""
    found = []
    for number, rx in enumerate(plan.prescriptions, start=1):
        found.append(
            dataset_of(
                DoseReferenceNumber=number, DoseReferenceUID=study.uid("dose-reference", plan.key, rx.target),
                DoseReferenceStructureType="VOLUME", DoseReferenceDescription=rx.target,
                ReferencedROINumber=course.roi_number(rx.target), DoseReferenceType="TARGET",
                TargetMinimumDose=f"{0.95 * rx.dose_gy:.2f}", TargetPrescriptionDose=f"{rx.dose_gy:.2f}",
                DeliveryMaximumDose=f"{rx.dose_gy:.2f}",
            )
        )  # fmt: skip
    for number, limit in enumerate(plan.limits, start=len(found) + 1):
        found.append(
            dataset_of(
                DoseReferenceNumber=number, DoseReferenceUID=study.uid("dose-reference", plan.key, limit.organ),
                DoseReferenceStructureType="VOLUME", DoseReferenceDescription=limit.organ,
                ReferencedROINumber=course.roi_number(limit.organ), DoseReferenceType="ORGAN_AT_RISK",
                OrganAtRiskMaximumDose=f"{limit.max_gy:.2f}",
            )
        )  # fmt: skip
    return found


def _fraction_group(course: CourseSpec, plan: PlanSpec) -> Dataset:
    """One fraction group with all beams, the set-up beam at 0 MU among them."""
    group = dataset_of(
        FractionGroupNumber=1, NumberOfFractionsPlanned=plan.fractions, NumberOfFractionPatternDigitsPerDay=1,
        RepeatFractionCycleLength=1, FractionPattern="1111100", NumberOfBrachyApplicationSetups=0,
    )  # fmt: skip
    group.ReferencedDoseReferenceSequence = [
        dataset_of(ReferencedDoseReferenceNumber=number, TargetPrescriptionDose=f"{rx.dose_gy:.2f}")
        for number, rx in enumerate(plan.prescriptions, start=1)
    ]
    x, y, z = plan.isocentre
    at_iso = float(plan.dose.dose_gy(np.array(x), np.array(y), np.array(z))) / plan.fractions
    beams = []
    for beam in plan.beams:
        beams.append(
            dataset_of(
                ReferencedBeamNumber=beam.number, BeamDoseSpecificationPoint=iso_in_image(course, plan),
                BeamDose=f"{at_iso * beam.meterset / plan.meterset:.5f}",
                BeamDoseType="EFFECTIVE" if plan.is_proton else "PHYSICAL", BeamMeterset=f"{beam.meterset:.2f}",
            )
        )  # fmt: skip
        if not plan.is_proton:
            del beams[-1].BeamDoseType
    beams.append(dataset_of(ReferencedBeamNumber=SETUP_BEAM, BeamMeterset="0"))
    group.NumberOfBeams, group.ReferencedBeamSequence = len(beams), beams
    return group
