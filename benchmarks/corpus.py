"""Objects to measure with: CT slices of half a megabyte, treatment records of three kilobytes, whole courses.

Made anew from a seed, with noise in the pictures, so that no compression on the way flatters anybody. Every object
has UIDs of its own: sending one twice would measure how duplicates are recognised.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import FileDataset, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RTBeamsTreatmentRecordStorage,
)

ROOT = "1.2.826.0.1.3680043.9.7229.77"
ROWS = 512
SLICES_PER_SERIES = 120
RECORDS_PER_PLAN = 30
STUDIES_PER_PATIENT = 2
_SURNAMES = ("Adler", "Brenner", "Castel", "Dorn", "Ebner", "Falk", "Gruber", "Holm", "Ivers", "Jansen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object of a corpus and where its file lies."""

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_uid: str
    series_uid: str
    patient_id: str
    patient_name: str
    accession: str
    size_bytes: int
    dataset_offset: int

    def dataset(self) -> bytes:
        """Return the encoded data set, as it goes over the wire."""
        return Path(self.path).read_bytes()[self.dataset_offset :]


def ct_slices(folder: Path, count: int) -> list[Item]:
    """Return CT slices (explicit little endian, 512 x 512), several series of one hundred and twenty."""
    return _kept(folder / f"ct{count}", lambda: (_ct(number) for number in range(count)))


def records(folder: Path, count: int) -> list[Item]:
    """Return treatment records (implicit little endian), thirty to a study."""
    return _kept(
        folder / f"records{count}", lambda: (_record(n // RECORDS_PER_PLAN, n % RECORDS_PER_PLAN) for n in range(count))
    )


def courses(folder: Path, count: int, *, slices: int) -> list[Item]:
    """Return studies of `slices` CT slices and thirty records each, for retrieving."""

    def made() -> Iterator[FileDataset]:
        for study in range(count):
            yield from (_ct(study * SLICES_PER_SERIES + number) for number in range(slices))
            yield from (_record(study, number) for number in range(RECORDS_PER_PLAN))

    return _kept(folder / f"courses{count}x{slices}", made)


def _kept(folder: Path, make: Callable[[], Iterator[FileDataset]]) -> list[Item]:
    """Return what an earlier run made, or make it."""
    listing = folder / "items.json"
    if not listing.exists():
        folder.mkdir(parents=True, exist_ok=True)
        items = []
        for number, dataset in enumerate(make()):
            path = folder / f"{number:05d}.dcm"
            with path.open("wb") as file:
                dcmwrite(file, dataset, enforce_file_format=True)
            items.append(_item(dataset, path=str(path), body=_encoded(dataset)))
        listing.write_text(json.dumps([asdict(item) for item in items]))
    return [Item(**fields) for fields in json.loads(listing.read_text())]


def _item(dataset: FileDataset, *, path: str, body: bytes) -> Item:
    size = Path(path).stat().st_size if path else len(body)
    return Item(
        path=path,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        patient_id=str(dataset.PatientID),
        patient_name=str(dataset.PatientName),
        accession=str(dataset.AccessionNumber),
        size_bytes=size,
        dataset_offset=size - len(body),
    )


def _encoded(dataset: FileDataset) -> bytes:
    stream = BytesIO()
    plain = Dataset(dataset)
    implicit = dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    dcmwrite(stream, plain, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return stream.getvalue()


def _uid(*parts: object) -> str:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"{ROOT}.{int.from_bytes(digest[:12], 'big')}"


def _base(sop_class: str, syntax: str, *, study: int, name: tuple[object, ...]) -> FileDataset:
    patient = study // STUDIES_PER_PATIENT
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, _uid(*name)
    dataset.StudyDate = dataset.SeriesDate = f"{2000 + study // 336 % 25}{1 + study // 28 % 12:02d}{1 + study % 28:02d}"
    dataset.StudyTime = dataset.SeriesTime = "101500"
    dataset.AccessionNumber = f"A{study:07d}"
    dataset.Manufacturer, dataset.StationName = "Synthetic", f"LINAC{patient % 3 + 1}"
    dataset.ReferringPhysicianName, dataset.StudyDescription = (
        "Referring^One",
        f"Course {study % STUDIES_PER_PATIENT + 1}",
    )
    dataset.PatientName = f"{_SURNAMES[patient % len(_SURNAMES)]}^Test{patient:06d}"
    dataset.PatientID = f"B{patient:06d}"
    dataset.PatientBirthDate, dataset.PatientSex = f"19{40 + patient % 50}0315", "MF"[patient % 2]
    dataset.StudyInstanceUID, dataset.StudyID = _uid("study", study), str(study)
    return dataset


def _ct(number: int) -> FileDataset:
    study, slice_ = divmod(number, SLICES_PER_SERIES)
    dataset = _base(CTImageStorage, ExplicitVRLittleEndian, study=study, name=("ct", number))
    dataset.Modality, dataset.SeriesInstanceUID = "CT", _uid("ct series", study)
    dataset.SeriesNumber, dataset.InstanceNumber = 1, slice_ + 1
    dataset.FrameOfReferenceUID = _uid("frame", study)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-250, -250, 2.5 * slice_], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.976562, 0.976562], 2.5
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.KVP = -1024, 1, 120
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = ROWS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = _picture(number).tobytes()
    return dataset


def _picture(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0:ROWS, 0:ROWS].astype(np.float32) / ROWS - 0.5
    body = (x / 0.38) ** 2 + (y / 0.28) ** 2 < 1
    values = np.where(body, 1064.0, 24.0) + rng.normal(0, 15, (ROWS, ROWS))
    return np.clip(values, 0, 4095).astype("<u2")


def _record(study: int, fraction: int) -> FileDataset:
    name = ("record", study, fraction)
    dataset = _base(RTBeamsTreatmentRecordStorage, ImplicitVRLittleEndian, study=study, name=name)
    dataset.Modality, dataset.SeriesInstanceUID = "RTRECORD", _uid("record series", study)
    dataset.SeriesNumber, dataset.InstanceNumber = 5, fraction + 1
    dataset.TreatmentDate, dataset.TreatmentTime = dataset.StudyDate, f"{8 + fraction % 9:02d}0030"
    plan = Dataset()
    plan.ReferencedSOPClassUID, plan.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.5", _uid("plan", study)
    dataset.ReferencedRTPlanSequence = Sequence([plan])
    machine = Dataset()
    machine.TreatmentMachineName, machine.DeviceSerialNumber = "LINAC1", "SN42"
    dataset.TreatmentMachineSequence = Sequence([machine])
    dataset.PrimaryDosimeterUnit, dataset.NumberOfFractionsPlanned = "MU", RECORDS_PER_PLAN
    dataset.TreatmentSessionBeamSequence = Sequence([_beam(fraction, number) for number in range(1, 5)])
    return dataset


def _beam(fraction: int, number: int) -> Dataset:
    beam = Dataset()
    beam.ReferencedBeamNumber, beam.BeamName, beam.CurrentFractionNumber = number, f"Arc {number}", fraction + 1
    beam.BeamType, beam.RadiationType, beam.TreatmentDeliveryType = "DYNAMIC", "PHOTON", "TREATMENT"
    beam.TreatmentTerminationStatus, beam.TreatmentVerificationStatus = "NORMAL", "VERIFIED"
    beam.SpecifiedPrimaryMeterset, beam.DeliveredPrimaryMeterset = 100 + number, 100 + number
    beam.NumberOfControlPoints = 3
    points = []
    for index in range(3):
        point = Dataset()
        point.ReferencedControlPointIndex, point.TreatmentControlPointTime = index, "101530"
        point.SpecifiedMeterset = point.DeliveredMeterset = 50 * index
        point.DoseRateDelivered, point.GantryAngle = 599.8, 120 * index
        points.append(point)
    beam.ControlPointDeliverySequence = Sequence(points)
    return beam
