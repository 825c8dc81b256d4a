"""What of a dossier goes into a package once its identity is taken away; what can't be cleaned is left out and told."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from archive.assembly.courses import anchor, dossier_id
from archive.deidentification.cleaning import deidentify
from archive.deidentification.profile import CODES
from archive.deidentification.pseudonyms import Pseudonyms
from archive.handover.contents import Contents, Payload, made_here
from archive.model import Dossier, Held
from archive.uids import UID_ROOT
from archive.vault.places import Places

DEIDENTIFICATION_JSON: Final = "deidentification.json"
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_CLEANABLE: Final = frozenset(
    f"{_STORAGE}{rest}"
    for rest in (
        *("2", "2.1", "4", "4.1", "20", "128", "128.1", "130"),  # CT, MR, NM, PET
        *("66.1", "66.3", "66.4"),  # registrations, segmentation
        *(f"481.{number}" for number in range(1, 10)),  # RT image, dose, structures, plans, records
    )
)
"""SOP classes of which the profile's table and our rules know every place that tells of a person."""
_PICTURES_OF_SCREENS: Final = frozenset({"SCREEN SAVE", "SCREENSAVE", "REPORT", "DOSE_INFO", "PATIENT INFO"})
_NOT_COVERED: Final = "The profile does not cover this SOP class: its text or picture may name the patient"
_DOCUMENT: Final = "A document: nobody has cleaned it"
_BURNED: Final = "Its picture bears, or may bear, writing that names the patient"
_UNREADABLE: Final = "Its values can't be read, and so not cleaned"


class _LeftOut(Exception):
    """An instance stays out of the package; the message says why."""


def deidentified(dossier: Dossier, *, places: Places, pseudonyms: Pseudonyms, scratch: Path, program: str) -> Contents:
    """Return what of a dossier goes into a package without the patient's identity.

    Parameters
    ----------
    scratch
        An empty folder that stays until the contents are written: cleaned instances wait there.
    program
        Name and version of this program.

    Raises
    ------
    DigestMismatch, ObjectMissing
        An instance is no longer what was received.
    """
    files: list[Payload] = []
    left_out: Counter[tuple[str, str, str]] = Counter()
    for held in dossier.instances:
        try:
            files.append(_cleaned(held, places, pseudonyms, scratch))
        except _LeftOut as error:
            left_out[held.kind.value, held.header.sop_class_uid, str(error)] += 1
    identity = dossier_id(pseudonyms.uid(anchor(dossier.plans))) if dossier.plans else pseudonyms.patient_id.lower()
    told = {
        "format": "lastgate/deidentification/1",
        "dossier": identity,
        "program": program,
        "profile": [{"code": code, "scheme": "DCM", "meaning": meaning} for code, meaning in CODES],
        "instances": len(files),
        "left_out": [
            {"kind": kind, "sop_class_uid": sop_class, "reason": reason, "count": count}
            for (kind, sop_class, reason), count in sorted(left_out.items())
        ],
    }
    files.append(made_here(DEIDENTIFICATION_JSON, (json.dumps(told, indent=1) + "\n").encode()))
    return Contents(dossier=identity, version=0, files=tuple(files))


def left_out_of(contents: Contents) -> list[dict[str, object]]:
    """Return what was left out of a package without identities, as its deidentification.json tells."""
    (told,) = (file for file in contents.files if file.path == DEIDENTIFICATION_JSON)
    found: list[dict[str, object]] = json.loads(b"".join(told.pieces()))["left_out"]
    return found


def _cleaned(held: Held, places: Places, pseudonyms: Pseudonyms, scratch: Path) -> Payload:
    if not held.header.sop_instance_uid:
        raise _LeftOut(_DOCUMENT)
    if held.header.sop_class_uid not in _CLEANABLE:
        raise _LeftOut(_NOT_COVERED)
    body = _clean_file(places.whole(held.receipt), held.receipt.transfer_syntax_uid, pseudonyms)
    series, uid = (pseudonyms.uid(one) for one in (held.header.series_uid, held.header.sop_instance_uid))
    kept = scratch / uid
    kept.write_bytes(body)
    return Payload(
        path=f"dicom/{series}/{uid}.dcm",
        size_bytes=len(body),
        pieces=partial(_pieces, kept),
        sha256=hashlib.sha256(body).hexdigest(),
    )


def _clean_file(body: bytes, transfer_syntax_uid: str, pseudonyms: Pseudonyms) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd values, which do not survive
        try:
            dataset = _read(body, transfer_syntax_uid)
            _refuse_pictures_with_writing(dataset)
            deidentify(dataset, pseudonyms)
            return _written(dataset, transfer_syntax_uid)
        except _LeftOut:
            raise
        except Exception as error:  # fuzzing pydicom gave seven kinds of exception: none may let a name through
            raise _LeftOut(_UNREADABLE) from error


def _read(body: bytes, transfer_syntax_uid: str) -> FileDataset:
    """Read a file; one without a header is read as the archive knows that it is encoded, not as pydicom guesses."""
    dataset = dcmread(BytesIO(body), force=True)
    if dataset.file_meta.get("TransferSyntaxUID"):
        return dataset
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    header = DicomBytesIO()
    header.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(header, meta, enforce_standard=False)
    return dcmread(BytesIO(header.getvalue() + body))


def _refuse_pictures_with_writing(dataset: Dataset) -> None:
    types = {str(one).upper() for one in dataset.get("ImageType") or ()}
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES" or types & _PICTURES_OF_SCREENS:
        raise _LeftOut(_BURNED)


def _written(dataset: FileDataset, transfer_syntax_uid: str) -> bytes:
    """Return a cleaned data set as a file with a header of its own."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(f"{UID_ROOT}.1")
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128
    target = BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            yield piece
