"""Structures of our own making as an RTSTRUCT (PS3.3 A.19, C.8.8.5, C.8.8.6, C.8.8.8)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage

from dose.grids.grid import Points
from dose.objects.header import (
    LO_LENGTH,
    ObjectHeader,
    PlaneImage,
    image_item,
    item_of,
    new_object,
    referenced_study,
)

_CONTOUR_DATA = Tag(0x3006, 0x0050)
_ST_LENGTH = 1024
_ASCII = "iso8859"
"""As pydicom calls the standard repertoire: numbers that come in it are written as they are, not one by one."""

_SH_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnRoi:
    """A structure to be written.

    Parameters
    ----------
    name
        ROI Name, at most 64 characters.
    contours
        Number of the plane of the image, and closed contour ``[n, 3]`` in LPS mm.
    description
        Where it comes from.
    interpreted_type
        RT ROI Interpreted Type, empty where not known.
    """

    name: str
    contours: Sequence[tuple[int, Points]]
    color: tuple[int, int, int] = (255, 255, 0)
    description: str = ""
    interpreted_type: str = ""


def structure_set_dataset(
    rois: Sequence[DrawnRoi],
    *,
    header: ObjectHeader,
    label: str,
    images: Sequence[PlaneImage] | None = None,
    complete: bool = True,
) -> Dataset:
    """Make an RTSTRUCT of structures drawn by a program; its approval is nobody's yet.

    Parameters
    ----------
    rois
        Numbered from 1 in this order; one without contours is written with its name alone.
    label
        Structure Set Label, cut at 16 characters.
    images
        The image slice of each plane the contours name, in plane order; None where the planes are no image's.
    complete
        False puts INCOMPLETE before the description of the series.
    """
    dataset = new_object(header, RTStructureSetStorage, "RTSTRUCT", complete=complete)
    dataset.StructureSetLabel = label[:_SH_LENGTH]
    dataset.StructureSetDate = header.created.strftime("%Y%m%d")
    dataset.StructureSetTime = header.created.strftime("%H%M%S")
    dataset.ApprovalStatus = "UNAPPROVED"
    frame = item_of(FrameOfReferenceUID=header.frame_of_reference_uid)
    if images:
        frame.RTReferencedStudySequence = Items([referenced_study(header.study_instance_uid, images)])
    dataset.ReferencedFrameOfReferenceSequence = Items([frame])
    dataset.StructureSetROISequence = Items([_roi(n, roi, header) for n, roi in enumerate(rois, 1)])
    dataset.ROIContourSequence = Items([_roi_contours(n, roi, images) for n, roi in enumerate(rois, 1)])
    dataset.RTROIObservationsSequence = Items([_observation(n, roi) for n, roi in enumerate(rois, 1)])
    return dataset


def _roi(number: int, roi: DrawnRoi, header: ObjectHeader) -> Dataset:
    item = item_of(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=header.frame_of_reference_uid,
        ROIName=roi.name[:LO_LENGTH],
        ROIGenerationAlgorithm="AUTOMATIC",
    )
    if roi.description:
        item.ROIDescription = roi.description[:_ST_LENGTH]
    return item


def _observation(number: int, roi: DrawnRoi) -> Dataset:
    return item_of(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType=roi.interpreted_type,
        ROIInterpreter="",
    )


def _roi_contours(number: int, roi: DrawnRoi, images: Sequence[PlaneImage] | None) -> Dataset:
    item = item_of(ReferencedROINumber=number, ROIDisplayColor=list(roi.color))
    contours = []
    for plane, points in roi.contours:
        contour = item_of(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(points))
        if images:
            contour.ContourImageSequence = Items([image_item(images[plane])])
        contour[_CONTOUR_DATA] = _contour_data(points)
        contour.set_original_encoding(True, True, _ASCII)
        contours.append(contour)
    if contours:
        item.ContourSequence = Items(contours)
    return item


def _contour_data(points: Points) -> RawDataElement:
    """Contour Data as bytes, to a ten-thousandth of a millimetre: one object per number would take seconds."""
    text = b"\\".join([b"%.4f" % one for one in (points.ravel() + 0.0).tolist()])
    value = text + b" " * (len(text) % 2)
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)
