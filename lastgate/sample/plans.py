"""RT Plans of the sample patients: volumetric arcs with a moving multileaf collimator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from lastgate.sample.dicomfile import Study, dataset_of, save, set_decimals
from lastgate.sample.planparts import SETUP_BEAM, iso_in_image, new_plan, start_beam
from lastgate.sample.solids import Ellipsoid, Floats
from lastgate.sample.treatment import Arc, CourseSpec, PlanSpec

_LEAF_EDGES = np.concatenate([np.arange(-200, -100, 10), np.arange(-100, 100, 5), np.arange(100, 201, 10)]).astype(
    float
)
_APERTURE_MARGIN_MM = 5.0


def write_photon_plan(path: Path, study: Study, course: CourseSpec, plan: PlanSpec, *, control_points: int) -> None:
    """Write an approved RT Plan.

    Parameters
    ----------
    control_points
        Control points of each arc.
    """
    ds = new_plan(study, course, plan)
    ds.BeamSequence = [_arc(study, course, plan, beam, control_points) for beam in plan.beams if isinstance(beam, Arc)]
    ds.BeamSequence.append(_setup_beam(study, course, plan))
    save(ds, path, study.person)


def arc_weights(count: int, number: int) -> Floats:
    """Cumulative Meterset Weight of each control point, from 0 to 1; the dose rate swings along the arc."""
    steps = 1.0 + 0.45 * np.sin(np.arange(count - 1) * 6.0 / count + number)
    return np.round(np.concatenate([[0.0], np.cumsum(steps) / steps.sum()]), 6)


def arc_angles(beam: Arc, count: int) -> Floats:
    """Gantry angle of each control point."""
    span = (beam.stop_deg - beam.start_deg) % 360.0 if beam.clockwise else -((beam.start_deg - beam.stop_deg) % 360.0)
    return np.round((beam.start_deg + span * np.arange(count) / (count - 1)) % 360.0, 2)


def leaf_positions(envelope: Ellipsoid, beam: Arc, gantry_deg: float, index: int) -> Floats:
    """Leaf positions in mm at the isocentre, all of one bank and then the other.

    The open aperture is the shadow of the envelope plus a margin. A pattern that travels with the control points draws
    the leaves in, which is what makes the plan modulated.
    """
    rx, ry, rz = envelope.radii
    g, c = np.radians(gantry_deg), np.radians(beam.collimator_deg)
    half_x = np.sqrt((rx * np.cos(g)) ** 2 + (ry * np.sin(g)) ** 2) + _APERTURE_MARGIN_MM
    half_y = rz + _APERTURE_MARGIN_MM
    y = (_LEAF_EDGES[:-1] + _LEAF_EDGES[1:]) / 2
    # the ellipse in the turned frame of the leaves: a x^2 + 2 b x + k = 0 on the middle line of each leaf
    a = (np.cos(c) / half_x) ** 2 + (np.sin(c) / half_y) ** 2
    b = y * np.sin(c) * np.cos(c) * (1 / half_y**2 - 1 / half_x**2)
    k = y**2 * ((np.sin(c) / half_x) ** 2 + (np.cos(c) / half_y) ** 2) - 1.0
    root = np.sqrt(np.maximum(b * b - a * k, 0.0))
    draw = 0.35 * (1.0 + np.sin(0.9 * np.arange(y.size) + 0.31 * index + beam.number)) / 2
    left, right = (-b - root * (1 - draw)) / a, (-b + root * (1 - draw[::-1])) / a
    shut = b * b - a * k <= 0.0
    left[shut] = right[shut] = 0.0
    return np.round(np.concatenate([left, right]), 1)


def jaw_positions(envelope: Ellipsoid, beam: Arc) -> tuple[float, float]:
    """Half-width of the jaws along x and y that never covers the aperture of the arc, mm."""
    rx, ry, rz = envelope.radii
    reach = max(rx, ry) + _APERTURE_MARGIN_MM
    c = np.radians(beam.collimator_deg)
    x = np.hypot(reach * np.cos(c), (rz + _APERTURE_MARGIN_MM) * np.sin(c))
    y = np.hypot(reach * np.sin(c), (rz + _APERTURE_MARGIN_MM) * np.cos(c))
    return float(np.ceil(x) + 2), float(np.ceil(y) + 2)


def collimator_position(kind: str, positions: Floats) -> Dataset:
    """Item of the Beam Limiting Device Position Sequence."""
    item = dataset_of(RTBeamLimitingDeviceType=kind)
    set_decimals(item, "LeafJawPositions", positions, digits=1)
    return item


def _arc(study: Study, course: CourseSpec, plan: PlanSpec, beam: Arc, count: int) -> Dataset:
    ds = start_beam(beam, plan.machine, study)
    fluence = dataset_of(FluenceMode="STANDARD" if beam.flattened else "NON_STANDARD")
    if not beam.flattened:
        fluence.FluenceModeID = "FFF"
    ds.PrimaryFluenceModeSequence = [fluence]
    ds.SourceAxisDistance, ds.BeamType, ds.RadiationType = "1000", "DYNAMIC", "PHOTON"
    ds.BeamLimitingDeviceSequence = limiting_devices()
    ds.FinalCumulativeMetersetWeight, ds.NumberOfControlPoints = "1", count
    weights, angles = arc_weights(count, beam.number), arc_angles(beam, count)
    points = []
    for index in range(count):
        point = dataset_of(
            ControlPointIndex=index, CumulativeMetersetWeight=f"{weights[index]:.6f}",
            GantryAngle=f"{angles[index]:.2f}",
            GantryRotationDirection="NONE" if index == count - 1 else "CW" if beam.clockwise else "CC",
        )  # fmt: skip
        point.BeamLimitingDevicePositionSequence = [
            collimator_position("MLCX", leaf_positions(plan.envelope, beam, float(angles[index]), index))
        ]
        point.ReferencedDoseReferenceSequence = [
            dataset_of(ReferencedDoseReferenceNumber=1, CumulativeDoseReferenceCoefficient=f"{weights[index]:.6f}")
        ]
        points.append(point)
    _first_point(points[0], course, plan, beam)
    ds.ControlPointSequence = points
    return ds


def limiting_devices() -> list[Dataset]:
    """Two pairs of jaws and 60 pairs of leaves."""
    found = [dataset_of(RTBeamLimitingDeviceType=kind, NumberOfLeafJawPairs=1) for kind in ("ASYMX", "ASYMY")]
    leaves = dataset_of(RTBeamLimitingDeviceType="MLCX", NumberOfLeafJawPairs=len(_LEAF_EDGES) - 1)
    leaves.LeafPositionBoundaries = [f"{edge:g}" for edge in _LEAF_EDGES]
    return [*found, leaves]


def _first_point(point: Dataset, course: CourseSpec, plan: PlanSpec, beam: Arc) -> None:
    """What control point 0 says for the whole beam."""
    x, y = jaw_positions(plan.envelope, beam)
    jaws = [collimator_position(kind, np.array([-v, v])) for kind, v in (("ASYMX", x), ("ASYMY", y))]
    point.BeamLimitingDevicePositionSequence = [*jaws, *point.BeamLimitingDevicePositionSequence]
    point.NominalBeamEnergy, point.DoseRateSet = "6", "600" if beam.flattened else "1400"
    still(point, beam.collimator_deg)
    point.IsocenterPosition = iso_in_image(course, plan)


def still(point: Dataset, collimator_deg: float) -> None:
    """Collimator and couch at rest."""
    point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = f"{collimator_deg:g}", "NONE"
    point.PatientSupportAngle, point.PatientSupportRotationDirection = "0", "NONE"
    point.TableTopEccentricAngle, point.TableTopEccentricRotationDirection = "0", "NONE"
    point.TableTopVerticalPosition = point.TableTopLongitudinalPosition = point.TableTopLateralPosition = None


def _setup_beam(study: Study, course: CourseSpec, plan: PlanSpec) -> Dataset:
    """Cone-beam CT before each fraction: a beam of 0 MU."""
    beam = Arc(number=SETUP_BEAM, name="CBCT", start_deg=0, stop_deg=0, clockwise=True, collimator_deg=0, meterset=0)
    ds = start_beam(beam, plan.machine, study)
    ds.PrimaryFluenceModeSequence = [dataset_of(FluenceMode="STANDARD")]
    ds.SourceAxisDistance, ds.BeamType, ds.RadiationType, ds.TreatmentDeliveryType = "1000", "STATIC", "PHOTON", "SETUP"
    ds.BeamLimitingDeviceSequence = limiting_devices()[:2]
    ds.FinalCumulativeMetersetWeight, ds.NumberOfControlPoints = "1", 2
    first = dataset_of(
        ControlPointIndex=0, CumulativeMetersetWeight="0", GantryAngle="0", GantryRotationDirection="NONE"
    )
    first.NominalBeamEnergy, first.DoseRateSet = "6", "600"
    first.BeamLimitingDevicePositionSequence = [
        collimator_position(kind, np.array([-75.0, 75.0])) for kind in ("ASYMX", "ASYMY")
    ]
    still(first, 0.0)
    first.IsocenterPosition = iso_in_image(course, plan)
    ds.ControlPointSequence = [first, dataset_of(ControlPointIndex=1, CumulativeMetersetWeight="1")]
    return ds
