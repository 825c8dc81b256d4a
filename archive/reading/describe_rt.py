"""Headers of radiotherapy objects: plan, structure set, dose, treatment record, registration."""

from collections.abc import Iterable

from archive.headers import (
    BeamHeader,
    DoseHeader,
    DoseReference,
    FractionGroup,
    GroupBeam,
    PlanHeader,
    RecordedBeam,
    RecordHeader,
    RegistrationHeader,
    Roi,
    StructureSetHeader,
)
from archive.reading.values import Reader

# Where each kind of record keeps its beams (PS3.3 C.8.8.21, C.8.8.26).
_SESSION_SEQUENCES = ("TreatmentSessionBeamSequence", "TreatmentSessionIonBeamSequence")
_DELIVERED_POINTS = ("ControlPointDeliverySequence", "IonControlPointDeliverySequence")
_LEAVES = "MLC"  # MLCX, MLCY; Halcyon has two layers, MLCX1 and MLCX2


def describe_plan(reader: Reader) -> PlanHeader:
    """Read an RT Plan or RT Ion Plan (PS3.3 A.20, A.49)."""
    beams = (*reader.items("BeamSequence"), *reader.items("IonBeamSequence"))
    return PlanHeader(
        label=reader.text("RTPlanLabel"),
        name=reader.text("RTPlanName"),
        date=reader.text("RTPlanDate"),
        time=reader.text("RTPlanTime"),
        intent=reader.text("PlanIntent"),
        approval=reader.text("ApprovalStatus"),
        review_date=reader.text("ReviewDate"),
        geometry=reader.text("RTPlanGeometry"),
        description=reader.text("RTPlanDescription"),
        prescription=reader.text("PrescriptionDescription"),
        sites=reader.texts("TreatmentSites"),
        patient_positions=_each_once(item.text("PatientPosition") for item in reader.items("PatientSetupSequence")),
        brachy_treatment=reader.text("BrachyTreatmentType"),
        structure_set_uids=reader.references("ReferencedStructureSetSequence"),
        dose_uids=reader.references("ReferencedDoseSequence"),
        replaces=_related(reader, replaced=True),
        related_plan_uids=_related(reader, replaced=False),
        dose_references=tuple(map(_dose_reference, reader.items("DoseReferenceSequence"))),
        fraction_groups=tuple(map(_fraction_group, reader.items("FractionGroupSequence"))),
        beams=tuple(map(_beam, beams)),
    )


def _related(reader: Reader, *, replaced: bool) -> tuple[str, ...]:
    # PS3.3 C.8.8.9: PREDECESSOR was used in the derivation of this plan. PRIOR is only a plan delivered earlier, such
    # as the first phase before its boost: as a revision, the planned fractions of both would count as one.
    found = []
    for item in reader.items("ReferencedRTPlanSequence"):
        is_predecessor = item.text("RTPlanRelationship") == "PREDECESSOR"
        if is_predecessor is replaced:
            found.append(item.text("ReferencedSOPInstanceUID"))
    return _each_once(found)


def _dose_reference(item: Reader) -> DoseReference:
    return DoseReference(
        number=item.integer("DoseReferenceNumber") or 0,
        structure_type=item.text("DoseReferenceStructureType"),
        type=item.text("DoseReferenceType"),
        description=item.text("DoseReferenceDescription"),
        roi_number=item.integer("ReferencedROINumber"),
        target_prescription_gy=item.number("TargetPrescriptionDose"),
        delivery_maximum_gy=item.number("DeliveryMaximumDose"),
    )


def _fraction_group(item: Reader) -> FractionGroup:
    beams = [
        GroupBeam(
            beam_number=beam.integer("ReferencedBeamNumber") or 0,
            meterset=beam.number("BeamMeterset"),
            dose_gy=beam.number("BeamDose"),
        )
        for beam in item.items("ReferencedBeamSequence")
    ]
    setups = [
        GroupBeam(
            beam_number=setup.integer("ReferencedBrachyApplicationSetupNumber") or 0,
            dose_gy=setup.number("BrachyApplicationSetupDose"),
        )
        for setup in item.items("ReferencedBrachyApplicationSetupSequence")
    ]
    numbers = (
        reference.integer("ReferencedDoseReferenceNumber")
        for reference in item.items("ReferencedDoseReferenceSequence")
    )
    return FractionGroup(
        number=item.integer("FractionGroupNumber") or 0,
        fractions_planned=item.integer("NumberOfFractionsPlanned"),
        beams=tuple(beams + setups),
        dose_reference_numbers=tuple(number for number in numbers if number is not None),
    )


def _beam(item: Reader) -> BeamHeader:
    points = (*item.items("ControlPointSequence"), *item.items("IonControlPointSequence"))
    energies = (energy for point in points if (energy := point.number("NominalBeamEnergy")) is not None)
    angles = [angle for point in points if (angle := point.number("GantryAngle")) is not None]
    fluence = next(item.items("PrimaryFluenceModeSequence"), None)
    jaws, leaves = _device_positions(points)
    return BeamHeader(
        number=item.integer("BeamNumber") or 0,
        name=item.text("BeamName"),
        delivery_type=item.text("TreatmentDeliveryType"),
        radiation=item.text("RadiationType"),
        beam_type=item.text("BeamType"),
        ion_name=_ion(item),
        energies=tuple(dict.fromkeys(energies)),
        fluence_mode=(fluence.text("FluenceModeID") or fluence.text("FluenceMode")) if fluence else "",
        machine=item.text("TreatmentMachineName"),
        meterset_unit=item.text("PrimaryDosimeterUnit"),
        control_points=len(points),
        gantry_moves=len(set(angles)) > 1,
        leaves_move=len(leaves) > 1,
        jaws_move=len(jaws) > 1,
        has_leaves=bool(leaves),
        scan_mode=item.text("ScanMode"),
        gantry_start_deg=angles[0] if angles else None,
        gantry_stop_deg=angles[-1] if angles else None,
        isocentre_mm=next((place for point in points[:1] if (place := point.numbers("IsocenterPosition"))), ()),
    )


def _ion(item: Reader) -> str:
    """Name an ion by its atomic number: RadiationType says only ION (PS3.3 C.8.8.25)."""
    number = item.integer("RadiationAtomicNumber")
    return {1: "H", 2: "He", 6: "C", 8: "O"}.get(number or 0, "")


def _device_positions(points: tuple[Reader, ...]) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Return the distinct settings of jaws and of leaves over all control points."""
    jaws: set[tuple[str, ...]] = set()
    leaves: set[tuple[str, ...]] = set()
    for point in points:
        for device in point.items("BeamLimitingDevicePositionSequence"):
            name = device.text("RTBeamLimitingDeviceType")
            setting = (name, *map(str, device.numbers("LeafJawPositions")))
            (leaves if name.startswith(_LEAVES) else jaws).add(setting)
    # One device of each kind may stand still: what counts is whether any has more than one setting.
    return _moving(jaws), _moving(leaves)


def _moving(settings: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    by_device: dict[str, set[tuple[str, ...]]] = {}
    for setting in settings:
        by_device.setdefault(setting[0], set()).add(setting)
    return max(by_device.values(), key=len, default=set())


def describe_structures(reader: Reader) -> StructureSetHeader:
    """Read an RT Structure Set (PS3.3 A.19), contours counted but not read."""
    frames = list(reader.items("ReferencedFrameOfReferenceSequence"))
    studies = [study for frame in frames for study in frame.items("RTReferencedStudySequence")]
    series = [one for study in studies for one in study.items("RTReferencedSeriesSequence")]
    types = {
        item.integer("ReferencedROINumber"): item.text("RTROIInterpretedType")
        for item in reader.items("RTROIObservationsSequence")
    }
    contours = {
        item.integer("ReferencedROINumber"): sum(1 for _ in item.items("ContourSequence"))
        for item in reader.items("ROIContourSequence")
    }
    rois = list(reader.items("StructureSetROISequence"))
    frame_uids = [frame.text("FrameOfReferenceUID") for frame in frames]
    frame_uids += [roi.text("ReferencedFrameOfReferenceUID") for roi in rois]
    return StructureSetHeader(
        label=reader.text("StructureSetLabel"),
        date=reader.text("StructureSetDate"),
        frame_uids=_each_once(frame_uids),
        series_uids=_each_once(one.text("SeriesInstanceUID") for one in series),
        image_uids=_each_once(uid for one in series for uid in one.references("ContourImageSequence")),
        rois=tuple(
            Roi(
                number=number,
                name=roi.text("ROIName"),
                interpreted_type=types.get(number, ""),
                contours=contours.get(number, 0),
            )
            for roi in rois
            if (number := roi.integer("ROINumber")) is not None
        ),
    )


def describe_dose(reader: Reader) -> DoseHeader:
    """Read an RT Dose (PS3.3 C.8.8.3, C.8.8.4)."""
    plans = list(reader.items("ReferencedRTPlanSequence"))
    groups = [group for plan in plans for group in plan.items("ReferencedFractionGroupSequence")]
    beams = [beam for group in groups for beam in group.items("ReferencedBeamSequence")]
    numbers = (beam.integer("ReferencedBeamNumber") for beam in beams)
    rois = (
        reference.integer("ReferencedROINumber")
        for dvh in reader.items("DVHSequence")
        for reference in dvh.items("DVHReferencedROISequence")
    )
    return DoseHeader(
        summation_type=reader.text("DoseSummationType"),
        type=reader.text("DoseType"),
        units=reader.text("DoseUnits"),
        comment=reader.text("DoseComment"),
        plan_uids=reader.references("ReferencedRTPlanSequence"),
        structure_set_uids=reader.references("ReferencedStructureSetSequence"),
        fraction_group_number=groups[0].integer("ReferencedFractionGroupNumber") if groups else None,
        beam_numbers=tuple(number for number in numbers if number is not None),
        rows=reader.integer("Rows") or 0,
        columns=reader.integer("Columns") or 0,
        frames=reader.integer("NumberOfFrames") or 1,
        has_pixels=bool(reader.integer("Rows")),
        dvh_rois=tuple(dict.fromkeys(number for number in rois if number is not None)),
    )


def describe_record(reader: Reader) -> RecordHeader:
    """Read a treatment record of any kind (PS3.3 A.29 to A.31, A.50)."""
    sessions = [item for keyword in _SESSION_SEQUENCES for item in reader.items(keyword)]
    machine = next(reader.items("TreatmentMachineSequence"), None)
    return RecordHeader(
        type=reader.text("Modality"),
        date=reader.text("TreatmentDate"),
        time=reader.text("TreatmentTime"),
        plan_uids=reader.references("ReferencedRTPlanSequence"),
        fraction_group_number=reader.integer("ReferencedFractionGroupNumber"),
        fractions_planned=reader.integer("NumberOfFractionsPlanned"),
        machine=machine.text("TreatmentMachineName") if machine else "",
        beams=tuple(map(_recorded_beam, sessions)) + tuple(_brachy_sessions(reader)),
        treatment_status=reader.text("CurrentTreatmentStatus"),
        first_treatment_date=reader.text("FirstTreatmentDate"),
        last_treatment_date=reader.text("MostRecentTreatmentDate"),
    )


def _recorded_beam(item: Reader) -> RecordedBeam:
    return RecordedBeam(
        beam_number=item.integer("ReferencedBeamNumber") or 0,
        name=item.text("BeamName"),
        fraction_number=item.integer("CurrentFractionNumber"),
        delivery_type=item.text("TreatmentDeliveryType"),
        termination=item.text("TreatmentTerminationStatus"),
        specified_meterset=item.number("SpecifiedPrimaryMeterset"),
        delivered_meterset=_delivered_meterset(item),
        energy=_energy(item),
    )


def _energy(item: Reader) -> float | None:
    """Read the energy a beam began with; the control points after it tell it only where it changes."""
    for keyword in _DELIVERED_POINTS:
        first = next(iter(item.items(keyword)), None)
        if first is not None:
            return first.number("NominalBeamEnergy")
    return None


def _delivered_meterset(item: Reader) -> float | None:
    """Read the meterset of a whole beam; it is optional (type 3), and the last control point tells it as well."""
    whole = item.number("DeliveredPrimaryMeterset")
    if whole is not None:
        return whole
    points = (*item.items("ControlPointDeliverySequence"), *item.items("IonControlPointDeliverySequence"))
    told = [meterset for point in points if (meterset := point.number("DeliveredMeterset")) is not None]
    return max(told, default=None)


def _brachy_sessions(reader: Reader) -> list[RecordedBeam]:
    return [
        RecordedBeam(
            beam_number=item.integer("ReferencedBrachyApplicationSetupNumber") or 0,
            name=item.text("ApplicationSetupName"),
            fraction_number=item.integer("CurrentFractionNumber"),
            delivery_type=item.text("TreatmentDeliveryType"),
            termination=item.text("TreatmentTerminationStatus"),
        )
        for item in reader.items("TreatmentSessionApplicationSetupSequence")
    ]


def describe_registration(reader: Reader) -> RegistrationHeader:
    """Read a Spatial or Deformable Spatial Registration (PS3.3 C.20.2, C.20.3)."""
    is_deformable = reader.has("DeformableRegistrationSequence")
    items = list(reader.items("DeformableRegistrationSequence" if is_deformable else "RegistrationSequence"))
    frames = [reader.text("FrameOfReferenceUID")]
    for item in items:
        frames += [item.text("FrameOfReferenceUID"), item.text("SourceFrameOfReferenceUID")]
    series = (one.text("SeriesInstanceUID") for one in reader.items("ReferencedSeriesSequence"))
    return RegistrationHeader(
        is_deformable=is_deformable, frame_uids=_each_once(frames), series_uids=_each_once(series)
    )


def _each_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, values)))
