"""Decompressing images for receivers that can't take them as they are stored; everything but the pixel data stays.

Frames are decoded one after the other by pydicom's decoders (GDCM, Pillow,
RLE) and gathered in a temporary file beyond a few megabytes: whether an image
can be decompressed is known before its first byte goes out.

Sources: PS3.5 8.2 (native and encapsulated), A.4; PS3.3 C.7.6.3 (Image Pixel), C.7.6.1.1.5 (lossy compression).
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ingest.dataset.encoding import encoding_of, swapped
from ingest.errors import NotConvertible
from ingest.node.wire import Buffer
from ingest.retrieve.native import Replacement, header, rewritten
from ingest.retrieve.parcel import Parcel

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

_IN_MEMORY_BYTES: Final = 16 * 1024 * 1024
_PIECE_BYTES: Final = 1 << 20
_LONGEST_VALUE: Final = 0xFFFF_FFFE
_PIXEL_DATA: Final = 0x7FE0_0010
_PHOTOMETRIC: Final = 0x0028_0004
_PLANAR: Final = 0x0028_0006
_BITS_ALLOCATED: Final = 0x0028_0100
_LOSSY: Final = 0x0028_2110
# Offset tables and the length of encapsulated pixel data (PS3.3 C.7.6.3.1.8): native pixel data have none.
_OF_FRAGMENTS_ONLY: Final = (0x7FE0_0001, 0x7FE0_0002, 0x7FE0_0003)
# PS3.5 A.4: these lose nothing. Their colours stay what they are; of the others YBR becomes RGB, as viewers expect.
_LOSSLESS: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.5",
    }
)
# JPEG 2000, JPEG-LS near-lossless and HTJ2K may be either: their own elements must say so.
_LOSSY_ALWAYS: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """What became of an image.

    Parameters
    ----------
    frames
        Decoded frames, one after the other, little endian.
    size_bytes
        Their length together.
    photometric, planar, bits_allocated
        As the decoder left them; `planar` is None for one sample a pixel.
    """

    frames: IO[bytes]
    size_bytes: int
    photometric: str
    planar: int | None
    bits_allocated: int


def decompressed(parcel: Parcel, wanted: str, *, folder: Path | None) -> Iterator[Buffer]:
    """Return the data set of a compressed image in a native transfer syntax.

    Raises
    ------
    NotConvertible
        No decoder knows its transfer syntax, or it can't be decoded.
    """
    decoder = _decoder(parcel.transfer_syntax_uid)
    with _temporary(folder) as file:
        for piece in parcel.read():
            file.write(piece)
        file.seek(0)
        dataset = _read(file)
        if "PixelData" not in dataset:
            return rewritten(parcel.data_set(), parcel.transfer_syntax_uid, wanted)
        image = _decoded(dataset, decoder, folder)
    target = encoding_of(wanted)
    replacing: dict[int, Replacement] = {
        _PHOTOMETRIC: (b"CS", _padded(image.photometric)),
        _BITS_ALLOCATED: (b"US", image.bits_allocated.to_bytes(2, "little")),
        **dict.fromkeys(_OF_FRAGMENTS_ONLY),
    }
    if image.planar is not None:
        replacing[_PLANAR] = (b"US", image.planar.to_bytes(2, "little"))
    if parcel.transfer_syntax_uid in _LOSSY_ALWAYS:
        replacing[_LOSSY] = (b"CS", b"01")
    vr = b"OB" if image.bits_allocated <= 8 and target.explicit else b"OW"
    length = image.size_bytes + image.size_bytes % 2
    width = 0 if target.little or vr == b"OB" else 2
    begins = header(_PIXEL_DATA, vr, length, target)
    pixels = _value(image, begins, width)
    return rewritten(parcel.data_set(), parcel.transfer_syntax_uid, wanted, replacing=replacing, pixels=pixels)


def _decoder(syntax: str) -> "Decoder":
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError as error:
        raise NotConvertible(f"There is no decoder for the transfer syntax {syntax}") from error
    if not decoder.is_available:
        raise NotConvertible(f"No decoder for the transfer syntax {syntax} is installed")
    return decoder


def _read(file: IO[bytes]) -> "Dataset":
    from pydicom import dcmread

    try:
        return dcmread(file, force=True)
    except Exception as error:
        raise NotConvertible(f"It can't be read: {error}") from error  # pydicom raises whatever it stumbles over


def _decoded(dataset: "Dataset", decoder: "Decoder", folder: Path | None) -> _Image:
    """Decode with whatever pydicom would choose; where that stumbles, with each decoder there is."""
    failures: list[str] = []
    for plugin in ("", *decoder.available_plugins):
        frames = _temporary(folder)
        try:
            return _decoded_with(plugin, dataset, decoder, frames)
        except Exception as error:  # noqa: BLE001 - decoders raise whatever they stumble over
            frames.close()
            failures.append(f"{plugin or 'any'}: {error}")
    raise NotConvertible(f"Its pixel data can't be decompressed: {failures[0]}")


def _decoded_with(plugin: str, dataset: "Dataset", decoder: "Decoder", frames: IO[bytes]) -> _Image:
    size, count = 0, 0
    told: dict[str, str | int] = {}
    is_raw = str(decoder.UID) in _LOSSLESS
    for frame, properties in decoder.iter_array(dataset, raw=is_raw, decoding_plugin=plugin):
        body, told = frame.tobytes(), properties
        frames.write(body)
        size += len(body)
        count += 1
    expected = int(dataset.get("NumberOfFrames") or 1)
    if count != expected:
        raise ValueError(f"{count} frames were found, {expected} are told")
    if size > _LONGEST_VALUE:
        raise ValueError(f"{size} bytes are more than an element can hold")
    planar = told.get("planar_configuration")
    return _Image(
        frames=frames,
        size_bytes=size,
        photometric=str(told["photometric_interpretation"]),
        planar=None if planar is None else int(planar),
        bits_allocated=int(told["bits_allocated"]),
    )


def _temporary(folder: Path | None) -> IO[bytes]:
    """Return a file that stays in memory while it is short; whoever gets it closes it."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=None if folder is None else str(folder))


def _value(image: _Image, begins: bytes, width: int) -> Iterator[Buffer]:
    with image.frames as frames:
        frames.seek(0)
        yield begins
        while piece := frames.read(_PIECE_BYTES):
            yield swapped(piece, width) if width else piece
        yield bytes(image.size_bytes % 2)


def _padded(text: str) -> bytes:
    return text.encode() + b" " * (len(text) % 2)
