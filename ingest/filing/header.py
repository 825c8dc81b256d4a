"""Reading the values of a walked data set with pydicom, up to its pixels."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, cast

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from archive.headers import InstanceHeader
from archive.reading.describe import describe
from ingest.dataset.bytestream import InflatingSource
from ingest.dataset.encoding import encoding_of
from ingest.dataset.limits import Limits
from ingest.errors import Undescribable
from ingest.spool.arrival import Arrival

_LEFT_OUT_FROM_BYTES: Final = 256 * 1024 * 1024
_PIXEL_GROUP: Final = 0x7FE0


def read_header(path: Path, arrival: Arrival, *, limits: Limits) -> InstanceHeader:
    """Return what a receipt keeps of the data set in `path`, which was walked before.

    The issuer of the patient identifier is the one set for the sender, where
    the data set names none.

    Raises
    ------
    Undescribable
        pydicom could not read it.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore")  # the receipt's flags say what pydicom warns of
            stream.seek(arrival.dataset_offset)
            header = describe(_parse(stream, arrival, path.parent, limits), undeclared=arrival.character_set)
    except OSError:
        raise
    except Exception as error:  # fuzzing pydicom gave seven kinds of exception; whichever it is, the bytes are kept
        raise Undescribable(f"The values could not be read: {type(error).__name__}: {error}") from error
    if arrival.flags:
        header = replace(header, flags=tuple(dict.fromkeys((*header.flags, *arrival.flags))))
    identifier = header.patient.identifier
    if identifier.value and not identifier.issuer and arrival.issuer:
        identifier = replace(identifier, issuer=arrival.issuer)
        return replace(header, patient=replace(header.patient, identifier=identifier))
    return header


def _parse(stream: BinaryIO, arrival: Arrival, scratch: Path, limits: Limits) -> Dataset:
    encoding = encoding_of(arrival.transfer_syntax_uid)
    with _inflated(stream, scratch, limits) if encoding.deflated else _as_it_is(stream) as plain:
        dataset = read_dataset(
            plain,
            is_implicit_VR=not encoding.explicit,
            is_little_endian=encoding.little,
            stop_when=_at_pixels,
            defer_size=_LEFT_OUT_FROM_BYTES,
        )
    for tag in [tag for tag, element in dataset.items() if _is_deferred(element)]:
        del dataset[tag]  # a quarter of a gigabyte in one value says nothing a receipt could keep
    dataset.file_meta = _file_meta(arrival.implementation_class_uid)
    return dataset


def _is_deferred(element: object) -> bool:
    return isinstance(element, RawDataElement) and bool(element.length) and not element.value


@lru_cache(maxsize=64)
def _file_meta(implementation_class_uid: str) -> FileMetaDataset:
    """Return a file meta group that says who wrote the file; nobody may change it, as data sets share it."""
    meta = FileMetaDataset()
    if implementation_class_uid:
        meta.ImplementationClassUID = UID(implementation_class_uid)
    return meta


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group >= _PIXEL_GROUP


@contextmanager
def _as_it_is(stream: BinaryIO) -> Iterator[BinaryIO]:
    yield stream


@contextmanager
def _inflated(stream: BinaryIO, scratch: Path, limits: Limits) -> Iterator[BinaryIO]:
    """Inflate into a nameless file on the spool's disk: in memory, a bomb would cost gigabytes."""
    source = InflatingSource(stream, inflated_bytes=limits.inflated_bytes, ratio=limits.inflate_ratio)
    with tempfile.TemporaryFile(dir=scratch) as plain:
        while source.has(1):
            plain.write(source.buffer[source.at :])
            source.at = len(source.buffer)
        plain.seek(0)
        yield cast(BinaryIO, plain)
