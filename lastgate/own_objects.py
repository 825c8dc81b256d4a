"""DICOM objects we make ourselves: their UIDs come from their content, and how they become bytes."""

import hashlib
import io

from pydicom import Dataset
from pydicom.uid import UID

from archive.uids import own_uid


def named(dataset: Dataset) -> Dataset:
    """Give an object UIDs made from its content: another content never bears the same UID, the same always does."""
    digest = hashlib.sha256(encoded(dataset)).hexdigest()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(own_uid("instance", digest))
    dataset.SeriesInstanceUID = UID(own_uid("series", digest))
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """Return an object as a Part 10 file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
