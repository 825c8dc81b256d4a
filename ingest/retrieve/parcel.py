"""One instance on its way out: what the command says of it, and where its bytes come from."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archive.facts.receipts import Receipt
from archive.vault.places import Places
from ingest.dataset.part10 import META_LIMIT, find_dataset
from ingest.errors import NotSent

_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One instance to be sent.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        What the data set says of itself; a file meta group may name another instance.
    transfer_syntax_uid
        How the data set is written down.
    size_bytes
        Length of the file.
    read
        Begins to read the file: yields its pieces, header first.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    read: Callable[[], Iterator[bytes]]

    @classmethod
    def of_receipt(cls, receipt: Receipt, places: Places) -> "Parcel":
        """Return an instance of the archive, its digest compared on the way out."""
        return cls(
            sop_class_uid=receipt.header.sop_class_uid,
            sop_instance_uid=receipt.header.sop_instance_uid,
            transfer_syntax_uid=receipt.transfer_syntax_uid,
            size_bytes=receipt.size_bytes,
            read=lambda: places.pieces(receipt),
        )

    @classmethod
    def of_file(cls, path: Path) -> "Parcel":
        """Return a file that names its data set in its meta group.

        Raises
        ------
        NotSent
            It can't be read, or is no such file.
        """
        from pydicom.errors import InvalidDicomError
        from pydicom.filereader import read_file_meta_info

        try:
            meta = read_file_meta_info(path)
            return cls(
                sop_class_uid=str(meta.MediaStorageSOPClassUID),
                sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
                transfer_syntax_uid=str(meta.TransferSyntaxUID),
                size_bytes=path.stat().st_size,
                read=lambda: _pieces_of_file(path),
            )
        except (InvalidDicomError, AttributeError, OSError, EOFError) as error:
            raise NotSent(f"{path} is no DICOM file that can be sent: {error}") from error

    def data_set(self) -> Iterator[bytes | memoryview]:
        """Yield the data set as it lies in the file; raises what `read` raises, before the first piece where it can."""
        return without_header(self.read())


def without_header(pieces: Iterator[bytes]) -> Iterator[bytes | memoryview]:
    """Return what stands behind the header of a file that is read in pieces."""
    gathered: list[bytes] = []
    count = 0
    for piece in pieces:
        gathered.append(piece)
        count += len(piece)
        if count >= META_LIMIT:
            break
    head = gathered[0] if len(gathered) == 1 else b"".join(gathered)
    layout = find_dataset(io.BytesIO(head))
    if layout is None:
        raise NotSent("The file holds no data set that could be sent")
    return _chained(memoryview(head)[layout.dataset_offset :], pieces)


def _chained(first: memoryview, rest: Iterator[bytes]) -> Iterator[bytes | memoryview]:
    if first:
        yield first
    yield from rest


def _pieces_of_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
