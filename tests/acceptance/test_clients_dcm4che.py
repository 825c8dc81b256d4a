"""dcm4che's tools against a live node: a Java implementation on the other side, where its jars are at hand."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from tests.acceptance import dcm4che
from tests.acceptance.serving import Served, dataset_bytes, eventually, listens
from tests.acceptance.transfer_syntaxes import SYNTAXES, Sample, samples

pytestmark = pytest.mark.server

PATIENT = "DCM4CHE1"


@pytest.fixture(scope="module")
def sent(served: Served, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """One picture in every transfer syntax, sent with dcm4che's `storescu` over one association."""
    made = samples(tmp_path_factory.mktemp("dcm4che"), patient=PATIENT, first_number=501, syntaxes=SYNTAXES)
    told = dcm4che.run("storescu", served, *(str(one.path) for one in made))
    assert told.count("status=0H") == len(made)
    served.wait_until_found(*(one.header for one in made))
    return made


def test_storescu_of_dcm4che_when_it_is_given_no_file_then_it_echoes(served: Served) -> None:
    assert "C-ECHO-RSP" in dcm4che.run("storescu", served)


@pytest.mark.parametrize("model", ["PatientRoot", "StudyRoot"])
def test_findscu_of_dcm4che_when_it_asks_for_a_patient_then_all_studies_are_told(
    served: Served, sent: list[Sample], tmp_path: Path, model: str
) -> None:
    keys = ["-m", f"PatientID={PATIENT}", "-r", "StudyInstanceUID", "-r", "NumberOfStudyRelatedInstances"]

    dcm4che.run("findscu", served, "-M", model, "-L", "STUDY", *keys, "--out-dir", str(tmp_path))

    answers = [pydicom.dcmread(path, force=True) for path in tmp_path.iterdir()]
    assert {one.StudyInstanceUID for one in answers} == {one.header.StudyInstanceUID for one in sent}
    assert {one.NumberOfStudyRelatedInstances for one in answers} == {1}


def test_movescu_of_dcm4che_when_it_names_its_storescp_then_all_arrive_byte_for_byte(
    served: Served, sent: list[Sample], tmp_path: Path
) -> None:
    with _storescp(served, tmp_path / "in"):
        dcm4che.run(
            "movescu",
            served,
            "-M",
            "PatientRoot",
            "-L",
            "PATIENT",
            "-m",
            f"PatientID={PATIENT}",
            "--dest",
            dcm4che.TITLE,
        )
        eventually(lambda: len(_files(tmp_path / "in")) == len(sent), what="all have arrived")

    for one in sent:
        path = tmp_path / "in" / str(one.header.SOPInstanceUID)
        got = pydicom.dcmread(path, stop_before_pixels=True)
        assert got.file_meta.TransferSyntaxUID == one.syntax.uid
        assert dataset_bytes(path) in (dataset_bytes(one.path), dataset_bytes(one.path) + b"\0"), one.syntax.name


def test_getscu_of_dcm4che_when_it_asks_for_a_study_then_it_arrives_byte_for_byte(
    served: Served, sent: list[Sample], tmp_path: Path
) -> None:
    (sample,) = [one for one in sent if one.syntax.name == "explicit little"]
    context = f"{sample.header.SOPClassUID}:{sample.syntax.uid}"
    key = f"StudyInstanceUID={sample.header.StudyInstanceUID}"

    dcm4che.run("getscu", served, "-m", key, "--store-tc", context, "--directory", str(tmp_path))

    (path,) = tmp_path.iterdir()
    assert dataset_bytes(path) == dataset_bytes(sample.path)


def test_stgcmtscu_of_dcm4che_when_it_asks_for_what_it_sent_then_the_node_answers_for_all(
    served: Served, sent: list[Sample], tmp_path: Path
) -> None:
    files = [str(one.path) for one in sent]
    options = ["--directory", str(tmp_path), "--keep-alive"]

    dcm4che.run("stgcmtscu", served, *options, *files, bind=served.peers[dcm4che.TITLE])

    (report,) = tmp_path.iterdir()
    told = pydicom.dcmread(report, force=True)
    committed = {one.ReferencedSOPInstanceUID for one in told.ReferencedSOPSequence}
    assert committed == {one.header.SOPInstanceUID for one in sent}
    assert "FailedSOPSequence" not in told


def _files(folder: Path) -> list[Path]:
    """Return what has arrived whole: what still comes in has another ending."""
    return [path for path in folder.iterdir() if path.suffix != ".part"]


@contextmanager
def _storescp(served: Served, folder: Path) -> Iterator[None]:
    folder.mkdir()
    port = served.peers[dcm4che.TITLE]
    line = dcm4che.command("storescp", "-b", f"{dcm4che.TITLE}:{port}", "--accept-unknown", "--directory", str(folder))
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(port), what="dcm4che's storescp listens")
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
