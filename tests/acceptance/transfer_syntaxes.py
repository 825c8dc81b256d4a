"""One small picture in every transfer syntax that DCMTK's programs have an option for."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

ROOT = "1.2.826.0.1.3680043.9.7229.60"
_SIDE = 64

Make = Callable[[Path, Path], None]
"""Writes a picture in another transfer syntax: from file, to file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """A transfer syntax and how to come by a file of it.

    Parameters
    ----------
    option
        DCMTK's letter: `-xs` proposes it in `storescu`, `+xs` asks for it in `getscu`; empty if there is none.
    """

    name: str
    uid: str
    make: Make
    option: str = ""


def picture(path: Path, *, patient: str, number: int) -> Path:
    """Write a picture of eight bits in explicit little endian, each in a study of its own."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, f"{ROOT}.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.1.{number}", f"{ROOT}.2.{number}"
    dataset.PatientID, dataset.PatientName = patient, f"Client^{patient}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600102", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = (
        "20260102",
        "101500",
        "1",
        f"C{number}",
    )
    dataset.Modality, dataset.ConversionType, dataset.ReferringPhysicianName = "OT", "SYN", ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = _SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = _pixels().tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _pixels() -> NDArray[np.uint8]:
    side = np.arange(_SIDE)
    return (3 * side[None, :] + 2 * side[:, None]).astype(np.uint8)


def _program(name: str, *options: str) -> Make:
    def make(source: Path, target: Path) -> None:
        subprocess.run([f"/usr/bin/{name}", *options, str(source), str(target)], check=True, capture_output=True)

    return make


def _encapsulated(uid: str, encode: Callable[[], bytes]) -> Make:
    """Write what DCMTK has no encoder for; it only forwards such pixel data, and so do we."""

    def make(source: Path, target: Path) -> None:
        dataset = pydicom.dcmread(source)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)
        dataset.PixelData = encapsulate([encode()])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(target)

    return make


def _jpeg_2000(*, irreversible: bool) -> Callable[[], bytes]:
    def encode() -> bytes:
        stream = BytesIO()
        Image.fromarray(_pixels()).save(stream, "JPEG2000", no_jp2=True, irreversible=irreversible)
        return stream.getvalue()

    return encode


def _video() -> bytes:
    """Return what stands for a stream nobody here can decode."""
    return bytes(range(256)) * 37


def _moving(name: str, option: str, last: int) -> Syntax:
    uid = f"1.2.840.10008.1.2.4.{last}"
    return Syntax(name=name, uid=uid, option=option, make=_encapsulated(uid, _video))


_JPEG = "1.2.840.10008.1.2.4"
SYNTAXES = (
    Syntax(name="implicit", uid="1.2.840.10008.1.2", option="i", make=_program("dcmconv", "+ti")),
    Syntax(name="explicit local", uid="1.2.840.10008.1.2.1", option="=", make=_program("dcmconv", "+te")),
    Syntax(name="explicit little", uid="1.2.840.10008.1.2.1", option="e", make=_program("dcmconv", "+te")),
    Syntax(name="explicit big", uid="1.2.840.10008.1.2.2", option="b", make=_program("dcmconv", "+tb")),
    Syntax(name="deflated", uid="1.2.840.10008.1.2.1.99", option="d", make=_program("dcmconv", "+td")),
    Syntax(name="RLE", uid="1.2.840.10008.1.2.5", option="r", make=_program("dcmcrle")),
    Syntax(name="JPEG baseline", uid=f"{_JPEG}.50", option="y", make=_program("dcmcjpeg", "+eb", "+un")),
    Syntax(name="JPEG extended", uid=f"{_JPEG}.51", option="x", make=_program("dcmcjpeg", "+ee", "+un")),
    Syntax(name="JPEG lossless SV1", uid=f"{_JPEG}.70", option="s", make=_program("dcmcjpeg", "+e1")),
    Syntax(name="JPEG-LS lossless", uid=f"{_JPEG}.80", option="t", make=_program("dcmcjpls", "+el")),
    Syntax(name="JPEG-LS near lossless", uid=f"{_JPEG}.81", option="u", make=_program("dcmcjpls", "+en", "+un")),
    Syntax(
        name="JPEG 2000 lossless",
        uid=f"{_JPEG}.90",
        option="v",
        make=_encapsulated(f"{_JPEG}.90", _jpeg_2000(irreversible=False)),
    ),
    Syntax(
        name="JPEG 2000 lossy",
        uid=f"{_JPEG}.91",
        option="w",
        make=_encapsulated(f"{_JPEG}.91", _jpeg_2000(irreversible=True)),
    ),
    _moving("MPEG2 main", "m", 100),
    _moving("MPEG2 high", "h", 101),
    _moving("MPEG-4", "n", 102),
    _moving("MPEG-4 BD", "l", 103),
    _moving("MPEG-4 4.2 2D", "2", 104),
    _moving("MPEG-4 4.2 3D", "3", 105),
    _moving("MPEG-4 stereo", "o", 106),
    _moving("HEVC main", "4", 107),
    _moving("HEVC main 10", "5", 108),
)
RETIRED = (
    Syntax(name="JPEG spectral selection", uid=f"{_JPEG}.53", make=_program("dcmcjpeg", "+es", "+un")),
    Syntax(name="JPEG progressive", uid=f"{_JPEG}.55", make=_program("dcmcjpeg", "+ep", "+un")),
    Syntax(name="JPEG lossless process 14", uid=f"{_JPEG}.57", make=_program("dcmcjpeg", "+el")),
)
"""Syntaxes DCMTK can write, and sends with `dcmsend`, which takes each file as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture in one transfer syntax."""

    syntax: Syntax
    path: Path
    header: Dataset


def samples(folder: Path, *, patient: str, first_number: int, syntaxes: tuple[Syntax, ...]) -> list[Sample]:
    """Write a picture for each transfer syntax."""
    made = []
    for number, syntax in enumerate(syntaxes, first_number):
        plain = picture(folder / f"{number}-plain.dcm", patient=patient, number=number)
        path = folder / f"{number}.dcm"
        syntax.make(plain, path)
        plain.unlink()
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert header.file_meta.TransferSyntaxUID == syntax.uid, syntax.name
        made.append(Sample(syntax=syntax, path=path, header=header))
    return made
