"""Treatment records of the sample patients: what the machine says it gave, fraction by fraction."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, RTBeamsTreatmentRecordStorage, RTIonBeamsTreatmentRecordStorage

from lastgate.sample.dicomfile import THERAPIST, Series, Study, dataset_of, new_object, reference, save, set_singles
from lastgate.sample.ionplans import energy_layers, still_at
from lastgate.sample.planparts import plan_uid
from lastgate.sample.plans import (
    arc_angles,
    arc_weights,
    collimator_position,
    jaw_positions,
    leaf_positions,
    limiting_devices,
)
from lastgate.sample.schedule import Delivery
from lastgate.sample.solids import Floats
from lastgate.sample.treatment import Arc, PlanSpec, ScanField

_SECONDS_A_BEAM = 95.0
_SNAPSHOTS = 6


def write_record(path: Path, study: Study, plan: PlanSpec, delivery: Delivery, *, number: int) -> UID:
    """Write the record of one delivery; returns its SOP Instance UID.

    Parameters
    ----------
    number
        Instance Number, counted over the records of the course.
    """
    sop_class = RTIonBeamsTreatmentRecordStorage if plan.is_proton else RTBeamsTreatmentRecordStorage
    series = Series(
        key=f"rtrecord-{plan.key}", number=5, modality="RTRECORD", description="Treatment records",
        date=delivery.date, time=delivery.time, model=plan.machine.model,
    )  # fmt: skip
    ds = new_object(study, series, sop_class, key=f"{delivery.date}{delivery.time}")
    # Series Date is the first day of the series, equal in all its instances
    ds.SeriesDate, ds.SeriesTime = plan.deliveries[0].date, plan.deliveries[0].time
    ds.OperatorsName, ds.InstanceNumber = study.person.in_own_script(*THERAPIST), number
    ds.TreatmentDate, ds.TreatmentTime = delivery.date, delivery.time
    ds.ReferencedRTPlanSequence = [reference(plan.sop_class, plan_uid(study, plan.key))]
    ds.PatientSetupSequence = [dataset_of(PatientSetupNumber=1, PatientPosition="HFS")]
    ds.TreatmentMachineSequence = [
        dataset_of(
            TreatmentMachineName=plan.machine.name, Manufacturer="Lastgate Sample", InstitutionName=ds.InstitutionName,
            ManufacturerModelName=plan.machine.model, DeviceSerialNumber=plan.machine.serial,
        )
    ]  # fmt: skip
    ds.ReferencedFractionGroupNumber, ds.NumberOfFractionsPlanned = 1, plan.fractions
    ds.PrimaryDosimeterUnit = "MU"
    beams = {beam.number: beam for beam in plan.beams}
    given = []
    for position, (beam_number, begin, end) in enumerate(delivery.parts):
        beam = beams[beam_number]
        last = position == len(delivery.parts) - 1
        item = _session(plan, beam, delivery, begin, end, termination=delivery.termination if last else "NORMAL")
        _control_points(item, plan, beam, begin, end, _clock(delivery, position))
        given.append(item)
    if plan.is_proton:
        ds.TreatmentSessionIonBeamSequence = given
    else:
        ds.TreatmentSessionBeamSequence = given
    save(ds, path, study.person)
    return UID(ds.SOPInstanceUID)


def _session(
    plan: PlanSpec, beam: Arc | ScanField, delivery: Delivery, begin: float, end: float, *, termination: str
) -> Dataset:
    """One beam as delivered; what a continuation was told to give is what the interruption had left."""
    item = dataset_of(
        ReferencedBeamNumber=beam.number, BeamName=beam.name, RadiationType="PROTON" if plan.is_proton else "PHOTON",
        BeamType="STATIC" if plan.is_proton else "DYNAMIC", ReferencedPatientSetupNumber=1,
        NumberOfWedges=0, NumberOfCompensators=0, NumberOfBoli=0, NumberOfBlocks=0,
        CurrentFractionNumber=delivery.fraction, TreatmentDeliveryType=delivery.kind,
        TreatmentTerminationStatus=termination, TreatmentVerificationStatus="VERIFIED",
        SpecifiedPrimaryMeterset=f"{beam.meterset * (1.0 - begin):.2f}",
        DeliveredPrimaryMeterset=f"{beam.meterset * (end - begin):.2f}",
    )  # fmt: skip
    if termination != "NORMAL":
        item.TreatmentTerminationDescription = "Machine fault" if termination == "MACHINE" else "Stopped by operator"
    if plan.is_proton:
        item.ScanMode, item.ModulatedScanModeType = "MODULATED", "STATIONARY"
        item.NumberOfRangeShifters = item.NumberOfLateralSpreadingDevices = item.NumberOfRangeModulators = 0
        item.PatientSupportType, item.PatientSupportID = "TABLE", "Couch"
    else:
        item.SourceAxisDistance = "1000"
        item.BeamLimitingDeviceLeafPairsSequence = limiting_devices()
        for device in item.BeamLimitingDeviceLeafPairsSequence:
            if "LeafPositionBoundaries" in device:
                del device.LeafPositionBoundaries
    return item


def _clock(delivery: Delivery, position: int) -> dt.datetime:
    """When a beam of a delivery began."""
    start = dt.datetime.strptime(delivery.date + delivery.time, "%Y%m%d%H%M%S")
    return start + dt.timedelta(seconds=position * (_SECONDS_A_BEAM + 25))


def _control_points(
    item: Dataset, plan: PlanSpec, beam: Arc | ScanField, begin: float, end: float, start: dt.datetime
) -> None:
    """Snapshots of the delivery, as verification systems keep them: not all control points of the plan."""
    shares = np.linspace(begin, end, _SNAPSHOTS) if isinstance(beam, Arc) else np.array([begin, end])
    points = []
    for index, share in enumerate(shares):
        when = start + dt.timedelta(seconds=_SECONDS_A_BEAM * float(share - begin))
        given = f"{beam.meterset * float(share - begin):.2f}"
        point = dataset_of(
            TreatmentControlPointDate=f"{when:%Y%m%d}", TreatmentControlPointTime=f"{when:%H%M%S}",
            SpecifiedMeterset=given, DeliveredMeterset=given, DoseRateSet="600", DoseRateDelivered="600",
        )  # fmt: skip
        if isinstance(beam, Arc):
            _arc_point(point, plan, beam, float(share), first=index == 0, last=index == len(shares) - 1)
        points.append(point)
    item.NumberOfControlPoints = len(points)
    if isinstance(beam, Arc):
        item.ControlPointDeliverySequence = points
    else:
        _ion_points(points, plan, beam)
        item.IonControlPointDeliverySequence = points


def _arc_point(point: Dataset, plan: PlanSpec, beam: Arc, share: float, *, first: bool, last: bool) -> None:
    """Gantry and leaves at the moment this share of the meterset had been given."""
    count = 178
    index = int(np.searchsorted(arc_weights(count, beam.number), share - 1e-9))
    angle = float(arc_angles(beam, count)[min(index, count - 1)])
    leaves: Floats = leaf_positions(plan.envelope, beam, angle, index)
    positions = [collimator_position("MLCX", leaves)]
    if first:
        x, y = jaw_positions(plan.envelope, beam)
        jaws = [collimator_position(kind, np.array([-v, v])) for kind, v in (("ASYMX", x), ("ASYMY", y))]
        positions = [*jaws, *positions]
        point.NominalBeamEnergy, point.NominalBeamEnergyUnit = "6", "MV"
        point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = f"{beam.collimator_deg:g}", "NONE"
        point.PatientSupportAngle, point.PatientSupportRotationDirection = "0", "NONE"
        point.TableTopEccentricAngle, point.TableTopEccentricRotationDirection = "0", "NONE"
        point.TableTopVerticalPosition = point.TableTopLongitudinalPosition = point.TableTopLateralPosition = None
    point.BeamLimitingDevicePositionSequence = positions
    point.GantryAngle = f"{angle:.2f}"
    point.GantryRotationDirection = "NONE" if last else "CW" if beam.clockwise else "CC"


def _ion_points(points: list[Dataset], plan: PlanSpec, beam: ScanField) -> None:
    """First and last layer of a scanned field."""
    layers = energy_layers(plan, beam, 12.0)
    for point, layer in zip(points, (layers[0], layers[-1]), strict=True):
        point.NominalBeamEnergy = f"{layer.energy_mev:.1f}"
        point.MetersetRateSet = point.MetersetRateDelivered = 100.0
        del point.DoseRateSet, point.DoseRateDelivered
        point.ScanSpotTuneID, point.NumberOfScanSpotPositions = "5.0", 1
        set_singles(point, "ScanSpotPositionMap", np.zeros(2))
        point.ScanSpotMetersetsDelivered = float(point.DeliveredMeterset)
        point.NumberOfPaintings = 1
    still_at(points[0], beam.gantry_deg)
    points[0].SnoutPosition = 250.0
