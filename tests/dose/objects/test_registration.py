"""Our registrations, read back by ourselves and judged by SimpleITK and by the checker of dicom3tools."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dose.errors import BadRegistration
from dose.grids.fields import DisplacementStep
from dose.grids.grid import Geometry
from dose.grids.transforms import MatrixStep, Transform
from dose.objects.registration import read_registration
from dose.objects.write_registration import deformable_registration, spatial_registration
from tests.dose.judge import ITK, rotation
from tests.dose.objects.registered import FIXED, MOVING, header, side
from tests.dose.phantoms import ORIENTATIONS, centred

TURN = rotation(7, (3, -2, 11))
POINTS = np.random.default_rng(5).uniform(-8, 8, (100, 3))


def _rigid() -> Dataset:
    return spatial_registration(TURN, header=header(), fixed=side(FIXED, 7, 3), moving=side(MOVING, 8, 3))


def _bend(geometry: Geometry) -> Transform:
    """A smooth field of some millimetres, then a rigid map."""
    k, j, i = np.indices(geometry.shape)
    vectors = np.stack([3 * np.sin(i / 5), 2 * np.cos(j / 4), np.sin((i + k) / 6)], axis=-1).astype(np.float32)
    return Transform((DisplacementStep(vectors_mm=vectors, geometry=geometry), MatrixStep(TURN)))


def _deformable(geometry: Geometry) -> Dataset:
    return deformable_registration(
        _bend(geometry), geometry, header=header(), fixed=side(FIXED, 7, 3), moving=side(MOVING, 8, 3), comment="bent"
    )


def _saved(dataset: Dataset, folder: Path) -> Dataset:
    dataset.save_as(folder / "reg.dcm", enforce_file_format=True)
    return dcmread(folder / "reg.dcm")


def test_rigid_when_written_and_read_then_points_agree(tmp_path: Path) -> None:
    stored = read_registration(_saved(_rigid(), tmp_path))
    wanted = Transform.of_matrix(TURN).to_moving(POINTS)
    assert stored.between(FIXED, MOVING).to_moving(POINTS) == pytest.approx(wanted, abs=1e-6)
    assert stored.between(MOVING, FIXED).to_moving(wanted) == pytest.approx(POINTS, abs=1e-6)


def test_rigid_when_read_by_simpleitk_then_its_matrix_takes_the_moving_frame_into_the_fixed_one(tmp_path: Path) -> None:
    read = _saved(_rigid(), tmp_path)
    item = next(one for one in read.RegistrationSequence if one.FrameOfReferenceUID == MOVING)
    (one,) = item.MatrixRegistrationSequence[0].MatrixSequence
    values = np.array(one.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)
    judge = ITK.AffineTransform(values[:3, :3].ravel().tolist(), values[:3, 3].tolist())
    moving = Transform.of_matrix(TURN).to_moving(POINTS)
    found = [judge.TransformPoint([float(v) for v in point]) for point in moving]
    assert np.array(found) == pytest.approx(POINTS, abs=1e-6)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_field_when_read_by_simpleitk_then_points_agree(tmp_path: Path, name: str) -> None:
    geometry = centred(ORIENTATIONS[name], shape=(20, 21, 22))
    read = _saved(_deformable(geometry), tmp_path)
    (item,) = read.DeformableRegistrationSequence
    (grid,) = item.DeformableRegistrationGridSequence
    columns, rows, planes = grid.GridDimensions
    vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(planes, rows, columns, 3).astype(np.float64)
    image = ITK.GetImageFromArray(vectors, isVector=True)
    across, down = np.array(grid.ImageOrientationPatient, dtype=float).reshape(2, 3)
    image.SetOrigin([float(v) for v in grid.ImagePositionPatient])
    image.SetSpacing([float(v) for v in grid.GridResolution])
    image.SetDirection(np.column_stack([across, down, np.cross(across, down)]).ravel().tolist())
    field = ITK.DisplacementFieldTransform(image)
    (pre,) = item.PreDeformationMatrixRegistrationSequence
    before = np.array(pre.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)
    displaced = np.array([field.TransformPoint([float(v) for v in point]) for point in POINTS]) - POINTS
    judged = POINTS @ before[:3, :3].T + before[:3, 3] + displaced
    wanted = _bend(geometry).to_moving(POINTS)
    assert np.isfinite(wanted).all()
    assert judged == pytest.approx(wanted, abs=0.001)
    assert read_registration(read).between(FIXED, MOVING).to_moving(POINTS) == pytest.approx(wanted, abs=0.001)


def test_field_when_a_place_lies_beyond_it_or_is_undefined_then_it_has_no_partner(tmp_path: Path) -> None:
    geometry = Geometry(shape=(5, 5, 5), affine=np.diag([2.0, 2, 2, 1]))
    vectors = np.zeros((5, 5, 5, 3), dtype=np.float32)
    vectors[2, 2, 2] = np.nan
    holed = Transform((DisplacementStep(vectors_mm=vectors, geometry=geometry),))
    made = deformable_registration(holed, geometry, header=header(), fixed=side(FIXED), moving=side(MOVING))
    found = read_registration(_saved(made, tmp_path)).between(FIXED, MOVING)
    places = np.array([(4, 4, 4), (4, 4, 5), (4, 4, 6), (8.9, 0, 0), (9.1, 0, 0)], dtype=float)
    assert np.isnan(found.to_moving(places)).all(axis=1).tolist() == [True, True, False, False, True]


def test_field_when_it_ends_too_early_then_it_is_refused(tmp_path: Path) -> None:
    made = _deformable(centred(ORIENTATIONS["HFS"], shape=(6, 6, 6)))
    grid = made.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
    grid.VectorGridData = grid.VectorGridData[:-4]
    with pytest.raises(BadRegistration, match="ends before its last vector"):
        read_registration(_saved(made, tmp_path)).between(FIXED, MOVING)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("kind", ["rigid", "deformable"])
def test_registration_when_checked_by_dciodvfy_then_it_finds_no_error(tmp_path: Path, kind: str) -> None:
    made = _rigid() if kind == "rigid" else _deformable(centred(ORIENTATIONS["HFS"], shape=(6, 6, 6)))
    _saved(made, tmp_path)
    checked = subprocess.run(["dciodvfy", str(tmp_path / "reg.dcm")], capture_output=True, text=True, check=False)
    assert "Error" not in checked.stderr
