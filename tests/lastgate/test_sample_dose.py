"""The analytic dose of the sample plans: grids and formula agree, targets get what was prescribed."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from lastgate.sample import Department, SampleCourse, SamplePlan
from lastgate.sample.fields import NOT_CLINICAL, Cylinder, PhotonArcs, ProtonFields, sampled_arc
from lastgate.sample.solids import Ellipsoid, Floats


def _plans(department: Department) -> list[tuple[SampleCourse, SamplePlan]]:
    return [(c, plan) for patient in department.patients for c in patient.courses for plan in c.plans]


def _grid(path: Path) -> tuple[Floats, Floats]:
    """Dose in Gy as a flat array, and the points it belongs to, by the rules of PS3.3 C.8.8.3."""
    ds = pydicom.dcmread(path)
    x0, y0, z0 = (float(v) for v in ds.ImagePositionPatient)
    z = z0 + np.array(ds.GridFrameOffsetVector, dtype=float)
    y = y0 + float(ds.PixelSpacing[0]) * np.arange(ds.Rows)
    x = x0 + float(ds.PixelSpacing[1]) * np.arange(ds.Columns)
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    dose = ds.pixel_array * float(ds.DoseGridScaling)
    return dose.ravel(), np.column_stack([xx.ravel(), yy.ravel(), zz.ravel()])


def _points_in(course: SampleCourse, name: str) -> Floats:
    """Points 3 mm apart within a contoured solid, in the frame of the course."""
    solid = next(organ.solid for organ in course.organs if organ.name == name)
    low, high = solid.bounds_mm
    z, y, x = np.meshgrid(*(np.arange(low[i], high[i], 3.0) for i in (2, 1, 0)), indexing="ij")
    inside = solid.signed_mm(x, y, z) < 0
    return np.array(
        [course.placement.to_image((a, b, c)) for a, b, c in zip(x[inside], y[inside], z[inside], strict=True)]
    )


def test_grid_when_compared_with_the_formula_then_differs_by_its_step_only(sample_department: Department) -> None:
    for _, plan in _plans(sample_department):
        if plan.dose_path is not None:
            dose, points = _grid(plan.dose_path)
            np.testing.assert_allclose(dose, plan.dose.at(points), atol=0.51e-4)


def test_grid_when_read_then_says_what_it_is(sample_department: Department) -> None:
    for _, plan in _plans(sample_department):
        if plan.dose_path is not None:
            ds = pydicom.dcmread(plan.dose_path)
            assert ds.SeriesDescription == NOT_CLINICAL
            assert ds.DoseComment.startswith(NOT_CLINICAL)
            assert (ds.DoseUnits, ds.DoseSummationType) == ("GY", "PLAN")
            assert ds.DoseType == ("EFFECTIVE" if plan.kind == "proton" else "PHYSICAL") == plan.dose_type


def test_target_when_covered_then_gets_the_prescription_within_a_few_percent(sample_department: Department) -> None:
    for course, plan in _plans(sample_department):
        (target,) = plan.targets
        dose = plan.dose.at(_points_in(course, target.name)) / target.prescribed_gy
        assert np.quantile(dose, 0.05) > 0.95, plan.label
        assert 0.98 < np.median(dose) < (1.2 if "SBRT" in plan.label else 1.09), plan.label
        assert dose.max() < (1.3 if "SBRT" in plan.label else 1.12), plan.label


def test_dose_when_asked_away_from_the_target_then_falls_off(sample_department: Department) -> None:
    for course, plan in _plans(sample_department):
        middle = np.array(plan.isocentre_mm)
        organ = next(o for o in course.organs if o.name == plan.targets[0].name)
        low, high = organ.solid.bounds_mm
        above = middle + np.array([0.0, 0.0, (high[2] - low[2]) / 2 + np.arange(5)[2] * 15.0])
        at_centre, at_30_mm = plan.dose.at(np.stack([middle, above]))
        assert at_30_mm < 0.2 * at_centre, plan.label


def test_dose_when_asked_outside_the_body_then_is_nought(sample_department: Department) -> None:
    for _, plan in _plans(sample_department):
        far = np.array([[230.0, 0.0, plan.isocentre_mm[2]], [0.0, -240.0, plan.isocentre_mm[2]]])
        assert plan.dose.at(far).tolist() == [0.0, 0.0]


def test_beam_doses_when_added_then_give_the_dose_at_the_isocentre(sample_department: Department) -> None:
    for _, plan in _plans(sample_department):
        ds = pydicom.dcmread(plan.path)
        (group,) = ds.FractionGroupSequence
        total = sum(float(b.BeamDose) for b in group.ReferencedBeamSequence if "BeamDose" in b)
        expected = float(plan.dose.at(np.array([plan.isocentre_mm]))[0])
        assert total * plan.fractions_planned == pytest.approx(expected, rel=1e-3)


def test_courses_when_composed_at_a_point_then_both_contribute(sample_department: Department) -> None:
    first, second = sample_department.patient("SAMPLE-0001").courses
    between = np.array([[72.0, 16.0, 20.0]])
    doses = [float(course.plans[0].dose.at(between)[0]) for course in (first, second)]
    assert min(doses) > 2.0
    old, new = sample_department.patient("SAMPLE-0002").courses
    rib = np.array([[52.0, -88.0, 12.0]])
    then = np.array([old.placement.to_image((52.0, -88.0, 12.0))])
    assert float(old.plans[0].dose.at(then)[0]) > 2.0
    assert float(new.plans[0].dose.at(rib)[0]) > 0.5


_WATER = Cylinder(x=0, y=0, rx=100, ry=100)
_BODY = Ellipsoid(centre=(0, 0, 0), radii=(100, 100, 1000))


def test_depth_when_asked_in_a_round_cylinder_then_is_the_way_to_its_skin() -> None:
    centre, shifted = np.array(0.0), np.array(30.0)
    assert float(_WATER.depth_mm(centre, centre, 37.0)) == pytest.approx(100.0)
    assert float(_WATER.depth_mm(centre, shifted, 0.0)) == pytest.approx(130.0)  # the source of 0 deg is anterior
    assert float(_WATER.depth_mm(shifted, centre, 90.0)) == pytest.approx(70.0)  # the source of 90 deg is left
    assert float(_WATER.depth_mm(np.array(120.0), centre, 90.0)) == 0.0


def test_proton_field_when_followed_then_rises_to_the_target_and_stops_behind_it() -> None:
    target = Ellipsoid(centre=(0, 0, 0), radii=(20, 20, 20))
    field = ProtonFields(
        prescribed_gy=10.0, target=target, body=_BODY, cylinder=_WATER, gantry_deg=(0.0,), entrance=0.5
    )
    y = np.array([-95.0, -60.0, -25.0, 0.0, 19.0, 35.0, 50.0])
    dose = field.dose_gy(np.zeros(7), y, np.zeros(7))
    assert np.all(np.diff(dose[:4]) > 0)
    assert 4.5 < dose[0] < 7.0
    assert dose[4] > 9.5
    assert dose[5] < 0.3
    assert dose[6] < 0.05


def test_photon_arcs_when_turned_around_then_are_round_in_a_round_body() -> None:
    target = Ellipsoid(centre=(0, 0, 0), radii=(20, 20, 20))
    arcs = PhotonArcs(
        prescribed_gy=10.0, target=target, envelope=target, body=_BODY, cylinder=_WATER,
        gantry_deg=sampled_arc(0, 350, clockwise=True, step_deg=10), peak=0.05, bath=0.8, fall_off_mm=7.0,
    )  # fmt: skip
    angle = np.radians(np.arange(0, 360, 10))
    ring = arcs.dose_gy(60 * np.cos(angle), 60 * np.sin(angle), np.zeros(36))
    assert np.ptp(ring) < 1e-9
    assert 1.0 < ring[0] < 4.0


def test_sampled_arc_when_it_passes_north_then_goes_the_right_way_round() -> None:
    assert sampled_arc(350, 20, clockwise=True, step_deg=10) == (350, 0, 10, 20)
    assert sampled_arc(20, 350, clockwise=False, step_deg=10) == (20, 10, 0, 350)
