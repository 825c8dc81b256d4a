"""Real doses: a plan is the sum of its beams, and a composite is what SimpleITK makes of it."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from dose.grids.accumulate import Part, accumulate
from dose.grids.grid import Geometry
from dose.objects.dicom import StoredDose, read_dose, read_image
from dose.shapes.structures import read_structures
from tests.dose.judge import resampled
from tests.dose.phantoms import ORIENTATIONS

PLANS = Path("dcpt_let/data/resources/plans")

pytestmark = pytest.mark.real_data


def _doses(folder: Path) -> list[StoredDose]:
    return [read_dose(pydicom.dcmread(path)) for path in sorted(folder.rglob("RD*.dcm"))]


def test_proton_plans_when_summed_on_one_grid_then_the_sum_equals_simpleitk(real_data: Path) -> None:
    doses = [d for d in _doses(real_data / PLANS) if d.summation_type == "PLAN"]
    frames = {d.frame_of_reference_uid for d in doses}
    assert len(doses) == 4
    assert len(frames) == 1
    onto = Geometry.from_axes(
        shape=(120, 130, 130),
        position_mm=(-125, -122, -118),
        orientation=ORIENTATIONS["HFS"],
        row_spacing_mm=1.9,
        column_spacing_mm=1.9,
        plane_spacing_mm=1.9,
    )
    total = accumulate([Part(grid=d.grid, weight=1, label=d.sop_instance_uid) for d in doses], onto)
    judge = np.sum([resampled(d.grid, onto) for d in doses], axis=0)
    assert 0.3 < total.known.mean() < 1
    assert np.abs(total.lower_gy - judge)[total.known].max() < 1e-5 * judge.max()
    assert not np.array_equal(total.upper_gy, total.lower_gy)


def test_effective_dose_when_read_then_its_type_and_beam_are_told(real_data: Path) -> None:
    dose = next(d for d in _doses(real_data / PLANS) if d.summation_type != "PLAN")
    assert (dose.summation_type, dose.dose_type, len(dose.beams)) == ("BEAM", "EFFECTIVE", 1)


def test_image_when_read_from_real_slices_then_it_is_a_volume_of_hu(real_data: Path) -> None:
    slices = [pydicom.dcmread(path) for path in sorted((real_data / "dcpt_headphantom").rglob("CT*.dcm"))]
    volume = read_image(slices)
    assert volume.geometry.shape[0] == len(slices) == 177
    # air around the phantom, plastic within
    assert volume.hu.min() == pytest.approx(-1024, abs=30)
    assert 100 < volume.hu.max() < 4000
    first = min(slices, key=lambda slice_: float(slice_.ImagePositionPatient[2]))
    slope, intercept = float(first.RescaleSlope), float(first.RescaleIntercept)
    assert np.allclose(volume.hu[0], first.pixel_array * slope + intercept, atol=1e-3)


@pytest.mark.filterwarnings("ignore")  # invalid UIDs and dates are part of these files
def test_structure_sets_when_of_any_vendor_then_all_structures_are_read(real_data: Path) -> None:
    read = 0
    for path in sorted(real_data.rglob("*.dcm")):
        with path.open("rb") as file:
            head = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=["Modality"])
        if head.get("Modality") == "RTSTRUCT":
            found = read_structures(pydicom.dcmread(path, force=True))
            assert not found.unreadable, path.name
            read += 1
    assert read >= 25
