"""Our own RTDOSE and RTSTRUCT, read back by ourselves and by SimpleITK."""

import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dose.errors import BadDose
from dose.grids.accumulate import Part, Sum, accumulate
from dose.grids.grid import DoseGrid
from dose.objects.dicom import read_dose
from dose.objects.write import (
    UNKNOWN_ROI,
    ObjectHeader,
    PlaneImage,
    PlanReference,
    rtdose_dataset,
    unknown_structure_set,
)
from dose.shapes.mask import fill
from dose.shapes.structures import read_structures
from tests.dose.judge import ITK, moving, rotation
from tests.dose.phantoms import ORIENTATIONS, centred

PLANS = [PlanReference(sop_instance_uid="2.25.51"), PlanReference(sop_instance_uid="2.25.52")]


def _header(number: int) -> ObjectHeader:
    return ObjectHeader(
        sop_instance_uid=f"2.25.{number}1",
        series_instance_uid=f"2.25.{number}2",
        study_instance_uid="2.25.3",
        frame_of_reference_uid="2.25.4",
        patient_id="P-1",
        patient_name="样本^患者",
        created=datetime(2026, 3, 1, 8, 30),
        manufacturer="Lastgate",
        model="Lastgate",
        software_version="0.1.0",
        series_description="Composite physical dose",
    )


def _sum(orientation: str, *, complete: bool = False) -> Sum:
    geometry = centred(ORIENTATIONS[orientation], shape=(12, 15, 17))
    dose = np.random.default_rng(8).uniform(0, 66, geometry.shape).astype(np.float32)
    grid = DoseGrid(dose_gy=dose, geometry=geometry)
    turn = None if complete else moving(rotation(20, (6, 0, 0)))
    return accumulate(
        [Part(grid=grid, weight=1, label="a"), Part(grid=grid, weight=0.5, label="b", transform=turn)], geometry
    )


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("bits", [16, 32])
def test_dose_when_written_and_read_then_it_is_the_upper_bound_in_place(tmp_path: Path, name: str, bits: int) -> None:
    total = _sum(name)
    path = tmp_path / "rd.dcm"
    rtdose_dataset(total, header=_header(1), plans=PLANS, bits=bits).save_as(path, enforce_file_format=True)
    stored = read_dose(pydicom.dcmread(path))
    assert np.abs(stored.grid.dose_gy - total.upper_gy).max() < 1e-4 * total.upper_gy.max()
    assert stored.grid.geometry.matches(total.geometry)
    assert (stored.summation_type, stored.dose_type, stored.units) == ("MULTI_PLAN", "PHYSICAL", "GY")
    assert stored.plan_uids == ("2.25.51", "2.25.52")
    assert stored.frame_of_reference_uid == "2.25.4"


@pytest.mark.parametrize("bits", [16, 32])
def test_dose_when_opened_in_simpleitk_then_it_has_the_same_values_in_place(tmp_path: Path, bits: int) -> None:
    total = _sum("HFS")
    path = tmp_path / "rd.dcm"
    dataset = rtdose_dataset(total, header=_header(1), plans=PLANS, bits=bits)
    dataset.save_as(path, enforce_file_format=True)
    image = ITK.ReadImage(str(path))
    values = ITK.GetArrayFromImage(image).astype(np.float64) * float(dataset.DoseGridScaling)
    assert np.abs(values - total.upper_gy).max() < 1e-4 * total.upper_gy.max()
    assert image.GetSpacing() == pytest.approx(total.geometry.spacing_mm)
    assert image.GetOrigin() == pytest.approx(total.geometry.affine[:3, 3])


def test_dose_when_planes_run_to_the_feet_then_offsets_rise_all_the_same() -> None:
    total = _sum("HFS", complete=True)
    affine = total.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * 11
    affine[:3, 2] *= -1
    falling = type(total.geometry)(shape=total.geometry.shape, affine=affine)
    dose = DoseGrid(dose_gy=total.lower_gy[::-1].copy(), geometry=falling)
    written = rtdose_dataset(
        accumulate([Part(grid=dose, weight=1, label="a")], falling), header=_header(1), plans=PLANS
    )
    assert float(written.GridFrameOffsetVector[1]) > 0
    stored = read_dose(written)
    assert stored.grid.geometry.matches(total.geometry)
    assert np.abs(stored.grid.dose_gy - total.lower_gy).max() < 1e-5


@pytest.mark.parametrize(("complete", "description"), [(True, "Composite"), (False, "INCOMPLETE Composite")])
def test_objects_when_anything_is_unknown_then_their_description_begins_with_incomplete(
    complete: bool, description: str
) -> None:
    total = _sum("HFS", complete=complete)
    assert total.is_complete == complete
    dose = rtdose_dataset(total, header=_header(1), plans=PLANS)
    marks = unknown_structure_set(total, header=_header(2))
    assert dose.SeriesDescription == marks.SeriesDescription == f"{description} physical dose"


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_unknown_voxels_when_written_as_a_structure_and_read_then_they_are_the_same(tmp_path: Path, name: str) -> None:
    total = _sum(name)
    assert 0.05 < total.known.mean() < 0.95
    images = [
        PlaneImage(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"2.25.9{n}", series_instance_uid="2.25.8"
        )
        for n in range(12)
    ]
    path = tmp_path / "rs.dcm"
    unknown_structure_set(total, header=_header(2), images=images).save_as(path, enforce_file_format=True)
    dataset = pydicom.dcmread(path)
    marked = read_structures(dataset).named(UNKNOWN_ROI)
    assert np.array_equal(fill(marked, total.geometry), ~total.known)
    contour = dataset.ROIContourSequence[0].ContourSequence[-1]
    plane = round(total.geometry.to_index([[float(v) for v in contour.ContourData[:3]]])[0, 2])
    assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == f"2.25.9{plane}"


def test_structure_set_when_all_is_known_then_it_has_no_contours() -> None:
    marks = unknown_structure_set(_sum("HFS", complete=True), header=_header(2))
    assert not read_structures(marks).named(UNKNOWN_ROI).has_volume


def test_objects_when_written_then_dcmtk_reads_them_without_complaint(tmp_path: Path) -> None:
    total = _sum("HFS")
    for number, dataset in enumerate(
        (rtdose_dataset(total, header=_header(1), plans=PLANS), unknown_structure_set(total, header=_header(2)))
    ):
        path = tmp_path / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        read = subprocess.run(["/usr/bin/dcmdump", "-q", str(path)], capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")


def test_dose_when_no_plan_is_named_or_bits_are_odd_then_it_is_refused() -> None:
    total = _sum("HFS")
    with pytest.raises(BadDose, match="at least one plan"):
        rtdose_dataset(total, header=_header(1), plans=[])
    with pytest.raises(BadDose, match="16 or 32 bits"):
        rtdose_dataset(total, header=_header(1), plans=PLANS, bits=8)


def test_dose_when_one_plan_is_named_then_it_is_a_plan_dose() -> None:
    assert rtdose_dataset(_sum("HFS"), header=_header(1), plans=PLANS[:1]).DoseSummationType == "PLAN"
