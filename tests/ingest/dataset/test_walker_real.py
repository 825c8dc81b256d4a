"""The walker on real data: it refuses exactly what is broken, and agrees with DCMTK on what is the same content."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.dataset.part10 import find_dataset
from ingest.dataset.walker import Walked, Walker
from ingest.errors import BadDataSet

BROKEN = {
    "rtplan_truncated.dcm": "LG-ING-102",
    "chrSQEncoding.dcm": "LG-ING-110",  # no SOP Class UID: an extract made to show character sets
    "chrSQEncoding1.dcm": "LG-ING-110",
    "Dose_SmallWaterPhantom_resampled_optimized.dcm": "LG-ING-110",  # no SOP Instance UID
    "Plan_SmallWaterPhantom_resampled_optimized.dcm": "LG-ING-110",  # a UID of 66 characters
}
WRONG_GROUP_LENGTHS = {"chrJapMulti.dcm", "chrKoreanMulti.dcm"}
WAYS = (["+te", "-e"], ["+ti", "+e"], ["+tb", "+e"], ["+tb", "-e", "-g"], ["+ti", "-e", "-g"])


def files(real_data: Path) -> Iterator[Path]:
    found = sorted(real_data.rglob("*.dcm"))
    assert len(found) > 400
    yield from found


def walk(path: Path) -> Walked:
    with path.open("rb") as stream:
        layout = find_dataset(stream)
        assert layout is not None
        stream.seek(layout.dataset_offset)
        size = path.stat().st_size - layout.dataset_offset
        return Walker(stream, layout.transfer_syntax_uid, size_bytes=size).walk()


@pytest.mark.real_data
def test_walk_when_data_are_real_then_exactly_the_broken_files_are_refused(real_data: Path) -> None:
    refused: dict[str, str] = {}
    flagged: set[str] = set()
    for path in files(real_data):
        try:
            walked = walk(path)
            walked.names.check()
        except BadDataSet as error:
            refused[path.name] = error.code
        else:
            if "group-length-wrong" in walked.flags:
                flagged.add(path.name)

    assert refused == BROKEN
    assert flagged == WRONG_GROUP_LENGTHS


@pytest.mark.real_data
@pytest.mark.server
def test_content_digest_when_dcmtk_writes_it_otherwise_then_it_stays(real_data: Path, tmp_path: Path) -> None:
    compared = 0
    target = tmp_path / "converted.dcm"
    seen_folders: dict[Path, int] = {}
    for path in files(real_data):
        seen_folders[path.parent] = seen_folders.get(path.parent, 0) + 1
        if (
            path.name in BROKEN
            or "rle" in path.name
            or seen_folders[path.parent] > 4
            or path.stat().st_size > 3_000_000
        ):
            continue  # slices of one series are all alike; DCMTK's dcmconv can't decode RLE
        before = walk(path).content_sha256
        for way in (*WAYS, ["+td"]):
            subprocess.run(["/usr/bin/dcmconv", *way, str(path), str(target)], check=True, capture_output=True)
            assert walk(target).content_sha256 == before, (path.name, way)
            compared += 1

    assert compared > 150
