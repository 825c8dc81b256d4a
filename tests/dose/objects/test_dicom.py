"""RTDOSE and image series, written and parsed again."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from dose.errors import BadDose, BadGeometry, DoseNotAbsolute, DoseTruncated, SlicesMissing
from dose.grids.resample import resample
from dose.objects.dicom import dose_geometry, read_dose, read_image, read_image_geometry
from tests.dose.phantoms import ORIENTATIONS, centred, dose_dataset, linear_grid

STORED = np.arange(4 * 3 * 5).reshape(4, 3, 5)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_dose_when_stored_in_any_width_and_order_then_it_is_read_in_gray(dtype: str, syntax: UID) -> None:
    grid = read_dose(dose_dataset(STORED.astype(dtype), syntax=syntax)).grid
    assert grid.dose_gy == pytest.approx(STORED * 0.001, rel=1e-6)
    assert grid.dose_gy.dtype == np.float32
    assert grid.geometry.spacing_mm == pytest.approx((3.0, 2.0, 2.5))
    assert grid.geometry.to_points([[4, 2, 3]])[0] == pytest.approx((2, -16, -22.5))


def test_dose_when_it_is_a_difference_then_its_sign_is_kept() -> None:
    stored = dose_dataset((STORED - 30).astype("i2"), DoseType="ERROR")
    assert read_dose(stored).grid.dose_gy.min() == pytest.approx(-0.03)


def test_dose_when_run_length_encoded_then_it_equals_the_native_one() -> None:
    native = dose_dataset(STORED.astype("u2") * 257)
    packed = dose_dataset(STORED.astype("u2") * 257)
    packed.compress(RLELossless, generate_instance_uid=False)
    assert packed.file_meta.TransferSyntaxUID == RLELossless
    assert np.array_equal(read_dose(packed).grid.dose_gy, read_dose(native).grid.dose_gy)


@pytest.mark.parametrize(
    ("offsets", "last_z"),
    [
        ([0, 2.5, 5, 7.5], -22.5),
        ([0, -2.5, -5, -7.5], -37.5),
        ([-30, -27.5, -25, -22.5], -22.5),
        ([-30, -32.5, -35, -37.5], -37.5),
    ],
)
def test_planes_when_offsets_are_relative_or_absolute_rising_or_falling_then_they_lie_there(
    offsets: list[float], last_z: float
) -> None:
    geometry = read_dose(dose_dataset(STORED.astype("u2"), offsets=offsets)).grid.geometry
    assert geometry.to_points([[0, 0, 3]])[0] == pytest.approx((-10, -20, last_z))


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("absolute", [False, True])
def test_planes_when_the_patient_lies_any_way_then_relative_runs_along_the_normal_and_absolute_is_z(
    name: str, absolute: bool
) -> None:
    orientation = ORIENTATIONS[name]
    normal = np.cross(orientation[:3], orientation[3:])
    offsets = [-30 + normal[2] * 2.5 * n for n in range(4)] if absolute else [2.5 * n for n in range(4)]
    geometry = read_dose(dose_dataset(STORED.astype("u2"), orientation=orientation, offsets=offsets)).grid.geometry
    assert geometry.to_points([[0, 0, 2]])[0] == pytest.approx(np.array([-10, -20, -30]) + 5 * normal)
    assert geometry.to_points([[1, 0, 0]])[0] == pytest.approx(
        np.array([-10, -20, -30]) + 3 * np.array(orientation[:3])
    )
    assert geometry.to_points([[0, 1, 0]])[0] == pytest.approx(
        np.array([-10, -20, -30]) + 2 * np.array(orientation[3:])
    )


def test_dose_when_it_has_one_frame_then_it_is_one_plane() -> None:
    stored = dose_dataset(STORED[:1].astype("u2"), NumberOfFrames=None, GridFrameOffsetVector=None, SliceThickness=4)
    geometry = read_dose(stored).grid.geometry
    assert geometry.shape == (1, 3, 5)
    assert geometry.spacing_mm[2] == 4


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"offsets": [0, 2.5, 6, 7.5]}, BadGeometry, "unevenly spaced"),
        ({"offsets": [0, 2.5, 5]}, BadGeometry, "3 values for 4 frames"),
        ({"offsets": [7, 9.5, 12, 14.5]}, BadGeometry, "neither 0 nor the z"),
        ({"offsets": [0, 0, 0, 0]}, BadGeometry, "unevenly spaced"),
        ({"orientation": (1, 0, 0, 0, 0.8, 0.6)}, BadGeometry, "oblique"),
        ({"PixelSpacing": None}, BadGeometry, "Pixel Spacing has 0 values"),
        ({"DoseGridScaling": None}, BadDose, "DoseGridScaling is missing"),
        ({"scaling": "0"}, BadDose, "Dose Grid Scaling is 0"),
        ({"DoseUnits": "CGY"}, BadDose, "DoseUnits is 'CGY'"),
        ({"DoseSummationType": "TOTAL"}, BadDose, "DoseSummationType is 'TOTAL'"),
        ({"DoseUnits": "RELATIVE"}, DoseNotAbsolute, "RELATIVE"),
        ({"PixelData": b"\0" * 70}, DoseTruncated, "2 of 4 frames"),
        ({"PixelData": None}, BadDose, "no pixel data"),
    ],
)
def test_dose_when_it_is_faulty_then_it_is_refused_and_the_fault_named(
    values: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_dose(dose_dataset(STORED.astype("u2"), **values))  # type: ignore[arg-type]


def test_relative_dose_when_the_normalisation_is_given_then_it_is_scaled() -> None:
    dose = read_dose(dose_dataset(STORED.astype("u2"), DoseUnits="RELATIVE"), normalization_gy=2.0)
    assert dose.grid.dose_gy.max() == pytest.approx(59 * 0.002)
    assert dose.units == "RELATIVE"


def test_dose_when_it_is_of_one_beam_then_plan_group_and_beam_are_told() -> None:
    beam, group, plan = Dataset(), Dataset(), Dataset()
    beam.ReferencedBeamNumber = 3
    group.ReferencedFractionGroupNumber, group.ReferencedBeamSequence = 2, [beam]
    plan.ReferencedSOPInstanceUID, plan.ReferencedFractionGroupSequence = "2.25.7", [group]
    dose = read_dose(dose_dataset(STORED.astype("u2"), DoseSummationType="BEAM", ReferencedRTPlanSequence=[plan]))
    assert (dose.summation_type, dose.plan_uids, dose.fraction_groups, dose.beams) == ("BEAM", ("2.25.7",), (2,), (3,))


def _slices(places: list[float], **values: object) -> list[Dataset]:
    slices = []
    for z in places:
        slice_ = dose_dataset(np.full((1, 3, 5), int(z), dtype="u2"), position_mm=(-10, -20, z), NumberOfFrames=None)
        slice_.RescaleSlope, slice_.RescaleIntercept = 2, -1000
        for keyword, value in values.items():
            setattr(slice_, keyword, value)
        slices.append(slice_)
    return slices


def test_image_when_slices_come_in_any_order_then_it_is_a_volume_of_hu() -> None:
    volume = read_image(_slices([40, 10, 30, 20]))
    assert volume.hu[:, 0, 0].tolist() == [-980, -960, -940, -920]
    assert volume.geometry.spacing_mm == pytest.approx((3, 2, 10))


def test_image_when_a_slice_is_missing_then_the_error_says_which() -> None:
    with pytest.raises(SlicesMissing, match=r"1 slices are missing, at 30\.00 mm"):
        read_image_geometry(_slices([10, 20, 40, 50]))


def test_image_when_a_slice_is_of_another_size_then_it_is_refused() -> None:
    slices = _slices([10, 20, 30])
    slices[1].PixelSpacing = [1, 1]
    with pytest.raises(BadGeometry, match="1 of 3 slices differ"):
        read_image_geometry(slices)


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("name", ["rtdose_expb.dcm", "rtdose_rle.dcm"])
def test_real_dose_when_encoded_otherwise_then_it_is_the_same_dose(real_data: Path, name: str) -> None:
    folder = real_data / "pydicom_rt"
    native = next(folder.rglob("rtdose.dcm"))
    other = next(folder.rglob(name))
    expected = read_dose(pydicom.dcmread(native), normalization_gy=1.0).grid
    got = read_dose(pydicom.dcmread(other), normalization_gy=1.0).grid
    assert expected.max_gy > 0
    assert np.array_equal(got.dose_gy, expected.dose_gy)
    assert got.geometry.matches(expected.geometry)


@pytest.mark.real_data
def test_real_dose_when_it_has_no_file_meta_group_then_it_is_read(real_data: Path) -> None:
    path = next((real_data / "pps").rglob("2018CompLung_VMAT_Dose.dcm"))
    dose = read_dose(pydicom.dcmread(path, force=True))
    assert dose.grid.dose_gy.shape == (177, 81, 139)
    assert 10 < dose.grid.max_gy < 100


@pytest.mark.real_data
def test_real_dose_when_one_frame_of_fifteen_is_left_then_it_is_refused(real_data: Path) -> None:
    path = next((real_data / "pydicom_rt").rglob("rtdose_1frame.dcm"))
    with pytest.raises(BadGeometry, match="15 values for 1 frames"):
        read_dose(pydicom.dcmread(path), normalization_gy=1.0)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_real_grid_when_the_patient_lies_any_way_then_a_linear_dose_on_it_is_resampled_exactly(
    real_data: Path, name: str
) -> None:
    path = next((real_data / "pymedphys_plans").rglob(f"RD.DICOMORIENT.Dose_{name}_empty.dcm"))
    dataset = pydicom.dcmread(path)
    geometry = dose_geometry(dataset)
    assert tuple(dataset.ImageOrientationPatient) == ORIENTATIONS[name]
    row, column = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
    planes, rows, columns = geometry.shape
    last = np.array(dataset.ImagePositionPatient, dtype=float) + 2 * ((columns - 1) * row + (rows - 1) * column)
    last = last + 2 * (planes - 1) * np.cross(row, column)
    assert geometry.to_points([[columns - 1, rows - 1, planes - 1]])[0] == pytest.approx(last, abs=1e-6)
    centre = geometry.corner_points().mean(axis=0)
    onto = centred(ORIENTATIONS["HFS"], spacing_mm=(2.9, 3.1, 2.3), centre_mm=(centre[0], centre[1], centre[2]))
    got = resample(linear_grid(geometry), onto)
    assert got.known is not None
    assert got.known.all()
    assert np.abs(got.dose_gy - linear_grid(onto).dose_gy).max() < 5e-5


@pytest.mark.real_data
def test_real_dose_when_its_pixels_were_emptied_then_it_is_called_truncated(real_data: Path) -> None:
    path = next((real_data / "pymedphys_plans").rglob("RD.DICOMORIENT.Dose_HFS_empty.dcm"))
    with pytest.raises(DoseTruncated, match="0 of 101 frames"):
        read_dose(pydicom.dcmread(path))
