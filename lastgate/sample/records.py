"""Treatment records of the sample patients: what the machine says it gave, fraction by fraction."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import RTBeamsTreatmentRecordStorage, RTIonBeamsTreatmentRecordStorage

from lastgate.sample.dicomfile import THERAPIST, Series, Study, dataset_of, new_object, reference, save, set_singles
from lastgate.sample.ionplans import EnergyLayer, energy_layers, still_at
from lastgate.sample.planparts import plan_uid
from lastgate.sample.plans import (
    arc_angles,
    arc_weights,
    collimator_position,
    jaw_positions,
    leaf_positions,
    limiting_devices,
    still,
)
from lastgate.sample.schedule import Delivery
from lastgate.sample.treatment import Arc, PlanSpec, ScanField

_SECONDS_A_BEAM = 95.0
_SNAPSHOTS = 5


def write_records(
    folder: Path, study: Study, plan: PlanSpec, *, first_number: int, control_points: int, spot_distance_mm: float
) -> tuple[Path, ...]:
    """Write the records of all deliveries of a plan; returns their paths in order of time.

    Parameters
    ----------
    first_number
        Instance Number of the first record.
    control_points, spot_distance_mm
        As the plan was written with.
    """
    beams = {beam.number: beam for beam in plan.beams}
    # most fractions differ in nothing but number and time, so a beam is described once and stamped anew
    described: dict[tuple[int, float, float], Dataset] = {}
    paths = []
    for number, delivery in enumerate(plan.deliveries, start=first_number):
        ds = _record(study, plan, delivery, number)
        given = []
        for position, part in enumerate(delivery.parts):
            if part not in described:
                described[part] = _session(plan, beams[part[0]], part, control_points, spot_distance_mm)
            last = position == len(delivery.parts) - 1
            _stamp(described[part], delivery, position, termination=delivery.termination if last else "NORMAL")
            given.append(described[part])
        if plan.is_proton:
            ds.TreatmentSessionIonBeamSequence = given
        else:
            ds.TreatmentSessionBeamSequence = given
        paths.append(folder / f"RT.{plan.key}.{delivery.date}-{delivery.time}.dcm")
        save(ds, paths[-1], study.person)
    return tuple(paths)


def _record(study: Study, plan: PlanSpec, delivery: Delivery, number: int) -> Dataset:
    """A record without its beams."""
    first = plan.deliveries[0]
    # Series Date is the first day of the series, equal in all its instances
    series = Series(
        key=f"rtrecord-{plan.key}", number=5, modality="RTRECORD", description="Treatment records", date=first.date,
        time=first.time, model=plan.machine.model,
    )  # fmt: skip
    sop_class = RTIonBeamsTreatmentRecordStorage if plan.is_proton else RTBeamsTreatmentRecordStorage
    ds = new_object(study, series, sop_class, key=f"{delivery.date}{delivery.time}")
    ds.InstanceCreationDate, ds.InstanceCreationTime = delivery.date, delivery.time
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
    return ds


def _session(
    plan: PlanSpec,
    beam: Arc | ScanField,
    part: tuple[int, float, float],
    control_points: int,
    spot_distance_mm: float,
) -> Dataset:
    """One beam as delivered; what a continuation was told to give is what the interruption had left."""
    _, begin, end = part
    item = dataset_of(
        ReferencedBeamNumber=beam.number, BeamName=beam.name, RadiationType="PROTON" if plan.is_proton else "PHOTON",
        BeamType="STATIC" if plan.is_proton else "DYNAMIC", ReferencedPatientSetupNumber=1,
        NumberOfWedges=0, NumberOfCompensators=0, NumberOfBoli=0, NumberOfBlocks=0,
        TreatmentVerificationStatus="VERIFIED",
        SpecifiedPrimaryMeterset=f"{beam.meterset * (1.0 - begin):.2f}",
        DeliveredPrimaryMeterset=f"{beam.meterset * (end - begin):.2f}",
    )  # fmt: skip
    if isinstance(beam, Arc):
        item.SourceAxisDistance = "1000"
        item.BeamLimitingDeviceLeafPairsSequence = limiting_devices()
        for device in item.BeamLimitingDeviceLeafPairsSequence:
            if "LeafPositionBoundaries" in device:
                del device.LeafPositionBoundaries
        item.ControlPointDeliverySequence = _arc_points(plan, beam, begin, end, control_points)
        item.NumberOfControlPoints = len(item.ControlPointDeliverySequence)
        return item
    item.ScanMode, item.ModulatedScanModeType = "MODULATED", "STATIONARY"
    item.NumberOfRangeShifters = item.NumberOfLateralSpreadingDevices = item.NumberOfRangeModulators = 0
    item.PatientSupportType, item.PatientSupportID = "TABLE", "Couch"
    item.IonControlPointDeliverySequence = _ion_points(beam, energy_layers(plan, beam, spot_distance_mm), begin, end)
    item.NumberOfControlPoints = len(item.IonControlPointDeliverySequence)
    return item


def _stamp(item: Dataset, delivery: Delivery, position: int, *, termination: str) -> None:
    """Fraction, kind, end and times of a delivered beam."""
    item.CurrentFractionNumber, item.TreatmentDeliveryType = delivery.fraction, delivery.kind
    item.TreatmentTerminationStatus = termination
    if termination == "NORMAL":
        item.pop("TreatmentTerminationDescription", None)
    else:
        item.TreatmentTerminationDescription = "Machine fault" if termination == "MACHINE" else "Stopped by operator"
    points = item.get("ControlPointDeliverySequence") or item.IonControlPointDeliverySequence
    total = float(item.DeliveredPrimaryMeterset)
    share = total / float(item.SpecifiedPrimaryMeterset)
    start = _clock(delivery, position)
    for point in points:
        way = float(point.DeliveredMeterset) / total * share
        when = start + dt.timedelta(seconds=round(_SECONDS_A_BEAM * way))
        point.TreatmentControlPointDate, point.TreatmentControlPointTime = f"{when:%Y%m%d}", f"{when:%H%M%S}"


def _clock(delivery: Delivery, position: int) -> dt.datetime:
    """When a beam of a delivery began."""
    start = dt.datetime.strptime(delivery.date + delivery.time, "%Y%m%d%H%M%S")
    return start + dt.timedelta(seconds=position * (_SECONDS_A_BEAM + 25))


def _point(given: float) -> Dataset:
    """A control point at which this much of the meterset had been given since the beam began."""
    return dataset_of(SpecifiedMeterset=f"{given:.2f}", DeliveredMeterset=f"{given:.2f}")


def _arc_points(plan: PlanSpec, beam: Arc, begin: float, end: float, count: int) -> list[Dataset]:
    """Snapshots of an arc, as verification systems keep them: not all control points of the plan."""
    weights, angles = arc_weights(count, beam.number), arc_angles(beam, count)
    points = []
    for share in np.linspace(begin, end, _SNAPSHOTS).tolist():
        point = _point(beam.meterset * (share - begin))
        point.DoseRateSet = point.DoseRateDelivered = "600" if beam.flattened else "1400"
        index = min(int(np.searchsorted(weights, share - 1e-9)), count - 1)
        angle = float(angles[index])
        point.ReferencedControlPointIndex = index
        point.BeamLimitingDevicePositionSequence = [
            collimator_position("MLCX", leaf_positions(plan.envelope, beam, angle, index))
        ]
        point.GantryAngle, point.GantryRotationDirection = f"{angle:.2f}", "CW" if beam.clockwise else "CC"
        points.append(point)
    points[-1].GantryRotationDirection = "NONE"
    first = points[0]
    x, y = jaw_positions(plan.envelope, beam)
    jaws = [collimator_position(kind, np.array([-v, v])) for kind, v in (("ASYMX", x), ("ASYMY", y))]
    first.BeamLimitingDevicePositionSequence = [*jaws, *first.BeamLimitingDevicePositionSequence]
    first.NominalBeamEnergy, first.NominalBeamEnergyUnit = "6", "MV"
    still(first, beam.collimator_deg)
    return points


def _ion_points(beam: ScanField, layers: tuple[EnergyLayer, ...], begin: float, end: float) -> list[Dataset]:
    """First and last control point of a scanned field; the last closes the last layer and gives nothing more."""
    points = []
    for index, layer, share in ((0, layers[0], begin), (2 * len(layers) - 1, layers[-1], end)):
        point = _point(beam.meterset * (share - begin))
        point.ReferencedControlPointIndex, point.NominalBeamEnergy = index, f"{layer.energy_mev:.1f}"
        point.MetersetRateSet = point.MetersetRateDelivered = 100.0
        point.ScanSpotTuneID, point.NumberOfScanSpotPositions = "5.0", len(layer.metersets)
        set_singles(point, "ScanSpotPositionMap", layer.positions_mm)
        set_singles(point, "ScanSpotMetersetsDelivered", layer.metersets if index == 0 else 0 * layer.metersets)
        point.NumberOfPaintings = 1
        points.append(point)
    still_at(points[0], beam.gantry_deg)
    points[0].SnoutPosition = 250.0
    return points
