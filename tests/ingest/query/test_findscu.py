"""DCMTK's findscu asks the node, at every level of every model."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from tests.ingest.query.conftest import Queried
from tests.ingest.query.corpus import CHINESE, CT, PLAN, uid

FINDSCU = "/usr/bin/findscu"


def ask(queried: Queried, folder: Path, *keys: str, model: str = "-S") -> list[Dataset]:
    """Return the answers to a query of findscu; whatever else it says fails the test."""
    folder = folder / f"answers{len(list(folder.iterdir()))}"
    folder.mkdir()
    options = [option for key in keys for option in ("-k", key)]
    command = [FINDSCU, model, "-v", "-X", "-od", str(folder), *options, "127.0.0.1", str(queried.port)]
    told = subprocess.run(command, capture_output=True, check=False)
    text = (told.stdout + told.stderr).decode("utf-8", "replace")
    assert "Received Final Find Response (Success)" in text, text
    return [pydicom.dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


def studies(answers: Sequence[Dataset]) -> set[int]:
    """Return the numbers of the studies found."""
    found = [int(one.StudyInstanceUID.rsplit(".", 1)[1]) for one in answers]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), {1, 2, 3, 4, 5, 6, 7}),
        (("StudyInstanceUID=" + uid(3),), {3}),
        (("StudyInstanceUID=" + uid(3) + "\\" + uid(5),), {3, 5}),
        (("PatientID=0042",), {3, 4}),
        (("PatientID=0042", "IssuerOfPatientID=WEST"), {4}),
        (("PatientID=42",), set()),
        (("PatientID=H-*",), {1, 2}),
        (("PatientID=?_1",), {6}),
        (("PatientName=SMITH*",), {3, 4}),
        (("PatientName=smith^john^^dr",), {3}),
        (("PatientName=Smith^John",), set()),
        (("PatientName=Wang^XiaoDong",), {1, 2}),
        (("PatientName=WANG*",), {1, 2}),
        (("PatientName=*wang",), {6}),
        (("PatientName=muller^jurgen",), {5}),
        (("PatientName=L?^*",), {6}),
        (("PatientBirthDate=19751231",), {3, 4}),
        (("PatientBirthDate=19800101-",), {6, 7}),
        (("PatientSex=O",), {3, 4}),
        (("StudyDate=20240115",), {1, 5}),
        (("StudyDate=20230101-20231231",), {3, 4}),
        (("StudyDate=-20200101",), {6, 7}),
        (("StudyDate=20240201-",), {2}),
        (("StudyTime=1015",), {1, 5}),
        (("StudyTime=101500",), {1}),
        (("StudyTime=-0800",), {3, 4, 6}),
        (("AccessionNumber=A10?",), {1, 2}),
        (("AccessionNumber=A100",), {1}),
        (("StudyID=S4",), {4}),
        (("StudyDescription=*Head*",), {1}),
        (("StudyDescription=MR Pelvis",), {3, 4}),
        (("ModalitiesInStudy=CT",), {1, 5, 6, 7}),
        (("ModalitiesInStudy=RTPLAN\\MR",), {1, 3, 4}),
        (("ModalitiesInStudy=RT*",), {1, 2}),
        (("SOPClassesInStudy=" + PLAN,), {1}),
        (("NumberOfStudyRelatedInstances=6",), {1}),
        (("ReferringPhysicianName=sample*",), {1}),
        (("StationName=CT1",), {1}),
        (("OtherPatientIDsSequence[0].PatientID=X-9",), {1}),
        (("OtherPatientIDsSequence[0].PatientID=X-8",), set()),
        (("StudyDate=20240101-20241231", "PatientName=W*", "ModalitiesInStudy=CT"), {1}),
    ],
)
def test_studies_when_a_key_is_given_then_those_that_fit_are_found(
    queried: Queried, tmp_path: Path, keys: tuple[str, ...], expected: set[int]
) -> None:
    asked = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID", *keys)
    assert studies(ask(queried, tmp_path, *asked)) == expected
    told = queried.told()
    assert (told.level, told.hits, told.outcome) == ("STUDY", len(expected), "done")


def test_study_when_found_then_every_key_comes_back_as_it_stood(queried: Queried, tmp_path: Path) -> None:
    keys = (
        "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
        "StudyDescription", "ReferringPhysicianName", "ModalitiesInStudy", "SOPClassesInStudy",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfPatientRelatedStudies",
        "InstanceAvailability", "OtherPatientIDsSequence", "PatientComments",
    )  # fmt: skip
    (answer,) = ask(queried, tmp_path, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={uid(1)}", *keys)
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert answer.QueryRetrieveLevel == "STUDY"
    assert answer.RetrieveAETitle == "LASTGATE"
    assert answer.InstanceAvailability == "ONLINE"
    assert (answer.PatientID, answer.IssuerOfPatientID) == ("H-0001", "HOSPITAL")
    assert str(answer.PatientName) == CHINESE
    assert (answer.PatientBirthDate, answer.PatientSex) == ("19600229", "M")
    assert (answer.StudyDate, answer.StudyTime) == ("20240115", "101500")
    assert (answer.AccessionNumber, answer.StudyID) == ("A100", "S1")
    assert answer.ReferringPhysicianName == "Sample^Physician"
    assert sorted(answer.ModalitiesInStudy) == ["CT", "RTPLAN"]
    assert sorted(answer.SOPClassesInStudy) == sorted([CT, PLAN])
    assert (answer.NumberOfStudyRelatedSeries, answer.NumberOfStudyRelatedInstances) == (2, 6)
    assert answer.NumberOfPatientRelatedStudies == 2
    (other,) = answer.OtherPatientIDsSequence
    assert (other.PatientID, other.IssuerOfPatientID, other.TypeOfPatientID) == ("X-9", "REGION", "TEXT")
    assert answer["PatientComments"].is_empty


def test_patients_when_asked_for_then_one_number_of_two_issuers_is_two_people(queried: Queried, tmp_path: Path) -> None:
    answers = ask(
        queried, tmp_path, "QueryRetrieveLevel=PATIENT", "PatientID=0042", "PatientName",
        "NumberOfPatientRelatedInstances", model="-P",
    )  # fmt: skip
    found = {(one.IssuerOfPatientID, str(one.PatientName), int(one.NumberOfPatientRelatedInstances)) for one in answers}
    assert found == {("EAST", "Smith^John^^Dr", 2), ("WEST", "Smithson^Jane", 2)}


def test_series_when_asked_for_then_those_of_the_study_come_with_its_keys(queried: Queried, tmp_path: Path) -> None:
    keys = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances")
    more = (
        "AccessionNumber",
        "BodyPartExamined",
        "RTPlanLabel",
        "ApprovalStatus",
        "ReviewerName",
        "TreatmentMachineName",
    )
    answers = ask(queried, tmp_path, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid(1)}", *keys, *more)
    images, plans = sorted(answers, key=lambda one: int(one.SeriesNumber))
    assert {one.StudyInstanceUID for one in answers} == {uid(1)}
    assert {one.AccessionNumber for one in answers} == {"A100"}
    assert (images.SeriesInstanceUID, images.Modality, images.NumberOfSeriesRelatedInstances) == (uid(1, 1), "CT", 4)
    assert (images.SeriesDescription, images.BodyPartExamined) == ("Axial 3 mm", "HEAD")
    assert images["RTPlanLabel"].is_empty
    assert (plans.Modality, plans.RTPlanLabel, plans.ApprovalStatus) == ("RTPLAN", "Head_60", "APPROVED")
    assert (str(plans.ReviewerName), plans.TreatmentMachineName) == ("Sample^Reviewer", "LINAC-1")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Modality=RTPLAN", {2}),
        ("RTPlanLabel=Head*", {2}),
        ("RTPlanLabel=Neck*", set()),
        ("ApprovalStatus=APPROVED", {2}),
        ("RTPlanDate=20240101-20240131", {2}),
        ("SeriesNumber=1", {1}),
        ("SeriesDescription=Axial*", {1}),
        ("StationName=CT?", {1}),
        ("SeriesTime=1016-1017", {1}),
        (f"SeriesInstanceUID={uid(1, 2)}\\{uid(9, 9)}", {2}),
    ],
)
def test_series_when_a_key_is_given_then_those_that_fit_are_found(
    queried: Queried, tmp_path: Path, key: str, expected: set[int]
) -> None:
    answers = ask(
        queried, tmp_path, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid(1)}", "SeriesInstanceUID", key
    )
    assert {int(one.SeriesInstanceUID.rsplit(".", 1)[1]) for one in answers} == expected


def test_images_when_asked_for_then_each_tells_its_own_in_order(queried: Queried, tmp_path: Path) -> None:
    answers = ask(
        queried, tmp_path, "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={uid(1)}", f"SeriesInstanceUID={uid(1, 1)}",
        "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "ContentTime", "PatientName",
        "AvailableTransferSyntaxUID",
    )  # fmt: skip
    assert [int(one.InstanceNumber) for one in answers] == [1, 2, 3, 4]
    assert [one.SOPInstanceUID for one in answers] == [uid(1, 1, number) for number in (1, 2, 3, 4)]
    assert {(one.SOPClassUID, one.Rows, one.ContentTime) for one in answers} == {(CT, 512, "101733.5")}
    assert {str(one.PatientName) for one in answers} == {CHINESE}
    assert {one.AvailableTransferSyntaxUID for one in answers} == {"1.2.840.10008.1.2.1"}


def test_records_when_asked_for_then_they_tell_their_session_and_plan(queried: Queried, tmp_path: Path) -> None:
    answers = ask(
        queried, tmp_path, "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={uid(2)}", f"SeriesInstanceUID={uid(2, 1)}",
        "SOPInstanceUID", "InstanceNumber=2", "TreatmentDate",
        f"ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID={uid(1, 2, 1)}",
    )  # fmt: skip
    (answer,) = answers
    assert answer.TreatmentDate == "20240301"
    assert answer.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == uid(1, 2, 1)


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030", "GBK"])
@pytest.mark.parametrize(("name", "expected"), [("=王^小东", {1, 2, 7}), ("王^小*", {1, 2, 7}), ("*小东", {1, 2, 7})])
def test_chinese_name_when_asked_in_any_character_set_then_it_is_found_and_answered_in_it(
    queried: Queried, tmp_path: Path, charset: str, name: str, expected: set[int]
) -> None:
    encoding = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}[charset]
    query = Dataset()
    query.SpecificCharacterSet = charset
    query.QueryRetrieveLevel = "STUDY"
    query.PatientName = name
    query.StudyInstanceUID = ""
    query.StudyDescription = ""
    path = tmp_path / "query.dcm"
    query.save_as(path, implicit_vr=False, little_endian=True)
    folder = tmp_path / "found"
    folder.mkdir()
    command = [FINDSCU, "-S", "-v", "-X", "-od", str(folder), "127.0.0.1", str(queried.port), str(path)]
    told = subprocess.run(command, capture_output=True, check=False)
    assert b"Success" in told.stdout + told.stderr
    answers = [pydicom.dcmread(one, force=True) for one in folder.glob("rsp*.dcm")]
    assert studies(answers) == expected
    for answer in answers:
        assert answer.SpecificCharacterSet == charset
        number = int(answer.StudyInstanceUID.rsplit(".", 1)[1])
        assert str(answer.PatientName) == ("王^小东" if number == 7 else CHINESE)
        raw = answer.get_item("StudyDescription").value or b""
        if number == 7:
            assert answer.StudyDescription == "放疗定位"
            assert "放疗定位".encode(encoding) in (
                raw if isinstance(raw, bytes) else answer.StudyDescription.encode(encoding)
            )


def test_query_in_a_narrow_character_set_when_an_answer_needs_more_then_that_answer_is_in_utf_8(
    queried: Queried, tmp_path: Path
) -> None:
    keys = ("SpecificCharacterSet=ISO_IR 100", "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName")
    told = {int(one.StudyInstanceUID.rsplit(".", 1)[1]): one for one in ask(queried, tmp_path, *keys)}
    assert told[5].SpecificCharacterSet == "ISO_IR 100"
    assert str(told[5].PatientName) == "Müller^Jürgen"
    assert told[7].SpecificCharacterSet == "ISO_IR 192"
    assert str(told[7].PatientName) == "王^小东"


@pytest.mark.parametrize(
    ("model", "level"),
    [
        ("-P", "STUDY"),
        ("-S", "SERIES"),
        ("-S", "IMAGE"),
        ("-O", "STUDY"),
        ("-S", "PATIENT"),
        ("-O", "SERIES"),
        ("-S", "NONE"),
    ],
)
def test_query_when_it_does_not_say_of_what_or_at_no_level_then_a900(queried: Queried, model: str, level: str) -> None:
    command = [
        FINDSCU,
        model,
        "-v",
        "-k",
        f"QueryRetrieveLevel={level}",
        "-k",
        "StudyDate",
        "127.0.0.1",
        str(queried.port),
    ]
    told = subprocess.run(command, capture_output=True, check=False)
    text = (told.stdout + told.stderr).decode("utf-8", "replace")
    assert "Error: DataSetDoesNotMatchSOPClass" in text or "a900" in text.lower(), text
    assert queried.told().outcome == "refused"


@pytest.mark.parametrize(
    "key", ["StudyDate=yesterday", "StudyDate=2024", "StudyTime=25h", "StudyDate=-", "SeriesNumber=one"]
)
def test_query_when_a_value_is_none_of_its_kind_then_a900(queried: Queried, key: str) -> None:
    level = (
        ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid(1)}")
        if "Series" in key
        else ("QueryRetrieveLevel=STUDY",)
    )
    options = [option for one in (*level, key) for option in ("-k", one)]
    told = subprocess.run(
        [FINDSCU, "-S", "-v", *options, "127.0.0.1", str(queried.port)], capture_output=True, check=False
    )
    text = (told.stdout + told.stderr).decode("utf-8", "replace")
    assert "DataSetDoesNotMatchSOPClass" in text or "a900" in text.lower(), text
