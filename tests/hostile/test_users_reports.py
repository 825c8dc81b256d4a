"""What users of other archives reported, played through the whole house: over the wire, filed, folded and found.

Each test names the thread it answers (owner/repository#number). What those threads complain of and other tests hold
already: success without storing (cases 18 and 19), memory with a long instance (`tests.ingest.node.test_fast_receive`).
"""

from collections.abc import Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from ingest.dataset.part10 import find_dataset
from lastgate.reception import Reception, receiving
from lastgate.sample import Department
from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query
from tests.acceptance.houses import local
from tests.hostile.wire import store
from tests.ingest.datasets import dataset, element, text, uid

pytestmark = pytest.mark.server

NAME = "\u5f20\u4f1f"
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
BIRTH_DATE = 0x0010_0030
ISSUER = 0x0010_0021
CHARACTER_SET = 0x0008_0005


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An archive of its own."""
    with local(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def reception(house: House) -> Iterator[Reception]:
    """Its node."""
    with receiving(house, port=0) as running:
        yield running


def took(reception: Reception, *bodies: bytes) -> list[str]:
    """Send data sets, file them and return what was answered."""
    words = []
    for body in bodies:
        named = pydicom.dcmread(BytesIO(body), force=True)
        words.append(store(reception.port, body, instance=named.SOPInstanceUID, sop_class=named.SOPClassUID).word)
    reception.file()
    return words


def with_patient(body: bytes, *, issuer: str = "", birth_date: str = "") -> bytes:
    """Return a data set with more about its patient, in order of tags."""
    study = body.index(element(0x0020_000D, b"UI", b"")[:6])
    more = element(ISSUER, b"LO", text(issuer)) if issuer else b""
    more += element(BIRTH_DATE, b"DA", text(birth_date)) if birth_date else b""
    return body[:study] + more + body[study:]


def encoded(instance: Dataset) -> bytes:
    """Return a data set in explicit little endian, without file header."""
    stream = BytesIO()
    pydicom.dcmwrite(stream, instance, implicit_vr=False, little_endian=True)
    file = stream.getvalue()
    layout = find_dataset(BytesIO(file))
    assert layout is not None
    return file[layout.dataset_offset :]


def found(house: House, kind: Kind, **asked: Any) -> list[dict[str, Any]]:
    """Return what the index finds."""
    return [hit.body for hit in house.hits(Query(kind=kind, **asked))]


def codes(answer: dict[str, Any]) -> set[str]:
    """Return the codes of its findings."""
    return {finding["code"] for finding in answer["findings"]}


def test_study_when_two_devices_name_other_issuers_then_both_are_kept_and_nothing_is_merged(
    house: House, reception: Reception
) -> None:
    """dcm4che/dcm4chee-arc-light#4508, #4053, #4935: the instance of the second device was refused."""
    first = with_patient(dataset(instance="1.2.1"), issuer="CT")
    second = with_patient(dataset(instance="1.2.2"), issuer="LINAC")

    assert took(reception, first, second) == ["0000", "0000"]

    receipts = [one for key in house.facts.patients() for one in house.facts.read(key).receipts]
    issuers = {one.header.patient.identifier.issuer for one in receipts}
    assert issuers == {"CT", "LINAC"}
    assert len(list(house.facts.patients())) == 2
    assert all("conflict" not in one.disposition for one in receipts)


def test_patient_when_two_people_share_an_id_then_it_is_an_urgent_finding(
    house: House, reception: Reception, sample_department: Department
) -> None:
    """dcm4che/dcm4chee-arc-light#2758, #4314: two people with one ID silently became one record."""
    plan = pydicom.dcmread(sample_department.patient("SAMPLE-0005").courses[0].plans[0].path)
    other = deepcopy(plan)
    other.PatientName, other.PatientBirthDate, other.SOPInstanceUID = "Zhang^Min", "19801231", "1.2.99"

    assert took(reception, *map(encoded, (plan, other))) == ["0000", "0000"]

    (patient,) = house.facts.patients()
    findings = [one for dossier in found(house, Kind.DOSSIER) for one in dossier["findings"]]
    assert {one["severity"] for one in findings if one["code"] == "PATIENT-DIFFERS"} == {"urgent"}
    assert len(house.facts.read(patient).receipts) == 2


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("", "gb18030"), ("", "utf-8"), ("ISO_IR 100", "gb18030"), ("ISO_IR 192", "utf-8"), ("GB18030", "gb18030")],
)
def test_name_when_its_character_set_is_not_or_wrongly_declared_then_it_is_found_and_the_bytes_stay(
    house: House, reception: Reception, declared: str, encoding: str
) -> None:
    """cornerstonejs/dicomParser#89, #77, #117; nroduit/Weasis#627: Chinese names became question marks."""
    body = dataset(name="ZZZZZZ").replace(b"ZZZZZZ", NAME.encode(encoding).ljust(6))
    if declared:
        body = element(CHARACTER_SET, b"CS", text(declared)) + body

    assert took(reception, body) == ["0000"]

    (patient,) = found(house, Kind.PATIENT, patient_id="P1")
    assert patient["patient"]["name"] == NAME
    assert found(house, Kind.PATIENT, name=NAME)
    (receipt,) = [one for key in house.facts.patients() for one in house.facts.read(key).receipts]
    assert house.stores.work.read_bytes(receipt.key).endswith(body)


def test_dose_when_its_plan_is_missing_then_it_is_taken_and_a_finding_says_so(
    house: House, reception: Reception
) -> None:
    """e0404/matRad#797: a dose without a referenced plan broke the import."""
    body = dataset(sop_class=RT_DOSE).replace(
        element(0x0008_0060, b"CS", b"CT"), element(0x0008_0060, b"CS", b"RTDOSE")
    )
    body += element(0x0020_0052, b"UI", uid("1.2.3.9")) + element(0x3004_0002, b"CS", text("GY"))

    assert took(reception, body) == ["0000"]

    (patient,) = found(house, Kind.PATIENT, patient_id="P1")
    assert codes(patient) & {"DOSE-WITHOUT-PLAN", "UNATTACHED"}


def test_instance_when_success_was_answered_then_it_is_found_once_filed(house: House, reception: Reception) -> None:
    """pydicom/pynetdicom#807, dicoogle/dicoogle#721: success was answered, the image was nowhere to be seen."""
    bodies = [dataset(instance=f"1.2.{n}", patient=f"P{n % 3}") for n in range(9)]

    assert took(reception, *bodies) == ["0000"] * 9

    patients = [found(house, Kind.PATIENT, patient_id=f"P{n}") for n in range(3)]
    assert [patient["unattached_instances"] for (patient,) in patients] == [3, 3, 3]


def test_instance_when_it_comes_twice_then_its_file_stays(house: House, reception: Reception) -> None:
    """dcm4che/dcm4chee-arc-light#4754: the same UID twice deleted the file."""
    body = dataset()

    assert took(reception, body, body) == ["0000", "0000"]
    assert took(reception, body) == ["0000"]

    (patient,) = found(house, Kind.PATIENT, patient_id="P1")
    (receipt,) = {one.key: one for key in house.facts.patients() for one in house.facts.read(key).receipts}.values()
    assert patient["unattached_instances"] == 1
    assert house.stores.work.read_bytes(receipt.key).endswith(body)
