"""DCMTK's programs, as they are installed, against a live node: what they send comes back byte for byte."""

import re
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from tests.acceptance import dcmtk
from tests.acceptance.serving import AET, Served, dataset_bytes, eventually
from tests.acceptance.transfer_syntaxes import RETIRED, SYNTAXES, Sample, picture, samples

pytestmark = pytest.mark.server

BIN = Path("/usr/bin")
PATIENT = "DCMTK1"
CONVERTED = ("implicit", "explicit big")
"""What `getscu` can't fetch as it is: it offers explicit little endian beside them, which the node rather has."""


def run(program: str, *arguments: str, served: Served) -> subprocess.CompletedProcess[str]:
    """Run a program of DCMTK against the node and return what it says."""
    command = [str(BIN / program), *arguments, "-aec", AET, *served.address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def sent(served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """One picture in every transfer syntax, sent with `storescu` and the option for that syntax."""
    folder = tmp_path_factory.mktemp("pictures")
    made = samples(folder, patient=PATIENT, first_number=1, syntaxes=SYNTAXES)
    for one in made:
        command = [dcmtk.STORESCU, "-v", "-R", f"-x{one.syntax.option}", "-aec", AET, *served.address, str(one.path)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "Received Store Response (Success)" in told.stdout + told.stderr, one.syntax.name
        assert told.returncode == 0, one.syntax.name
    served.wait_until_found(*(one.header for one in made))
    return {one.syntax.name: one for one in made}


def _keys(level: str, header: pydicom.Dataset | None = None, **others: str) -> list[str]:
    """Return options for a query: the UIDs of an instance down to the level, then what else is asked."""
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    depth = {"STUDY": 1, "SERIES": 2, "IMAGE": 3}.get(level, 0)
    keys = {"QueryRetrieveLevel": level}
    keys |= {keyword: header[keyword].value for keyword in uids[:depth]} if header is not None else {}
    return [part for key, value in {**keys, **others}.items() for part in ("-k", f"{key}={value}")]


def _found(served: Served, folder: Path, *keys: str, root: str = "-S") -> list[pydicom.Dataset]:
    """Return the answers to a query with `findscu`."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    told = run("findscu", root, "-X", "-od", str(folder), *keys, served=served)
    assert told.returncode == 0, told.stderr
    return [pydicom.dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


def _syntax(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)


def _same(path: Path, original: Path) -> bool:
    """Return whether two files hold the same data set; a deflated one is padded to even length (PS3.5 A.5)."""
    return dataset_bytes(path) in (dataset_bytes(original), dataset_bytes(original) + b"\0")


def test_echoscu_when_it_calls_the_node_then_it_is_answered(served: Served) -> None:
    told = run("echoscu", "-v", served=served)

    assert told.returncode == 0
    assert "Received Echo Response (Success)" in told.stdout + told.stderr


@pytest.mark.parametrize("name", [syntax.name for syntax in SYNTAXES if syntax.name not in CONVERTED])
def test_getscu_when_it_fetches_what_storescu_sent_then_the_data_set_is_the_same_byte_for_byte(
    served: Served, sent: dict[str, Sample], tmp_path: Path, name: str
) -> None:
    sample = sent[name]
    option, keys = f"+x{sample.syntax.option}", _keys("IMAGE", sample.header)

    told = run("getscu", "-S", "+B", option, "-od", str(tmp_path), *keys, served=served)

    assert told.returncode == 0, told.stderr
    (path,) = tmp_path.iterdir()
    assert _syntax(path) == sample.syntax.uid
    assert _same(path, sample.path)


@pytest.mark.parametrize("name", [*CONVERTED, "RLE"])
def test_getscu_when_it_takes_explicit_little_only_then_everything_in_the_data_set_is_still_the_same(
    served: Served, sent: dict[str, Sample], tmp_path: Path, name: str
) -> None:
    keys = _keys("IMAGE", sent[name].header)

    told = run("getscu", "-S", "+B", "-od", str(tmp_path), *keys, served=served)

    assert told.returncode == 0, told.stderr
    (path,) = tmp_path.iterdir()
    got, plain = pydicom.dcmread(path), pydicom.dcmread(sent["explicit little"].path)
    assert got.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert got.PixelData == plain.PixelData
    assert {element.tag for element in got} == {element.tag for element in plain}


@pytest.mark.parametrize("name", ["implicit", "explicit little", "explicit big", "deflated"])
def test_movescu_when_it_names_another_destination_then_that_gets_the_bytes_as_they_came(
    served: Served, sent: dict[str, Sample], tmp_path: Path, name: str
) -> None:
    sample, judged = sent[name], tmp_path / "judged"

    with dcmtk.storescp(judged, port=served.peers["JUDGE"]):
        told = run("movescu", "-S", "-aem", "JUDGE", *_keys("STUDY", sample.header), served=served)
        eventually(lambda: bool(list(judged.iterdir())), what="it has arrived")

    assert told.returncode == 0, told.stderr
    (path,) = judged.iterdir()
    assert _syntax(path) == sample.syntax.uid
    assert _same(path, sample.path)


def test_movescu_when_it_is_the_destination_itself_then_it_gets_the_study(
    served: Served, sent: dict[str, Sample], tmp_path: Path
) -> None:
    sample, port = sent["explicit big"], served.peers["MOVESCU"]
    options = ["-S", "-aet", "MOVESCU", "-aem", "MOVESCU", "+P", str(port), "-od", str(tmp_path)]

    told = run("movescu", *options, "+xb", *_keys("STUDY", sample.header), served=served)

    assert told.returncode == 0, told.stderr
    (path,) = tmp_path.iterdir()
    assert _syntax(path) == sample.syntax.uid
    assert pydicom.dcmread(path).PixelData == pydicom.dcmread(sample.path).PixelData


def test_dcmsend_when_it_sends_files_of_retired_syntaxes_then_they_come_back_as_they_are(
    served: Served, tmp_path: Path
) -> None:
    made = samples(tmp_path, patient="DCMTK2", first_number=101, syntaxes=RETIRED)
    report = tmp_path / "report.txt"
    command = [str(BIN / "dcmsend"), "-dn", "-aec", AET, "+crf", str(report), *served.address]

    told = subprocess.run(
        [*command, *(str(one.path) for one in made)], capture_output=True, text=True, timeout=60, check=False
    )

    assert told.returncode == 0, told.stderr
    assert re.search(rf"with status SUCCESS\s*: {len(made)}\b", report.read_text())
    served.wait_until_found(*(one.header for one in made))
    for one in made:
        assert got_with_pynetdicom(served, one.header) == dataset_bytes(one.path), one.syntax.name


def got_with_pynetdicom(served: Served, header: pydicom.Dataset) -> bytes:
    """Fetch an instance in the transfer syntax of its file: `getscu` and `storescp` know no retired ones."""
    got: list[bytes] = []

    def keep(event: evt.Event) -> int:
        got.append(event.encoded_dataset(include_meta=False))
        return 0

    entity = AE()
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_requested_context(header.SOPClassUID, header.file_meta.TransferSyntaxUID)
    association = entity.associate(
        "127.0.0.1",
        served.port,
        ae_title=AET,
        ext_neg=[build_role(header.SOPClassUID, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = header.StudyInstanceUID
    statuses = [
        status.Status for status, _ in association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet)
    ]
    association.release()
    assert statuses[-1] == 0
    (only,) = got
    return only


def test_findscu_when_it_asks_for_a_patient_then_all_studies_and_only_those_are_told(
    served: Served, sent: dict[str, Sample], tmp_path: Path
) -> None:
    keys = _keys("STUDY", PatientID=PATIENT, StudyInstanceUID="", ModalitiesInStudy="", PatientName="")

    answers = _found(served, tmp_path / "rsp", *keys)

    assert {one.StudyInstanceUID for one in answers} == {one.header.StudyInstanceUID for one in sent.values()}
    assert {one.ModalitiesInStudy for one in answers} == {"OT"}
    assert {str(one.PatientName) for one in answers} == {f"Client^{PATIENT}"}


@pytest.mark.parametrize(
    ("root", "level", "unique"),
    [("-P", "PATIENT", "PatientID"), ("-S", "SERIES", "SeriesInstanceUID"), ("-S", "IMAGE", "SOPInstanceUID")],
)
def test_findscu_when_it_asks_at_another_level_then_the_unique_key_is_told(
    served: Served, sent: dict[str, Sample], tmp_path: Path, root: str, level: str, unique: str
) -> None:
    header = sent["RLE"].header
    keys = _keys(level, header, **{unique: ""}) if root == "-S" else _keys(level, PatientID=PATIENT)

    (answer,) = _found(served, tmp_path / "rsp", *keys, root=root)

    assert answer[unique].value == header[unique].value


def test_findscu_when_it_asks_with_wildcard_range_and_list_then_they_match(
    served: Served, sent: dict[str, Sample], tmp_path: Path
) -> None:
    uids = "\\".join(sent[name].header.StudyInstanceUID for name in ("RLE", "deflated"))
    by_name = _keys("STUDY", PatientName="client^dcmtk?", StudyDate="20260101-20260103", StudyInstanceUID=uids)
    past = _keys("STUDY", PatientName="client^dcmtk?", StudyDate="-20251231", StudyInstanceUID="")

    found = {one.StudyInstanceUID for one in _found(served, tmp_path / "rsp", *by_name)}

    assert found == set(uids.split("\\"))
    assert _found(served, tmp_path / "rsp", *past) == []


def test_storescu_when_it_combines_syntaxes_and_sends_several_times_then_one_copy_is_kept(
    served: Served, tmp_path: Path
) -> None:
    path = picture(tmp_path / "again.dcm", patient="DCMTK3", number=201)
    command = [dcmtk.STORESCU, "+C", "--repeat", "3", "-aec", AET, *served.address, str(path)]

    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert told.returncode == 0, told.stderr
    header = pydicom.dcmread(path, stop_before_pixels=True)
    served.wait_until_found(header)
    assert len(_found(served, tmp_path / "rsp", *_keys("IMAGE", header, SOPInstanceUID=""))) == 1


def test_storescu_when_it_aborts_after_sending_then_what_was_answered_is_kept(served: Served, tmp_path: Path) -> None:
    path = picture(tmp_path / "abort.dcm", patient="DCMTK4", number=202)
    command = [dcmtk.STORESCU, "-v", "--abort", "-aec", AET, *served.address, str(path)]

    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "Received Store Response (Success)" in told.stdout + told.stderr
    served.wait_until_found(pydicom.dcmread(path, stop_before_pixels=True))
