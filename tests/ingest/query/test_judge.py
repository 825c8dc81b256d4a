"""An independent judge: DCMTK's dcmqrscp is given the same objects and asked the same questions."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.ingest.query.conftest import Queried
from tests.ingest.query.corpus import corpus, uid, write_files

pytestmark = pytest.mark.server

QUESTIONS = [
    ("-S", "STUDY"),
    ("-S", "STUDY", f"StudyInstanceUID={uid(3)}"),
    ("-S", "STUDY", f"StudyInstanceUID={uid(3)}\\{uid(5)}"),
    ("-S", "STUDY", "PatientID=0042"),
    ("-S", "STUDY", "PatientID=H-*"),
    ("-S", "STUDY", "PatientID=?-*"),
    ("-S", "STUDY", "PatientName=Smith*"),
    ("-S", "STUDY", "PatientName=*^J*"),
    ("-S", "STUDY", "PatientName=Li^Wang"),
    ("-S", "STUDY", "PatientName=L?^Wang"),
    ("-S", "STUDY", "StudyDate=20240115"),
    ("-S", "STUDY", "StudyDate=20230101-20240131"),
    ("-S", "STUDY", "StudyDate=-20200101"),
    ("-S", "STUDY", "StudyDate=20240115-"),
    ("-S", "STUDY", "StudyTime=080000-101500"),
    ("-S", "STUDY", "AccessionNumber=A10?"),
    ("-S", "STUDY", "StudyID=S4"),
    ("-S", "STUDY", "StudyDate=20240101-20241231", "PatientID=H*"),
    ("-P", "PATIENT"),
    ("-P", "PATIENT", "PatientID=M-7"),
    ("-P", "PATIENT", "PatientName=W*"),
    ("-P", "STUDY", "PatientID=H-0001"),
    ("-P", "STUDY", "PatientID=H-0001", "StudyDate=20240301"),
    ("-S", "SERIES", f"StudyInstanceUID={uid(1)}"),
    ("-S", "SERIES", f"StudyInstanceUID={uid(1)}", "Modality=RTPLAN"),
    ("-S", "SERIES", f"StudyInstanceUID={uid(1)}", "SeriesNumber=2"),
    ("-P", "SERIES", "PatientID=H-0001", f"StudyInstanceUID={uid(1)}"),
    ("-S", "IMAGE", f"StudyInstanceUID={uid(1)}", f"SeriesInstanceUID={uid(1, 1)}"),
    ("-S", "IMAGE", f"StudyInstanceUID={uid(1)}", f"SeriesInstanceUID={uid(1, 1)}", "InstanceNumber=3"),
    ("-S", "IMAGE", f"StudyInstanceUID={uid(2)}", f"SeriesInstanceUID={uid(1, 1)}"),
    ("-O", "STUDY", "PatientID=H-0001"),
]
_TOLD = {
    "PATIENT": ("PatientID", "PatientName"),
    "STUDY": ("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
    "SERIES": ("SeriesInstanceUID", "Modality", "SeriesNumber"),
    "IMAGE": ("SOPInstanceUID", "InstanceNumber"),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A dcmqrscp that was sent the corpus; two of its patients bear one number and are one person to it."""
    folder = tmp_path_factory.mktemp("judge")
    (folder / "store").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "dcmqrscp.cfg").write_text(
        "MaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nJUDGE {folder / 'store'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    files = folder / "sent"
    files.mkdir()
    paths = write_files(corpus(), files)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["/usr/bin/dcmqrscp", "-c", str(folder / "dcmqrscp.cfg"), str(port)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(port)
            subprocess.run(
                ["/usr/bin/storescu", "-aec", "JUDGE", "-R", "127.0.0.1", str(port), *map(str, paths)],
                check=True, capture_output=True, env={"TCP_NODELAY": "1"},
            )  # fmt: skip
            yield port
        finally:
            server.terminate()
            server.wait()


def _wait(port: int) -> None:
    ends = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < ends
        time.sleep(0.05)


def _found(port: int, folder: Path, question: tuple[str, ...]) -> set[tuple[str, ...]]:
    model, level, *asked = question
    folder.mkdir()
    told = _TOLD[level]
    keys = [
        f"QueryRetrieveLevel={level}",
        *(key for key in told if not any(one.startswith(key) for one in asked)),
        *asked,
    ]
    options = [option for key in keys for option in ("-k", key)]
    command = ["/usr/bin/findscu", model, "-v", "-aec", "JUDGE", "-X", "-od", str(folder), *options, "127.0.0.1"]
    said = subprocess.run([*command, str(port)], check=False, capture_output=True, env={"TCP_NODELAY": "1"})
    assert b"Received Final Find Response (Success)" in said.stdout + said.stderr, question
    answers = [pydicom.dcmread(path, force=True) for path in folder.glob("rsp*.dcm")]
    for answer in answers:
        answer.SpecificCharacterSet = answer.get("SpecificCharacterSet") or "ISO_IR 192"  # the judge declares none
    return {tuple(_plain(answer, key) for key in told) for answer in answers}


def _plain(answer: pydicom.Dataset, keyword: str) -> str:
    element = answer.get_item(keyword) if keyword in answer else None
    raw: object = element.value if element else b""
    return raw.decode("utf-8").strip(" \0") if isinstance(raw, bytes) else str(raw or "").strip()


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_answers_when_a_judge_is_asked_too_then_they_are_the_same(
    judge: int, queried: Queried, tmp_path: Path, question: tuple[str, ...]
) -> None:
    ours = _found(queried.port, tmp_path / "ours", question)
    theirs = _found(judge, tmp_path / "theirs", question)
    if question[1] == "PATIENT":  # what stands for 0042 there are two people here
        ours, theirs = ({one for one in found if one[0] != "0042"} for found in (ours, theirs))
    assert ours == theirs
    assert ours or uid(2) in question[2]  # a series of another study
