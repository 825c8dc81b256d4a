"""A small archive to ask: made-up patients whose studies differ in everything that can be asked for."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from archive.assembly.fold import fold
from archive.facts.receipts import Receipt, Source, patient_key
from archive.facts.store import PatientFacts
from archive.reading.describe import describe
from search.projection import documents
from search.refresh import PatientFold
from tests.factories import gate

ROOT: Final = "1.2.826.0.1.3680043.10.7"
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
MR: Final = "1.2.840.10008.5.1.4.1.1.4"
PLAN: Final = "1.2.840.10008.5.1.4.1.1.481.5"
RECORD: Final = "1.2.840.10008.5.1.4.1.1.481.4"
DOSE: Final = "1.2.840.10008.5.1.4.1.1.481.2"

CHINESE: Final = "Wang^XiaoDong=王^小东"


def uid(*numbers: int) -> str:
    """Return the UID of a study, series or instance of the corpus."""
    return ".".join([ROOT, *map(str, numbers)])


def _study(number: int, **values: Any) -> dict[str, Any]:
    return {"StudyInstanceUID": uid(number), "StudyID": f"S{number}", **values}


def _series(
    number: int, *, modality: str, sop_class: str, series: int, slices: int, **values: Any
) -> Iterator[Dataset]:
    for slice_ in range(1, slices + 1):
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.SOPClassUID = sop_class
        dataset.SOPInstanceUID = uid(number, series, slice_)
        dataset.SeriesInstanceUID = uid(number, series)
        dataset.Modality = modality
        dataset.SeriesNumber = series
        dataset.InstanceNumber = slice_
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        yield dataset


def _patient(name: str, identifier: str, issuer: str = "", birth: str = "", sex: str = "") -> dict[str, Any]:
    told = {"PatientName": name, "PatientID": identifier, "PatientBirthDate": birth, "PatientSex": sex}
    return {**told, "IssuerOfPatientID": issuer} if issuer else told


def corpus() -> list[Dataset]:
    """Return the data sets: six patients, nine studies."""
    return [*_wang(), *_smiths(), *_others()]


def _wang() -> Iterator[Dataset]:
    wang = _patient(CHINESE, "H-0001", "HOSPITAL", "19600229", "M")
    first = _study(
        1, StudyDate="20240115", StudyTime="101500", AccessionNumber="A100", StudyDescription="Planning CT Head",
        ReferringPhysicianName="Sample^Physician",
    )  # fmt: skip
    yield from _series(
        1, series=1, modality="CT", sop_class=CT, slices=4, **wang, **first, SeriesDescription="Axial 3 mm", Rows=512,
        Columns=512, BodyPartExamined="HEAD", StationName="CT1", SeriesDate="20240115", SeriesTime="101600",
        PatientPosition="HFS", OtherPatientIDsSequence=_others_ids("X-9"), ContentTime="101733.5",
    )  # fmt: skip
    beam = Dataset()
    beam.TreatmentMachineName = "LINAC-1"
    yield from _series(
        1, series=2, modality="RTPLAN", sop_class=PLAN, slices=2, **wang, **first, RTPlanLabel="Head_60",
        RTPlanDate="20240120", RTPlanTime="090000", RTPlanGeometry="PATIENT", ApprovalStatus="APPROVED",
        PlanIntent="CURATIVE", ReviewDate="20240121", ReviewTime="120000", ReviewerName="Sample^Reviewer",
        BeamSequence=Sequence([beam]),
    )  # fmt: skip
    later = _study(2, StudyDate="20240301", StudyTime="235900", AccessionNumber="A101", StudyDescription="Sessions")
    plan = Dataset()
    plan.ReferencedSOPClassUID, plan.ReferencedSOPInstanceUID = PLAN, uid(1, 2, 1)
    yield from _series(
        2, series=1, modality="RTRECORD", sop_class=RECORD, slices=3, **wang, **later, TreatmentDate="20240301",
        TreatmentTime="140000", ReferencedRTPlanSequence=Sequence([plan]),
    )  # fmt: skip


def _others_ids(value: str) -> Sequence:
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID, item.TypeOfPatientID = value, "REGION", "TEXT"
    return Sequence([item])


def _smiths() -> Iterator[Dataset]:
    # one number, two issuers: two people
    for number, issuer, name, day in (
        (3, "EAST", "Smith^John^^Dr", "20230610"),
        (4, "WEST", "Smithson^Jane", "20230611"),
    ):
        yield from _series(
            number, series=1, modality="MR", sop_class=MR, slices=2, **_patient(name, "0042", issuer, "19751231", "O"),
            **_study(number, StudyDate=day, StudyTime="080000", AccessionNumber=f"A20{number}"),
            StudyDescription="MR Pelvis", SeriesDescription="T2 tra", Laterality="L",
        )  # fmt: skip


def _others() -> Iterator[Dataset]:
    mueller = _patient("Müller^Jürgen", "M-7", birth="19501111", sex="M")
    study = _study(5, StudyDate="20240115", StudyTime="101530", AccessionNumber="", StudyDescription="head & neck")
    yield from _series(5, series=1, modality="CT", sop_class=CT, slices=1, **mueller, **study)
    li = _patient("Li^Wang", "L_1", birth="19881010", sex="F")
    study = _study(6, StudyDate="20191231", StudyTime="000000", AccessionNumber="B1", StudyDescription="CT*Thorax")
    yield from _series(6, series=1, modality="CT", sop_class=CT, slices=2, **li, **study, NumberOfFrames="1")
    han = _patient("王^小东", "C-1", "HOSPITAL", "20000101", "M")
    study = _study(7, StudyDate="20200101", StudyTime="120000", AccessionNumber="C1", StudyDescription="放疗定位")
    yield from _series(7, series=1, modality="CT", sop_class=CT, slices=1, **han, **study)


def receipt(dataset: Dataset) -> Receipt:
    """Return the receipt of a data set as it would be after a C-STORE."""
    digest = sha256(dataset.SOPInstanceUID.encode()).hexdigest()
    return Receipt(
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        node="n",
        source=Source(kind="dicom"),
        disposition="stored",
        key=f"intake/dicom/{digest[:2]}/{digest}",
        file_sha256=digest,
        file_sha512=digest * 2,
        dataset_sha256=digest,
        size_bytes=1000,
        header=describe(dataset),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def folds(datasets: Iterable[Dataset]) -> Iterator[PatientFold]:
    """Yield what the index shall hold of data sets."""
    found: dict[str, list[Receipt]] = {}
    for one in map(receipt, datasets):
        found.setdefault(patient_key(one.header.patient.identifier, one.header.study_uid), []).append(one)
    for key, receipts in found.items():
        record = fold(
            PatientFacts(
                key=patient_key(receipts[0].header.patient.identifier, ""), receipts=tuple(receipts), decisions=()
            ),
            gate=gate(),
        )
        assert record.key == key
        yield PatientFold(patient_key=record.key, version=record.version, documents=documents(record))


def write_files(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write data sets as files and return their paths."""
    paths = []
    for number, dataset in enumerate(datasets):
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = folder / f"{number:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
