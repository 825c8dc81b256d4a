"""The sample plans as DICOM: arcs with leaves that can be driven, spots that add up."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from lastgate.sample import Department


def _plans(department: Department, kind: str) -> list[Dataset]:
    paths = [p.path for patient in department.patients for c in patient.courses for p in c.plans if p.kind == kind]
    return [pydicom.dcmread(path) for path in paths]


def _treatment_beams(plan: Dataset) -> list[Dataset]:
    beams = plan.get("BeamSequence") or plan.IonBeamSequence
    return [beam for beam in beams if beam.TreatmentDeliveryType == "TREATMENT"]


@pytest.mark.parametrize("kind", ["photon", "proton"])
def test_plan_when_read_then_has_a_setup_beam_of_no_monitor_units(sample_department: Department, kind: str) -> None:
    for plan in _plans(sample_department, kind):
        beams = plan.get("BeamSequence") or plan.IonBeamSequence
        (setup,) = [beam for beam in beams if beam.TreatmentDeliveryType == "SETUP"]
        metersets = {
            int(b.ReferencedBeamNumber): float(b.BeamMeterset)
            for b in plan.FractionGroupSequence[0].ReferencedBeamSequence
        }
        assert metersets.pop(int(setup.BeamNumber)) == 0.0
        assert set(metersets) == {int(beam.BeamNumber) for beam in _treatment_beams(plan)}
        assert min(metersets.values()) > 0.0


def test_arc_when_driven_then_weights_rise_to_one_and_leaves_never_cross(sample_department: Department) -> None:
    for plan in _plans(sample_department, "photon"):
        for beam in _treatment_beams(plan):
            points = beam.ControlPointSequence
            assert len(points) == beam.NumberOfControlPoints
            weights = [float(point.CumulativeMetersetWeight) for point in points]
            assert weights[0] == 0.0
            assert weights[-1] == float(beam.FinalCumulativeMetersetWeight) == 1.0
            assert np.all(np.diff(weights) > 0)
            for point in points:
                leaves = np.array(point.BeamLimitingDevicePositionSequence[-1].LeafJawPositions, dtype=float)
                left, right = leaves[:60], leaves[60:]
                assert np.all(left <= right)
                assert np.any(right - left > 10)


def test_arc_when_it_opens_then_stays_within_its_jaws(sample_department: Department) -> None:
    for plan in _plans(sample_department, "photon"):
        for beam in _treatment_beams(plan):
            jaws = {
                item.RTBeamLimitingDeviceType: np.array(item.LeafJawPositions, dtype=float)
                for item in beam.ControlPointSequence[0].BeamLimitingDevicePositionSequence
            }
            edges = np.array(beam.BeamLimitingDeviceSequence[-1].LeafPositionBoundaries, dtype=float)
            for point in beam.ControlPointSequence:
                leaves = np.array(point.BeamLimitingDevicePositionSequence[-1].LeafJawPositions, dtype=float)
                used = leaves[60:] - leaves[:60] > 0
                assert leaves.min() >= jaws["ASYMX"][0]
                assert leaves.max() <= jaws["ASYMX"][1]
                assert np.all(((edges[:-1] + edges[1:]) / 2)[used] >= jaws["ASYMY"][0])
                assert np.all(((edges[:-1] + edges[1:]) / 2)[used] <= jaws["ASYMY"][1])


def test_spots_when_added_then_give_the_meterset_of_the_field(sample_department: Department) -> None:
    (plan,) = _plans(sample_department, "proton")
    metersets = {
        b.ReferencedBeamNumber: float(b.BeamMeterset) for b in plan.FractionGroupSequence[0].ReferencedBeamSequence
    }
    for beam in _treatment_beams(plan):
        points = beam.IonControlPointSequence
        total = sum(float(np.sum(point.ScanSpotMetersetWeights)) for point in points)
        assert total == pytest.approx(metersets[beam.BeamNumber], rel=1e-4)
        assert total == pytest.approx(float(beam.FinalCumulativeMetersetWeight), rel=1e-4)
        assert float(points[-1].CumulativeMetersetWeight) == float(beam.FinalCumulativeMetersetWeight)
        energies = [float(point.NominalBeamEnergy) for point in points]
        assert energies == sorted(energies, reverse=True)
        assert 60 < energies[-1] < energies[0] < 160
        for point in points:
            assert len(point.ScanSpotPositionMap) == 2 * point.NumberOfScanSpotPositions


def test_boost_when_read_then_refers_to_the_phase_before_it(sample_department: Department) -> None:
    first, boost = sample_department.patient("SAMPLE-0002").courses[1].plans
    (earlier,) = pydicom.dcmread(boost.path).ReferencedRTPlanSequence
    assert (earlier.ReferencedSOPInstanceUID, earlier.RTPlanRelationship) == (first.uid, "PRIOR")
