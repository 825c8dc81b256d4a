"""Decompressed images are those DCMTK makes of the same files, bit for bit."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import UID

from ingest.dataset.part10 import file_header
from ingest.dataset.walker import Walker
from ingest.errors import NotConvertible
from ingest.retrieve.convert import CONVERTED_TO, converted
from ingest.retrieve.parcel import Parcel
from tests.ingest.datasets import BIG, EXPLICIT, JPEG

JPEG_FILES = (
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
)
JPEG_LS_FILES = ("MR_small_jpeg_ls_lossless.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_jls_lossy_sample.dcm")
RLE_FILES = ("MR_small_RLE.dcm", "SC_rgb_rle_16bit_2frame.dcm", "rtdose_rle.dcm")
CASES = [
    *((name, "dcmdjpeg") for name in JPEG_FILES),
    *((name, "dcmdjpls") for name in JPEG_LS_FILES),
    *((name, "dcmdrle") for name in RLE_FILES),
]


def _path(name: str) -> Path:
    found = get_testdata_file(name)
    assert isinstance(found, str)
    return Path(found)


def _converted(path: Path, wanted: str = EXPLICIT) -> Dataset:
    """Return what a receiver reads; the walker finds it sound."""
    parcel = Parcel.of_file(path)
    body = b"".join(converted(parcel, wanted))
    Walker(io.BytesIO(body), wanted, size_bytes=len(body)).walk()
    header = file_header(
        sop_class_uid=parcel.sop_class_uid, sop_instance_uid=parcel.sop_instance_uid, transfer_syntax_uid=wanted
    )
    return dcmread(io.BytesIO(header + body))


@pytest.mark.server
@pytest.mark.parametrize(("name", "tool"), CASES)
def test_decompressed_when_dcmtk_decompresses_it_too_then_pixels_and_colours_are_the_same(
    tmp_path: Path, name: str, tool: str
) -> None:
    judge = tmp_path / "judge.dcm"
    subprocess.run([f"/usr/bin/{tool}", str(_path(name)), str(judge)], check=True, timeout=30)
    ours, theirs = _converted(_path(name)), dcmread(judge)
    assert ours.PixelData == theirs.PixelData
    for keyword in ("PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "NumberOfFrames"):
        assert ours.get(keyword) == theirs.get(keyword), keyword


@pytest.mark.parametrize("wanted", CONVERTED_TO)
@pytest.mark.parametrize(
    "name", ["SC_rgb_rle_16bit_2frame.dcm", "MR_small_jp2klossless.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"]
)
def test_decompressed_when_it_goes_into_each_native_syntax_then_the_image_is_the_same(name: str, wanted: str) -> None:
    ours = _converted(_path(name), wanted)
    assert (ours.pixel_array == dcmread(_path(name)).pixel_array).all()


def test_decompressed_when_nothing_else_is_looked_at_then_it_is_byte_for_byte_what_was_stored() -> None:
    original, ours = dcmread(_path("MR_small_RLE.dcm")), _converted(_path("MR_small_RLE.dcm"))
    for element in original:
        if element.keyword != "PixelData":
            assert ours[element.tag] == element
    assert ours.SOPInstanceUID == original.SOPInstanceUID


def test_decompressed_when_the_frames_are_odd_then_the_value_is_padded_once() -> None:
    ours = _converted(_path("SC_rgb_small_odd_jpeg.dcm"))
    assert len(ours.PixelData) == 3 * 3 * 3 + 1


def test_decompressed_when_it_was_lossy_then_it_says_so() -> None:
    read = dcmread(_path("SC_rgb_dcmtk_+eb+cr.dcm"))
    assert read.file_meta.TransferSyntaxUID == JPEG
    assert _converted(_path("SC_rgb_dcmtk_+eb+cr.dcm")).LossyImageCompression == "01"


def test_decompressed_when_offset_tables_stand_beside_the_fragments_then_they_go_with_them(tmp_path: Path) -> None:
    read = dcmread(_path("MR_small_RLE.dcm"))
    (frame,) = generate_frames(read.PixelData, number_of_frames=1)
    read.PixelData, read.ExtendedOffsetTable, read.ExtendedOffsetTableLengths = encapsulate_extended([frame])
    path = tmp_path / "offsets.dcm"
    read.save_as(path)
    ours = _converted(path)
    assert "ExtendedOffsetTable" not in ours
    assert "ExtendedOffsetTableLengths" not in ours


def test_decompressed_when_pixels_are_eight_bits_deep_then_big_endian_holds_them_as_bytes() -> None:
    ours = _converted(_path("SC_rgb_rle.dcm"), BIG)
    assert ours["PixelData"].VR == "OB"
    assert np.array_equal(ours.pixel_array, dcmread(_path("SC_rgb_rle.dcm")).pixel_array)


def test_converted_when_no_decoder_knows_the_syntax_then_it_says_so(tmp_path: Path) -> None:
    read = dcmread(_path("MR_small_RLE.dcm"))
    read.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")  # MPEG2
    path = tmp_path / "video.dcm"
    read.save_as(path)
    with pytest.raises(NotConvertible, match=r"no decoder.*4\.100"):
        _converted(path)


def test_converted_when_the_frames_are_damaged_then_nothing_goes_out(tmp_path: Path) -> None:
    read = dcmread(_path("MR_small_RLE.dcm"))
    read.PixelData = encapsulate([b"\x01\x00\x00\x00" + bytes(80)])
    path = tmp_path / "damaged.dcm"
    read.save_as(path)
    with pytest.raises(NotConvertible, match="decompressed"):
        _converted(path)


def test_converted_when_frames_are_missing_then_nothing_goes_out(tmp_path: Path) -> None:
    read = dcmread(_path("SC_rgb_rle_16bit_2frame.dcm"))
    read.NumberOfFrames = 3
    path = tmp_path / "short.dcm"
    read.save_as(path)
    with pytest.raises(NotConvertible):
        _converted(path)
