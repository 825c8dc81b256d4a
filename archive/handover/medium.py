"""The DICOM medium (PS3.10, PS3.11 general purpose): instances with a DICOMDIR, and beside them what is not DICOM.

Instances stand on it byte for byte as kept, in the transfer syntax they came
in. pydicom writes the directory from the few values it tells of; what an
instance lacks of them is filled in there and nowhere else, as PS3.3 F.5 allows.
"""

import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.fileset import FileSet

from archive.handover.contents import Contents, Payload
from archive.handover.writing import PackageFolder, Written

BESIDE: Final = "LASTGATE"
"""Folder of what is not DICOM."""
DIGESTS: Final = f"{BESIDE}/manifest-sha256.txt"
DICOMDIR: Final = "DICOMDIR"
_STANDARD: Final = "1.2.840.10008."
_STAGED: Final = "STAGED"
_DAYS: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "RTPlanDate", "StructureSetDate")
_TOLD: Final = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "PatientID"),
    *("PatientName", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "SeriesNumber", "InstanceNumber"),
    *("DoseSummationType", "StructureSetLabel", "StructureSetTime", "RTPlanLabel", "RTPlanTime", "TreatmentDate"),
    *("TreatmentTime", "ContentTime", "ContentLabel", "ContentDescription", "PresentationCreationDate"),
    *("PresentationCreationTime", "CompletionFlag", "VerificationFlag", "VerificationDateTime", "DocumentTitle"),
    *("MIMETypeOfEncapsulatedDocument", "HL7InstanceIdentifier", "EncapsulatedDocument", "ConceptNameCodeSequence"),
    *("InstanceCreationDate", "UserContentLabel", "UserContentLongLabel", "SpecificCharacterSet", *_DAYS),
)
"""Keywords of what directory records are made of (PS3.3 F.5)."""
_FILLED_IN: Final = {"PatientID": "NONE", "StudyTime": "000000", "StudyID": "0", "SeriesNumber": "0", "Modality": "OT"}
_FILLED_IN_OF_CLASS: Final = {
    "1.2.840.10008.5.1.4.1.1.481.2": {"DoseSummationType": "UNKNOWN"},
    "1.2.840.10008.5.1.4.1.1.481.3": {"StructureSetLabel": "UNKNOWN"},
    "1.2.840.10008.5.1.4.1.1.481.5": {"RTPlanLabel": "UNKNOWN"},
    "1.2.840.10008.5.1.4.1.1.481.8": {"RTPlanLabel": "UNKNOWN"},
}
_NO_DAY: Final = "19000101"
_ENDING: Final = re.compile(r"\.[A-Za-z0-9]{1,5}")


def write_medium(package: PackageFolder, contents: Contents, *, program: str) -> None:
    """Write a medium; its DICOMDIR comes last.

    Parameters
    ----------
    program
        Name and version of this program.
    """
    places: dict[str, str] = {}  # where each file came to lie, by its path in the dossier
    with tempfile.TemporaryDirectory(dir=package.root) as scratch, _file_set() as directory:
        staged: dict[str, tuple[str, str]] = {}
        for number, file in enumerate(file for file in contents.files if file.is_instance):
            written = package.write(f"{_STAGED}/{number}", file.pieces(), sha256=file.sha256)
            uid = _add(directory, package.root / written.path, number)
            if uid and uid not in staged:
                staged[uid] = written.path, file.path
            else:
                places[file.path] = package.move(written.path, _beside(file)).path
        index = Path(scratch) / "index"
        index.mkdir()
        told = _directory(directory, index)
        for instance in directory:
            written_at, path = staged[instance.SOPInstanceUID]
            places[path] = package.move(written_at, PurePosixPath(*Path(instance.FileID).parts).as_posix()).path
    for file in contents.files:
        if not file.is_instance:
            places[file.path] = package.write(_beside(file), file.pieces(), sha256=file.sha256).path
    _remove_empty(package.root / _STAGED)
    package.write("README.TXT", [_readme(contents, places, program)])
    package.write(DICOMDIR, [told])
    package.write(DIGESTS, [_digests(package.written)])


@contextmanager
def _file_set() -> Iterator[FileSet]:
    """Yield a file-set that leaves nothing of a patient behind: pydicom removes its staging folder only by chance."""
    directory = FileSet()
    try:
        yield directory
    finally:
        directory._stage["t"].cleanup()


def _add(directory: FileSet, path: Path, number: int) -> str:
    """Add an instance to the directory and return its UID; empty if it can't stand on a DICOM medium as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are no better in the original
        try:
            told = _told(path, number)
            if not told.SOPClassUID.startswith(_STANDARD):  # a private class has no record that others know
                return ""
            directory.add(told)
        except (InvalidDicomError, ValueError, AttributeError, KeyError, TypeError, OSError, NotImplementedError):
            return ""
    return str(told.SOPInstanceUID)


def _told(path: Path, number: int) -> Dataset:
    """Return of an instance what the directory tells, in UTF-8, and whole."""
    read = dcmread(path, stop_before_pixels=True, specific_tags=list(_TOLD))
    told = Dataset()
    told.SpecificCharacterSet = "ISO_IR 192"
    for element in read:
        if element.keyword == "SpecificCharacterSet":
            continue
        told[element.tag] = element
        if element.VR == "PN":
            told[element.tag].value = str(element.value).encode("utf-8", "replace").decode()
    fill = {**_FILLED_IN, **_FILLED_IN_OF_CLASS.get(str(told.SOPClassUID), {}), "InstanceNumber": str(number + 1)}
    fill["StudyDate"] = next((str(day) for keyword in _DAYS if (day := told.get(keyword))), _NO_DAY)
    for keyword, value in fill.items():
        if not told.get(keyword) and told.get(keyword) != 0:
            setattr(told, keyword, value)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = read.file_meta.TransferSyntaxUID
    implicit, little = read.original_encoding
    return FileDataset(
        "", told, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=bool(implicit), is_little_endian=bool(little)
    )


def _directory(directory: FileSet, index: Path) -> bytes:
    """Return the DICOMDIR; instances have their file ids then."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory.write(index)
    return (index / DICOMDIR).read_bytes()


def _beside(file: Payload) -> str:
    """Return where something that is not in the directory lies; its ending lets a computer open it."""
    ending = _ENDING.fullmatch(PurePosixPath(file.title).suffix)
    return f"{BESIDE}/{file.path}{ending[0] if ending and not file.is_instance else ''}"


def _remove_empty(folder: Path) -> None:
    if folder.is_dir():
        folder.rmdir()


def _digests(files: Mapping[str, Written]) -> bytes:
    return "".join(f"{files[path].sha256}  {path}\n" for path in sorted(files)).encode()


def _readme(contents: Contents, places: Mapping[str, str], program: str) -> bytes:
    seal = f"version {contents.version} as it was sealed" if contents.version else "as it stood, not sealed"
    lines = [
        f"Radiotherapy dossier {contents.dossier}, {seal}.",
        f"Written by {program}.",
        "",
        "DICOMDIR lists the DICOM files on this medium; any DICOM viewer or planning system reads them from it.",
        f"The folder {BESIDE} holds what is not DICOM, or no DICOM file as PS3.10 wants it:",
        "",
    ]
    titles = {file.path: file.title for file in contents.files}
    lines += [
        f"  {place}{f'  {titles[path]}' if titles[path] else ''}"
        for path, place in sorted(places.items())
        if place.startswith(f"{BESIDE}/")
    ]
    lines += ["", f"{DIGESTS} holds the SHA-256 of every file: sha256sum --check {DIGESTS}", ""]
    return "\r\n".join(lines).encode()
