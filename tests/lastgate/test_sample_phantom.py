"""The sample anatomy: solids, pictures and contours tell the same story."""

import numpy as np
import pydicom
import pytest

from lastgate.sample import Department
from lastgate.sample.phantom import _grain
from lastgate.sample.solids import Capsule, Ellipsoid, Inset, Knot, Placement, Tube, Without


def test_sphere_when_measured_then_distances_are_exact() -> None:
    ball = Ellipsoid(centre=(10, 0, -5), radii=(20, 20, 20))
    points = np.array([[10.0, 0, -5], [35.0, 0, -5], [10, 12, -5]])
    assert ball.signed_mm(*points.T) == pytest.approx([-20.0, 5.0, -8.0])


def test_solids_when_cut_and_inset_then_keep_their_sign() -> None:
    ball, hole = (Ellipsoid(centre=(0, 0, 0), radii=(r, r, r)) for r in (20, 10))
    shell = Without(Inset(of=ball, margin_mm=2), hole)
    at = np.array([0.0, 14.0, 19.0])
    assert (shell.signed_mm(at, np.zeros(3), np.zeros(3)) < 0).tolist() == [False, True, False]


def test_tube_when_it_tapers_then_follows_its_knots() -> None:
    cone = Tube(knots=(Knot(z=0, x=0, y=0, rx=10, ry=10), Knot(z=10, x=5, y=0, rx=20, ry=20)))
    z = np.array([0.0, 5.0, 10.0, 12.0])
    assert cone.signed_mm(np.array([10.0, 17.5, 25.0, 5.0]), np.zeros(4), z) == pytest.approx([0, 0, 0, 2.0], abs=1e-9)


def test_capsule_when_measured_beyond_its_end_then_is_round() -> None:
    rod = Capsule(start=(0, 0, 0), end=(10, 0, 0), radius=2)
    assert float(rod.signed_mm(np.array(13.0), np.array(4.0), np.array(0.0))) == pytest.approx(3.0)


def test_placement_when_there_and_back_then_is_where_it_was() -> None:
    placement = Placement.rigid(turn_deg=(3, -2, 5), shift_mm=(4, 5, -6))
    there = placement.to_image((10.0, 20.0, 30.0))
    back = placement.to_anatomy(*(np.array(v) for v in there))
    assert [float(v) for v in back] == pytest.approx([10, 20, 30], abs=1e-9)


def test_noise_when_drawn_then_has_mean_nought_and_deviation_one() -> None:
    noise = _grain((256, 256), np.random.PCG64(1))
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, abs=0.03)
    assert np.array_equal(noise, _grain((256, 256), np.random.PCG64(1)))


def test_picture_when_read_then_tissues_have_plausible_numbers(sample_department: Department) -> None:
    course = sample_department.patient("SAMPLE-0001").courses[0]
    slices = [pydicom.dcmread(p) for p in course.ct_paths]
    volume = np.array([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])
    z, y, x = np.meshgrid(*(course.grid.axis(i) for i in (2, 1, 0)), indexing="ij")
    expected = {"Lung_R": (-850, -650), "Heart": (35, 70), "GTVp": (0, 60)}
    for name, (low, high) in expected.items():
        solid = next(organ.solid for organ in course.organs if organ.name == name)
        core = volume[solid.signed_mm(x, y, z) < -6]
        assert core.size
        assert low < core.mean() < high, name
    assert volume[:, :3, :3].mean() == pytest.approx(-1000, abs=10)


def test_contours_when_measured_then_enclose_the_area_of_the_solid(sample_department: Department) -> None:
    course = sample_department.patient("SAMPLE-0003").courses[0]
    ds = pydicom.dcmread(course.structure_set_path)
    number = next(r.ROINumber for r in ds.StructureSetROISequence if r.ROIName == "PTVp")
    contours = next(c for c in ds.ROIContourSequence if c.ReferencedROINumber == number).ContourSequence
    solid = next(organ.solid for organ in course.organs if organ.name == "PTVp")
    assert isinstance(solid, Ellipsoid)
    assert len(contours) >= 4
    for contour in contours:
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        assert np.ptp(points[:, 2]) == 0.0
        x, y = points[:, 0], points[:, 1]
        area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        cut = 1 - ((points[0, 2] - solid.centre[2]) / solid.radii[2]) ** 2
        assert area == pytest.approx(np.pi * solid.radii[0] * solid.radii[1] * cut, rel=0.06)


def test_structure_sets_when_read_then_name_targets_and_organs_after_tg_263(sample_department: Department) -> None:
    for patient in sample_department.patients:
        for course in patient.courses:
            ds = pydicom.dcmread(course.structure_set_path)
            names = [roi.ROIName for roi in ds.StructureSetROISequence]
            kinds = [o.RTROIInterpretedType for o in ds.RTROIObservationsSequence]
            assert names == [organ.name for organ in course.organs]
            assert kinds.count("EXTERNAL") == 1
            assert {"PTV"} <= set(kinds) <= {"EXTERNAL", "ORGAN", "GTV", "CTV", "PTV"}
            assert all(name[0].isupper() and " " not in name for name in names)
