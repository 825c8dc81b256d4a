"""Structures as read from an RTSTRUCT."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from dose.errors import BadStructure
from dose.shapes.structures import StructureSet, read_structures


def _set(contours: list[tuple[str, list[str]]], *, parse_again: bool = True) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, "2.25.2"
    roi, shape, observation = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 4, "Cord", "2.25.9"
    shape.ReferencedROINumber, shape.ContourSequence = 4, []
    for kind, values in contours:
        contour = Dataset()
        contour.ContourGeometricType, contour.ContourData = kind, values
        shape.ContourSequence.append(contour)
    observation.ReferencedROINumber, observation.RTROIInterpretedType = 4, "ORGAN"
    empty = Dataset()
    empty.ROINumber, empty.ROIName = 5, "Empty"
    dataset.StructureSetROISequence = [roi, empty]
    dataset.ROIContourSequence = [shape]
    dataset.RTROIObservationsSequence = [observation]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    if not parse_again:
        return dataset
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(file.getvalue()))


SQUARE = ["0", "0", "5", "1.5", "0", "5", "1.5", "-2e0", "5"]


@pytest.mark.parametrize("parse_again", [True, False])
def test_structure_when_read_from_bytes_or_from_objects_then_it_is_the_same(parse_again: bool) -> None:
    found = read_structures(_set([("CLOSED_PLANAR", SQUARE), ("POINT", ["1", "2", "3"])], parse_again=parse_again))
    cord, empty = found.structures
    assert (cord.number, cord.name, cord.interpreted_type, cord.frame_of_reference_uid) == (
        4,
        "Cord",
        "ORGAN",
        "2.25.9",
    )
    assert cord.closed[0].tolist() == [[0, 0, 5], [1.5, 0, 5], [1.5, -2, 5]]
    assert cord.points.tolist() == [[1, 2, 3]]
    assert cord.has_volume
    assert not empty.has_volume
    assert empty.points.shape == (0, 3)


def test_structure_when_it_is_a_point_or_open_then_it_has_no_volume() -> None:
    found = read_structures(_set([("POINT", ["1", "2", "3"]), ("OPEN_PLANAR", SQUARE), ("CLOSED_PLANAR", SQUARE[:6])]))
    assert not found.structures[0].has_volume


@pytest.mark.parametrize(("values", "reason"), [(SQUARE[:8], "not threes"), ([*SQUARE[:8], "5mm"], "no number")])
def test_structure_when_its_contour_is_broken_then_the_others_are_kept(values: list[str], reason: str) -> None:
    dataset = _set([("CLOSED_PLANAR", SQUARE)])
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    raw = contour.get_item("ContourData")
    text = "\\".join(values).encode()
    contour[raw.tag] = raw._replace(value=text, length=len(text))
    found = read_structures(dataset)
    assert [s.name for s in found.structures] == ["Empty"]
    assert reason in found.unreadable[0].reason


def test_structure_when_asked_by_a_name_that_is_not_there_then_it_is_said() -> None:
    with pytest.raises(BadStructure, match="'Liver'"):
        StructureSet(structures=(), unreadable=()).named("Liver")


def test_contour_when_it_has_many_points_then_all_are_read() -> None:
    values = [f"{v:.3f}" for v in np.random.default_rng(1).uniform(-300, 300, 9000)]
    points = read_structures(_set([("CLOSED_PLANAR", values)])).structures[0].closed[0]
    assert points.ravel() == pytest.approx([float(v) for v in values])
