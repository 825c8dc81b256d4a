"""RT Ion Plans of the sample patients: proton pencil-beam scanning, spot by spot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from lastgate.sample.dicomfile import Study, dataset_of, save, set_singles
from lastgate.sample.fields import ProtonFields
from lastgate.sample.planparts import SETUP_BEAM, iso_in_image, new_plan, start_beam
from lastgate.sample.solids import Floats
from lastgate.sample.treatment import CourseSpec, PlanSpec, ScanField

# Bragg-Kleeman rule R = alpha E^p for protons in water, R in mm (Bortfeld, Med Phys 24:2024, 1997)
_ALPHA_MM, _P = 0.022, 1.77
_BEHIND_MM = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyLayer:
    """All spots of one energy: positions of shape (n, 2) in mm, metersets of shape (n,) in MU."""

    energy_mev: float
    positions_mm: Floats
    metersets: Floats


def write_ion_plan(path: Path, study: Study, course: CourseSpec, plan: PlanSpec, *, spot_distance_mm: float) -> None:
    """Write an approved RT Ion Plan."""
    ds = new_plan(study, course, plan)
    fields = [beam for beam in plan.beams if isinstance(beam, ScanField)]
    ds.IonBeamSequence = [_field(study, course, plan, beam, spot_distance_mm) for beam in fields]
    ds.IonBeamSequence.append(_setup_beam(study, course, plan, fields[0]))
    save(ds, path, study.person)


def energy_layers(plan: PlanSpec, beam: ScanField, spot_distance_mm: float) -> tuple[EnergyLayer, ...]:
    """Spots of a field, deepest layer first; the metersets add up to that of the field.

    Layers lie one spot distance apart in water, from just behind the target to just before it. The deepest layers get
    the greatest weights, as they do in a spread-out Bragg peak.
    """
    assert isinstance(plan.dose, ProtonFields)
    cx, cy, _ = plan.envelope.centre
    rx, ry, rz = plan.envelope.radii
    angle = np.radians(beam.gantry_deg)
    middle = float(plan.dose.cylinder.depth_mm(np.array(cx), np.array(cy), beam.gantry_deg))
    half = float(np.hypot(rx * np.sin(angle), ry * np.cos(angle)))
    across = float(np.hypot(rx * np.cos(angle), ry * np.sin(angle)))
    depths = np.arange(middle + half + _BEHIND_MM, middle - half - _BEHIND_MM, -spot_distance_mm)
    found = []
    for depth in depths:
        share = np.sqrt(max(1.0 - ((depth - middle) / (half + _BEHIND_MM + 1.0)) ** 2, 0.0))
        positions = _spots(across * share + spot_distance_mm, rz * share + spot_distance_mm, spot_distance_mm)
        weight = 1.0 / (1.0 + 3.0 * (depths[0] - depth) / (2 * half))
        found.append((float((depth / _ALPHA_MM) ** (1 / _P)), positions, np.full(len(positions), weight)))
    total = sum(float(weights.sum()) for _, _, weights in found)
    return tuple(
        EnergyLayer(energy_mev=round(e, 1), positions_mm=p, metersets=w * beam.meterset / total) for e, p, w in found
    )


def _spots(half_x: float, half_y: float, distance: float) -> Floats:
    """Spots on a grid within an ellipse, scanned to and fro."""
    rows = []
    for number, y in enumerate(np.arange(-np.floor(half_y / distance), np.floor(half_y / distance) + 1) * distance):
        reach = half_x * np.sqrt(max(1.0 - (y / half_y) ** 2, 0.0))
        x = np.arange(-np.floor(reach / distance), np.floor(reach / distance) + 1) * distance
        rows.append(np.column_stack([x if number % 2 == 0 else x[::-1], np.full(x.size, y)]))
    return np.concatenate(rows)


def _frame_of_beam(study: Study, plan: PlanSpec, beam: ScanField) -> Dataset:
    """The ion beam without control points."""
    ds = start_beam(beam, plan.machine, study)
    ds.BeamType, ds.RadiationType, ds.ScanMode = "STATIC", "PROTON", "MODULATED"
    ds.ModulatedScanModeType = "STATIONARY"
    set_singles(ds, "VirtualSourceAxisDistances", np.array([2000.0, 2560.0]))
    ds.NumberOfRangeShifters = ds.NumberOfLateralSpreadingDevices = ds.NumberOfRangeModulators = 0
    ds.PatientSupportType, ds.PatientSupportID = "TABLE", "Couch"
    ds.SnoutSequence = [dataset_of(SnoutID="S1")]
    return ds


def _field(study: Study, course: CourseSpec, plan: PlanSpec, beam: ScanField, spot_distance_mm: float) -> Dataset:
    ds = _frame_of_beam(study, plan, beam)
    points: list[Dataset] = []
    given = 0.0
    for layer in energy_layers(plan, beam, spot_distance_mm):
        # each layer has a pair of control points, PS3.3 2026c C.8.8.25.7: the spots, then the same spots with weight 0
        for metersets in (layer.metersets, np.zeros_like(layer.metersets)):
            point = dataset_of(
                ControlPointIndex=len(points), NominalBeamEnergy=f"{layer.energy_mev:.1f}",
                CumulativeMetersetWeight=f"{given:.5f}", ScanSpotTuneID="5.0",
                NumberOfScanSpotPositions=len(metersets), NumberOfPaintings=1,
            )  # fmt: skip
            set_singles(point, "ScanSpotPositionMap", layer.positions_mm)
            set_singles(point, "ScanSpotMetersetWeights", metersets)
            size = 2.0 + 330.0 / layer.energy_mev
            set_singles(point, "ScanningSpotSize", np.array([size, size]))
            points.append(point)
            given += float(metersets.sum())
    _first_point(points[0], course, plan, beam)
    points[-1].CumulativeMetersetWeight = f"{beam.meterset:.5f}"
    ds.FinalCumulativeMetersetWeight, ds.NumberOfControlPoints = f"{beam.meterset:.5f}", len(points)
    ds.IonControlPointSequence = points
    return ds


def _first_point(point: Dataset, course: CourseSpec, plan: PlanSpec, beam: ScanField) -> None:
    """What control point 0 says for the whole beam."""
    still_at(point, beam.gantry_deg)
    point.IsocenterPosition = iso_in_image(course, plan)
    point.SnoutPosition = 250.0


def still_at(point: Dataset, gantry_deg: float) -> None:
    """Gantry at an angle, snout and couch at rest."""
    point.GantryAngle, point.GantryRotationDirection = f"{gantry_deg:g}", "NONE"
    point.GantryPitchAngle, point.GantryPitchRotationDirection = 0.0, "NONE"
    point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = "0", "NONE"
    point.PatientSupportAngle, point.PatientSupportRotationDirection = "0", "NONE"
    point.TableTopPitchAngle, point.TableTopPitchRotationDirection = 0.0, "NONE"
    point.TableTopRollAngle, point.TableTopRollRotationDirection = 0.0, "NONE"
    point.TableTopVerticalPosition = point.TableTopLongitudinalPosition = point.TableTopLateralPosition = None


def _setup_beam(study: Study, course: CourseSpec, plan: PlanSpec, like: ScanField) -> Dataset:
    """Orthogonal X-rays before each fraction: a beam of 0 MU."""
    beam = ScanField(number=SETUP_BEAM, name="kV pair", gantry_deg=0.0, meterset=0.0)
    ds = _frame_of_beam(study, plan, beam)
    ds.RadiationType, ds.TreatmentDeliveryType, ds.ScanMode = "PHOTON", "SETUP", "NONE"
    del ds.ModulatedScanModeType
    first = dataset_of(ControlPointIndex=0, NominalBeamEnergy="0.1", CumulativeMetersetWeight="0")
    _first_point(first, course, plan, like)
    first.GantryAngle = "0"
    last = dataset_of(ControlPointIndex=1, NominalBeamEnergy="0.1", CumulativeMetersetWeight="1")
    ds.FinalCumulativeMetersetWeight, ds.NumberOfControlPoints = "1", 2
    ds.IonControlPointSequence = [first, last]
    return ds
