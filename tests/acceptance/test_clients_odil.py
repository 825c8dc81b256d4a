"""Odil against a live node: a third toolkit, written in C++ without DCMTK's data sets."""

import subprocess
from pathlib import Path

import pydicom
import pytest

from tests.acceptance.serving import AET, Served, needs
from tests.acceptance.transfer_syntaxes import SYNTAXES, Sample, samples

pytestmark = pytest.mark.server

PROGRAM = Path("/usr/bin/odil")
PATIENT = "ODIL1"
_KINDS = ("implicit", "explicit little")


def run(served: Served, command: str, *arguments: str) -> str:
    """Run a command of the program against the node and return what it prints."""
    needs(PROGRAM, package="odil")
    line = [str(PROGRAM), command, *served.address, "ODIL", AET, *arguments]
    told = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.fixture(scope="module")
def sent(served: Served, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Pictures in several transfer syntaxes, sent by Odil over one association."""
    chosen = tuple(syntax for syntax in SYNTAXES if syntax.name in _KINDS)
    made = samples(tmp_path_factory.mktemp("odil"), patient=PATIENT, first_number=401, syntaxes=chosen)
    run(served, "store", *(str(one.path) for one in made))
    served.wait_until_found(*(one.header for one in made))
    return made


def test_odil_when_it_echoes_then_the_node_answers(served: Served) -> None:
    run(served, "echo")


def test_odil_when_it_finds_studies_of_a_patient_then_it_is_told_all(served: Served, sent: list[Sample]) -> None:
    told = run(served, "find", "study", "QueryRetrieveLevel=STUDY", f"PatientID={PATIENT}", "StudyInstanceUID")

    assert all(one.header.StudyInstanceUID in told for one in sent)


def test_odil_when_it_gets_a_patient_then_the_instances_are_the_same(
    served: Served, sent: list[Sample], tmp_path: Path
) -> None:
    run(served, "get", "--directory", str(tmp_path), "patient", "QueryRetrieveLevel=PATIENT", f"PatientID={PATIENT}")

    got = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, tmp_path.iterdir())}
    assert set(got) == {one.header.SOPInstanceUID for one in sent}
    for one in sent:
        back, original = got[one.header.SOPInstanceUID], pydicom.dcmread(one.path)
        assert (back.pixel_array == original.pixel_array).all()
        assert back.PatientName == original.PatientName
