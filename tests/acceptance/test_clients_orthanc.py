"""Orthanc beside us, in both directions: it sends, queries, fetches and asks for commitment; we send to it."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pydicom
import pytest

from ingest.dataset.part10 import find_dataset
from lastgate.sample import Department
from tests.acceptance.orthanc import PROGRAM, TITLE, Orthanc, running
from tests.acceptance.serving import Served, dataset_bytes, eventually, needs
from tests.acceptance.transfer_syntaxes import SYNTAXES, Sample, samples

pytestmark = pytest.mark.server

PATIENT = "ORTHANC1"
_KINDS = ("implicit", "explicit little", "explicit big", "deflated", "RLE", "JPEG lossless SV1", "JPEG 2000 lossless")


@pytest.fixture(scope="module")
def orthanc(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    needs(PROGRAM, package="orthanc")
    with running(tmp_path_factory.mktemp("orthanc"), served) as peer:
        yield peer


@pytest.fixture(scope="module")
def sent(served: Served, orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """Pictures in several transfer syntaxes, sent to us by Orthanc and deleted there, by Orthanc's id."""
    chosen = tuple(syntax for syntax in SYNTAXES if syntax.name in _KINDS)
    made = samples(tmp_path_factory.mktemp("sent"), patient=PATIENT, first_number=301, syntaxes=chosen)
    ids = orthanc.take([one.path for one in made])
    done = orthanc.modality("store", {"Resources": ids, "StorageCommitment": True})
    assert done["FailedInstancesCount"] == 0
    assert done["InstancesCount"] == len(made)
    served.wait_until_found(*(one.header for one in made))
    for one in ids:
        orthanc.delete(f"/instances/{one}")
    return dict(zip(ids, made, strict=True))


def test_orthanc_when_it_echoes_then_the_node_answers(orthanc: Orthanc) -> None:
    assert orthanc.modality("echo", {}) == {}


def test_orthanc_when_it_queries_then_it_is_told_every_study(orthanc: Orthanc, sent: dict[str, Sample]) -> None:
    answers = _query(orthanc, {"PatientID": PATIENT, "StudyInstanceUID": "", "PatientName": ""})

    assert {one["StudyInstanceUID"] for one in answers} == {one.header.StudyInstanceUID for one in sent.values()}
    assert {one["PatientName"] for one in answers} == {f"Client^{PATIENT}"}


def test_orthanc_when_it_fetches_with_c_move_then_the_instances_are_back_byte_for_byte(
    served: Served, orthanc: Orthanc, sent: dict[str, Sample]
) -> None:
    asked = orthanc.modality("query", {"Level": "Study", "Query": {"PatientID": PATIENT}})

    orthanc.post(f"/queries/{asked['ID']}/retrieve", {"TargetAet": TITLE, "Synchronous": True})

    eventually(lambda: set(orthanc.get("/instances")) >= set(sent), what="all instances are back")
    for id_, sample in sent.items():
        _check_same(orthanc.file(id_), sample)


def test_orthanc_when_it_asks_for_commitment_then_the_node_answers_for_what_it_holds_and_not_for_the_rest(
    orthanc: Orthanc, sent: dict[str, Sample]
) -> None:
    held = next(iter(sent.values())).header
    wanted = [[held.SOPClassUID, held.SOPInstanceUID], [held.SOPClassUID, "1.2.826.0.1.3680043.9.7229.60.404"]]

    asked = orthanc.modality("storage-commitment", {"DicomInstances": wanted})

    told = _committed(orthanc, asked["ID"])
    assert [one["SOPInstanceUID"] for one in told["Success"]] == [held.SOPInstanceUID]
    (missing,) = told["Failures"]
    assert missing["FailureReason"] == 0x0112  # no such object instance (PS3.3 C.14.1.1)
    assert told["Status"] == "Failure"


def test_send_when_it_goes_to_orthanc_then_orthanc_holds_what_it_had_sent_us_and_nothing_else(
    served: Served, orthanc: Orthanc, sample_department: Department, sent: dict[str, Sample]
) -> None:
    patient = sample_department.patient("SAMPLE-0005")
    ids = dict(zip(orthanc.take(patient.paths), patient.paths, strict=True))
    assert orthanc.modality("store", {"Resources": list(ids)})["FailedInstancesCount"] == 0
    served.wait_until_found(*(pydicom.dcmread(path, stop_before_pixels=True) for path in patient.paths))
    for one in orthanc.get("/instances"):
        orthanc.delete(f"/instances/{one}")
    (dossier,) = json.loads(served.lastgate("find", "SAMPLE-0005", "--json"))

    served.lastgate("send", dossier["id"], f"{TITLE}@127.0.0.1:{served.peers[TITLE]}")

    eventually(lambda: set(orthanc.get("/instances")) == set(ids), what="all instances have come")
    for id_, path in ids.items():
        assert _body(orthanc.file(id_)) == dataset_bytes(path)


def _query(orthanc: Orthanc, keys: dict[str, str]) -> list[dict[str, Any]]:
    asked = orthanc.modality("query", {"Level": "Study", "Query": keys})
    numbers = orthanc.get(f"/queries/{asked['ID']}/answers")
    return [orthanc.get(f"/queries/{asked['ID']}/answers/{number}/content?simplify") for number in numbers]


def _committed(orthanc: Orthanc, transaction: str) -> dict[str, Any]:
    path = f"/storage-commitment/{transaction}"
    eventually(lambda: orthanc.get(path)["Status"] != "Pending", what="the report has come")
    told = orthanc.get(path)
    assert isinstance(told, dict)
    return told


def _check_same(body: bytes, sample: Sample) -> None:
    got, original = pydicom.dcmread(BytesIO(body)), pydicom.dcmread(sample.path)
    assert got.file_meta.TransferSyntaxUID == sample.syntax.uid
    if sample.syntax.name == "deflated":  # Orthanc leaves zeros of its own behind the stream when it receives one
        assert got == original
    else:
        assert _body(body) == dataset_bytes(sample.path)


def _body(file: bytes) -> bytes:
    layout = find_dataset(BytesIO(file))
    assert layout is not None
    return file[layout.dataset_offset :]
