"""Parts that all sample objects share: patient, study, series and equipment modules, and the writing of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag
from pydicom.uid import UID

from lastgate.sample.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, Person, uid_for

PHYSICIAN = ("Sample^Physician=样例^医生", "Sample^Physician")
PHYSICIST = ("Sample^Physicist=样例^物理师", "Sample^Physicist")
THERAPIST = ("Sample^Therapist=样例^技师", "Sample^Therapist")
INSTITUTION = ("样例医院 Sample Hospital", "Sample Hospital")
DEPARTMENT = ("放射治疗科 Radiotherapy", "Radiotherapy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One course of one person as DICOM sees it: all its objects share this study.

    Parameters
    ----------
    person
        Whose it is.
    key
        Name of the course; UIDs are derived from it.
    date, time
        Study Date and Time: the planning CT.
    description
        Study Description.
    frame_key
        Name of the frame of reference; courses with the same name share the frame.
    """

    person: Person
    key: str
    date: str
    time: str
    description: str
    frame_key: str

    def uid(self, *names: str) -> UID:
        """UID of something in this study."""
        return uid_for(self.person.patient_id, self.key, *names)

    @property
    def study_uid(self) -> UID:
        """Study Instance UID."""
        return self.uid("study")

    @property
    def frame_uid(self) -> UID:
        """Frame of Reference UID."""
        return uid_for(self.person.patient_id, "frame", self.frame_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Series level of an object and the equipment that made it."""

    key: str
    number: int
    modality: str
    description: str
    date: str
    time: str
    model: str


def new_object(study: Study, series: Series, sop_class: UID, *, key: str) -> Dataset:
    """A data set with patient, study, series, equipment and SOP common modules.

    Parameters
    ----------
    key
        Name of the instance within its series; the SOP Instance UID is derived from it.
    """
    person, ds = study.person, Dataset()
    ds.SpecificCharacterSet = person.character_set
    ds.InstanceCreationDate, ds.InstanceCreationTime = series.date, series.time
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, study.uid(series.key, key)
    ds.StudyDate, ds.StudyTime, ds.SeriesDate, ds.SeriesTime = study.date, study.time, series.date, series.time
    ds.AccessionNumber = ""
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = series.modality, "Lastgate Sample", series.model
    ds.InstitutionName = person.in_own_script(*INSTITUTION)
    ds.InstitutionalDepartmentName = person.in_own_script(*DEPARTMENT)
    ds.ReferringPhysicianName = person.in_own_script(*PHYSICIAN)
    ds.PhysiciansOfRecord = person.in_own_script(*PHYSICIAN)
    ds.StudyDescription, ds.SeriesDescription = study.description, series.description
    ds.OperatorsName = person.in_own_script(*PHYSICIST)
    ds.DeviceSerialNumber, ds.SoftwareVersions = "SAMPLE-1", "1.0"
    ds.PatientName, ds.PatientID = person.name, person.patient_id
    if person.issuer is not None:
        ds.IssuerOfPatientID = person.issuer
    ds.PatientBirthDate, ds.PatientSex = person.birth_date, person.sex
    ds.PatientComments = "FICTIONAL SAMPLE PATIENT"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study.study_uid, study.uid(series.key)
    ds.StudyID, ds.SeriesNumber = study.date, series.number
    return ds


def set_decimals(ds: Dataset, keyword: str, values: npt.NDArray[np.float64], *, digits: int) -> None:
    """Set a long DS value from an array.

    The text is handed over ready-made: pydicom would build an object of its own for each number, which for the
    contours of a structure set takes longer than the rest of the sample department.
    """
    text = "\\".join(f"{v:.{digits}f}" for v in values.ravel().tolist())
    _set_raw(ds, keyword, "DS", text.encode("ascii"))


def set_singles(ds: Dataset, keyword: str, values: npt.NDArray[np.float64]) -> None:
    """Set a long FL value from an array."""
    _set_raw(ds, keyword, "FL", values.astype("<f4").tobytes())


def _set_raw(ds: Dataset, keyword: str, vr: str, value: bytes) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    value += b" " * (len(value) % 2)
    ds[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


def coded(value: str, meaning: str, *, scheme: str = "SCT") -> Dataset:
    """Item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference(sop_class: UID, instance: UID) -> Dataset:
    """Item of a sequence that refers to an instance."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item


def dataset_of(**elements: object) -> Dataset:
    """A data set with these elements, named by keyword."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _settle_encoding(ds: Dataset, implicit_vr: bool, encoding: str | list[str]) -> None:
    """Tell pydicom that the data set is in its final encoding already.

    It would otherwise walk the whole tree below every item once more, parse the ready-made numbers and write them
    again, which triples the time. The walk looks for elements of ambiguous VR, and we set none.
    """
    ds.set_original_encoding(implicit_vr, True, encoding)
    for element in ds.values():
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value:
                _settle_encoding(item, implicit_vr, default_encoding)


def save(ds: Dataset, path: Path, person: Person) -> None:
    """Write a file with a fixed header, so that the same data set always gives the same bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = person.transfer_syntax
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
    ds.file_meta = meta
    _settle_encoding(ds, person.implicit_vr, convert_encodings(person.character_set))
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, ds, enforce_file_format=True)
