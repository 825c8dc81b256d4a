"""Stored pixel values of a data set, frame by frame, whatever its transfer syntax.

Native pixel data are read here, since files without file meta group (Monaco, PS3.10 notwithstanding) must be read as
they were parsed; compressed ones go through the decoders of pydicom.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dose.errors import BadDose, DoseTruncated

Frame = npt.NDArray[np.signedinteger | np.unsignedinteger]


def number(dataset: Dataset, keyword: str) -> float:
    """A single number of the data set.

    Raises
    ------
    BadDose
        The element is missing, empty or no number.
    """
    values = numbers(dataset, keyword)
    if len(values) != 1:
        raise BadDose(f"{keyword} is missing." if not values else f"{keyword} has {len(values)} values, not one.")
    return values[0]


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All numbers of an element, empty where it is missing.

    Raises
    ------
    BadDose
        A value is no finite number (files with ``1A`` frames exist).
    """
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return []
        listed = (
            [float(v) for v in value] if hasattr(value, "__iter__") and not isinstance(value, str) else [float(value)]
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise BadDose(f"{keyword} is no number.") from error
    if not np.isfinite(listed).all():
        raise BadDose(f"{keyword} is no finite number.")
    return listed


def transfer_syntax(dataset: Dataset) -> UID:
    """Transfer syntax of the data set; without file meta group, the one it was parsed with."""
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and "TransferSyntaxUID" in meta:
        return UID(meta.TransferSyntaxUID)
    implicit, little = dataset.original_encoding
    if little is False:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit is not False else ExplicitVRLittleEndian


def frames(dataset: Dataset, count: int) -> Iterator[Frame]:
    """Yield the first `count` frames as integers ``[row, column]``, with their sign.

    Raises
    ------
    BadDose
        There are no pixel data, the layout is not that of a grey image, or no decoder reads them.
    DoseTruncated
        The pixel data end before the last frame.
    """
    if "PixelData" not in dataset:
        raise BadDose("The data set has no pixel data.")
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise BadDose("The pixels have several samples: this is a colour picture.")
    syntax = transfer_syntax(dataset)
    if syntax.is_encapsulated:
        return _compressed(dataset, syntax, count)
    return _native(dataset, syntax, count)


def _native(dataset: Dataset, syntax: UID, count: int) -> Iterator[Frame]:
    rows, columns = int(number(dataset, "Rows")), int(number(dataset, "Columns"))
    bits = int(number(dataset, "BitsAllocated"))
    if bits not in (8, 16, 32):
        raise BadDose(f"Pixels of {bits} bits are not read; dose grids have 8, 16 or 32.")
    signed = dataset.get("PixelRepresentation", 0) == 1
    order = "<" if syntax.is_little_endian else ">"
    dtype = np.dtype(f"{order}{'i' if signed else 'u'}{bits // 8}")
    data, size = dataset.PixelData or b"", rows * columns * dtype.itemsize
    if len(data) < size * count:
        raise DoseTruncated(f"The pixel data hold {len(data) // size} of {count} frames ({len(data)} bytes).")
    unused = bits - int(dataset.get("BitsStored") or bits)
    for n in range(count):
        frame = np.frombuffer(data, dtype, rows * columns, n * size).reshape(rows, columns)
        yield frame if unused == 0 else (frame << unused) >> unused


def _compressed(dataset: Dataset, syntax: UID, count: int) -> Iterator[Frame]:
    from pydicom.pixels.decoders.base import get_decoder

    seen = 0
    try:
        for frame, _ in get_decoder(syntax).iter_array(dataset, raw=True, validation=True):
            if seen == count:
                return
            seen += 1
            yield frame
    except (ValueError, RuntimeError, NotImplementedError, AttributeError, EOFError, IndexError) as error:
        if seen:
            raise DoseTruncated(f"Frame {seen + 1} of {count} can't be decoded: {error}") from error
        raise BadDose(f"The pixel data ({syntax.name}) can't be decoded: {error}") from error
    if seen < count:
        raise DoseTruncated(f"The pixel data hold {seen} of {count} frames.")
