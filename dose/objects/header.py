"""What all objects of ours say alike: patient, study, series, equipment; and the small pieces they are made of.

UIDs, times and everything about patient and study are handed in: nothing here is invented.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ImplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from dose.grids.grid import Geometry

INCOMPLETE = "INCOMPLETE"
"""First word of Series Description where anything is unknown."""

LO_LENGTH = 64


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


def new_object(header: ObjectHeader, sop_class_uid: UID, modality: str, *, complete: bool) -> Dataset:
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
    dataset.SeriesDescription = description[:LO_LENGTH].strip()
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


def right_handed(geometry: Geometry) -> Geometry:
    """The same voxels with planes running along row x column, so that offsets rise."""
    if np.linalg.det(geometry.affine[:3, :3]) > 0:
        return geometry
    affine = geometry.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (geometry.shape[0] - 1)
    affine[:3, 2] *= -1
    return Geometry(shape=geometry.shape, affine=affine)


def referenced_study(study_instance_uid: str, images: Sequence[PlaneImage]) -> Dataset:
    """Return the study of image slices as a structure set refers to it."""
    series: dict[str, list[Dataset]] = {}
    for image in images:
        series.setdefault(image.series_instance_uid, []).append(image_item(image))
    # Detached Study Management is retired, but the class UID of a referenced study is still required (PS3.3 C.8.8.5)
    study = item_of(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=study_instance_uid)
    study.RTReferencedSeriesSequence = Items(
        [item_of(SeriesInstanceUID=uid, ContourImageSequence=Items(items)) for uid, items in series.items()]
    )
    return study


def image_item(image: PlaneImage) -> Dataset:
    """Return a reference to an image slice."""
    return item_of(ReferencedSOPClassUID=image.sop_class_uid, ReferencedSOPInstanceUID=image.sop_instance_uid)


def item_of(**values: object) -> Dataset:
    """Return an item of a sequence with these attributes."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def decimals(values: npt.NDArray[np.floating]) -> list[str]:
    """Decimal strings of at most 16 characters, without the dust of floating point."""
    return [format_number_as_ds(round(float(v), 9) + 0.0) for v in values]
