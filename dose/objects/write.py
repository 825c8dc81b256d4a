"""Our own results as DICOM: composite RTDOSE, and the RTSTRUCT that marks where it is unknown.

An RTDOSE can't say *unknown*. There such voxels hold the upper estimate, Series Description begins with INCOMPLETE, and
the structure ``Dose_Unknown`` beside it is drawn around them (DESIGN section 3, promise 7). UIDs, times and everything
about patient and study are handed in: this module invents nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, ImplicitVRLittleEndian, RTDoseStorage, RTPlanStorage, RTStructureSetStorage
from pydicom.valuerep import format_number_as_ds

from dose.errors import BadDose
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry, Mask, Points, Volume
from dose.shapes.mask import outline

UNKNOWN_ROI = "Dose_Unknown"
"""Name of the structure around unknown voxels."""

INCOMPLETE = "INCOMPLETE"
"""First word of Series Description where anything is unknown."""

_LO_LENGTH = 64
_CONTOUR_DATA = Tag(0x3006, 0x0050)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectHeader:
    """What an object says of patient, study and itself.

    Parameters
    ----------
    sop_instance_uid, series_instance_uid, study_instance_uid, frame_of_reference_uid
        The first two of our own root; study and frame those of the image summed on.
    patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex
        As in the image's study; empty where not known.
    study_date, study_time, study_id, accession_number, referring_physician
        As in the image's study.
    created
        Site wall clock of the making.
    manufacturer, model, software_version
        Who made it.
    series_description
        Without the word INCOMPLETE, which is set where it applies.
    series_number
        Number of the new series in the study.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str
    patient_id: str
    patient_name: str
    created: datetime
    manufacturer: str
    model: str
    software_version: str
    series_description: str
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    series_number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneImage:
    """The image slice a plane of the grid coincides with."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReference:
    """A plan that went into the sum; `sop_class_uid` may be that of RT Ion Plan."""

    sop_instance_uid: str
    sop_class_uid: str = RTPlanStorage


def rtdose_dataset(
    total: Sum,
    *,
    header: ObjectHeader,
    plans: Sequence[PlanReference],
    dose_type: str = "PHYSICAL",
    comment: str = "",
    bits: int = 32,
) -> Dataset:
    """Make the RTDOSE of a sum, ready to be saved (PS3.3 A.18.3, C.8.8.3).

    Parameters
    ----------
    total
        Unknown voxels get its upper bound.
    header
        Patient, study, UIDs.
    plans
        Those summed; more than one make Dose Summation Type MULTI_PLAN.
    dose_type
        PHYSICAL, or EFFECTIVE for EQD2 and RBE-weighted dose.
    comment
        Dose Comment: model and alpha/beta of an EQD2, for instance.
    bits
        16 or 32 per voxel. Rounding is at most half a step: 0.0008 % of the maximum with 16 bits.

    Raises
    ------
    BadDose
        No plan is named, or `bits` is something else.
    """
    if not plans:
        raise BadDose("A summed dose names at least one plan.")
    complete = total.is_complete
    dataset = _object(header, RTDoseStorage, "RTDOSE", complete=complete)
    dose_gy, geometry = _right_handed(total.upper_gy, total.geometry)
    _place(dataset, geometry)
    _store(dataset, dose_gy, bits)
    dataset.DoseUnits = "GY"
    dataset.DoseType = dose_type
    dataset.DoseComment = comment[:_LO_LENGTH]
    dataset.DoseSummationType = "MULTI_PLAN" if len(plans) > 1 else "PLAN"
    dataset.ReferencedRTPlanSequence = Items(
        [_item(ReferencedSOPClassUID=p.sop_class_uid, ReferencedSOPInstanceUID=p.sop_instance_uid) for p in plans]
    )
    return dataset


def unknown_structure_set(
    total: Sum,
    *,
    header: ObjectHeader,
    images: Sequence[PlaneImage] | None = None,
) -> Dataset:
    """Make the RTSTRUCT whose structure ``Dose_Unknown`` is drawn around the unknown voxels of a sum.

    Contours run along voxel edges on the planes of the grid, so that `dose.shapes.mask.fill` gives the mask back
    exactly. With everything known the structure has no contours.

    Parameters
    ----------
    total
        The sum.
    header
        Patient, study, UIDs of its own.
    images
        One per plane of the grid where it is that of an image series, in plane order.
    """
    dataset = _object(header, RTStructureSetStorage, "RTSTRUCT", complete=total.is_complete)
    dataset.StructureSetLabel = UNKNOWN_ROI.upper()
    dataset.StructureSetDate = header.created.strftime("%Y%m%d")
    dataset.StructureSetTime = header.created.strftime("%H%M%S")
    dataset.ApprovalStatus = "UNAPPROVED"
    frame = _item(FrameOfReferenceUID=header.frame_of_reference_uid)
    if images:
        frame.RTReferencedStudySequence = Items([_referenced_study(header.study_instance_uid, images)])
    dataset.ReferencedFrameOfReferenceSequence = Items([frame])
    dataset.StructureSetROISequence = Items(
        [
            _item(
                ROINumber=1,
                ReferencedFrameOfReferenceUID=header.frame_of_reference_uid,
                ROIName=UNKNOWN_ROI,
                ROIGenerationAlgorithm="AUTOMATIC",
            )
        ]
    )
    dataset.ROIContourSequence = Items([_roi_contours(~total.known, total.geometry, images)])
    dataset.RTROIObservationsSequence = Items(
        [_item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="", ROIInterpreter="")]
    )
    return dataset


def _object(header: ObjectHeader, sop_class_uid: UID, modality: str, *, complete: bool) -> Dataset:
    """Patient, study, series, frame and equipment of an object, with its file meta group.

    Implicit VR: an explicit one can't hold contours or offsets of more than 64 kB.
    """
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, UID(header.sop_instance_uid)
    dataset.InstanceCreationDate = dataset.SeriesDate = dataset.ContentDate = header.created.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.SeriesTime = dataset.ContentTime = header.created.strftime("%H%M%S")
    dataset.StudyDate, dataset.StudyTime = header.study_date, header.study_time
    dataset.AccessionNumber, dataset.StudyID = header.accession_number, header.study_id
    dataset.Modality = modality
    dataset.Manufacturer, dataset.ManufacturerModelName = header.manufacturer, header.model
    dataset.SoftwareVersions = header.software_version
    dataset.ReferringPhysicianName, dataset.OperatorsName = header.referring_physician, ""
    description = header.series_description if complete else f"{INCOMPLETE} {header.series_description}"
    dataset.SeriesDescription = description[:_LO_LENGTH].strip()
    dataset.PatientName, dataset.PatientID = header.patient_name, header.patient_id
    if header.issuer_of_patient_id:
        dataset.IssuerOfPatientID = header.issuer_of_patient_id
    dataset.PatientBirthDate, dataset.PatientSex = header.patient_birth_date, header.patient_sex
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = header.study_instance_uid, header.series_instance_uid
    dataset.SeriesNumber, dataset.InstanceNumber = header.series_number, 1
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = header.frame_of_reference_uid, ""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class_uid, UID(header.sop_instance_uid)
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def _right_handed(dose_gy: Volume, geometry: Geometry) -> tuple[Volume, Geometry]:
    """The same dose with planes running along row x column, so that offsets rise."""
    if np.linalg.det(geometry.affine[:3, :3]) > 0:
        return dose_gy, geometry
    affine = geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (geometry.shape[0] - 1)
    affine[:3, 2] *= -1
    return dose_gy[::-1], Geometry(shape=geometry.shape, affine=affine)


def _place(dataset: Dataset, geometry: Geometry) -> None:
    directions, (column_mm, row_mm, plane_mm) = geometry.directions, geometry.spacing_mm
    dataset.ImagePositionPatient = _decimals(geometry.affine[:3, 3])
    dataset.ImageOrientationPatient = _decimals(directions[:, :2].T.ravel() + 0.0)
    dataset.PixelSpacing = _decimals(np.array([row_mm, column_mm]))
    dataset.SliceThickness = _decimals(np.array([plane_mm]))[0]
    dataset.GridFrameOffsetVector = _decimals(np.arange(geometry.shape[0], dtype=np.float64) * plane_mm)
    dataset.FrameIncrementPointer = Tag("GridFrameOffsetVector")


def _store(dataset: Dataset, dose_gy: Volume, bits: int) -> None:
    """Pixels: unsigned, but 32-bit values stay below 2**31, since some readers take them as signed."""
    if bits not in (16, 32):
        raise BadDose(f"Dose grids have 16 or 32 bits, not {bits}.")
    steps = 2**16 - 1 if bits == 16 else 2**31 - 2
    highest = max(float(dose_gy.max()), 1e-6)
    scaling = float(format_number_as_ds(highest / (steps - 1)))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = dose_gy.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.DoseGridScaling = format_number_as_ds(scaling)
    dtype = np.dtype("<u2" if bits == 16 else "<u4")
    pixels = bytearray()
    for plane in dose_gy:
        pixels += np.rint(plane.astype(np.float64) / scaling).astype(dtype).tobytes()
    dataset.PixelData = bytes(pixels) + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OW"


def _roi_contours(unknown: Mask, geometry: Geometry, images: Sequence[PlaneImage] | None) -> Dataset:
    item = _item(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 255])
    contours = []
    for plane, points in outline(unknown, geometry):
        contour = _item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(points))
        if images:
            contour.ContourImageSequence = Items([_image_item(images[plane])])
        contour[_CONTOUR_DATA] = _contour_data(points)
        contours.append(contour)
    if contours:
        item.ContourSequence = Items(contours)
    return item


def _contour_data(points: Points) -> RawDataElement:
    """Contour Data as bytes: one object per number would take seconds."""
    text = "\\".join(_decimals(points.ravel())).encode("ascii")
    value = text + b" " * (len(text) % 2)
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)


def _referenced_study(study_instance_uid: str, images: Sequence[PlaneImage]) -> Dataset:
    series: dict[str, list[Dataset]] = {}
    for image in images:
        series.setdefault(image.series_instance_uid, []).append(_image_item(image))
    # Detached Study Management is retired, but the class UID of a referenced study is still required (PS3.3 C.8.8.5)
    study = _item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=study_instance_uid)
    study.RTReferencedSeriesSequence = Items(
        [_item(SeriesInstanceUID=uid, ContourImageSequence=Items(items)) for uid, items in series.items()]
    )
    return study


def _image_item(image: PlaneImage) -> Dataset:
    return _item(ReferencedSOPClassUID=image.sop_class_uid, ReferencedSOPInstanceUID=image.sop_instance_uid)


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _decimals(values: npt.NDArray[np.floating]) -> list[str]:
    """Decimal strings of at most 16 characters, without the dust of floating point."""
    return [format_number_as_ds(round(float(v), 9) + 0.0) for v in values]
